//! The screen, drawn on a terminal that is none.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::super::state::Sort;
use super::*;
use crate::cgroup::parse::Pressure;
use crate::cgroup::{BoundBy, Comes, Throttling, Tree, TreeGap};
use crate::model::Container;
use crate::model::cgroup::Limit;
use crate::render::text::is_unsafe;

const ID: &str = "3f2a9c0000000000000000000000000000000000000000000000000000000001";

fn group(path: &str) -> Group {
    let container = crate::engine::identify(path.as_bytes()).map(|container| Container { verified: true, ..container });
    Group { path: path.as_bytes().to_vec(), container, ..Group::default() }
}

fn tree() -> Tree {
    let host = Comes { limit: Some(Limit::Value(8 << 30)), by: Some(BoundBy::Host) };
    let full = Group {
        memory_current: Some(250 << 20),
        memory_effective: Comes { limit: Some(Limit::Value(256 << 20)), by: Some(BoundBy::Group(3)) },
        cpu_millicpus: Some(1234),
        throttling_watched: Some(Throttling { periods: 10, throttled: 4, throttled_usec: 1 }),
        pids_current: Some(42),
        pressure: [None, Some(Pressure { some: [45.6, 0.0, 0.0], ..Pressure::default() }), None],
        frozen: Some(true),
        ..group("/system.slice/web.service")
    };
    let root = Group { memory_current: Some(3 << 30), memory_effective: host, ..group("/") };
    let groups =
        vec![root, group(&format!("/docker/{ID}")), group("/system.slice"), full, group("/z\x1b[31m\u{202e}\u{9b}x")];
    Tree { groups, gaps: vec![TreeGap { path: b"/secret".to_vec(), errno: "EACCES" }], ..Tree::default() }
}

fn view(state: &mut State) -> View<'_> {
    View {
        state,
        pane: None,
        typing: false,
        interval: Duration::from_secs(1),
        paused: false,
        message: None,
        colored: true,
    }
}

/// Draws a view on a terminal of this size, and returns its lines, without spaces at the end, and its cells.
fn draw(view: &mut View<'_>, columns: u16, lines: u16) -> (Vec<String>, Buffer) {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("a terminal");
    terminal
        .draw(|frame| {
            let position = view.draw(frame.buffer_mut());
            if let Some(position) = position {
                frame.set_cursor_position(position);
            }
        })
        .expect("drawn");
    let buffer = terminal.backend().buffer().clone();
    let line = |y| (0..columns).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    ((0..lines).map(line).collect(), buffer)
}

#[test]
fn at_80_columns_all_that_matters_is_there() {
    let mut state = State::new(tree(), Sort::Name, false);
    let (lines, _) = draw(&mut view(&mut state), 80, 24);
    assert_eq!(lines[0], "/  5 cgroups  tree by name  every 1s  1 unreadable");
    assert_eq!(lines[1], "CGROUP                                 MEM   MAX MEM%  CPU% THR%  PIDS   PSI FRZ");
    assert_eq!(lines[2], "/                                       3G    8G   38     -    -     -     -");
    assert_eq!(lines[3], "├─docker:3f2a9c000000 (3f2a9c000000…     -     -    -     -    -     -     -");
    assert_eq!(lines[4], "├─system.slice                           -     -    -     -    -     -     -");
    assert_eq!(lines[5], "│ └─web.service                       250M  256M   98   123   40    42 m45.6 yes");
    assert_eq!(lines[6], "└─z\\x1b[31m\\u{202e}\\x9bx                 -     -    -     -    -     -     -");
    assert_eq!(lines[7..23], [const { String::new() }; 16]);
    assert!(lines[23].starts_with("q quit  ? help"), "{}", lines[23]);
}

#[test]
fn at_200_columns_there_is_more() {
    let mut state = State::new(tree(), Sort::Name, false);
    let (lines, buffer) = draw(&mut view(&mut state), 200, 50);
    assert!(lines[1].ends_with("FRZ CONTAINER"), "{}", lines[1]);
    assert!(lines[3].contains(ID) && lines[3].ends_with("docker:3f2a9c000000"), "{}", lines[3]);
    assert!(lines[5].ends_with("yes web.service"), "{}", lines[5]);
    assert_eq!(lines.len(), 50);
    // What it is sorted by is underlined.
    assert!(buffer[(0, 1)].modifier.contains(Modifier::UNDERLINED));
}

#[test]
fn only_colours_of_the_palette_and_none_where_none_are_wanted() {
    let mut state = State::new(tree(), Sort::Name, false);
    let colors = |buffer: &Buffer| {
        let mut found: Vec<Color> = buffer.content.iter().flat_map(|cell| [cell.fg, cell.bg]).collect();
        found.sort_by_key(|color| format!("{color:?}"));
        found.dedup();
        found
    };
    let (_, buffer) = draw(&mut view(&mut state), 200, 50);
    assert_eq!(colors(&buffer), [Color::Cyan, Color::Red, Color::Reset]);
    assert!(buffer.content.iter().all(|cell| cell.bg == Color::Reset));
    let mut plain = View { colored: false, ..view(&mut state) };
    let (_, buffer) = draw(&mut plain, 200, 50);
    assert_eq!(colors(&buffer), [Color::Reset]);
}

