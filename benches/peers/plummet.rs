//! Plummet's worker among the peers; also what writes their common weights and draws the picture.
//!
//! `run.py` beside this file starts it; see the README there.

mod device;
mod draw;
mod operators;
mod protocol;

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use plummet::backend::Host;
use plummet::backend::device::Interpreted;
use plummet::bench::{Product, Rates, Size, products};
use plummet::config::{Device, RunConfig};
use plummet::program::Program;
use plummet::stack;
use plummet::train::{Batch, Corpus, Trainer};
use protocol::{Answer, Worker, process_time, serve};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds a flag of its own.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["worker", _dir, "cuda"] => {
            let gpu = plummet::train::gpu(false).map_err(|e| e.to_string())?;
            Ok(serve(&mut device::OnDevice::new(gpu, Device::Cuda, 512 << 20))?)
        }
        ["worker", _dir, "cuda_interpreted"] => {
            let machine = Interpreted::default();
            Ok(serve(&mut device::OnDevice::new(machine, Device::CudaInterpreted, 256))?)
        }
        ["worker", _dir] => Ok(serve(&mut Plummet::default())?),
        ["export", dir, ref sizes @ ..] => {
            sizes.iter().try_for_each(|size| export(Path::new(dir), size))
        }
        ["draw", results, png] => draw::draw(Path::new(results), Path::new(png)),
        _ => {
            eprintln!("the comparison with other libraries: python3 benches/peers/run.py");
            Ok(())
        }
    }
}

/// The run that every peer does too.
fn config(size: &str) -> Answer<RunConfig> {
    let size = Size::named(size).ok_or(format!("there is no size {size}"))?;
    let threads = std::env::var("RAYON_NUM_THREADS").ok().and_then(|n| n.parse().ok());
    Ok(RunConfig { clip: 0.0, threads, ..size.config() })
}

/// The program of a whole step, not cut into shards.
fn whole(config: &RunConfig) -> Program {
    stack::build(&config.architecture(), &config.task.ends(), config.batch, true)
}

/// Our side: a stack in training, or an operator.
#[derive(Default)]
struct Plummet {
    trainer: Option<Trainer<Host<f32>>>,
    products: BTreeMap<Product, usize>,
    operator: Option<operators::Prepared>,
}

impl Worker for Plummet {
    fn load(&mut self, size: &str) -> Answer<(f64, Option<f64>)> {
        let config = config(size)?;
        let corpus = Corpus::load(&config).map_err(|e| e.to_string())?;
        self.products = products(&whole(&config));
        let mut trainer = Trainer::new(Host::<f32>::new(), &config, Arc::new(corpus))
            .map_err(|e| e.to_string())?;
        let stepped = trainer.advance(None);
        self.trainer = Some(trainer);
        Ok((stepped.loss, Some(stepped.grad_norm)))
    }

    /// Every step takes another batch of the same size, which is the same work.
    fn steps(&mut self, n: usize) -> Answer<()> {
        let trainer = self.trainer.as_mut().ok_or("nothing is loaded")?;
        for _ in 0..n {
            if let Some(name) = trainer.advance(None).non_finite {
                return Err(format!("{name} is not finite"));
            }
        }
        Ok(())
    }

    fn op(&mut self, name: &str, pass: &str, rows: usize, cols: usize) -> Answer<()> {
        self.operator = Some(operators::Prepared::new(name, pass, rows, cols)?);
        Ok(())
    }

    fn calls(&mut self, n: usize) -> Answer<()> {
        let operator = self.operator.as_mut().ok_or("no operator is prepared")?;
        (0..n).for_each(|_| operator.call());
        Ok(())
    }

    /// The rates are measured by wall time; the share of it that the processor was ours makes it
    /// processor time, should others be at work.
    fn floor(&mut self) -> Answer<(f64, f64)> {
        let (wall, cpu) = (Instant::now(), process_time());
        let rates = Rates::measure(&self.products);
        let share = (process_time() - cpu).as_secs_f64() / wall.elapsed().as_secs_f64();
        let seconds = rates.seconds(&self.products) * share.min(1.0);
        let flops = self.products.iter().map(|(p, &count)| p.flops() * count as f64).sum();
        Ok((seconds, flops))
    }
}

/// Writes the first weights and the first batch of a size to `<dir>/<size>.safetensors`.
fn export(dir: &Path, size: &str) -> Result<(), Box<dyn Error>> {
    let config = config(size)?;
    let corpus = Corpus::load(&config)?;
    let program = whole(&config);
    let mut batch = Batch::default();
    corpus.training_batch(&config, 0, &mut batch);

    let mut tensors: HashMap<String, (Dtype, Vec<usize>, Vec<u8>)> = HashMap::new();
    let weights = config.init.weights(&program, config.depth, config.embed_std(), config.seed);
    let mut rest = &weights[..];
    for (_, value) in program.weights() {
        let (own, others) = rest.split_at(value.shape.len());
        let bytes = own.iter().flat_map(|&w| (w as f32).to_le_bytes()).collect();
        tensors.insert(value.name.clone(), (Dtype::F32, value.shape.sizes().to_vec(), bytes));
        rest = others;
    }
    for (name, tokens) in [("tokens", &batch.inputs), ("targets", &batch.targets)] {
        let bytes = tokens.iter().flat_map(|&token| (token as i64).to_le_bytes()).collect();
        tensors.insert(name.into(), (Dtype::I64, vec![config.batch, config.seq], bytes));
    }

    let views: Result<Vec<(&String, TensorView)>, _> = (tensors.iter())
        .map(|(name, (dtype, shape, bytes))| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect();
    let views = views.map_err(|e: safetensors::SafeTensorError| e)?;
    std::fs::create_dir_all(dir)?;
    safetensors::serialize_to_file(views, None, &dir.join(format!("{size}.safetensors")))?;
    Ok(())
}
