/* scan: the floor under a scanner of /proc.
 *
 *   scan [THREADS]
 *
 * The least that a tool must do to learn, from /proc alone, which namespaces the processes of a host are in and which of them are
 * held by a file descriptor. For each process: open its directory, read `stat`, read the eight links in `ns`, list `fd` and read
 * each link in it. THREADS threads (default 2) share the processes in batches of 16, as nsx does. Prints one line: how many
 * processes, namespace links and descriptor links it has read.
 *
 * This is not a tool. It parses nothing but directory entries, keeps nothing, and prints nothing that anybody wants to know. It
 * does not read pid_for_children and time_for_children, does not look at other threads than the leader, asks no namespace for its
 * owner or its parent, no socket for its network namespace and no mount namespace for its bind mounts, and takes no notice of
 * what it may not see. It reads the descriptors of kernel threads and of itself, of which there is nothing to learn.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	BATCH = 16,
	MOST_THREADS = 64,
	NAME_AT = 19, /* where the name starts in struct linux_dirent64: after d_ino, d_off, d_reclen and d_type */
	LENGTH_AT = 16,
	LIST_BYTES = 32 * 1024,
};

static const char *const KINDS[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };

static int proc;
static char (*pids)[12];
static long npids, next;
static long processes, ns_links, fd_links;

struct counts {
	long processes, ns_links, fd_links;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Calls `each` with the names in a directory that start with a digit: processes, or descriptors. */
static void list(int dir, char *buffer, void (*each)(int dir, const char *name, struct counts *), struct counts *counts)
{
	long filled;
	while ((filled = syscall(SYS_getdents64, dir, buffer, LIST_BYTES)) > 0) {
		uint16_t length;
		for (long at = 0; at < filled; at += length) {
			memcpy(&length, buffer + at + LENGTH_AT, sizeof length);
			const char *name = buffer + at + NAME_AT;
			if (*name >= '0' && *name <= '9')
				each(dir, name, counts);
		}
	}
}

static void note_pid(int dir, const char *name, struct counts *counts)
{
	static long room;
	(void)dir;
	(void)counts;
	if (npids == room) {
		room = room ? room * 2 : 1024;
		pids = realloc(pids, room * sizeof *pids);
		if (!pids)
			die("realloc");
	}
	snprintf(pids[npids++], sizeof *pids, "%s", name);
}

static void read_fd_link(int dir, const char *name, struct counts *counts)
{
	char link[48];
	counts->fd_links += readlinkat(dir, name, link, sizeof link) > 0;
}

static void look_at(const char *pid, char *buffer, struct counts *counts)
{
	char stat[1024], link[48];
	int process = openat(proc, pid, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process < 0)
		return;
	int file = openat(process, "stat", O_RDONLY | O_CLOEXEC);
	if (file >= 0) {
		counts->processes += read(file, stat, sizeof stat) > 0;
		close(file);
	}
	int ns = openat(process, "ns", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ns >= 0) {
		for (size_t kind = 0; kind < sizeof KINDS / sizeof *KINDS; kind++)
			counts->ns_links += readlinkat(ns, KINDS[kind], link, sizeof link) > 0;
		close(ns);
	}
	int fds = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fds >= 0) {
		list(fds, buffer, read_fd_link, counts);
		close(fds);
	}
	close(process);
}

static void *work(void *unused)
{
	struct counts counts = { 0 };
	char *buffer = malloc(LIST_BYTES);
	(void)unused;
	if (!buffer)
		die("malloc");
	for (;;) {
		long at = __atomic_fetch_add(&next, BATCH, __ATOMIC_RELAXED);
		if (at >= npids)
			break;
		for (long end = at + BATCH < npids ? at + BATCH : npids; at < end; at++)
			look_at(pids[at], buffer, &counts);
	}
	free(buffer);
	__atomic_fetch_add(&processes, counts.processes, __ATOMIC_RELAXED);
	__atomic_fetch_add(&ns_links, counts.ns_links, __ATOMIC_RELAXED);
	__atomic_fetch_add(&fd_links, counts.fd_links, __ATOMIC_RELAXED);
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 2;
	if (argc > 2 || threads < 1 || threads > MOST_THREADS) {
		fprintf(stderr, "usage: scan [THREADS], at most %d\n", MOST_THREADS);
		return 2;
	}
	proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		die("/proc");
	char *buffer = malloc(LIST_BYTES);
	if (!buffer)
		die("malloc");
	list(proc, buffer, note_pid, NULL);
	free(buffer);

	pthread_t others[MOST_THREADS];
	for (int i = 1; i < threads; i++)
		if (pthread_create(&others[i], NULL, work, NULL))
			die("pthread_create");
	work(NULL);
	for (int i = 1; i < threads; i++)
		pthread_join(others[i], NULL);
	printf("%ld processes, %ld ns links, %ld fd links\n", processes, ns_links, fd_links);
	return 0;
}
