//! What keys do in `nsx cg top`. Pure: what they do to the world outside is an [`Action`], which `live` carries out.

use std::time::Duration;

use super::keys::Key;
use crate::cgroup::Tree;
use crate::render::cg::top::draw::View;
use crate::render::cg::top::pane::Pane;
use crate::render::cg::top::state::{Sort, State};

/// What can be opened over the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// All keys.
    Help,
    /// The selected cgroup, as `nsx cg show` has it.
    Show,
    /// Its limits and those above it, as `nsx cg path` has them.
    Limits,
    /// Why its processes were killed or slowed, as `nsx cg why` has it.
    Why,
}

/// What is to be done outside of here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing, and nothing has changed.
    Nothing,
    /// What is to be seen has changed.
    Draw,
    /// Everything is to be drawn again.
    DrawAll,
    /// A pane is to be opened.
    Open(What),
    /// A picture is to be taken.
    Look,
    /// This process is to be stopped.
    Stop,
    /// It is over.
    Leave,
}

/// A pane, and what it is about.
pub(super) struct OpenPane {
    pub(super) what: What,
    /// The path of the cgroup.
    pub(super) path: Vec<u8>,
    pub(super) pane: Pane,
}

/// Everything that keys change.
pub(super) struct Control {
    pub(super) state: State,
    pub(super) open: Option<OpenPane>,
    typing: bool,
    pub(super) interval: Duration,
    pub(super) paused: bool,
    pub(super) message: Option<String>,
    /// Whether to colour.
    pub(super) colored: bool,
}

/// The help that `?` opens.
pub(super) const HELP: &str = "\
Up Down j k          one line up, down
PageUp PageDown      a screen up, down
Home End g G         the first, the last

Enter                the selected cgroup: its limits, who sets them, what has happened (nsx cg show)
l                    its limits and those of all cgroups above it (nsx cg path)
w                    why its processes were killed or slowed (nsx cg why)

/ F4                 show only paths that have what is typed in them; Esc shows all again
Space                hide or show what is below
Left Right           the same; also the one above, the first below
t F5                 tree, or list of all
c m p r n            sort by cpu, memory, pids, pressure, name
s F6                 sort by the next of these

+ -                  look less often, more often
f                    pause, and go on
Ctrl-L               draw everything again
Ctrl-Z               stop; fg goes on
q Esc Ctrl-C F10     quit

MEM    memory that is used, here and below
MAX    what memory.max comes to, with all limits above and the host's memory; dim where it is not set here
CPU%   time on processors in the last interval, of one processor
THR%   the share of periods in which cpu.max has stopped it, in the last interval
PIDS   tasks, here and below
PSI    the worst pressure of the last 10 seconds, in percent: c for cpu, m for memory, i for io
FRZ    frozen
";

/// So long can a filter be.
const LONGEST_FILTER: usize = 200;

/// The intervals that `+` and `-` go through, in milliseconds.
const INTERVALS: [u64; 9] = [100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];

impl Control {
    /// Begins with a tree.
    pub(super) fn new(tree: Tree, sort: Sort, flat: bool, interval: Duration, colored: bool) -> Control {
        let state = State::new(tree, sort, flat);
        Control { state, open: None, typing: false, interval, paused: false, message: None, colored }
    }

