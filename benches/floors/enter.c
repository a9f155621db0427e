/* enter: the floor under a program that runs a command in the namespaces of a process.
 *
 *   enter PID KIND[,KIND]... COMMAND [ARGUMENT]...
 *
 * The least there is to do: open a pidfd of PID, enter its namespaces of these kinds with one setns(2), and execute COMMAND.
 * With `pid` among the kinds it forks first, because only a child is in the new pid namespace, waits, and ends the way that the
 * child did. Should anything else go wrong it exits with 125.
 *
 * This is not a tool. It enters what it is told to, whether or not the caller is there already, and knows neither `user`, after
 * which there are IDs and capabilities to see to, nor `time`. It does not ask whether the process is still the one that was
 * meant, passes no signals on, does not stop when the command stops, and explains no error.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 125 };

static const struct {
	const char *name;
	int flag;
} KINDS[] = {
	{ "cgroup", CLONE_NEWCGROUP },
	{ "ipc", CLONE_NEWIPC },
	{ "mnt", CLONE_NEWNS },
	{ "net", CLONE_NEWNET },
	{ "pid", CLONE_NEWPID },
	{ "uts", CLONE_NEWUTS },
};

static void die(const char *what)
{
	perror(what);
	_exit(FAILED);
}

static void usage(void)
{
	fprintf(stderr, "usage: enter PID KIND[,KIND]... COMMAND [ARGUMENT]...\n");
	exit(FAILED);
}

static int flag_of(const char *name)
{
	for (size_t kind = 0; kind < sizeof KINDS / sizeof *KINDS; kind++)
		if (!strcmp(name, KINDS[kind].name))
			return KINDS[kind].flag;
	usage();
	return 0;
}

static int end_of(pid_t child)
{
	int status;
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	if (WIFSIGNALED(status)) {
		/* This returns only where the caller has the signal ignored. */
		kill(getpid(), WTERMSIG(status));
		return 128 + WTERMSIG(status);
	}
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	int kinds = 0;
	if (argc < 4)
		usage();
	for (char *name = strtok(argv[2], ","); name; name = strtok(NULL, ","))
		kinds |= flag_of(name);

	/* execve(2) closes it, as it does every pidfd. */
	int process = syscall(SYS_pidfd_open, atoi(argv[1]), 0);
	if (process < 0)
		die("pidfd_open");
	if (setns(process, kinds))
		die("setns");
	if (kinds & CLONE_NEWPID) {
		pid_t child = fork();
		if (child < 0)
			die("fork");
		if (child)
			return end_of(child);
	}
	execvp(argv[3], argv + 3);
	die(argv[3]);
}
