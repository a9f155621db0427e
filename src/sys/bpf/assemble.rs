//! Programs for the kernel's BPF machine, put together from named registers and typed loads.
//!
//! A load names what it loads as C does, `real_parent->tgid`, and is checked against the kernel's types: the member is there, and has
//! the size of what it is loaded into. Loads never fault: what leads nowhere is zero. Not here: what a program is for (`scan::bpf`),
//! and handing it to the kernel (`iterate`).
//!
//! See `Documentation/bpf/standardization/instruction-set.rst` and bpf-helpers(7).

mod code;

use super::btf::{Btf, BtfError, TypeId};
use super::record::Record;
use code::Helper;
pub use code::{Functions, If, Instruction, Reg};

/// A register that points to something of a type.
#[derive(Clone, Copy, Debug)]
pub struct Pointer {
    /// The register.
    pub reg: Reg,
    /// What it points to.
    pub to: TypeId,
    /// Whether the kernel takes it for a number.
    raw: bool,
}

/// A place that is jumped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// Which registers are for what, in all programs of nsx: the argument of the program stays in R6.
const CONTEXT: Reg = Reg::R6;

/// A program in the making.
pub struct Assembler<'b, 'd> {
    btf: &'b mut Btf<'d>,
    code: Vec<Instruction>,
    /// Where labels are, as far as they were placed.
    labels: Vec<Option<usize>>,
    /// Jumps, and the labels that they are to.
    jumps: Vec<(usize, Label)>,
    context: Pointer,
    /// Where the program ends without a word.
    end: Label,
    functions: Functions,
    /// Where what is read from a number may stand.
    scratch: i16,
}

impl<'b, 'd> Assembler<'b, 'd> {
    /// Begins a program that is called with a pointer to `context`. The eight bytes at `scratch` on its stack are the assembler's.
    pub fn new(btf: &'b mut Btf<'d>, context: TypeId, functions: Functions, scratch: i16) -> Assembler<'b, 'd> {
        let context = Pointer { reg: CONTEXT, to: context, raw: false };
        let (code, labels, jumps) = (Vec::with_capacity(256), Vec::new(), Vec::new());
        let mut new = Assembler { btf, code, labels, jumps, context, end: Label(0), functions, scratch };
        new.end = new.label();
        new.copy(CONTEXT, Reg::R1);
        new
    }

    /// Loads an argument of the program that is a pointer, and ends the program where there is none: so the kernel says that there is
    /// nothing more.
    ///
    /// # Errors
    /// As [`Assembler::load_pointer`].
    pub fn argument(&mut self, into: Reg, name: &'static str) -> Result<Pointer, BtfError> {
        let argument = self.load_pointer(into, self.context, name)?;
        self.end_if_zero(into);
        Ok(argument)
    }

    /// Makes of a pointer one that the kernel does not vouch for, where that saves it the trouble; see [`Functions::cast`]. R0 to R5 are
    /// lost.
    pub fn unvouched(&mut self, pointer: Pointer) {
        if let Some(function) = self.functions.cast {
            self.copy(Reg::R1, pointer.reg);
            self.set(Reg::R2, pointer.to.0 as i32);
            self.call_function(function);
            self.copy(pointer.reg, Reg::R0);
        }
    }

    /// Takes a number for a pointer to something of a type. What is loaded through it is zero where it is none. R0 to R5, and with older
    /// kernels they are so by every load through it, are lost.
    pub fn assume(&mut self, reg: Reg, to: TypeId) -> Pointer {
        let pointer = Pointer { reg, to, raw: self.functions.cast.is_none() };
        self.unvouched(pointer);
        pointer
    }

    /// Loads a pointer along a path such as `signal->tty`.
    ///
    /// # Errors
    /// Where the kernel's types do not have the path, or there is no pointer at its end.
    pub fn load_pointer(&mut self, into: Reg, from: Pointer, path: &'static str) -> Result<Pointer, BtfError> {
        let mut at = from;
        for step in path.split("->") {
            let member = self.btf.member(at.to, path, step)?;
            let to = self.btf.pointee(member.of)?;
            let to = to.ok_or_else(|| BtfError::NoMember { path, at: format!("pointer {step}") })?;
            self.load(8, into, at, member.offset, path)?;
            at = Pointer { reg: into, to, raw: at.raw };
        }
        Ok(at)
    }

