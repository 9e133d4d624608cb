//! AdamW, wrong in the ways in which it has been.

use super::{Control, Mutant, Mutation};
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, about: &'static str) -> Mutant {
    Mutant::new("adamw", id, "optimizer", about)
}

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "adamw", about }
}

pub const MUTANTS: &[Mutant] = &[
    mutant("adam_wd_order", "decay applied to the already updated parameter"),
    mutant("adam_l2", "decay folded into the gradient"),
    mutant("adam_wd_no_lr", "decay without the learning rate"),
    mutant("adam_wd_lr_twice", "decay times the learning rate twice"),
    mutant("adam_wd_ignored", "no decay"),
    mutant("adam_no_correction", "no bias correction"),
    mutant("adam_corrects_m", "bias correction of the first moment only"),
    mutant("adam_corrects_v", "bias correction of the second moment only"),
    mutant("adam_step_from_0", "steps counted from 0"),
    mutant("adam_step_per_row", "the step counted up once per row"),
    mutant("adam_eps_before", "eps added before the bias correction"),
    mutant("adam_eps_inside", "eps added inside of the square root"),
    mutant("adam_betas_swapped", "beta1 and beta2 swapped"),
    mutant("adam_v_linear", "the gradient not squared in the second moment"),
    mutant("adam_m_late", "the first moment updated after its use"),
    mutant("adam_v_late", "the second moment updated after its use"),
    mutant("adam_no_root", "no square root of the second moment"),
    mutant("adam_amsgrad", "the second moment never falls"),
    mutant("adam_m_twice", "the first moment decayed by itself times beta1"),
    mutant("adam_narrow_correction", "1 − beta and the bias corrections formed in f32"),
    mutant("adam_m_corrected", "the corrected first moment stored"),
    Mutant::new("adamw", "adam_rows_65535", "size", "rows beyond 65535 not updated"),
    mutant("adam_lr_default", "a learning rate of 0 taken for none given"),
    mutant("adam_eps_default", "an eps of 0 taken for none given"),
    mutant("adam_beta1_default", "a beta1 of 0 taken for none given"),
    mutant("adam_decay_default", "a decay of 0 taken for none given"),
    mutant("adam_step_32", "the step held in 32 bits"),
];

pub const CONTROLS: &[Control] = &[
    control("adam_additive", "decay written additively"),
    control("adam_lerp", "the first moment as m + (1 − beta1)·(g − m)"),
    control("adam_folded", "both corrections folded into the step size and eps"),
    control("adam_expm1", "corrections as −expm1(t·ln beta)"),
];

pub fn answer<R: Num>(problem: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let num = |name: &str| problem.num(name);
    let (lr, eps, decay) = (num("lr"), num("eps"), num("weight_decay"));
    let (mut beta1, mut beta2) = (num("beta1"), num("beta2"));
    if t.is("adam_betas_swapped") {
        (beta1, beta2) = (beta2, beta1);
    }
    let [p, g, m, v] = ["p", "g", "m", "v"].map(|name| problem.get(name));
    let cols = p.cols();
    let shape = p.shape.clone();
    let (mut new_p, mut new_m, mut new_v) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..p.data.len() {
        let mut step = num("step");
        if t.is("adam_step_from_0") {
            step -= 1.0;
        } else if t.is("adam_step_per_row") {
            step += (i / cols) as f64;
        } else if t.is("adam_step_32") {
            step = f64::from(step as u64 as i32);
        }
        let corrections = [beta1, beta2].map(|beta| match t.id {
            "adam_expm1" if beta > 0.0 => R::num(-(step * beta.ln()).exp_m1()),
            "adam_narrow_correction" => {
                let power = f64::from((beta as f32).powf(step as f32));
                R::num(f64::from(1.0 - power as f32))
            }
            _ => R::num(1.0 - beta.powf(step)),
        });
        let rest = |beta: f64| match t.is("adam_narrow_correction") {
            true => R::num(f64::from(1.0 - beta as f32)),
            false => R::num(1.0 - beta),
        };
        let [mut correction1, mut correction2] = corrections;
        if t.is("adam_no_correction") || t.is("adam_corrects_v") {
            correction1 = R::one();
        }
        if t.is("adam_no_correction") || t.is("adam_corrects_m") {
            correction2 = R::one();
        }
        let (lr, eps, decay) = (R::num(lr), R::num(eps), R::num(decay));
        let (old_p, mut g, old_m, old_v) = (p.data[i], g.data[i], m.data[i], v.data[i]);
        if t.is("adam_l2") {
            g += decay * old_p;
        }
        let mut m = R::num(beta1) * old_m + rest(beta1) * g;
        if t.is("adam_lerp") {
            m = old_m + rest(beta1) * (g - old_m);
        } else if t.is("adam_m_twice") {
            m = R::num(beta1) * old_m * old_m + rest(beta1) * g;
        }
        let square = if t.is("adam_v_linear") { g.abs() } else { g * g };
        let mut v = R::num(beta2) * old_v + rest(beta2) * square;
        if t.is("adam_amsgrad") {
            v = v.larger(old_v);
        }
        let used_m = if t.is("adam_m_late") { old_m } else { m };
        let used_v = if t.is("adam_v_late") { old_v } else { v };
        let (mean, mean_square) = (used_m / correction1, used_v / correction2);
        let change = match t.id {
            "adam_eps_before" => lr * mean / ((used_v.sqrt() + eps) / correction2.sqrt()),
            "adam_eps_inside" => lr * mean / (mean_square + eps).sqrt(),
            "adam_no_root" => lr * mean / (mean_square + eps),
            "adam_folded" => {
                let root = correction2.sqrt();
                lr * root / correction1 * used_m / (used_v.sqrt() + eps * root)
            }
            _ => lr * mean / (mean_square.sqrt() + eps),
        };
        new_p.push(match t.id {
            "adam_wd_order" => (old_p - change) - lr * decay * (old_p - change),
            "adam_l2" | "adam_wd_ignored" => old_p - change,
            "adam_wd_no_lr" => old_p * (R::one() - decay) - change,
            "adam_wd_lr_twice" => old_p * (R::one() - lr * lr * decay) - change,
            "adam_additive" => old_p - lr * decay * old_p - change,
            _ => old_p * (R::one() - lr * decay) - change,
        });
        new_m.push(if t.is("adam_m_corrected") { mean } else { m });
        new_v.push(v);
    }
    let new = [("p", new_p), ("m", new_m), ("v", new_v)];
    new.into_iter().map(|(name, data)| Named::new(name, &shape, data)).collect()
}
