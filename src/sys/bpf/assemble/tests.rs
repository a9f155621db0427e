//! Programs as literal bytes: those of `Documentation/bpf/standardization/instruction-set.rst`, on machines that begin
//! with the low byte.

use super::*;
use crate::sys::bpf::btf::Named;
use crate::sys::bpf::btf::built::Built;
use crate::sys::bpf::btf::plain::Plain;
use crate::sys::bpf::record::record;

record! {
    /// What is told.
    struct Told {
        start: u64 = "start",
        name: [u8; 16] = "name",
        id: u32 = "id",
        own: u32,
        parent: u32 = "parent->id",
    }
}

/// A context that leads to a task: `struct context { meta *; task * }`.
fn types() -> Vec<u8> {
    let mut built = Built::new();
    let (int, long, byte) = (built.int("int", 4), built.int("long", 8), built.int("char", 1));
    let (text, longs) = (built.array(byte, 16), built.array(long, 2));
    let seq = built.lay_out("seq", &[("size", long)]);
    let seq = built.pointer(seq);
    let meta = built.lay_out("meta", &[("number", long), ("seq", seq)]);
    let meta = built.pointer(meta);
    let (own, nothing) = (built.pointer(TypeId(built.next().0 + 4)), built.pointer(TypeId(0)));
    let pages = built.array(long, 1 << 12);
    let ids = built.lay_out("ids", &[("a", int), ("b", int)]);
    let task = built.lay_out(
        "task",
        &[
            ("id", int),
            ("flags", int),
            ("start", long),
            ("name", text),
            ("parent", own),
            ("data", nothing),
            ("longs", longs),
            ("ids", ids),
            ("pages", pages),
            ("far", long),
        ],
    );
    let task = built.pointer(task);
    let context = built.structure("context", 16, &[("meta", meta, 0), ("task", task, 64)]);
    assert_eq!(Btf::new(&built.bytes()).and_then(|mut btf| btf.find([Named::Struct("context")])), Ok([context]));
    built.bytes()
}

/// With a function that casts and those that count.
const ALL: Functions = Functions { cast: Some(TypeId(70)), count: Some([TypeId(71), TypeId(72), TypeId(73)]) };

/// What cannot fail.
type Instruct = fn(&mut Assembler<'_, '_>);
/// What can.
type Write = fn(&mut Assembler<'_, '_>) -> Result<(), BtfError>;

/// A program, without the first instruction and the last two, which are always the same.
fn assemble(
    functions: Functions,
    write: impl FnOnce(&mut Assembler<'_, '_>) -> Result<(), BtfError>,
) -> Result<String, BtfError> {
    let types = types();
    let mut btf = Btf::new(&types)?;
    let [context] = btf.find([Named::Struct("context")])?;
    let mut program = Assembler::new(&mut btf, context, functions, -8);
    write(&mut program)?;
    let lines: Vec<String> = program.finish()?.into_iter().map(|one| hex(one.to_bytes())).collect();
    assert_eq!(lines.first().map(String::as_str), Some("bf 16 0000 00000000"), "r6 = r1");
    assert_eq!(lines[lines.len() - 2..], ["b7 00 0000 00000000", "95 00 0000 00000000"], "r0 = 0; exit");
    Ok(lines[1..lines.len() - 2].join("\n"))
}

fn hex(bytes: [u8; 8]) -> String {
    let part = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    [&bytes[..1], &bytes[1..2], &bytes[2..4], &bytes[4..]].map(part).join(" ")
}

fn check(functions: Functions, write: impl FnOnce(&mut Assembler<'_, '_>) -> Result<(), BtfError>, expected: &[&str]) {
    if cfg!(target_endian = "little") {
        assert_eq!(assemble(functions, write), Ok(expected.join("\n")));
    }
}

