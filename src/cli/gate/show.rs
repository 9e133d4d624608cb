//! What is seen while a check runs, on standard error: a bar, what is waited for, and failures as
//! they are found.

use std::io::Write as _;
use std::sync::Arc;

use indicatif::ProgressBar;

use super::bar;
use crate::gate::report::{Report, text};
use crate::gate::run::{Event, Options};
use crate::gate::wire::patience::{Waiting, Watch};

/// Shows what happens in a run.
pub(super) struct Show {
    pub(super) bar: ProgressBar,
    style: text::Style,
    /// A report of nothing, for what a failure says of its run: how the target is started.
    report: Report,
}

impl Show {
    /// For a run with these options; where it is quiet only the bar of a terminal is shown.
    pub(super) fn new(options: &Options, quiet: bool) -> Show {
        let style = text::Style::of(&std::io::stderr(), quiet);
        let (nobody, nothing) = (Default::default(), Default::default());
        let report = Report::begin(nobody, options.command.clone(), nothing, options.seed);
        Show { bar: bar(0), style, report }
    }

    /// Shows an event.
    pub(super) fn event(&self, event: Event) {
        match event {
            Event::Done { row, done, of } => {
                self.bar.set_length(of as u64);
                self.bar.set_position(done as u64);
                self.bar.set_prefix(row.to_string());
            }
            Event::Failure { row, flaw } => {
                self.say(&format!(
                    "{}: explaining\n",
                    text::failure(row, &flaw.message, self.style)
                ));
            }
            Event::Explained(finding) => {
                let told = text::finding(&self.report, finding);
                self.say(&text::painted(&told, self.style));
            }
        }
    }

    /// Says what is waited for beside the bar.
    pub(super) fn watch(&self) -> Watch {
        let bar = self.bar.clone();
        Watch(Arc::new(move |waiting: Option<&Waiting>| {
            bar.set_message(waiting.map(ToString::to_string).unwrap_or_default());
            bar.tick();
        }))
    }

    fn say(&self, text: &str) {
        if !self.style.quiet {
            // Nobody is left to be told where standard error is closed.
            self.bar.suspend(|| _ = std::io::stderr().write_all(text.as_bytes()));
        }
    }
}
