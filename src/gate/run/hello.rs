//! Whether a greeting names only what the specification has.

use crate::check::call::Hello;
use crate::check::scope;
use crate::check::spec;

/// Refuses a greeting that names what the specification does not have.
pub(super) fn understood(hello: &Hello) -> Result<(), String> {
    if hello.ops.is_empty() {
        return Err("hello.ops is empty: nothing to judge".to_string());
    }
    for (name, served) in &hello.ops {
        let Some(operator) = spec::find(name) else {
            return Err(format!(
                "hello.ops.{name}: no such operator; {}",
                spec::names().join(", ")
            ));
        };
        let dtypes = served.dtypes();
        if dtypes.is_empty() || served.dirs().is_empty() {
            return Err(format!("hello.ops.{name}: an empty list of dir or dtype"));
        }
        if let Some(dir) = served.dirs().iter().find(|dir| !operator.dirs().contains(dir)) {
            return Err(format!("hello.ops.{name}.dir: {name} has no {dir}"));
        }
        for (data, params) in dtypes {
            let known = operator.dtypes();
            if let Some(other) = [data, params].into_iter().find(|dtype| !known.contains(dtype)) {
                let known: Vec<&str> = known.iter().map(|dtype| dtype.name()).collect();
                let known = known.join(", ");
                return Err(format!("hello.ops.{name}.dtype: {other} is none of {known}"));
            }
        }
        for (attr, values) in &served.attrs {
            scope::attribute(operator, attr, values)
                .map_err(|why| format!("hello.ops.{name}.attrs.{attr}{why}"))?;
        }
        if let Some(most) = served.limits.max_seed.filter(|&most| most < scope::LEAST_MAX_SEED) {
            let least = scope::LEAST_MAX_SEED;
            return Err(format!(
                "hello.ops.{name}.limits.max_seed = {most}: allowed from {least} on, so that a run \
                 draws hardly a seed twice"
            ));
        }
        if let Some(why) = served.arithmetic.refused() {
            return Err(format!("hello.ops.{name}.arithmetic.{why}"));
        }
        for (list, names) in [
            ("optional", served.optional.as_deref().unwrap_or_default()),
            ("required", &served.required),
        ] {
            if let Some(other) = names.iter().find(|own| !scope::is_tensor(operator, own)) {
                let known = scope::tensors(operator).join(", ");
                return Err(format!("hello.ops.{name}.{list} = {other}: allowed {known}"));
            }
        }
        for (key, side) in &served.variant {
            let sides = operator.variants().iter().find(|(own, _)| own == key).map(|(_, s)| s);
            if sides.is_none_or(|sides| !sides.contains(&side.as_str())) {
                let allowed: Vec<String> = operator
                    .variants()
                    .iter()
                    .map(|(k, s)| format!("{k}: {}", s.join(" or ")))
                    .collect();
                let allowed = if allowed.is_empty() { "none".into() } else { allowed.join("; ") };
                return Err(format!("hello.ops.{name}.variant.{key} = {side}: allowed {allowed}"));
            }
        }
    }
    Ok(())
}
