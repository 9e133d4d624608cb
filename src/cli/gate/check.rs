//! `plummet gate check` and its kin: what puts cases to a target and prints what came of it.

use crate::num::show;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches};
use serde_json::json;

use super::show::Show;
use super::watch::Watched;
use super::{Ending, duration, number, switch, target_args, text, value, words};
use crate::check::call::{Broken, Candidate};
use crate::check::spec::operator::Operator;
use crate::check::tensor::Dtype;
use crate::check::{spec, trial};
use crate::cli::{Failure, answer, writable};
use crate::gate::manifest::{self, Date, Manifest};
use crate::gate::report::diff as reports;
use crate::gate::report::{
    Report, annotations, badge as badges, html, json as report_json, junit, markdown,
    text as report_text,
};
use crate::gate::run::{CASES, Event, Filter, Options, STAGES, check};
use crate::gate::stages::depth as stack_depth;
use crate::gate::stages::sizes::Asked;
use crate::gate::wire::patience::Watch;
use crate::gate::wire::{Patience, Process, library};
use crate::gate::{Case, init as templates, vectors};
use crate::setting::Invalid;

/// What to look at, and how much.
pub(super) fn what_args() -> Vec<Arg> {
    vec![
        value("ops", "LIST", "Operators, as layer_norm,rms_norm or layer_norm:bwd:f32"),
        value("seed", "N", "Seed of the cases").default_value("1"),
        value("cases", "N", "Cases of every operator, pass and pair of dtypes (default 40)"),
    ]
}

/// Where a report goes.
pub(super) fn format_args() -> Vec<Arg> {
    vec![
        value("json", "FILE", "Write the report as JSON (- for standard output)"),
        value("junit", "FILE", "Write the report as JUnit XML"),
        value("markdown", "FILE", "Write the report as Markdown, for the summary of a CI job"),
        value("html", "FILE", "Write the report as one HTML page"),
        value(
            "annotations",
            "github",
            "Print failures as GitHub shows them, beside the adapter's lines",
        ),
        switch("quiet", "Print failures only"),
        value("manifest", "gate.toml", "What the project requires and expects"),
        value("require", "OP[:DIR[:DTYPE]]", "Fail where this is not tested; may be repeated")
            .action(ArgAction::Append),
    ]
}

pub(super) fn args() -> Vec<Arg> {
    let mut args = what_args();
    args.extend([
        value("time", "30s", "A budget for the whole run, shared out over all rows and stages"),
        switch("fail-fast", "End with the first failure, once it is explained"),
        value("patience", "TIME|LIST", "How long first calls may take, as 60s (they may compile), or first=120s,shape=60s,call=5s"),
        value("jobs", "N", "Workers side by side").default_value("1"),
        value("stages", "LIST", "Stages to go through, as 0,2,5 (default: all of 0 to 7)"),
        value("largest", "N", "For a slow target: no problem of more elements than these"),
        value("size", "[OP:]AXIS=N,…", "A shape to try, as rows=4096,cols=5120; may be repeated")
            .action(ArgAction::Append),
        value("pin", "FILE", "Counterexamples to try first; new ones are added to the file"),
        switch("watch", "Judge again whenever the target's files, the manifest, or files beside them change"),
    ]);
    args.extend(format_args());
    args.extend(target_args());
    args
}

/// A target that can be started again and again.
struct Target {
    command: Vec<OsString>,
    shown: Vec<String>,
    patience: Patience,
    watch: Option<Watch>,
}

impl Target {
    fn of(matches: &ArgMatches) -> Result<Target, Failure> {
        let words = words(matches);
        match (matches.get_one::<String>("lib"), words.is_empty()) {
            (Some(path), true) => {
                let invalid = |error| Invalid::new("lib", path, format!("a library ({error})"));
                let command = library::command(Path::new(path)).map_err(invalid)?;
                Ok(Target::new(command, vec!["--lib".to_string(), path.clone()]))
            }
            (None, false) => {
                let shown = [vec!["--".to_string()], words.clone()].concat();
                Ok(Target::new(words.into_iter().map(OsString::from).collect(), shown))
            }
            (Some(_), false) => {
                Err(Invalid::new("lib", "and a command", "one of --lib FILE and -- COMMAND").into())
            }
            (None, true) => {
                Err(Invalid::new("target", "(nothing)", "--lib FILE, or -- COMMAND").into())
            }
        }
    }
    fn new(command: Vec<OsString>, shown: Vec<String>) -> Target {
        Target { command, shown, patience: Patience::default(), watch: None }
    }
    fn start(&self) -> Box<dyn Candidate> {
        let process = Process::new(self.command.clone()).patience(self.patience);
        Box::new(match &self.watch {
            Some(watch) => process.watched(watch.clone()),
            None => process,
        })
    }
}

