//! What keys do to the state of the live view.

use proptest::prelude::*;

use super::*;

fn tree(groups: &[(&str, u64)]) -> Tree {
    let group = |(path, memory): &(&str, u64)| Group {
        path: path.as_bytes().to_vec(),
        memory_current: Some(*memory),
        cpu_millicpus: Some(100 - memory),
        ..Group::default()
    };
    let mut groups: Vec<Group> = groups.iter().map(group).collect();
    groups.sort_by(|a, b| crate::cgroup::group::tree_order(&a.path, &b.path));
    Tree { groups, ..Tree::default() }
}

fn sample() -> Tree {
    tree(&[("/", 99), ("/a", 10), ("/a/x", 3), ("/a/y", 7), ("/b", 30), ("/b/z", 30)])
}

fn lines(state: &State) -> Vec<String> {
    let line =
        |shown: &Shown| format!("{}{}", state.branches(shown), String::from_utf8_lossy(state.group(shown).name()));
    state.shown().iter().map(line).collect()
}

fn path(state: &State) -> String {
    String::from_utf8_lossy(state.selected().unwrap_or_default()).into_owned()
}

#[test]
fn in_a_tree_siblings_are_sorted() {
    let mut state = State::new(sample(), Sort::Mem, false);
    assert_eq!(lines(&state), ["/", "├─b", "│ └─z", "└─a", "  ├─y", "  └─x"]);
    state.sort_by(Sort::Cpu);
    assert_eq!(lines(&state), ["/", "├─a", "│ ├─x", "│ └─y", "└─b", "  └─z"]);
    state.sort_by(Sort::Name);
    assert_eq!(lines(&state), ["/", "├─a", "│ ├─x", "│ └─y", "└─b", "  └─z"]);
}

#[test]
fn in_a_list_all_are() {
    let state = State::new(sample(), Sort::Mem, true);
    assert_eq!(lines(&state), ["/", "b", "z", "a", "y", "x"]);
}

#[test]
fn sorts_go_round() {
    let mut sort = Sort::Cpu;
    for _ in 0..Sort::ALL.len() {
        sort = sort.next();
    }
    assert_eq!(sort, Sort::Cpu);
}

#[test]
fn a_fold_hides_what_is_below() {
    let mut state = State::new(sample(), Sort::Name, false);
    state.move_by(1);
    state.toggle_fold();
    assert_eq!(lines(&state), ["/", "├─a", "└─b", "  └─z"]);
    assert_eq!(path(&state), "/a");
    state.unfold_or_enter();
    assert_eq!(state.shown().len(), 6);
    state.unfold_or_enter();
    assert_eq!(path(&state), "/a/x");
    state.fold_or_leave();
    assert_eq!(path(&state), "/a");
    state.fold_or_leave();
    assert_eq!(state.shown().len(), 4);
    state.fold_or_leave();
    assert_eq!(path(&state), "/");
    state.toggle_fold();
    assert_eq!(lines(&state), ["/"]);
}

#[test]
fn a_filter_keeps_those_above_and_opens_folds() {
    let mut state = State::new(sample(), Sort::Name, false);
    state.move_by(1);
    state.toggle_fold();
    state.set_filter("A/Y");
    assert_eq!(lines(&state), ["/", "└─a", "  └─y"]);
    assert_eq!(state.shown().iter().map(|shown| shown.matches).collect::<Vec<_>>(), [false, false, true]);
    state.toggle_flat();
    assert_eq!(lines(&state), ["y"]);
    state.set_filter("nothing has this");
    assert_eq!((state.shown().len(), state.selected()), (0, None));
    state.move_by(5);
    state.toggle_fold();
    state.set_filter("");
    assert_eq!(state.shown().len(), 6);
}

