//! A training step after the first asks for no memory, on one thread and on two.

use std::sync::Arc;

use plummet::backend::Host;
use plummet::config::RunConfig;
use plummet::memory::{Counting, allocations};
use plummet::train::{Corpus, Trainer};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Everything in one test: another one beside it would allocate.
#[test]
fn steps_after_the_first_allocate_nothing() {
    let small = [("width", "32"), ("depth", "3"), ("heads", "2"), ("seq", "16"), ("batch", "16")];
    // Kept to the end: the threads of a pool that is dropped allocate while they leave.
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let pools = [1, 2].map(pool);
    for more in [
        &[("clip", "0.5"), ("weight-decay", "0.1")][..],
        &[("norm", "batch_norm"), ("checkpoint", "1"), ("micro-batches", "2")],
        &[("wiring", "deepnorm"), ("positions", "rotary"), ("ffn", "gated"), ("dropout", "0.1")],
        &[("optimizer", "sgd"), ("activation", "gelu"), ("stochastic-depth", "0.2")],
        &[("task", "hops"), ("wiring", "resi_dual"), ("norm", "derf")],
        &[("norm", "group_norm"), ("qk-norm", "layer"), ("softcap", "30"), ("logit-softcap", "30")],
        &[("norm", "power_norm"), ("qk-norm", "l2"), ("weights", "sigma_reparam")],
        &[("norm", "partial_rms_norm"), ("qk-norm", "rms"), ("weights", "weight_norm")],
    ] {
        let config = RunConfig::from_settings(small.into_iter().chain(more.iter().copied()));
        let config = config.unwrap();
        for pool in &pools {
            let threads = pool.current_num_threads();
            let corpus = Arc::new(Corpus::load(&config).unwrap());
            let trainer = || Trainer::new(Host::<f32>::new(), &config, corpus.clone()).unwrap();
            // The library of products keeps its working space per thread, and which thread takes
            // which shard is up to the scheduler: so each thread takes a step by itself first.
            pool.broadcast(|_| trainer().advance(None));
            let asked = pool.install(|| {
                let mut trainer = trainer();
                trainer.advance(None);
                let before = allocations();
                assert!(before > 0, "somebody counts");
                for _ in 0..5 {
                    trainer.advance(None);
                }
                allocations() - before
            });
            assert_eq!(asked, 0, "on {threads} threads, {more:?}");
        }
    }
}
