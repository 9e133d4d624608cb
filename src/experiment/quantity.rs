//! A number of a run, by name.

use super::label;
use super::run::Run;
use crate::config::RunConfig;
use crate::plot::Scale;

/// A number of a finished run: a summary's, a number field's, or a probe's, written `metric@site` for the
/// last layer that has it, `metric@site@first` for the first, `metric@site@mean` for the mean over the
/// layers, and `metric@run` for a cost of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity(String);

/// The numbers of a summary, with what they are.
const SUMMARY: [(&str, &str); 8] = [
    ("val-loss", "held-out loss"),
    ("loss", "training loss, mean of the last 20 steps"),
    ("initial-loss", "training loss before the first update"),
    ("token-cosine", "mean cosine between tokens at the output"),
    ("seconds", "wall time of training (s)"),
    ("peak-bytes", "largest memory held (MiB)"),
    ("parameters", "trained parameters"),
    ("passes", "passes over the training data"),
];

impl Quantity {
    /// The held-out loss at the end.
    pub fn held_out() -> Self {
        Quantity("val-loss".to_string())
    }

    /// Reads a name.
    ///
    /// # Errors
    /// What is allowed, where there is no such number.
    pub fn read(name: &str) -> Result<Self, String> {
        let name = name.replace('_', "-");
        let field = RunConfig::fields().into_iter().any(|field| field.name == name);
        let parts: Vec<&str> = name.split('@').collect();
        let probe = match parts.as_slice() {
            [metric, site] | [metric, site, "first" | "mean"] => {
                !metric.is_empty() && !site.is_empty()
            }
            _ => false,
        };
        if field || probe || SUMMARY.iter().any(|(known, _)| *known == name) {
            return Ok(Quantity(name));
        }
        let names: Vec<&str> = SUMMARY.iter().map(|(name, _)| *name).collect();
        Err(format!(
            "one of {}, a field of a run, or a probe as metric@site, metric@site@first or metric@site@mean",
            names.join(", ")
        ))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Metric and site, where it is a probe's.
    pub fn probe(&self) -> Option<(String, String)> {
        let mut parts = self.0.split('@');
        let (metric, site) = (parts.next()?, parts.next()?);
        let spelled = |part: &str| part.replace('-', "_");
        (site != "run").then(|| (spelled(metric), spelled(site)))
    }

    /// Whether it is a loss, of which less is better.
    pub fn is_loss(&self) -> bool {
        self.0 == "loss" || self.0.ends_with("-loss")
    }

    /// Its value in a run; of a probe, that of the last layer at the last step.
    pub fn of(&self, run: &Run) -> Option<f64> {
        let summary = &run.summary;
        Some(match &*self.0 {
            "val-loss" => summary.val_loss,
            "loss" => summary.loss,
            "initial-loss" => summary.initial_loss,
            "token-cosine" => summary.token_cosine,
            "seconds" => summary.seconds,
            "peak-bytes" => summary.peak_bytes as f64 / (1 << 20) as f64,
            "parameters" => summary.parameters as f64,
            "passes" => summary.passes,
            name => match name.split_once('@') {
                Some((metric, "run")) => run.cost(&metric.replace('-', "_"))?,
                Some((metric, site)) => {
                    let (site, which) = site.split_once('@').unwrap_or((site, "last"));
                    let site = site.replace('-', "_");
                    let layers = run.by_layer(summary.steps, &site, &metric.replace('-', "_"));
                    let (first, last) = (layers.first()?.1, layers.last()?.1);
                    match which {
                        "first" => first,
                        "mean" => layers.iter().map(|l| l.1).sum::<f64>() / layers.len() as f64,
                        _ => last,
                    }
                }
                None => return label::number(&run.config, name),
            },
        })
    }

    /// What it is, with its unit.
    pub fn label(&self, config: &RunConfig) -> String {
        let known = SUMMARY.iter().find(|(name, _)| *name == self.0);
        match (known, self.0.split_once('@')) {
            (Some((_, words)), _) if self.is_loss() => {
                format!("{words} ({})", loss_unit(config))
            }
            (Some((_, words)), _) => (*words).to_string(),
            (None, Some((metric, site))) => match site.split_once('@') {
                Some((site, "mean")) => format!("{metric} of {site}, mean of the layers"),
                Some((site, _)) => format!("{metric} of {site}, first layer"),
                None => format!("{metric} of {site}, last layer"),
            }
            .replace('-', "_"),
            (None, None) if self.0 == "depth" => "depth (blocks)".to_string(),
            (None, None) if self.0 == "lr" => "learning rate".to_string(),
            (None, None) => self.0.replace('-', " "),
        }
    }

    /// How its values are best spread.
    pub fn scale(&self, values: impl Iterator<Item = f64>) -> Scale {
        let (low, high) = values
            .filter(|v| v.is_finite())
            .fold((f64::INFINITY, 0f64), |(low, high), v| (low.min(v), high.max(v)));
        let wide = low > 0.0 && high >= 8.0 * low;
        match (&*self.0, wide) {
            (_, false) => Scale::Linear,
            ("depth" | "width" | "batch" | "seq" | "heads" | "steps", true) => Scale::Log2,
            (_, true) => Scale::Log10,
        }
    }
}

/// The unit of a run's loss.
pub(crate) fn loss_unit(config: &RunConfig) -> String {
    let unit = config.task.ends().head.unit();
    if config.task.id() == "text" { format!("{unit} per byte") } else { unit.to_string() }
}
