//! Text that comes from strangers, made fit for a terminal: escaped, measured, cut.
//!
//! Names, command lines and paths are chosen by the processes that nsx looks at. A terminal obeys escape sequences, and reorders
//! text by bidi marks, so none of them is ever passed on.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Returns the text with everything escaped that a terminal would obey, or that would make it show something else than is there.
///
/// Control characters and bytes that are no UTF-8 become `\xNN`, formatting characters (bidi marks and overrides, zero-width
/// characters, line separators, tags) `\u{NNNN}`; newline and tab `\n` and `\t`.
pub fn sanitize(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.chars().any(is_unsafe)
    {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => clean.push_str("\\n"),
                '\t' => clean.push_str("\\t"),
                '\r' => clean.push_str("\\r"),
                unsafe_one if is_unsafe(unsafe_one) => {
                    let code = u32::from(unsafe_one);
                    // Writing to a string does not fail.
                    let _ =
                        if code < 0x100 { write!(clean, "\\x{code:02x}") } else { write!(clean, "\\u{{{code:x}}}") };
                }
                plain => clean.push(plain),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(clean, "\\x{byte:02x}");
        }
    }
    Cow::Owned(clean)
}

/// Says whether a terminal would do something else with a character than show it in its place.
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns how many columns of a terminal the text takes.
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// Returns the text cut to a number of columns; where something is left out it ends with `…`.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut taken = 0;
    let mut kept = String::new();
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if taken + wide + 1 > columns {
            break;
        }
        taken += wide;
        kept.push(character);
    }
    if columns > 0 {
        kept.push('…');
    }
    Cow::Owned(kept)
}

/// Breaks a text between words. What is too long for a line has one of its own.
pub fn wrap(text: &str, columns: Option<usize>) -> Vec<String> {
    let Some(columns) = columns else { return vec![text.to_owned()] };
    let mut lines = vec![String::new()];
    let mut taken = 0;
    for word in text.split(' ') {
        let wide = self::width(word);
        if taken > 0 && taken + 1 + wide > columns {
            lines.push(String::new());
            taken = 0;
        }
        if let Some(line) = lines.last_mut() {
            if taken > 0 {
                line.push(' ');
                taken += 1;
            }
            line.push_str(word);
            taken += wide;
        }
    }
    lines
}

/// Returns the end of the text that fits into a number of columns; where something is left out it begins with `…`.
pub fn cut_start(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut taken = 0;
    let mut start = text.len();
    for (at, character) in text.char_indices().rev() {
        let wide = character.width().unwrap_or(0);
        if taken + wide + 1 > columns {
            break;
        }
        taken += wide;
        start = at;
    }
    let mark = if columns > 0 { "…" } else { "" };
    Cow::Owned(format!("{mark}{}", &text[start..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_escaped() {
        for (bytes, clean) in [
            (&b"plain"[..], "plain"),
            (b"\x1b[31mred", "\\x1b[31mred"),
            (b"a\nb\tc\rd\x00\x7f", "a\\nb\\tc\\rd\\x00\\x7f"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("\u{9b}31m".as_bytes(), "\\x9b31m"),
            ("abc\u{202e}cba\u{2066}".as_bytes(), "abc\\u{202e}cba\\u{2066}"),
            ("\u{feff}\u{200b}x\u{2028}".as_bytes(), "\\u{feff}\\u{200b}x\\u{2028}"),
            ("naïve 日本 ✓".as_bytes(), "naïve 日本 ✓"),
        ] {
            assert_eq!(sanitize(bytes), clean);
        }
    }

    #[test]
    fn a_text_is_cut_to_columns_and_not_to_characters() {
        assert_eq!(cut("command", 7), "command");
        assert_eq!(cut("command", 6), "comma…");
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("command", 1), "…");
        assert_eq!(cut("command", 0), "");
        assert_eq!(cut_start("command", 7), "command");
        assert_eq!(cut_start("command", 6), "…mmand");
        assert_eq!(cut_start("日本語", 4), "…語");
        assert_eq!(cut_start("command", 0), "");
    }

    #[test]
    fn a_text_is_broken_between_words() {
        assert_eq!(wrap("a bc def", Some(4)), ["a bc", "def"]);
        assert_eq!(wrap("abcdef g", Some(4)), ["abcdef", "g"]);
        assert_eq!(wrap("a bc def", None), ["a bc def"]);
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "\\PC{0,20}") {
            prop_assert!(!sanitize(&bytes).chars().any(is_unsafe));
            prop_assert!(!sanitize(text.as_bytes()).chars().any(is_unsafe));
        }

        #[test]
        fn no_cut_is_wider_than_allowed(text in "\\PC{0,30}", columns in 0usize..40) {
            prop_assert!(width(&cut(&text, columns)) <= columns.max(width("")));
            prop_assert!(width(&cut_start(&text, columns)) <= columns.max(width("")));
        }
    }
}