    /// Loads a number of 4 or 8 bytes along a path such as `real_parent->tgid`.
    ///
    /// # Errors
    /// Where the kernel's types do not have the path, or what is at its end has another size.
    pub fn load_number(&mut self, bytes: u32, into: Reg, from: Pointer, path: &'static str) -> Result<(), BtfError> {
        let (at, last) = self.up_to_last(into, from, path)?;
        let member = self.btf.member(at.to, path, last)?;
        if member.size != bytes {
            return Err(BtfError::Size { path, is: member.size, expected: bytes });
        }
        self.load(bytes, into, at, member.offset, path)
    }

    /// Loads along a path and puts what is there on the stack: 4 or 8 bytes, or a text whose length is a multiple of 8. R1 and `through`
    /// are lost.
    ///
    /// # Errors
    /// As [`Assembler::load_number`].
    pub fn keep(
        &mut self,
        slot: i16,
        bytes: u32,
        through: Reg,
        from: Pointer,
        path: &'static str,
    ) -> Result<(), BtfError> {
        if bytes <= 8 {
            self.load_number(bytes, through, from, path)?;
            self.store(bytes, slot, through);
            return Ok(());
        }
        let (at, last) = self.up_to_last(through, from, path)?;
        let member = self.btf.member(at.to, path, last)?;
        let element = match self.btf.element(member.of)? {
            Some(element) => self.btf.size(element)?,
            None => None,
        };
        if member.size != bytes {
            return Err(BtfError::Size { path, is: member.size, expected: bytes });
        }
        if element != Some(1) {
            return Err(BtfError::NoMember { path, at: format!("text {last}") });
        }
        for part in (0..bytes).step_by(8) {
            self.load(8, Reg::R1, at, member.offset + part, path)?;
            self.store(8, slot + part as i16, Reg::R1);
        }
        Ok(())
    }

    /// Loads all fields of a record that have a path and puts them on the stack. R1 and `through` are lost.
    ///
    /// # Errors
    /// As [`Assembler::keep`].
    pub fn keep_all<R: Record>(&mut self, through: Reg, from: Pointer) -> Result<(), BtfError> {
        for field in R::FIELDS {
            if let Some(path) = field.path {
                self.keep(R::SLOT + field.offset as i16, u32::from(field.bytes), through, from, path)?;
            }
        }
        Ok(())
    }

    /// Returns where a member is, by its path from a type, without loading anything.
    ///
    /// # Errors
    /// Where the kernel's types do not have the path.
    pub fn offset(&mut self, of: TypeId, path: &'static str) -> Result<i32, BtfError> {
        let member = self.btf.member(of, path, path)?;
        i32::try_from(member.offset).map_err(|_| BtfError::Malformed("an offset is too large"))
    }

    /// Returns the type of the elements of an array.
    ///
    /// # Errors
    /// Where it is none.
    pub fn element(&mut self, of: TypeId, path: &'static str) -> Result<TypeId, BtfError> {
        let member = self.btf.member(of, path, path)?;
        self.btf.element(member.of)?.ok_or_else(|| BtfError::NoMember { path, at: format!("array {path}") })
    }

    /// Returns the size of the elements of an array.
    ///
    /// # Errors
    /// Where it is none.
    pub fn element_bytes(&mut self, of: TypeId, path: &'static str) -> Result<i32, BtfError> {
        let element = self.element(of, path)?;
        let size = self.btf.size(element)?.and_then(|size| i32::try_from(size).ok());
        size.ok_or_else(|| BtfError::NoMember { path, at: format!("size of {path}") })
    }

    /// Returns what a member points to.
    ///
    /// # Errors
    /// Where the kernel's types do not have the path, or there is no pointer at its end.
    pub fn pointee(&mut self, of: TypeId, path: &'static str) -> Result<TypeId, BtfError> {
        self.pointee_of(of, path, 1)
    }

