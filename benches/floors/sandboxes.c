/* sandboxes: the floor under a tool that lists containers without asking their engines.
 *
 *   sandboxes [-t THREADS] [FOLDER/%/FILE...]
 *
 * The least that a tool must do to learn from /proc which sandboxes there are on a host. For each process: open its directory, read `stat`,
 * read the links of its mount and pid namespaces. For the first process of each mount namespace but the caller's: read `status`,
 * `cgroup`, `cmdline` and the addresses in its network namespace. Then, for each FOLDER/%/FILE, list the folder and read the file in each
 * of its entries: the records that an engine keeps, and what cgroups say. THREADS threads (default 2) share the processes in batches
 * of 16, as nsx does. Prints one line: how many processes, sandboxes and files it has read.
 *
 * This is not a tool. It parses nothing but directory entries, is told where the records and the cgroups are, does not know which
 * belong together, and believes whatever is there.
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
	FILE_BYTES = 64 * 1024,
	LINK_BYTES = 48,
};

static const char *const OF_FIRST[] = { "status", "cgroup", "cmdline", "net/fib_trie", "net/if_inet6" };

static int proc;
static struct one {
	char pid[12];
	char mounts[LINK_BYTES];
} *all;
static long count, next, processes, sandboxes, files;
static char own[LINK_BYTES];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Calls `each` with the names in a directory but `.` and `..`. */
static void list(int dir, void (*each)(int dir, const char *name, const void *data), const void *data)
{
	static char buffer[LIST_BYTES];
	long filled;
	while ((filled = syscall(SYS_getdents64, dir, buffer, sizeof buffer)) > 0) {
		uint16_t length;
		for (long at = 0; at < filled; at += length) {
			memcpy(&length, buffer + at + LENGTH_AT, sizeof length);
			const char *name = buffer + at + NAME_AT;
			if (*name != '.')
				each(dir, name, data);
		}
	}
}

static void note_pid(int dir, const char *name, const void *data)
{
	static long room;
	(void)dir;
	(void)data;
	if (*name < '0' || *name > '9')
		return;
	if (count == room) {
		room = room ? room * 2 : 1024;
		all = realloc(all, room * sizeof *all);
		if (!all)
			die("realloc");
	}
	memset(&all[count], 0, sizeof *all);
	snprintf(all[count++].pid, sizeof all->pid, "%s", name);
}

static long read_whole(int dir, const char *name)
{
	static char buffer[FILE_BYTES];
	int file = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return 0;
	while (read(file, buffer, sizeof buffer) > 0)
		;
	close(file);
	return 1;
}

static void look_at(struct one *one)
{
	char stat[1024], link[LINK_BYTES];
	int process = openat(proc, one->pid, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process < 0)
		return;
	int file = openat(process, "stat", O_RDONLY | O_CLOEXEC);
	if (file >= 0) {
		__atomic_fetch_add(&processes, read(file, stat, sizeof stat) > 0, __ATOMIC_RELAXED);
		close(file);
	}
	if (readlinkat(process, "ns/mnt", one->mounts, LINK_BYTES - 1) < 0)
		one->mounts[0] = 0;
	if (readlinkat(process, "ns/pid", link, sizeof link) < 0)
		one->mounts[0] = 0;
	close(process);
}

static void *work(void *unused)
{
	(void)unused;
	for (;;) {
		long at = __atomic_fetch_add(&next, BATCH, __ATOMIC_RELAXED);
		if (at >= count)
			return NULL;
		for (long end = at + BATCH < count ? at + BATCH : count; at < end; at++)
			look_at(&all[at]);
	}
}

static int by_mounts(const void *a, const void *b)
{
	const struct one *one = a, *other = b;
	int order = strcmp(one->mounts, other->mounts);
	return order ? order : atoi(one->pid) - atoi(other->pid);
}

static void read_first(const struct one *one)
{
	int process = openat(proc, one->pid, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process < 0)
		return;
	sandboxes++;
	for (size_t file = 0; file < sizeof OF_FIRST / sizeof *OF_FIRST; file++)
		read_whole(process, OF_FIRST[file]);
	close(process);
}

static void read_entry(int dir, const char *name, const void *data)
{
	char path[512];
	if (snprintf(path, sizeof path, "%s/%s", name, (const char *)data) < (int)sizeof path)
		files += read_whole(dir, path);
}

int main(int argc, char **argv)
{
	int threads = 2, at = 1;
	if (argc > 2 && !strcmp(argv[1], "-t")) {
		threads = atoi(argv[2]);
		at = 3;
	}
	if (threads < 1 || threads > MOST_THREADS) {
		fprintf(stderr, "usage: sandboxes [-t THREADS] [FOLDER/%%/FILE...], at most %d threads\n", MOST_THREADS);
		return 2;
	}
	proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || readlinkat(proc, "self/ns/mnt", own, sizeof own - 1) < 0)
		die("/proc");
	list(proc, note_pid, NULL);

	pthread_t others[MOST_THREADS];
	for (int i = 1; i < threads; i++)
		if (pthread_create(&others[i], NULL, work, NULL))
			die("pthread_create");
	work(NULL);
	for (int i = 1; i < threads; i++)
		pthread_join(others[i], NULL);

	qsort(all, count, sizeof *all, by_mounts);
	for (long i = 0; i < count; i++)
		if (*all[i].mounts && strcmp(all[i].mounts, own) && (!i || strcmp(all[i].mounts, all[i - 1].mounts)))
			read_first(&all[i]);

	for (; at < argc; at++) {
		char *place = strstr(argv[at], "/%/");
		if (!place)
			continue;
		*place = 0;
		int folder = open(argv[at], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (folder < 0)
			continue;
		list(folder, read_entry, place + 3);
		close(folder);
	}
	printf("%ld processes, %ld sandboxes, %ld files\n", processes, sandboxes, files);
	return 0;
}
