//! One function before the gate, in a test of its own.

use crate::check::call::{Broken, Call, Candidate, Claims, Hello, Identity, Reply, Served};
use crate::check::tensor::{Dtype, Tensor};

use super::run::assert_conforms;

/// What a function answers: outputs by name, each with its shape and elements.
pub type Answer = Vec<(&'static str, Vec<usize>, Vec<f32>)>;

/// Judges a function that answers the forward pass of an operator in `f32`; see [`check_as`] for more.
///
/// ```
/// use plummet::gate;
///
/// fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
///     let mean = x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32;
///     let scale = 1.0 / (mean + eps).sqrt();
///     x.iter().zip(weight).map(|(x, w)| x * scale * w).collect()
/// }
///
/// // In a test: #[test] fn conforms() { … }
/// gate::check("rms_norm", |call| {
///     let (x, shape) = (call.f32("x")?, call.shape("x")?);
///     let cols = *shape.last()?;
///     let (eps, offset) = (call.number("eps")? as f32, call.number("offset")? as f32);
///     let weight = call.f32("weight").unwrap_or(vec![1.0 - offset; cols]);
///     let weight: Vec<f32> = weight.iter().map(|w| w + offset).collect();
///     let y = x.chunks(cols).flat_map(|row| rms_norm(row, &weight, eps)).collect();
///     Some(vec![("y", shape, y)])
/// });
/// ```
///
/// # Panics
/// With the report where an answer is wrong, is none, or has not as many elements as its shape.
pub fn check<F>(op: &str, function: F)
where
    F: Fn(&Call) -> Option<Answer> + Clone + Send + Sync + 'static,
{
    check_as(op, Served::default(), function);
}

/// As [`check()`], of what is declared: passes, attributes, optional tensors.
///
/// # Panics
/// As [`check()`].
pub fn check_as<F>(op: &str, served: Served, function: F)
where
    F: Fn(&Call) -> Option<Answer> + Clone + Send + Sync + 'static,
{
    assert_conforms(&Function { op: op.to_string(), served, function });
}

#[derive(Clone)]
struct Function<F> {
    op: String,
    served: Served,
    function: F,
}

impl<F: Fn(&Call) -> Option<Answer>> Candidate for Function<F> {
    fn hello(&mut self) -> Result<Hello, Broken> {
        let identity = Identity { name: self.op.clone(), ..Identity::default() };
        let ops = [(self.op.clone(), self.served.clone())].into();
        Ok(Hello { identity, ops, claims: Claims::default() })
    }

    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        let Some(answer) = (self.function)(call) else {
            return Ok(Reply::Error("the function gave nothing".to_string()));
        };
        let short = answer
            .iter()
            .find(|(_, shape, values)| shape.iter().product::<usize>() != values.len());
        if let Some((name, shape, values)) = short {
            return Ok(Reply::Error(format!(
                "{name} of shape {shape:?} has {} elements",
                values.len()
            )));
        }
        let tensors = answer.into_iter().map(|(name, shape, values)| {
            let values = values.into_iter().map(f64::from).collect();
            (name.to_string(), Tensor::new(Dtype::F32, &shape, values))
        });
        Ok(Reply::Ok(tensors.collect()))
    }
}

impl Call {
    /// The elements of an input, where it is there.
    pub fn f32(&self, name: &str) -> Option<Vec<f32>> {
        Some(self.tensors.get(name)?.values.iter().map(|&v| v as f32).collect())
    }

    /// Its shape.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Some(self.tensors.get(name)?.shape.clone())
    }

    /// An attribute that is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.attrs.get(name)?.as_f64()
    }
}
