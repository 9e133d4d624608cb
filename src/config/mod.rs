//! One configuration of a run: every field is a flag, a TOML key and a column of one spelling.

mod bytes;
mod check;
mod choice;
mod identity;
mod warnings;

pub use bytes::Memory;
pub use choice::{Device, Examine, Freeze, Optimizer, Precision, Preset, Schedule};
pub use warnings::{Warning, far_start};

use identity::SHA256;

use crate::op::activation::Function;
use crate::op::loss::CrossEntropy;
use crate::op::norm::NormChoice;
use crate::op::weight::WeightForm;
pub use crate::setting::{Invalid, Setting};
use crate::stack::{Architecture, Init, MAPS, Wiring};
pub use crate::stack::{DropPer, FeedForward, Positions, QkNorm, Survival, Survivors};
use crate::task::{Source, TaskChoice, Wanted};

/// What the command line needs to know about a field.
#[derive(Debug, Clone)]
pub struct Field {
    /// The spelling.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// The default, as it is written.
    pub default: String,
    /// The values to offer, where there are few.
    pub choices: Vec<&'static str>,
}

macro_rules! config {
    ($($(#[doc = $help:literal])+ $field:ident as $name:literal: $type:ty = $default:expr;)+) => {
        /// Everything that a run depends on.
        #[derive(Debug, Clone, PartialEq)]
        pub struct RunConfig {
            $($(#[doc = $help])+ pub $field: $type,)+
        }

        impl Default for RunConfig {
            fn default() -> Self {
                RunConfig { $($field: $default,)+ }
            }
        }

        impl RunConfig {
            /// Every field in order.
            pub fn fields() -> Vec<Field> {
                let default = RunConfig::default();
                vec![$(Field {
                    name: $name,
                    help: concat!($($help),+).trim(),
                    default: default.$field.show(),
                    choices: <$type as Setting>::choices(),
                }),+]
            }

            /// Reads one field; or `text-sha256`, behind `text`: what the text must contain, and so
            /// for every file.
            pub fn set(&mut self, name: &str, text: &str) -> Result<(), Invalid> {
                let digest = name.strip_suffix(SHA256);
                if let Some(file) = digest.and_then(|file| self.file_mut(file)) {
                    file.sha256 = Some(text.to_string());
                    return Ok(());
                }
                match name {
                    $($name => {
                        self.$field = <$type as Setting>::read(text)
                            .map_err(|allowed| Invalid::new(name, text, allowed))?;
                    })+
                    _ => {
                        let names = [$($name),+].join(", ");
                        return Err(Invalid::new("field", name, format!("one of {names}")));
                    }
                }
                Ok(())
            }

            /// Writes one field; nothing where there is no such field.
            pub fn get(&self, name: &str) -> Option<String> {
                match name {
                    $($name => Some(self.$field.show()),)+
                    _ => None,
                }
            }
        }
    };
}

config! {
    /// Published combination that sets several fields before the others are read.
    preset as "preset": Preset = Preset::None;
    /// What is learned, with constants where they are not the usual ones.
    task as "task": TaskChoice = TaskChoice::usual("text");
    /// File or pipe whose bytes are learned, - for standard input; empty for the embedded Latin text.
    text as "text": Source = Source::default();
    /// CSV file of which a column is the series that is learned, - for standard input; empty for a
    /// GARCH(1,1) process.
    series as "series": Source = Source::default();
    /// Name of that column.
    column as "column": String = String::new();
    /// NIfTI file that a target is predicted from; empty for seeded blobs whose optimum is known.
    volume as "volume": Source = Source::default();
    /// NIfTI file on the voxels of --volume whose mean is predicted.
    target as "target": Source = Source::default();
    /// Number of different training samples; auto is all that there are.
    samples as "samples": Option<usize> = None;
    /// Number of features of the residual stream.
    width as "width": usize = 64;
    /// Number of blocks, each of an attention and a feed-forward sublayer.
    depth as "depth": usize = 16;
    /// Number of attention heads; divides the width.
    heads as "heads": usize = 4;
    /// Number of key and value heads; divides the heads; auto is as many as heads.
    kv_heads as "kv-heads": Option<usize> = None;
    /// Number of tokens in a sequence.
    seq as "seq": usize = 64;
    /// Number of sequences in a step.
    batch as "batch": usize = 16;
    /// Number of training steps.
    steps as "steps": usize = 200;
    /// Peak learning rate.
    lr as "lr": f64 = 1e-3;
    /// Steps over which the learning rate rises in a straight line.
    warmup as "warmup": usize = 0;
    /// How the learning rate goes on after the warm-up.
    schedule as "schedule": Schedule = Schedule::Constant;
    /// Share of the steps over which wsd lets the learning rate fall.
    decay_share as "decay-share": f64 = 0.2;
    /// The optimiser.
    optimizer as "optimizer": Optimizer = Optimizer::Adamw;
    /// Decay of the first moment (adamw), or momentum (sgd).
    beta1 as "beta1": f64 = 0.9;
    /// Decay of the second moment (adamw).
    beta2 as "beta2": f64 = 0.95;
    /// Share of the momentum that stays in the matrices of the blocks (muon).
    muon_momentum as "muon-momentum": f64 = 0.95;
    /// Added to the root of the second moment (adamw).
    adam_eps as "adam-eps": f64 = 1e-8;
    /// Largest norm of the whole gradient; 0 clips nothing.
    clip as "clip": f64 = 1.0;
    /// Decoupled weight decay, on matrices only.
    weight_decay as "weight-decay": f64 = 0.0;
    /// The norm, with constants where they are not the usual ones: layer_norm(eps=1e-6).
    norm as "norm": NormChoice = NormChoice::usual("layer_norm");
    /// Where norm, skip and branch meet, with constants where they are not the usual ones.
    wiring as "wiring": Wiring = Wiring::usual("pre_ln");
    /// What stands between the learned matrices of the blocks and their products, with constants where
    /// they are not the usual ones.
    weights as "weights": WeightForm = WeightForm::usual("plain");
    /// How weights start, with constants where they are not the usual ones.
    init as "init": Init = Init::usual("xavier_normal");
    /// Standard deviation of the token embedding; auto is 1, 0.02 under gpt2 and normal_02, and
    /// small enough for a tied head to start near ln(vocabulary).
    embed_std as "embed-std": Option<f64> = None;
    /// How a token's place enters the stack.
    positions as "positions": Positions = Positions::None;
    /// The norm of queries and keys, of every head, before places are rotated.
    qk_norm as "qk-norm": QkNorm = QkNorm::None;
    /// What the scores of attention stay below in magnitude, as softcap·tanh(score/softcap); 0 caps
    /// nothing.
    softcap as "softcap": f64 = 0.0;
    /// What the logits of the head stay below in magnitude, in the same way; 0 caps nothing.
    logit_softcap as "logit-softcap": f64 = 0.0;
    /// The nonlinearity of the feed-forward.
    activation as "activation": Function = Function::Relu;
    /// The feed-forward sublayer.
    ffn as "ffn": FeedForward = FeedForward::Plain;
    /// Hidden features of the feed-forward, as a multiple of the width.
    ffn_ratio as "ffn-ratio": f64 = 4.0;
    /// Whether the linear maps of the blocks have biases.
    bias as "bias": bool = false;
    /// Whether the head is the transposed token embedding.
    tied_head as "tied-head": bool = false;
    /// Chance that the last block is dropped in a step.
    stochastic_depth as "stochastic-depth": f64 = 0.0;
    /// How the chance to drop a block grows with depth.
    survival as "survival": Survival = Survival::Linear;
    /// What becomes of a branch that stochastic depth does not drop.
    survivors as "survivors": Survivors = Survivors::Divided;
    /// What stochastic depth drops a branch for at once.
    drop_per as "drop-per": DropPer = DropPer::Sequence;
    /// Chance that an element of the embedding or of a branch is dropped.
    dropout as "dropout": f64 = 0.0;
    /// Weight of the uniform distribution in the targets.
    label_smoothing as "label-smoothing": f64 = 0.0;
    /// Weight of the squared logarithm of the logits' sum of exponentials in the loss of training.
    z_loss as "z-loss": f64 = 0.0;
    /// Steps over which branches are multiplied by a factor that rises to 1; 0 is none.
    residual_warmup as "residual-warmup": usize = 0;
    /// Size of noise, of a new mean and variance at every step, behind every norm in training.
    norm_noise as "norm-noise": f64 = 0.0;
    /// What keeps the values that it starts at.
    freeze as "freeze": Freeze = Freeze::None;
    /// Exponent a of the depth: branches are multiplied by L^-a, with L the blocks over base-depth,
    /// and lr and eps in the blocks by L^(a-1) and L^-a; 0.5 is depth-muP, 1 is CompleteP; auto is
    /// neither.
    depth_exponent as "depth-exponent": Option<f64> = None;
    /// Number of blocks at which depth-exponent changes nothing.
    base_depth as "base-depth": usize = 1;
    /// Seed of weights, batches and masks.
    seed as "seed": u64 = 1;
    /// Worker threads; auto is one per core. The results do not depend on it.
    threads as "threads": Option<usize> = None;
    /// Parts of the batch that run side by side; auto is up to 4. The results depend on it.
    shards as "shards": Option<usize> = None;
    /// Passes that a step's batch is split into, one after the other, to save memory.
    micro_batches as "micro-batches": usize = 1;
    /// The arithmetic.
    precision as "precision": Precision = Precision::F32;
    /// What it is computed on. The results depend on it within the errors of rounding.
    device as "device": Device = Device::Cpu;
    /// Whether products of matrices on a GPU may round their factors to the ten bits of TF32.
    tf32 as "tf32": bool = false;
    /// Most memory that a run may take, such as 2GiB, 500MB or a number of bytes; auto is what is free.
    memory as "memory": Memory = Memory::Auto;
    /// Blocks per checkpointing segment: none keeps every activation, auto is √depth, fit keeps all
    /// that --memory holds and runs as few steps again as it can. The results do not depend on it.
    checkpoint as "checkpoint": Checkpoint = Checkpoint::Fit;
    /// Steps between measurements of the held-out loss; auto is up to ten, in a twentieth of the time.
    eval_every as "eval-every": Option<usize> = None;
    /// Steps between probes of every layer; auto is at the start and the end, 0 the last stream only.
    probe_every as "probe-every": Option<usize> = None;
    /// What the stack is examined for when its training is over, beside the probes.
    examine as "examine": Examine = Examine::None;
    /// Seconds between snapshots that an interrupted run goes on from.
    snapshot_seconds as "snapshot-seconds": f64 = 30.0;
    /// File that the runs are kept in.
    store as "store": String = "plummet.sqlite".to_string();
    /// Name of the run in tables and legends; auto is made of wiring, norm and init.
    name as "name": Option<String> = None;
}

/// How many blocks a checkpointing segment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// As few steps as the memory allows are run again; none, where every activation fits.
    Fit,
    /// Every activation is kept.
    None,
    /// √depth blocks: memory and recomputation in balance (Chen et al. 2016).
    Auto,
    /// So many blocks.
    Blocks(usize),
}

impl Setting for Checkpoint {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "fit" => Ok(Checkpoint::Fit),
            "none" | "0" => Ok(Checkpoint::None),
            "auto" => Ok(Checkpoint::Auto),
            _ => text
                .parse()
                .map(Checkpoint::Blocks)
                .map_err(|_| "fit, none, auto, or a number of blocks".to_string()),
        }
    }
    fn show(&self) -> String {
        match self {
            Checkpoint::Fit => "fit".to_string(),
            Checkpoint::None => "none".to_string(),
            Checkpoint::Auto => "auto".to_string(),
            Checkpoint::Blocks(blocks) => blocks.to_string(),
        }
    }
}

impl RunConfig {
    /// A configuration with a preset's fields set.
    pub fn preset(preset: Preset) -> Self {
        let mut config = RunConfig { preset, ..RunConfig::default() };
        for (name, text) in preset.fields() {
            config.set(name, text).expect("presets are valid");
        }
        config
    }

    /// The configuration that results from settings in order; a preset goes first wherever it stands.
    pub fn from_settings<'a>(
        settings: impl IntoIterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<Self, Invalid> {
        let mut config = RunConfig::default();
        for (name, text) in settings.clone() {
            if name == "preset" {
                config.set(name, text)?;
                config = RunConfig::preset(config.preset);
            }
        }
        for (name, text) in settings.clone() {
            if name != "preset" {
                config.set(name, text)?;
            }
        }
        if let Some(seq) = config.task.seq()
            && settings.into_iter().all(|(name, _)| name != "seq")
        {
            config.seq = seq;
        }
        config.check()?;
        Ok(config)
    }

    /// The fields that differ from the defaults, as flags.
    pub fn flags(&self) -> String {
        let default = RunConfig::preset(self.preset);
        let mut flags = Vec::new();
        for field in RunConfig::fields() {
            let text = self.get(field.name).expect("a listed field");
            let given = field.name == "preset" && self.preset != Preset::None;
            // A run that is done stands for both; whoever repeats it need not have its memory.
            if field.name == "checkpoint" && self.checkpoint == Checkpoint::None {
                continue;
            }
            if given || default.get(field.name).as_ref() != Some(&text) {
                // What a shell takes as it is, and nothing else, goes without quotes.
                let plain = |c: char| c.is_ascii_alphanumeric() || "_-./+:,=@%".contains(c);
                let quoted = match !text.is_empty() && text.chars().all(plain) {
                    true => text,
                    false => format!("'{}'", text.replace('\'', r"'\''")),
                };
                flags.push(format!("--{} {quoted}", field.name));
            }
        }
        flags.join(" ")
    }

    /// The name in tables and legends.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let norm = Some(self.norm.show()).filter(|norm| norm != "layer_norm");
            let parts = [Some(self.wiring.show()), norm, Some(self.init.show())];
            parts.into_iter().flatten().collect::<Vec<_>>().join("-")
        })
    }

    /// Standard deviation of the token embedding where it is not the one that the init gives.
    ///
    /// A tied head reads the stream against the embeddings, of width w and deviation s. Where the
    /// stream ends in a norm its elements are about 1: the logit of a token that the stream still
    /// resembles is up to w·s, those of others have the deviation s·√w. s = 3/w keeps both small, so
    /// that the loss starts near ln(vocabulary) under every wiring; 1/√w would not, where the blocks
    /// add little at first. Without a norm the stream is small itself, and 1/√w does. The narrow
    /// inits keep their published 0.02, and what an init has narrower stays as narrow.
    /// Where logits are divided by a multiplier of the width, s is multiplied with it.
    pub fn embed_std(&self) -> Option<f64> {
        if self.embed_std.is_some() || !self.tied_head || self.init.is_narrow() {
            return self.embed_std;
        }
        let width = self.width as f64;
        let own = self.init.embedding_std(width, self.depth as f64);
        let root = 1.0 / width.sqrt();
        let std = if self.wiring.has_norm() { root.min(3.0 / width) } else { root };
        let multiplier = self.init.width_multiplier(width).unwrap_or(1.0);
        Some(own.min(std * multiplier / self.wiring.output_rms()))
    }

    /// The fields that are files.
    pub fn files(&self) -> [(&'static str, &Source); 4] {
        [
            ("text", &self.text),
            ("series", &self.series),
            ("volume", &self.volume),
            ("target", &self.target),
        ]
    }

    /// The file of a field that is one.
    pub fn file(&self, field: &str) -> Option<&Source> {
        self.files().into_iter().find(|(name, _)| *name == field).map(|(_, file)| file)
    }

    /// The same, to be changed.
    pub(crate) fn file_mut(&mut self, field: &str) -> Option<&mut Source> {
        match field {
            "text" => Some(&mut self.text),
            "series" => Some(&mut self.series),
            "volume" => Some(&mut self.volume),
            "target" => Some(&mut self.target),
            _ => None,
        }
    }

    /// The files that the task reads, as far as they are given.
    pub(crate) fn files_read(&self) -> Vec<(&'static str, &Source)> {
        let read = |(field, file): &(&str, &Source)| self.task.reads(field) && !file.is_empty();
        self.files().into_iter().filter(read).collect()
    }

    /// What the run asks of its task.
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted {
            task: &self.task,
            seed: self.seed,
            batch: self.batch,
            seq: self.seq,
            text: &self.text,
            series: &self.series,
            column: &self.column,
            volume: &self.volume,
            target: &self.target,
            samples: self.samples,
        }
    }

    /// The stack that is trained.
    pub fn architecture(&self) -> Architecture {
        let multiplier = self.init.width_multiplier(self.width as f64);
        let blocks = self.depth as f64 / self.base_depth as f64;
        let head_width = (self.width / self.heads) as f64;
        Architecture {
            width: self.width,
            depth: self.depth,
            heads: self.heads,
            kv_heads: self.kv_heads(),
            hidden: self.hidden(),
            seq: self.seq,
            places: self.seq,
            norm: self.norm.clone(),
            qk_norm: self.qk_norm,
            softcap: self.softcap,
            logit_softcap: self.logit_softcap,
            weights: self.weights.clone(),
            norms_embedding: self.wiring.norms_embedding(),
            norms_output: self.wiring.norms_output(),
            wiring: self.wiring.clone(),
            init: self.init.clone(),
            causal: self.task.causal(),
            positions: self.positions,
            activation: self.activation,
            ffn: self.ffn,
            biases: if self.bias { MAPS.to_vec() } else { Vec::new() },
            tied_head: self.tied_head,
            stochastic_depth: self.stochastic_depth,
            survival: self.survival,
            survivors: self.survivors,
            drop_per: self.drop_per,
            dropout: self.dropout,
            label_smoothing: self.label_smoothing,
            z_loss: self.z_loss,
            branch_factor: self.depth_exponent.map_or(1.0, |a| blocks.powf(-a)),
            residual_warmup: self.residual_warmup,
            norm_noise: self.norm_noise,
            learns_norms: self.freeze != Freeze::Norms,
            logits_factor: multiplier.map_or(1.0, |m| 1.0 / m),
            attention_scale: multiplier.map(|_| 1.0 / head_width),
            ignore_index: CrossEntropy::IGNORED,
            seed: self.seed,
        }
    }

    /// Key and value heads.
    pub fn kv_heads(&self) -> usize {
        self.kv_heads.unwrap_or(self.heads)
    }

    /// Hidden features of the feed-forward.
    pub fn hidden(&self) -> usize {
        ((self.width as f64 * self.ffn_ratio).round() as usize).max(1)
    }

    /// Parts of the batch that run side by side, unless given: 4 of 256 tokens or more, 2 of 64
    /// tokens or more, or 1. Products of fewer rows than that take longer by a tenth and more.
    pub fn shards(&self) -> usize {
        let fits = |&(n, tokens): &(usize, usize)| {
            let passes = n * self.micro_batches;
            self.batch.is_multiple_of(passes) && self.batch * self.seq / passes >= tokens
        };
        let auto = || [(4, 256), (2, 64)].into_iter().find(fits).map_or(1, |(n, _)| n);
        self.shards.unwrap_or_else(auto)
    }

    /// Sequences in one pass of one shard.
    pub fn samples(&self) -> usize {
        self.batch / (self.shards() * self.micro_batches)
    }

    /// Blocks per checkpointing segment, 0 for none, as far as the configuration decides it: where
    /// it says `fit`, [`crate::train::Footprint`] may find a larger number.
    pub fn segment(&self) -> usize {
        match self.checkpoint {
            Checkpoint::Fit | Checkpoint::None => 0,
            Checkpoint::Auto => (self.depth as f64).sqrt().round().max(1.0) as usize,
            Checkpoint::Blocks(blocks) => blocks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_reads_what_it_shows() {
        let mut config = RunConfig::default();
        for field in RunConfig::fields() {
            config.set(field.name, &field.default).unwrap();
        }
        assert_eq!(config, RunConfig::default());
    }

    #[test]
    fn flags_can_be_given_to_a_shell() {
        let mut config = RunConfig::default();
        config.set("norm", "layer_norm(eps=0.001)").unwrap();
        config.set("text", "a b's.txt").unwrap();
        assert_eq!(config.flags(), r"--text 'a b'\''s.txt' --norm 'layer_norm(eps=0.001)'");
    }

    #[test]
    fn errors_name_field_value_and_what_is_allowed() {
        let error = RunConfig::from_settings([("heads", "5")]).unwrap_err();
        assert_eq!(error.to_string(), "heads = 5: allowed is a divisor of width 64");
        let error = RunConfig::from_settings([("norm", "lawyer_norm")]).unwrap_err();
        assert!(error.to_string().starts_with("norm = lawyer_norm: allowed is "));
    }
}
