//! Lines of text with nsx's own colours in them, made lines of a screen.
//!
//! Only what [`Style::paint`](crate::render::style::Style::paint) writes is understood; whatever else a terminal would obey is left out.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthChar;

use crate::render::text::is_unsafe;

/// Returns the lines, wrapped to a number of columns.
pub(super) fn lines(text: &str, width: usize, colored: bool) -> Vec<Line<'static>> {
    text.lines().flat_map(|line| wrap(&characters(line, colored), width.max(2))).collect()
}

type Styled = (char, Style);

fn characters(text: &str, colored: bool) -> Vec<Styled> {
    let mut characters = Vec::with_capacity(text.len());
    let mut style = Style::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some((codes, behind)) = escape(rest) {
            for code in codes.split(';') {
                style = apply(style, code, colored);
            }
            rest = behind;
        } else {
            rest = &rest[character.len_utf8()..];
            characters.extend(Some((character, style)).filter(|_| !is_unsafe(character)));
        }
    }
    characters
}

/// Wraps between words. What comes after the first goes on below the second column of the line, where that leaves room.
fn wrap(line: &[Styled], width: usize) -> Vec<Line<'static>> {
    let wide = |(character, _): &Styled| character.width().unwrap_or(0);
    let second = line.windows(3).position(|three| three[0].0 == ' ' && three[1].0 == ' ' && three[2].0 != ' ');
    let hanging = second.map_or(0, |at| line[..at + 2].iter().map(wide).sum());
    let indent = if hanging * 2 <= width { hanging } else { 0 };
    let mut lines = Vec::new();
    let mut rest = line;
    loop {
        let room = if lines.is_empty() { width } else { width - indent };
        let mut column = 0;
        let fits = rest.iter().take_while(|one| {
            column += wide(one);
            column <= room
        });
        let fits = fits.count();
        let (whole, next) = if fits == rest.len() {
            (rest.len(), rest.len())
        } else {
            // A word that does not fit is cut, also one of a single wide character.
            let space = rest[..=fits].iter().rposition(|one| one.0 == ' ').filter(|&at| at > indent);
            space.map_or((fits.max(1), fits.max(1)), |at| (at, at + 1))
        };
        lines.push(joined(if lines.is_empty() { 0 } else { indent }, &rest[..whole]));
        rest = &rest[next..];
        if rest.is_empty() {
            return lines;
        }
    }
}

/// Puts what looks alike together.
fn joined(indent: usize, characters: &[Styled]) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    if indent > 0 {
        spans.push(Span::raw(" ".repeat(indent)));
    }
    for alike in characters.chunk_by(|one, next| one.1 == next.1) {
        spans.push(Span::styled(alike.iter().map(|one| one.0).collect::<String>(), alike[0].1));
    }
    Line::from(spans)
}

/// Returns what is between `ESC [` and `m` at the start of a text, and what is behind that.
fn escape(text: &str) -> Option<(&str, &str)> {
    let (codes, behind) = text.strip_prefix("\x1b[")?.split_once('m')?;
    codes.bytes().all(|byte| byte.is_ascii_digit() || byte == b';').then_some((codes, behind))
}

fn apply(style: Style, code: &str, colored: bool) -> Style {
    let color = match code {
        "" | "0" => return Style::new(),
        "1" => return style.add_modifier(Modifier::BOLD),
        "2" => return style.add_modifier(Modifier::DIM),
        "31" => Color::Red,
        "32" => Color::Green,
        "33" => Color::Yellow,
        "34" => Color::Blue,
        "35" => Color::Magenta,
        "36" => Color::Cyan,
        "39" => Color::Reset,
        _ => return style,
    };
    if colored { style.fg(color) } else { style }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::NsKind;
    use crate::render::style::Style as Meaning;
    use crate::render::text::width;

    #[test]
    fn every_meaning_comes_through() {
        let all = [
            Meaning::Plain,
            Meaning::Heading,
            Meaning::Own,
            Meaning::Initial,
            Meaning::Unoccupied,
            Meaning::Root,
            Meaning::Binding,
            Meaning::Critical,
            Meaning::Warning,
            Meaning::Info,
        ];
        for meaning in all.into_iter().chain(NsKind::ALL.map(Meaning::Kind)) {
            for colored in [false, true] {
                let text = format!("a{}b", meaning.paint().style("x"));
                let line = &lines(&text, 80, colored)[0];
                let spans: Vec<(&str, Style)> = line.spans.iter().map(|span| (&*span.content, span.style)).collect();
                let expected = [("a", Style::new()), ("x", meaning.on_screen(colored)), ("b", Style::new())];
                if meaning.on_screen(colored) == Style::new() {
                    assert_eq!(line.to_string(), "axb");
                } else {
                    assert_eq!(spans, expected, "{meaning:?}");
                }
            }
        }
    }

    #[test]
    fn long_lines_go_on_in_the_next_one() {
        let wrapped =
            |text: &str, width| -> Vec<String> { lines(text, width, true).iter().map(Line::to_string).collect() };
        assert_eq!(wrapped("abcdefghij\n\nkl", 6), ["abcdef", "ghij", "", "kl"]);
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("key  a text of words", 13), ["key  a text", "     of words"]);
        assert_eq!(wrapped("a very long key  text", 13), ["a very long", "key  text"]);
        assert_eq!(wrapped("日本語", 5), ["日本", "語"]);
    }

    proptest! {
        #[test]
        fn nothing_unsafe_and_nothing_too_wide_comes_through(text in "(\\PC|\x1b|\\[|m|;|[0-9]|\u{9b}){0,60}", columns in 0usize..30) {
            for line in lines(&text, columns, true) {
                let line = line.to_string();
                prop_assert!(!line.chars().any(is_unsafe));
                prop_assert!(line.chars().map(|one| width(&one.to_string())).sum::<usize>() <= columns.max(2));
            }
        }
    }
}
