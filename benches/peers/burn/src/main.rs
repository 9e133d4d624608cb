//! The training step in burn, on its `flex` backend.

#[path = "../../protocol.rs"]
mod protocol;

use std::path::PathBuf;

use burn::module::{Module, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{gelu_approximate, softmax};
use burn::tensor::module::{embedding, layer_norm, linear};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use protocol::{Answer, Worker, serve};
use safetensors::SafeTensors;

const HEADS: usize = 4;
const EPS: f64 = 1e-5;
const LR: f64 = 1e-3;

fn main() -> std::io::Result<()> {
    let dir = std::env::args().nth(2).unwrap_or_default();
    serve(&mut Burn { dir: dir.into(), training: None })
}

struct Burn {
    dir: PathBuf,
    training: Option<Training>,
}

impl Worker for Burn {
    fn load(&mut self, size: &str) -> Answer<(f64, Option<f64>)> {
        let path = self.dir.join(format!("{size}.safetensors"));
        let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
        let mut training = Training::load(&Given {
            tensors: SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?,
            device: Device::flex().autodiff(),
        });
        let loss = training.step();
        self.training = Some(training);
        Ok((loss, None))
    }

    fn steps(&mut self, n: usize) -> Answer<()> {
        let training = self.training.as_mut().ok_or("nothing is loaded")?;
        for _ in 0..n {
            training.step();
        }
        Ok(())
    }
}

#[derive(Module, Debug)]
struct Norm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
}

impl Norm {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        layer_norm(x, self.weight.val(), Some(self.bias.val()), EPS)
    }
}

/// The matrices are stored by inputs, as burn has them.
#[derive(Module, Debug)]
struct Block {
    norm1: Norm,
    qkv: Param<Tensor<2>>,
    out: Param<Tensor<2>>,
    norm2: Norm,
    up: Param<Tensor<2>>,
    down: Param<Tensor<2>>,
}

impl Block {
    fn attention(&self, x: Tensor<3>, mask: &Tensor<4, Bool>) -> Tensor<3> {
        let [batch, seq, width] = x.dims();
        let qkv = linear(x, self.qkv.val(), None);
        let part = |i: usize| {
            let part = qkv.clone().narrow(2, i * width, width);
            part.reshape([batch, seq, HEADS, width / HEADS]).swap_dims(1, 2)
        };
        let (q, k, v) = (part(0), part(1), part(2));
        let scale = 1.0 / ((width / HEADS) as f64).sqrt();
        let scores = q.matmul(k.swap_dims(2, 3)).mul_scalar(scale);
        let weights = softmax(scores.mask_fill(mask.clone(), f32::NEG_INFINITY), 3);
        let y = weights.matmul(v).swap_dims(1, 2).reshape([batch, seq, width]);
        linear(y, self.out.val(), None)
    }

    fn feed_forward(&self, x: Tensor<3>) -> Tensor<3> {
        linear(gelu_approximate(linear(x, self.up.val(), None)), self.down.val(), None)
    }
}

#[derive(Module, Debug)]
struct Decoder {
    embed: Param<Tensor<2>>,
    positions: Param<Tensor<2>>,
    blocks: Vec<Block>,
    norm: Norm,
    head: Param<Tensor<2>>,
}

impl Decoder {
    fn loss(&self, tokens: Tensor<2, Int>, targets: Tensor<1, Int>) -> Tensor<1> {
        let [batch, seq] = tokens.dims();
        let mask = Tensor::<2, Bool>::tril_mask([seq, seq], 0, &tokens.device());
        let heads = [batch, HEADS, seq, seq];
        let mask = mask.reshape([1, 1, seq, seq]).expand(heads);
        let mut x = embedding(self.embed.val(), tokens) + self.positions.val().unsqueeze();
        for block in &self.blocks {
            x = x.clone() + block.attention(block.norm1.forward(x), &mask);
            x = x.clone() + block.feed_forward(block.norm2.forward(x));
        }
        let logits = linear(self.norm.forward(x), self.head.val(), None);
        let logits = logits.flatten::<2>(0, 1);
        CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, targets)
    }
}

struct Training {
    /// Taken out only while the optimiser has it.
    model: Option<Decoder>,
    optimizer: ModuleOptimizer,
    tokens: Tensor<2, Int>,
    targets: Tensor<1, Int>,
}

impl Training {
    fn load(given: &Given) -> Self {
        let names = given.tensors.names();
        let depth = names.iter().filter(|name| name.ends_with("norm1.weight")).count();
        let model = Decoder {
            embed: given.matrix("embed.weight"),
            positions: given.matrix("positions.weight"),
            blocks: (0..depth).map(|i| given.block(&format!("blocks.{i}"))).collect(),
            norm: given.norm("norm"),
            head: given.linear(&["head.weight"]),
        };
        let optimizer =
            AdamWConfig::new().with_beta_2(0.95).with_epsilon(1e-8).with_weight_decay(0.0).init();
        let (tokens, targets) = (given.tokens("tokens"), given.tokens("targets"));
        Training { model: Some(model), optimizer, tokens, targets: targets.flatten(0, 1) }
    }

    fn step(&mut self) -> f64 {
        let model = self.model.take().expect("it was put back");
        let loss = model.loss(self.tokens.clone(), self.targets.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        self.model = Some(self.optimizer.step(LR, model, gradients));
        loss.into_scalar::<f32>().into()
    }
}

/// The tensors of the file.
struct Given<'a> {
    tensors: SafeTensors<'a>,
    device: Device,
}

impl Given<'_> {
    fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let tensor = self.tensors.tensor(name).expect("every weight is in the file");
        let values: Vec<f32> = (tensor.data().chunks_exact(4))
            .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")))
            .collect();
        Tensor::from_data(TensorData::new(values, tensor.shape().to_vec()), &self.device)
    }

    fn tokens(&self, name: &str) -> Tensor<2, Int> {
        let tensor = self.tensors.tensor(name).expect("the batch is in the file");
        let values: Vec<i64> = (tensor.data().chunks_exact(8))
            .map(|bytes| i64::from_le_bytes(bytes.try_into().expect("eight bytes")))
            .collect();
        Tensor::from_data(TensorData::new(values, tensor.shape().to_vec()), &self.device)
    }

    fn matrix(&self, name: &str) -> Param<Tensor<2>> {
        Param::from_tensor(self.tensor(name))
    }

    /// Matrices of the file one under the other, turned.
    fn linear(&self, names: &[&str]) -> Param<Tensor<2>> {
        let parts = names.iter().map(|name| self.tensor::<2>(name)).collect();
        let turned = Tensor::cat(parts, 0).transpose();
        // Through the data, so that the layout in memory is the turned one.
        Param::from_tensor(Tensor::from_data(turned.into_data(), &self.device))
    }

    fn norm(&self, name: &str) -> Norm {
        let own = |part: &str| Param::from_tensor(self.tensor(&format!("{name}.{part}")));
        Norm { weight: own("weight"), bias: own("bias") }
    }

    fn block(&self, name: &str) -> Block {
        let full = |part: &str| format!("{name}.{part}.weight");
        Block {
            norm1: self.norm(&format!("{name}.norm1")),
            qkv: self.linear(&[&full("attn.q"), &full("attn.k"), &full("attn.v")]),
            out: self.linear(&[&full("attn.out")]),
            norm2: self.norm(&format!("{name}.norm2")),
            up: self.linear(&[&full("ffn.up")]),
            down: self.linear(&[&full("ffn.down")]),
        }
    }
}
