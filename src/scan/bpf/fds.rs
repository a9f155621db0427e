//! Whether a task has descriptors of namespaces, or of sockets in another network namespace than its own: a glance at its table of files.
//!
//! The program only says whether there are any, and then `/proc` is asked which, as for everybody else: the kernel's iterator over open
//! files would hold each of them for a moment, and whoever lets go of a file last may have to wait for the file system that it is on. A
//! table that is changed meanwhile may show anything; what is read through it is only compared.

use crate::sys::bpf::assemble::{Assembler, If, Label, Pointer, Reg};
use crate::sys::bpf::btf::{BtfError, TypeId};
use crate::sys::nsfs;

/// `SOCKFS_MAGIC` in `include/uapi/linux/magic.h`.
const SOCKFS_MAGIC: i32 = 0x534F_434B;
/// So many descriptors are kept in a word of the map of those that are open.
const WORD: i32 = 64;
/// So many words are looked at: nobody has more descriptors but who is allowed to, and he is asked by way of `/proc` in any case.
const MOST_WORDS: i32 = 64;

/// Sets the four bytes at `answer` on the stack to one if the task has any, or may have. R0 to R5, R8 and R9 are lost; below `free`, seven
/// times eight bytes of the stack are needed.
pub(super) fn look(
    program: &mut Assembler<'_, '_>,
    task: Pointer,
    socket: TypeId,
    free: i16,
    answer: i16,
) -> Result<(), BtfError> {
    let [map, table, first, net, size, words, bits] = [1, 2, 3, 4, 5, 6, 7].map(|place| free - 8 * place);
    let (found, done) = (program.label(), program.label());
    let files = program.load_pointer(Reg::R8, task, "files")?;
    program.jump_if_number(Reg::R8, If::Equal, 0, done);
    let fdt = program.load_pointer(Reg::R8, files, "fdt")?;
    program.keep(map, 8, Reg::R1, fdt, "open_fds")?;
    program.keep(table, 8, Reg::R1, fdt, "fd")?;
    program.keep(size, 4, Reg::R1, fdt, "max_fds")?;
    program.keep(net, 4, Reg::R1, task, "nsproxy->net_ns->ns.inum")?;
    let file = program.pointee_of(fdt.to, "fd", 2)?;
    let one = One { table, first, net, file, socket };
    let most = if program.can_count() {
        let (no_more_words, no_more_bits) = (program.label(), program.label());
        let (next_word, next_bit, in_bits) = (program.label(), program.label(), program.label());
        program.set(Reg::R9, MOST_WORDS);
        program.count(words, Reg::R9);
        program.place(next_word);
        program.count_on(words, Reg::R8, no_more_words);
        program.shift_left(Reg::R8, 6);
        program.fetch(4, Reg::R1, size);
        program.jump_if(Reg::R1, If::AtMost, Reg::R8, no_more_words);
        program.store(8, first, Reg::R8);
        program.load_word(map, Reg::R8);
        program.jump_if_number(Reg::R8, If::Equal, 0, next_word);
        program.set(Reg::R9, WORD);
        program.count(bits, Reg::R9);
        program.place(next_bit);
        program.count_on(bits, Reg::R9, no_more_bits);
        program.jump_if_number(Reg::R8, If::Equal, 0, no_more_bits);
        one.look(program, next_bit, in_bits)?;
        program.place(no_more_bits);
        program.count_no_more(bits);
        program.jump(next_word);
        program.place(in_bits);
        program.count_no_more(bits);
        program.count_no_more(words);
        program.jump(found);
        program.place(no_more_words);
        program.count_no_more(words);
        WORD * MOST_WORDS
    } else {
        // Then the first word has to do, which is the whole table of most.
        let (again, next, no_more) = (program.label(), program.label(), program.label());
        program.set(Reg::R8, 0);
        program.store(8, first, Reg::R8);
        program.load_word(map, Reg::R8);
        program.set(Reg::R9, 0);
        program.place(again);
        program.jump_if_number(Reg::R8, If::Equal, 0, no_more);
        one.look(program, next, found)?;
        program.place(next);
        program.add(Reg::R9, 1);
        program.jump_if_number(Reg::R9, If::Differ, WORD, again);
        program.place(no_more);
        WORD
    };
    program.fetch(4, Reg::R1, size);
    program.jump_if_number(Reg::R1, If::AtMost, most, done);
    program.place(found);
    program.set(Reg::R1, 1);
    program.store(4, answer, Reg::R1);
    program.place(done);
    Ok(())
}

/// What it takes to look at one descriptor: places on the stack, and types.
struct One {
    /// The address of the table of files.
    table: i16,
    /// The first descriptor of the word.
    first: i16,
    /// The network namespace of the task.
    net: i16,
    file: TypeId,
    socket: TypeId,
}

impl One {
    /// Takes the lowest bit from R8. If it is set, looks at the descriptor with the number of R9 in its word, and jumps to `found` if that
    /// matters; else, and if it is not set, to `next`.
    fn look(&self, program: &mut Assembler<'_, '_>, next: Label, found: Label) -> Result<(), BtfError> {
        program.copy(Reg::R1, Reg::R8);
        program.shift_right(Reg::R8, 1);
        program.and(Reg::R1, 1);
        program.jump_if_number(Reg::R1, If::Equal, 0, next);
        let opened = self.file(program);
        program.load_number(8, Reg::R1, opened, "f_inode->i_sb->s_magic")?;
        program.jump_if_number(Reg::R1, If::Equal, nsfs::NSFS_MAGIC as i32, found);
        program.jump_if_number(Reg::R1, If::Differ, SOCKFS_MAGIC, next);
        let opened = self.file(program);
        program.load_number(8, Reg::R1, opened, "private_data")?;
        let socket = program.assume(Reg::R1, self.socket);
        program.load_number(4, Reg::R1, socket, "sk->__sk_common.skc_net.net->ns.inum")?;
        program.jump_if_number(Reg::R1, If::Equal, 0, next);
        program.fetch(4, Reg::R2, self.net);
        program.jump_if(Reg::R1, If::Differ, Reg::R2, found);
        program.jump(next);
        Ok(())
    }

    /// Leaves the file in R1.
    fn file(&self, program: &mut Assembler<'_, '_>) -> Pointer {
        program.fetch(8, Reg::R1, self.first);
        program.add_register(Reg::R1, Reg::R9);
        program.shift_left(Reg::R1, 3);
        program.fetch(8, Reg::R2, self.table);
        program.add_register(Reg::R1, Reg::R2);
        program.read_number(8, Reg::R1, Reg::R1);
        program.assume(Reg::R1, self.file)
    }
}

impl Assembler<'_, '_> {
    /// Loads the word of a map of bits that begins with the bit whose number is in the register. R0 to R5 are lost.
    fn load_word(&mut self, map: i16, reg: Reg) {
        self.shift_right(reg, 3);
        self.fetch(8, Reg::R1, map);
        self.add_register(reg, Reg::R1);
        self.read_number(8, reg, reg);
    }
}
