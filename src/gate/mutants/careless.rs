//! A value that was given is taken for one that was not: `x or default`, where x is 0.
//!
//! The fault is in front of every formula, so that each operator's model has it by name.

use crate::check::call::{Attrs, Call};
use crate::check::tensor::Tensors;

/// The mutants of this kind: the attribute, and what is used where it is 0.
const DEFAULTS: &[(&str, &str, f64)] = &[
    ("ln_eps_default", "eps", 1e-5),
    ("rms_eps_default", "eps", 1e-6),
    ("scale_eps_default", "eps", 1e-5),
    ("bn_eps_default", "eps", 1e-5),
    ("bn_momentum_default", "momentum", 0.1),
    ("ws_eps_default", "eps", 1e-5),
    ("residual_alpha_default", "alpha", 1.0),
    ("ce_ignore_default", "ignore_index", -100.0),
    ("adam_lr_default", "lr", 1e-3),
    ("adam_eps_default", "eps", 1e-8),
    ("adam_beta1_default", "beta1", 0.9),
    ("adam_decay_default", "weight_decay", 0.01),
    ("clip_max_default", "max_norm", 1.0),
    ("lr_default", "lr", 1e-3),
    ("init_gain_default", "gain", 1.0),
    ("drop_p_default", "p", 0.5),
    ("droppath_p_default", "p", 0.5),
];

/// The call as a careless model of this name reads it; nothing where it reads it as it is.
pub fn read(call: &Call, id: &str) -> Option<Call> {
    let mut attrs: Attrs = call.attrs.clone();
    if id == "att_scale_zero" && attrs["scale"] == 0.0 {
        attrs.insert("scale".into(), serde_json::Value::Null);
    } else if id == "rms_offset_flag" {
        let some = attrs["offset"] != 0.0;
        attrs.insert("offset".into(), f64::from(some).into());
    } else {
        let &(_, attr, usual) = DEFAULTS.iter().find(|(own, ..)| *own == id)?;
        if attrs[attr].as_f64() == Some(0.0) {
            attrs.insert(attr.into(), usual.into());
        }
    }
    // The tensors are read elsewhere.
    Some(Call {
        id: call.id.clone(),
        op: call.op.clone(),
        want: call.want.clone(),
        attrs,
        tensors: Tensors::new(),
        ..*call
    })
}
