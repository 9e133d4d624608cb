//! What a configuration allows and nobody means: one line each, and the run goes on.

use std::fmt;

use super::{FeedForward, Optimizer, RunConfig, Schedule, Survival};
use crate::choice::Constant;
use crate::setting::Setting;
use crate::stack::Head;

/// A setting that is surely not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The field, as spelled on the command line.
    pub field: &'static str,
    /// What was given.
    pub value: String,
    /// What comes of it.
    pub effect: String,
}

impl Warning {
    /// Names the field, the value and what comes of it.
    pub fn new(field: &'static str, value: impl fmt::Display, effect: impl Into<String>) -> Self {
        Warning { field, value: value.to_string(), effect: effect.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{} = {}: {}", self.field, self.value, self.effect);
        // A path may hold line breaks; a warning is one line.
        f.write_str(&text.replace(char::is_control, " "))
    }
}

/// A first loss this many nats away from ln(classes) does not come from knowing nothing.
const FAR: f64 = 1.0;

impl RunConfig {
    /// What is surely not meant, as far as the configuration shows it. Nothing at the defaults.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut found = Vec::new();
        self.warn_of_times(&mut found);
        self.warn_of_sizes(&mut found);
        self.warn_of_what_has_no_effect(&mut found);
        found
    }

    /// Steps and intervals.
    fn warn_of_times(&self, found: &mut Vec<Warning>) {
        let steps = self.steps;
        let mut warn = |field, value: &dyn fmt::Display, effect: String| {
            found.push(Warning::new(field, value, effect));
        };
        if steps == 0 {
            return;
        }
        let of = format!("of {steps} steps");
        if self.warmup >= steps {
            let effect = format!("the warm-up is never over, in a run {of}");
            warn("warmup", &self.warmup, effect);
        } else if self.schedule == Schedule::Wsd {
            let fall = self.decay_share * steps as f64;
            if fall < 1.0 {
                warn("decay-share", &self.decay_share, format!("wsd never falls, in a run {of}"));
            } else if self.warmup as f64 + fall > steps as f64 {
                let effect = format!("the rate falls before warm-up {} is over", self.warmup);
                warn("decay-share", &self.decay_share, effect);
            }
        }
        if self.residual_warmup > steps {
            let effect = format!("the branches never come to their own, in a run {of}");
            warn("residual-warmup", &self.residual_warmup, effect);
        }
        let rise = self.wiring.constants().into_iter().find(|constant| constant.name == "steps");
        if rise.and_then(|rise| rise.value.parse().ok()).is_some_and(|rise: usize| rise > steps) {
            let effect = format!("its branches never come in whole, in a run {of}");
            warn("wiring", &self.wiring.show(), effect);
        }
        let ends = "at the start and the end only";
        if let Some(every) = self.eval_every.filter(|&every| every >= steps) {
            let effect = format!("the held-out loss is measured {ends}, in a run {of}");
            warn("eval-every", &every, effect);
        }
        if let Some(every) = self.probe_every.filter(|&every| every >= steps) {
            warn("probe-every", &every, format!("layers are probed {ends}, in a run {of}"));
        }
    }

