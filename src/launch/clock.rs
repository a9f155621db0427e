//! When the time of a command is over, and how long poll(2) may wait for anything.

use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

use super::request::Timeout;

/// What is due when the time of a command is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is asked to end: SIGTERM.
    Ask,
    /// It is ended: SIGKILL.
    Kill,
}

/// The time of a command: first it is asked to end, then it is ended.
pub struct Clock {
    next: Option<Instant>,
    grace: Duration,
    asked: bool,
}

impl Clock {
    /// Starts it; without a limit nothing ever is due.
    pub fn new(limit: Option<Timeout>) -> Clock {
        Clock {
            next: limit.and_then(|limit| Instant::now().checked_add(limit.after)),
            grace: limit.map_or(Duration::ZERO, |limit| limit.grace),
            asked: false,
        }
    }

    /// Returns how long nothing is due.
    pub fn patience(&self) -> Option<Duration> {
        self.next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// Returns what is due now, once.
    pub fn strike(&mut self) -> Option<Due> {
        let next = self.next.filter(|next| *next <= Instant::now())?;
        let due = if self.asked { Due::Kill } else { Due::Ask };
        self.next = next.checked_add(self.grace).filter(|_| !self.asked);
        self.asked = true;
        Some(due)
    }
}

/// Returns what poll(2) is told of a time, rounded up, so that the time is over when it returns.
pub fn poll_timeout(patience: Option<Duration>) -> PollTimeout {
    let milliseconds = patience.map(|patience| patience.as_millis() + 1);
    milliseconds.map_or(PollTimeout::NONE, |most| PollTimeout::from(most.min(60_000) as u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_it_is_asked_then_it_is_ended_then_nothing_more() {
        let none = Duration::ZERO;
        let mut clock = Clock::new(Some(Timeout { after: none, grace: none }));
        assert_eq!([clock.strike(), clock.strike(), clock.strike()], [Some(Due::Ask), Some(Due::Kill), None]);
        assert_eq!(clock.patience(), None);
        assert_eq!((Clock::new(None).strike(), Clock::new(None).patience()), (None, None));
        let later = Duration::from_secs(1000);
        let mut clock = Clock::new(Some(Timeout { after: later, grace: none }));
        assert!(clock.strike().is_none() && clock.patience().is_some_and(|left| left > later / 2));
    }
}
