//! Sizes that a user asks for: `rows=4096,cols=5120`, or `layer_norm:rows=4096,cols=5120`.

use std::collections::BTreeMap;

use crate::check::spec;
use crate::setting::Invalid;

/// The most of one size.
const MOST: usize = 1 << 24;

/// A shape of one operator, or of every operator that has its axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    op: Option<&'static str>,
    sizes: BTreeMap<String, usize>,
    text: String,
}

impl std::str::FromStr for Asked {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Asked, Invalid> {
        const FORM: &str = "[OPERATOR:]AXIS=N,… as rows=4096,cols=5120";
        let (op, axes) = match text.split_once(':') {
            None => (None, text),
            Some((name, axes)) => {
                let operator = spec::find(name.trim())
                    .ok_or_else(|| Invalid::new("size", text, spec::names().join(", ")))?;
                (Some(operator.name()), axes)
            }
        };
        let mut sizes = BTreeMap::new();
        for part in axes.split(',') {
            let (axis, size) =
                part.split_once('=').ok_or_else(|| Invalid::new("size", text, FORM))?;
            let axis = axis.trim();
            let number = size.trim().parse().ok().filter(|size| (1..=MOST).contains(size));
            let number = number
                .ok_or_else(|| Invalid::new("size", text, format!("{axis} of 1 to {MOST}")))?;
            if sizes.insert(axis.to_string(), number).is_some() {
                return Err(Invalid::new("size", text, format!("{axis} once")));
            }
        }
        let asked = Asked { op, sizes, text: text.to_string() };
        let all = spec::all().map(|operator| operator.name());
        if !all.clone().any(|name| asked.takes(name)) {
            let of = match op {
                Some(op) => format!("the axes of {op}: {}", axes_of(op)),
                None => {
                    let each = all.filter(|name| !axes_of(name).is_empty());
                    let each: Vec<String> =
                        each.map(|name| format!("{name} {}", axes_of(name))).collect();
                    format!("the axes of one operator: {}", each.join("; "))
                }
            };
            return Err(Invalid::new("size", text, of));
        }
        Ok(asked)
    }
}

fn axes_of(op: &str) -> String {
    let axes = spec::find(op).map_or(&[][..], |operator| operator.axes());
    axes.iter().map(|axis| axis.name).collect::<Vec<_>>().join(", ")
}

impl Asked {
    /// True where an operator has every axis.
    pub fn takes(&self, op: &str) -> bool {
        let has = |axis: &String| {
            spec::find(op).is_some_and(|o| o.axes().iter().any(|own| own.name == axis))
        };
        self.op.is_none_or(|own| own == op) && self.sizes.keys().all(has)
    }
    /// The size of an axis.
    pub fn size(&self, axis: &str) -> Option<usize> {
        self.sizes.get(axis).copied()
    }
    /// Refuses sizes that nothing of `served` takes.
    pub fn among<'a>(
        asked: &[Asked],
        served: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), Invalid> {
        let lost = asked.iter().find(|asked| !served.clone().any(|op| asked.takes(op)));
        let each = served.map(|op| format!("{op} {}", axes_of(op)));
        lost.map_or(Ok(()), |lost| {
            let each: Vec<String> = each.collect();
            Err(Invalid::new("size", &lost.text, format!("the axes served: {}", each.join("; "))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_of_every_operator_that_has_its_axes() {
        let asked: Asked = "rows=4096,cols=5120".parse().unwrap();
        assert!(asked.takes("layer_norm") && asked.takes("softmax") && !asked.takes("attention"));
        let own: Asked = "layer_norm:rows=4096".parse().unwrap();
        assert!(own.takes("layer_norm") && !own.takes("rms_norm"));
        assert!(Asked::among(std::slice::from_ref(&own), ["softmax"].into_iter()).is_err());
    }

    #[test]
    fn what_no_operator_has_is_refused_in_a_line_that_says_what_is_allowed() {
        for bad in [
            "",
            "rows",
            "rows=0",
            "rows=99999999",
            "lines=3",
            "norm:rows=3",
            "rows=1,rows=2",
            "layer_norm:keys=7",
            "rows=-1",
            "rows=1.5",
        ] {
            let refusal = bad.parse::<Asked>().unwrap_err().to_string();
            assert!(refusal.contains("size") && !refusal.contains('\n'), "{refusal}");
        }
        let refusal = "layer_norm:keys=7".parse::<Asked>().unwrap_err().to_string();
        assert!(refusal.contains("rows, cols"), "{refusal}");
    }
}
