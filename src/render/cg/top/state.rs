//! Which cgroups are shown, in which order, and which of them is selected: tree or flat, folded, filtered, sorted. Pure.
//!
//! A selection is the path of a cgroup and not a line, so that it stays on it while others come, go and change places. Not here: how
//! that looks (`draw`), what keys do to it (`cmd::cg::top`).

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::HashSet;

use crate::cgroup::{Group, Tree};
use crate::render::text::sanitize;

/// What cgroups are ordered by: the largest first, names ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Memory that is used.
    Mem,
    /// Time on processors.
    Cpu,
    /// How many tasks there are.
    Pids,
    /// The worst pressure.
    Pressure,
    /// The path.
    Name,
}

impl Sort {
    /// All of them, in the order in which one follows the other.
    pub const ALL: [Sort; 5] = [Sort::Cpu, Sort::Mem, Sort::Pids, Sort::Pressure, Sort::Name];

    /// Returns the word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Sort::Mem => "mem",
            Sort::Cpu => "cpu",
            Sort::Pids => "pids",
            Sort::Pressure => "pressure",
            Sort::Name => "name",
        }
    }

    /// Returns the one after it.
    #[must_use]
    pub fn next(self) -> Sort {
        let place = Sort::ALL.iter().position(|sort| *sort == self).unwrap_or_default();
        Sort::ALL[(place + 1) % Sort::ALL.len()]
    }

    /// Returns what is compared; what nobody knows is less than nothing.
    fn weight(self, group: &Group) -> f64 {
        let number = |value: Option<u64>| value.map_or(-1.0, |value| value as f64);
        match self {
            Sort::Mem => number(group.memory_current),
            Sort::Cpu => number(group.cpu_millicpus),
            Sort::Pids => number(group.pids_current),
            Sort::Pressure => group.worst_pressure().unwrap_or(-1.0),
            Sort::Name => 0.0,
        }
    }
}

/// What is to be seen of the cgroups below one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// There are none.
    Leaf,
    /// They are shown.
    Open,
    /// They are not.
    Closed,
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Which cgroup of the tree it is.
    pub index: usize,
    /// What is to be seen of those below.
    pub fold: Fold,
    /// Whether it is there for its own sake, and not only for that of a cgroup below that the filter lets through.
    pub matches: bool,
}

/// Cgroups and how somebody wants to see them.
pub struct State {
    tree: Tree,
    parents: Vec<Option<usize>>,
    /// For each cgroup whether it is the last of its siblings that is shown.
    last: Vec<bool>,
    shown: Vec<Shown>,
    sort: Sort,
    flat: bool,
    folded: HashSet<Vec<u8>>,
    filter: String,
    /// `None` is the first line, whichever cgroup stands there.
    selected: Option<Vec<u8>>,
    cursor: usize,
    top: usize,
    height: usize,
}

impl State {
    /// Shows a tree.
    pub fn new(tree: Tree, sort: Sort, flat: bool) -> State {
        let mut state = State {
            parents: tree.parents(),
            tree,
            last: Vec::new(),
            shown: Vec::new(),
            sort,
            flat,
            folded: HashSet::new(),
            filter: String::new(),
            selected: None,
            cursor: 0,
            top: 0,
            height: 1,
        };
        state.arrange();
        state
    }

    /// Shows a later picture of the same tree.
    pub fn update(&mut self, tree: Tree) {
        self.parents = tree.parents();
        self.tree = tree;
        self.arrange();
    }

    /// Returns the tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns all lines.
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// Returns the cgroup of a line.
    pub fn group(&self, shown: &Shown) -> &Group {
        &self.tree.groups[shown.index]
    }

    /// Returns by what it is sorted.
    pub fn sort(&self) -> Sort {
        self.sort
    }

    /// Says whether it is a list and no tree.
    pub fn is_flat(&self) -> bool {
        self.flat
    }

    /// Returns the filter; an empty one lets everything through.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Returns the selected line.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Returns the path of the selected cgroup; `None` where nothing is shown.
    pub fn selected(&self) -> Option<&[u8]> {
        self.shown.get(self.cursor).map(|shown| &self.group(shown).path[..])
    }

    /// Returns the first line that there is room for, with room for so many; the selected one is among them.
    pub fn scroll(&mut self, height: usize) -> usize {
        self.height = height.max(1);
        let least = (self.cursor + 1).saturating_sub(self.height);
        let most = self.shown.len().saturating_sub(self.height);
        self.top = self.top.clamp(least, self.cursor).min(most.max(least));
        self.top
    }

    /// Sorts by something.
    pub fn sort_by(&mut self, sort: Sort) {
        self.sort = sort;
        self.arrange();
    }

    /// Changes between tree and list.
    pub fn toggle_flat(&mut self) {
        self.flat = !self.flat;
        self.arrange();
    }

    /// Shows only cgroups whose path has this in it, and in a tree those above them. Upper and lower case are the same.
    pub fn set_filter(&mut self, filter: &str) {
        filter.clone_into(&mut self.filter);
        self.arrange();
    }

    /// Selects the line that is so far away, or the first or last one.
    pub fn move_by(&mut self, lines: isize) {
        let last = self.shown.len().saturating_sub(1);
        self.select(self.cursor.saturating_add_signed(lines).min(last));
    }

