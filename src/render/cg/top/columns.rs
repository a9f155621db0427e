//! What is shown of a cgroup: the one table of columns, on the screen of `nsx cg top` as well as in its text.

use super::super::ls::container_name;
use super::super::{amount, limit};
use super::state::Sort;
use crate::cgroup::{BoundBy, Group};
use crate::model::cgroup::{Limit, Unit};
use crate::render::style::Style;
use crate::render::table::{Align, Cell, Head};
use crate::render::text::sanitize;

/// A column.
pub(super) struct Column {
    /// Heading and side.
    pub(super) head: Head,
    /// How wide it is on a screen; the first one is as wide as there is room for.
    pub(super) width: usize,
    /// Where there is not room for all: those with the lowest number stay.
    pub(super) rank: u8,
    /// What it is sorted by.
    pub(super) sort: Option<Sort>,
    /// What it says of a cgroup; the number is its place in the tree.
    pub(super) cell: fn(&Group, usize) -> Cell,
}

const fn number(
    key: &'static str,
    width: usize,
    rank: u8,
    sort: Option<Sort>,
    cell: fn(&Group, usize) -> Cell,
) -> Column {
    Column { head: Head::number(key), width, rank, sort, cell }
}

/// The name comes first; who a cgroup belongs to comes last, where cutting harms least.
pub(super) static COLUMNS: [Column; 10] = [
    Column { head: Head::text("CGROUP").flexible(), width: 24, rank: 0, sort: Some(Sort::Name), cell: path },
    number("MEM", 5, 2, Some(Sort::Mem), |group, _| amount_cell(group.memory_current, Unit::Bytes)),
    number("MAX", 5, 7, None, |group, index| {
        // What somebody else sees to is of less interest: the host's memory stands in most lines.
        let own = group.memory_effective.by == Some(BoundBy::Group(index));
        let style = if own { Style::Plain } else { Style::Initial };
        Cell::new(limit(group.memory_effective.limit, Unit::Bytes), style)
    }),
    number("MEM%", 4, 6, None, |group, _| match memory_percent(group) {
        Some(percent) => Cell::new(format!("{percent:.0}"), fullness(percent)),
        None => unknown(),
    }),
    number("CPU%", 5, 1, Some(Sort::Cpu), |group, _| match (group.cpu_millicpus, group.cpu_effective.limit) {
        (None, _) => unknown(),
        (Some(0), _) => Cell::new("0.0", Style::Initial),
        (Some(used), Some(Limit::Value(most))) => {
            Cell::new(short(used as f64 / 10.0), fullness(used as f64 * 100.0 / most.max(1) as f64))
        }
        (Some(used), _) => Cell::new(short(used as f64 / 10.0), Style::Plain),
    }),
    number("THR%", 4, 5, None, |group, _| match throttled_percent(group) {
        Some(percent) => Cell::new(format!("{percent:.0}"), harm(percent, 0.5, 25.0)),
        None => unknown(),
    }),
    number("PIDS", 5, 4, Some(Sort::Pids), |group, _| {
        let full = match (group.pids_current, group.pids_effective.limit) {
            (Some(used), Some(Limit::Value(most))) => used as f64 * 100.0 / most.max(1) as f64,
            _ => 0.0,
        };
        Cell { style: fullness(full), ..amount_cell(group.pids_current, Unit::Count) }
    }),
    number("PSI", 5, 3, Some(Sort::Pressure), |group, _| match worst_pressure(group) {
        Some((letter, percent)) => Cell::new(format!("{letter}{}", short(percent)), harm(percent, 5.0, 30.0)),
        None => unknown(),
    }),
    Column {
        head: Head::text("FRZ"),
        width: 3,
        rank: 8,
        sort: None,
        cell: |group, _| Cell::new(if group.frozen == Some(true) { "yes" } else { "" }, Style::Info),
    },
    Column {
        head: Head::text("CONTAINER").flexible(),
        width: 24,
        rank: 9,
        sort: None,
        cell: |group, _| Cell::new(container_name(group).unwrap_or_default(), Style::Plain),
    },
];

/// The place in the table of who a cgroup belongs to.
pub(super) const BELONGS: usize = COLUMNS.len() - 1;

fn path(group: &Group, _: usize) -> Cell {
    Cell::new(sanitize(&group.path), Style::Plain)
}

fn unknown() -> Cell {
    Cell::new("-", Style::Initial)
}

fn amount_cell(value: Option<u64>, unit: Unit) -> Cell {
    match value {
        Some(value) => Cell::new(amount(value, unit), if value == 0 { Style::Initial } else { Style::Plain }),
        None => unknown(),
    }
}

/// Says a share with one decimal, as long as there is room for it.
fn short(percent: f64) -> String {
    if percent < 99.95 { format!("{percent:.1}") } else { format!("{percent:.0}") }
}

fn fullness(percent: f64) -> Style {
    harm(percent, 80.0, 95.0)
}

