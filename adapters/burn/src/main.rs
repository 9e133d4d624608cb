//! burn's operators on its `flex` backend, with the gradients of its autodiff.

use std::collections::BTreeMap;

use burn::module::Param;
use burn::nn::RmsNorm;
use burn::tensor::activation::{gelu, gelu_approximate, relu, silu, softmax};
use burn::tensor::module::{layer_norm, linear};
use burn::tensor::{DType, Device, Tensor as Array, TensorData};
use plummet::check::call::{Identity, Served};
use plummet::gate::{Broken, Call, Candidate, Dir, Dtype, Hello, Reply, Tensor, Tensors};

struct Burn;

/// The tensors of a call: learned vectors, and everything else as rows.
struct Given {
    rows: BTreeMap<String, Array<2>>,
    vectors: BTreeMap<String, Array<1>>,
}

impl Given {
    fn new(call: &Call) -> Self {
        // What is not differentiated goes the way of inference, where some kernels are fused.
        let (device, training) = match call.dir {
            Dir::Fwd => (Device::flex(), false),
            Dir::Bwd => (Device::flex().autodiff(), true),
        };
        let dtype = if call.dtype == Dtype::F64 { DType::F64 } else { DType::F32 };
        let mut given = Given { rows: BTreeMap::new(), vectors: BTreeMap::new() };
        for (name, tensor) in &call.tensors {
            let cols = *tensor.shape.last().expect("no operator here has a scalar");
            let vector = name == "bias" || (name == "weight" && call.op != "linear");
            if vector {
                let data = TensorData::new(tensor.values.clone(), [cols]);
                let array = Array::from_data(data, (&device, dtype));
                given.vectors.insert(name.clone(), array.set_require_grad(training));
            } else {
                let shape = [tensor.values.len() / cols, cols];
                let data = TensorData::new(tensor.values.clone(), shape);
                let array = Array::from_data(data, (&device, dtype));
                given.rows.insert(name.clone(), array.set_require_grad(training));
            }
        }
        given
    }

    /// The operator itself; a weight that is absent is one.
    fn forward(&self, call: &Call) -> Array<2> {
        let x = self.rows["x"].clone();
        let eps = call.attrs.get("eps").and_then(|eps| eps.as_f64()).unwrap_or(0.0);
        let bias = self.vectors.get("bias").cloned();
        let weight = || {
            let ones = || Array::ones([x.dims()[1]], (&x.device(), x.dtype()));
            self.vectors.get("weight").cloned().unwrap_or_else(ones)
        };
        match (call.op.as_str(), call.attrs.get("fn").and_then(|name| name.as_str())) {
            ("layer_norm", _) => layer_norm(x.clone(), weight(), bias, eps),
            ("rms_norm", _) => {
                RmsNorm { gamma: Param::from_tensor(weight()), epsilon: eps }.forward(x)
            }
            ("softmax", _) => softmax(x, 1),
            // burn stores the matrix by inputs.
            ("linear", _) => linear(x, self.rows["weight"].clone().transpose(), bias),
            ("activation", Some("relu")) => relu(x),
            ("activation", Some("gelu")) => gelu(x),
            ("activation", Some("gelu_tanh")) => gelu_approximate(x),
            ("activation", Some("silu")) => silu(x),
            (op, name) => panic!("{op} {name:?} is not served"),
        }
    }
}

fn values<const D: usize>(array: Array<D>) -> Vec<f64> {
    array.into_data().convert::<f64>().try_into_vec().expect("it was converted to f64")
}

fn answer(call: &Call) -> Tensors {
    let given = Given::new(call);
    let y = given.forward(call);
    let mut tensors = Tensors::new();
    if call.dir == Dir::Fwd {
        let mut shape = call.tensors["x"].shape.clone();
        *shape.last_mut().expect("x has rows") = y.dims()[1];
        tensors.insert("y".into(), Tensor::new(call.dtype, &shape, values(y)));
        return tensors;
    }
    let gradients = (y * given.rows["dy"].clone()).sum().backward();
    for (name, tensor) in &call.tensors {
        let rows = given.rows.get(name).map(|array| array.grad(&gradients).map(values));
        let vector = given.vectors.get(name).map(|array| array.grad(&gradients).map(values));
        // What the output does not depend on has no gradient, which is zero.
        let gradient = rows.or(vector).flatten().unwrap_or_else(|| vec![0.0; tensor.values.len()]);
        tensors.insert(format!("d{name}"), Tensor::new(call.dtype, &tensor.shape, gradient));
    }
    tensors.retain(|name, _| call.want.contains(name));
    tensors
}

impl Candidate for Burn {
    fn hello(&mut self) -> Result<Hello, Broken> {
        let both = Served {
            dir: Some(vec![Dir::Fwd, Dir::Bwd]),
            dtype: Some(vec![Dtype::F32, Dtype::F64]),
            ..Served::default()
        };
        let (mut layer_norm, mut rms_norm) = (both.clone(), both.clone());
        layer_norm.attrs.insert("normalized_dims".into(), vec![1.into()]);
        rms_norm.attrs.insert("offset".into(), vec![0.into()]);
        let mut softmax = both.clone();
        softmax.variant.insert("softmax.empty_row".into(), "nan".into());
        let ops = [
            ("layer_norm", layer_norm),
            ("rms_norm", rms_norm),
            ("softmax", softmax),
            ("linear", both.clone()),
            ("activation", both),
        ];
        Ok(Hello {
            identity: Identity {
                name: "burn".into(),
                language: "rust".into(),
                ..Identity::default()
            },
            ops: ops.map(|(op, served)| (op.to_string(), served)).into(),
            ..Hello::default()
        })
    }
    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        Ok(Reply::Ok(answer(call)))
    }
}

fn main() -> std::io::Result<()> {
    plummet::gate::wire::server::serve_stdio(&mut Burn)
}
