//! The longer form: `thorough.md` says which findings of the short form outlast longer runs.

use std::fmt::{Result, Write};

use super::against::{Checked, Verdict, check};
use super::data::Data;
use super::figures::{Picture, inits, norms};
use super::findings::{map, rates, warmups, wirings};
use super::report::{chapter, commands, paragraph, rates_table, warmups_table, wirings_table};
use crate::experiment::arm::arms;

/// `thorough.md`.
pub(super) fn markdown(short: &Data, long: &Data, pictures: &[Picture], command: &str) -> String {
    let mut text = String::new();
    write(&mut text, short, long, pictures, command).expect("writing to a string does not fail");
    text
}

fn write(
    out: &mut String,
    short: &Data,
    long: &Data,
    pictures: &[Picture],
    command: &str,
) -> Result {
    writeln!(out, "# What longer runs confirm and overturn\n")?;
    writeln!(
        out,
        "Made by `{command}`: the experiments of [the survey](stability.md) again, at twice the length and more, on three seeds, and with other rates for the stacks of its first picture.\n"
    )?;
    let checked = check(short, long);
    writeln!(out, "{}\n", summary(&checked))?;
    writeln!(out, "| the short form says | the longer runs say | so it is | one of these runs |")?;
    writeln!(out, "|---|---|---|---|")?;
    for Checked { finding, longer, verdict, run } in &checked {
        let run = run.as_ref().map_or(String::new(), |run| {
            format!("`{}`", format!("plummet train {}", run.flags()).trim_end())
        });
        writeln!(out, "| {finding} | {longer} | {} | {run} |", verdict.show())?;
    }
    let show = |out: &mut String, index: usize| match pictures.get(index) {
        Some(picture) => writeln!(out, "![{}]({})\n", picture.caption, picture.file),
        None => Ok(()),
    };
    let main = arms(&long.wirings);
    writeln!(out)?;
    chapter(out, "Sixteen blocks, by wiring and initialisation", &main)?;
    paragraph(out, wirings::sentence(&main))?;
    show(out, 0)?;
    wirings_table(out, &main)?;
    let warm = arms(&long.warmups);
    chapter(out, "Learning rate or warm-up: which decides?", &warm)?;
    paragraph(out, Some(format!("{}.", warmups::title(&warm))))?;
    paragraph(out, warmups::sentence(&warm))?;
    show(out, 1)?;
    warmups_table(out, &warm)?;
    let all = arms(&long.map);
    chapter(out, "Wirings under inits and norms", &all)?;
    for (arms, other) in [(&inits(&all), "init"), (&norms(&all), "norm")] {
        paragraph(out, Some(format!("{}.", map::title(arms, other))))?;
    }
    paragraph(out, map::unfinished(&all))?;
    show(out, 2)?;
    let grown = arms(&long.rates);
    chapter(out, "Learning rate against depth", &grown)?;
    paragraph(out, Some(format!("{}.", rates::title(&grown))))?;
    show(out, 3)?;
    rates_table(out, &grown)?;
    writeln!(out, "## How to make these runs\n")?;
    commands(out, long, pictures)
}

/// How many findings became what.
pub(super) fn summary(checked: &[Checked]) -> String {
    let of = |verdict: Verdict| checked.iter().filter(|c| c.verdict == verdict).count();
    format!(
        "Of {} findings of the short form, {} confirmed, {} only at the rate of the short form, {} overturned; of those that it left open, {} now known, {} open.",
        checked.len() - of(Verdict::Decided) - of(Verdict::Open),
        of(Verdict::Confirmed),
        of(Verdict::AtThatRate),
        of(Verdict::Overturned),
        of(Verdict::Decided),
        of(Verdict::Open)
    )
}
