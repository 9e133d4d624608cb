//! What a run is known by: the fields that its numbers depend on, its stored form and its id.

use serde_json::{Map, Value as Json};

use super::{Checkpoint, Invalid, RunConfig};
use crate::record::DEVICE_NAME;
use crate::task::Source;

/// The field that the gain of `layer_scale` was, in records of before wirings had constants.
const FORMER_GAIN: &str = "layer-scale";

/// What follows a file's field in the name of its digest in a stored configuration.
pub(super) const SHA256: &str = "-sha256";

/// Fields that came later: a run that has them at their usual values is the run of before.
const LATER: &[&str] = &[
    "device",
    "muon-momentum",
    "survivors",
    "drop-per",
    "z-loss",
    "residual-warmup",
    "norm-noise",
    "freeze",
    "depth-exponent",
    "base-depth",
    "weights",
    "qk-norm",
    "softcap",
    "logit-softcap",
    "series",
    "column",
    "volume",
    "target",
    "samples",
    "tf32",
    "examine",
];

/// Fields that say where and how a run is kept, not what it computes.
const OUTSIDE: &[&str] = &["threads", "store", "name", "snapshot-seconds", "memory"];

impl RunConfig {
    /// All fields as a JSON object, numbers as numbers.
    pub fn to_json(&self) -> Json {
        let mut object = Map::new();
        for field in RunConfig::fields() {
            let text = self.get(field.name).expect("a listed field");
            // Names stay text even where they look like a number.
            let free = self.file(field.name).is_some()
                || matches!(field.name, "column" | "store" | "name");
            let parsed = if free { None } else { serde_json::from_str(&text).ok() };
            object.insert(field.name.to_string(), parsed.unwrap_or(Json::String(text)));
        }
        for (field, file) in self.files() {
            if let Some(digest) = &file.sha256 {
                object.insert(format!("{field}{SHA256}"), Json::String(digest.clone()));
            }
        }
        Json::Object(object)
    }

    /// The fields that a run's numbers depend on, as a JSON object.
    pub fn identity(&self) -> Json {
        let identical = self.identical();
        let mut json = identical.to_json();
        if let Some(object) = json.as_object_mut() {
            object.retain(|name, _| identical.counts(name));
        }
        json
    }

    /// Whether the numbers of a run depend on what a field says.
    fn counts(&self, name: &str) -> bool {
        let usual = || self.get(name) == RunConfig::default().get(name);
        !(OUTSIDE.contains(&name) || LATER.contains(&name) && usual())
    }

    /// The configuration that stands for all that compute the same.
    ///
    /// What the memory of a machine makes of `fit` changes no bit, so that it is one run with
    /// `none`. A checkpointing that is asked for by name stays apart: who asks wants its costs,
    /// which are part of the record. A text or a series that is not learned says nothing; the
    /// deviation of a tied embedding is the one that it comes to.
    fn identical(&self) -> RunConfig {
        let mut config = self.clone();
        config.embed_std = self.embed_std();
        for (field, _) in self.files() {
            if let Some(file) = config.file_mut(field).filter(|_| !self.task.reads(field)) {
                *file = Source::default();
            }
        }
        if !self.task.reads("samples") {
            config.samples = None;
        }
        if config.series.is_empty() {
            config.column.clear();
        }
        if config.checkpoint == Checkpoint::Fit {
            config.checkpoint = Checkpoint::None;
        }
        config
    }