#[test]
fn instructions_are_those_of_the_document() {
    let cases: [(Instruct, &[&str]); 16] = [
        (|p| p.copy(Reg::R1, Reg::R10), &["bf a1 0000 00000000"]),
        (|p| p.copy(Reg::R1, Reg::R1), &[""]),
        (|p| p.set(Reg::R9, -2), &["b7 09 0000 feffffff"]),
        (|p| p.add(Reg::R2, 0x1234), &["07 02 0000 34120000"]),
        (|p| p.add_register(Reg::R3, Reg::R4), &["0f 43 0000 00000000"]),
        (|p| p.multiply(Reg::R5, 16), &["27 05 0000 10000000"]),
        (|p| p.and(Reg::R7, 1), &["57 07 0000 01000000"]),
        (|p| p.shift_left(Reg::R8, 3), &["67 08 0000 03000000"]),
        (|p| p.shift_right(Reg::R8, 1), &["77 08 0000 01000000"]),
        (|p| p.store(4, -12, Reg::R2), &["63 2a f4ff 00000000"]),
        (|p| p.store(8, -16, Reg::R3), &["7b 3a f0ff 00000000"]),
        (|p| p.fetch(4, Reg::R2, -12), &["61 a2 f4ff 00000000"]),
        (|p| p.fetch(8, Reg::R9, -512), &["79 a9 00fe 00000000"]),
        (|p| p.end(), &["05 00 0000 00000000"]),
        (
            |p| p.read_kernel(-24, 4, Reg::R7),
            &[
                "bf 73 0000 00000000",
                "bf a1 0000 00000000",
                "07 01 0000 e8ffffff",
                "b7 02 0000 04000000",
                "85 00 0000 71000000",
            ],
        ),
        (
            |p| p.read_number(8, Reg::R7, Reg::R3),
            &[
                "bf a1 0000 00000000",
                "07 01 0000 f8ffffff",
                "b7 02 0000 08000000",
                "85 00 0000 71000000",
                "79 a7 f8ff 00000000",
            ],
        ),
    ];
    for (write, expected) in cases {
        check(
            ALL,
            |p| {
                write(p);
                Ok(())
            },
            expected,
        );
    }
}

#[test]
fn a_record_is_told_by_way_of_the_context() {
    check(
        ALL,
        |p| p.tell(-40, 36),
        &[
            "79 61 0000 00000000",
            "79 11 0800 00000000",
            "bf a2 0000 00000000",
            "07 02 0000 d8ffffff",
            "b7 03 0000 24000000",
            "85 00 0000 7f000000",
        ],
    );
}

#[test]
fn jumps_lead_forward_and_backward() {
    check(
        ALL,
        |p| {
            let (again, after) = (p.label(), p.label());
            p.place(again);
            p.jump_if(Reg::R1, If::Equal, Reg::R2, after);
            p.jump_if_number(Reg::R1, If::Differ, -1, again);
            p.jump_if(Reg::R3, If::AtMost, Reg::R4, after);
            p.jump_if_number(Reg::R3, If::AtMost, 64, after);
            p.jump(again);
            p.end_if_zero(Reg::R7);
            p.place(after);
            p.end();
            Ok(())
        },
        &[
            "1d 21 0500 00000000",
            "55 01 feff ffffffff",
            "bd 43 0300 00000000",
            "b5 03 0200 40000000",
            "05 00 fbff 00000000",
            "15 07 0100 00000000",
            "05 00 0000 00000000",
        ],
    );
}

#[test]
fn jumps_that_lead_nowhere_are_refused() {
    let nowhere = Err(BtfError::Malformed("a jump of the program leads nowhere"));
    let never_placed: Write = |p| {
        let label = p.label();
        p.jump(label);
        Ok(())
    };
    assert_eq!(assemble(ALL, never_placed), nowhere);
    let not_jumped_to: Write = |p| {
        p.label();
        Ok(())
    };
    assert_eq!(assemble(ALL, not_jumped_to), Ok(String::new()), "unless nobody jumps there");
    let forward = |count| {
        assemble(ALL, |p| {
            p.end();
            (0..count).for_each(|_| p.add(Reg::R1, 1));
            Ok(())
        })
    };
    let backward = |count| {
        assemble(ALL, |p| {
            let again = p.label();
            p.place(again);
            (0..count).for_each(|_| p.add(Reg::R1, 1));
            p.jump(again);
            Ok(())
        })
    };
    // The jump itself is one more on the way back.
    assert!(forward(0x7fff).is_ok() && backward(0x7fff).is_ok());
    assert_eq!(forward(0x8000), nowhere);
    assert_eq!(backward(0x8000), nowhere);
}

