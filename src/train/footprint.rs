//! What a run takes in memory, part by part, known before it starts; and the checkpointing that
//! makes it fit.

use std::sync::OnceLock;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

use crate::backend::{Backend, Need, Planner};
use crate::config::{self, Checkpoint, Invalid, Memory, Precision, RunConfig};
use crate::memory;
use crate::memory::amount;
use crate::program::Program;
use crate::record::ProbeRow;

use super::feed::Feed;
use super::{Corpus, rule};

/// Bytes of a run by part: what is allocated at once when the most is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Blocks per checkpointing segment, 0 where every activation is kept.
    pub segment: usize,
    /// Lanes, each of which takes its shards through one set of buffers in turn.
    pub lanes: usize,
    /// The learned numbers.
    pub parameters: usize,
    /// Their gradients, one vector per shard.
    pub gradients: usize,
    /// The optimiser's moments.
    pub moments: usize,
    /// Running statistics, and what every shard would have them be.
    pub states: usize,
    /// Values and their gradients, of all lanes.
    pub activations: usize,
    /// Values of the pass that measures the held-out loss, of all lanes.
    pub evaluation: usize,
    /// Working space of the operators, of all lanes.
    pub scratch: usize,
    /// What there is to learn from, and the batch of it, on the host and on the device.
    pub batch: usize,
    /// The rows of the probes at the start and the end, two layers of one shard, and the copy of the
    /// parameters that a probe of the updates needs where there is one shard only.
    pub probe: usize,
    /// What the library of matrix products keeps for packing, on every thread.
    pub packing: usize,
    /// Programs and plans.
    pub programs: usize,
}

/// Rows that a probe makes of a layer, beside three of every weight.
const ROWS: usize = 24;
/// Bytes of the names in such a row.
const NAMES: usize = 16;

/// What does not depend on the checkpointing.
struct Fixed {
    footprint: Footprint,
    size: usize,
}

