//! What a configuration may be: every range, and every relation between fields. A refusal names the
//! field that somebody gave.

use super::{Checkpoint, Device, Invalid, Optimizer, Positions, RunConfig, Setting};
use crate::stack::cube_root;

impl RunConfig {
    /// The first of some fields that is not at its default: the one that a refusal is about, since
    /// somebody gave it. Nothing where none was given.
    pub(crate) fn given<'a>(&self, fields: &[&'a str]) -> Option<&'a str> {
        let default = RunConfig::preset(self.preset);
        fields.iter().copied().find(|name| self.get(name) != default.get(name))
    }

    /// Checks that shards and micro-batches cut the batch into equal parts.
    fn check_shares(&self) -> Result<(), Invalid> {
        let (batch, passes) = (self.batch, self.micro_batches);
        let Some(shards) = self.shards else {
            if batch.is_multiple_of(passes) {
                return Ok(());
            }
            let allowed = format!("a divisor of batch {batch}");
            return Err(Invalid::new("micro-batches", passes, allowed));
        };
        if shards.checked_mul(passes).is_some_and(|parts| batch.is_multiple_of(parts)) {
            return Ok(());
        }
        if !batch.is_multiple_of(shards) {
            let allowed = format!("a number that divides batch {batch}");
            return Err(Invalid::new("shards", shards, allowed));
        }
        let allowed = format!("a number whose product with shards {shards} divides batch {batch}");
        Err(Invalid::new("micro-batches", passes, allowed))
    }

    /// Checks that what says how rates follow the sizes has the optimiser that it was derived for.
    fn check_parametrisation(&self) -> Result<(), Invalid> {
        if let Some(a) = self.depth_exponent.filter(|a| !(a.is_finite() && a.abs() <= 4.0)) {
            return Err(Invalid::new("depth-exponent", a, "auto, or a number from -4 to 4"));
        }
        let by_size = match (self.depth_exponent, self.init.width_multiplier(1.0)) {
            (Some(_), _) => "depth-exponent".to_string(),
            (None, Some(_)) => format!("init {}", self.init.id()),
            (None, None) => return Ok(()),
        };
        if self.optimizer == Optimizer::Adamw {
            return Ok(());
        }
        let allowed = format!("adamw under {by_size}");
        Err(Invalid::new("optimizer", self.optimizer.id(), allowed))
    }

    /// Checks that rotary positions can cut a head into pairs, and its pairs into axes.
    fn check_positions(&self) -> Result<(), Invalid> {
        let (axes, other) = match self.positions {
            Positions::None | Positions::Learned => return Ok(()),
            Positions::Rotary => (1, "none or learned"),
            Positions::Rotary3 => (3, "none, learned or rotary"),
        };
        let (positions, pairs) = (self.positions.id(), 2 * axes);
        if axes == 3 && cube_root(self.seq).is_none() {
            let allowed = format!("{other} where seq {} is no cube, such as 27", self.seq);
            return Err(Invalid::new("positions", positions, allowed));
        }
        if (self.width / self.heads).is_multiple_of(pairs) {
            return Ok(());
        }
        let ratio = format!("{}/{}", self.width, self.heads);
        Err(match self.given(&["positions", "heads", "width"]) {
            Some("width") => {
                let allowed =
                    format!("a multiple of {} under {positions} positions", pairs * self.heads);
                Invalid::new("width", self.width, allowed)
            }
            Some("heads") => {
                let even =
                    if axes == 1 { "an even width/heads" } else { "6 to divide width/heads" };
                let allowed = format!("{even} under {positions} positions, not {ratio}");
                Invalid::new("heads", self.heads, allowed)
            }
            _ => {
                let odd = if axes == 1 { "is odd" } else { "is no multiple of 6" };
                let allowed = format!("{other} where width/heads {odd} ({ratio})");
                Invalid::new("positions", positions, allowed)
            }
        })
    }

    /// Checks every range and every relation between fields.
    pub fn check(&self) -> Result<(), Invalid> {
        let whole = |field: &str, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Invalid::new(field, value, format!("{low} to {high}")))
            }
        };
        whole("width", self.width, 1, 16384)?;
        whole("depth", self.depth, 1, 10_000)?;
        whole("heads", self.heads, 1, 1024)?;
        whole("seq", self.seq, 2, 65_536)?;
        whole("batch", self.batch, 1, 65_536)?;
        whole("steps", self.steps, 0, 100_000_000)?;
        whole("micro-batches", self.micro_batches, 1, self.batch)?;
        if let Some(threads) = self.threads {
            whole("threads", threads, 1, 1024)?;
        }
        if let Some(shards) = self.shards {
            whole("shards", shards, 1, self.batch)?;
        }
        if let Checkpoint::Blocks(blocks) = self.checkpoint {
            whole("checkpoint", blocks, 1, self.depth)?;
        }
        if self.tf32 && self.device != Device::Cuda {
            return Err(Invalid::new("tf32", true, "false on a device other than cuda"));
        }
        if self.eval_every == Some(0) {
            return Err(Invalid::new("eval-every", 0, "auto, or a whole number from 1 up"));
        }
        whole("base-depth", self.base_depth, 1, 10_000)?;
        self.check_parametrisation()?;
        if self.samples == Some(0) {
            return Err(Invalid::new("samples", 0, "auto, or a whole number from 1 up"));
        }
        if !self.width.is_multiple_of(self.heads) {
            return Err(match self.given(&["heads", "width"]) {
                Some("width") => {
                    let allowed = format!("a multiple of heads {}", self.heads);
                    Invalid::new("width", self.width, allowed)
                }
                _ => {
                    let allowed = format!("a divisor of width {}", self.width);
                    Invalid::new("heads", self.heads, allowed)
                }
            });
        }
        if self.kv_heads() == 0 || !self.heads.is_multiple_of(self.kv_heads()) {
            let allowed = format!("a divisor of heads {}", self.heads);
            return Err(Invalid::new("kv-heads", self.kv_heads(), allowed));
        }
        self.check_positions()?;
        let groups = self.norm.constants().into_iter().find(|constant| constant.name == "groups");
        if let Some(groups) = groups {
            let divides = groups.value.parse().is_ok_and(|n: usize| self.width.is_multiple_of(n));
            if !divides {
                let norm = self.norm.show();
                let allowed = format!("a norm whose groups divide width {}", self.width);
                return Err(Invalid::new("norm", norm, allowed));
            }
        }
        if self.tied_head && !self.task.ends().can_be_tied() {
            let allowed = format!("false under task {}: it says no tokens", self.task.id());
            return Err(Invalid::new("tied-head", true, allowed));
        }
        if self.label_smoothing != 0.0 && !self.task.ends().head.has_classes() {
            let allowed = format!("0 under task {}: it says no classes", self.task.id());
            return Err(Invalid::new("label-smoothing", self.label_smoothing, allowed));
        }
        self.task.allows(&self.wanted(), self.given(&["seq"]).is_some())?;
        self.check_shares()?;
        let real = |field: &str, value: f64, holds: bool, allowed: &str| {
            if value.is_finite() && holds {
                Ok(())
            } else {
                Err(Invalid::new(field, value, allowed))
            }
        };
        let above = "a finite number above 0";
        let from = "a finite number from 0 up";
        let share = "a number from 0 up and below 1";
        real("lr", self.lr, self.lr > 0.0, above)?;
        real("clip", self.clip, self.clip >= 0.0, from)?;
        real("weight-decay", self.weight_decay, self.weight_decay >= 0.0, from)?;
        real(
            "ffn-ratio",
            self.ffn_ratio,
            self.ffn_ratio > 0.0 && self.ffn_ratio <= 64.0,
            "above 0, up to 64",
        )?;
        real("norm-noise", self.norm_noise, self.norm_noise >= 0.0, from)?;
        real("z-loss", self.z_loss, self.z_loss >= 0.0, from)?;
        real("adam-eps", self.adam_eps, self.adam_eps >= 0.0, from)?;
        real("softcap", self.softcap, self.softcap >= 0.0, from)?;
        real("logit-softcap", self.logit_softcap, self.logit_softcap >= 0.0, from)?;
        if let Some(std) = self.embed_std {
            real("embed-std", std, std >= 0.0, "auto, or a finite number from 0 up")?;
        }
        for (field, value) in [
            ("beta1", self.beta1),
            ("beta2", self.beta2),
            ("muon-momentum", self.muon_momentum),
            ("dropout", self.dropout),
            ("stochastic-depth", self.stochastic_depth),
            ("label-smoothing", self.label_smoothing),
        ] {
            real(field, value, (0.0..1.0).contains(&value), share)?;
        }
        // What is longer than a century overflows the clock.
        let pause = self.snapshot_seconds;
        real("snapshot-seconds", pause, (0.0..=3e9).contains(&pause), "0 to 3e9")?;
        real("decay-share", self.decay_share, (0.0..=1.0).contains(&self.decay_share), "0 to 1")?;
        Ok(())
    }
}
