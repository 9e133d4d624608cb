//! A layer norm of one's own, judged: `cargo run --release --example own_norm`.
//!
//! The gate asks for problems it makes up, bounds each element by error analysis, and panics with
//! a report where an answer is wrong. Replace `+ eps` by nothing to see one.

use plummet::check::call::{Claims, Identity, Served};
use plummet::gate::{Broken, Call, Candidate, Dtype, Hello, Reply, Tensor, assert_conforms};

/// What is judged: the forward pass, in `f32`.
fn layer_norm(x: &[f32], weight: Option<&[f32]>, bias: Option<&[f32]>, eps: f32) -> Vec<f32> {
    let mean = x.iter().sum::<f32>() / x.len() as f32;
    let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / x.len() as f32;
    let rstd = 1.0 / (var + eps).sqrt();
    let affine = |(j, x): (usize, &f32)| {
        (x - mean) * rstd * weight.map_or(1.0, |w| w[j]) + bias.map_or(0.0, |b| b[j])
    };
    x.iter().enumerate().map(affine).collect()
}

#[derive(Clone)]
struct Mine;

impl Candidate for Mine {
    /// What is served; what is not said here (`bwd`, `bf16`) is not asked for.
    fn hello(&mut self) -> Result<Hello, Broken> {
        let identity = Identity { name: "mine".into(), ..Identity::default() };
        let ops = [("layer_norm".to_string(), Served::default())].into();
        Ok(Hello { identity, ops, claims: Claims::default() })
    }

    /// Elements come and go as `f64`, whatever their dtype.
    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        let narrow = |tensor: &Tensor| tensor.values.iter().map(|&v| v as f32).collect();
        let given = |name: &str| -> Option<Vec<f32>> { call.tensors.get(name).map(narrow) };
        let shape = &call.tensors["x"].shape;
        let (x, weight, bias) = (given("x").unwrap_or_default(), given("weight"), given("bias"));
        let eps = call.attrs["eps"].as_f64().unwrap_or(1e-5) as f32;
        let normalized = call.attrs["normalized_dims"].as_u64().unwrap_or(1) as usize;
        let cols: usize = shape[shape.len() - normalized..].iter().product();
        let rows = x.chunks(cols);
        let y = rows.flat_map(|row| layer_norm(row, weight.as_deref(), bias.as_deref(), eps));
        let y = Tensor::new(Dtype::F32, shape, y.map(f64::from).collect());
        Ok(Reply::Ok([("y".to_string(), y)].into()))
    }
}

fn main() {
    assert_conforms(&Mine);
    println!("layer_norm is right in forward, f32");
}