/// The task that all begins with.
fn task(program: &mut Assembler<'_, '_>) -> Result<Pointer, BtfError> {
    program.argument(Reg::R7, "task")
}

#[test]
fn loads_follow_paths() {
    check(
        ALL,
        |p| {
            let task = task(p)?;
            p.load_number(4, Reg::R1, task, "flags")?;
            p.load_number(8, Reg::R2, task, "parent->parent->start")?;
            p.load_pointer(Reg::R8, task, "parent")?;
            p.load_number(4, Reg::R8, task, "parent->ids.b")?;
            let nothing = p.load_pointer(Reg::R1, task, "data")?;
            assert_eq!(nothing.to, TypeId(0));
            Ok(())
        },
        &[
            "79 67 0800 00000000",
            "15 07 0800 00000000",
            "61 71 0400 00000000",
            "79 72 2000 00000000",
            "79 22 2000 00000000",
            "79 22 0800 00000000",
            "79 78 2000 00000000",
            "79 78 2000 00000000",
            "61 88 4400 00000000",
            "79 71 2800 00000000",
        ],
    );
}

#[test]
fn fields_of_a_record_go_to_their_places() {
    assert_eq!((Told::SLOT, Told::BYTES), (-40, 36));
    check(
        ALL,
        |p| {
            let task = task(p)?;
            p.keep_all::<Told>(Reg::R9, task)
        },
        &[
            "79 67 0800 00000000",
            "15 07 0b00 00000000",
            // start
            "79 79 0800 00000000",
            "7b 9a d8ff 00000000",
            // name
            "79 71 1000 00000000",
            "7b 1a e0ff 00000000",
            "79 71 1800 00000000",
            "7b 1a e8ff 00000000",
            // id
            "61 79 0000 00000000",
            "63 9a f0ff 00000000",
            // parent->id
            "79 79 2000 00000000",
            "61 99 0000 00000000",
            "63 9a f8ff 00000000",
        ],
    );
}

#[test]
fn what_is_not_as_expected_is_refused() {
    let size = |path, is, expected| BtfError::Size { path, is, expected };
    let absent = |path, at: &str| BtfError::NoMember { path, at: at.to_owned() };
    let cases: [(Write, BtfError); 14] = [
        (|p| task(p).and_then(|task| p.load_number(8, Reg::R1, task, "id")), size("id", 4, 8)),
        (|p| task(p).and_then(|task| p.load_number(4, Reg::R1, task, "parent->start")), size("parent->start", 8, 4)),
        (|p| task(p).and_then(|task| p.load_number(8, Reg::R1, task, "name")), size("name", 16, 8)),
        (|p| task(p).and_then(|task| p.keep(-8, 8, Reg::R1, task, "flags")), size("flags", 4, 8)),
        (|p| task(p).and_then(|task| p.keep(-24, 24, Reg::R2, task, "name")), size("name", 16, 24)),
        (|p| task(p).and_then(|task| p.keep(-16, 16, Reg::R2, task, "longs")), absent("longs", "text longs")),
        (|p| task(p).and_then(|task| p.load_number(4, Reg::R1, task, "parent->pid")), absent("parent->pid", "pid")),
        (|p| task(p).and_then(|task| p.load_number(4, Reg::R1, task, "child->id")), absent("child", "child")),
        (|p| task(p).and_then(|task| p.load_number(4, Reg::R1, task, "start->id")), absent("start", "pointer start")),
        (|p| task(p).and_then(|task| p.load_number(4, Reg::R1, task, "data->id")), absent("data->id", "id")),
        (|p| p.argument(Reg::R7, "file").map(|_| ()), absent("file", "file")),
        (|p| task(p).and_then(|task| p.element(task.to, "id").map(|_| ())), absent("id", "array id")),
        (|p| task(p).and_then(|task| p.pointee(task.to, "id").map(|_| ())), absent("id", "pointer id")),
        (
            |p| task(p).and_then(|task| p.load_number(8, Reg::R1, task, "far")),
            BtfError::Malformed("a member lies too far behind"),
        ),
    ];
    for (place, (write, expected)) in cases.into_iter().enumerate() {
        assert_eq!(assemble(ALL, write), Err(expected), "case {place}");
    }
}

