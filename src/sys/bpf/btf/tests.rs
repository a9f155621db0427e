//! What is found in BTF that is built here, sound and spoiled, and in that of the kernel.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::built::Built;
use super::plain::Plain;
use super::*;

type Found = Result<(u32, u32), BtfError>;

/// Where a member is, and how many bytes it has.
fn member(built: &Built, of: TypeId, path: &'static str) -> Found {
    let bytes = built.bytes();
    Btf::new(&bytes)?.member(of, path, path).map(|member| (member.offset, member.size))
}

fn absent(path: &'static str, at: &str) -> BtfError {
    BtfError::NoMember { path, at: at.to_owned() }
}

#[test]
fn members_are_found_also_within_anonymous_ones() {
    let mut built = Built::new();
    let (int, long) = (built.int("int", 4), built.int("long", 8));
    let pair = built.structure("pair", 8, &[("left", int, 0), ("right", int, 32)]);
    let deep = built.structure("", 8, &[("d", int, 0), ("e", int, 32)]);
    let inner = built.structure("", 16, &[("c", int, 0), ("", deep, 64)]);
    let union = built.union("", 16, &[("b", long, 0), ("", inner, 0)]);
    let alias = built.of(8, "pair_t", pair);
    let all = [("a", int, 0), ("", union, 64), ("pair", alias, 192), ("after", long, 256)];
    let outer = built.structure("outer", 40, &all);
    let cases: [(&str, Found); 13] = [
        ("a", Ok((0, 4))),
        ("b", Ok((8, 8))),
        ("c", Ok((8, 4))),
        ("d", Ok((16, 4))),
        ("e", Ok((20, 4))),
        ("pair", Ok((24, 8))),
        ("pair.left", Ok((24, 4))),
        ("pair.right", Ok((28, 4))),
        ("after", Ok((32, 8))),
        // Only what begins with it, only a part of it, what is within a member that has a name, and nothing.
        ("afterwards", Err(absent("afterwards", "afterwards"))),
        ("aft", Err(absent("aft", "aft"))),
        ("right", Err(absent("right", "right"))),
        ("pair.middle", Err(absent("pair.middle", "middle"))),
    ];
    for (path, expected) in cases {
        assert_eq!(member(&built, outer, path), expected, "{path}");
    }
    assert_eq!(member(&built, int, "a"), Err(absent("a", "a")), "that is no struct");
    assert_eq!(member(&built, TypeId(0), "a"), Err(absent("a", "a")), "void has no members");
    assert_eq!(member(&built, outer, ""), Err(absent("", "")), "that has no name");
}

#[test]
fn offsets_are_read_in_both_layouts() {
    let mut built = Built::new();
    let int = built.int("int", 4);
    // Without the flag the upper bits belong to the offset: it is 0x0100_0008 bits.
    let plain = built.structure("plain", 0x40_0000, &[("far", int, 0x0100_0008), ("odd", int, 3)]);
    let fields = [("whole", int, 32), ("bits", int, 3 << 24 | 64), ("aligned", int, 8 << 24 | 64), ("odd", int, 33)];
    let flagged = built.flagged("flagged", 16, &fields);
    let anonymous = built.flagged("outer", 24, &[("", flagged, 64)]);
    assert_eq!(member(&built, plain, "far"), Ok((0x20_0001, 4)));
    assert_eq!(member(&built, plain, "odd"), Err(absent("odd", "odd")));
    assert_eq!(member(&built, flagged, "whole"), Ok((4, 4)));
    assert_eq!(member(&built, anonymous, "whole"), Ok((12, 4)));
    for path in ["bits", "aligned", "odd"] {
        assert_eq!(member(&built, flagged, path), Err(absent(path, path)));
        assert_eq!(member(&built, anonymous, path), Err(absent(path, path)));
    }
}