#[test]
fn a_selection_stays_on_its_cgroup() {
    let mut state = State::new(sample(), Sort::Mem, false);
    state.move_by(4);
    assert_eq!(path(&state), "/a/y");
    state.update(tree(&[("/", 1), ("/0", 50), ("/a", 40), ("/a/x", 9), ("/a/y", 7), ("/b", 1)]));
    assert_eq!((path(&state).as_str(), state.cursor()), ("/a/y", 4));
    state.sort_by(Sort::Cpu);
    assert_eq!(path(&state), "/a/y");
}

#[test]
fn where_the_selected_cgroup_has_gone_the_next_one_is_selected() {
    let mut state = State::new(sample(), Sort::Name, false);
    state.move_by(2);
    assert_eq!(path(&state), "/a/x");
    state.update(tree(&[("/", 1), ("/a", 40), ("/a/y", 7), ("/b", 1)]));
    assert_eq!(path(&state), "/a/y");
    state.move_by(isize::MAX);
    assert_eq!(path(&state), "/b");
    state.update(tree(&[("/", 1)]));
    assert_eq!(path(&state), "/");
    state.update(Tree::default());
    assert_eq!(state.selected(), None);
    state.update(sample());
    assert_eq!(path(&state), "/");
}

#[test]
fn where_it_is_folded_away_the_one_above_is_selected() {
    let mut state = State::new(sample(), Sort::Name, false);
    state.folded.insert(b"/a".to_vec());
    state.selected = Some(b"/a/y".to_vec());
    state.arrange();
    assert_eq!(path(&state), "/a");
}

#[test]
fn the_first_line_is_whichever_is_first() {
    let mut state = State::new(sample(), Sort::Mem, true);
    state.sort_by(Sort::Cpu);
    assert_eq!(path(&state), "/a/x");
    state.move_by(1);
    state.sort_by(Sort::Mem);
    assert_eq!(path(&state), "/a/y", "it was selected");
}

#[test]
fn the_selected_line_is_in_sight() {
    let groups: Vec<(String, u64)> = (0..100).map(|number| (format!("/{number:03}"), 0)).collect();
    let groups: Vec<(&str, u64)> = groups.iter().map(|(path, memory)| (path.as_str(), *memory)).collect();
    let mut state = State::new(tree(&groups), Sort::Name, true);
    assert_eq!(state.scroll(10), 0);
    state.move_by_pages(1);
    assert_eq!((state.cursor(), state.scroll(10)), (9, 0));
    state.move_by_pages(1);
    assert_eq!((state.cursor(), state.scroll(10)), (18, 9));
    state.move_by(isize::MAX);
    assert_eq!((state.cursor(), state.scroll(10)), (99, 90));
    // More room shows more.
    assert_eq!(state.scroll(50), 50);
    assert_eq!(state.scroll(1000), 0);
    state.move_by(isize::MIN);
    assert_eq!((state.cursor(), state.scroll(0)), (0, 0));
}

proptest! {
    #[test]
    fn whatever_is_done_the_cursor_is_on_a_line(
        steps in proptest::collection::vec((0..12u8, 0..6usize, 0..40isize), 0..40)
    ) {
        let mut state = State::new(sample(), Sort::Cpu, false);
        for (what, number, far) in steps {
            match what {
                0 => state.move_by(far - 20),
                1 => state.move_by_pages(far - 20),
                2 => state.toggle_fold(),
                3 => state.fold_or_leave(),
                4 => state.unfold_or_enter(),
                5 => state.toggle_flat(),
                6 => state.sort_by(Sort::ALL[number % 5]),
                7 => state.set_filter(["", "a", "z", "/", "nothing", "/B"][number]),
                8 => state.update(sample()),
                9 => state.update(tree(&[("/", 1), ("/b", 2), ("/q", 3)][..number.min(3)])),
                _ => drop(state.scroll(number)),
            }
            let top = state.scroll(number);
            prop_assert!(state.cursor() < state.shown().len().max(1));
            prop_assert!(top <= state.cursor() && state.cursor() < top + number.max(1));
            prop_assert_eq!(state.selected().is_none(), state.shown().is_empty());
            for shown in state.shown() {
                state.branches(shown);
            }
        }
    }
}
