//! Linear maps, wrong in the ways in which they have been.

use super::softmax::total;
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("linear", id, class, about)
}

pub const MUTANTS: &[Mutant] = &[
    mutant("lin_transposed", "axis", "a square weight is read transposed"),
    mutant("lin_bias_ignored", "wiring", "the bias is not added"),
    mutant("lin_bias_twice", "wiring", "the bias is added twice"),
    mutant("lin_bias_by_row", "axis", "the bias is indexed by the row of x"),
    mutant("lin_tail_8", "tile", "inputs beyond the last multiple of 8 are dropped"),
    mutant("lin_tail_16", "tile", "inputs beyond the last multiple of 16 are dropped"),
    mutant("lin_last_output", "tile", "outputs beyond the last multiple of 16 stay 0"),
    mutant("lin_tf32", "precision", "inputs of the product are rounded to 10 bits"),
    mutant("lin_split_by_rows", "promise", "sums cut in two among 16 rows and more"),
    mutant("lin_by_place", "promise", "sums from the last element in every second row"),
    mutant("lin_from_30", "intermittent", "from the 31st call on half of the answer not written"),
    mutant("lin_first_of_shape", "intermittent", "half of the first answer of a shape not written"),
    mutant("lin_stale", "determinism", "from the second call on the answer is added to itself"),
    mutant("linb_dx_transposed", "backward", "dx through a square weight read transposed"),
    mutant("linb_dx_tail", "tile", "dx sums over the outputs up to a multiple of 8 only"),
    mutant("linb_dweight_last_rows", "tile", "rows beyond the last multiple of 8 miss in dweight"),
    mutant("linb_dweight_first_batch", "axis", "dweight sums over the last leading axis only"),
    mutant("linb_dweight_mean", "backward", "dweight is divided by the number of rows"),
    mutant("linb_dweight_overwritten", "backward", "dweight holds the last row only"),
    mutant("linb_dbias_zero", "backward", "dbias stays 0"),
    mutant("linb_dbias_mean", "backward", "dbias is divided by the number of rows"),
    mutant("linb_dbias_last_rows", "tile", "rows beyond the last multiple of 16 miss in dbias"),
    mutant("linb_stale", "determinism", "from the second call on dweight is added to itself"),
    mutant("lin_inputs_4096", "size", "inputs beyond 4096 read as 0"),
    mutant(
        "lin_late_inputs",
        "size",
        "inputs beyond a multiple of 64 read as 0 where there are more than 1024",
    ),
    mutant("lin_outputs_4096", "size", "outputs beyond 4096 not written"),
];

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "linear", about }
}

pub const CONTROLS: &[Control] = &[
    control("lin_pairwise", "sums in pairs"),
    control("lin_reversed", "sums from the last element"),
    control("lin_wide", "sums in f64"),
    control("lin_bias_first", "sums that start at the bias"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    match p.call.dir {
        Dir::Fwd => forward(p, t),
        Dir::Bwd => backward(p, t),
    }
}

/// A number with 10 bits after the leading one, as tensor cores read `f32`.
fn ten_bits<R: Num>(x: R) -> R {
    let value = x.value();
    if value == 0.0 {
        return x;
    }
    let unit = 2f64.powi(value.abs().log2().floor() as i32 - 10);
    R::num((value / unit).round() * unit)
}

fn forward<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let (x, weight) = (p.get("x"), p.get("weight"));
    let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
    let whole = match t.id {
        "lin_tail_8" if inputs > 8 => inputs / 8 * 8,
        "lin_tail_16" if inputs > 16 => inputs / 16 * 16,
        _ => inputs,
    };
    let square = outputs == inputs && t.is("lin_transposed");
    let mut y = Vec::new();
    for (r, row) in x.data.chunks(inputs).enumerate() {
        for o in 0..outputs {
            let mut terms = Vec::with_capacity(inputs + 1);
            if let (Some(bias), true) = (p.opt("bias"), t.is("lin_bias_first")) {
                terms.push(bias.data[o]);
            }
            for (i, &x) in row[..whole].iter().enumerate() {
                let at = if square { i * inputs + o } else { o * inputs + i };
                let w = weight.data[at];
                terms.push(if t.is("lin_tf32") { ten_bits(x) * ten_bits(w) } else { x * w });
            }
            let order = match t.id {
                "lin_split_by_rows" if x.data.len() / inputs >= 16 => {
                    Mutation { id: "lin_pairwise", ..t }
                }
                "lin_by_place" if r % 2 == 1 => Mutation { id: "lin_reversed", ..t },
                _ => t,
            };
            let mut sum = total(&terms, order);
            if t.is("lin_last_output") && outputs > 16 && o >= outputs / 16 * 16 {
                sum = R::zero();
            }
            if let Some(bias) = p.opt("bias") {
                match t.id {
                    "lin_bias_ignored" | "lin_bias_first" => {}
                    "lin_bias_twice" => sum += bias.data[o] + bias.data[o],
                    "lin_bias_by_row" => sum += bias.data[r % outputs],
                    _ => sum += bias.data[o],
                }
            }
            y.push(if t.is("lin_stale") && t.calls > 0 { sum + sum } else { sum });
        }
    }
    let mut shape = x.shape.clone();
    *shape.last_mut().expect("x has columns") = outputs;
    vec![Named::new("y", &shape, y)]
}

fn backward<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let (x, weight, dy) = (p.get("x"), p.get("weight"), p.get("dy"));
    let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
    let rows = x.data.len() / inputs;
    let square = outputs == inputs && t.is("linb_dx_transposed");
    let mut dx = Vec::with_capacity(x.data.len());
    let reach = if t.is("linb_dx_tail") && outputs > 8 { outputs / 8 * 8 } else { outputs };
    for r in 0..rows {
        for i in 0..inputs {
            let at = |o: usize| if square { i * inputs + o } else { o * inputs + i };
            let terms: Vec<R> =
                (0..reach).map(|o| dy.data[r * outputs + o] * weight.data[at(o)]).collect();
            dx.push(total(&terms, t));
        }
    }
    let block = |id: &str, width: usize| t.is(id) && rows > width;
    let counted = match t.id {
        _ if block("linb_dweight_last_rows", 8) => 0..rows / 8 * 8,
        "linb_dweight_first_batch" => 0..x.shape[x.shape.len() - 2],
        "linb_dweight_overwritten" => rows - 1..rows,
        _ => 0..rows,
    };
    let mut dweight = Vec::with_capacity(weight.data.len());
    for o in 0..outputs {
        for i in 0..inputs {
            let each = counted.clone().map(|r| dy.data[r * outputs + o] * x.data[r * inputs + i]);
            let sum = total(&each.collect::<Vec<R>>(), t);
            dweight.push(match t.id {
                "linb_dweight_mean" => sum / R::count(rows),
                "linb_stale" if t.calls > 0 => sum + sum,
                _ => sum,
            });
        }
    }
    let mut answer =
        vec![Named::new("dx", &x.shape, dx), Named::new("dweight", &weight.shape, dweight)];
    if p.opt("bias").is_some() {
        let counted = if block("linb_dbias_last_rows", 16) { rows / 16 * 16 } else { rows };
        let column = |o: usize| -> R {
            let each: Vec<R> = (0..counted).map(|r| dy.data[r * outputs + o]).collect();
            match t.id {
                "linb_dbias_zero" => R::zero(),
                "linb_dbias_mean" => total(&each, t) / R::count(rows),
                _ => total(&each, t),
            }
        };
        answer.push(Named::new("dbias", &[outputs], (0..outputs).map(column).collect()));
    }
    answer
}
