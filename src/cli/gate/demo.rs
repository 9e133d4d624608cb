//! `plummet gate demo`: a right LayerNorm and a wrong one, judged.

use super::Ending;
use crate::check::call::{Broken, Candidate};
use crate::cli::answer;
use crate::gate::mutants::ModelCandidate;
use crate::gate::report::text::{Style, write};
use crate::gate::run::{Options, check};

/// The wrong one: the variance as mean(x²) − mean², as several projects have shipped it.
const WRONG: &str = "ln_one_pass";

pub(super) fn run() -> Ending {
    let style = Style::of(&std::io::stdout(), false);
    let filters = ["layer_norm:fwd:f32", "layer_norm:bwd:f32"];
    let filters = filters.map(|filter| filter.parse().expect("a filter known to be valid"));
    let mut out = String::new();
    let mut codes = Vec::new();
    for (id, title) in
        [("", "A right LayerNorm"), (WRONG, "One that takes the variance in one pass")]
    {
        let start = || {
            let candidate: Box<dyn Candidate> = Box::new(ModelCandidate::new("layer_norm", id));
            Ok::<_, Broken>(candidate)
        };
        let options = Options { filters: filters.to_vec(), cases: 24, ..Options::default() };
        let report = check(&start, &options, &|_| ());
        codes.push(report.exit_code);
        out += &format!("{title}\n\n{}\n", write(&report, style));
    }
    out += "Your own: plummet gate init python DIR, then plummet gate check -- python DIR/adapter.py\n";
    answer(&out)?;
    // A demonstration has shown what it should where the right one passes and the wrong one fails.
    Ok(if codes == [0, 1] { 0 } else { 9 })
}
