//! Progress bars on a terminal, nothing elsewhere.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Outcome, answer, signals};
use crate::config::{RunConfig, Warning, far_start};
use crate::train::Progress;

/// A bar over the work of all runs and a line for the run under way.
///
/// The work of a run is counted in block-tokens, so that the time left is right in a sweep over
/// depths.
pub(super) struct Bars {
    total: ProgressBar,
    current: ProgressBar,
    both: MultiProgress,
    /// Lines to be said once a run has begun: one that is refused says why, and nothing else.
    pending: Mutex<Vec<String>>,
    /// Fields that a warning was said of: one line each is enough for a command.
    warned: Mutex<BTreeSet<&'static str>>,
}

impl Bars {
    /// Bars for runs that have all this work before them.
    pub fn new<'a>(runs: impl IntoIterator<Item = &'a RunConfig>) -> Self {
        let work = runs.into_iter().map(|run| per_step(run) * run.steps as u64).sum();
        let both = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        let total = both.add(ProgressBar::new(work));
        let current = both.add(ProgressBar::new(0));
        let style = |template: &str| {
            let style = ProgressStyle::with_template(template);
            style.expect("a template known to be valid").progress_chars("━╸─")
        };
        total.set_style(style("{prefix:<24} {bar:32} {percent:>3} %  {elapsed} gone, {eta} left"));
        current.set_style(style("{prefix:<24} {bar:32} {pos}/{len} steps  {msg}"));
        total.enable_steady_tick(Duration::from_millis(250));
        Bars { total, current, both, pending: Mutex::default(), warned: Mutex::default() }
    }

    /// Says what the runs that follow belong to.
    pub fn part(&self, name: &str) {
        self.total.set_prefix(name.to_string());
    }

    /// A run that is about to begin.
    pub fn begin(&self, run: &RunConfig) {
        self.current.set_length(run.steps as u64);
        self.current.set_position(0);
        let mut label = format!("{} seed {}", run.label(), run.seed);
        if label.chars().count() > 24 {
            label = label.chars().take(23).chain(['…']).collect();
        }
        self.current.set_prefix(label);
        self.current.set_message("");
    }

    /// A run has ended after so many of its steps; what it did not do is no longer left.
    pub fn end(&self, run: &RunConfig, trained: usize) {
        self.total.inc(per_step(run) * run.steps.saturating_sub(trained) as u64);
    }

    /// A run was in the store already.
    pub fn known(&self, run: &RunConfig) {
        let work = per_step(run) * run.steps as u64;
        self.total.set_length(self.total.length().unwrap_or(0).saturating_sub(work));
    }

    /// Says one line on standard error, terminal or not, above the bars.
    pub fn say(&self, line: &str) {
        let say = || {
            // Where nobody can be told, the work goes on.
            let _ = writeln!(std::io::stderr(), "{line}");
        };
        // A terminal that has gone away, as SIGHUP says, has no bars to go above.
        if self.stops() { say() } else { self.both.suspend(say) }
    }

    /// Writes to standard output, above the bars.
    pub fn answer(&self, text: &str) -> Outcome {
        self.both.suspend(|| answer(text))
    }

    /// Says a line once a run has begun.
    pub fn say_later(&self, line: String) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Says each warning once, the first of each field with the number of runs that it holds for.
    pub fn warn(&self, of_runs: &[Vec<Warning>]) {
        for warning in of_runs.iter().flatten() {
            let same = |run: &&Vec<Warning>| run.iter().any(|w| w.field == warning.field);
            let (count, all) = (of_runs.iter().filter(same).count(), of_runs.len());
            if self.first_of(warning.field) {
                let more = format!(" (so or alike in {count} of {all} runs)");
                let more = if all > 1 { &more } else { "" };
                self.say_later(format!("warning: {warning}{more}"));
            }
        }
    }

    /// Warns of a first loss that is far from what knowing nothing costs.
    pub fn first_loss(&self, config: &RunConfig, loss: f64) {
        if let Some(warning) = far_start(config, loss)
            && self.first_of(warning.field)
        {
            self.say(&format!("warning: {warning} (run {})", config.id()));
        }
    }

    fn first_of(&self, field: &'static str) -> bool {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(field)
    }

    /// Leaves warnings of first losses unsaid: whoever chose the runs knows of them.
    pub fn expect_any_start(&self) {
        self.first_of("first loss");
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        self.current.finish_and_clear();
        self.total.finish_and_clear();
    }
}

/// The work of a step, in units that are alike for all sizes.
pub(super) fn per_step(run: &RunConfig) -> u64 {
    let block = 12 * run.width * run.width + 2 * run.seq * run.width;
    (run.depth * run.batch * run.seq * block / 1000) as u64 + 1
}

impl Progress for Bars {
    fn begun(&self, _config: &RunConfig) {
        let lines =
            std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        lines.iter().for_each(|line| self.say(line));
    }

    fn advanced(&self, config: &RunConfig, step: usize, loss: f64) {
        self.total.inc(per_step(config));
        self.current.set_position(step as u64);
        self.current.set_message(format!("loss {loss:.3}"));
        if step == 1 {
            self.first_loss(config, loss);
        }
    }

    fn stops(&self) -> bool {
        signals::caught().is_some()
    }
}
