//! What a layer looks like at one step, read from a program's named values.
//!
//! For the residual stream and the two branches: root mean square, mean, largest magnitude and
//! kurtosis. For the stream: cosine between tokens, angle to the layer before, effective rank,
//! gradient. For attention: entropy and largest logit. Layer 0 is the embedding.

use faer::Mat;

use crate::backend::{Backend, Observer, Seen, norm};
use crate::num::Num;
use crate::op::View;
use crate::op::attention::Attention;
use crate::record::ProbeRow;

/// The most tokens whose singular values are taken: more change the effective rank little and
/// cost the cube.
const RANK_TOKENS: usize = 128;

/// Collects rows while a pass runs.
#[derive(Debug, Default)]
pub struct Probe {
    step: u64,
    rows: Vec<ProbeRow>,
    /// The stream of the layer before, for the angle.
    before: Vec<f64>,
    wide: Vec<f64>,
    /// Only cosine and rms of the stream: what a summary needs.
    brief: bool,
}

impl Probe {
    /// A probe of everything at `step`.
    pub fn full(step: usize) -> Self {
        Probe { step: step as u64, ..Probe::default() }
    }

    /// A probe of the stream's magnitude and token cosine only.
    pub fn brief(step: usize) -> Self {
        Probe { step: step as u64, brief: true, ..Probe::default() }
    }

    /// What was seen.
    pub fn into_rows(self) -> Vec<ProbeRow> {
        self.rows
    }

    /// Adds a row.
    pub fn push(&mut self, layer: usize, site: &str, metric: &str, value: f64) {
        self.rows.push(ProbeRow {
            step: self.step,
            layer: layer as u32,
            site: site.to_string(),
            metric: metric.to_string(),
            value,
        });
    }

    fn moments(&mut self, layer: usize, site: &str) {
        let n = self.wide.len() as f64;
        let mean = self.wide.iter().sum::<f64>() / n;
        let (mut second, mut fourth, mut square, mut largest) = (0.0, 0.0, 0.0, 0.0f64);
        for &x in &self.wide {
            let c = (x - mean) * (x - mean);
            second += c;
            fourth += c * c;
            square += x * x;
            // A plain max would lose a NaN.
            if x.is_nan() || x.abs() > largest {
                largest = x.abs();
            }
        }
        let rms = (square / n).sqrt();
        self.push(layer, site, "rms", rms);
        if !self.brief {
            self.push(layer, site, "mean", mean);
            self.push(layer, site, "max", largest);
            let kurtosis = if second > 0.0 { n * fourth / (second * second) } else { f64::NAN };
            self.push(layer, site, "kurtosis", kurtosis);
        }
    }

    fn stream(&mut self, layer: usize, width: usize) {
        let cosine = token_cosine(&self.wide, width);
        self.push(layer, "stream", "token_cosine", cosine);
        if self.brief {
            return;
        }
        if self.before.len() == self.wide.len() {
            let angle = angular_distance(&self.before, &self.wide, width);
            self.push(layer, "stream", "angular_distance", angle);
        }
        self.push(layer, "stream", "effective_rank", effective_rank(&self.wide, width));
        std::mem::swap(&mut self.before, &mut self.wide);
    }
}

impl<B: Backend> Observer<B> for Probe {
    fn computed(&mut self, seen: &Seen<B>) {
        let step = seen.step();
        let value = seen.program().get(step.outs[0]);
        let Some(layer) = value.layer else { return };
        let stream = value.site == "stream";
        if stream || (!self.brief && (value.site == "attn" || value.site == "ffn")) {
            self.wide.clear();
            self.wide.extend(seen.out(0).iter().map(|x| x.value()));
            self.moments(layer, &value.site);
            if stream {
                self.stream(layer, value.shape.cols());
            }
        }
        if value.site == "attn.mixed" && !self.brief {
            let any: &dyn std::any::Any = &*step.op;
            if let Some(attention) = any.downcast_ref::<Attention>() {
                let args: Vec<_> = (0..step.args.len()).map(|i| seen.arg(i)).collect();
                let views = args.iter().enumerate();
                let views: Vec<View<B::Number>> =
                    views.map(|(i, data)| View { shape: seen.shape(i), data }).collect();
                let (entropy, largest) = attention_statistics(attention, &views);
                self.push(layer, "attn", "entropy", entropy);
                self.push(layer, "attn", "largest_logit", largest);
            }
        }
    }