    /// Reads what [`RunConfig::to_json`] wrote; fields that are missing keep their defaults.
    pub fn from_json(json: &Json) -> Result<Self, Invalid> {
        let object = json.as_object().ok_or_else(|| Invalid::new("config", json, "an object"))?;
        let mut config = RunConfig::default();
        // The digest goes behind the file that it is of.
        let (last, first): (Vec<_>, Vec<_>) =
            object.iter().partition(|(name, _)| name.ends_with(SHA256));
        let mut gain = None;
        for (name, value) in first.into_iter().chain(last) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
            match &**name {
                FORMER_GAIN => gain = Some(text),
                // Found, not asked for.
                DEVICE_NAME => {}
                _ => config.set(name, &text)?,
            }
        }
        if let Some(gain) = gain.filter(|_| config.wiring.id() == "layer_scale") {
            config.set("wiring", &format!("layer_scale(gain={gain})"))?;
        }
        Ok(config)
    }

    /// The id of the run: a readable stem and a hash of everything that its numbers depend on. A text
    /// counts by its content and not by its name, so it must have been read before
    /// ([`crate::train::Library`]).
    pub fn id(&self) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut count = |name: &str, text: &str| {
            for byte in name.bytes().chain([0]).chain(text.bytes()).chain([1]) {
                hash = (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3);
            }
        };
        let identical = self.identical();
        for field in RunConfig::fields() {
            if identical.counts(field.name) {
                let text = match identical.file(field.name) {
                    Some(file) => file.content(),
                    None => identical.get(field.name).expect("a listed field"),
                };
                count(field.name, &text);
            }
            if field.name == "embed-std" {
                // Where this field was, so that runs of before keep their ids.
                count(FORMER_GAIN, "0.0001");
            }
        }
        let label: String = (self.label().chars())
            .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' })
            .collect();
        format!("{label}-d{}-s{}-{:010x}", self.depth, self.seed, hash >> 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Memory, Preset, Setting};

    #[test]
    fn json_gives_the_configuration_back() {
        let mut config = RunConfig::preset(Preset::Llama);
        config.set("name", "3").unwrap();
        config.set("checkpoint", "auto").unwrap();
        config.set("embed-std", "0.5").unwrap();
        assert_eq!(RunConfig::from_json(&config.to_json()).unwrap(), config);
    }

    #[test]
    fn records_of_before_wirings_had_constants_are_read_and_keep_their_ids() {
        let mut json = RunConfig::default().to_json();
        json["wiring"] = "layer_scale".into();
        json["layer-scale"] = 0.1.into();
        let config = RunConfig::from_json(&json).unwrap();
        assert_eq!(config.wiring.show(), "layer_scale(gain=0.1)");
        json["wiring"] = "pre_ln".into();
        assert_eq!(RunConfig::from_json(&json).unwrap(), RunConfig::default());
        // As printed by the version that had the field.
        assert_eq!(RunConfig::default().id(), "pre_ln-xavier_normal-d16-s1-775c5aaf4e");
    }

    #[test]
    fn the_id_knows_what_matters() {
        let a = RunConfig::default();
        let mut b = a.clone();
        b.threads = Some(7);
        assert_eq!(a.id(), b.id());
        b.memory = Memory::Bytes(1 << 30);
        b.checkpoint = Checkpoint::None;
        assert_eq!((a.id(), a.identity()), (b.id(), b.identity()));
        b.checkpoint = Checkpoint::Auto;
        assert_ne!(a.id(), b.id());
        b.checkpoint = Checkpoint::Fit;
        b.lr = 2e-3;
        assert_ne!(a.id(), b.id());
    }

    #[test]
    fn later_fields_count_where_they_are_not_usual_and_only_there() {
        let usual = RunConfig::default();
        for (name, value) in [
            ("device", "cuda"),
            ("muon-momentum", "0.9"),
            ("survivors", "unscaled"),
            ("drop-per", "batch"),
            ("z-loss", "0.0001"),
            ("residual-warmup", "10"),
            ("norm-noise", "0.5"),
            ("freeze", "norms"),
            ("examine", "response"),
            ("depth-exponent", "1"),
            ("base-depth", "2"),
            ("weights", "weight_norm"),
            ("qk-norm", "rms"),
            ("softcap", "50"),
            ("logit-softcap", "30"),
        ] {
            assert!(LATER.contains(&name) && usual.identity().get(name).is_none(), "{name}");
            let mut other = usual.clone();
            other.set(name, value).unwrap();
            assert_ne!(other.id(), usual.id(), "{name}");
            assert!(other.identity().get(name).is_some(), "{name}");
            let read = RunConfig::from_json(&other.identity()).unwrap();
            assert_eq!(read.get(name), other.get(name), "{name}");
        }
    }
}
