//! Programs: lists of system calls that are decided on first and made later, in another process or in this one.
//!
//! Whatever a call needs is put into the list beforehand: numbers, texts, structures. Making the calls takes no memory, no locks and no
//! thought, so it is safe where little else is: between fork(2) and execve(2), and in namespaces that somebody else has filled. A list is
//! either run in place ([`Program::run`]) or becomes a stub ([`Program::seal`], see `sys::stub`).
//!
//! Not here: which calls enter a target and why (`launch`).

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::error::{Call, Errno, SysError};
use super::stub;

/// An argument of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arg {
    /// A number, or a descriptor.
    Number(i64),
    /// A pointer into the data of the program.
    Data(usize),
    /// A pointer to a word of the scratch memory.
    Word(Slot),
}

/// A word of the scratch memory: what one call answers and another one takes. The first is for whoever needs one for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u16);

impl Slot {
    /// How many there are.
    pub const COUNT: usize = (stub::SCRATCH_SIZE / 8) as usize;
    /// The first word.
    pub const FIRST: Slot = Slot(0);
    /// The second one.
    pub const SECOND: Slot = Slot(1);

    /// The flags that keep an answer in it.
    pub(super) const fn kept(self) -> u64 {
        stub::STORE | (self.0 as u64) << 16
    }

    const fn offset(self) -> u64 {
        self.0 as u64 * 8
    }
}

#[derive(Debug)]
struct Record {
    number: libc::c_long,
    args: [Arg; 6],
    flags: u64,
    step: usize,
    /// Whether it is made only where another one fails, or nobody is left.
    aside: bool,
}

/// What becomes of a program when a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It ends.
    Stop,
    /// It goes on, and the failure is reported.
    GoOn,
    /// It goes on with the call at this place, and the failure is reported.
    GoTo(usize),
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step that it belongs to, as [`Program::begin`] was told.
    pub step: usize,
    /// The call and the errno.
    pub error: SysError,
}

/// A list of system calls.
#[derive(Debug)]
pub struct Program {
    records: Vec<Record>,
    /// What is called in each of them, for a reader.
    calls: Option<Vec<Call>>,
    data: Vec<u8>,
    /// Places in `data` that hold pointers into `data`.
    pointers: Vec<usize>,
    /// Places in `data` that hold pointers into the scratch memory.
    scratch_pointers: Vec<usize>,
    inherited: Vec<RawFd>,
    step: usize,
    aside: bool,
}

impl Default for Program {
    fn default() -> Program {
        Program { calls: Some(Vec::new()), ..Program::without_names() }
    }
}

impl Program {
    /// Returns an empty list that will not know what its calls are called: [`Program::calls`] and [`Program::at`] have nothing to tell. To
    /// put all these texts together takes as long as the rest of the list, and hardly ever does anybody read them: whoever has to, makes
    /// the list again, with names.
    pub fn without_names() -> Program {
        Program {
            records: Vec::new(),
            calls: None,
            data: Vec::new(),
            pointers: Vec::new(),
            scratch_pointers: Vec::new(),
            inherited: Vec::new(),
            step: 0,
            aside: false,
        }
    }

    /// Says that the calls that are added from now on belong to step `step` of whoever makes the list.
    pub fn begin(&mut self, step: usize) {
        self.step = step;
    }

    /// Returns the place of the next call.
    pub fn here(&self) -> usize {
        self.records.len()
    }

    /// Says whether the calls that are added from now on are made only where another one fails, or nobody is left: they are not shown.
    pub fn aside(&mut self, aside: bool) {
        self.aside = aside;
    }

    /// Returns the calls that are to be made, with the steps that they belong to, in order.
    pub fn calls(&self) -> impl Iterator<Item = (usize, &Call)> {
        let shown = self.records.iter().zip(self.calls.iter().flatten()).filter(|(record, _)| !record.aside);
        shown.map(|(record, call)| (record.step, call))
    }

    /// Returns the descriptors that the calls use: they have to be open where the list is run.
    pub fn inherited(&self) -> &[RawFd] {
        &self.inherited
    }

    /// Returns the step of the call at a place, and what is called.
    pub fn at(&self, place: usize) -> Option<(usize, &Call)> {
        self.step_at(place).zip(self.calls.as_ref()?.get(place))
    }

    /// Returns the step of the call at a place.
    pub fn step_at(&self, place: usize) -> Option<usize> {
        self.records.get(place).map(|record| record.step)
    }

    /// Says whether the program ends when the call at a place fails.
    pub fn stops_at(&self, place: usize) -> bool {
        self.records.get(place).is_none_or(|record| record.flags & stub::CONTINUE == 0)
    }

