//! A record that has some of everything.

use super::Record;

record! {
    /// One.
    struct One {
        time: u64 = "time",
        name: [u8; 16] = "name",
        id: u32 = "parent->id",
        own: u32,
        last: u32 = "last",
    }
}

#[test]
fn the_table_is_that_of_the_struct() {
    let table: Vec<_> = One::FIELDS.iter().map(|field| (field.offset, field.bytes, field.path)).collect();
    let expected = [
        (0, 8, Some("time")),
        (8, 16, Some("name")),
        (24, 4, Some("parent->id")),
        (28, 4, None),
        (32, 4, Some("last")),
    ];
    assert_eq!(table, expected);
    assert_eq!(One::BYTES, 36, "without what is behind the last field");
    assert_eq!(One::SLOT, -40, "the stack has words of eight bytes");
}

#[test]
fn what_is_read_is_what_was_told() {
    let mut bytes = Vec::from(0x0102_0304_0506_0708u64.to_ne_bytes());
    bytes.extend(b"a name\0\0\0\0\0\0\0\0\0\0");
    bytes.extend([7u32, 8, 9].into_iter().flat_map(u32::to_ne_bytes));
    let expected = One { time: 0x0102_0304_0506_0708, name: *b"a name\0\0\0\0\0\0\0\0\0\0", id: 7, own: 8, last: 9 };
    assert_eq!(bytes.len(), One::BYTES);
    assert_eq!(One::read(&bytes), expected);
    // What is short is read as far as whole fields go.
    let nothing = One { time: 0, name: [0; 16], id: 0, own: 0, last: 0 };
    for length in 0..bytes.len() {
        let whole = |end, value: u32| if length >= end { value } else { 0 };
        let expected = One {
            time: if length >= 8 { expected.time } else { 0 },
            name: if length >= 24 { expected.name } else { nothing.name },
            id: whole(28, 7),
            own: whole(32, 8),
            last: 0,
        };
        assert_eq!(One::read(&bytes[..length]), expected, "{length} bytes");
    }
    bytes.push(1);
    assert_eq!(One::read(&bytes), expected, "what is behind does not matter");
}
