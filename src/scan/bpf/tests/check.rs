//! Goes through a program as the kernel's verifier does, only by what a second reader of the types says: what every
//! register may hold at every place, which bytes of the stack were written, and whether every load is of something that
//! there is.

use crate::sys::bpf::assemble::Instruction;
use crate::sys::bpf::btf::plain::Plain;

/// The stack of a program.
const STACK: i32 = 512;

/// What a register may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// Nothing that was put there on all ways.
    Unset,
    Number,
    Constant(i32),
    /// An address so far from the end of the stack.
    Stack(i32),
    /// An address of one of these types.
    Typed(Vec<u32>),
    /// That of a number of a loop.
    Counter,
}

impl Value {
    fn merge(&self, other: &Value) -> Value {
        match (self, other) {
            _ if self == other => self.clone(),
            (Value::Unset, _) | (_, Value::Unset) => Value::Unset,
            (Value::Typed(one), Value::Typed(more)) => {
                let mut all = [&one[..], more].concat();
                all.sort_unstable();
                all.dedup();
                Value::Typed(all)
            }
            _ => Value::Number,
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
struct State {
    registers: [Value; 11],
    /// A bit for every byte of the stack that was written.
    written: [u128; 4],
}

impl State {
    fn merge(&self, other: &State) -> State {
        let mut merged = self.clone();
        for (one, more) in merged.registers.iter_mut().zip(&other.registers) {
            *one = one.merge(more);
        }
        for (one, more) in merged.written.iter_mut().zip(&other.written) {
            *one &= more;
        }
        merged
    }

    fn get(&self, register: usize) -> Result<&Value, String> {
        match self.registers.get(register) {
            None => Err(format!("there is no r{register}")),
            Some(Value::Unset) => Err(format!("r{register} was never set")),
            Some(value) => Ok(value),
        }
    }

    fn bytes(slot: i32, bytes: i32, align: i32) -> Result<std::ops::Range<usize>, String> {
        if slot < -STACK || bytes <= 0 || slot + bytes > 0 || slot % align != 0 {
            return Err(format!("{bytes} bytes at {slot} of the stack"));
        }
        let from = (slot + STACK) as usize;
        Ok(from..from + bytes as usize)
    }

    fn write(&mut self, slot: i32, bytes: i32, align: i32) -> Result<(), String> {
        State::bytes(slot, bytes, align)?.for_each(|byte| self.written[byte / 128] |= 1 << (byte % 128));
        Ok(())
    }

    fn read(&self, slot: i32, bytes: i32, align: i32) -> Result<(), String> {
        let unwritten =
            State::bytes(slot, bytes, align)?.find(|byte| self.written[byte / 128] >> (byte % 128) & 1 == 0);
        unwritten.map_or(Ok(()), |_| Err(format!("{bytes} bytes at {slot} of the stack were not written")))
    }

    /// The address in a register of so many bytes on the stack, as their number in another says.
    fn buffer(&self, address: usize, length: usize) -> Result<(i32, i32), String> {
        match (self.get(address)?, self.get(length)?) {
            (Value::Stack(slot), Value::Constant(bytes)) => Ok((*slot, *bytes)),
            other => Err(format!("a buffer that is {other:?}")),
        }
    }
}

/// What a program is checked by.
pub(super) struct Checker<'p, 'd> {
    pub(super) plain: &'p Plain<'d>,
    /// What it is called with.
    pub(super) context: u32,
    /// bpf_rdonly_cast, bpf_iter_num_new, bpf_iter_num_next and bpf_iter_num_destroy.
    pub(super) functions: [Option<u32>; 4],
    /// How many bytes a record has.
    pub(super) record: i32,
}

impl Checker<'_, '_> {
    /// Goes through all ways, and says how many loads by way of a type there are.
    pub(super) fn check(&self, program: &[Instruction]) -> Result<usize, String> {
        let code: Vec<[u8; 8]> = program.iter().map(|one| one.to_bytes()).collect();
        if code.last().is_none_or(|last| last[0] != 0x95) {
            return Err("it does not end with exit".to_owned());
        }
        let mut states: Vec<Option<State>> = vec![None; code.len()];
        let mut begin = State { registers: [const { Value::Unset }; 11], written: [0; 4] };
        begin.registers[1] = Value::Typed(vec![self.context]);
        begin.registers[10] = Value::Stack(0);
        let mut loads = std::collections::HashSet::new();
        let mut left = vec![(0, begin)];
        while let Some((at, state)) = left.pop() {
            let known = states.get(at).ok_or("it goes on behind its end")?;
            let merged = known.as_ref().map_or_else(|| state.clone(), |known| known.merge(&state));
            if known.as_ref() == Some(&merged) {
                continue;
            }
            states[at] = Some(merged.clone());
            let mut after = merged;
            let fail = |why: String| format!("instruction {at}, {:02x?}: {why}", code[at]);
            let (next, typed) = self.step(at, code[at], &mut after).map_err(fail)?;
            if typed {
                loads.insert(at);
            }
            left.extend(next.into_iter().flatten().map(|to| (to, after.clone())));
        }
        Ok(loads.len())
    }

    /// Does one instruction; says where it goes on, and whether it was a load by way of a type.
    fn step(&self, at: usize, code: [u8; 8], state: &mut State) -> Result<([Option<usize>; 2], bool), String> {
        let [opcode, registers, o0, o1, i0, i1, i2, i3] = code;
        let (low, high) = (usize::from(registers & 0xf), usize::from(registers >> 4));
        let (to, from) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
        let (offset, immediate) = (i16::from_ne_bytes([o0, o1]), i32::from_ne_bytes([i0, i1, i2, i3]));
        let next = Some(at + 1);
        let jump = || (at as isize + 1 + isize::from(offset)).try_into().map(Some).map_err(|_| "it jumps to before it");
        let width = if opcode & 0x18 == 0x18 { 8 } else { 4 };
        let (slot, mut typed) = (i32::from(offset), false);
        match opcode {
            0xbf => state.registers[to] = state.get(from)?.clone(),
            0xb7 => state.registers[to] = Value::Constant(immediate),
            0x07 => {
                state.registers[to] = match state.get(to)? {
                    Value::Stack(slot) => Value::Stack(slot + immediate),
                    _ => Value::Number,
                }
            }
            0x0f => {
                state.get(from)?;
                state.get(to)?;
                state.registers[to] = Value::Number;
            }
            0x27 | 0x57 | 0x67 | 0x77 => {
                state.get(to)?;
                state.registers[to] = Value::Number;
            }
            0x61 | 0x79 => {
                state.registers[to] = match state.get(from)? {
                    Value::Stack(0) => {
                        state.read(slot, width, width)?;
                        Value::Number
                    }
                    Value::Counter if slot == 0 && width == 4 => Value::Number,
                    Value::Typed(of) => {
                        typed = true;
                        self.load(of, offset, width as u32)?
                    }
                    other => return Err(format!("a load by way of {other:?}")),
                }
            }
            0x63 | 0x7b => {
                let whole = state.get(from)? != &Value::Counter;
                if to != 10 || !whole {
                    return Err("a store to somewhere else".to_owned());
                }
                state.write(slot, width, width)?;
            }
            0x05 => return Ok(([jump()?, None], false)),
            0x15 | 0x55 | 0xb5 => {
                state.get(to)?;
                return Ok(([next, jump()?], false));
            }
            0x1d | 0x5d | 0xbd => {
                state.get(from)?;
                state.get(to)?;
                return Ok(([next, jump()?], false));
            }
            0x85 => {
                let answer = self.call(from, immediate, state)?;
                state.registers[1..6].fill(Value::Unset);
                state.registers[0] = answer;
            }
            0x95 => {
                state.get(0)?;
                return Ok(([None; 2], false));
            }
            _ => return Err("an instruction that nobody writes".to_owned()),
        }
        Ok(([next, None], typed))
    }

    /// What is loaded from an offset into one of these types.
    fn load(&self, of: &[u32], offset: i16, width: u32) -> Result<Value, String> {
        let offset = u32::try_from(offset).map_err(|_| "a load from before a type")?;
        let mut found = Vec::new();
        for &one in of {
            match self.plain.at(one, offset, width) {
                Some(there) => found.extend(there),
                None => return Ok(Value::Typed(Vec::new())),
            }
        }
        if found.is_empty() && !of.is_empty() {
            return Err(format!("types {of:?} have nothing of {width} bytes at {offset}"));
        }
        let mut pointees: Vec<u32> = found.iter().filter_map(|&one| self.plain.pointee(one)).collect();
        pointees.sort_unstable();
        pointees.dedup();
        Ok(if pointees.is_empty() { Value::Number } else { Value::Typed(pointees) })
    }

    fn call(&self, how: usize, function: i32, state: &mut State) -> Result<Value, String> {
        let [cast, new, next, destroy] = self.functions;
        match how {
            0 if function == 113 => {
                let (slot, bytes) = state.buffer(1, 2)?;
                state.get(3)?;
                state.write(slot, bytes, 1)?;
                return Ok(Value::Number);
            }
            0 if function == 127 => {
                let (slot, bytes) = state.buffer(2, 3)?;
                if !matches!(state.get(1)?, Value::Typed(_)) || bytes != self.record {
                    return Err("that tells something else".to_owned());
                }
                state.read(slot, bytes, 8)?;
                return Ok(Value::Number);
            }
            2 if Some(function as u32) == cast => {
                state.get(1)?;
                let Value::Constant(of) = state.get(2)? else { return Err("a cast to anything".to_owned()) };
                return Ok(Value::Typed(vec![*of as u32]));
            }
            2 => {}
            _ => return Err(format!("call {function} of sort {how}")),
        }
        let Value::Stack(slot) = *state.get(1)? else { return Err("a loop that is not on the stack".to_owned()) };
        match Some(function as u32) {
            id if id == new => {
                state.get(2)?;
                state.get(3)?;
                state.write(slot, 8, 8)?;
                Ok(Value::Number)
            }
            id if id == next => state.read(slot, 8, 8).map(|()| Value::Counter),
            id if id == destroy => state.read(slot, 8, 8).map(|()| Value::Number),
            _ => Err(format!("call of function {function}")),
        }
    }
}
