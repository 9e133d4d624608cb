//! The time of a run, shared out: every row has its part of what is left, and a quarter is kept for
//! explaining what fails, of which an explanation takes at most half of what remains.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::check::call::{Broken, Call, Candidate, Hello, Reply};

/// How long an explanation may take where the run has no end.
const EXPLANATION: Duration = Duration::from_secs(30);

/// The time of a run.
pub(super) struct Budget {
    end: Option<Instant>,
    kept: Mutex<Duration>,
    rows: AtomicUsize,
    jobs: u32,
}

impl Budget {
    /// That of a run over so many rows, which began then.
    pub(super) fn new(began: Instant, time: Option<Duration>, rows: usize, jobs: usize) -> Budget {
        let jobs = jobs.clamp(1, rows.max(1)) as u32;
        Budget {
            end: time.map(|time| began + time),
            kept: Mutex::new(time.unwrap_or_default() / 4),
            rows: AtomicUsize::new(rows),
            jobs,
        }
    }

    /// True where no time is left.
    pub(super) fn over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// When the row that begins now has to be done.
    pub(super) fn row(&self) -> Option<Instant> {
        let left = self.rows.fetch_sub(1, Ordering::SeqCst).max(1) as u32;
        let end = self.end?;
        let now = Instant::now();
        let kept = *self.kept.lock().expect("no worker panics");
        let rest = end.saturating_duration_since(now);
        // Where earlier rows took more than their part, what is kept is not kept from the last ones.
        let free = rest.saturating_sub(kept).max(rest / 2);
        Some((now + free * self.jobs / left).min(end))
    }

    /// Explains something, with the time by which it has to be done.
    pub(super) fn explaining<T>(&self, explain: impl FnOnce(Instant) -> T) -> T {
        let began = Instant::now();
        let until = match self.end {
            None => began + EXPLANATION,
            Some(end) => {
                let kept = *self.kept.lock().expect("no worker panics");
                // Behind the last row all that is left is for explanations.
                let free = match self.rows.load(Ordering::SeqCst) {
                    0 => end.saturating_duration_since(began),
                    _ => kept,
                };
                (began + free / 2).min(end)
            }
        };
        let explained = explain(until);
        let mut kept = self.kept.lock().expect("no worker panics");
        *kept = kept.saturating_sub(began.elapsed());
        explained
    }
}

/// A target that is asked nothing any more when time is up: then it is [`Broken::Late`].
pub(super) struct Hurried<'a> {
    target: &'a mut dyn Candidate,
    until: Option<Instant>,
    /// Questions that are asked whatever the time.
    free: usize,
    late: bool,
}

impl<'a> Hurried<'a> {
    /// The target until then.
    pub(super) fn new(target: &'a mut dyn Candidate, until: Option<Instant>) -> Hurried<'a> {
        Hurried { target, until, free: 0, late: false }
    }
    /// The same for a row: its first question is asked, so that no row is left out for a slow one.
    pub(super) fn row(target: &'a mut dyn Candidate, until: Option<Instant>) -> Hurried<'a> {
        Hurried { free: 1, ..Hurried::new(target, until) }
    }
    /// True where a question was left out.
    pub(super) fn late(&self) -> bool {
        self.late
    }
    /// Waits for an answer if there is time.
    fn ask<T>(
        &mut self,
        ask: impl FnOnce(&mut dyn Candidate) -> Result<T, Broken>,
    ) -> Result<T, Broken> {
        let free = self.free > 0;
        self.free = self.free.saturating_sub(1);
        if !free && self.until.is_some_and(|until| Instant::now() >= until) {
            self.late = true;
            return Err(Broken::Late);
        }
        ask(self.target)
    }
}

impl Candidate for Hurried<'_> {
    fn hello(&mut self) -> Result<Hello, Broken> {
        self.target.hello()
    }
    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        self.ask(|target| target.run(call))
    }
    fn time(&mut self, call: &Call, repeat: usize) -> Result<Reply, Broken> {
        self.ask(|target| target.time(call, repeat))
    }
    fn restart(&mut self) -> Result<(), Broken> {
        self.ask(|target| target.restart())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_share_what_is_left_and_a_quarter_is_kept_for_explanations() {
        let time = Duration::from_secs(80);
        let budget = Budget::new(Instant::now(), Some(time), 4, 1);
        let left = |until: Instant| until.saturating_duration_since(Instant::now()).as_secs_f64();
        assert!((left(budget.row().unwrap()) - 15.0).abs() < 1.0);
        // The first row took no time: the others have its part.
        assert!((left(budget.row().unwrap()) - 20.0).abs() < 1.0);
        budget.explaining(|until| assert!((left(until) - 10.0).abs() < 1.0));
        budget.row();
        budget.row();
        budget.explaining(|until| assert!((left(until) - 40.0).abs() < 1.0));
        assert!(Budget::new(Instant::now(), None, 4, 1).row().is_none());
    }
}
