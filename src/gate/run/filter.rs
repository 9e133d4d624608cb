//! Which operators, passes and dtypes a run looks at.

use crate::check::call::{Dir, Served};
use crate::check::spec;
use crate::check::tensor::Dtype;
use crate::gate::report::Row;
use crate::setting::Invalid;

/// `layer_norm`, `layer_norm:bwd` or `layer_norm:bwd:f32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    op: String,
    dir: Option<Dir>,
    dtype: Option<Dtype>,
}

impl std::str::FromStr for Filter {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Filter, Invalid> {
        let parts: Vec<&str> = text.split(':').collect();
        let op = parts[0];
        if spec::find(op).is_none() {
            return Err(Invalid::new("ops", op, spec::names().join(", ")));
        }
        let dir = match parts.get(1) {
            None => None,
            Some(&"fwd") => Some(Dir::Fwd),
            Some(&"bwd") => Some(Dir::Bwd),
            Some(other) => return Err(Invalid::new("ops", *other, "fwd, bwd")),
        };
        let dtype = match parts.get(2) {
            None => None,
            Some(name) => {
                let real = Dtype::REAL.into_iter().find(|dtype| dtype.name() == *name);
                Some(real.ok_or_else(|| Invalid::new("ops", *name, "f64, f32, f16, bf16"))?)
            }
        };
        if parts.len() > 3 {
            return Err(Invalid::new("ops", text, "OPERATOR[:fwd|bwd[:DTYPE]]"));
        }
        Ok(Filter { op: op.to_string(), dir, dtype })
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.op)?;
        if let Some(dir) = self.dir {
            write!(f, ":{dir}")?;
        }
        self.dtype.map_or(Ok(()), |dtype| write!(f, ":{dtype}"))
    }
}

impl Filter {
    /// True for a row of this name, `op:dir:dtype`.
    pub fn names(&self, row: &str) -> bool {
        row.parse::<Filter>().is_ok_and(|row| {
            row.dir.zip(row.dtype).is_some_and(|(dir, dtype)| self.takes(&row.op, dir, dtype))
        })
    }
    /// The operator.
    pub(super) fn op(&self) -> &str {
        &self.op
    }
    /// True for this row, whatever the dtype of its parameters.
    pub(super) fn names_row(&self, row: &Row) -> bool {
        self.takes(&row.op, row.dir, row.dtype)
    }
    /// True where something of it is declared.
    pub(super) fn declared(&self, served: &Served) -> bool {
        let dtypes = served.dtypes();
        let takes = |dir| dtypes.iter().any(|&(dtype, _)| self.takes(&self.op, dir, dtype));
        served.dirs().into_iter().any(takes)
    }
    pub(super) fn takes(&self, op: &str, dir: Dir, dtype: Dtype) -> bool {
        self.op == op
            && self.dir.is_none_or(|own| own == dir)
            && self.dtype.is_none_or(|own| own == dtype)
    }
}