    /// Returns what is to be drawn.
    pub(super) fn view(&mut self) -> View<'_> {
        View {
            state: &mut self.state,
            pane: self.open.as_mut().map(|open| &mut open.pane),
            typing: self.typing,
            interval: self.interval,
            paused: self.paused,
            message: self.message.as_deref(),
            colored: self.colored,
        }
    }

    /// Does what a key means.
    pub(super) fn key(&mut self, key: Key) -> Action {
        match key {
            Key::Ctrl('c') => Action::Leave,
            Key::Ctrl('z') => Action::Stop,
            Key::Ctrl('l') => Action::DrawAll,
            Key::Other => Action::Nothing,
            _ if self.open.is_some() => self.key_in_pane(key),
            _ if self.typing => self.key_in_filter(key),
            _ => self.key_in_list(key),
        }
    }

    fn key_in_pane(&mut self, key: Key) -> Action {
        let Some(open) = &mut self.open else { return Action::Nothing };
        match key {
            Key::Up | Key::Char('k') => open.pane.move_by(-1),
            Key::Down | Key::Char('j') => open.pane.move_by(1),
            Key::PageUp | Key::Ctrl('b') => open.pane.move_by_pages(-1),
            Key::PageDown | Key::Ctrl('f') | Key::Char(' ') => open.pane.move_by_pages(1),
            Key::Home | Key::Char('g') => open.pane.move_by(isize::MIN),
            Key::End | Key::Char('G') => open.pane.move_by(isize::MAX),
            Key::Char('l') if matches!(open.what, What::Show | What::Why) => return Action::Open(What::Limits),
            Key::Char('w') if matches!(open.what, What::Show | What::Limits) => return Action::Open(What::Why),
            Key::Escape | Key::Enter | Key::Left | Key::Char('q' | 'l' | 'w' | '?') | Key::Function(1 | 10) => {
                self.open = None;
            }
            _ => return Action::Nothing,
        }
        Action::Draw
    }

    fn key_in_filter(&mut self, key: Key) -> Action {
        let mut filter = self.state.filter().to_owned();
        match key {
            Key::Char(character) if filter.len() < LONGEST_FILTER => filter.push(character),
            Key::Backspace if filter.is_empty() => self.typing = false,
            Key::Backspace => drop(filter.pop()),
            Key::Ctrl('u') => filter.clear(),
            Key::Escape => {
                self.typing = false;
                filter.clear();
            }
            Key::Enter => self.typing = false,
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Home | Key::End => return self.key_in_list(key),
            _ => return Action::Nothing,
        }
        if filter != self.state.filter() {
            self.state.set_filter(&filter);
        }
        Action::Draw
    }

    fn key_in_list(&mut self, key: Key) -> Action {
        // What has gone wrong was read by whoever goes on.
        self.message = None;
        match key {
            Key::Char('q') | Key::Function(10) => return Action::Leave,
            Key::Escape if self.state.filter().is_empty() => return Action::Leave,
            Key::Escape => self.state.set_filter(""),
            Key::Char('?' | 'h') | Key::Function(1) => return Action::Open(What::Help),
            Key::Enter if self.state.selected().is_some() => return Action::Open(What::Show),
            Key::Char('l') if self.state.selected().is_some() => return Action::Open(What::Limits),
            Key::Char('w') if self.state.selected().is_some() => return Action::Open(What::Why),
            Key::Up | Key::Char('k') => self.state.move_by(-1),
            Key::Down | Key::Char('j') => self.state.move_by(1),
            Key::PageUp | Key::Ctrl('b') => self.state.move_by_pages(-1),
            Key::PageDown | Key::Ctrl('f') => self.state.move_by_pages(1),
            Key::Home | Key::Char('g') => self.state.move_by(isize::MIN),
            Key::End | Key::Char('G') => self.state.move_by(isize::MAX),
            Key::Char(' ') => self.state.toggle_fold(),
            Key::Left => self.state.fold_or_leave(),
            Key::Right => self.state.unfold_or_enter(),
            Key::Char('t') | Key::Function(5) => self.state.toggle_flat(),
            Key::Char('c') => self.state.sort_by(Sort::Cpu),
            Key::Char('m') => self.state.sort_by(Sort::Mem),
            Key::Char('p') => self.state.sort_by(Sort::Pids),
            Key::Char('r') => self.state.sort_by(Sort::Pressure),
            Key::Char('n') => self.state.sort_by(Sort::Name),
            Key::Char('s') | Key::Function(6) => self.state.sort_by(self.state.sort().next()),
            Key::Char('/') | Key::Function(4) => self.typing = true,
            Key::Char('+') => self.change_interval(INTERVALS.iter().find(|&&step| step > self.interval_ms())),
            Key::Char('-') => self.change_interval(INTERVALS.iter().rfind(|&&step| step < self.interval_ms())),
            Key::Char('f') => {
                self.paused = !self.paused;
                return if self.paused { Action::Draw } else { Action::Look };
            }
            _ => return Action::Nothing,
        }
        Action::Draw
    }

    fn interval_ms(&self) -> u64 {
        self.interval.as_millis() as u64
    }

    fn change_interval(&mut self, to: Option<&u64>) {
        if let Some(&to) = to {
            self.interval = Duration::from_millis(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Group;

    fn control() -> Control {
        let group = |path: &str| Group { path: path.as_bytes().to_vec(), ..Group::default() };
        let tree = Tree { groups: ["/", "/a", "/a/q", "/b"].map(group).to_vec(), ..Tree::default() };
        Control::new(tree, Sort::Cpu, false, Duration::from_secs(1), true)
    }

    fn opened(control: &mut Control, what: What) {
        let pane = Pane::new(String::new(), HELP, 80, true);
        control.open = Some(OpenPane { what, path: b"/a".to_vec(), pane });
    }

    #[test]
    fn there_are_many_ways_out() {
        for key in [Key::Char('q'), Key::Escape, Key::Ctrl('c'), Key::Function(10)] {
            assert_eq!(control().key(key), Action::Leave, "{key:?}");
        }
        assert_eq!(control().key(Key::Ctrl('z')), Action::Stop);
        assert_eq!(control().key(Key::Char('X')), Action::Nothing);
        assert_eq!(control().key(Key::Other), Action::Nothing);
    }

    #[test]
    fn what_is_typed_narrows_and_escape_shows_all_again() {
        let mut control = control();
        control.key(Key::Char('/'));
        for letter in "q\u{e4}".chars() {
            assert_eq!(control.key(Key::Char(letter)), Action::Draw, "no letter is a command now");
        }
        assert_eq!((control.state.filter(), control.state.shown().len()), ("qä", 0));
        control.key(Key::Backspace);
        assert_eq!(control.state.shown().len(), 3);
        control.key(Key::Down);
        assert_eq!(control.state.cursor(), 1);
        control.key(Key::Enter);
        assert_eq!((control.typing, control.state.filter()), (false, "q"));
        assert_eq!(control.key(Key::Escape), Action::Draw);
        assert_eq!((control.state.filter(), control.state.shown().len()), ("", 4));
        assert_eq!(control.key(Key::Escape), Action::Leave);
        control.key(Key::Char('/'));
        control.key(Key::Char('a'));
        control.key(Key::Escape);
        assert_eq!((control.typing, control.state.filter()), (false, ""));
        control.key(Key::Function(4));
        control.key(Key::Backspace);
        assert!(!control.typing);
    }

    #[test]
    fn keys_sort_and_shape() {
        let mut control = control();
        for (letter, sort) in
            [('m', Sort::Mem), ('p', Sort::Pids), ('r', Sort::Pressure), ('n', Sort::Name), ('c', Sort::Cpu)]
        {
            assert_eq!(control.key(Key::Char(letter)), Action::Draw);
            assert_eq!(control.state.sort(), sort);
        }
        control.key(Key::Char('s'));
        assert_eq!(control.state.sort(), Sort::Mem);
        control.key(Key::Char('t'));
        assert!(control.state.is_flat());
    }

    #[test]
    fn intervals_go_through_steps() {
        let mut control = control();
        control.interval = Duration::from_millis(1500);
        control.key(Key::Char('-'));
        assert_eq!(control.interval, Duration::from_secs(1));
        for _ in 0..20 {
            control.key(Key::Char('-'));
        }
        assert_eq!(control.interval, Duration::from_millis(100));
        for _ in 0..20 {
            control.key(Key::Char('+'));
        }
        assert_eq!(control.interval, Duration::from_secs(60));
    }

    #[test]
    fn a_picture_is_paused_and_goes_on() {
        let mut control = control();
        assert_eq!((control.key(Key::Char('f')), control.paused), (Action::Draw, true));
        assert_eq!((control.key(Key::Char('f')), control.paused), (Action::Look, false));
    }

    #[test]
    fn a_pane_is_opened_scrolled_and_closed() {
        let mut control = control();
        assert_eq!(control.key(Key::Enter), Action::Open(What::Show));
        assert_eq!(control.key(Key::Char('l')), Action::Open(What::Limits));
        assert_eq!(control.key(Key::Char('w')), Action::Open(What::Why));
        assert_eq!(control.key(Key::Char('?')), Action::Open(What::Help));
        opened(&mut control, What::Show);
        assert_eq!(control.key(Key::Down), Action::Draw);
        assert_eq!(control.key(Key::Char('m')), Action::Nothing);
        assert_eq!(control.key(Key::Char('l')), Action::Open(What::Limits));
        assert_eq!(control.key(Key::Char('w')), Action::Open(What::Why));
        for key in [Key::Escape, Key::Char('q'), Key::Enter, Key::Char('l')] {
            opened(&mut control, What::Limits);
            assert_eq!(control.key(key), Action::Draw);
            assert!(control.open.is_none());
        }
        control.state.update(Tree::default());
        assert_eq!(control.key(Key::Enter), Action::Nothing, "nothing is selected");
    }
}