    /// Numbers that make learning impossible, or absurd.
    fn warn_of_sizes(&self, found: &mut Vec<Warning>) {
        let adam = self.optimizer == Optimizer::Adamw;
        let mut warn = |holds: bool, field, value: &dyn fmt::Display, effect: &str| {
            if holds {
                found.push(Warning::new(field, value, effect));
            }
        };
        let lr = self.lr;
        warn(lr < 1e-7, "lr", &lr, "steps this small are lost in rounding; nothing is learned");
        warn(adam && lr >= 1.0, "lr", &lr, "adamw moves every weight by about this much a step");
        let decay = self.weight_decay * lr >= 1.0;
        warn(decay, "weight-decay", &self.weight_decay, "times lr it takes whole weights a step");
        let clip = self.clip > 0.0 && self.clip < 1e-5;
        warn(clip, "clip", &self.clip, "hardly any gradient is left; 0 clips nothing");
        let swapped = adam && self.beta1 * self.beta1 > self.beta2;
        let effect = format!("above the root of beta2 {}: were they swapped?", self.beta2);
        warn(swapped, "beta1", &self.beta1, &effect);
        let large = adam && self.adam_eps >= 1e-3;
        warn(large, "adam-eps", &self.adam_eps, "outweighs most gradients; steps become tiny");
        let none = adam && self.adam_eps == 0.0;
        warn(none, "adam-eps", &self.adam_eps, "a weight without a gradient becomes 0/0, NaN");
        for (field, share) in
            [("dropout", self.dropout), ("stochastic-depth", self.stochastic_depth)]
        {
            warn(share >= 0.8, field, &share, "is the share that is dropped, not the one kept");
        }
        let smoothed = self.label_smoothing >= 0.5;
        let effect = "the targets are nearer to uniform than to the text";
        warn(smoothed, "label-smoothing", &self.label_smoothing, effect);
        if let Some(std) = self.embed_std {
            warn(std == 0.0, "embed-std", &std, "all tokens start alike");
            warn(std > 10.0, "embed-std", &std, "drowns what the blocks add; 1 is usual");
        }
        let large =
            |c: &Constant| c.name == "gain" && c.value.parse::<f64>().is_ok_and(|g| g.abs() > 1.0);
        let gain = self.wiring.constants().iter().any(large);
        warn(gain, "wiring", &self.wiring.show(), "its gain is meant to be small, such as 1e-4");
        let bends = self.init.id() == "looks_linear" && self.ffn == FeedForward::Gated;
        warn(bends, "init", &self.init.show(), "is linear at first with a plain feed-forward only");
        let thin = self.heads == self.width && self.width > 1;
        warn(thin, "heads", &self.heads, "leaves each head one feature of the width");
        let narrow = self.hidden() == 1 && self.width > 1;
        warn(narrow, "ffn-ratio", &self.ffn_ratio, "leaves the feed-forward one hidden feature");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if let Some(threads) = self.threads {
            let effect = format!("this machine runs {cores} at once");
            warn(threads > 4 * cores, "threads", &threads, &effect);
        }
    }

    /// Fields that were set and do nothing beside the others.
    fn warn_of_what_has_no_effect(&self, found: &mut Vec<Warning>) {
        let mut idle = |holds: bool, field: &'static str, beside: String| {
            if holds && self.given(&[field]).is_some() {
                let value = self.get(field).unwrap_or_default();
                found.push(Warning::new(field, value, format!("has no effect {beside}")));
            }
        };
        let under = |field: &str| format!("under {field} {}", self.get(field).unwrap_or_default());
        idle(self.schedule != Schedule::Wsd, "decay-share", under("schedule"));
        let sgd = self.optimizer == Optimizer::Sgd;
        idle(sgd, "beta2", under("optimizer"));
        idle(sgd, "adam-eps", under("optimizer"));
        idle(self.optimizer != Optimizer::Muon, "muon-momentum", under("optimizer"));
        idle(!self.wiring.has_norm(), "norm", under("wiring"));
        idle(!self.wiring.has_norm(), "norm-noise", under("wiring"));
        idle(!self.wiring.has_norm(), "freeze", under("wiring"));
        let kept = self.stochastic_depth == 0.0 && self.survival != Survival::Linear;
        idle(kept, "survival", "without stochastic-depth".to_string());
        idle(self.depth_exponent.is_none(), "base-depth", "without depth-exponent".to_string());
        let none = self.stochastic_depth == 0.0;
        idle(none, "survivors", "without stochastic-depth".to_string());
        idle(none, "drop-per", "without stochastic-depth".to_string());
        let classes = matches!(self.task.ends().head, Head::Classes { .. });
        idle(!classes, "z-loss", under("task"));
        idle(!classes, "logit-softcap", under("task"));
        for field in ["text", "series", "volume", "target", "samples"] {
            idle(!self.task.reads(field), field, under("task"));
        }
        let file = self.task.reads("series") && !self.series.is_empty();
        idle(!file, "column", "without a series".to_string());
    }
}

