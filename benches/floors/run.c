/* run: the floor under a program that runs a command in a sandbox with limits.
 *
 *   run [--no-limits] [--rootfs DIR] [--parent CGROUP] [--no-pivot] [--phases] COMMAND [ARGUMENT]...
 *
 * The least there is to do, as root, for what `nsx run --mem 256M --cpus 1 --pids 100 COMMAND` gives: every kind of namespace of its own,
 * with root inside on a private range of ids; the host's root directory (or DIR) read-only, without /home, /root and what is in /tmp, /run
 * and /var/tmp; /proc, /sys and /dev of its own, with the paths masked that container engines mask; loopback that is up; Docker's
 * capabilities, no new privileges, a system call filter; a cgroup with three limits. The command is the child of a PID 1 that reaps.
 * Ends the way that the command did; should anything else go wrong, with 125. Leaves nothing behind, but that
 * in v2 the parent of its cgroup goes on handing the three controllers down.
 *
 *   --no-limits        no cgroup
 *   --rootfs DIR       the directory that becomes the root; what it has no directory for is left out
 *   --parent CGROUP    the cgroup, in each hierarchy that is used, in which its own is made (default: the top)
 *   --no-pivot         chroot(2) in place of pivot_root(2) and umount2(2): it looks the same but can be left, so this is for the
 *                      difference in time only
 *   --phases           says on standard error how long each part took, in microseconds
 *
 * Needs Linux 5.12 (mount_setattr(2)), and a host whose cgroups are mounted below /sys/fs/cgroup: cgroup2 there, or v1 hierarchies with
 * the names of their controllers there.
 *
 * This is not a tool. It knows where everything is and looks at nothing first, passes no signals on, has no terminal, reads no counters
 * before it removes the cgroup, and explains no error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	FAILED = 125,
	BASE = 1879048192, /* the first of the 65536 ids outside that are those inside */
	MOST_RETRIES = 20000,
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *rootfs = "/", *parent_cgroup = ".";
static int limits = 1, pivot = 1;
static pid_t owner; /* this program, and none of its children */

static void remove_cgroups(void);


static void die(const char *what)
{
	fprintf(stderr, "floor-run: %s: %s\n", what, strerror(errno));
	if (getpid() == owner)
		remove_cgroups();
	_exit(FAILED);
}

