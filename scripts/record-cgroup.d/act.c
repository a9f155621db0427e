/* What scenes.sh has its processes do. Static, so that it runs where there is no libc.
 *
 * act hog MIB [hold]   touches as much memory, and then waits for ever
 * act spin MSEC        uses a processor
 * act fork COUNT       has so many children at once, or as many as it may, and says so
 * act threads COUNT    has as many threads, tells their numbers, and waits for ever
 * act mounts COMMAND…  runs a command in a mount namespace of its own
 * act cgroups COMMAND… runs it in a cgroup namespace, too
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int hog(long mib, int hold)
{
	char *memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	/* Not in huge pages: so that it is known to a page how much it is. */
	madvise(memory, mib << 20, MADV_NOHUGEPAGE);
	for (long at = 0; at < mib << 20; at += 4096)
		memory[at] = 1;
	if (hold) {
		puts("ready");
		fflush(stdout);
		for (;;)
			pause();
	}
	return 0;
}

static int spin(long msec)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < msec);
	return 0;
}

static int forks(long count)
{
	pid_t children[1000];
	long made = 0;

	while (made < count && made < 1000) {
		pid_t child = fork();

		if (child < 0)
			break;
		if (child == 0)
			for (;;)
				pause();
		children[made++] = child;
	}
	printf("fork: %ld children, then %s\n", made, made < count ? strerrorname_np(errno) : "no more wanted");
	for (long at = 0; at < made; at++)
		kill(children[at], SIGKILL);
	while (wait(NULL) > 0)
		;
	return 0;
}

static void *waits(void *nothing)
{
	printf("%d\n", gettid());
	fflush(stdout);
	for (;;)
		pause();
	return nothing;
}

static int threads(long count)
{
	pthread_t thread;

	while (count-- > 0)
		if (pthread_create(&thread, NULL, waits, NULL) != 0)
			return 1;
	for (;;)
		pause();
}

static int unshares(int flags, char **command)
{
	if (unshare(flags) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
		perror("act");
		return 1;
	}
	execvp(command[0], command);
	perror(command[0]);
	return 127;
}

int main(int argc, char **argv)
{
	long number = argc > 2 ? atol(argv[2]) : 0;

	if (argc > 2 && strcmp(argv[1], "hog") == 0)
		return hog(number, argc > 3);
	if (argc > 2 && strcmp(argv[1], "spin") == 0)
		return spin(number);
	if (argc > 2 && strcmp(argv[1], "fork") == 0)
		return forks(number);
	if (argc > 2 && strcmp(argv[1], "threads") == 0)
		return threads(number);
	if (argc > 2 && strcmp(argv[1], "mounts") == 0)
		return unshares(CLONE_NEWNS, argv + 2);
	if (argc > 2 && strcmp(argv[1], "cgroups") == 0)
		return unshares(CLONE_NEWNS | CLONE_NEWCGROUP, argv + 2);
	return 2;
}
