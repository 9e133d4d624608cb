//! A stack of 12 blocks trained from the library: `cargo run --release --example train_a_stack`.

use std::error::Error;
use std::sync::Arc;

use plummet::backend::Host;
use plummet::config::RunConfig;
use plummet::train::{Corpus, Trainer};

fn main() -> Result<(), Box<dyn Error>> {
    // Every flag of `plummet train` is a setting; what is not named has its default.
    let config = RunConfig::from_settings([
        ("wiring", "pre_ln"),
        ("norm", "rms_norm(eps=1e-5)"),
        ("depth", "12"),
        ("width", "32"),
        ("heads", "2"),
        ("seq", "32"),
        ("batch", "8"),
        ("steps", "100"),
    ])?;
    let corpus = Arc::new(Corpus::load(&config)?);
    let mut trainer = Trainer::new(Host::<f32>::new(), &config, corpus)?;
    for step in 1..=config.steps {
        let stepped = trainer.advance(None);
        if step == 1 || step % 10 == 0 {
            println!("step {step:>3}  loss {:.3}  gradient {:.2}", stepped.loss, stepped.grad_norm);
        }
    }
    Ok(())
}
