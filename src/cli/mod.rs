//! The command line: one subcommand per file; parse, call, print.
//!
//! Standard output carries results, standard error progress and errors. An input that does not
//! hold is one line that names field, value and what is allowed, and exit code 2.

mod adapter;
mod bench;
mod claims;
mod gate;
mod list;
mod progress;
mod refusal;
mod report;
mod show;
mod signals;
mod survey;
mod sweep;
mod train;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{Invalid, RunConfig};
use crate::store::Store;

/// What a subcommand ends with; the message of a failure is one line.
type Outcome = Result<(), Failure>;

/// An error on its way to the user, as one line.
#[derive(Debug)]
struct Failure(String);

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(error.to_string().lines().collect::<Vec<_>>().join(" "))
    }
}

/// Parses, runs and returns the exit code: 0, 2 where the input did not hold, or 128 + the number of
/// the signal that asked a training to end.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => {
            // Help and version are answers, not errors.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&refusal::message(&error)),
    };
    let outcome = match matches.subcommand() {
        None => survey::run(&matches),
        Some(("survey", matches)) => survey::run(matches),
        Some(("train", matches)) => train::run(matches),
        Some(("run", matches)) => sweep::run(matches),
        Some(("report", matches)) => report::run(matches),
        Some(("show", matches)) => show::run(matches),
        Some(("claims", matches)) => claims::run(matches),
        Some(("bench", matches)) => bench::run(matches),
        Some(("list", matches)) => list::run(matches),
        Some(("adapter", matches)) => adapter::run(matches),
        Some(("gate", matches)) => {
            return gate::run(matches).unwrap_or_else(|Failure(message)| fail(&message));
        }
        Some((name, _)) => Err(Failure(format!("command = {name}: not there"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message)) => match signals::caught() {
            Some(signal) => stopped(&message, signal),
            None => fail(&message),
        },
    }
}

/// The end of a command that a signal asked for it, as a shell reports one.
fn stopped(message: &str, signal: i32) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(2))
}

fn fail(message: &str) -> ExitCode {
    // Where nobody can be told, the exit code still says it.
    let _ = writeln!(std::io::stderr(), "error: {message}");
    ExitCode::from(2)
}

/// Writes a result to standard output. A reader that has gone away, as `head` does, has what it
/// wanted: that is no error.
fn answer(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure(format!("standard output: cannot be written ({error})")))
        }
        _ => Ok(()),
    }
}

/// What ends a training, for its help.
const ENDS: &str = "\
SIGTERM, SIGINT (Ctrl-C) and SIGHUP end a training behind its step, with a snapshot and exit code
128 + signal; the same command goes on from there. A second signal ends at once. A run that another
process trains is left alone: `train` refuses it (exit code 2), `run` and the survey do the others
first and wait for it.";

fn command() -> Command {
    let survey_args = survey::args();
    Command::new("plummet")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Why deep Transformers train or do not: without a command, the stability survey")
        .args_conflicts_with_subcommands(true)
        .args(survey_args.clone())
        .subcommand(
            Command::new("survey")
                .about("Train small deep stacks and draw why some train and some do not")
                .args(survey_args),
        )
        .subcommand(
            Command::new("train")
                .about("Train one stack")
                .after_help(ENDS)
                .args(field_args(&[]))
                .arg(json_arg())
                .arg(flag("plan", "Print the steps, the parameters and the bytes; train nothing")),
        )
        .subcommand(
            Command::new("run")
                .visible_alias("sweep")
                .about(
                    "Train every combination that a TOML file names, draw pictures and write a \
                     report of them; resumes where it stopped",
                )
                .after_help(ENDS)
                .args(sweep::args())
                .args(field_args(&["preset"]))
                .arg(json_arg()),
        )
        .subcommand(
            Command::new("report")
                .about("Draw the pictures again from the store: those of experiments, or of the survey")
                .args(report::args()),
        )
        .subcommand(
            Command::new("show")
                .about("Show one run of the store, or all")
                .arg(Arg::new("run").value_name("RUN"))
                .arg(store_arg())
                .arg(json_arg()),
        )
        .subcommand(
            Command::new("bench")
                .about("Measure this machine, the operators and a training step; draw bench.png")
                .args(bench::args()),
        )
        .subcommand(claims::command())
        .subcommand(gate::command())
        .subcommand(
            Command::new("adapter")
                .about("Serve Plummet's own operators to a gate, over standard input and output")
                .args(adapter::args()),
        )
        .subcommand(
            Command::new("list")
                .about("List what there is to choose from")
                .arg(
                    Arg::new("what")
                        .value_name("norms|wirings|inits|weights|tasks")
                        .required_unless_present("markdown"),
                )
                .arg(json_arg())
                .arg(
                    flag("markdown", "Print all of it as a page, which docs/methods.md is")
                        .conflicts_with_all(["what", "json"]),
                ),
        )
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

fn json_arg() -> Arg {
    flag("json", "Print JSON for a program to read")
}

fn store_arg() -> Arg {
    let default = RunConfig::default().store;
    Arg::new("store")
        .long("store")
        .value_name("FILE")
        .help("File that the runs are kept in")
        .default_value(default)
}

/// One flag per field of the configuration.
fn field_args(except: &[&str]) -> Vec<Arg> {
    let fields = RunConfig::fields().into_iter().filter(|field| !except.contains(&field.name));
    fields
        .map(|field| {
            let mut help = field.help.to_string();
            if !field.choices.is_empty() {
                help.push_str(&format!(" [{}]", field.choices.join(", ")));
            }
            if !field.default.is_empty() {
                help.push_str(&format!(" (default {})", field.default));
            }
            Arg::new(field.name)
                .long(field.name)
                .help(help)
                .value_name("VALUE")
                .allow_hyphen_values(true)
                .action(ArgAction::Set)
        })
        .collect()
}

/// The fields given on the command line, in the order of the configuration.
fn given(matches: &ArgMatches) -> Vec<(String, String)> {
    let fields = RunConfig::fields().into_iter();
    fields
        .filter_map(|field| {
            let value = matches.try_get_one::<String>(field.name).ok()??;
            Some((field.name.to_string(), value.clone()))
        })
        .collect()
}

fn configured(matches: &ArgMatches) -> Result<RunConfig, Invalid> {
    let given = given(matches);
    RunConfig::from_settings(given.iter().map(|(name, text)| (name.as_str(), text.as_str())))
}

fn one<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}

fn open(path: &str) -> Result<Store, Failure> {
    Ok(Store::open(Path::new(path))?)
}

fn open_read(path: &str) -> Result<Store, Failure> {
    Ok(Store::open_read(Path::new(path))?)
}

/// A folder that cannot be written to is an error before minutes of work, not after.
fn writable(field: &str, folder: &Path) -> Outcome {
    let refuse = |error: std::io::Error| {
        let allowed = "a folder to write to";
        Failure(format!("{field} = {}: allowed is {allowed} ({error})", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(refuse)?;
    // Another process may look at the same moment.
    let probe = folder.join(format!(".plummet-writable-{}", std::process::id()));
    std::fs::write(&probe, b"").map_err(refuse)?;
    std::fs::remove_file(&probe).map_err(refuse)
}
