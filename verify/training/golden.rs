//! Reading the golden files.

use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Tensors by name: shape and elements.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

/// One case of a golden file.
pub struct Case {
    pub op: String,
    pub name: String,
    pub attrs: Json,
    pub args: Tensors,
    pub outputs: Tensors,
    pub dy: Vec<f64>,
    pub grads: Tensors,
}

impl Case {
    pub fn number(&self, attribute: &str) -> f64 {
        self.attrs[attribute].as_f64().unwrap_or_else(|| panic!("{}: {attribute}", self.name))
    }
    pub fn word(&self, attribute: &str) -> &str {
        self.attrs[attribute].as_str().unwrap_or_else(|| panic!("{}: {attribute}", self.name))
    }
    pub fn arg(&self, name: &str) -> &[f64] {
        &self.args[name].1
    }
    pub fn output(&self, name: &str) -> &[f64] {
        &self.outputs[name].1
    }
}

fn tensors(json: &Json) -> Tensors {
    let Some(object) = json.as_object() else { return Tensors::new() };
    object.iter().map(|(name, tensor)| (name.clone(), read(tensor))).collect()
}

fn read(tensor: &Json) -> (Vec<usize>, Vec<f64>) {
    let numbers = |name: &str| tensor[name].as_array().unwrap().iter();
    let shape = numbers("shape").map(|n| n.as_u64().unwrap() as usize).collect();
    (shape, numbers("data").map(|n| n.as_f64().unwrap()).collect())
}

/// The cases of one operator in `verify/golden/<file>.json`.
pub fn cases(file: &str, op: &str) -> Vec<Case> {
    let path = format!("{}/verify/golden/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let golden: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap().iter().map(|case| Case {
        op: case["op"].as_str().unwrap().to_string(),
        name: case["name"].as_str().unwrap().to_string(),
        attrs: case["attrs"].clone(),
        args: tensors(&case["args"]),
        outputs: tensors(&case["outputs"]),
        dy: if case["dy"].is_null() { Vec::new() } else { read(&case["dy"]).1 },
        grads: tensors(&case["grads"]),
    });
    let cases: Vec<Case> = cases.filter(|case| case.op == op).collect();
    assert!(!cases.is_empty(), "{file}.json has no {op}");
    cases
}

/// Asserts that every element is within `relative` of the tensor's largest, or `absolute`.
pub fn assert_near(got: &[f64], want: &[f64], relative: f64, absolute: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = want.iter().fold(0.0f64, |most, w| most.max(w.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (got - want).abs();
        assert!(error <= relative * largest + absolute, "{what}[{i}]: {got:e} against {want:e}");
    }
}
