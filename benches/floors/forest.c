/* forest: the cgroups that the benchmarks look at.
 *
 *   forest NAME CGROUPS PROCESSES DIR...
 *
 * Makes a tree of CGROUPS cgroups in each DIR, which is the directory of a cgroup, one for each hierarchy. At its top is NAME, which
 * starts with "nsx-bench-" and is not there yet; below are slices with 50 groups each, and below these zero to two levels more. In
 * v2 the controllers cpu, memory and pids reach all of them as far as DIR hands them down. PROCESSES paused processes, which share
 * their memory, are spread over the cgroups without children, in all hierarchies alike. Prints "ready" and the PID of the first of
 * them, which is in NAME/slice-00/pod-00/app/main if there are that many cgroups.
 *
 * When its standard input closes, or at SIGINT, SIGTERM or SIGHUP, it ends the processes and removes the tree, also while it still
 * makes it. The processes are in a pid namespace of their own: should forest be killed, the kernel kills its PID 1 and with it the
 * rest, and nothing but empty cgroups is left, which whoever killed it finds by NAME.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MOST_DIRS = 16,
	GROUPS = 50,
	STACK_BYTES = 16 * 1024, /* of a process that pauses: a page of it, but the dynamic linker wants more for the first call */
	PATH_BYTES = 256,
	MOST_RETRIES = 1000, /* 10 ms apart */
};

/* What is below a group, in turns. */
static const char *const BELOW[][4] = {
	{ "app", "app/main", "app/helper" },
	{ NULL },
	{ "app", "sidecar" },
	{ "app" },
};

static const char *const CONTROLLERS[] = { "cpu", "memory", "pids" };

static int dirs[MOST_DIRS], ndirs, made[MOST_DIRS]; /* made: how many of the paths are there */
static char enable[MOST_DIRS][64];		    /* for cgroup.subtree_control; empty in v1 */
static char (*paths)[PATH_BYTES];		    /* below each of dirs, parents before children */
static int npaths, wanted;
static volatile sig_atomic_t signalled;

