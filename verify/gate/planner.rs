//! The declaration is the only source of what is asked: a target that is right in a corner of an
//! operator, declares that corner and answers `unsupported` everywhere else passes every stage.

use plummet::check::call::{Broken, Call, Candidate, Hello, Limits, Reply, Served};
use plummet::check::spec;
use plummet::check::spec::operator::Operator;
use plummet::gate::mutants::ModelCandidate;
use plummet::gate::report::Report;
use plummet::gate::run::{Options, check};
use plummet::gate::stages::statistics::Effort;
use plummet::gate::{Case, Dtype};
use serde_json::{Value, json};

/// The right model of an operator, which answers what it declares and nothing else.
struct Corner {
    model: ModelCandidate,
    op: &'static str,
    served: Served,
}

impl Corner {
    /// What of a call is outside of the declaration, looked up here and not by the gate's planner.
    fn outside(&self, call: &Call) -> Option<String> {
        let Served { attrs, optional, required, limits, .. } = &self.served;
        for (name, values) in attrs {
            let own = &call.attrs[name];
            let same = |value: &Value| {
                value == own || value.as_f64().zip(own.as_f64()).is_some_and(|(a, b)| a == b)
            };
            if !values.iter().any(same) {
                return Some(format!("{name} = {own}"));
            }
        }
        let listed = |names: &[String], name: &str| names.iter().any(|own| own == name);
        for (name, is_optional) in tensors(self.op) {
            let there = call.tensors.contains_key(&name);
            let unknown = optional.as_ref().is_some_and(|known| !listed(known, &name));
            if is_optional && there && unknown && !listed(required, &name) {
                return Some(format!("{name} is there"));
            }
            if !there && listed(required, &name) {
                return Some(format!("{name} is not there"));
            }
        }
        let sizes = call.tensors.values();
        let most = sizes.clone().map(|t| t.values.len()).max().unwrap_or(0);
        let widest = sizes.filter_map(|t| t.shape.last().copied()).max().unwrap_or(0);
        let most = limits.max_elements.is_some_and(|limit| most > limit);
        let widest = limits.max_columns.is_some_and(|limit| widest > limit);
        let seed = call.attrs.get("seed").and_then(Value::as_u64);
        let beyond = seed.zip(limits.max_seed).is_some_and(|(seed, most)| seed > most);
        (most || widest || beyond).then(|| "too large".to_string())
    }
}

impl Candidate for Corner {
    fn hello(&mut self) -> Result<Hello, Broken> {
        let mut hello = self.model.hello()?;
        hello.ops.insert(self.op.to_string(), self.served.clone());
        Ok(hello)
    }
    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        match self.outside(call) {
            Some(what) => Ok(Reply::Unsupported(what)),
            None => self.model.run(call),
        }
    }
    fn restart(&mut self) -> Result<(), Broken> {
        self.model.restart()
    }
}

/// The tensors of an operator, and which of them may be absent.
fn tensors(name: &str) -> Vec<(String, bool)> {
    let operator = spec::find(name).unwrap();
    let case = Case::simplest(operator, operator.dirs()[0], Dtype::F32, Dtype::F32);
    operator.slots(&case).into_iter().map(|slot| (slot.name, slot.optional)).collect()
}

fn optional(operator: &dyn Operator) -> Vec<String> {
    tensors(operator.name()).into_iter().filter(|(_, optional)| *optional).map(|(n, _)| n).collect()
}

/// Every pass at the two widest dtypes, and something else that is declared.
fn declared(operator: &dyn Operator, declare: impl FnOnce(&mut Served)) -> Served {
    let mut served = Served { dir: Some(operator.dirs().to_vec()), ..Served::default() };
    served.dtype = Some(vec![Dtype::F32, Dtype::F64]);
    declare(&mut served);
    served
}

fn judged(op: &'static str, served: Served) -> Report {
    // Large problems take seconds: they are asked where sizes are what is declared.
    let sized = served.limits != Limits::default() || served.attrs.contains_key("heads");
    let stages = (0..if sized { 8 } else { 7 }).collect();
    let start = move || -> Result<Box<dyn Candidate>, Broken> {
        Ok(Box::new(Corner { model: ModelCandidate::new(op, ""), op, served: served.clone() }))
    };
    // Which questions are asked does not depend on how many numbers are looked at, or how often.
    let statistics = Effort::QUICK;
    check(&start, &Options { cases: 3, stages, statistics, ..Options::default() }, &|_| ())
}