impl Footprint {
    /// Every part with its name.
    pub fn parts(&self) -> [(&'static str, usize); 11] {
        [
            ("weights", self.parameters),
            ("gradients", self.gradients),
            ("moments", self.moments),
            ("states", self.states),
            ("activations", self.activations),
            ("evaluation", self.evaluation),
            ("scratch", self.scratch),
            ("batch", self.batch),
            ("probe", self.probe),
            ("packing", self.packing),
            ("programs", self.programs),
        ]
    }

    /// The sum of all parts; what 64 bits cannot count is the largest number there is.
    pub fn total(&self) -> usize {
        self.parts().iter().fold(0, |sum: usize, part| sum.saturating_add(part.1))
    }

    /// The footprint of a run with the checkpointing that `config` asks for, or, where it asks for
    /// one that fits, with the one that runs the fewest steps again.
    ///
    /// # Errors
    /// Where that is more than `config.memory`.
    pub(super) fn of<B: Backend>(
        backend: &B,
        config: &RunConfig,
        corpus: &Corpus,
        program: &Program,
        evaluation: &Program,
    ) -> Result<Footprint, Invalid> {
        let planner = Planner::new(backend, program);
        let fixed = Fixed::new(backend, config, corpus, program, evaluation);
        let with = |segment: usize| fixed.with(segment, planner.training(segment));
        let limit = match config.memory {
            Memory::Auto => backend.free().or_else(memory::available).unwrap_or(u64::MAX),
            Memory::Bytes(bytes) => bytes,
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if config.checkpoint == Checkpoint::Fit {
            let mut bytes = |segment: usize| with(segment).total();
            return match fewest_again(config.depth, limit, &mut bytes) {
                Ok(segment) => Ok(with(segment)),
                Err(leanest) => Err(refusal(config, limit, &with(leanest))),
            };
        }
        let asked = with(config.segment());
        if asked.total() <= limit { Ok(asked) } else { Err(refusal(config, limit, &asked)) }
    }
}

impl Fixed {
    fn new<B: Backend>(
        backend: &B,
        config: &RunConfig,
        corpus: &Corpus,
        program: &Program,
        evaluation: &Program,
    ) -> Fixed {
        let (shards, size) = (config.shards(), size_of::<B::Number>());
        let vector = program.parameters().saturating_mul(size);
        let states: usize = program.states().map(|(_, value)| value.shape.len()).sum();
        let moments = if rule(config).has_second_moment() { 2 } else { 1 };
        let probes = config.probe_every != Some(0);
        let copy = if probes && shards == 1 && config.steps > 0 { vector } else { 0 };
        let layers = if probes { ROWS * config.depth + 3 * program.weights().count() } else { 0 };
        let rows = 2 * layers * (size_of::<ProbeRow>() + NAMES);
        // A layer and the one before, in f64.
        let stream = config.samples().saturating_mul(config.seq).saturating_mul(config.width);
        let streams = if probes { stream.saturating_mul(2 * size_of::<f64>()) } else { 0 };
        // The references multiply by themselves.
        let lanes = backend.lanes(threads(config)).min(shards);
        let multiplying = if config.precision == Precision::F32 { lanes } else { 0 };
        let largest = program.weights().map(|(_, value)| value.shape.len()).max().unwrap_or(0);
        // Muon turns a matrix a thread, through eight others of f64.
        let turning = if config.optimizer == config::Optimizer::Muon {
            largest.saturating_mul(8 * size_of::<f64>()).saturating_mul(threads(config))
        } else {
            0
        };
        let pass = Planner::new(backend, evaluation).inference();
        let ends = config.task.ends();
        let feed = Feed::<B>::elements(program, &ends, shards * config.micro_batches);
        let footprint = Footprint {
            lanes,
            parameters: vector,
            gradients: vector.saturating_mul(shards),
            moments: vector.saturating_mul(moments),
            states: states * size * (1 + shards),
            evaluation: pass.slots.saturating_mul(lanes).saturating_mul(size),
            scratch: pass
                .scratch
                .saturating_mul(lanes)
                .saturating_mul(size)
                .saturating_add(turning),
            batch: (config.batch.saturating_mul(config.seq))
                .saturating_mul(ends.numbers() * size_of::<f32>())
                .saturating_add(feed.saturating_mul(size))
                .saturating_add(corpus.bytes()),
            probe: copy.saturating_add(streams).saturating_add(rows),
            packing: multiplying * packing(),
            programs: program.bytes() + evaluation.bytes() + pass.structure,
            ..Footprint::default()
        };
        Fixed { footprint, size }
    }

    fn with(&self, segment: usize, need: Need) -> Footprint {
        let all = |elements: usize| {
            elements.saturating_mul(self.footprint.lanes).saturating_mul(self.size)
        };
        let mut footprint = self.footprint.clone();
        footprint.segment = segment;
        footprint.activations = all(need.slots);
        footprint.scratch = footprint.scratch.saturating_add(all(need.scratch));
        footprint.programs += need.structure;
        footprint
    }
}

/// Threads that train.
fn threads(config: &RunConfig) -> usize {
    config.threads.unwrap_or_else(rayon::current_num_threads)
}

/// Bytes that the library of matrix products keeps on a thread once it has multiplied there: some
/// multiple of a cache, seen by the counting allocator; 0 where nobody counts.
fn packing() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    let measure = || {
        let factor = Mat::<f32>::zeros(256, 256);
        let mut product = Mat::<f32>::zeros(256, 256);
        let (to, replace) = (product.as_mut(), Accum::Replace);
        memory::kept(|| matmul(to, replace, &factor, &factor, 1.0, Par::Seq)) as usize
    };
    // Only a thread that has never multiplied shows it.
    *BYTES.get_or_init(|| std::thread::spawn(measure).join().unwrap_or(0))
}

fn refusal(config: &RunConfig, limit: usize, least: &Footprint) -> Invalid {
    let needed = amount(least.total() as u64);
    let leanest = match (config.checkpoint, least.segment) {
        (Checkpoint::Fit, 0) => "what the run needs".to_string(),
        (Checkpoint::Fit, segment) => {
            format!("what the leanest plan needs, --checkpoint {segment}")
        }
        (checkpoint, _) => {
            let checkpoint = config::Setting::show(&checkpoint);
            format!("what --checkpoint {checkpoint} needs; fit finds a plan that needs less")
        }
    };
    match config.memory {
        Memory::Bytes(_) => Invalid::new(
            "memory",
            config::Setting::show(&config.memory),
            format!("{} ({needed}) or more: {leanest}", least.total()),
        ),
        Memory::Auto => {
            let larger = ["depth", "width", "batch", "seq", "ffn-ratio", "shards", "precision"];
            let field = config.given(&larger).unwrap_or("memory");
            Invalid::new(
                field,
                config.get(field).unwrap_or_default(),
                format!(
                    "what fits into {} of free memory (this needs {needed}: {leanest}; fewer \
                     blocks or a smaller batch need less)",
                    amount(limit as u64)
                ),
            )
        }
    }
}

/// The segment size that runs the fewest layers again among those whose `bytes` fit into `limit`,
/// 0 for no checkpointing; the leanest size where none fits.
///
/// Of k segments all but the last run again, so ⌈depth/k⌉ layers each are the best: fewest again
/// and the least to hold at once. Over k the bytes fall, as segments get smaller, and then rise, as
/// boundaries get many: the bottom is found in a logarithm of tries, and so is the first k that fits.
fn fewest_again(
    depth: usize,
    limit: usize,
    bytes: &mut impl FnMut(usize) -> usize,
) -> Result<usize, usize> {
    if bytes(0) <= limit {
        return Ok(0);
    }
    let mut sizes: Vec<usize> = (2..=depth).map(|k| depth.div_ceil(k)).collect();
    sizes.dedup();
    let mut known = vec![None; sizes.len()];
    let mut at = |i: usize| *known[i].get_or_insert_with(|| bytes(sizes[i]));
    let (mut low, mut high) = (0, sizes.len());
    if high == 0 {
        return Err(0);
    }
    while high - low > 4 {
        let middle = (low + high) / 2;
        // Neighbours differ by rounding as well; three apart the trend is stronger.
        if at(middle - 2) > at(middle + 1) { low = middle - 1 } else { high = middle + 1 }
    }
    let leanest = (low..high).min_by_key(|&i| at(i)).unwrap_or(low);
    if at(leanest) > limit {
        return Err(sizes[leanest]);
    }
    let (mut low, mut first) = (0, leanest);
    while low < first {
        let middle = (low + first) / 2;
        if at(middle) <= limit { first = middle } else { low = middle + 1 }
    }
    // Rounding up can make fewer segments run more layers again than some more of them do.
    let again = |i: usize| sizes[i] * ((depth - 1) / sizes[i]);
    let mut rivals: Vec<usize> =
        (first..sizes.len()).filter(|&i| again(i) <= again(first)).collect();
    rivals.sort_by_key(|&i| again(i));
    let best = rivals.into_iter().find(|&i| at(i) <= limit).unwrap_or(first);
    Ok(sizes[best])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes like those of a real stack: boundaries, and one segment with its gradients.
    fn bytes(depth: usize, segment: usize) -> usize {
        let segment = if segment == 0 { depth } else { segment };
        13 * segment + depth.div_ceil(segment) + 5
    }

    #[test]
    fn the_search_finds_what_trying_all_finds() {
        for depth in [1usize, 2, 3, 7, 16, 100, 1000] {
            let all = |segment: usize| bytes(depth, segment);
            let least = (0..=depth).map(all).min().unwrap();
            for limit in (least.saturating_sub(3)..bytes(depth, 0) + 2).step_by(1 + depth / 10) {
                let again = |s: usize| if s == 0 { 0 } else { s * ((depth - 1) / s) };
                let best = (0..=depth).filter(|&s| all(s) <= limit).map(again).min();
                let found = fewest_again(depth, limit, &mut |s| all(s));
                match (found, best) {
                    (Ok(segment), Some(best)) => {
                        assert!(all(segment) <= limit);
                        assert_eq!(again(segment), best, "depth {depth}, limit {limit}");
                    }
                    (Err(leanest), None) => assert_eq!(all(leanest), least),
                    other => panic!("depth {depth}, limit {limit}: {other:?}"),
                }
            }
        }
    }
}
