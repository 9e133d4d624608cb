//! The training step in candle.
//!
//! Its fused `layer_norm` and `softmax_last_dim` have no backward pass, so both are composed.

#[path = "../../protocol.rs"]
mod protocol;

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::ops::{layer_norm_slow, softmax};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, loss};
use protocol::{Answer, Worker, serve};

const HEADS: usize = 4;
const EPS: f32 = 1e-5;

fn main() -> std::io::Result<()> {
    let dir = std::env::args().nth(2).unwrap_or_default();
    serve(&mut Candle { dir: dir.into(), training: None })
}

struct Candle {
    dir: PathBuf,
    training: Option<Training>,
}

impl Worker for Candle {
    fn load(&mut self, size: &str) -> Answer<(f64, Option<f64>)> {
        let path = self.dir.join(format!("{size}.safetensors"));
        let mut training = Training::load(path).map_err(|e| e.to_string())?;
        let answer = training.step(true).map_err(|e| e.to_string())?;
        self.training = Some(training);
        Ok(answer)
    }

    fn steps(&mut self, n: usize) -> Answer<()> {
        let training = self.training.as_mut().ok_or("nothing is loaded")?;
        (0..n).try_for_each(|_| training.step(false).map(drop)).map_err(|e| e.to_string())
    }
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm_slow(x, &self.weight, &self.bias, EPS)
    }
}

struct Block {
    norm1: Norm,
    qkv: Tensor,
    out: Tensor,
    norm2: Norm,
    up: Tensor,
    down: Tensor,
}

struct Training {
    embed: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    norm: Norm,
    head: Tensor,
    tokens: Tensor,
    targets: Tensor,
    /// 0 where attention is allowed, −∞ where not.
    mask: Tensor,
    vars: Vec<Var>,
    optimizer: AdamW,
}

impl Training {
    fn load(path: PathBuf) -> Result<Self> {
        let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
        let mut given = Given { tensors, vars: Vec::new() };
        let depth = given.tensors.keys().filter(|name| name.ends_with("norm1.weight")).count();
        let blocks =
            (0..depth).map(|i| given.block(&format!("blocks.{i}"))).collect::<Result<_>>()?;
        let tokens = given.tensors["tokens"].to_dtype(DType::U32)?;
        let seq = tokens.dim(1)?;
        let (embed, positions) = (given.var("embed.weight")?, given.var("positions.weight")?);
        let (norm, head) = (given.norm("norm")?, given.var("head.weight")?);
        let params =
            ParamsAdamW { lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.0 };
        Ok(Training {
            embed,
            positions,
            blocks,
            norm,
            head,
            targets: given.tensors["targets"].to_dtype(DType::U32)?.flatten_all()?,
            tokens,
            mask: mask(seq)?,
            optimizer: AdamW::new(given.vars.clone(), params)?,
            vars: given.vars,
        })
    }

    /// One step; the norm of the gradient only where it is asked for.
    fn step(&mut self, norm: bool) -> Result<(f64, Option<f64>)> {
        let loss = self.loss()?;
        let gradients = loss.backward()?;
        let norm = norm.then(|| self.norm_of(&gradients)).transpose()?;
        self.optimizer.step(&gradients)?;
        Ok((f64::from(loss.to_scalar::<f32>()?), norm))
    }

    fn norm_of(&self, gradients: &candle_core::backprop::GradStore) -> Result<f64> {
        let mut total = 0.0;
        for gradient in self.vars.iter().filter_map(|var| gradients.get(var)) {
            total += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
        Ok(total.sqrt())
    }

    fn loss(&self) -> Result<Tensor> {
        let (batch, seq) = self.tokens.dims2()?;
        let embedded = self.embed.embedding(&self.tokens.flatten_all()?)?;
        let mut x = embedded.reshape((batch, seq, ()))?.broadcast_add(&self.positions)?;
        for block in &self.blocks {
            x = (&x + block.attention(&block.norm1.forward(&x)?, &self.mask)?)?;
            x = (&x + block.feed_forward(&block.norm2.forward(&x)?)?)?;
        }
        let logits = linear(&self.norm.forward(&x)?, &self.head)?;
        loss::cross_entropy(&logits.flatten_to(1)?, &self.targets)
    }
}

impl Block {
    fn attention(&self, x: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let (batch, seq, width) = x.dims3()?;
        let qkv = linear(x, &self.qkv)?.reshape((batch, seq, 3, HEADS, width / HEADS))?;
        let part = |i| qkv.narrow(2, i, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous();
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scale = 1.0 / ((width / HEADS) as f64).sqrt();
        let scores = (q.matmul(&k.t()?)? * scale)?.broadcast_add(mask)?;
        let y = softmax(&scores, D::Minus1)?.matmul(&v)?;
        linear(&y.transpose(1, 2)?.reshape((batch, seq, width))?, &self.out)
    }

    fn feed_forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(&linear(x, &self.up)?.gelu()?, &self.down)
    }
}

/// x·wᵀ over the last axis, as one product.
fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (batch, seq, width) = x.dims3()?;
    x.reshape((batch * seq, width))?.matmul(&weight.t()?)?.reshape((batch, seq, weight.dim(0)?))
}

fn mask(seq: usize) -> Result<Tensor> {
    let value = |i: usize| if i % seq > i / seq { f32::NEG_INFINITY } else { 0.0 };
    Tensor::from_iter((0..seq * seq).map(value), &Device::Cpu)?.reshape((seq, seq))
}

/// The tensors of the file, and those that became variables.
struct Given {
    tensors: HashMap<String, Tensor>,
    vars: Vec<Var>,
}

impl Given {
    fn learn(&mut self, tensor: &Tensor) -> Result<Tensor> {
        let var = Var::from_tensor(tensor)?;
        self.vars.push(var.clone());
        Ok(var.as_tensor().clone())
    }

    fn var(&mut self, name: &str) -> Result<Tensor> {
        let tensor = self.tensors[name].clone();
        self.learn(&tensor)
    }

    fn norm(&mut self, name: &str) -> Result<Norm> {
        Ok(Norm {
            weight: self.var(&format!("{name}.weight"))?,
            bias: self.var(&format!("{name}.bias"))?,
        })
    }

    fn block(&mut self, name: &str) -> Result<Block> {
        let parts =
            ["q", "k", "v"].map(|p| self.tensors[&format!("{name}.attn.{p}.weight")].clone());
        Ok(Block {
            norm1: self.norm(&format!("{name}.norm1"))?,
            qkv: self.learn(&Tensor::cat(&parts, 0)?)?,
            out: self.var(&format!("{name}.attn.out.weight"))?,
            norm2: self.norm(&format!("{name}.norm2"))?,
            up: self.var(&format!("{name}.ffn.up.weight"))?,
            down: self.var(&format!("{name}.ffn.down.weight"))?,
        })
    }
}
