/* iterate: the floor under a tool that has BPF look at all tasks.
 *
 *   iterate PROGRAM_FILE BTF_ID
 *
 * The least there is to do: read the instructions of a program from a file, have the kernel take it for an iterator over what the type
 * BTF_ID stands for, and read that to its end, 64 KB at a time, as nsx does. The program is the very one that nsx loads
 * (examples/iterator_program.rs writes it), so what the kernel does is the same. Prints one line: how many bytes it has read.
 *
 * This is not a tool. It does not even read the kernel's types, which is where the program comes from and takes a tool most of its time
 * on a small host; it does not look at what it has read, asks no namespace for its owner or its parent, reads no descriptor of those
 * tasks that have any that matter, and neither sorts nor prints. It keeps no log of the verifier's: where that refuses the program,
 * nsx has more to say.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	/* Of include/uapi/linux/bpf.h, spelled out: the headers that a system has may be older than its kernel. */
	PROG_LOAD = 5,
	LINK_CREATE = 28,
	ITER_CREATE = 33,
	TRACING = 26,
	TRACE_ITER = 28,
	INSTRUCTION_BYTES = 8,
	PROGRAM_BYTES = 64 * 1024,
	BUFFER_BYTES = 64 * 1024,
};

/* The beginning of union bpf_attr, as far as these three commands know it. */
struct load {
	uint32_t type, count;
	uint64_t instructions, license;
	uint32_t log_level, log_size;
	uint64_t log;
	uint32_t kernel_version, flags;
	char name[16];
	uint32_t ifindex, attach_type, btf_fd, func_info_size;
	uint64_t func_info;
	uint32_t func_info_count, line_info_size;
	uint64_t line_info;
	uint32_t line_info_count, attach_btf_id;
};

struct create {
	uint32_t fd, target, attach_type, flags;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int bpf(int command, const char *name, const void *attr, unsigned int bytes)
{
	int fd = syscall(SYS_bpf, command, attr, bytes);
	if (fd < 0)
		die(name);
	return fd;
}

int main(int argc, char **argv)
{
	static char program[PROGRAM_BYTES] __attribute__((aligned(8))), buffer[BUFFER_BYTES];
	if (argc != 3) {
		fprintf(stderr, "usage: iterate PROGRAM_FILE BTF_ID\n");
		return 2;
	}
	int file = open(argv[1], O_RDONLY | O_CLOEXEC);
	ssize_t bytes = file < 0 ? -1 : read(file, program, sizeof program);
	if (bytes < 0)
		die(argv[1]);
	close(file);
	if (bytes == 0 || bytes == sizeof program || bytes % INSTRUCTION_BYTES) {
		fprintf(stderr, "%s: this is no program\n", argv[1]);
		return 1;
	}

	struct load load = {
		.type = TRACING,
		.count = bytes / INSTRUCTION_BYTES,
		.instructions = (uintptr_t)program,
		.license = (uintptr_t) "Dual MIT/GPL",
		.name = "floor_iterate",
		.attach_type = TRACE_ITER,
		.attach_btf_id = strtoul(argv[2], NULL, 10),
	};
	struct create link = { .attach_type = TRACE_ITER }, iterator = { 0 };
	link.fd = bpf(PROG_LOAD, "BPF_PROG_LOAD", &load, sizeof load);
	iterator.fd = bpf(LINK_CREATE, "BPF_LINK_CREATE", &link, sizeof link);
	int fd = bpf(ITER_CREATE, "BPF_ITER_CREATE", &iterator, sizeof iterator);

	unsigned long total = 0;
	for (;;) {
		ssize_t filled = read(fd, buffer, sizeof buffer);
		/* EAGAIN: it has gone over very many and told nothing, and goes on. */
		if (filled < 0 && errno != EAGAIN && errno != EINTR)
			die("read");
		if (filled == 0)
			break;
		if (filled > 0)
			total += filled;
	}
	printf("%lu bytes\n", total);
	return 0;
}