    /// Lets a call that was added before go on with the call at `target` when it fails.
    pub fn patch(&mut self, place: usize, target: usize) {
        if let Some(record) = self.records.get_mut(place) {
            record.flags = record.flags & u64::from(u32::MAX) | (target as u64) << 32;
        }
    }

    /// Has nothing said where the call at a place fails, which does not end the program then.
    pub fn be_quiet(&mut self, place: usize) {
        if let Some(record) = self.records.get_mut(place) {
            record.flags |= stub::CONTINUE | stub::QUIET;
        }
    }

    pub(super) fn push(&mut self, call: impl FnOnce() -> Call, number: libc::c_long, args: &[Arg], flags: u64) {
        let mut all = [Arg::Number(0); 6];
        all[..args.len()].copy_from_slice(args);
        self.records.push(Record { number, args: all, flags, step: self.step, aside: self.aside });
        if let Some(calls) = &mut self.calls {
            calls.push(call());
        }
    }

    /// Those of one execve(2) of several, one for each place of PATH: of a place where no program is, nothing is said. That of the last
    /// place, which ends the list, is always told.
    pub(super) fn flags_of_exec(otherwise: Otherwise) -> u64 {
        let quiet = if otherwise == Otherwise::Stop { 0 } else { stub::UNLESS_ABSENT };
        Program::flags(otherwise) | quiet
    }

    pub(super) fn flags(otherwise: Otherwise) -> u64 {
        match otherwise {
            Otherwise::Stop => 0,
            Otherwise::GoOn => stub::CONTINUE,
            Otherwise::GoTo(place) => stub::CONTINUE | (place as u64) << 32,
        }
    }

    /// Notes that a call uses the descriptor, which stays its owner's.
    pub(super) fn fd(&mut self, fd: BorrowedFd<'_>) -> Arg {
        let raw = fd.as_raw_fd();
        if raw > 2 && !self.inherited.contains(&raw) {
            self.inherited.push(raw);
        }
        Arg::Number(raw.into())
    }

