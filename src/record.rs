//! Plain data that a training run leaves behind.
//!
//! Nothing here does I/O. Divergence, stagnation and non-finite values are
//! ordinary data ([`Outcome`]), because observing them is the purpose of a run.
//!
//! # Non-finite numbers in JSON
//!
//! JSON has no literal for them. A NaN is written as `null` and read back as
//! NaN; the infinities are written as the strings `"inf"` and `"-inf"`. In an
//! optional field `null` already means "absent", so a NaN that is present is
//! written as the string `"nan"`. Every reader accepts all of these spellings.

use crate::num::spelled::{number, optional_number};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The loss ended clearly below the baseline of the task, and every observed value stayed
    /// finite.
    Ok,
    /// The loss came to a plateau no better than the baseline of the task.
    Stuck,
    /// The run trained, and its loss once jumped out of its noise.
    Spike {
        /// The step at which the loss jumped.
        step: u64,
    },
    /// The loss stayed above its first value for 50 steps without coming back; the run was ended.
    Diverged {
        /// The step at which the loss passed the limit.
        step: u64,
    },
    /// A value that should be finite was not.
    NonFinite {
        /// The step at which it was first seen.
        step: u64,
        /// The name of the value, such as `blocks.3.attn.scores`.
        value: String,
    },
    /// As [`Outcome::Stuck`], and the token representations are indistinguishable from one another.
    Collapsed,
    /// The run ended before it was better than the baseline, and before a plateau: what becomes of it
    /// in more steps is not known.
    Unfinished,
}

impl Outcome {
    /// Every identifier that [`Outcome::id`] can return.
    pub const IDS: [&'static str; 7] =
        ["ok", "stuck", "spike", "diverged", "non_finite", "collapsed", "unfinished"];

    /// A stable identifier without the details, for tables and filters.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Stuck => "stuck",
            Self::Spike { .. } => "spike",
            Self::Diverged { .. } => "diverged",
            Self::NonFinite { .. } => "non_finite",
            Self::Collapsed => "collapsed",
            Self::Unfinished => "unfinished",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("trained"),
            Self::Stuck => f.write_str("a plateau no better than the baseline"),
            Self::Spike { step } => write!(f, "loss spike at step {step}"),
            Self::Diverged { step } => write!(f, "diverged at step {step}"),
            Self::NonFinite { step, value } => write!(f, "non-finite at step {step} in {value}"),
            Self::Collapsed => f.write_str("all tokens became alike"),
            Self::Unfinished => f.write_str("ended before it learned or came to a plateau"),
        }
    }
}

/// Where the loss was going when a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// Still falling: as many steps again would have lowered it.
    Falling,
    /// On a plateau: as many steps again at this learning rate would not have lowered it by much.
    Level,
    /// The run is too short or too noisy to tell, or was written before this was recorded.
    #[default]
    Unclear,
}

impl Trend {
    /// Every identifier that [`Trend::id`] can return.
    pub const IDS: [&'static str; 3] = ["falling", "level", "unclear"];

    /// A stable identifier.
    pub fn id(self) -> &'static str {
        Self::IDS[self as usize]
    }
}

impl fmt::Display for Trend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Falling => "still falling at the end",
            Self::Level => "on a plateau at the end",
            Self::Unclear => "too short or too noisy to tell falling from level",
        })
    }
}

/// The loss that a run is judged by, and compared with others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The training loss: every token was new to the run, and the loss is the plain cross-entropy of
    /// the whole model.
    #[default]
    Training,
    /// The held-out loss: the run saw its text more than once, or its training loss is not plain.
    HeldOut,
}

impl Measure {
    /// Every identifier that [`Measure::id`] can return.
    pub const IDS: [&'static str; 2] = ["training", "held_out"];

    /// A stable identifier.
    pub fn id(self) -> &'static str {
        Self::IDS[self as usize]
    }
}

/// What one optimizer step observed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    /// The step, counted from the start of the run.
    pub step: u64,
    /// The training loss; NaN and the infinities are legitimate.
    #[serde(with = "number")]
    pub loss: f64,
    /// The learning rate in force.
    #[serde(with = "number")]
    pub lr: f64,
    /// The norm of the whole gradient before clipping.
    #[serde(with = "number")]
    pub grad_norm: f64,
    /// The validation loss, on the steps that measured it.
    #[serde(with = "optional_number", default)]
    pub val_loss: Option<f64>,
}