fn filters(matches: &ArgMatches) -> Result<Vec<Filter>, Invalid> {
    let given = matches.get_one::<String>("ops").map_or("", String::as_str);
    given.split(',').filter(|part| !part.is_empty()).map(|part| part.trim().parse()).collect()
}

fn options(matches: &ArgMatches) -> Result<Options, Invalid> {
    let whole = "a whole number";
    let cases = number::<usize>(matches, "cases", "a whole number, 1 to 1000000")?.unwrap_or(CASES);
    if !(1..=1_000_000).contains(&cases) {
        return Err(Invalid::new("cases", cases, "a whole number, 1 to 1000000"));
    }
    Ok(Options {
        filters: filters(matches)?,
        seed: number(matches, "seed", whole)?.unwrap_or(1),
        cases,
        ..Options::default()
    })
}

fn stages(matches: &ArgMatches) -> Result<Vec<u8>, Invalid> {
    let Some(given) = matches.get_one::<String>("stages") else {
        return Ok(Options::default().stages);
    };
    let allowed: Vec<String> =
        STAGES.iter().enumerate().map(|(i, name)| format!("{i} {name}")).collect();
    let stage = |part: &str| {
        let number = part.trim().parse().ok().filter(|&n: &u8| usize::from(n) < STAGES.len());
        number.ok_or_else(|| Invalid::new("stages", part, allowed.join(", ")))
    };
    given.split(',').map(stage).collect()
}

/// The shapes of the command line and of the manifest.
fn sizes(matches: &ArgMatches, manifest: &Manifest) -> Result<Vec<Asked>, Invalid> {
    let given = matches.get_many::<String>("size").into_iter().flatten();
    let given: Vec<Asked> = given.map(|text| text.parse()).collect::<Result<_, _>>()?;
    Ok([given, manifest.sizes.clone()].concat())
}

/// The manifest, and what the command line requires beside it.
fn expected(matches: &ArgMatches) -> Result<Manifest, Failure> {
    let mut manifest = match matches.get_one::<String>("manifest") {
        None => Manifest::default(),
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|error| Invalid::new("manifest", path, format!("a file ({error})")))?;
            manifest::parse(&text)?
        }
    };
    if let Some(required) = matches.get_many::<String>("require") {
        manifest.require.extend(required.cloned());
    }
    Ok(manifest)
}

/// Once, or whenever a file changes.
pub(super) fn run(matches: &ArgMatches) -> Ending {
    if !matches.get_flag("watch") {
        return once(matches);
    }
    let files =
        [words(matches), ["lib", "manifest"].map(|name| text(matches, name).to_string()).into()];
    let written = ["json", "junit", "markdown", "html", "pin"];
    let written = written.map(|name| text(matches, name).to_string()).into();
    let mut watched = Watched::of(files.concat(), written);
    if watched.count() == 0 {
        let allowed = "a target of which a file is named: --lib FILE, or -- COMMAND FILE";
        return Err(Invalid::new("watch", words(matches).join(" "), allowed).into());
    }
    loop {
        // What does not hold now, a manifest half written, may hold after the next change.
        let ended = match once(matches) {
            Ok(code) => format!("exit code {code}"),
            Err(Failure(message)) => message,
        };
        answer(&format!("{ended}; watching {} files, Ctrl-C ends\n", watched.count()))?;
        watched.wait();
    }
}