fn harm(value: f64, warning: f64, critical: f64) -> Style {
    if value >= critical {
        Style::Critical
    } else if value >= warning {
        Style::Warning
    } else if value == 0.0 {
        Style::Initial
    } else {
        Style::Plain
    }
}

/// Returns how much of what it may have of memory a cgroup uses, in percent.
fn memory_percent(group: &Group) -> Option<f64> {
    match (group.memory_current?, group.memory_effective.limit?) {
        (used, Limit::Value(most)) => Some(used as f64 * 100.0 / most.max(1) as f64),
        (_, Limit::Max) => None,
    }
}

/// Returns in which part of the periods of the interval it was stopped.
pub(super) fn throttled_percent(group: &Group) -> Option<f64> {
    // Without an interval there would be a share of all the time since it was made, which is something else.
    group.throttling_watched?;
    group.throttled_percent()
}

/// Returns the worst pressure with the letter of what is short.
fn worst_pressure(group: &Group) -> Option<(char, f64)> {
    let all = group.pressure.iter().zip(['c', 'm', 'i']);
    let shares = all.filter_map(|(pressure, letter)| Some((letter, pressure.as_ref()?.some[0])));
    shares.reduce(|worst, next| if next.1 > worst.1 { next } else { worst })
}

/// Says on which side of a column its cells stand.
pub(super) fn is_right(column: &Column) -> bool {
    column.head.align == Align::Right
}

/// Returns the columns that a screen has room for, each with its width.
pub(super) fn fit(width: usize) -> Vec<(&'static Column, usize)> {
    let mut ranked: Vec<&Column> = COLUMNS.iter().collect();
    ranked.sort_by_key(|column| column.rank);
    let mut left = width;
    let mut shown = Vec::new();
    for column in ranked {
        let needed = column.width + usize::from(!shown.is_empty());
        // A narrow screen has the names and nothing else. What has no room makes none for the less important.
        if needed > left && !shown.is_empty() {
            break;
        }
        left = left.saturating_sub(needed);
        shown.push(column.head.key);
    }
    // Names that are wider than this leave the numbers too far away from them.
    const WIDEST: usize = 96;
    let last = &COLUMNS[BELONGS];
    let of_names = if shown.contains(&last.head.key) { left.min(WIDEST - COLUMNS[0].width) } else { left };
    let place = |column: &'static Column| {
        let more = match column.rank {
            0 => of_names,
            rank if rank == last.rank => left - of_names,
            _ => 0,
        };
        (column, (column.width + more).min(width))
    };
    COLUMNS.iter().filter(|column| shown.contains(&column.head.key)).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::parse::Pressure;

    fn keys(width: usize) -> Vec<&'static str> {
        fit(width).iter().map(|(column, _)| column.head.key).collect()
    }

    #[test]
    fn a_screen_has_the_columns_that_there_is_room_for() {
        assert_eq!(keys(10), ["CGROUP"]);
        assert_eq!(keys(30), ["CGROUP", "CPU%"]);
        assert_eq!(keys(80), ["CGROUP", "MEM", "MAX", "MEM%", "CPU%", "THR%", "PIDS", "PSI", "FRZ"]);
        assert_eq!(keys(200).len(), COLUMNS.len());
        for width in 0..300 {
            let total: usize = fit(width).iter().map(|(_, width)| width + 1).sum::<usize>() - 1;
            assert_eq!(total, width.max(total.min(width)), "{width}");
        }
    }

    #[test]
    fn ranks_are_different() {
        for (index, column) in COLUMNS.iter().enumerate() {
            assert!(COLUMNS[..index].iter().all(|other| other.rank != column.rank), "{}", column.head.key);
        }
        assert_eq!(COLUMNS[BELONGS].head.key, "CONTAINER");
    }

    #[test]
    fn the_worst_pressure_has_its_letter() {
        let some = |percent| Some(Pressure { some: [percent, 0.0, 0.0], ..Pressure::default() });
        let cell = |group: &Group| (COLUMNS[7].cell)(group, 0);
        let mut group = Group { pressure: [some(1.5), some(0.0), some(12.34)], ..Group::default() };
        assert_eq!((cell(&group).text.as_str(), cell(&group).style), ("i12.3", Style::Warning));
        group.pressure = [some(0.0), some(0.0), None];
        assert_eq!((cell(&group).text.as_str(), cell(&group).style), ("c0.0", Style::Initial));
        group.pressure = [None, some(100.0), None];
        assert_eq!((cell(&group).text.as_str(), cell(&group).style), ("m100", Style::Critical));
        assert_eq!(cell(&Group::default()).text, "-");
    }

    #[test]
    fn throttling_is_of_the_interval_only() {
        use crate::cgroup::Throttling;
        let throttling = Some(Throttling { periods: 10, throttled: 5, throttled_usec: 9 });
        let mut group = Group { throttling, ..Group::default() };
        assert_eq!(throttled_percent(&group), None);
        group.throttling_watched = throttling;
        assert_eq!(throttled_percent(&group), Some(50.0));
        group.throttling_watched = Some(Throttling::default());
        assert_eq!(throttled_percent(&group), None, "no period, no share");
    }
}
