//! How long a target may take, and what is known of its pace.
//!
//! The first call of an operator, and the first of a shape, may compile for a minute: they have
//! limits of their own, and their time is no part of the median that bounds the others. What was
//! compiled goes with its process, so a fresh one is a beginner again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::check::call::Call;
use crate::setting::Invalid;

/// How long a target may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// To introduce itself: frameworks load slowly.
    pub hello: Duration,
    /// For the first call of an operator, pass and dtype in a process, which may load and compile.
    pub first: Duration,
    /// For the first call of a shape, or of other attributes, which may compile again.
    pub shape: Duration,
    /// For any further call.
    pub least: Duration,
    /// For a further call, in medians of the further calls before it.
    pub factor: f64,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Patience {
            hello: seconds(60),
            first: seconds(120),
            shape: seconds(60),
            least: seconds(5),
            factor: 50.0,
        }
    }
}

/// What a patience may be, for a message.
pub const ALLOWED: &str =
    "a time such as 60s for first calls, or some of hello=60s,first=120s,shape=60s,call=5s";

impl Patience {
    /// Sets one limit by its name; of first calls, that of a shape is never the longer one.
    ///
    /// # Errors
    /// Where there is no such limit, or no such time.
    pub fn set(&mut self, name: &str, time: &str) -> Result<(), Invalid> {
        let field = format!("patience.{name}");
        let allowed = "a time above 0 such as 60s, 2m or 500ms";
        let time = seconds(time).ok_or_else(|| Invalid::new(&field, time, allowed))?;
        match name {
            "hello" => self.hello = time,
            "first" => (self.first, self.shape) = (time, self.shape.min(time)),
            "shape" => (self.shape, self.first) = (time, self.first.max(time)),
            "call" => self.least = time,
            _ => return Err(Invalid::new("patience", name, "hello, first, shape, call")),
        }
        Ok(())
    }
}

impl FromStr for Patience {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Patience, Invalid> {
        let mut patience = Patience::default();
        if let Some(time) = seconds(text) {
            (patience.first, patience.shape) = (time, time);
            return Ok(patience);
        }
        for part in text.split(',') {
            let (name, time) =
                part.split_once('=').ok_or_else(|| Invalid::new("patience", text, ALLOWED))?;
            patience.set(name.trim(), time.trim())?;
        }
        Ok(patience)
    }
}

/// `30s`, `2m`, `1h`, `500ms` or a number of seconds: a time above 0.
pub fn seconds(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let scale = match unit {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let seconds = number.trim().parse::<f64>().ok()? * scale;
    (seconds > 0.0 && seconds < 1e6).then(|| Duration::from_secs_f64(seconds))
}

/// What makes a call take longer than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The target starts.
    Hello,
    /// The first call of an operator, pass and dtype.
    First,
    /// The first call of a shape.
    Shape,
    /// A shape that was answered before.
    Again,
}

/// A call that has no answer yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// `op:dir:dtype`; nothing where the target starts.
    pub subject: String,
    /// What makes it long.
    pub occasion: Occasion,
    /// For how long it has been.
    pub elapsed: Duration,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Waiting { subject, occasion, elapsed } = self;
        let seconds = elapsed.as_secs();
        match occasion {
            Occasion::Hello => write!(f, "waiting for the target to start ({seconds} s)"),
            Occasion::First => {
                write!(f, "waiting for the first answer of {subject} ({seconds} s; compiling?)")
            }
            Occasion::Shape => {
                write!(f, "waiting for {subject} at a new shape ({seconds} s; compiling?)")
            }
            Occasion::Again => write!(f, "waiting for {subject} ({seconds} s)"),
        }
    }
}

/// Hears of a call that takes long, and, by nothing, that it is over.
#[derive(Clone)]
pub struct Watch(pub Arc<Heard>);

/// What hears of it.
pub type Heard = dyn Fn(Option<&Waiting>) + Send + Sync;

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// What is known of the pace of one target.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Operators, passes and dtypes that the process has answered.
    met: BTreeSet<String>,
    /// Seconds that the first call of a shape took in this process.
    shapes: BTreeMap<String, f64>,
    /// Operators that ran out of patience at a first call once.
    hung: BTreeSet<String>,
    /// Seconds of the further calls, in ascending order.
    durations: Vec<f64>,
}

impl Pace {
    /// A fresh process has compiled nothing.
    pub(super) fn forget(&mut self) {
        self.met.clear();
        self.shapes.clear();
    }

    /// What kind of call it is, and how long it may take.
    pub(super) fn limit(
        &self,
        patience: &Patience,
        call: &Call,
        repeat: usize,
    ) -> (Occasion, Duration) {
        let median = self.durations.get(self.durations.len() / 2).copied().unwrap_or(0.0);
        let known = self.shapes.get(&shape(call)).copied();
        // A call takes as long as the first of its shape did, by the noise of a busy machine more.
        let work = (patience.factor * median * repeat as f64).max(2.0 * known.unwrap_or(0.0));
        let again = patience.least.max(Duration::from_secs_f64(work.min(1e6)));
        let (occasion, most) = match known {
            Some(_) => return (Occasion::Again, again),
            None if self.met.contains(&subject(call)) => (Occasion::Shape, patience.shape),
            None => (Occasion::First, patience.first),
        };
        // What hung once is waited for again, as it may compile, but not as long.
        let most = if self.hung.contains(&call.op) { most / 4 } else { most };
        (occasion, most.max(again))
    }