#[test]
fn chains_are_followed_to_the_type_itself() {
    let mut built = Built::new();
    let int = built.int("int", 4);
    let mut chain = int;
    for kind in [8, 9, 10, 11, 18] {
        chain = built.of(kind, "link", chain);
    }
    let (pointer, to_void) = (built.pointer(chain), built.pointer(TypeId(0)));
    let constant = built.of(10, "", pointer);
    let (array, pointers) = (built.array(chain, 3), built.array(constant, 5));
    let table = built.array(array, 7);
    let enumeration = built.raw("colour", 6 << 24 | 1, 4, &[0, 0], 4);
    let wide = built.raw("wide", 19 << 24 | 1, 8, &[0, 0, 0], 8);
    let float = built.raw("double", 16 << 24, 8, &[], 8);
    let forward = built.raw("unknown", 7 << 24, 0, &[], 0);
    let function = built.function("main");
    let (empty, void_array) = (built.array(int, 0), built.array(TypeId(0), 2));
    let bytes = built.bytes();
    let mut btf = Btf::new(&bytes).expect("sound");
    // Size, what it points to, its elements.
    let cases = [
        (int, Some(4), None, None),
        (chain, Some(4), None, None),
        (pointer, Some(8), Some(int), None),
        (constant, Some(8), Some(int), None),
        (to_void, Some(8), Some(TypeId(0)), None),
        (array, Some(12), None, Some(int)),
        (pointers, Some(40), None, Some(pointer)),
        (table, Some(84), None, Some(array)),
        (enumeration, Some(4), None, None),
        (wide, Some(8), None, None),
        (float, None, None, None),
        (forward, None, None, None),
        (function, None, None, None),
        (empty, Some(0), None, Some(int)),
        (void_array, None, None, None),
        (TypeId(0), None, None, None),
    ];
    for (of, size, pointee, element) in cases {
        assert_eq!(btf.size(of), Ok(size), "size of {of:?}");
        assert_eq!(btf.pointee(of), Ok(pointee), "pointee of {of:?}");
        assert_eq!(btf.element(of), Ok(element), "element of {of:?}");
    }
    let missing = Err(BtfError::Malformed("it has fewer types than it says"));
    assert_eq!(btf.size(built.next()), missing);
    assert_eq!(btf.size(TypeId(u32::MAX)), missing);
}

#[test]
fn the_first_of_a_name_is_found() {
    let mut built = Built::new();
    let int = built.int("task", 4);
    built.of(8, "task", int);
    let function = built.function("task");
    let first = built.structure("task", 4, &[("a", int, 0)]);
    built.structure("task", 8, &[("b", int, 0)]);
    let later = built.structure("task_struct", 8, &[]);
    let bytes = built.bytes();
    let mut btf = Btf::new(&bytes).expect("sound");
    // Once while the list is walked, and once more when it has been.
    for _ in 0..2 {
        let names = [Named::Struct("task_struct"), Named::Struct("task"), Named::Function("task")];
        assert_eq!(btf.find(names), Ok([later, first, function]));
        let names = [Named::Struct("task"), Named::Function("task_struct"), Named::Struct("task")];
        assert_eq!(btf.find_some(names), Ok([Some(first), None, Some(first)]));
        assert_eq!(btf.find(names), Err(BtfError::NoType("task_struct")));
        assert_eq!(btf.find([]), Ok([]));
    }
}

#[test]
fn kinds_that_are_unknown_are_skipped_where_their_length_is_known() {
    let mut built = Built::new();
    let int = built.int("int", 4);
    let before = built.structure("before", 4, &[("a", int, 0)]);
    // Kind 20 has 8 bytes, and 4 for each of its two elements.
    built.raw("news", 20 << 24 | 2, 0, &[1, 2, 3, 4], 0);
    let after = built.structure("after", 4, &[("a", int, 0)]);
    let names = [Named::Struct("before"), Named::Struct("after")];
    let unknown = Err(BtfError::UnknownKind(20));

    let bytes = built.bytes();
    let mut btf = Btf::new(&bytes).expect("sound");
    assert_eq!(btf.find([Named::Struct("before")]), Ok([before]), "what stands before does not matter");
    assert_eq!(btf.member(before, "a", "a").map(|member| member.offset), Ok(0));
    assert_eq!(btf.find(names), unknown.clone());
    assert_eq!(btf.find_some(names), Err(BtfError::UnknownKind(20)));
    assert_eq!(btf.size(after), Err(BtfError::UnknownKind(20)));

    let mut lengths = vec![(99, 99); 20];
    built.describe_kinds(&lengths);
    let bytes = built.bytes();
    assert_eq!(Btf::new(&bytes).expect("sound").find(names), unknown, "the table ends before it");
    lengths.push((8, 4));
    built.describe_kinds(&lengths);
    let bytes = built.bytes();
    let mut btf = Btf::new(&bytes).expect("sound");
    assert_eq!(btf.find(names), Ok([before, after]), "and what is known is not taken from there");
    assert_eq!(btf.size(TypeId(after.0 - 1)), Ok(None));
}

