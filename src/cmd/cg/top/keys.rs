//! From the bytes that a terminal sends to keys. Pure.
//!
//! Escape is a key of its own and the beginning of others. On a slow line the rest of those may come later: then the bytes are kept, and
//! whoever reads decides when nothing more is to be expected. See `console_codes(4)`.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A letter, a digit, a mark; also space.
    Char(char),
    /// Ctrl with a letter.
    Ctrl(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    /// F1 to F12.
    Function(u8),
    /// Another one, which means nothing here.
    Other,
}

/// Longer sequences are no keys: what comes is not from a keyboard.
const LONGEST: usize = 32;

/// Bytes that have come and are no whole key yet.
#[derive(Default)]
pub(super) struct Keys {
    bytes: Vec<u8>,
}

impl Keys {
    /// Takes what has come.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Says whether the beginning of a key is there, and not yet its end.
    pub(super) fn is_waiting(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Returns the next whole key. `over` says that nothing more is to be expected: what is there is all there is of it.
    pub(super) fn next(&mut self, over: bool) -> Option<Key> {
        let (key, length) = match key(&self.bytes) {
            Parsed::Key(key, length) => (key, length),
            Parsed::Nothing => return None,
            Parsed::Begun if !over && self.bytes.len() < LONGEST => return None,
            // The first byte stands for itself then.
            Parsed::Begun if self.bytes[0] == 0x1b => (Key::Escape, 1),
            Parsed::Begun => (Key::Other, 1),
        };
        self.bytes.drain(..length);
        Some(key)
    }
}

enum Parsed {
    /// A key, and how many bytes it takes.
    Key(Key, usize),
    /// The beginning of one.
    Begun,
    Nothing,
}

fn key(bytes: &[u8]) -> Parsed {
    let Some(&first) = bytes.first() else { return Parsed::Nothing };
    let key = match first {
        0x1b => return after_escape(bytes),
        b'\r' | b'\n' => Key::Enter,
        0x08 | 0x7f => Key::Backspace,
        1..=26 => Key::Ctrl(char::from(first - 1 + b'a')),
        0..0x20 => Key::Other,
        0x20..0x80 => Key::Char(char::from(first)),
        0x80.. => return character(bytes),
    };
    Parsed::Key(key, 1)
}

/// A character that takes several bytes.
fn character(bytes: &[u8]) -> Parsed {
    let length = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Parsed::Key(Key::Other, 1),
    };
    let whole = &bytes[..bytes.len().min(length)];
    match std::str::from_utf8(whole) {
        Ok(text) => Parsed::Key(text.chars().next().map_or(Key::Other, Key::Char), length),
        Err(error) if error.error_len().is_none() => Parsed::Begun,
        Err(_) => Parsed::Key(Key::Other, 1),
    }
}

fn after_escape(bytes: &[u8]) -> Parsed {
    match bytes.get(1) {
        None => Parsed::Begun,
        Some(b'[') => control_sequence(bytes),
        // As the keypad does in application mode, and some terminals for F1 to F4.
        Some(b'O') => match bytes.get(2) {
            None => Parsed::Begun,
            Some(&end) => Parsed::Key(named(end, 1), 3),
        },
        // Another key after it, which on a slow line may come together with it. Alt looks the same, and means nothing here.
        Some(_) => Parsed::Key(Key::Escape, 1),
    }
}

/// `ESC [`, numbers with semicolons, and a letter or `~`.
fn control_sequence(bytes: &[u8]) -> Parsed {
    // The console of Linux sends F1 to F5 in a way of its own.
    if bytes.get(2) == Some(&b'[') {
        return match bytes.get(3) {
            None => Parsed::Begun,
            Some(&letter @ b'A'..=b'E') => Parsed::Key(Key::Function(letter - b'A' + 1), 4),
            Some(_) => Parsed::Key(Key::Other, 4),
        };
    }
    let Some(end) = bytes[2..].iter().position(|byte| !matches!(byte, 0x20..=0x3f)) else { return Parsed::Begun };
    let length = 2 + end + 1;
    let last = bytes[2 + end];
    // Another key begins before this one ends: the rest was lost.
    if !(0x20..0x7f).contains(&last) {
        return Parsed::Key(Key::Other, length - 1);
    }
    let numbers = &bytes[2..2 + end];
    let first = numbers.split(|&byte| byte == b';').next().unwrap_or_default();
    let number = crate::model::id::parse_decimal(first).unwrap_or(1u8);
    Parsed::Key(named(last, number), length)
}