    /// As [`Assembler::pointee`], where a member points to what points to it: so many times.
    ///
    /// # Errors
    /// As [`Assembler::pointee`].
    pub fn pointee_of(&mut self, of: TypeId, path: &'static str, times: usize) -> Result<TypeId, BtfError> {
        let mut of = self.btf.member(of, path, path)?.of;
        for _ in 0..times {
            let to = self.btf.pointee(of)?;
            of = to.ok_or_else(|| BtfError::NoMember { path, at: format!("pointer {path}") })?;
        }
        Ok(of)
    }

    /// Reads any address of the kernel's onto the stack, or zeros where there is nothing; bpf_probe_read_kernel in bpf-helpers(7).
    /// R0 to R5 are lost.
    pub fn read_kernel(&mut self, slot: i16, bytes: u32, address: Reg) {
        self.copy(Reg::R3, address);
        self.stack_address(Reg::R1, slot);
        self.set(Reg::R2, bytes as i32);
        self.call(Helper::ProbeReadKernel);
    }

    /// Loads 4 or 8 bytes from any address of the kernel's, or zero where there is nothing. R0 to R5 are lost.
    pub fn read_number(&mut self, bytes: u32, into: Reg, address: Reg) {
        self.read_kernel(self.scratch, bytes, address);
        self.fetch(bytes, into, self.scratch);
    }

    /// Hands so many bytes of the stack to whoever reads the iterator. R0 to R5 are lost.
    ///
    /// # Errors
    /// Where the kernel's types do not have what leads to the reader.
    pub fn tell(&mut self, slot: i16, bytes: usize) -> Result<(), BtfError> {
        self.load_pointer(Reg::R1, self.context, "meta->seq")?;
        self.stack_address(Reg::R2, slot);
        self.set(Reg::R3, bytes as i32);
        self.call(Helper::SeqWrite);
        Ok(())
    }

    /// Says whether the kernel has [`Assembler::count`].
    pub fn can_count(&self) -> bool {
        self.functions.count.is_some()
    }

    /// Begins to count: what [`Assembler::count_on`] answers is 0, 1, 2, up to but not `end`. Eight bytes of the stack at `slot` are needed
    /// until [`Assembler::count_no_more`]. R0 to R5 are lost.
    pub fn count(&mut self, slot: i16, end: Reg) {
        if let Some([new, ..]) = self.functions.count {
            self.copy(Reg::R3, end);
            self.set(Reg::R2, 0);
            self.stack_address(Reg::R1, slot);
            self.call_function(new);
        }
    }

    /// Leaves the next number in `into`, or jumps where there is none. R0 to R5 are lost.
    pub fn count_on(&mut self, slot: i16, into: Reg, done: Label) {
        if let Some([_, next, _]) = self.functions.count {
            self.stack_address(Reg::R1, slot);
            self.call_function(next);
            self.jump_if_number(Reg::R0, If::Equal, 0, done);
            self.put(0x61, into as u8, Reg::R0 as u8, 0, 0);
        }
    }

    /// Ends counting. R0 to R5 are lost.
    pub fn count_no_more(&mut self, slot: i16) {
        if let Some([.., destroy]) = self.functions.count {
            self.stack_address(Reg::R1, slot);
            self.call_function(destroy);
        }
    }

    /// Copies a register.
    pub fn copy(&mut self, into: Reg, from: Reg) {
        if into != from {
            self.put(0xbf, into as u8, from as u8, 0, 0);
        }
    }

    /// Sets a register to a number.
    pub fn set(&mut self, into: Reg, value: i32) {
        self.put(0xb7, into as u8, 0, 0, value);
    }

    /// Adds a number to a register.
    pub fn add(&mut self, to: Reg, value: i32) {
        self.put(0x07, to as u8, 0, 0, value);
    }

    /// Adds a register to another.
    pub fn add_register(&mut self, to: Reg, from: Reg) {
        self.put(0x0f, to as u8, from as u8, 0, 0);
    }

    /// Multiplies a register by a number.
    pub fn multiply(&mut self, reg: Reg, value: i32) {
        self.put(0x27, reg as u8, 0, 0, value);
    }

    /// Keeps only those bits of a register that the number has.
    pub fn and(&mut self, reg: Reg, bits: i32) {
        self.put(0x57, reg as u8, 0, 0, bits);
    }

    /// Shifts a register to the left.
    pub fn shift_left(&mut self, reg: Reg, bits: i32) {
        self.put(0x67, reg as u8, 0, 0, bits);
    }