fn once(matches: &ArgMatches) -> Ending {
    let mut target = Target::of(matches)?;
    let manifest = expected(matches)?;
    target.patience = match matches.get_one::<String>("patience") {
        Some(text) => text.parse()?,
        None => manifest.patience.unwrap_or_default(),
    };
    let jobs = number::<usize>(matches, "jobs", "a whole number, 1 to 64")?.unwrap_or(1);
    if !(1..=64).contains(&jobs) {
        return Err(Invalid::new("jobs", jobs, "a whole number, 1 to 64").into());
    }
    let largest = number::<usize>(matches, "largest", "a whole number, 1 or more")?;
    if largest == Some(0) {
        return Err(Invalid::new("largest", 0, "a whole number, 1 or more").into());
    }
    let pinned = match matches.get_one::<String>("pin") {
        Some(path) if Path::new(path).exists() => pins(path)?,
        _ => Vec::new(),
    };
    let options = Options {
        time: duration(matches, "time")?,
        fail_fast: matches.get_flag("fail-fast"),
        stages: stages(matches)?,
        jobs,
        largest,
        sizes: sizes(matches, &manifest)?,
        pinned,
        command: target.shown.clone(),
        manifest: manifest.clone(),
        ..options(matches)?
    };
    let show = Show::new(&options, matches.get_flag("quiet"));
    target.watch = Some(show.watch());
    let told = |event: Event| show.event(event);
    let mut report = check(&|| Ok::<_, Broken>(target.start()), &options, &told);
    show.bar.finish_and_clear();
    if !report.served.is_empty() {
        options.sizes_of(&report.served)?;
    }
    crate::gate::report::apply(&mut report, &manifest, Date::today());
    if let Some(path) = matches.get_one::<String>("pin") {
        pin(path, &report, &options.pinned)?;
    }
    print(&report, matches)
}

/// The counterexamples of a file: one case a line, `#` begins a comment.
fn pins(path: &str) -> Result<Vec<Case>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Invalid::new("pin", path, format!("a file ({error})")))?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let cases = lines.filter(|line| !line.is_empty()).map(str::parse::<Case>);
    Ok(cases.collect::<Result<_, _>>()?)
}

/// Adds the counterexamples of a report to a file.
fn pin(path: &str, report: &Report, known: &[Case]) -> Result<(), Failure> {
    let known: Vec<String> = known.iter().map(Case::to_string).collect();
    let found = report.findings.iter().filter_map(|finding| finding.shrunk.as_ref());
    let new: Vec<&str> = found
        .map(|shrunk| shrunk.case.as_str())
        .filter(|case| !known.iter().any(|k| k == case))
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let mut text = fs::read_to_string(path).unwrap_or_default();
    for case in new {
        text += case;
        text.push('\n');
    }
    fs::write(path, text)
        .map_err(|error| Invalid::new("pin", path, format!("a writable file ({error})")).into())
}

