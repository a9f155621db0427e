//! Work on many things alike, shared out among threads.

use std::sync::atomic::{AtomicUsize, Ordering};

/// More threads than this only wait for each other's locks in the kernel.
const MOST_WORKERS: usize = 8;

/// Does the same with each of these, on as many threads as are worth it, and returns the results in the same order. A thread takes
/// `batch` at a time; where there are no more than two such batches, the caller does it alone.
pub fn shared<T: Sync, R: Send>(all: &[T], batch: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let batches = all.len().div_ceil(batch.max(1));
    let workers = match batches {
        0..=2 => 1,
        _ => std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS).min(batches),
    };
    if workers == 1 {
        return all.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let share = || {
        let mut done: Vec<(usize, Vec<R>)> = Vec::new();
        loop {
            let start = next.fetch_add(batch, Ordering::Relaxed);
            let Some(part) = all.get(start..all.len().min(start + batch)).filter(|part| !part.is_empty()) else {
                return done;
            };
            done.push((start, part.iter().map(&work).collect()));
        }
    };
    let mut parts = std::thread::scope(|scope| {
        // Where no more threads may be made (RLIMIT_NPROC, pids.max) the others do their work.
        let others: Vec<_> =
            (1..workers).filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, share).ok()).collect();
        let mut parts = share();
        // A thread that panics takes the program with it (panic = "abort"), so there is always a part to take.
        parts.extend(others.into_iter().filter_map(|other| other.join().ok()).flatten());
        parts
    });
    parts.sort_unstable_by_key(|(start, _)| *start);
    parts.into_iter().flat_map(|(_, part)| part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_what_they_are_of() {
        for count in [0, 1, 7, 8, 9, 100, 1001] {
            let all: Vec<usize> = (0..count).collect();
            let twice: Vec<usize> = all.iter().map(|one| one * 2).collect();
            assert_eq!(shared(&all, 8, |one| one * 2), twice);
        }
    }
}