    /// Shifts a register to the right, and zeros in from the left.
    pub fn shift_right(&mut self, reg: Reg, bits: i32) {
        self.put(0x77, reg as u8, 0, 0, bits);
    }

    /// Puts the low 4 bytes, or all 8, of a register on the stack, so many bytes from its end.
    pub fn store(&mut self, bytes: u32, slot: i16, from: Reg) {
        let code = if bytes == 8 { 0x7b } else { 0x63 };
        self.put(code, Reg::R10 as u8, from as u8, slot, 0);
    }

    /// Takes 4 or 8 bytes from the stack.
    pub fn fetch(&mut self, bytes: u32, into: Reg, slot: i16) {
        let code = if bytes == 8 { 0x79 } else { 0x61 };
        self.put(code, into as u8, Reg::R10 as u8, slot, 0);
    }

    /// Makes a label, to be placed once.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Says that a label is here.
    pub fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    /// Jumps if two registers compare so.
    pub fn jump_if(&mut self, left: Reg, how: If, right: Reg, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.put(how as u8 | 0x0d, left as u8, right as u8, 0, 0);
    }

    /// Jumps if a register is, or is not, a number.
    pub fn jump_if_number(&mut self, left: Reg, how: If, right: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.put(how as u8 | 0x05, left as u8, 0, 0, right);
    }

    /// Jumps.
    pub fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.put(0x05, 0, 0, 0, 0);
    }

    /// Ends the program if a register is zero.
    pub fn end_if_zero(&mut self, reg: Reg) {
        self.jump_if_number(reg, If::Equal, 0, self.end);
    }

    /// Ends the program.
    pub fn end(&mut self) {
        self.jump(self.end);
    }

    /// Returns the whole program.
    ///
    /// # Errors
    /// Where a jump leads too far, or nowhere.
    pub fn finish(mut self) -> Result<Vec<Instruction>, BtfError> {
        self.place(self.end);
        self.set(Reg::R0, 0);
        self.put(0x95, 0, 0, 0, 0);
        let nowhere = BtfError::Malformed("a jump of the program leads nowhere");
        for (from, label) in self.jumps {
            let to = self.labels[label.0].ok_or(nowhere.clone())?;
            let distance = to as isize - (from as isize + 1);
            self.code[from].offset = i16::try_from(distance).map_err(|_| nowhere.clone())?;
        }
        Ok(self.code)
    }

    /// Follows all steps of a path but the last, which it returns.
    fn up_to_last(
        &mut self,
        into: Reg,
        from: Pointer,
        path: &'static str,
    ) -> Result<(Pointer, &'static str), BtfError> {
        match path.rsplit_once("->") {
            Some((before, last)) => Ok((self.load_pointer(into, from, before)?, last)),
            None => Ok((from, path)),
        }
    }

    fn load(&mut self, bytes: u32, into: Reg, from: Pointer, offset: u32, path: &'static str) -> Result<(), BtfError> {
        let code = match bytes {
            4 => 0x61,
            8 => 0x79,
            _ => return Err(BtfError::Size { path, is: bytes, expected: 8 }),
        };
        let offset = i16::try_from(offset).map_err(|_| BtfError::Malformed("a member lies too far behind"))?;
        if from.raw {
            self.copy(Reg::R3, from.reg);
            self.add(Reg::R3, i32::from(offset));
            self.read_kernel(self.scratch, bytes, Reg::R3);
            self.fetch(bytes, into, self.scratch);
        } else {
            self.put(code, into as u8, from.reg as u8, offset, 0);
        }
        Ok(())
    }

    fn stack_address(&mut self, into: Reg, slot: i16) {
        self.copy(into, Reg::R10);
        self.add(into, i32::from(slot));
    }

    /// A call of a function that is known by its type (`BPF_PSEUDO_KFUNC_CALL`).
    fn call_function(&mut self, function: TypeId) {
        self.put(0x85, 0, 2, 0, function.0 as i32);
    }

    fn call(&mut self, helper: Helper) {
        self.put(0x85, 0, 0, 0, helper as i32);
    }

    fn put(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) {
        self.code.push(Instruction::new(code, to, from, offset, immediate));
    }
}

#[cfg(test)]
mod tests;