/// Prints a report and writes it in every format asked for.
fn print(report: &Report, matches: &ArgMatches) -> Ending {
    type Format = (&'static str, fn(&Report) -> String);
    let formats: [Format; 4] = [
        ("json", report_json::write),
        ("junit", junit::write),
        ("markdown", markdown::write),
        ("html", html::write),
    ];
    let annotated = match text(matches, "annotations") {
        "" => String::new(),
        "github" => annotations::github(report),
        other => return Err(Invalid::new("annotations", other, "github").into()),
    };
    let mut printed = false;
    for (name, write) in formats {
        match matches.get_one::<String>(name).map(String::as_str) {
            None => {}
            Some("-") => {
                answer(&write(report))?;
                printed = true;
            }
            Some(path) => fs::write(path, write(report))
                .map_err(|error| Invalid::new(name, path, format!("a writable file ({error})")))?,
        }
    }
    if printed && !annotated.is_empty() {
        // Standard output carries a format that a program reads.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), annotated.as_bytes());
    } else {
        answer(&annotated)?;
    }
    if !printed {
        let style = report_text::Style::of(&std::io::stdout(), matches.get_flag("quiet"));
        answer(&report_text::write(report, style))?;
    }
    Ok(report.exit_code)
}

pub(super) fn replay(matches: &ArgMatches) -> Ending {
    let case: Case = text(matches, "case").parse()?;
    let target = Target::of(matches)?;
    let mut candidate = target.start();
    let hello = match candidate.hello() {
        Ok(hello) => hello,
        Err(broken) => return ended(&broken),
    };
    let Some(served) = hello.ops.get(case.op) else {
        let served: Vec<&str> = hello.ops.keys().map(String::as_str).collect();
        return Err(Invalid::new("operator", case.op, served.join(", ")).into());
    };
    let trial = trial::put(&mut *candidate, served, &case);
    let mut out = format!("{case}\n");
    for (name, tensor) in &trial.call.tensors {
        out += &format!("  {name} {:?} {} = {}\n", tensor.shape, tensor.dtype, few(&tensor.values));
    }
    for expected in &trial.expected {
        let Some(got) = trial.answer.as_ref().and_then(|answer| answer.get(&expected.name)) else {
            continue;
        };
        let graded = trial.graded.iter().find(|graded| graded.tensor == expected.name);
        let grade = graded.map_or(String::new(), |g| format!("grade {:?}, q {:.3e}", g.grade, g.q));
        let name = &expected.name;
        out += &format!("  {name} got   {}\n", few(&got.values));
        out += &format!("  {name} want  {}\n", few(&expected.truth));
        out += &format!("  {name} bound {}  {grade}\n", few(&expected.worst));
    }
    match &trial.flaw {
        Some(flaw) => out += &format!("FAIL {}\n", flaw.message),
        None => out += "right\n",
    }
    answer(&out)?;
    Ok(trial.flaw.map_or(0, |flaw| flaw.fault.exit_code()))
}

fn few(values: &[f64]) -> String {
    let shown: Vec<String> = values.iter().take(8).map(|&v| show::short(v)).collect();
    let rest = if values.len() > 8 { format!(", … ({})", values.len()) } else { String::new() };
    format!("[{}{rest}]", shown.join(", "))
}

/// What a target that broke ends a command with.
fn ended(broken: &Broken) -> Ending {
    let mut message = format!("error: {broken}");
    message.push('\n');
    let _ = std::io::Write::write_all(&mut std::io::stderr(), message.as_bytes());
    Ok(crate::check::flaw::Flaw::from(broken).fault.exit_code())
}

pub(super) fn depth(matches: &ArgMatches) -> Ending {
    let target = Target::of(matches)?;
    let seed = number(matches, "seed", "a whole number")?.unwrap_or(1);
    let folder = Path::new(text(matches, "out"));
    writable("out", folder)?;
    let mut candidate = target.start();
    let hello = match candidate.hello() {
        Ok(hello) => hello,
        Err(broken) => return ended(&broken),
    };
    let chosen = matches.get_one::<String>("norm");
    let served: Vec<&String> = match chosen {
        Some(norm) => vec![norm],
        None => hello.ops.keys().filter(|op| spec::norm_of_rows(op)).collect(),
    };
    if served.is_empty() {
        return Err(Invalid::new("norm", "(none served)", stack_depth::norms().join(", ")).into());
    }
    let mut all = Vec::new();
    let mut out = String::new();
    for norm in served {
        let Some(own) = hello.ops.get(norm) else {
            let allowed: Vec<&str> = hello.ops.keys().map(String::as_str).collect();
            return Err(Invalid::new("norm", norm, allowed.join(", ")).into());
        };
        let answers = match stack_depth::check(&mut *candidate, norm, own, seed) {
            Ok(answers) => answers,
            Err(stack_depth::DepthError::Broken(broken)) => return ended(&broken),
            Err(other) => return Err(other.into()),
        };
        let picture = folder.join(format!("depth-{norm}.png"));
        stack_depth::picture(&hello.identity.name, &answers).save(&picture)?;
        for answer in &answers {
            let verdict = if answer.holds() { "ok  " } else { "FAIL" };
            out += &format!("{verdict} {norm} in {}: {}\n", answer.wiring, answer.summary());
        }
        out += &format!("{}\n", picture.display());
        all.extend(answers);
    }
    let holds = all.iter().all(stack_depth::Depth::holds);
    if matches.get_flag("json") {
        out = format!("{}\n", serde_json::to_value(&all)?);
    }
    answer(&out)?;
    Ok(u8::from(!holds))
}

pub(super) fn diff(matches: &ArgMatches) -> Ending {
    let read = |name: &'static str| -> Result<Report, Failure> {
        let path = text(matches, name);
        let content = fs::read_to_string(path)
            .map_err(|error| Invalid::new(name, path, format!("a report ({error})")))?;
        Ok(report_json::read(&content)?)
    };
    let (base, now) = (read("base")?, read("now")?);
    let diff = reports::diff(&base, &now)?;
    answer(&match matches.get_flag("json") {
        true => reports::json(&diff),
        false => reports::text(&diff, &base, &now),
    })?;
    Ok(diff.exit_code())
}