    /// As [`State::move_by`], in screens.
    pub fn move_by_pages(&mut self, pages: isize) {
        // A line of the page before stays in sight.
        let lines = self.height.saturating_sub(1).max(1);
        self.move_by(pages.saturating_mul(isize::try_from(lines).unwrap_or(isize::MAX)));
    }

    fn select(&mut self, line: usize) {
        self.cursor = line;
        self.selected = if line == 0 { None } else { self.selected().map(<[u8]>::to_vec) };
    }

    /// Hides what is below the selected cgroup, or shows it again.
    pub fn toggle_fold(&mut self) {
        match self.shown.get(self.cursor).map(|shown| shown.fold) {
            Some(Fold::Open) => self.set_folded(true),
            Some(Fold::Closed) => self.set_folded(false),
            _ => {}
        }
    }

    /// Hides what is below the selected cgroup; where there is nothing to hide, selects the one above.
    pub fn fold_or_leave(&mut self) {
        match self.shown.get(self.cursor) {
            Some(shown) if shown.fold == Fold::Open && self.filter.is_empty() => self.set_folded(true),
            Some(shown) if !self.flat => {
                let above = self.parents[shown.index];
                if let Some(line) = self.shown.iter().position(|other| Some(other.index) == above) {
                    self.select(line);
                }
            }
            _ => {}
        }
    }

    /// Shows what is below the selected cgroup; where it is shown, selects the first of those.
    pub fn unfold_or_enter(&mut self) {
        match self.shown.get(self.cursor).map(|shown| shown.fold) {
            Some(Fold::Closed) => self.set_folded(false),
            Some(Fold::Open) => self.move_by(1),
            _ => {}
        }
    }

    fn set_folded(&mut self, folded: bool) {
        let Some(path) = self.selected().map(<[u8]>::to_vec) else { return };
        if folded {
            self.folded.insert(path);
        } else {
            self.folded.remove(&path);
        }
        self.arrange();
    }

    /// Returns the branches before a line of a tree: `│ └─`.
    pub fn branches(&self, shown: &Shown) -> String {
        let mut parts = Vec::new();
        let mut index = shown.index;
        if !self.flat {
            // The one at the top hangs below nothing.
            while let Some(above) = self.parents[index] {
                parts.push(match (parts.is_empty(), self.last[index]) {
                    (true, true) => "└─",
                    (true, false) => "├─",
                    (false, true) => "  ",
                    (false, false) => "│ ",
                });
                index = above;
            }
        }
        parts.reverse();
        parts.concat()
    }

    /// Works out what is shown.
    fn arrange(&mut self) {
        let groups = &self.tree.groups;
        let weights: Vec<f64> = groups.iter().map(|group| self.sort.weight(group)).collect();
        let mut order: Vec<usize> = (0..groups.len()).collect();
        // What is alike stays in the order of paths.
        order.sort_by(|&a, &b| weights[b].partial_cmp(&weights[a]).unwrap_or(Ordering::Equal).then(a.cmp(&b)));
        let needle = self.filter.to_lowercase();
        let matches: Vec<bool> = groups
            .iter()
            .map(|group| needle.is_empty() || sanitize(&group.path).to_lowercase().contains(&needle))
            .collect();
        self.shown.clear();
        if self.flat {
            let lines = order.into_iter().filter(|&index| matches[index]);
            self.shown.extend(lines.map(|index| Shown { index, fold: Fold::Leaf, matches: true }));
        } else {
            self.arrange_tree(&order, &matches);
        }
        self.find_cursor();
    }

    fn arrange_tree(&mut self, order: &[usize], matches: &[bool]) {
        let count = self.tree.groups.len();
        let mut keep = matches.to_vec();
        // Those below come behind those above.
        for index in (0..count).rev() {
            if let Some(above) = self.parents[index].filter(|_| keep[index]) {
                keep[above] = true;
            }
        }
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); count];
        let mut open = Vec::new();
        for &index in order.iter().filter(|&&index| keep[index]) {
            match self.parents[index] {
                Some(above) => below[above].push(index),
                None => open.push(index),
            }
        }
        self.last = vec![false; count];
        for siblings in &below {
            if let Some(&last) = siblings.last() {
                self.last[last] = true;
            }
        }
        open.reverse();
        while let Some(index) = open.pop() {
            // What a filter has found is shown, folded or not.
            let closed = self.filter.is_empty() && self.folded.contains(&self.tree.groups[index].path);
            let fold = match (below[index].is_empty(), closed) {
                (true, _) => Fold::Leaf,
                (false, true) => Fold::Closed,
                (false, false) => Fold::Open,
            };
            self.shown.push(Shown { index, fold, matches: matches[index] });
            if fold == Fold::Open {
                open.extend(below[index].iter().rev());
            }
        }
    }

    /// Finds the line of the selected cgroup; else that of the nearest one above it; else the one that has taken its place.
    fn find_cursor(&mut self) {
        let Some(path) = self.selected.take() else {
            self.cursor = 0;
            return;
        };
        let line_of = |index: Option<usize>| self.shown.iter().position(|shown| Some(shown.index) == index);
        let mut index = self.tree.groups.iter().position(|group| group.path == path);
        let mut line = line_of(index);
        while let (None, Some(below), false) = (line, index, self.flat) {
            index = self.parents[below];
            line = line_of(index);
        }
        self.select(line.unwrap_or(self.cursor).min(self.shown.len().saturating_sub(1)));
    }
}
