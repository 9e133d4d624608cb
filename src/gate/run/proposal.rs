//! Under which declared arithmetic all answers would be right, where they are not without one.

use std::collections::BTreeSet;

use super::{Options, Start};
use crate::check::arithmetic::{Arithmetic, Attributes, Intermediates};
use crate::check::call::Served;
use crate::check::flaw::Fault;
use crate::check::plan::Plan;
use crate::check::spec;
use crate::check::spec::case::Case;
use crate::check::tensor::Dtype;
use crate::check::trial;
use crate::gate::report::Report;

/// A sentence for every operator and dtype whose failures a declaration would explain.
pub(super) fn proposals(start: Start, report: &Report, options: &Options) -> Vec<String> {
    let rows = report.findings.iter().filter(|finding| finding.fault == Fault::Wrong);
    let rows = rows.filter_map(|finding| {
        let mut parts = finding.subject.split(':');
        Some((parts.next()?.to_string(), parts.nth(1)?.split('/').next()?.to_string()))
    });
    let rows: BTreeSet<(String, String)> = rows.collect();
    let found = rows.into_iter().filter_map(|(op, name)| {
        let served = report.served.get(&op).filter(|served| served.arithmetic.is_strict())?;
        let dtype = served.dtypes().into_iter().map(|(data, _)| data).find(|d| d.name() == name)?;
        let mut target = start().ok()?;
        target.hello().ok()?;
        // What failed comes first: most declarations do not explain that either.
        let failed =
            report.findings.iter().filter(|finding| finding.subject.starts_with(&format!("{op}:")));
        let failed = failed.filter_map(|finding| finding.case.parse::<Case>().ok());
        let operator = spec::find(&op)?;
        let plans = served.dirs().into_iter().flat_map(|dir| {
            let pairs = served.dtypes().into_iter().filter(|(data, _)| *data == dtype);
            pairs.map(move |pair| (dir, pair)).collect::<Vec<_>>()
        });
        let drawn = plans.flat_map(|(dir, pair)| {
            Plan::new(operator, served, dir, pair, options.seed).take(options.cases)
        });
        let cases: Vec<Case> = failed.filter(|case| case.dtype == dtype).chain(drawn).collect();
        let (arithmetic, words) = tries(dtype).into_iter().find(|(arithmetic, _)| {
            let declared = Served { arithmetic: *arithmetic, ..served.clone() };
            cases.iter().all(|case| trial::put(&mut *target, &declared, case).flaw.is_none())
        })?;
        let declaration = serde_json::to_value(arithmetic).unwrap_or_default();
        let usual = serde_json::to_value(Arithmetic::default()).unwrap_or_default();
        let fields = declaration.as_object()?.iter().filter(|(key, value)| usual[*key] != **value);
        let fields: Vec<String> =
            fields.map(|(key, value)| format!("\"{key}\": {value}")).collect();
        Some(format!(
            "{op} in {name} is right {words}: declare arithmetic = {{{}}} if that is meant",
            fields.join(", ")
        ))
    });
    found.collect()
}

/// Declarations from the weakest, each with what it says.
fn tries(dtype: Dtype) -> Vec<(Arithmetic, String)> {
    let strict = Arithmetic::default();
    match dtype {
        Dtype::F64 => vec![(
            Arithmetic { attributes: Attributes::F32, ..strict },
            "with attributes held in f32".to_string(),
        )],
        Dtype::F32 => [1e-6, 1e-5, 1e-4]
            .into_iter()
            .flat_map(|error: f64| {
                let bits = -error.log2();
                [
                    (
                        Arithmetic { rsqrt: error, ..strict },
                        format!("with a root of {bits:.0} bits"),
                    ),
                    (
                        Arithmetic { exp: error, ..strict },
                        format!("with an exponential of {bits:.0} bits"),
                    ),
                    (
                        Arithmetic { tanh: error, ..strict },
                        format!("with a tanh of {bits:.0} bits"),
                    ),
                ]
            })
            .collect(),
        _ => vec![(
            Arithmetic { intermediates: Intermediates::Storage, ..strict },
            format!("as a composition of operations that each round to {}", dtype.name()),
        )],
    }
}