static int need(int result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

/* ---------------------------------------------------------------------------------------------------------------------- phases */

/* What each phase is measured up to. The order is that of the calls. */
#define PHASES(X)                                                                                                                    \
	X(BEGIN, "")                                                                                                                 \
	X(CGROUPS, "cgroups: make, limit, read back")                                                                                \
	X(CLONE, "clone3, until the child runs")                                                                                     \
	X(RELEASE, "id maps, release")                                                                                               \
	X(IDS, "ids, unshare time")                                                                                                  \
	X(TREE, "copy of the root, read-only")                                                                                       \
	X(MOUNTS, "new mounts: proc, sysfs, mqueue, devpts, tmpfs, devices")                                                         \
	X(OVER, "root attached")                                                                                                     \
	X(PIVOT, "pivot_root")                                                                                                       \
	X(DETACH, "umount of the old root")                                                                                          \
	X(MOVED, "mounts moved in")                                                                                                  \
	X(DEV, "/dev filled")                                                                                                        \
	X(MASKS, "masks")                                                                                                            \
	X(NET, "lo up, hostname")                                                                                                    \
	X(MOVE, "cgroups entered (v1)")                                                                                              \
	X(FORK, "fork of the command")                                                                                               \
	X(DROP, "capabilities, no_new_privs, seccomp")                                                                               \
	X(EXEC, "exec, command, wait of PID 1")                                                                                      \
	X(GONE, "end of PID 1 and its namespaces")                                                                                   \
	X(REMOVED, "cgroups removed")

enum phase {
#define X(name, text) name,
	PHASES(X)
#undef X
		NPHASES
};

static const char *const PHASE_NAMES[] = {
#define X(name, text) text,
	PHASES(X)
#undef X
};

static int64_t *marks; /* shared with the children; NULL without --phases */

static void mark(enum phase phase)
{
	struct timespec now;
	if (!marks)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	marks[phase] = now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void show_phases(void)
{
	int64_t last = marks[BEGIN];
	for (int i = BEGIN + 1; i < NPHASES; i++)
		if (marks[i]) {
			fprintf(stderr, "%s\t%.1f\n", PHASE_NAMES[i], (marks[i] - last) / 1000.0);
			last = marks[i];
		}
	fprintf(stderr, "all\t%.1f\n", (last - marks[BEGIN]) / 1000.0);
}

/* --------------------------------------------------------------------------------------------------------------------- cgroups */

struct limit {
	const char *file, *text;
};

struct hierarchy {
	const char *directory;
	struct limit limits[3];
};

/* The limits, by hierarchy. In v1 the period is 100000 in every new cgroup. */
static const struct hierarchy V1[] = {
	{ "/sys/fs/cgroup/memory", { { "memory.limit_in_bytes", "268435456" } } },
	{ "/sys/fs/cgroup/cpu", { { "cpu.cfs_quota_us", "100000" } } },
	{ "/sys/fs/cgroup/pids", { { "pids.max", "100" } } },
}, V2[] = {
	{ "/sys/fs/cgroup", { { "memory.max", "268435456" }, { "cpu.max", "100000 100000" }, { "pids.max", "100" } } },
};

static int is_v2, made;
static int parents[COUNT(V1)], cgroups[COUNT(V1)]; /* open directories */
static int tasks[COUNT(V1)];			   /* of v1, open for the child */
static char cgroup_name[32];

static int moves_itself(void)
{
	return limits && !is_v2;
}

static void put(int dir, const char *file, const char *text)
{
	int fd = need(openat(dir, file, O_WRONLY | O_CLOEXEC), file);
	if (write(fd, text, strlen(text)) < 0)
		die(file);
	close(fd);
}

/* Reads it back, because what the kernel makes of a limit is not always what it was told. */
static void set_limit(int dir, const struct limit *limit)
{
	char back[64];
	size_t length = strlen(limit->text);
	int fd = need(openat(dir, limit->file, O_RDWR | O_CLOEXEC), limit->file);
	if (write(fd, limit->text, length) < 0)
		die(limit->file);
	if (pread(fd, back, sizeof back, 0) != (ssize_t)length + 1 || memcmp(back, limit->text, length)) {
		errno = ERANGE;
		die(limit->file);
	}
	close(fd);
}

static void make_cgroups(void)
{
	char path[256];
	is_v2 = !access("/sys/fs/cgroup/cgroup.controllers", F_OK);
	const struct hierarchy *hierarchies = is_v2 ? V2 : V1;
	int wanted = is_v2 ? COUNT(V2) : COUNT(V1);
	snprintf(cgroup_name, sizeof cgroup_name, "nsx-floor-%d", owner);
	for (int i = 0; i < wanted; i++) {
		snprintf(path, sizeof path, "%s/%s", hierarchies[i].directory, parent_cgroup);
		parents[i] = need(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), path);
		need(mkdirat(parents[i], cgroup_name, 0755), cgroup_name);
		made = i + 1;
		cgroups[i] = need(openat(parents[i], cgroup_name, O_PATH | O_DIRECTORY | O_CLOEXEC), cgroup_name);
		/* Only the first time, unless somebody has done so before, the parent has to be told to hand the controllers down. */
		if (is_v2 && faccessat(cgroups[i], hierarchies[i].limits[0].file, F_OK, 0))
			put(parents[i], "cgroup.subtree_control", "+memory +cpu +pids");
		for (int limit = 0; limit < 3 && hierarchies[i].limits[limit].file; limit++)
			set_limit(cgroups[i], &hierarchies[i].limits[limit]);
		if (!is_v2)
			tasks[i] = need(openat(cgroups[i], "tasks", O_WRONLY | O_CLOEXEC), "tasks");
	}
}

static void remove_cgroups(void)
{
	for (int i = 0; i < made; i++)
		/* It is busy for a moment longer than its last process can be waited for. */
		for (int retry = 0; unlinkat(parents[i], cgroup_name, AT_REMOVEDIR); retry++) {
			if (errno != EBUSY || retry == MOST_RETRIES) {
				perror(cgroup_name);
				break;
			}
			usleep(50);
		}
}

/* ---------------------------------------------------------------------------------------------------------------------- mounts */

#define SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

struct option {
	const char *key, *value;
};

/* A new file system, which is mounted nowhere yet. */
static int new_mount(const char *type, unsigned attributes, const struct option *options)
{
	int context = need(fsopen(type, FSOPEN_CLOEXEC), type);
	for (; options && options->key; options++)
		need(fsconfig(context, FSCONFIG_SET_STRING, options->key, options->value, 0), options->key);
	need(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), type);
	int mount = need(fsmount(context, FSMOUNT_CLOEXEC, attributes), type);
	close(context);
	return mount;
}

