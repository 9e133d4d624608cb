//! Stage 7: problems of production sizes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::outcome::{Outcome, note};
use super::subjects::Subject;
use super::{Event, Options, Run};
use crate::check::call::{Candidate, Served};
use crate::check::flaw::Fault;
use crate::check::{shrink, trial};
use crate::gate::stages::sizes::{self, Asked};
use crate::setting::Invalid;

/// Time that one row may take for sizes that nobody asked for.
const TIME: Duration = Duration::from_secs(2);

impl Options {
    /// Refuses sizes that no operator has that is served and looked at: of these nothing is tried.
    pub fn sizes_of(&self, served: &BTreeMap<String, Served>) -> Result<(), Invalid> {
        let looked_at =
            |op: &&str| self.filters.is_empty() || self.filters.iter().any(|f| f.op() == *op);
        Asked::among(&self.sizes, served.keys().map(String::as_str).filter(looked_at))
    }
}

impl Outcome {
    /// Large problems: those asked for, then those of the stage as far as time goes.
    pub(super) fn sizes(&mut self, target: &mut dyn Candidate, subject: &Subject, run: &Run) {
        let Subject { operator, served, dir, dtypes, .. } = subject;
        let (seed, asked) = (run.options.seed, &run.options.sizes);
        let own = asked.iter().filter(|asked| asked.takes(operator.name())).count();
        let cases = sizes::cases(*operator, served, *dir, *dtypes, seed, asked);
        let until = Instant::now() + TIME;
        let (mut beyond, mut vast, mut late) = (Vec::new(), Vec::new(), Vec::new());
        for (i, case) in cases.into_iter().enumerate() {
            let began = Instant::now();
            if !sizes::within(&case, served) {
                beyond.push(shrink::measure(&case));
            } else if !sizes::affordable(&case) {
                vast.push(shrink::measure(&case));
            } else if i >= own && began > until {
                late.push(shrink::measure(&case));
            } else {
                let trial = trial::put(target, served, &case);
                if trial.late() {
                    late.push(shrink::measure(&case));
                    continue;
                }
                self.count(&trial);
                self.tally(7, 1, usize::from(trial.flaw.is_some()), began);
                let Some(flaw) = &trial.flaw else { continue };
                if note(&mut self.failures, 7, &trial) {
                    (run.told)(Event::Failure { row: &self.row.name(), flaw });
                }
                if flaw.fault != Fault::Wrong {
                    break;
                }
            }
        }
        for (why, sizes) in [
            ("they are beyond the target's limits", beyond),
            ("the gate cannot hold them", vast),
            ("time was up", late),
        ] {
            if !sizes.is_empty() {
                self.cut_short(format!("sizes {}", sizes.join(", ")), why);
            }
        }
    }
}
