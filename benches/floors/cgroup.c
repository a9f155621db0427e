/* cgroup: the floor under a list of the cgroup tree.
 *
 *   cgroup [-t THREADS] DIR...
 *
 * The least that a tool must do to learn, from a cgroup file system alone, which cgroups there are below DIR, what they use, and
 * what limits them. DIR is the directory of a cgroup; one for each hierarchy. For each cgroup: open its directory below the
 * descriptor of its parent's, fstat(2), list it only where st_nlink says that there are directories in it (kernfs counts them, and
 * listing a cgroup costs more than reading it: it is full of files), and open, read and close the files of the table below. THREADS
 * threads (default 2) take the cgroups from a common stack. Prints one line: how many cgroups, files and processes (lines of
 * cgroup.procs) it has read.
 *
 * Which files are worth a try is decided once, at DIR: a cgroup has no files that its parent lacks, unless the parent is the root.
 *
 * This is not a tool. It parses nothing but directory entries, puts no hierarchies together, keeps nothing, and prints nothing that
 * anybody wants to know. It looks at no process, asks for no owner and no extended attribute, and takes no notice of what it may
 * not see.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What is read of each cgroup. The files of v1 are in the hierarchies of their controllers. */
static const struct {
	int version;
	const char *file;
} FILES[] = {
	{ 2, "cgroup.procs" },
	{ 2, "cgroup.events" },
	{ 2, "memory.current" },
	{ 2, "memory.max" },
	{ 2, "memory.high" },
	{ 2, "cpu.stat" },
	{ 2, "cpu.max" },
	{ 2, "pids.current" },
	{ 2, "pids.max" },
	{ 2, "cpu.pressure" },
	{ 2, "memory.pressure" },
	{ 2, "io.pressure" },

	{ 1, "cgroup.procs" },
	{ 1, "memory.usage_in_bytes" },
	{ 1, "memory.limit_in_bytes" },
	{ 1, "cpu.stat" },
	{ 1, "cpu.cfs_quota_us" },
	{ 1, "cpu.cfs_period_us" },
	{ 1, "cpuacct.usage" },
	{ 1, "pids.current" },
	{ 1, "pids.max" },
	{ 1, "freezer.state" },
};

enum {
	MOST_FILES = sizeof FILES / sizeof *FILES,
	MOST_THREADS = 64,
	BATCH = 8,
	NAME_AT = 19, /* where the name starts in struct linux_dirent64: after d_ino, d_off, d_reclen and d_type */
	TYPE_AT = 18,
	LENGTH_AT = 16,
	BUFFER_BYTES = 32 * 1024,
	/* The kernel fills a page and stops before the line that does not fit; what is shorter than this is all there is. */
	WHOLE = 4096 - 32,
};

struct hierarchy {
	const char *files[MOST_FILES];
	int nfiles;
};

/* A cgroup of which something is still to be done: its own directory, or those of the children. */
struct cgroup {
	struct cgroup *parent, *below; /* below: on the stack */
	const struct hierarchy *hierarchy;
	int fd;
	int users; /* the cgroup itself, and each child until it is open */
	char name[];
};