    /// Notes a call that was answered.
    pub(super) fn answered(&mut self, call: &Call, occasion: Occasion, seconds: f64) {
        if occasion == Occasion::Again {
            let place = self.durations.partition_point(|&other| other < seconds);
            self.durations.insert(place, seconds);
        } else {
            self.met.insert(subject(call));
            self.shapes.insert(shape(call), seconds);
        }
    }

    /// Notes a call that was waited for in vain.
    pub(super) fn hung(&mut self, call: &Call) {
        self.hung.insert(call.op.clone());
    }
}

/// `op:dir:dtype`, with the dtype of parameters where it is another.
pub(super) fn subject(call: &Call) -> String {
    let Call { op, dir, dtype, params_dtype, .. } = call;
    match dtype == params_dtype {
        true => format!("{op}:{dir}:{dtype}"),
        false => format!("{op}:{dir}:{dtype}+{params_dtype}"),
    }
}

/// What a compiler may specialise code for: shapes, presence and attributes, but not the numbers
/// that are new at every call.
fn shape(call: &Call) -> String {
    use std::fmt::Write as _;
    let mut key = subject(call);
    for (name, tensor) in &call.tensors {
        let _ = write!(key, " {name}{:?}", tensor.shape);
    }
    for (name, value) in call.attrs.iter().filter(|(name, _)| *name != "seed" && *name != "step") {
        let _ = write!(key, " {name}={value}");
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::spec::case::Case;

    fn call(case: &str) -> Call {
        case.parse::<Case>().unwrap().call()
    }

    #[test]
    fn a_time_alone_is_that_of_first_calls_and_parts_are_named() {
        let patience: Patience = "90s".parse().unwrap();
        assert_eq!(patience.first, Duration::from_secs(90));
        assert_eq!(patience.shape, Duration::from_secs(90));
        assert_eq!(patience.least, Patience::default().least);
        let patience: Patience = "first=2m, call=500ms".parse().unwrap();
        assert_eq!(patience.first, Duration::from_secs(120));
        assert_eq!(patience.least, Duration::from_millis(500));
        let patience: Patience = "first=7".parse().unwrap();
        assert_eq!(patience.shape, Duration::from_secs(7), "a shape has no more than a first call");
        for (wrong, field) in [
            ("", "patience ="),
            ("soon", "patience = soon"),
            ("frist=2s", "patience = frist: allowed is hello, first, shape, call"),
            ("first=0s", "patience.first = 0s"),
            ("first=-1", "patience.first = -1"),
            ("call=2d", "patience.call = 2d"),
            ("first=nan", "patience.first = nan"),
            ("0", "patience = 0"),
        ] {
            let said = wrong.parse::<Patience>().unwrap_err().to_string();
            assert!(said.contains(field), "{wrong}: {said}");
        }
    }

    #[test]
    fn what_is_new_may_compile_and_what_is_not_may_hang_for_five_seconds() {
        let patience = Patience::default();
        let mut pace = Pace::default();
        let small = call("layer_norm:fwd:f32:rows=2,cols=4,x=normal,seed=1");
        let twin = call("layer_norm:fwd:f32:rows=2,cols=4,x=normal,seed=2");
        let wide = call("layer_norm:fwd:f32:rows=2,cols=5,x=normal,seed=1");
        let back = call("layer_norm:bwd:f32:rows=2,cols=4,x=normal,dy=normal,seed=1");
        assert_eq!(pace.limit(&patience, &small, 1), (Occasion::First, patience.first));
        pace.answered(&small, Occasion::First, 2.0);
        assert_eq!(pace.limit(&patience, &twin, 1), (Occasion::Again, patience.least));
        assert_eq!(pace.limit(&patience, &wide, 1), (Occasion::Shape, patience.shape));
        assert_eq!(pace.limit(&patience, &back, 1), (Occasion::First, patience.first));
        // Compiling is in no median: fifty times two seconds would be a long hang.
        for _ in 0..3 {
            pace.answered(&twin, Occasion::Again, 0.2);
        }
        assert_eq!(pace.limit(&patience, &twin, 1).1, Duration::from_secs(10));
        pace.hung(&wide);
        assert_eq!(pace.limit(&patience, &wide, 1).1, patience.shape / 4);
        pace.forget();
        assert_eq!(pace.limit(&patience, &twin, 1).0, Occasion::First);
    }

    #[test]
    fn a_call_may_take_as_long_as_the_first_of_its_shape() {
        let (patience, mut pace) = (Patience::default(), Pace::default());
        let slow = call("softmax:fwd:f32:rows=2,cols=4,x=normal,seed=1");
        pace.answered(&slow, Occasion::First, 9.0);
        assert_eq!(pace.limit(&patience, &slow, 1), (Occasion::Again, Duration::from_secs(18)));
    }
}