#[test]
fn every_kind_has_the_length_of_the_header() {
    let mut built = Built::new();
    let int = built.int("int", 4);
    for (kind, words) in [(2, 0), (3, 3), (4, 9), (5, 9), (6, 6), (7, 0), (8, 0), (9, 0), (10, 0), (11, 0)] {
        built.raw("one", kind << 24 | 3, int.0, &vec![0; words], 0);
    }
    for (kind, words) in [(12, 0), (13, 6), (14, 1), (15, 9), (16, 0), (17, 1), (18, 0), (19, 9), (1, 1)] {
        built.raw("one", kind << 24 | 3, int.0, &vec![0; words], 0);
    }
    let last = built.structure("last", 4, &[("a", int, 0)]);
    let bytes = built.bytes();
    assert_eq!(Btf::new(&bytes).expect("sound").find([Named::Struct("last")]), Ok([last]));
    assert_eq!(Plain::new(&bytes).and_then(|plain| plain.first(4, "last")), Some(last.0), "the other reader agrees");
    for kind in [0, 20, 127] {
        let mut built = Built::new();
        built.raw("", kind << 24, 0, &[], 0);
        let bytes = built.bytes();
        let found = Btf::new(&bytes).expect("sound").find([Named::Struct("last")]);
        assert_eq!(found, Err(BtfError::UnknownKind(kind as u8)));
    }
}