static int new_tmpfs(const char *mode, unsigned attributes)
{
	return new_mount("tmpfs", attributes, (struct option[]){ { "mode", mode }, { NULL, NULL } });
}

/* A mount of its own of what is at a path, mounted nowhere yet. */
static int copy(int dir, const char *path, unsigned flags)
{
	return open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
}

static int attach(int mount, const char *path)
{
	return move_mount(mount, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
}

/* In a directory that is the root there may be no place for it. */
static void attach_if_there(int mount, const char *path)
{
	if (attach(mount, path) && (errno != ENOENT || !strcmp(rootfs, "/")))
		die(path);
}

static const char *const DEVICES[] = { "null", "zero", "full", "random", "urandom", "tty" };

static const struct {
	const char *path, *mode;
} TMPFS[] = {
	{ "/tmp", "1777" }, { "/var/tmp", "1777" }, { "/run", "755" }, { "/home", "755" }, { "/root", "700" },
};

static const char *const LINKS[][2] = {
	{ "/proc/self/fd", "/dev/fd" },	      { "/proc/self/fd/0", "/dev/stdin" }, { "/proc/self/fd/1", "/dev/stdout" },
	{ "/proc/self/fd/2", "/dev/stderr" }, { "pts/ptmx", "/dev/ptmx" },
};

/* What the default configuration of runc hides. Not every kernel has all of it. */
static const char *const HIDDEN_FILES[] = {
	"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
};
static const char *const HIDDEN_DIRECTORIES[] = { "/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware" };
static const char *const READ_ONLY[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };

/* Puts copies of a mount over paths. What is not there costs one call: the copy is for the next. */
static void hide(int mount, const char *const *paths, size_t count)
{
	int spare = -1;
	for (size_t i = 0; i < count; i++) {
		if (spare < 0)
			spare = need(copy(mount, "", AT_EMPTY_PATH), paths[i]);
		if (!attach(spare, paths[i])) {
			close(spare);
			spare = -1;
		} else if (errno != ENOENT) {
			die(paths[i]);
		}
	}
}

static void make_root(void)
{
	/* The root: a copy of all mounts there, read-only at once. Private, so that nothing of what follows leaves and nothing that the
	 * host mounts later comes in. */
	int tree = need(copy(AT_FDCWD, ".", AT_RECURSIVE), rootfs);
	struct mount_attr shut = { .attr_set = MOUNT_ATTR_RDONLY | SAFE, .propagation = MS_PRIVATE };
	need(mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &shut, sizeof shut), "mount_setattr");
	mark(TREE);

	/* All that is new, as long as the host's root is here: the kernel gives a user namespace a /proc and a /sys only where it sees
	 * such a one already, with nothing hidden; and in the copy devices do not work any more. */
	int proc = new_mount("proc", SAFE | MOUNT_ATTR_NOEXEC, NULL);
	int sysfs = new_mount("sysfs", SAFE | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY, NULL);
	int mqueue = new_mount("mqueue", SAFE | MOUNT_ATTR_NOEXEC, NULL);
	int pts = new_mount("devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
			    (struct option[]){ { "mode", "620" }, { "ptmxmode", "666" }, { "gid", "5" }, { NULL, NULL } });
	int dev = new_tmpfs("755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	int devices[COUNT(DEVICES)], tmpfs[COUNT(TMPFS)];
	for (size_t i = 0; i < COUNT(DEVICES); i++) {
		char path[32] = "/dev/";
		devices[i] = need(copy(AT_FDCWD, strcat(path, DEVICES[i]), 0), path);
	}
	for (size_t i = 0; i < COUNT(TMPFS); i++)
		tmpfs[i] = new_tmpfs(TMPFS[i].mode, SAFE);
	/* One for all directories that are hidden. */
	int empty = new_tmpfs("755", SAFE | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY);
	mark(MOUNTS);

	/* Over the old root, which "/" still is: a process's root directory is not what is mounted over it. */
	need(attach(tree, "/"), rootfs);
	need(fchdir(tree), rootfs);
	mark(OVER);
	if (pivot) {
		/* The old root lies over the new one then, which is where "." leads; pivot_root(2) has this under NOTES. */
		need(syscall(SYS_pivot_root, ".", "."), "pivot_root");
		mark(PIVOT);
		need(umount2(".", MNT_DETACH), "umount2");
		mark(DETACH);
	} else {
		need(chroot("."), "chroot");
		mark(PIVOT);
	}

	attach_if_there(proc, "/proc");
	attach_if_there(sysfs, "/sys");
	attach_if_there(dev, "/dev");
	for (size_t i = 0; i < COUNT(TMPFS); i++)
		attach_if_there(tmpfs[i], TMPFS[i].path);
	mark(MOVED);

	umask(0);
	for (size_t i = 0; i < COUNT(DEVICES); i++) {
		/* A place for the device: root of a user namespace may not make one. */
		char path[32] = "/dev/";
		need(mknod(strcat(path, DEVICES[i]), S_IFREG | 0666, 0), path);
		need(attach(devices[i], path), path);
	}
	need(mkdir("/dev/pts", 0755), "/dev/pts");
	need(attach(pts, "/dev/pts"), "/dev/pts");
	need(mkdir("/dev/mqueue", 0755), "/dev/mqueue");
	need(attach(mqueue, "/dev/mqueue"), "/dev/mqueue");
	need(mkdir("/dev/shm", 01777), "/dev/shm");
	for (size_t i = 0; i < COUNT(LINKS); i++)
		need(symlink(LINKS[i][0], LINKS[i][1]), LINKS[i][1]);
	umask(022);
	mark(DEV);

	/* Last, because a /proc of which something is hidden is no reason for the kernel to give another one. */
	hide(devices[0], HIDDEN_FILES, COUNT(HIDDEN_FILES));
	/* Before 6.15 only what is mounted somewhere can be copied: the first is the mount itself. */
	size_t first = 0;
	while (first < COUNT(HIDDEN_DIRECTORIES) && attach(empty, HIDDEN_DIRECTORIES[first++]))
		if (errno != ENOENT)
			die(HIDDEN_DIRECTORIES[first - 1]);
	hide(empty, HIDDEN_DIRECTORIES + first, COUNT(HIDDEN_DIRECTORIES) - first);
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
	for (size_t i = 0; i < COUNT(READ_ONLY); i++) {
		int place = copy(AT_FDCWD, READ_ONLY[i], 0);
		if (place < 0 && errno == ENOENT)
			continue;
		need(place, READ_ONLY[i]);
		need(mount_setattr(place, "", AT_EMPTY_PATH, &read_only, sizeof read_only), READ_ONLY[i]);
		need(attach(place, READ_ONLY[i]), READ_ONLY[i]);
		close(place);
	}
	mark(MASKS);
}

/* ----------------------------------------------------------------------------------------------------------------- the command */

#if defined __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCH AUDIT_ARCH_AARCH64
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IS(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define GIVE(value) BPF_STMT(BPF_RET | BPF_K, value)
#define REFUSE(call) IS(SYS_##call, 0, 1), GIVE(SECCOMP_RET_ERRNO | EPERM)

/* Some of what the default filters of container engines refuse: of the length of a filter that a tool would have, not with all of its
 * rules. What can be inspected only by pointer (clone3) is said not to be there, so that libraries take clone. */
static struct sock_filter FILTER[] = {
	LOAD(arch),
	IS(ARCH, 1, 0),
	GIVE(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000 /* the calls of x32 */, 0, 1),
	GIVE(SECCOMP_RET_ERRNO | ENOSYS),
	REFUSE(add_key),
	REFUSE(bpf),
	REFUSE(delete_module),
	REFUSE(finit_module),
	REFUSE(fsconfig),
	REFUSE(fsmount),
	REFUSE(fsopen),
	REFUSE(fspick),
	REFUSE(init_module),
	REFUSE(kexec_load),
	REFUSE(keyctl),
	REFUSE(mount),
	REFUSE(mount_setattr),
	REFUSE(move_mount),
	REFUSE(open_tree),
	REFUSE(perf_event_open),
	REFUSE(pivot_root),
	REFUSE(reboot),
	REFUSE(request_key),
	REFUSE(setns),
	REFUSE(settimeofday),
	REFUSE(swapoff),
	REFUSE(swapon),
	REFUSE(umount2),
	REFUSE(unshare),
	REFUSE(userfaultfd),
	IS(SYS_clone3, 0, 1),
	GIVE(SECCOMP_RET_ERRNO | ENOSYS),
	IS(SYS_ioctl, 0, 4),
	LOAD(args[1]),
	IS(TIOCSTI, 1, 0),
	IS(TIOCLINUX, 0, 1),
	GIVE(SECCOMP_RET_ERRNO | EPERM),
	GIVE(SECCOMP_RET_ALLOW),
};

/* Docker's. */
#define CAP(name) (1ULL << CAP_##name)
static const uint64_t KEPT = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FSETID) | CAP(FOWNER) | CAP(MKNOD) | CAP(NET_RAW) | CAP(SETGID) |
			     CAP(SETUID) | CAP(SETFCAP) | CAP(SETPCAP) | CAP(NET_BIND_SERVICE) | CAP(SYS_CHROOT) | CAP(KILL) |
			     CAP(AUDIT_WRITE);

static void run(char **command, const sigset_t *signals)
{
	/* What root gains by execve(2) is bounded by this, so that nothing else has to be set. */
	for (int cap = 0; cap < 64; cap++)
		if (!(KEPT >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)) {
			if (errno != EINVAL) /* the kernel knows no more of them */
				die("PR_CAPBSET_DROP");
			break;
		}
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
	need(sigprocmask(SIG_SETMASK, signals, NULL), "sigprocmask");
	struct sock_fprog program = { .len = COUNT(FILTER), .filter = FILTER };
	need(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
	mark(DROP);
	execvp(command[0], command);
	die(command[0]);
}

/* ----------------------------------------------------------------------------------------------------------------------- PID 1 */

/* A thread that moves itself, and only itself, is the one case in which the kernel takes no lock for it that all processes of the host
 * share: with cgroup.procs, or from outside, each run waits for RCU, which takes milliseconds. Whether it may is asked of whoever has
 * opened the file. Last of all, because a new cgroup gets in line behind all others each time that it has waited for something, and
 * what comes before this waits often. */
static void enter_cgroups(void)
{
	for (int i = 0; i < made; i++) {
		if (write(tasks[i], "0", 1) != 1)
			die("tasks");
		close(tasks[i]);
	}
	/* Now, because the cgroups that one is in become the top of what the namespace shows. */
	need(unshare(CLONE_NEWCGROUP), "unshare");
}

static void init(int released, char **command, const sigset_t *signals)
{
	char byte;
	mark(CLONE);
	/* Nothing can be done with an id that is not mapped. Where the pipe ends without a byte the parent has failed. */
	if (read(released, &byte, 1) != 1)
		_exit(FAILED);
	mark(RELEASE);

	/* Root outside may look into every directory up to this one; root inside may not. */
	need(chdir(rootfs), rootfs);
	need(syscall(SYS_setgroups, 0, NULL), "setgroups");
	need(syscall(SYS_setresgid, 0, 0, 0), "setresgid");
	need(syscall(SYS_setresuid, 0, 0, 0), "setresuid");
	/* After the change of ids, which takes it back. */
	need(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "PR_SET_PDEATHSIG");
	/* The time namespace is for the command, so that its clocks could still be set. */
	need(unshare(CLONE_NEWTIME), "unshare");
	mark(IDS);

	make_root();

	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int socket_fd = need(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	need(ioctl(socket_fd, SIOCSIFFLAGS, &lo), "SIOCSIFFLAGS");
	close(socket_fd);
	need(sethostname("nsx", 3), "sethostname");
	mark(NET);
	if (moves_itself()) {
		enter_cgroups();
		mark(MOVE);
	}

	pid_t child = fork(), gone;
	if (child == 0) {
		mark(FORK);
		run(command, signals);
	}
	need(child, "fork");
	/* Whatever else ends was left behind by its parent. */
	int status;
	do
		gone = need(waitpid(-1, &status, 0), "waitpid");
	while (gone != child);
	mark(EXEC);
	/* With PID 1 all that is left in here goes, and with that its namespaces. */
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* ------------------------------------------------------------------------------------------------------------------ the parent */

static pid_t begin(int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};
	/* In v2 it is born in its cgroup, which is the top of its cgroup namespace then. */
	if (limits && is_v2) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = cgroups[0];
	}
	if (!moves_itself())
		args.flags |= CLONE_NEWCGROUP;
	return need(syscall(SYS_clone3, &args, sizeof args), "clone3");
}

static void map_ids(pid_t child)
{
	char path[32], map[32];
	snprintf(map, sizeof map, "0 %d 65536", BASE);
	snprintf(path, sizeof path, "/proc/%d/uid_map", child);
	put(AT_FDCWD, path, map);
	snprintf(path, sizeof path, "/proc/%d/gid_map", child);
	put(AT_FDCWD, path, map);
}

static int usage(void)
{
	fprintf(stderr, "usage: run [--no-limits] [--rootfs DIR] [--parent CGROUP] [--no-pivot] [--phases] COMMAND [ARGUMENT]...\n");
	return FAILED;
}

int main(int argc, char **argv)
{
	int at = 1;
	for (; at < argc && argv[at][0] == '-'; at++)
		if (!strcmp(argv[at], "--no-limits"))
			limits = 0;
		else if (!strcmp(argv[at], "--no-pivot"))
			pivot = 0;
		else if (!strcmp(argv[at], "--phases"))
			marks = mmap(NULL, NPHASES * sizeof *marks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		else if (!strcmp(argv[at], "--rootfs") && at + 1 < argc)
			rootfs = argv[++at];
		else if (!strcmp(argv[at], "--parent") && at + 1 < argc)
			parent_cgroup = argv[++at];
		else
			return usage();
	if (at == argc)
		return usage();
	if (marks == MAP_FAILED)
		die("mmap");
	mark(BEGIN);
	owner = getpid();

	/* Whoever interrupts this interrupts the command, too; cgroups are removed in any case. */
	sigset_t ends, before;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	need(sigprocmask(SIG_BLOCK, &ends, &before), "sigprocmask");

	if (limits) {
		make_cgroups();
		mark(CGROUPS);
	}
	int release[2], pidfd;
	need(pipe2(release, O_CLOEXEC), "pipe2");
	pid_t child = begin(&pidfd);
	if (child == 0) {
		close(release[1]);
		init(release[0], argv + at, &before);
	}
	close(release[0]);
	map_ids(child);
	if (write(release[1], "", 1) != 1)
		die("write");

	siginfo_t end;
	need(waitid(P_PIDFD, pidfd, &end, WEXITED), "waitid");
	mark(GONE);
	remove_cgroups();
	if (limits)
		mark(REMOVED);
	if (marks)
		show_phases();
	return end.si_code == CLD_EXITED ? end.si_status : 128 + end.si_status;
}
