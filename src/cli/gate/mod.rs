//! `plummet gate`: judging other implementations.

mod check;
mod demo;
mod perf;
mod selftest;
mod show;
mod watch;

use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Failure, flag, json_arg, one};
use crate::gate::wire::patience;
use crate::setting::Invalid;

/// What a command of the gate ends with: its exit code.
type Ending = Result<u8, Failure>;

pub(super) fn command() -> Command {
    Command::new("gate")
        .about("Judge another implementation of a Transformer's operators")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("demo").about("Judge a right LayerNorm and a wrong one, as a first look"),
        )
        .subcommand(
            Command::new("check")
                .about("Judge a target: exit code 0 right, 1 wrong, 5 untested, 6 protocol, 7 crash, 8 expectation")
                .args(check::args()),
        )
        .subcommand(
            Command::new("replay")
                .about("Put one case to a target again, as a failure prints it")
                .arg(Arg::new("case").value_name("CASE").required(true))
                .args(target_args()),
        )
        .subcommand(
            Command::new("perf")
                .about("Is a target slower than another? Exit code 4 slower, 5 cannot be told")
                .args(perf::args()),
        )
        .subcommand(
            Command::new("depth")
                .about("Run a target's norm inside a deep stack and draw its error over depth")
                .arg(value("norm", "NORM", "The norm (default: every one that it serves)"))
                .arg(value("seed", "N", "Seed of the stack").default_value("1"))
                .arg(value("out", "DIR", "Folder for the pictures").default_value("reports"))
                .arg(json_arg())
                .args(target_args()),
        )
        .subcommand(
            Command::new("diff")
                .about("Compare two reports: exit code 3 where accuracy fell")
                .arg(Arg::new("base").value_name("A.json").required(true))
                .arg(Arg::new("now").value_name("B.json").required(true))
                .arg(json_arg()),
        )
        .subcommand(
            Command::new("badge")
                .about("Print a report as a badge: an SVG, or with --json what shields.io reads")
                .arg(Arg::new("report").value_name("REPORT.json").required(true))
                .arg(json_arg()),
        )
        .subcommand(
            Command::new("vectors")
                .about("Cases as files, for a target that cannot be started from here")
                .subcommand_required(true)
                .subcommand(
                    Command::new("export")
                        .about("Write cases as .safetensors files")
                        .arg(Arg::new("dir").value_name("DIR").required(true))
                        .args(check::what_args()),
                )
                .subcommand(
                    Command::new("grade")
                        .about("Judge answers to exported cases")
                        .arg(Arg::new("dir").value_name("DIR").required(true))
                        .arg(Arg::new("results").value_name("RESULTS").required(true))
                        .args(check::format_args()),
                ),
        )
        .subcommand(
            Command::new("init")
                .about("Write an adapter to start from, and a CI snippet")
                .arg(Arg::new("language").value_name("python|c|rust").required(true))
                .arg(Arg::new("dir").value_name("DIR").required(true)),
        )
        .subcommand(
            Command::new("selftest")
                .about("Does the gate catch what is wrong, and only that?")
                .args(selftest::args()),
        )
        .subcommand(
            Command::new("ops").about("List the operators of the specification").arg(json_arg()),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let code = match matches.subcommand() {
        Some(("demo", _)) => demo::run(),
        Some(("check", matches)) => check::run(matches),
        Some(("replay", matches)) => check::replay(matches),
        Some(("perf", matches)) => perf::run(matches),
        Some(("depth", matches)) => check::depth(matches),
        Some(("diff", matches)) => check::diff(matches),
        Some(("badge", matches)) => check::badge(matches),
        Some(("vectors", matches)) => match matches.subcommand() {
            Some(("export", matches)) => check::export(matches),
            Some((_, matches)) => check::grade(matches),
            None => Err(Failure("vectors = (nothing): allowed is export, grade".to_string())),
        },
        Some(("init", matches)) => check::init(matches),
        Some(("selftest", matches)) => selftest::run(matches),
        Some(("ops", matches)) => check::ops(matches),
        _ => Err(Failure("gate = (nothing): allowed is what --help shows".to_string())),
    }?;
    Ok(ExitCode::from(code))
}

fn value(name: &'static str, what: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(what).help(help).allow_hyphen_values(true)
}

/// The target: a shared library, or a command behind `--`.
fn target_args() -> Vec<Arg> {
    vec![
        value("lib", "FILE", "A shared library with the C interface of plummet.h"),
        Arg::new("command")
            .value_name("COMMAND")
            .help("The adapter and its arguments, behind --")
            .num_args(0..)
            .last(true)
            .action(ArgAction::Append),
    ]
}

/// A number among the arguments.
fn number<T: std::str::FromStr>(
    matches: &ArgMatches,
    name: &'static str,
    allowed: &str,
) -> Result<Option<T>, Invalid> {
    let Some(text) = matches.get_one::<String>(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Invalid::new(name, text, allowed))
}

/// `30s`, `2m`, `500ms` or a number of seconds.
fn duration(
    matches: &ArgMatches,
    name: &'static str,
) -> Result<Option<std::time::Duration>, Invalid> {
    let Some(text) = matches.get_one::<String>(name) else { return Ok(None) };
    let invalid = || Invalid::new(name, text, "30s, 2m, 500ms or a number of seconds, above 0");
    patience::seconds(text).map(Some).ok_or_else(invalid)
}

/// A bar on a terminal, nothing elsewhere.
fn bar(length: usize) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(8);
    let bar = ProgressBar::with_draw_target(Some(length as u64), target);
    let style =
        ProgressStyle::with_template("{prefix:<32} {bar:32} {pos}/{len}  {eta} left  {msg}");
    bar.set_style(style.expect("a template known to be valid").progress_chars("━╸─"));
    bar
}

/// The command behind `--`.
fn words(matches: &ArgMatches) -> Vec<String> {
    matches.get_many::<String>("command").map(|words| words.cloned().collect()).unwrap_or_default()
}

fn text<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    one(matches, name)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    flag(name, help)
}