#[test]
fn chains_without_end_end() {
    let begin = Instant::now();
    for kind in [8, 9, 10, 11, 18] {
        let mut built = Built::new();
        let own = built.next();
        built.of(kind, "own", own);
        let bytes = built.bytes();
        let mut btf = Btf::new(&bytes).expect("sound");
        let endless = BtfError::Malformed("types of types without end");
        assert_eq!(btf.size(own), Err(endless.clone()));
        assert_eq!(btf.pointee(own), Err(endless.clone()));
        assert_eq!(btf.element(own), Err(endless.clone()));
        assert_eq!(btf.member(own, "a", "a"), Err(endless));
    }
    let mut built = Built::new();
    let int = built.int("int", 4);
    let own = built.next();
    built.array(own, 1);
    let nested = built.next();
    built.structure("nested", 8, &[("", nested, 0), ("a", int, 32)]);
    // Each of its members leads to all of them.
    let bush = built.next();
    built.structure("bush", 8, &[("", bush, 0); 64]);
    let far = built.next();
    built.structure("far", u32::MAX, &[("", far, u32::MAX)]);
    let bytes = built.bytes();
    let mut btf = Btf::new(&bytes).expect("sound");
    assert_eq!(btf.size(own), Err(BtfError::Malformed("arrays of arrays without end")));
    assert_eq!(btf.element(own), Ok(Some(own)));
    // As deep as it looks, it finds one, and that does not lie within the struct any more, or does.
    assert_eq!(btf.member(nested, "a", "a").map(|member| member.offset), Ok(4));
    assert_eq!(btf.member(nested, "b", "b"), Err(absent("b", "b")));
    assert_eq!(btf.member(bush, "b", "b"), Err(BtfError::Malformed("members without end")));
    assert_eq!(btf.member(far, "b", "b"), Err(absent("b", "b")));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn what_lies_outside_is_not_handed_out() {
    let mut built = Built::new();
    let (int, byte) = (built.int("int", 4), built.int("char", 1));
    let behind = built.structure("behind", 8, &[("a", int, 32), ("b", int, 40), ("c", int, u32::MAX - 7)]);
    let inner = built.structure("inner", 8, &[("far", int, u32::MAX - 7), ("near", int, 8)]);
    let outer = built.structure("outer", u32::MAX, &[("", inner, u32::MAX - 7), ("named", inner, u32::MAX - 7)]);
    let large = built.array(built.next(), u32::MAX);
    let texts = built.array(byte, u32::MAX);
    let arrays = built.array(texts, 2);
    let wide = built.array(int, 1 << 30);
    let huge = built.structure("huge", u32::MAX, &[("texts", texts, 0), ("more", texts, 8)]);
    let ends_behind = BtfError::Malformed("a member ends behind its struct");
    let too_large = BtfError::Malformed("an array is too large");
    assert_eq!(member(&built, behind, "a"), Ok((4, 4)));
    assert_eq!(member(&built, behind, "b"), Err(ends_behind.clone()));
    assert_eq!(member(&built, behind, "c"), Err(ends_behind.clone()));
    assert_eq!(member(&built, outer, "far"), Err(BtfError::Malformed("an offset is too large")));
    assert_eq!(member(&built, outer, "near"), Err(BtfError::Malformed("an offset is too large")));
    assert_eq!(member(&built, outer, "named.near"), Ok((0x2000_0000, 4)));
    assert_eq!(member(&built, huge, "texts"), Ok((0, u32::MAX)));
    assert_eq!(member(&built, huge, "more"), Err(ends_behind));
    let bytes = built.bytes();
    let mut btf = Btf::new(&bytes).expect("sound");
    assert_eq!(btf.size(texts), Ok(Some(u32::MAX)));
    for of in [large, arrays, wide] {
        assert_eq!(btf.size(of), Err(too_large.clone()), "{of:?}");
    }
}

#[test]
fn a_header_that_is_none_is_refused() {
    let refused = |bytes: &[u8]| Btf::new(bytes).err();
    let outside = BtfError::Malformed("a section lies outside");
    assert_eq!(refused(b""), Some(BtfError::Malformed("it is empty")));
    assert_eq!(refused(b"\x9f"), Some(BtfError::Malformed("it is empty")));
    assert_eq!(refused(b"\x7fELF"), Some(BtfError::Malformed("it does not begin like one")));
    let mut built = Built::new();
    built.int("int", 4);
    built.describe_kinds(&[(0, 0); 20]);
    let sound = built.bytes();
    let mut swapped = sound.clone();
    swapped.swap(0, 1);
    assert_eq!(refused(&swapped), Some(BtfError::Malformed("it does not begin like one")));
    assert_eq!(refused(&sound), None);
    assert_eq!(refused(&sound[..7]), Some(BtfError::Malformed("it ends in its header")));
    for length in 0..sound.len() {
        assert!(matches!(refused(&sound[..length]), Some(BtfError::Malformed(_))), "{length} bytes");
    }
    for place in [4, 8, 12, 16, 20, 24, 28] {
        for value in [sound.len() as u32 + 1, 1 << 31, u32::MAX] {
            let mut bytes = sound.clone();
            bytes[place..place + 4].copy_from_slice(&u32::to_ne_bytes(value));
            assert_eq!(refused(&bytes), Some(outside.clone()), "{value} at {place}");
        }
    }
}

#[test]
fn a_list_that_is_cut_off_says_the_same_or_nothing() {
    let mut built = Built::new();
    let int = built.int("int", 4);
    let array = built.array(int, 4);
    let inner = built.union("", 16, &[("x", array, 0), ("y", int, 0)]);
    let outer = built.structure("outer", 24, &[("a", int, 0), ("", inner, 64)]);
    built.function("after");
    let sound = built.bytes();
    let ask = |bytes: &[u8]| -> Result<_, BtfError> {
        let mut btf = Btf::new(bytes)?;
        let [found] = btf.find([Named::Struct("outer")])?;
        Ok((found, btf.member(found, "x", "x")?, btf.member(found, "a", "a")?))
    };
    let whole = ask(&sound).expect("sound");
    assert_eq!(whole.0, outer);
    let mut same = 0;
    let length = u32::from_ne_bytes(*sound[12..].first_chunk().expect("a header"));
    for length in 0..length {
        let mut bytes = sound.clone();
        bytes[12..16].copy_from_slice(&length.to_ne_bytes());
        match ask(&bytes) {
            Ok(found) => {
                assert_eq!(found, whole, "{length} bytes");
                same += 1;
            }
            Err(BtfError::Malformed(_) | BtfError::NoType("outer")) => {}
            Err(other) => panic!("{length} bytes: {other}"),
        }
    }
    assert_eq!(same, 12, "what stands behind does not matter");
}

#[test]
fn errors_say_what_is_wrong() {
    let cases = [
        (BtfError::Malformed("it is empty"), "the kernel's types are malformed: it is empty"),
        (BtfError::UnknownKind(20), "the kernel's types are of an unknown kind: 20"),
        (BtfError::NoType("socket"), "the kernel's types do not have socket"),
        (absent("a->b", "b"), "the kernel's types do not have a->b: there is no b"),
        (absent("a", "\x1b[1m"), "the kernel's types do not have a: there is no \\u{1b}[1m"),
        (BtfError::Size { path: "a->b", is: 4, expected: 8 }, "the kernel's a->b has 4 bytes, where 8 were expected"),
    ];
    for (error, text) in cases {
        assert_eq!(error.to_string(), text);
    }
}

/// Asks everything of every type, and checks what comes out by the other reader.
fn ask_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (Ok(mut btf), Some(plain)) = (Btf::new(bytes), Plain::new(bytes)) else { return Ok(()) };
    let _ = btf.find_some([Named::Struct("outer"), Named::Function("f"), Named::Struct("")]);
    for id in (0..24).chain([u32::MAX]) {
        let id = TypeId(id);
        let _ = (btf.pointee(id), btf.element(id));
        if let Ok(Some(size)) = btf.size(id) {
            prop_assert_eq!(plain.size(id.0), Some(u64::from(size)));
        }
        for path in ["a", "x", "y", "inner.a", "inner.inner.x"] {
            let Ok(member) = btf.member(id, path, path) else { continue };
            let (Some(whole), Ok(Some(size))) = (plain.size(id.0), btf.size(member.of)) else {
                return Err(TestCaseError::fail("a member without size, or in what has none"));
            };
            prop_assert_eq!(member.size, size);
            prop_assert!(u64::from(member.offset) + u64::from(size) <= whole, "{member:?} in {whole}");
            if let Some(there) = plain.at(id.0, member.offset, size) {
                prop_assert!(there.contains(&plain.behind(member.of.0)), "{member:?} is not among {there:?}");
            }
        }
    }
    Ok(())
}