#[test]
fn places_and_types_are_told_without_a_load() {
    check(
        ALL,
        |p| {
            let task = task(p)?;
            let long = p.element(task.to, "longs")?;
            assert_eq!(p.element(task.to, "pages")?, long);
            assert_eq!(p.element_bytes(task.to, "longs")?, 8);
            assert_eq!(p.element_bytes(task.to, "name")?, 1);
            assert_eq!(p.offset(task.to, "longs")?, 48);
            assert_eq!(p.offset(task.to, "ids.b")?, 68);
            assert_eq!(p.offset(task.to, "far")?, 72 + 8 * (1 << 12));
            assert_eq!(p.pointee(task.to, "parent")?, task.to);
            assert_eq!(p.pointee_of(task.to, "parent", 1)?, task.to);
            assert!(p.pointee_of(task.to, "parent", 2).is_err());
            Ok(())
        },
        &["79 67 0800 00000000", "15 07 0000 00000000"],
    );
}

#[test]
fn a_number_is_cast_where_the_kernel_can_or_read_where_it_cannot() {
    let write: Write = |p| {
        let task = task(p)?;
        let other = p.assume(Reg::R1, task.to);
        p.load_number(4, Reg::R1, other, "parent->flags")
    };
    let types = types();
    let id = Plain::new(&types).and_then(|plain| plain.first(4, "task")).expect("a task");
    let cast = format!("b7 02 0000 {id:02x}000000");
    let begin = ["79 67 0800 00000000", "15 07 0500 00000000"];
    let with = [&cast, "85 20 0000 46000000", "bf 01 0000 00000000", "79 11 2000 00000000", "61 11 0400 00000000"];
    check(ALL, write, &[&begin[..], &with].concat());
    let read = |bytes, then| ["bf a1 0000 00000000", "07 01 0000 f8ffffff", bytes, "85 00 0000 71000000", then];
    let without = [
        &["79 67 0800 00000000", "15 07 0e00 00000000", "bf 13 0000 00000000", "07 03 0000 20000000"][..],
        &read("b7 02 0000 08000000", "79 a1 f8ff 00000000"),
        &["bf 13 0000 00000000", "07 03 0000 04000000"],
        &read("b7 02 0000 04000000", "61 a1 f8ff 00000000"),
    ];
    check(Functions::default(), write, &without.concat());
}

#[test]
fn a_pointer_that_is_vouched_for_is_cast_only_where_the_kernel_can() {
    let write: Write = |p| {
        let task = task(p)?;
        p.unvouched(task);
        p.load_number(4, Reg::R1, task, "id")
    };
    check(Functions::default(), write, &["79 67 0800 00000000", "15 07 0100 00000000", "61 71 0000 00000000"]);
}

#[test]
fn counting_calls_functions_by_their_types() {
    let write: Write = |p| {
        let (next, done) = (p.label(), p.label());
        p.count(-16, Reg::R9);
        p.place(next);
        p.count_on(-16, Reg::R8, done);
        p.jump(next);
        p.place(done);
        p.count_no_more(-16);
        Ok(())
    };
    let expected = [
        "bf 93 0000 00000000",
        "b7 02 0000 00000000",
        "bf a1 0000 00000000",
        "07 01 0000 f0ffffff",
        "85 20 0000 47000000",
        "bf a1 0000 00000000",
        "07 01 0000 f0ffffff",
        "85 20 0000 48000000",
        "15 00 0200 00000000",
        "61 08 0000 00000000",
        "05 00 faff 00000000",
        "bf a1 0000 00000000",
        "07 01 0000 f0ffffff",
        "85 20 0000 49000000",
    ];
    check(ALL, write, &expected);
}
