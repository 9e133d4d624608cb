//! What the parser refuses, said like every other refusal: field, value and what is allowed.

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::command;
use crate::setting::Invalid;

/// One line for an error of the parser.
pub(super) fn message(error: &Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let argument = word(error, ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let argument = argument.unwrap_or_default();
            if argument.starts_with('-') {
                let allowed = nearest(error).unwrap_or_else(|| flags(error));
                Invalid::new("flag", argument, allowed).to_string()
            } else {
                Invalid::new("argument", argument, "what --help shows").to_string()
            }
        }
        ErrorKind::InvalidSubcommand => {
            let given = word(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            Invalid::new("command", given, commands()).to_string()
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = argument.unwrap_or_default();
            let missing = missing.trim_matches(['<', '>']);
            Invalid::new(missing, "(nothing)", "what --help shows").to_string()
        }
        ErrorKind::InvalidValue | ErrorKind::NoEquals if text.contains("a value is required") => {
            let flag = argument.unwrap_or_default();
            let flag = flag.split_whitespace().next().unwrap_or_default().trim_matches('-');
            Invalid::new(flag, "(nothing)", "one value, as in --help").to_string()
        }
        _ => first.to_string(),
    }
}

/// What the error says of one kind, as one word or a list.
fn word(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        _ => None,
    }
}

/// The flag that was probably meant.
fn nearest(error: &Error) -> Option<String> {
    word(error, ContextKind::SuggestedArg)
}

/// Every flag of the command that was given.
fn flags(error: &Error) -> String {
    let command = command();
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    // "Usage: plummet gate check [OPTIONS]" names it.
    let words = usage.split_whitespace().skip(2);
    let mut given = &command;
    for name in words {
        let Some(own) = given.find_subcommand(name) else { break };
        given = own;
    }
    let arguments = given.get_arguments().filter(|argument| !argument.is_hide_set());
    let mut flags: Vec<String> =
        arguments.filter_map(|argument| Some(format!("--{}", argument.get_long()?))).collect();
    flags.sort();
    flags.dedup();
    format!("one of {}", flags.join(", "))
}

/// Every command.
fn commands() -> String {
    let command = command();
    let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    names.join(", ")
}