/// One value measured inside the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeRow {
    /// The step at which it was measured.
    pub step: u64,
    /// The block, counted from the input.
    pub layer: u32,
    /// Where in the block, such as `stream` or `blocks.3.ffn.down.weight`.
    pub site: String,
    /// What was measured, such as `rms` or `token_cosine`.
    pub metric: String,
    /// The value; NaN and the infinities are legitimate.
    #[serde(with = "number")]
    pub value: f64,
}

/// A loss to compare with, in nats per target: what some way to predict reaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceLoss {
    /// The way to predict, such as `unigram`; `bayes` is the best there is.
    pub name: String,
    /// What it costs.
    #[serde(with = "number")]
    pub nats: f64,
}

impl ReferenceLoss {
    /// The loss of a name in a list.
    pub fn find(list: &[ReferenceLoss], name: &str) -> Option<f64> {
        list.iter().find(|reference| reference.name == name).map(|reference| reference.nats)
    }
}

impl From<(&str, f64)> for ReferenceLoss {
    fn from((name, nats): (&str, f64)) -> Self {
        ReferenceLoss { name: name.to_string(), nats }
    }
}

/// The figures of a finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How the run ended.
    pub outcome: Outcome,
    /// The mean training loss of the last 20 steps.
    #[serde(with = "number")]
    pub loss: f64,
    /// The training loss before the first update.
    #[serde(with = "number")]
    pub initial_loss: f64,
    /// The validation loss at the end.
    #[serde(with = "number")]
    pub val_loss: f64,
    /// Losses to compare with, as the task names them.
    pub references: Vec<ReferenceLoss>,
    /// The name of the one that a run which learned is clearly below.
    pub baseline: String,
    /// The mean cosine between token representations at the output.
    #[serde(with = "number")]
    pub token_cosine: f64,
    /// The number of steps taken.
    pub steps: u64,
    /// The wall time of the training loop.
    #[serde(with = "number")]
    pub seconds: f64,
    /// The largest amount of memory held at once.
    pub peak_bytes: u64,
    /// The number of trained parameters.
    pub parameters: u64,
    /// How many times the run went over its training text: tokens trained on, as a multiple of the
    /// tokens there are. NaN where every sequence was new, or it was not recorded.
    #[serde(with = "number", default = "unknown")]
    pub passes: f64,
    /// Where the loss was going at the end.
    #[serde(default)]
    pub trend: Trend,
    /// The loss that the outcome was judged by.
    #[serde(default)]
    pub measure: Measure,
    /// What the targets of `val_loss` cost the model that the baseline stands for, such as one that
    /// knows the frequencies of tokens only. NaN where it was not recorded.
    #[serde(with = "number", default = "unknown")]
    pub val_baseline: f64,
}

impl Summary {
    /// The loss that this run is compared with others by, as [`Summary::measure`] says.
    pub fn judged_loss(&self) -> f64 {
        match self.measure {
            Measure::Training => self.loss,
            Measure::HeldOut => self.val_loss,
        }
    }

    /// The reference loss of a name.
    pub fn reference(&self, name: &str) -> Option<f64> {
        ReferenceLoss::find(&self.references, name)
    }
}

/// Stands for what an older version did not record.
fn unknown() -> f64 {
    f64::NAN
}

/// Whether a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// A process is at work on it.
    Running,
    /// Its process ended before the run did; it can be gone on with.
    Interrupted,
    /// Running or interrupted: the file system of the store has no locks, so it cannot be told.
    Unclear,
    /// Ended, with a summary.
    Finished,
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Unclear => "running or interrupted",
            Self::Finished => "finished",
        })
    }
}

/// The field of a run's configuration that names the device, beside those that were asked for: which
/// of those that the same configuration may run on. Absent for the CPU.
pub const DEVICE_NAME: &str = "device-name";

/// A run as the store lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The unique identifier.
    pub id: String,
    /// A name for people; need not be unique.
    pub name: String,
    /// The configuration that produced the run.
    pub config: serde_json::Value,
    /// The sweep or survey part the run belongs to; may be empty.
    pub group: String,
    /// When the run was first begun, in milliseconds since 1970-01-01 UTC.
    pub created: u64,
    /// Whether the run has ended.
    pub state: RunState,
    /// The figures, once it has.
    pub summary: Option<Summary>,
}

impl RunRecord {
    /// What the run was begun on, where that was not the CPU.
    pub fn device(&self) -> Option<&str> {
        self.config.get(DEVICE_NAME)?.as_str()
    }
}