fn named(end: u8, number: u8) -> Key {
    match (end, number) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', 1 | 7) => Key::Home,
        (b'F', _) | (b'~', 4 | 8) => Key::End,
        (b'M', _) => Key::Enter,
        (b'P'..=b'S', _) => Key::Function(end - b'P' + 1),
        (b'~', 5) => Key::PageUp,
        (b'~', 6) => Key::PageDown,
        (b'~', 11..=15) => Key::Function(number - 10),
        (b'~', 17..=21) => Key::Function(number - 11),
        (b'~', 23 | 24) => Key::Function(number - 12),
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8], over: bool) -> Vec<Key> {
        let mut keys = Keys::default();
        keys.feed(bytes);
        std::iter::from_fn(|| keys.next(over)).collect()
    }

    #[test]
    fn keys_are_known_by_what_terminals_send() {
        for (bytes, key) in [
            ("q", Key::Char('q')),
            (" ", Key::Char(' ')),
            ("ä", Key::Char('ä')),
            ("日", Key::Char('日')),
            ("\r", Key::Enter),
            ("\x03", Key::Ctrl('c')),
            ("\x1a", Key::Ctrl('z')),
            ("\x7f", Key::Backspace),
            ("\x1b[A", Key::Up),
            ("\x1bOB", Key::Down),
            ("\x1b[1;5C", Key::Right),
            ("\x1b[D", Key::Left),
            ("\x1b[H", Key::Home),
            ("\x1b[1~", Key::Home),
            ("\x1b[4~", Key::End),
            ("\x1bOF", Key::End),
            ("\x1b[5~", Key::PageUp),
            ("\x1b[6~", Key::PageDown),
            ("\x1bOP", Key::Function(1)),
            ("\x1b[[A", Key::Function(1)),
            ("\x1b[15~", Key::Function(5)),
            ("\x1b[17~", Key::Function(6)),
            ("\x1b[21~", Key::Function(10)),
            ("\x1b[24~", Key::Function(12)),
            ("\x1b[3~", Key::Other),
            ("\x1b[?1;2c", Key::Other),
        ] {
            assert_eq!(all(bytes.as_bytes(), false), [key], "{bytes:?}");
        }
        assert_eq!(all(b"\xff\xc3(", false), [Key::Other, Key::Other, Key::Char('(')]);
        assert_eq!(all(b"jk\x1b[Aq", false), [Key::Char('j'), Key::Char('k'), Key::Up, Key::Char('q')]);
    }

    #[test]
    fn escape_alone_is_one_only_when_nothing_follows() {
        let mut keys = Keys::default();
        keys.feed(b"\x1b");
        assert_eq!((keys.next(false), keys.is_waiting()), (None, true));
        keys.feed(b"[");
        assert_eq!(keys.next(false), None);
        keys.feed(b"B");
        assert_eq!((keys.next(false), keys.is_waiting()), (Some(Key::Down), false));
        assert_eq!(all(b"\x1b", true), [Key::Escape]);
        assert_eq!(all(b"\x1b\x1b[A", false), [Key::Escape, Key::Up]);
        assert_eq!(all(b"\x1bq", false), [Key::Escape, Key::Char('q')]);
        assert_eq!(all(b"\x1b[1\x1b[A", false), [Key::Other, Key::Up]);
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let keys = all(&[b"\x1b[".as_slice(), &[b'1'; 100]].concat(), false);
        assert_eq!(keys[0], Key::Escape);
        assert!(keys.contains(&Key::Char('1')));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_stay(bytes in proptest::collection::vec(any::<u8>(), 0..60), cut in 0usize..60) {
            let cut = cut.min(bytes.len());
            let mut keys = Keys::default();
            keys.feed(&bytes[..cut]);
            while keys.next(false).is_some() {}
            keys.feed(&bytes[cut..]);
            while keys.next(true).is_some() {}
            prop_assert!(!keys.is_waiting());
        }
    }
}