struct counts {
	long cgroups, files, processes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static struct cgroup *stack;
static int threads = 2, waiting;
static struct counts all;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct cgroup *new_cgroup(struct cgroup *parent, const struct hierarchy *hierarchy, const char *name)
{
	size_t bytes = strlen(name) + 1;
	struct cgroup *made = malloc(sizeof *made + bytes);
	if (!made)
		die("malloc");
	*made = (struct cgroup){ .parent = parent, .hierarchy = hierarchy, .fd = -1, .users = 1 };
	memcpy(made->name, name, bytes);
	return made;
}

static void leave(struct cgroup *cgroup)
{
	if (cgroup && __atomic_sub_fetch(&cgroup->users, 1, __ATOMIC_ACQ_REL) == 0) {
		if (cgroup->fd >= 0)
			close(cgroup->fd);
		free(cgroup);
	}
}

static void push(struct cgroup *first, struct cgroup *last)
{
	pthread_mutex_lock(&lock);
	last->below = stack;
	stack = first;
	if (waiting)
		pthread_cond_broadcast(&more);
	pthread_mutex_unlock(&lock);
}

/* Takes some cgroups from the stack; none are left when all threads wait for one. */
static struct cgroup *pop(void)
{
	struct cgroup *first = NULL, *last;
	pthread_mutex_lock(&lock);
	waiting++;
	while (!stack && waiting < threads)
		pthread_cond_wait(&more, &lock);
	if (stack) {
		waiting--;
		first = last = stack;
		for (int n = 1; n < BATCH && last->below; n++)
			last = last->below;
		stack = last->below;
		last->below = NULL;
	} else {
		pthread_cond_broadcast(&more);
	}
	pthread_mutex_unlock(&lock);
	return first;
}

static void list(struct cgroup *cgroup, char *buffer)
{
	struct cgroup *first = NULL, *last = NULL;
	long filled;
	while ((filled = syscall(SYS_getdents64, cgroup->fd, buffer, BUFFER_BYTES)) > 0) {
		uint16_t length;
		for (long at = 0; at < filled; at += length) {
			memcpy(&length, buffer + at + LENGTH_AT, sizeof length);
			const char *name = buffer + at + NAME_AT;
			if (buffer[at + TYPE_AT] != 4 /* DT_DIR */ || !strcmp(name, ".") || !strcmp(name, ".."))
				continue;
			struct cgroup *child = new_cgroup(cgroup, cgroup->hierarchy, name);
			__atomic_add_fetch(&cgroup->users, 1, __ATOMIC_RELAXED);
			child->below = first;
			first = child;
			if (!last)
				last = child;
		}
	}
	if (first)
		push(first, last);
}

static void read_file(struct cgroup *cgroup, const char *name, char *buffer, struct counts *counts)
{
	int fd = openat(cgroup->fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	long filled;
	do {
		filled = read(fd, buffer, BUFFER_BYTES);
		if (!strcmp(name, "cgroup.procs"))
			for (long at = 0; at < filled; at++)
				counts->processes += buffer[at] == '\n';
	} while (filled >= WHOLE);
	counts->files += filled >= 0;
	close(fd);
}

static void look_at(struct cgroup *cgroup, char *buffer, struct counts *counts)
{
	struct stat stat;
	cgroup->fd = openat(cgroup->parent ? cgroup->parent->fd : AT_FDCWD, cgroup->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	leave(cgroup->parent);
	if (cgroup->fd >= 0 && !fstat(cgroup->fd, &stat)) {
		counts->cgroups++;
		/* The children first: the other threads have something to do. */
		if (stat.st_nlink != 2)
			list(cgroup, buffer);
		for (int i = 0; i < cgroup->hierarchy->nfiles; i++)
			read_file(cgroup, cgroup->hierarchy->files[i], buffer, counts);
	}
	leave(cgroup);
}

static void *work(void *unused)
{
	struct counts counts = { 0 };
	char *buffer = malloc(BUFFER_BYTES);
	struct cgroup *next, *below;
	(void)unused;
	if (!buffer)
		die("malloc");
	while ((next = pop()))
		for (; next; next = below) {
			below = next->below;
			look_at(next, buffer, &counts);
		}
	free(buffer);
	__atomic_fetch_add(&all.cgroups, counts.cgroups, __ATOMIC_RELAXED);
	__atomic_fetch_add(&all.files, counts.files, __ATOMIC_RELAXED);
	__atomic_fetch_add(&all.processes, counts.processes, __ATOMIC_RELAXED);
	return NULL;
}

/* Puts DIR on the stack, with the files that may be in it and below. */
static void start(const char *name)
{
	int dir = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct hierarchy *hierarchy = calloc(1, sizeof *hierarchy);
	if (dir < 0)
		die(name);
	if (!hierarchy)
		die("calloc");
	int version = faccessat(dir, "cgroup.controllers", F_OK, 0) ? 1 : 2;
	int root = version == 2 ? faccessat(dir, "cgroup.events", F_OK, 0) != 0 : faccessat(dir, "cgroup.sane_behavior", F_OK, 0) == 0;
	for (int i = 0; i < MOST_FILES; i++)
		if (FILES[i].version == version && (root || !faccessat(dir, FILES[i].file, F_OK, 0)))
			hierarchy->files[hierarchy->nfiles++] = FILES[i].file;
	close(dir);
	struct cgroup *top = new_cgroup(NULL, hierarchy, name);
	push(top, top);
}

int main(int argc, char **argv)
{
	int option, usage = 0;
	while ((option = getopt(argc, argv, "t:")) != -1) {
		threads = option == 't' ? atoi(optarg) : 0;
		usage |= threads < 1 || threads > MOST_THREADS;
	}
	if (usage || optind == argc) {
		fprintf(stderr, "usage: cgroup [-t THREADS] DIR..., at most %d threads\n", MOST_THREADS);
		return 2;
	}
	for (int i = argc; i-- > optind;)
		start(argv[i]);

	pthread_t others[MOST_THREADS];
	for (int i = 1; i < threads; i++)
		if (pthread_create(&others[i], NULL, work, NULL))
			die("pthread_create");
	work(NULL);
	for (int i = 1; i < threads; i++)
		pthread_join(others[i], NULL);
	printf("%ld cgroups, %ld files, %ld processes\n", all.cgroups, all.files, all.processes);
	return 0;
}
