/* crowd: the host that the benchmarks look at.
 *
 *   crowd PROCESSES FDS NAMESPACES [SOCKETS [THREADS]]
 *
 * Starts NAMESPACES/8 containers, each with all eight kinds of namespace of its own, and shares PROCESSES sleeping processes out
 * among them. Where NAMESPACES is 0 there is no container, and they are in the namespaces of the host. Each process holds FDS file
 * descriptors, 3 to 40: 0 to 2 on /dev/null, then pipes; the last SOCKETS of them are unix sockets (default 0). Each but the first of
 * a container has THREADS threads (default 1). Prints "ready" when all of them sleep. When its standard input closes, the PID 1 of each container sees that through a pipe and exits, and the kernel ends
 * the rest: of its pid namespace, or its children. crowd exits last, when all of them are gone; should
 * it be killed, they go all the same.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* Where the pipes of this program live: above the descriptors of its members, and within the 64 for which the kernel has room in every
 * process. Were they further up, each member would keep a larger table for good, as hardly any process has one, and whoever looks
 * through tables would look through that. */
enum { HIGH = 40 };

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

static int high(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, HIGH);
	if (moved < 0)
		die("fcntl");
	close(fd);
	return moved;
}

static void *sleeper(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void member(int fds, int sockets, int threads, int report)
{
	prctl(PR_SET_NAME, "crowd-member");
	/* In a container it ends with that in any case; a parent that is gone by now was not the one to wait for. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int next = 3; next < fds; next++) {
		int pair[2], fd;
		if (next >= fds - sockets) {
			fd = socket(AF_UNIX, SOCK_STREAM, 0);
		} else {
			if (pipe(pair))
				die("pipe");
			fd = pair[0] == next ? pair[0] : pair[1];
			close(fd == pair[0] ? pair[1] : pair[0]);
		}
		if (fd < 0)
			die("socket");
		if (fd != next && (dup2(fd, next) < 0 || close(fd)))
			die("dup2");
	}
	pthread_attr_t small;
	pthread_t thread;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN);
	for (int more = 1; more < threads; more++)
		if (pthread_create(&thread, &small, sleeper, NULL))
			die("pthread_create");
	if (write(report, "", 1) != 1)
		die("write");
	close_range(fds, ~0U, 0);
	sleeper(NULL);
}

int main(int argc, char **argv)
{
	int fds = argc > 2 ? atoi(argv[2]) : 0;
	if (argc < 4 || argc > 6 || fds < 3 || fds > HIGH) {
		fprintf(stderr, "usage: crowd PROCESSES FDS NAMESPACES [SOCKETS [THREADS]], 3 to %d FDS\n", HIGH);
		return 2;
	}
	int processes = atoi(argv[1]), own = atoi(argv[3]) > 0, containers = own ? atoi(argv[3]) / 8 : 1;
	int sockets = argc > 4 ? atoi(argv[4]) : 0, threads = argc > 5 ? atoi(argv[5]) : 1;
	int done[2], life[2];
	/* What the caller has left open may be further up than HIGH. */
	close_range(3, ~0U, 0);
	if (containers < 1 || pipe(done) || pipe(life))
		die("pipe");
	/* The PID 1 of each container becomes a child of this process when its shim has gone, so that it can be waited for. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		die("prctl");
	for (int i = 0; i < 2; i++) {
		done[i] = high(done[i]);
		life[i] = high(life[i]);
	}
	for (int c = 0; c < containers; c++) {
		int members = processes / containers + (c < processes % containers);
		pid_t shim = fork();
		if (shim < 0)
			die("fork");
		if (shim) {
			waitpid(shim, NULL, 0);
			continue;
		}
		if (own && unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID |
				   CLONE_NEWCGROUP | CLONE_NEWTIME))
			die("unshare");
		pid_t init = fork();
		if (init < 0)
			die("fork");
		if (init)
			_exit(0);
		prctl(PR_SET_NAME, "crowd-init");
		close(life[1]);
		int null = open("/dev/null", O_RDWR);
		for (int i = 0; i < 3; i++)
			dup2(null, i);
		close(null);
		for (int m = 1; m < members; m++) {
			pid_t pid = fork();
			if (pid < 0)
				die("fork");
			if (pid == 0)
				member(fds, sockets, threads, done[1]);
		}
		char byte;
		if (write(done[1], "", 1) != 1)
			die("write");
		/* With the last one to report, the pipe ends: a member that failed to start cannot make crowd wait for ever. */
		close(done[1]);
		while (read(life[0], &byte, 1) > 0)
			;
		_exit(0);
	}
	close(done[1]);
	close(life[0]);
	for (int n = 0; n < processes; n++) {
		char byte;
		if (read(done[0], &byte, 1) != 1)
			die("a member did not start");
	}
	puts("ready");
	fflush(stdout);
	char byte;
	while (read(0, &byte, 1) > 0)
		;
	close(life[1]);
	/* PID 1 of a pid namespace is gone only after everybody else in there. */
	while (wait(NULL) > 0)
		;
	return 0;
}