#[track_caller]
fn passes(op: &'static str, served: Served) {
    let declared = json!(served);
    let report = judged(op, served);
    let first = report.findings.first();
    assert_eq!(report.exit_code, 0, "{op} that declares {declared}: {first:#?}");
    assert!(report.rows.iter().all(|row| row.cases > 0), "{op} {declared}: {:?}", report.notes);
}

#[test]
fn one_value_of_an_attribute_alone_is_enough() {
    for operator in spec::all() {
        for attr in operator.attrs() {
            for value in attr.values.iter().skip(1).map(|value| value.json()) {
                passes(
                    operator.name(),
                    declared(operator, |served| {
                        served.attrs.insert(attr.name.to_string(), vec![value]);
                    }),
                );
            }
        }
    }
}

#[test]
fn no_default_at_all_is_needed() {
    for operator in spec::all().filter(|operator| !operator.attrs().is_empty()) {
        let last = declared(operator, |served| {
            for attr in operator.attrs() {
                let value = attr.values.last().unwrap().json();
                served.attrs.insert(attr.name.to_string(), vec![value]);
            }
            served.optional = Some(Vec::new());
        });
        passes(operator.name(), last);
    }
}

#[test]
fn what_is_not_understood_is_never_sent_and_what_is_required_always() {
    for operator in spec::all() {
        let names = optional(operator);
        // Of a block the first few stand for the others.
        for name in names.iter().take(4) {
            for (optional, required) in [
                (Some(vec![name.clone()]), vec![]),
                (Some(vec![]), vec![name.clone()]),
                (None, vec![name.clone()]),
            ] {
                passes(
                    operator.name(),
                    declared(operator, |served| {
                        (served.optional, served.required) = (optional, required);
                    }),
                );
            }
        }
        if !names.is_empty() {
            passes(operator.name(), declared(operator, |served| served.optional = Some(vec![])));
            passes(operator.name(), declared(operator, |served| served.required = names));
        }
    }
}

#[test]
fn limits_hold_in_every_stage() {
    for operator in spec::all() {
        for limits in [
            Limits { max_columns: Some(16), ..Limits::default() },
            Limits { max_elements: Some(600), ..Limits::default() },
        ] {
            passes(operator.name(), declared(operator, |served| served.limits = limits));
        }
    }
    for operator in spec::all().filter(|operator| operator.random()) {
        let short = Limits { max_seed: Some((1 << 31) - 1), ..Limits::default() };
        passes(operator.name(), declared(operator, |served| served.limits = short));
    }
    let few = Limits { max_seed: Some(u64::from(u16::MAX)), ..Limits::default() };
    let dropout = spec::find("dropout").unwrap();
    let refused = judged("dropout", declared(dropout, |served| served.limits = few));
    let told = format!("{:?}", refused.findings);
    assert_eq!(refused.exit_code, 6, "{told}");
    assert!(told.contains("hello.ops.dropout.limits.max_seed = 65535: allowed from"), "{told}");
    let narrow = Limits { max_columns: Some(2), max_elements: Some(8), ..Limits::default() };
    for op in ["layer_norm", "linear", "softmax", "attention", "cross_entropy", "adamw"] {
        let operator = spec::find(op).unwrap();
        passes(op, declared(operator, |served| served.limits = narrow.clone()));
    }
}

#[test]
fn what_follows_from_sizes_can_be_declared_too() {
    for (op, attrs) in [
        ("transformer_block", json!({"heads": [4]})),
        ("transformer_block", json!({"heads": [8], "kv_heads": [8]})),
        ("transformer_stack", json!({"depth": [2], "kv_heads": [1]})),
        ("init", json!({"layer": [5], "depth": [12]})),
    ] {
        let operator = spec::find(op).unwrap();
        let attrs = serde_json::from_value(attrs).unwrap();
        passes(op, declared(operator, |served| served.attrs = attrs));
    }
}

#[test]
fn a_number_is_the_same_however_it_is_written() {
    for (op, attrs) in [
        ("rms_norm", json!({"offset": [1]})),
        ("layer_norm", json!({"normalized_dims": [2.0]})),
        ("cross_entropy", json!({"label_smoothing": [0], "ignore_index": [-1.0]})),
    ] {
        let operator = spec::find(op).unwrap();
        let attrs = serde_json::from_value(attrs).unwrap();
        passes(op, declared(operator, |served| served.attrs = attrs));
    }
}