/// Some of everything, for it to be spoiled.
fn some_of_everything() -> Vec<u8> {
    let mut built = Built::new();
    let (int, byte) = (built.int("int", 4), built.int("char", 1));
    let (text, alias) = (built.array(byte, 16), built.of(8, "int_t", int));
    let constant = built.of(10, "", alias);
    let union = built.union("", 16, &[("x", text, 0), ("y", constant, 0)]);
    let fields = built.flagged("fields", 24, &[("a", int, 3 << 24), ("", union, 64), ("y", int, 32)]);
    let pointer = built.pointer(fields);
    let inner = built.structure("inner", 40, &[("a", pointer, 0), ("inner", fields, 64), ("b", int, 256)]);
    built.function("f");
    built.structure("outer", 56, &[("a", int, 0), ("", fields, 64), ("inner", inner, 128)]);
    built.describe_kinds(&[(0, 0); 22]);
    built.bytes()
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        ask_all(&bytes)?;
    }

    #[test]
    fn no_types_make_it_panic(words in proptest::collection::vec(
        prop_oneof![0u32..24, (0u32..22, 0u32..6, any::<bool>()).prop_map(|(kind, elements, flag)| {
            kind << 24 | elements | u32::from(flag) << 31
        }), any::<u32>()],
        0..120,
    )) {
        let (length, names) = (4 * words.len() as u32, b"\0a\0x\0y\0inner\0outer\0f\0");
        let header = [24, 0, length, length, names.len() as u32];
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        if cfg!(target_endian = "big") {
            bytes.swap(0, 1);
        }
        bytes.extend(header.into_iter().chain(words).flat_map(u32::to_ne_bytes));
        bytes.extend(names);
        ask_all(&bytes)?;
    }

    #[test]
    fn what_is_spoiled_leads_nowhere_else(
        spots in proptest::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 1..5),
    ) {
        let mut bytes = some_of_everything();
        for (spot, how, value) in spots {
            let at = spot.index(bytes.len());
            match how % 4 {
                0 => bytes[at] = value,
                1 => bytes[at] ^= 1 << (value % 8),
                2 => bytes.truncate(at.max(1)),
                _ => {
                    let length = usize::from(value).min(bytes.len() - at);
                    let to = usize::from(how) * 3 % (bytes.len() - length + 1);
                    bytes.copy_within(at..at + length, to);
                }
            }
        }
        ask_all(&bytes)?;
    }
}