    fn place(&mut self, bytes: &[u8]) -> usize {
        // Structures of the kernel are aligned to words.
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        let at = self.data.len();
        self.data.extend_from_slice(bytes);
        at
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Arg {
        Arg::Data(self.place(bytes))
    }

    pub(super) fn text(&mut self, text: &CString) -> Arg {
        self.bytes(text.as_bytes_with_nul())
    }

    pub(super) fn words(&mut self, words: &[u64]) -> Arg {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.bytes(&bytes)
    }

    /// An array of pointers to texts with a null pointer at the end, as execve(2) takes it.
    pub fn strings(&mut self, texts: &[CString]) -> Strings {
        let places: Vec<usize> = texts
            .iter()
            .map(|text| {
                let at = self.data.len();
                self.data.extend_from_slice(text.as_bytes_with_nul());
                at
            })
            .collect();
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        let at = self.data.len();
        for place in places {
            self.pointers.push(self.data.len());
            self.data.extend_from_slice(&(place as u64).to_ne_bytes());
        }
        self.data.extend_from_slice(&[0; 8]);
        Strings(at)
    }

    /// A structure of a number and a pointer to an array of that many structures.
    pub(super) fn counted(&mut self, count: usize, array: &[u8]) -> Arg {
        let at = self.place(array);
        let pair = self.place(&[count as u64, at as u64].map(u64::to_ne_bytes).concat());
        self.pointers.push(pair + 8);
        Arg::Data(pair)
    }

    /// Has the pointers in a copy of the data be counted from `base`, and those to the scratch memory from `scratch`.
    fn relocate(&self, data: &mut [u8], base: u64, scratch: u64) {
        for (places, base) in [(&self.pointers, base), (&self.scratch_pointers, scratch)] {
            for &place in places {
                if let Some(word) = data[place..].first_chunk_mut::<8>() {
                    *word = (u64::from_ne_bytes(*word) + base).to_ne_bytes();
                }
            }
        }
    }

    /// A structure of words, some of which point to data or to the scratch memory.
    pub(super) fn structure(&mut self, words: &[Arg]) -> Arg {
        let bytes = self.words(&vec![0; words.len()]);
        let Arg::Data(at) = bytes else { return bytes };
        for (index, word) in words.iter().enumerate() {
            let place = at + index * 8;
            let value = match *word {
                Arg::Number(number) => number as u64,
                Arg::Data(target) => {
                    self.pointers.push(place);
                    target as u64
                }
                Arg::Word(slot) => {
                    self.scratch_pointers.push(place);
                    slot.offset()
                }
            };
            self.data[place..place + 8].copy_from_slice(&value.to_ne_bytes());
        }
        bytes
    }

    fn resolve(arg: Arg, data: u64, scratch: u64) -> u64 {
        match arg {
            Arg::Number(number) => number as u64,
            Arg::Data(at) => data + at as u64,
            Arg::Word(slot) => scratch + slot.offset(),
        }
    }

    /// Makes the program a stub that reports to the descriptor `report`, in a sealed file.
    ///
    /// # Errors
    /// `EACCES` where the sysctl vm.memfd_noexec forbids it.
    pub fn seal(&self, report: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
        let records = self.records.len() * stub::RECORD;
        let data_at = stub::BASE + (stub::records_at() + records) as u64;
        let mut file = stub::head(report.as_raw_fd(), records + self.data.len());
        for record in &self.records {
            file.extend_from_slice(&(record.number as u64).to_le_bytes());
            for arg in record.args {
                file.extend_from_slice(&Program::resolve(arg, data_at, stub::SCRATCH).to_le_bytes());
            }
            file.extend_from_slice(&record.flags.to_le_bytes());
        }
        let data = file.len();
        file.extend_from_slice(&self.data);
        self.relocate(&mut file[data..], data_at, stub::SCRATCH);
        stub::seal(&file)
    }

    /// Makes the calls in this process, and returns the failure that stopped it; `tell` hears of those that did not.
    ///
    /// Returns only when a call fails that has to succeed, or the list has no exec. There may be no clone(2) in it, and no comparison.
    ///
    /// # Errors
    /// The call that failed.
    pub fn run(&self, mut tell: impl FnMut(Failure)) -> Result<(), Failure> {
        // The pointers in it are counted from where it lies, and the texts that they lead to lie in `self.data`, which does not move.
        let mut scratch = [0u64; Slot::COUNT];
        let scratch_at = scratch.as_mut_ptr() as u64;
        let mut data = self.data.clone();
        self.relocate(&mut data, self.data.as_ptr() as u64, scratch_at);
        let base = data.as_ptr() as u64;
        let mut place = 0;
        while let Some(record) = self.records.get(place) {
            let mut args = record.args.map(|arg| Program::resolve(arg, base, scratch_at));
            debug_assert_eq!(record.flags & stub::STUB_ONLY, 0, "this takes a stub");
            if record.flags & stub::LOAD != 0 {
                // SAFETY: the methods that set this flag point to a word of `scratch`, which is alive; nothing else refers to it.
                args[0] = unsafe { std::ptr::read_volatile(args[0] as *const u64) };
            }
            // SAFETY: the typed methods that add records make sure that every pointer leads to what the call reads, in `data`, or to
            // the scratch memory, which is as large as any call of theirs may write.
            let answer = unsafe { libc::syscall(record.number, args[0], args[1], args[2], args[3], args[4], args[5]) };
            let mut failed = (answer == -1).then(Errno::last);
            if failed.is_none() && record.flags & stub::STORE != 0 {
                // SAFETY: as above.
                unsafe {
                    let word = (scratch_at as *mut u64).add((record.flags >> 16) as u16 as usize);
                    std::ptr::write_volatile(word, answer as u64);
                };
            }
            // SAFETY: as above.
            let first = unsafe { std::ptr::read_volatile(scratch_at as *const u8) };
            if failed.is_none() && record.flags & stub::ABSOLUTE != 0 && first != b'/' {
                failed = Some(Errno::EXDEV);
            }
            let this = place;
            place += 1;
            if let Some(errno) = failed {
                let mut flags = record.flags;
                if flags & stub::IF_NOEXEC != 0 {
                    if errno == Errno::ENOEXEC {
                        place = (flags >> 32) as usize;
                        continue;
                    }
                    flags &= u64::from(u32::MAX);
                }
                let call = self.at(this).map_or(Call::Step("a call"), |(_, call)| call.clone());
                let failure = Failure { step: record.step, error: SysError::new(call, errno) };
                if flags & stub::CONTINUE == 0 {
                    return Err(failure);
                }
                if flags & stub::UNLESS_ABSENT == 0 || errno != Errno::ENOENT {
                    tell(failure);
                }
                let target = (flags >> 32) as usize;
                if target != 0 {
                    place = target;
                }
            }
        }
        Ok(())
    }
}

/// An array of texts in a program.
#[derive(Clone, Copy, Debug)]
pub struct Strings(pub(super) usize);