/// What is to be said of a run by its first loss, in nats.
pub fn far_start(config: &RunConfig, first: f64) -> Option<Warning> {
    // Numbers can be any number of nats away at first.
    let Head::Classes { n } = config.task.ends().head else { return None };
    let nothing = (n as f64).ln();
    // A first loss that is not finite is an outcome, and named as one.
    if !first.is_finite() || (first - nothing).abs() <= FAR {
        return None;
    }
    let why = match (config.tied_head, config.embed_std) {
        (true, Some(std)) => format!("the head is tied to an embedding of embed-std {std}"),
        (true, None) => "the head is tied to the embedding; --embed-std sets its size".to_string(),
        (false, Some(std)) => {
            format!("init {} and embed-std {std} start too wide", config.init.id())
        }
        (false, None) => format!("init {} starts too wide for this stack", config.init.id()),
    };
    let effect = format!("far from ln {n} = {nothing:.2}, what knowing nothing costs: {why}");
    Some(Warning::new("first loss", format!("{first:.2}"), effect))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;
    use crate::task::TaskChoice;

    fn fields(settings: &[(&str, &str)]) -> Vec<&'static str> {
        let config = RunConfig::from_settings(settings.iter().copied()).unwrap();
        config.warnings().iter().map(|warning| warning.field).collect()
    }

    #[test]
    fn defaults_and_presets_are_meant() {
        for preset in Preset::ALL {
            let warnings = RunConfig::preset(*preset).warnings();
            assert!(warnings.is_empty(), "{preset:?}: {warnings:?}");
        }
        assert!(fields(&[("steps", "0"), ("eval-every", "10")]).is_empty());
    }

    #[test]
    fn what_is_surely_not_meant_is_said() {
        let cases: [(&[(&str, &str)], &str); 26] = [
            (&[("warmup", "200")], "warmup"),
            (&[("preset", "vaswani"), ("steps", "100")], "warmup"),
            (&[("eval-every", "200")], "eval-every"),
            (&[("probe-every", "1000")], "probe-every"),
            (&[("schedule", "wsd"), ("decay-share", "0")], "decay-share"),
            (&[("schedule", "wsd"), ("decay-share", "0.9"), ("warmup", "50")], "decay-share"),
            (&[("decay-share", "0.5")], "decay-share"),
            (&[("lr", "1e-12")], "lr"),
            (&[("lr", "3")], "lr"),
            (&[("weight-decay", "1000")], "weight-decay"),
            (&[("clip", "1e-8")], "clip"),
            (&[("beta1", "0.999"), ("beta2", "0.9")], "beta1"),
            (&[("adam-eps", "0.1")], "adam-eps"),
            (&[("adam-eps", "0")], "adam-eps"),
            (&[("dropout", "0.9")], "dropout"),
            (&[("stochastic-depth", "0.95")], "stochastic-depth"),
            (&[("label-smoothing", "0.9")], "label-smoothing"),
            (&[("embed-std", "0")], "embed-std"),
            (&[("embed-std", "100")], "embed-std"),
            (&[("wiring", "layer_scale(gain=100)")], "wiring"),
            (&[("wiring", "branch_norm(steps=201)")], "wiring"),
            (&[("heads", "64")], "heads"),
            (&[("ffn-ratio", "0.01")], "ffn-ratio"),
            (&[("optimizer", "sgd"), ("beta2", "0.9")], "beta2"),
            (&[("wiring", "rezero"), ("norm", "rms_norm")], "norm"),
            (&[("task", "markov"), ("text", "my.txt")], "text"),
        ];
        for (settings, field) in cases {
            assert_eq!(fields(settings), [field], "{settings:?}");
        }
        assert_eq!(fields(&[("survival", "uniform")]), ["survival"]);
        assert_eq!(fields(&[("init", "looks_linear"), ("ffn", "gated")]), ["init"]);
        assert_eq!(fields(&[("residual-warmup", "201")]), ["residual-warmup"]);
        for (field, value) in [
            ("base-depth", "2"),
            ("muon-momentum", "0.9"),
            ("survivors", "unscaled"),
            ("drop-per", "batch"),
        ] {
            assert_eq!(fields(&[(field, value)]), [field]);
        }
        assert_eq!(fields(&[("threads", "1024")]), ["threads"]);
    }

    #[test]
    fn a_warning_is_one_line() {
        let warning = Warning::new("text", "a\nb", "is odd");
        assert_eq!(warning.to_string(), "text = a b: is odd");
    }

    #[test]
    fn a_first_loss_is_judged_by_its_vocabulary() {
        let config = RunConfig { tied_head: true, embed_std: Some(1.0), ..RunConfig::default() };
        assert_eq!(far_start(&config, 5.9), None);
        assert_eq!(far_start(&config, f64::NAN), None);
        let text = far_start(&config, 46.4).unwrap().to_string();
        assert!(text.contains("46.40") && text.contains("tied") && text.contains("5.55"), "{text}");
        let config = RunConfig { task: TaskChoice::usual("markov"), ..config };
        assert!(far_start(&config, 3.6).is_none() && far_start(&config, 5.5).is_some());
    }
}