static void die(const char *what)
{
	fprintf(stderr, "forest: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void note(int signal)
{
	(void)signal;
	signalled = 1;
}

/* Says whether somebody wants all this to end: a signal has come, or nobody has the other end of standard input any more. */
static int over(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	char byte;
	while (!signalled && poll(&in, 1, 0) > 0)
		if (read(0, &byte, 1) <= 0)
			return 1;
	return signalled;
}

/* Writes to a file of a cgroup. */
static int put(int dir, const char *cgroup, const char *file, const char *text)
{
	char path[PATH_BYTES + 32];
	snprintf(path, sizeof path, "%s/%s", cgroup, file);
	int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t written = write(fd, text, strlen(text));
	int error = errno;
	close(fd);
	errno = error;
	return written < 0 ? -1 : 0;
}

/* -------------------------------------------------------------------------------------------------------------------- the tree */

static void plan(const char *at, const char *name)
{
	if (npaths < wanted)
		if (snprintf(paths[npaths++], sizeof *paths, "%s%s%s", at, *at ? "/" : "", name) >= PATH_BYTES) {
			errno = ENAMETOOLONG;
			die(name);
		}
}

static void plan_all(const char *name)
{
	char part[32], slice[PATH_BYTES], group[PATH_BYTES];
	plan("", name);
	for (int s = 0; npaths < wanted; s++) {
		snprintf(part, sizeof part, "slice-%02d", s);
		plan(name, part);
		memcpy(slice, paths[npaths - 1], sizeof slice);
		for (int g = 0; g < GROUPS && npaths < wanted; g++) {
			snprintf(part, sizeof part, "pod-%02d", g);
			plan(slice, part);
			memcpy(group, paths[npaths - 1], sizeof group);
			const char *const *below = BELOW[g % (sizeof BELOW / sizeof *BELOW)];
			for (int b = 0; below[b]; b++)
				plan(group, below[b]);
		}
	}
}

/* The plan is in depth-first order: the first child of a cgroup comes right after it. */
static int is_leaf(int at)
{
	size_t length = strlen(paths[at]);
	return at + 1 == npaths || strncmp(paths[at + 1], paths[at], length) || paths[at + 1][length] != '/';
}

/* Sets which controllers the tree can have in a directory of v2: those that its top has. */
static void find_controllers(int at)
{
	char path[PATH_BYTES + 32], text[512] = " ";
	snprintf(path, sizeof path, "%s/cgroup.controllers", paths[0]);
	int fd = openat(dirs[at], path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t filled = read(fd, text + 1, sizeof text - 2);
	close(fd);
	text[filled > 0 ? filled + 1 : 1] = 0;
	for (size_t i = 0; i < sizeof CONTROLLERS / sizeof *CONTROLLERS; i++)
		for (char *found = strstr(text, CONTROLLERS[i]); found; found = strstr(found + 1, CONTROLLERS[i]))
			if (found[-1] == ' ' && strchr(" \n", found[strlen(CONTROLLERS[i])])) {
				strcat(enable[at], "+");
				strcat(enable[at], CONTROLLERS[i]);
				strcat(enable[at], " ");
			}
}

static int make_tree(int at)
{
	for (int i = 0; i < npaths; i++) {
		if (over())
			return 0;
		if (mkdirat(dirs[at], paths[i], 0755)) {
			perror(paths[i]);
			return -1;
		}
		made[at] = i + 1;
		if (i == 0)
			find_controllers(at);
		if (*enable[at] && !is_leaf(i) && put(dirs[at], paths[i], "cgroup.subtree_control", enable[at])) {
			perror("cgroup.subtree_control");
			return -1;
		}
	}
	return 0;
}

/* A cgroup is busy for a moment longer than its last process can be waited for. */
static int remove_trees(void)
{
	int left = 0, retries = 0;
	for (int at = 0; at < ndirs; at++)
		for (int i = made[at]; i-- > 0;) {
			while (unlinkat(dirs[at], paths[i], AT_REMOVEDIR) && errno != ENOENT) {
				if (errno != EBUSY || ++retries > MOST_RETRIES) {
					perror(paths[i]);
					left++;
					break;
				}
				usleep(10000);
			}
		}
	return left;
}

/* --------------------------------------------------------------------------------------------------------------- the processes */

static int member(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return 0;
}

/* The PID 1: goes from cgroup to cgroup and leaves processes there, which is cheaper than to move each of them. It is one of them
 * itself, in the first cgroup without children. */
static void populate(int processes, int report)
{
	int leaves = 0, nth;
	for (int i = 0; i < npaths; i++)
		leaves += is_leaf(i);
	char *stacks = malloc((size_t)(processes + 1) * STACK_BYTES);
	if (!stacks)
		die("malloc");
	nth = leaves;
	for (int i = npaths; i-- > 0;) {
		if (!is_leaf(i))
			continue;
		nth--;
		int share = processes / leaves + (nth < processes % leaves) - (nth == 0);
		if (share <= 0 && nth > 0)
			continue;
		for (int at = 0; at < ndirs; at++)
			if (put(dirs[at], paths[i], "cgroup.procs", "0"))
				die(paths[i]);
		for (; share > 0; share--) {
			stacks += STACK_BYTES;
			if (clone(member, stacks, CLONE_VM | SIGCHLD, NULL) < 0)
				die("clone");
		}
	}
	if (write(report, "", 1) != 1)
		die("write");
	close(report);
	for (;;)
		pause();
}

static pid_t begin_processes(int processes, int *report)
{
	int done[2], life[2];
	if (pipe2(done, O_CLOEXEC) || pipe2(life, O_CLOEXEC) || unshare(CLONE_NEWPID))
		die("unshare");
	pid_t init = fork();
	if (init < 0)
		die("fork");
	if (init == 0) {
		prctl(PR_SET_NAME, "nsx-bench");
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* Was this process's parent gone before it could ask for that? Then nobody can write to the pipe. */
		close(life[1]);
		struct pollfd parent = { .fd = life[0] };
		if (poll(&parent, 1, 0) && (parent.revents & POLLHUP))
			_exit(1);
		close(0);
		close(1);
		close(done[0]);
		for (int i = SIGHUP; i <= SIGTERM; i++)
			signal(i, SIG_DFL);
		populate(processes, done[1]);
	}
	close(done[1]);
	close(life[0]);
	*report = done[0];
	return init;
}

/* Returns 1 when all processes are where they belong, 0 when this is to end, -1 when they failed. */
static int until_ready(int report)
{
	struct pollfd both[] = { { .fd = report, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	char byte;
	while (!over()) {
		if (poll(both, 2, 1000) > 0 && both[0].revents)
			return read(report, &byte, 1) == 1 ? 1 : -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int processes = argc > 3 ? atoi(argv[3]) : 0;
	wanted = argc > 2 ? atoi(argv[2]) : 0;
	ndirs = argc - 4;
	if (argc < 5 || ndirs > MOST_DIRS || wanted < 1 || processes < 1 || strncmp(argv[1], "nsx-bench-", 10) || strchr(argv[1], '/')) {
		fprintf(stderr, "usage: forest nsx-bench-NAME CGROUPS PROCESSES DIR..., at most %d directories\n", MOST_DIRS);
		return 2;
	}
	for (int at = 0; at < ndirs; at++) {
		dirs[at] = open(argv[4 + at], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dirs[at] < 0)
			die(argv[4 + at]);
	}
	paths = calloc(wanted, sizeof *paths);
	if (!paths)
		die("calloc");
	plan_all(argv[1]);

	/* Without SA_RESTART, so that poll(2) returns. */
	struct sigaction action = { .sa_handler = note };
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);

	int failed = 0, report;
	for (int at = 0; at < ndirs && !failed; at++)
		failed = make_tree(at);
	if (!failed && !over()) {
		pid_t init = begin_processes(processes, &report);
		int ready = until_ready(report);
		failed = ready < 0;
		if (ready > 0) {
			printf("ready %d\n", (int)init);
			fflush(stdout);
			struct pollfd in = { .fd = 0, .events = POLLIN };
			/* A signal between the question and poll(2) is seen a second later. */
			while (!over())
				poll(&in, 1, 1000);
		}
		/* PID 1 of a pid namespace is gone only after everybody else in there. */
		kill(init, SIGKILL);
		while (waitpid(init, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return remove_trees() || failed ? 1 : 0;
}