/// A report as a badge, on standard output.
pub(super) fn badge(matches: &ArgMatches) -> Ending {
    let path = text(matches, "report");
    let content = fs::read_to_string(path)
        .map_err(|error| Invalid::new("report", path, format!("a report ({error})")))?;
    let report = report_json::read(&content)?;
    answer(&match matches.get_flag("json") {
        true => format!("{}\n", badges::endpoint(&report)),
        false => badges::svg(&report),
    })?;
    Ok(0)
}

pub(super) fn export(matches: &ArgMatches) -> Ending {
    let options = options(matches)?;
    let dir = Path::new(text(matches, "dir"));
    let index = vectors::export(dir, &options.filters, options.cases, options.seed)?;
    answer(&format!("{} cases in {}\n", index.vectors.len(), dir.display()))?;
    Ok(0)
}

pub(super) fn grade(matches: &ArgMatches) -> Ending {
    let (dir, results) = (Path::new(text(matches, "dir")), Path::new(text(matches, "results")));
    let manifest = expected(matches)?;
    let mut report = vectors::grade(dir, results)?;
    crate::gate::report::apply(&mut report, &manifest, Date::today());
    print(&report, matches)
}

pub(super) fn init(matches: &ArgMatches) -> Ending {
    let (language, dir) = (text(matches, "language"), Path::new(text(matches, "dir")));
    let written = templates::write(language, dir)?;
    let lines: Vec<String> = written.iter().map(|path| format!("{}\n", path.display())).collect();
    answer(&lines.concat())?;
    Ok(0)
}

pub(super) fn ops(matches: &ArgMatches) -> Ending {
    if matches.get_flag("json") {
        let rows: Vec<String> = spec::all().map(|op| described(op).to_string()).collect();
        // An operator a line: the file of the Python package is this, and is read by people too.
        answer(&format!("[\n{}\n]\n", rows.join(",\n")))?;
        return Ok(0);
    }
    let lines = spec::all().map(|operator| {
        let dirs: Vec<String> = operator.dirs().iter().map(ToString::to_string).collect();
        let dtypes: Vec<&str> = operator.dtypes().iter().map(|dtype| dtype.name()).collect();
        format!("{:<20} {:<10} {}\n", operator.name(), dirs.join(", "), dtypes.join(", "))
    });
    answer(&lines.collect::<String>())?;
    Ok(0)
}

/// An operator for a program to read: its tensors and attributes by name, what is optional, the
/// defaults, and what each pass returns.
fn described(operator: &'static dyn Operator) -> serde_json::Value {
    let dtypes: Vec<&str> = operator.dtypes().iter().map(|dtype| dtype.name()).collect();
    let plain = |dir| Case::simplest(operator, dir, Dtype::F32, Dtype::F32);
    let case = plain(operator.dirs()[0]);
    let slots = case.slots();
    let optional = slots.iter().filter(|slot| slot.optional || slot.with.is_some());
    let returns: serde_json::Map<String, serde_json::Value> = operator
        .dirs()
        .iter()
        .map(|&dir| (dir.to_string(), plain(dir).call().want.into()))
        .collect();
    json!({
        "op": operator.name(), "dir": operator.dirs(), "dtype": dtypes,
        "tensors": slots.iter().map(|slot| &slot.name).collect::<Vec<_>>(),
        "optional": optional.map(|slot| &slot.name).collect::<Vec<_>>(),
        "attrs": operator.attributes(&case),
        "returns": returns,
    })
}
