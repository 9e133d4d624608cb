//! The files of golden values as they are written.

use std::collections::BTreeMap;

use plummet::op::Shape;
use serde::Deserialize;
use serde_json::Value;

/// A tensor of a file.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

impl Tensor {
    pub fn shape(&self) -> Shape {
        Shape::new(&self.shape)
    }
}

/// A case of a file.
#[derive(Debug, Clone, Deserialize)]
pub struct Golden {
    pub op: String,
    pub name: String,
    pub attrs: Value,
    pub args: BTreeMap<String, Tensor>,
    pub outputs: BTreeMap<String, Tensor>,
    /// Nothing, as the gradients, where an operator passes none back.
    #[serde(default)]
    pub dy: Tensor,
    #[serde(default)]
    pub grads: BTreeMap<String, Tensor>,
}

impl Golden {
    /// A number among the attributes.
    pub fn number(&self, name: &str) -> f64 {
        self.attrs[name].as_f64().unwrap_or_else(|| panic!("{} of {self:?}", name))
    }
    /// A switch among the attributes.
    pub fn flag(&self, name: &str) -> bool {
        self.attrs[name].as_bool().unwrap_or_else(|| panic!("{} of {self:?}", name))
    }
    /// A word among the attributes.
    pub fn word(&self, name: &str) -> &str {
        self.attrs[name].as_str().unwrap_or_else(|| panic!("{} of {self:?}", name))
    }
}

/// The cases of a file.
pub fn file(group: &str) -> Vec<Golden> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Golden>,
    }
    let path = format!("{}/verify/golden/{group}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let file: File = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    file.cases
}
