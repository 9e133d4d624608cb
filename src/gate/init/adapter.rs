//! layer_norm in Rust, served to the gate. Put yours in its place:
//! cargo build --release && plummet gate check -- target/release/mine

use plummet::check::call::{Claims, Identity, Served};
use plummet::gate::{Broken, Call, Candidate, Dir, Dtype, Hello, Reply, Tensor, wire::server};

struct Mine;

impl Candidate for Mine {
    fn hello(&mut self) -> Result<Hello, Broken> {
        let identity = Identity { name: "mine".into(), ..Identity::default() };
        let both = Served { dir: Some(vec![Dir::Fwd, Dir::Bwd]), ..Served::default() };
        let claims = Claims { deterministic: true, inputs_untouched: true, ..Claims::default() };
        Ok(Hello { identity, ops: [("layer_norm".to_string(), both)].into(), claims })
    }

    /// Every element of a tensor comes and goes as an `f64`, whatever its dtype.
    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        let (Some(x), Some(eps)) = (call.tensors.get("x"), call.attrs["eps"].as_f64()) else {
            return Ok(Reply::Error("layer_norm needs x and eps".into()));
        };
        let given = |name| call.tensors.get(name).map(|tensor| &tensor.values);
        let normalized = call.attrs["normalized_dims"].as_u64().unwrap_or(1) as usize;
        let inner = &x.shape[x.shape.len() - normalized..];
        let cols = inner.iter().product();
        let weight = given("weight").cloned().unwrap_or_else(|| vec![1.0; cols]);
        let bias = given("bias").cloned().unwrap_or_else(|| vec![0.0; cols]);
        let (mut y, mut dx) = (x.values.clone(), x.values.clone());
        let (mut dweight, mut dbias) = (vec![0.0; cols], vec![0.0; cols]);
        for (i, row) in x.values.chunks(cols).enumerate() {
            let average = |f: &dyn Fn(usize) -> f64| (0..cols).map(f).sum::<f64>() / cols as f64;
            let mean = average(&|j| row[j]);
            let rstd = 1.0 / (average(&|j| (row[j] - mean).powi(2)) + eps).sqrt();
            let hat = |j: usize| (row[j] - mean) * rstd;
            for j in 0..cols {
                y[i * cols + j] = hat(j) * weight[j] + bias[j];
            }
            let Some(dy) = given("dy").map(|dy| &dy[i * cols..]) else { continue };
            let of_dy = average(&|j| dy[j] * weight[j]);
            let of_dy_x = average(&|j| dy[j] * weight[j] * hat(j));
            for j in 0..cols {
                dx[i * cols + j] = rstd * (dy[j] * weight[j] - of_dy - hat(j) * of_dy_x);
                dweight[j] += dy[j] * hat(j);
                dbias[j] += dy[j];
            }
        }
        let all = [("y", y), ("dx", dx), ("dweight", dweight), ("dbias", dbias)];
        let wanted = all.into_iter().filter(|(name, _)| call.want.iter().any(|want| want == name));
        let tensors = wanted.map(|(name, values)| {
            let shape = if name == "y" || name == "dx" { &x.shape } else { inner };
            (name.to_string(), Tensor::new(Dtype::F32, shape, values))
        });
        Ok(Reply::Ok(tensors.collect()))
    }
}

fn main() -> std::io::Result<()> {
    server::serve_stdio(&mut Mine)
}
