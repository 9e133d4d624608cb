//! candle's operators on the CPU, with the gradients of its autograd where it has them.

use std::collections::BTreeMap;

use candle_core::{D, Device, Result, Tensor as Array, Var, bail};
use candle_nn::{LayerNorm, Linear, Module, RmsNorm, ops};
use plummet::check::call::{Identity, Served};
use plummet::gate::{Broken, Call, Candidate, Dir, Dtype, Hello, Reply, Tensor, Tensors};

struct Candle;

/// The operator itself; a weight that is absent is one, a bias zero.
fn forward(call: &Call, t: &BTreeMap<String, Array>) -> Result<Array> {
    let x = &t["x"];
    let eps = call.attrs.get("eps").and_then(|eps| eps.as_f64()).unwrap_or(0.0);
    let cols = x.dim(D::Minus1)?;
    let given = |name: &str| t.get(name).cloned();
    let weight =
        || given("weight").map_or_else(|| x.ones_like()?.flatten_all()?.narrow(0, 0, cols), Ok);
    let bias =
        || given("bias").map_or_else(|| x.zeros_like()?.flatten_all()?.narrow(0, 0, cols), Ok);
    match (call.op.as_str(), call.attrs.get("fn").and_then(|name| name.as_str())) {
        ("layer_norm", _) => LayerNorm::new(weight()?, bias()?, eps).forward(x),
        ("rms_norm", _) => RmsNorm::new(weight()?, eps).forward(x),
        ("softmax", _) => ops::softmax(x, D::Minus1),
        ("linear", _) => {
            // candle's Linear takes matrices and batches of them only.
            let rows = x.reshape(((), cols))?;
            let y = Linear::new(weight()?, given("bias")).forward(&rows)?;
            let mut shape = x.dims().to_vec();
            shape.pop();
            y.reshape([shape, vec![y.dim(1)?]].concat())
        }
        ("activation", Some("relu")) => x.relu(),
        ("activation", Some("gelu")) => x.gelu_erf(),
        ("activation", Some("gelu_tanh")) => x.gelu(),
        ("activation", Some("silu")) => x.silu(),
        (op, _) => bail!("{op} is not served"),
    }
}

fn answer(call: &Call) -> Result<Tensors> {
    let mut given = BTreeMap::new();
    for (name, tensor) in &call.tensors {
        let values: Vec<f32> = tensor.values.iter().map(|&value| value as f32).collect();
        let array = Array::from_vec(values, tensor.shape.as_slice(), &Device::Cpu)?;
        given.insert(name.clone(), Var::from_tensor(&array)?.into_inner());
    }
    let y = forward(call, &given)?;
    let mut results = vec![("y".to_string(), y.clone())];
    if call.dir == Dir::Bwd {
        let gradients = (y * &given["dy"])?.sum_all()?.backward()?;
        let gradient = |(name, array): (&String, &Array)| {
            let gradient = gradients.get(array).cloned().map_or_else(|| array.zeros_like(), Ok);
            gradient.map(|gradient| (format!("d{name}"), gradient))
        };
        results = given.iter().map(gradient).collect::<Result<_>>()?;
    }
    let mut tensors = Tensors::new();
    for (name, array) in results.into_iter().filter(|(name, _)| call.want.contains(name)) {
        let values: Vec<f32> = array.flatten_all()?.to_vec1()?;
        let values = values.into_iter().map(f64::from).collect();
        tensors.insert(name, Tensor::new(Dtype::F32, array.dims(), values));
    }
    Ok(tensors)
}

impl Candidate for Candle {
    fn hello(&mut self) -> std::result::Result<Hello, Broken> {
        let both = Served { dir: Some(vec![Dir::Fwd, Dir::Bwd]), ..Served::default() };
        // The fused norms of candle have no gradient.
        let (mut layer_norm, mut rms_norm) = (Served::default(), Served::default());
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
                name: "candle".into(),
                language: "rust".into(),
                ..Identity::default()
            },
            ops: ops.map(|(op, served)| (op.to_string(), served)).into(),
            ..Hello::default()
        })
    }
    fn run(&mut self, call: &Call) -> std::result::Result<Reply, Broken> {
        Ok(answer(call).map_or_else(|error| Reply::Error(error.to_string()), Reply::Ok))
    }
}

fn main() -> std::io::Result<()> {
    plummet::gate::wire::server::serve_stdio(&mut Candle)
}