    fn gradient(&mut self, seen: &Seen<B>) {
        let value = seen.program().get(seen.step().outs[0]);
        if let Some(layer) = value.layer
            && !self.brief
            && (value.site == "stream" || value.site == "mid")
        {
            self.push(layer, &value.site, "grad_norm", norm(&seen.out(0)));
        }
    }
}

/// Mean cosine between all pairs of rows: (‖Σ x̂‖² − n)/(n(n − 1)); 1 when all tokens point one way.
pub fn token_cosine(x: &[f64], width: usize) -> f64 {
    let mut sum = vec![0.0; width];
    let mut n = 0.0;
    for row in x.chunks_exact(width) {
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        for (sum, v) in sum.iter_mut().zip(row) {
            // A token of zeros points nowhere: it adds nothing to the cosine.
            *sum += if norm == 0.0 { 0.0 } else { v / norm };
        }
        n += 1.0;
    }
    let square: f64 = sum.iter().map(|v| v * v).sum();
    (square - n) / (n * (n - 1.0))
}

/// Mean over tokens of arccos(cos(before, after))/π: 0 for the same direction, ½ for a right angle.
pub fn angular_distance(before: &[f64], after: &[f64], width: usize) -> f64 {
    let rows = before.chunks_exact(width).zip(after.chunks_exact(width));
    let n = rows.len() as f64;
    let angle = |(a, b): (&[f64], &[f64])| {
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        cosine.clamp(-1.0, 1.0).acos() / std::f64::consts::PI
    };
    rows.map(angle).sum::<f64>() / n
}

/// exp of the entropy of the normalised singular values (Roy & Vetterli 2007): between 1 and the
/// smaller of tokens and width.
pub fn effective_rank(x: &[f64], width: usize) -> f64 {
    let rows = x.len() / width;
    let taken = rows.min(RANK_TOKENS);
    let every = rows / taken;
    let matrix = Mat::from_fn(taken, width, |i, j| x[i * every * width + j]);
    let Ok(values) = matrix.singular_values() else { return f64::NAN };
    let total: f64 = values.iter().sum();
    if !total.is_finite() || total == 0.0 {
        return f64::NAN;
    }
    let terms = values.iter().map(|v| v / total).filter(|p| *p > 0.0);
    terms.map(|p| -p * p.ln()).sum::<f64>().exp()
}

/// Mean entropy of the rows over the logarithm of the keys they see (rows that see one key have
/// none), and the largest logit.
fn attention_statistics<T: Num>(attention: &Attention, args: &[View<T>]) -> (f64, f64) {
    let (mut total, mut rows, mut largest) = (0.0, 0.0, f64::NEG_INFINITY);
    attention.each_row(args, |logits, probabilities| {
        let seen = logits.iter().filter(|l| l.value() > f64::NEG_INFINITY).count();
        if seen > 1 {
            let terms = probabilities.iter().map(|p| p.value()).filter(|p| *p != 0.0);
            total += terms.map(|p| -p * p.ln()).sum::<f64>() / (seen as f64).ln();
            rows += 1.0;
        }
        for logit in logits.iter().map(|l| l.value()) {
            // A plain max would lose a NaN.
            if logit.is_nan() || logit > largest {
                largest = logit;
            }
        }
    });
    (total / rows, largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_is_one_for_parallel_and_zero_for_orthogonal_tokens() {
        assert!((token_cosine(&[1.0, 2.0, 2.0, 4.0, 3.0, 6.0], 2) - 1.0).abs() < 1e-15);
        assert!(token_cosine(&[1.0, 0.0, 0.0, 1.0], 2).abs() < 1e-15);
    }

    #[test]
    fn angle_of_a_quarter_turn_is_one_half() {
        assert!((angular_distance(&[1.0, 0.0], &[0.0, 2.0], 2) - 0.5).abs() < 1e-15);
    }

    #[test]
    fn effective_rank_counts_equal_directions() {
        let identity: Vec<f64> = (0..16).map(|i| if i % 5 == 0 { 1.0 } else { 0.0 }).collect();
        assert!((effective_rank(&identity, 4) - 4.0).abs() < 1e-12);
        assert!((effective_rank(&[1.0, 2.0, 2.0, 4.0], 2) - 1.0).abs() < 1e-6);
    }
}