#[test]
fn the_selected_line_is_the_other_way_round() {
    let mut state = State::new(tree(), Sort::Name, false);
    state.move_by(3);
    let (_, buffer) = draw(&mut view(&mut state), 80, 24);
    for y in 0..24 {
        for x in 0..80 {
            let cell = &buffer[(x, y)];
            assert_eq!(cell.modifier.contains(Modifier::REVERSED), y == 5, "{x} {y}");
            assert!(y != 5 || cell.fg == Color::Reset);
        }
    }
}

#[test]
fn whatever_the_size_nothing_breaks_and_nothing_hostile_comes_through() {
    for (columns, lines) in
        [(1, 1), (2, 9), (5, 2), (23, 10), (24, 3), (24, 4), (25, 5), (40, 10), (79, 23), (133, 7), (300, 100)]
    {
        for flat in [false, true] {
            for typing in [false, true] {
                let mut state = State::new(tree(), Sort::Cpu, flat);
                state.set_filter(if typing { "\x1b]0;x\x07" } else { "" });
                state.move_by(2);
                let mut pane = Pane::new("t\u{e4}tle".to_owned(), "a\x1b[31mb\x1b]0;evil\x07\u{9b}c\n\nd", 10, true);
                let mut view = View { typing, ..view(&mut state) };
                let (text, buffer) = draw(&mut view, columns, lines);
                assert!(buffer.content.iter().all(|cell| !cell.symbol().chars().any(is_unsafe)), "{text:?}");
                view.pane = Some(&mut pane);
                let (text, buffer) = draw(&mut view, columns, lines);
                assert!(buffer.content.iter().all(|cell| !cell.symbol().chars().any(is_unsafe)), "{text:?}");
            }
        }
    }
    let mut state = State::new(tree(), Sort::Cpu, false);
    assert_eq!(draw(&mut view(&mut state), 20, 3).0[0], "20x3 is too small");
}

#[test]
fn nothing_to_show_is_shown_as_nothing() {
    let mut state = State::new(Tree::default(), Sort::Cpu, false);
    let (lines, _) = draw(&mut view(&mut state), 80, 24);
    assert_eq!(lines[0], "/  0 cgroups  tree by cpu  every 1s");
    assert_eq!(lines[2], "");
}

#[test]
fn the_state_of_things_is_told() {
    let mut state = State::new(tree(), Sort::Mem, true);
    state.set_filter("slice");
    let mut told = View { paused: true, message: Some("gone"), ..view(&mut state) };
    let (lines, _) = draw(&mut told, 100, 10);
    assert_eq!(lines[0], "/  5 cgroups  list by mem  every 1s  with \"slice\"  1 unreadable  paused");
    assert_eq!(lines[9], "gone");
    told.typing = true;
    assert_eq!(told.draw(&mut Buffer::empty(Rect::new(0, 0, 100, 10))), Some(Position { x: 6, y: 9 }));
    assert_eq!(draw(&mut told, 100, 10).0[9], "/slice");
}

#[test]
fn in_a_list_the_end_of_a_path_is_kept() {
    let long = format!("/{}/leaf", "deep/".repeat(30));
    let mut state = State::new(Tree { groups: vec![group(&long)], ..Tree::default() }, Sort::Name, true);
    let (lines, _) = draw(&mut view(&mut state), 80, 10);
    assert!(lines[2].starts_with('…') && lines[2].contains("deep//leaf "), "{}", lines[2]);
}

#[test]
fn what_is_folded_says_so() {
    let mut state = State::new(tree(), Sort::Name, false);
    state.move_by(2);
    state.toggle_fold();
    let (lines, _) = draw(&mut view(&mut state), 80, 24);
    assert!(lines[4].starts_with("├─+ system.slice "), "{}", lines[4]);
}

#[test]
fn a_pane_lies_over_the_list() {
    let mut state = State::new(tree(), Sort::Name, false);
    let text: String = (0..40).map(|number| format!("\x1b[1mline\x1b[0m {number}\n")).collect();
    let mut pane = Pane::new("/a: limits".to_owned(), &text, 80, true);
    pane.move_by(5);
    let mut view = View { pane: Some(&mut pane), ..view(&mut state) };
    let (lines, buffer) = draw(&mut view, 80, 24);
    assert_eq!((lines[0].as_str(), lines[1].as_str(), lines[22].as_str()), ("/a: limits", "line 5", "line 26"));
    assert_eq!(lines[23], "Esc back  Up/Down scroll  (5 lines above, 13 below)");
    assert!(buffer[(0, 1)].modifier.contains(Modifier::BOLD) && !buffer[(5, 1)].modifier.contains(Modifier::BOLD));
}