#[test]
fn a_target_may_serve_more_than_the_gate_tries() {
    for (op, attrs) in [
        ("layer_norm", json!({"normalized_dims": [1, 2, 3, 4, 5], "eps": [1e-5, 0.7]})),
        ("layer_norm", json!({"normalized_dims": [4]})),
        ("rms_norm", json!({"offset": [0.25]})),
        ("attention", json!({"scale": [null, 0.125]})),
        ("cross_entropy", json!({"ignore_index": [-7, 3], "label_smoothing": [0.3]})),
        ("adamw", json!({"step": [77], "beta1": [0.5]})),
        ("lr_schedule", json!({"warmup": [7], "total": [1000]})),
        ("init", json!({"depth": [24, 48], "gain": [1.5]})),
        ("dropout", json!({"p": [0.3]})),
    ] {
        let operator = spec::find(op).unwrap();
        let attrs = serde_json::from_value(attrs).unwrap();
        passes(op, declared(operator, |served| served.attrs = attrs));
    }
}

#[test]
fn a_slip_of_the_pen_is_named() {
    for (op, given, said) in [
        (
            "activation",
            json!({"attrs": {"fn": ["gellu"]}}),
            "attrs.fn = \"gellu\": allowed gelu, relu",
        ),
        (
            "layer_norm",
            json!({"attrs": {"eps": ["1e-5"]}}),
            "attrs.eps = \"1e-5\": allowed a number from 0",
        ),
        (
            "layer_norm",
            json!({"attrs": {"eps": [-1.0]}}),
            "attrs.eps = -1.0: allowed a number from 0",
        ),
        (
            "layer_norm",
            json!({"attrs": {"normalized_dims": [1.5]}}),
            "allowed a whole number from 1",
        ),
        ("layer_norm", json!({"attrs": {"normalized_dims": [0]}}), "allowed a whole number from 1"),
        ("attention", json!({"attrs": {"causal": [1]}}), "attrs.causal = 1: allowed false, true"),
        ("dropout", json!({"attrs": {"p": [1.5]}}), "attrs.p = 1.5: allowed a number from 0 to 1"),
        ("softmax", json!({"attrs": {"dim": [1]}}), "attrs.dim: allowed none"),
        ("dropout", json!({"attrs": {"seed": [7]}}), "attrs.seed: allowed p, training"),
        ("transformer_block", json!({"attrs": {"heads": ["two"]}}), "attrs.heads = \"two\""),
        ("activation", json!({"attrs": {"fn": []}}), "attrs.fn: an empty list"),
        (
            "layer_norm",
            json!({"optional": ["wieght"]}),
            "optional = wieght: allowed x, weight, bias",
        ),
        ("rms_norm", json!({"required": ["gamma"]}), "required = gamma: allowed x, weight"),
    ] {
        let report = judged(op, serde_json::from_value(given).unwrap());
        assert_eq!(report.exit_code, 6, "{op}: {said}");
        let message = &report.findings[0].message;
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn where_nothing_can_be_asked_the_report_says_so() {
    let narrow = Limits { max_columns: Some(1), ..Limits::default() };
    let operator = spec::find("transformer_block").unwrap();
    let report = judged("transformer_block", declared(operator, |served| served.limits = narrow));
    let said =
        report.cut_short.iter().any(|cut| cut.why == "no problem lies within what is declared");
    assert!(said, "{:?}", report.cut_short);
    assert_ne!(report.exit_code, 0, "what was not tested is not green");
}

/// Shrinking and the scan that follows do not leave the declaration either.
#[test]
fn a_wrong_target_of_a_corner_is_explained_within_it() {
    for (op, id, attrs) in [
        ("layer_norm", "ln_one_pass", json!({"eps": [0.001], "normalized_dims": [2]})),
        ("activation", "gelu_tanh_exp", json!({"fn": ["gelu_tanh"]})),
        ("attention", "att_top_left", json!({"causal": [true], "scale": [0.3]})),
    ] {
        let operator = spec::find(op).unwrap();
        let attrs = serde_json::from_value(attrs).unwrap();
        let served = declared(operator, |served| served.attrs = attrs);
        let start = move || -> Result<Box<dyn Candidate>, Broken> {
            Ok(Box::new(Corner { model: ModelCandidate::new(op, id), op, served: served.clone() }))
        };
        let report = check(&start, &Options::default(), &|_| ());
        assert_eq!(report.exit_code, 1, "{id}");
        for finding in &report.findings {
            assert!(!finding.message.contains("unsupported"), "{id}: {finding:#?}");
            for words in &finding.when {
                assert!(!words.contains(" not "), "{id}: {words}");
            }
        }
    }
}
