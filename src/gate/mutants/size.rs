//! Models that are right up to a size: what lies beyond it is not read, not written or taken for
//! something else.
//!
//! Such a fault is the same in every operator, so that it is made here, before and after the plain
//! form: each line of [`LAPSES`] is a mutant of its operator.

use super::Mutation;
use crate::check::spec::operator::{Named, Problem, View};
use crate::num::Num;

/// What becomes of what lies beyond.
#[derive(Clone, Copy, PartialEq)]
enum Beyond {
    /// It is read, or left, as 0.
    Zero,
    /// It is read as −∞, as padding of scores is.
    Low,
    /// Its index wraps around.
    Wraps,
}
use Beyond::{Low, Wraps, Zero};

/// A tensor, an axis of it counted from the last, and the first place that lies beyond; within that
/// size the places of the axis beyond a multiple of `tile`.
struct Lapse {
    id: &'static str,
    tensor: &'static str,
    axis: usize,
    from: usize,
    tile: usize,
    beyond: Beyond,
}

const fn lapse(
    id: &'static str,
    tensor: &'static str,
    axis: usize,
    from: usize,
    beyond: Beyond,
) -> Lapse {
    Lapse { id, tensor, axis, from, tile: 1, beyond }
}

const LAPSES: &[Lapse] = &[
    Lapse { tile: 128, ..lapse("ln_wide_tail", "x", 0, 3072, Zero) },
    lapse("ln_row_16_bits", "y", 1, 65_536, Wraps),
    Lapse { tile: 64, ..lapse("lnb_late_rows", "dy", 1, 2048, Zero) },
    lapse("rms_cols_8192", "x", 0, 8192, Zero),
    lapse("rms_rows_65535", "y", 1, 65_535, Zero),
    lapse("sn_cols_4096", "x", 0, 4096, Zero),
    lapse("dyt_cols_4096", "y", 0, 4096, Zero),
    lapse("bn_row_16_bits", "x", 1, 65_536, Wraps),
    lapse("ws_wide_tail", "y", 0, 4000, Zero),
    lapse("sm_classes_65536", "x", 0, 65_536, Low),
    lapse("smb_classes_49152", "dy", 0, 49_152, Zero),
    lapse("act_cols_2048", "y", 0, 2048, Zero),
    lapse("lin_inputs_4096", "x", 0, 4096, Zero),
    Lapse { tile: 64, ..lapse("lin_late_inputs", "x", 0, 1024, Zero) },
    lapse("lin_outputs_4096", "y", 0, 4096, Zero),
    Lapse { tile: 128, ..lapse("ff_wide_hidden_tail", "down", 0, 1024, Zero) },
    lapse("att_features_64", "q", 0, 64, Zero),
    lapse("att_features_128", "q", 0, 128, Zero),
    lapse("att_keys_1024", "k", 1, 1024, Zero),
    lapse("att_queries_512", "y", 1, 512, Zero),
    lapse("ce_classes_49152", "logits", 0, 49_152, Low),
    lapse("adam_rows_65535", "p", 1, 65_535, Zero),
    lapse("clip_cols_65536", "g0", 0, 65_536, Zero),
    lapse("lr_step_16_bits", "step", 0, 65_536, Wraps),
];

fn of(t: Mutation) -> Option<&'static Lapse> {
    LAPSES.iter().find(|lapse| lapse.id == t.id)
}

/// The problem as a model reads it that has lost a part of an input; nothing where it reads all.
pub fn read<'a, R: Num>(p: &Problem<'a, R>, t: Mutation) -> Option<Problem<'a, R>> {
    let lapse = of(t)?;
    let view = p.opt(lapse.tensor)?;
    let data = lost(view, lapse)?;
    Some(p.with(lapse.tensor, View { shape: view.shape.clone(), data }))
}

/// The answer as a model leaves it that has not written all.
pub fn written<R: Num>(mut answer: Vec<Named<R>>, t: Mutation) -> Vec<Named<R>> {
    let Some(lapse) = of(t) else { return answer };
    // The gradient of what is not written in the forward pass is not written either.
    for named in &mut answer {
        let forward = lapse.tensor == named.name;
        let backward =
            lapse.tensor == "y" && ["dx", "dq", "dlogits"].contains(&named.name.as_str());
        if forward || backward {
            let view = View { shape: named.shape.clone(), data: std::mem::take(&mut named.data) };
            named.data = lost(&view, lapse).unwrap_or(view.data);
        }
    }
    answer
}

/// The elements with what lies beyond gone; nothing where nothing does.
fn lost<R: Num>(view: &View<R>, lapse: &Lapse) -> Option<Vec<R>> {
    let dims = view.shape.len();
    let dim = dims.checked_sub(lapse.axis + 1)?;
    let len = view.shape[dim];
    if len <= lapse.from {
        return None;
    }
    let first = if lapse.tile > 1 { len / lapse.tile * lapse.tile } else { lapse.from };
    let inner: usize = view.shape[dim + 1..].iter().product();
    let element = |i: usize| {
        let place = i / inner % len;
        match lapse.beyond {
            _ if place < first => view.data[i],
            Zero => R::zero(),
            Low => R::num(f64::NEG_INFINITY),
            Wraps => view.data[i - place * inner + place % first * inner],
        }
    };
    Some((0..view.data.len()).map(element).collect())
}
