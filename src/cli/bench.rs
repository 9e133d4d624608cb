//! `plummet bench`: the machine's limits, operators against a copy, steps against their products.

use std::path::Path;

use clap::{Arg, ArgMatches};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value as Json, json};

use super::{Failure, Outcome, answer, flag, json_arg, one, writable};
use crate::backend::device::{Interpreted, Machine};
use crate::bench::{
    Cost, GPU, Limit, PARTS, Plan, Report, SHAPES, SIZES, SMALL, Share, Size, StepTime, TINY,
    copies, costs, measure_device, measured, product_peaks, share, step_time,
};
use crate::config::{Device, RunConfig};
use crate::setting::Invalid;
use crate::train::gpu;

pub(super) fn args() -> Vec<Arg> {
    let value = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("VALUE").help(help).allow_hyphen_values(true)
    };
    vec![
        value("device", "What is measured: cpu, cuda or cuda_interpreted (default cpu)"),
        value("sizes", "Sizes of the training step (default ABCDE, with --quick A; cuda: ACEF)"),
        value("threads", "Threads beside one (default: one per core)"),
        value("out", "Folder for bench.png").default_value("reports").visible_alias("reports"),
        flag("quick", "Measure for seconds only: rough numbers"),
        flag(
            "methods",
            "Measure what every wiring, norm and form of weights costs a training step",
        )
        .conflicts_with_all(["device", "sizes"]),
        json_arg(),
    ]
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let quick = matches.get_flag("quick");
    let device = matches.get_one::<String>("device").map_or("cpu", String::as_str);
    let device = RunConfig::from_settings([("device", device)])?.device;
    let sizes = sizes(matches, quick, device)?;
    let threads = threads(matches)?;
    let methods = matches.get_flag("methods");
    let folder = Path::new(one(matches, "out"));
    if !methods {
        writable("out", folder)?;
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| {
        Invalid::new("threads", threads, format!("what the system can start ({error})"))
    })?;
    if methods {
        let costs = pool.install(|| costs(if quick { 3 } else { 40 }, |_| {}))?;
        return answer(&methods_text(&costs, matches.get_flag("json")));
    }
    let report = match device {
        Device::Cpu => measure(&sizes, quick, &pool)?,
        Device::Cuda => pool.install(|| on_device(&gpu(false)?, device, &GPU, &sizes))?,
        Device::CudaInterpreted => {
            pool.install(|| on_device(&Interpreted::default(), device, &TINY, &sizes))?
        }
    };
    let picture = folder.join("bench.png");
    report.picture().save(&picture)?;
    if matches.get_flag("json") {
        let mut object = object(&report);
        object["picture"] = json!(picture.display().to_string());
        return answer(&format!("{object}\n"));
    }
    answer(&format!("{}\n{}\n", text(&report), picture.display()))
}

fn sizes(matches: &ArgMatches, quick: bool, device: Device) -> Result<Vec<Size>, Invalid> {
    let default = match device {
        Device::CudaInterpreted => return Ok(vec![SMALL]),
        _ if quick => "A",
        Device::Cuda => "ACEF",
        Device::Cpu => "ABCDE",
    };
    let given = matches.get_one::<String>("sizes").map_or(default, String::as_str);
    let found: Option<Vec<Size>> =
        given.chars().map(|letter| Size::named(letter.to_string().as_str())).collect();
    match found {
        Some(sizes) if !sizes.is_empty() && sizes.len() <= SIZES.len() => Ok(sizes),
        _ => Err(Invalid::new("sizes", given, "some of the letters ABCDE, or F, each once")),
    }
}

fn threads(matches: &ArgMatches) -> Result<usize, Invalid> {
    let Some(given) = matches.get_one::<String>("threads") else {
        return Ok(std::thread::available_parallelism().map_or(1, usize::from));
    };
    match given.parse() {
        Ok(threads) if (1..=1024).contains(&threads) => Ok(threads),
        _ => Err(Invalid::new("threads", given, "a whole number, 1 to 1024")),
    }
}

fn measure(sizes: &[Size], quick: bool, pool: &rayon::ThreadPool) -> Result<Report, Failure> {
    let shapes = if quick { &SHAPES[..1] } else { &SHAPES[..] };
    let operators = measured();
    let work = 2 + shapes.len() * operators.len() + sizes.len();
    let bar =
        ProgressBar::with_draw_target(Some(work as u64), ProgressDrawTarget::stderr_with_hz(8));
    let style = ProgressStyle::with_template("{prefix:<32} {bar:32} {elapsed} gone");
    bar.set_style(style.expect("a template known to be valid").progress_chars("━╸─"));
    let done = |what: String| {
        bar.inc(1);
        bar.set_prefix(what);
    };
    bar.set_prefix("limits");
    let copies = copies(quick, pool);
    done("limits".to_string());
    let products = product_peaks(quick, pool);
    done("operators".to_string());
    let mut shares = Vec::new();
    for (name, op) in &operators {
        for &shape in shapes {
            shares.push(share(name, op, shape, quick));
            done(name.to_string());
        }
    }
    let mut steps = Vec::new();
    for &size in sizes {
        bar.set_prefix(format!("training step, size {}", size.name));
        steps.push(step_time(size, if quick { 0.0 } else { 2.0 }, pool)?);
        done(String::new());
    }
    bar.finish_and_clear();
    let (threads, device, left_out) = (pool.current_num_threads(), None, Vec::new());
    Ok(Report { threads, quick, device, copies, products, shares, left_out, steps })
}

fn on_device<M: Machine + 'static>(
    machine: &M,
    device: Device,
    plan: &Plan,
    sizes: &[Size],
) -> Result<Report, Invalid> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    let report = measure_device(machine, device, plan, sizes, |what| {
        bar.set_message(what.to_string());
        bar.inc(1);
    });
    bar.finish_and_clear();
    report
}

/// One line a method; as JSON with a line for each, so that a change shows which.
fn methods_text(costs: &[Cost], json: bool) -> String {
    if json {
        let round = |x: f64| (100.0 * x).round() / 100.0;
        let lines: Vec<String> = costs
            .iter()
            .map(|c| {
                let (time, bytes) = (round(c.time), round(c.bytes));
                let object = json!({"field": c.field, "id": c.id, "time": time, "bytes": bytes});
                format!("  {object}")
            })
            .collect();
        return format!("[\n{}\n]\n", lines.join(",\n"));
    }
    let mut text = format!("{:<10}{:<24}{:>8}{:>8}\n", "a step", "", "time", "bytes");
    for Cost { field, id, time, bytes } in costs {
        text += &format!("{field:<10}{id:<24}{time:>7.2}×{bytes:>7.2}×\n");
    }
    text
}

/// One line a limit, an operator, a step.
fn device_text(report: &Report, name: &str) -> String {
    let copy = report.copies.first().map_or(f64::NAN, |limit| limit.one / 1e9);
    let mut text = format!("{name}\n");
    for limit in &report.copies {
        text += &format!("{:<34}{:>12.1} GB/s\n", format!("copy, {}", limit.name), limit.one / 1e9);
    }
    for limit in &report.products {
        let name = format!("product, {}", limit.name);
        text += &format!("{name:<34}{:>12.1} Gflop/s\n", limit.one / 1e9);
    }
    let head = ["GB/s and share of the copy", "shape", "forward", "", "and vjp", ""];
    let [name, shape, forward, share, both, of] = head;
    text += &format!("\n{name:<28}{shape:>14}{forward:>10}{share:>8}{both:>10}{of:>8}\n");
    for Share { name, shape, forward, both } in &report.shares {
        let shape = format!("{} × {}", shape.0, shape.1);
        let rates =
            [forward, both].map(|share| format!("{:>10.0}{:>6.0} %", copy * share, 100.0 * share));
        text += &format!("{name:<28}{shape:>14}{}{}\n", rates[0], rates[1]);
    }
    if !report.left_out.is_empty() {
        text += &format!("left out, as they have no kernels: {}\n", report.left_out.join(", "));
    }
    text += &format!(
        "\n{:<6}{:>28}{:>14}{:>12}\n",
        "step", "width depth seq batch", "products ms", "ms"
    );
    for step in &report.steps {
        let Size { name, width, depth, seq, batch } = step.size;
        let size = format!("{width} {depth} {seq} {batch}");
        text += &format!("{name:<6}{size:>28}{:>14.2}{:>12.2}\n", 1e3 * step.floor, 1e3 * step.one);
    }
    text
}

fn text(report: &Report) -> String {
    if let Some(name) = &report.device {
        return device_text(report, name);
    }
    let all = match report.threads {
        1 => "1 thread".to_string(),
        threads => format!("{threads} threads"),
    };
    let mut text = format!("{:<34}{:>12}{:>12}\n", "limits", "1 thread", all);
    let mut limits = |limits: &[Limit], what: &str, unit: &str| {
        for limit in limits {
            let name = format!("{what}, {}", limit.name);
            let (one, all) = (limit.one / 1e9, limit.all / 1e9);
            text += &format!("{name:<34}{one:>12.1}{all:>12.1} {unit}\n");
        }
    };
    limits(&report.copies, "copy", "GB/s");
    limits(&report.products, "product", "Gflop/s");

    text += &format!(
        "\n{:<18}{:>14}{:>10}{:>14}\n",
        "share of the copy", "shape", "forward", "and vjp"
    );
    for Share { name, shape, forward, both } in &report.shares {
        let shape = format!("{} × {}", shape.0, shape.1);
        text +=
            &format!("{name:<18}{shape:>14}{:>8.0} %{:>12.0} %\n", 100.0 * forward, 100.0 * both);
    }
    text += &format!(
        "\n{:<6}{:>28}{:>14}{:>12}{:>8}{:>12}{:>10}\n",
        "step", "width depth seq batch", "products ms", "1 thread", "ratio", all, "faster"
    );
    for step in &report.steps {
        let Size { name, width, depth, seq, batch } = step.size;
        text += &format!(
            "{name:<6}{:>28}{:>14.1}{:>12.1}{:>8.2}{:>12.1}{:>9.2}×\n",
            format!("{width} {depth} {seq} {batch}"),
            1e3 * step.floor,
            1e3 * step.one,
            step.one / step.floor,
            1e3 * step.all,
            step.one / step.all
        );
    }
    if let Some(step) = report.steps.last() {
        let title = format!("step {} by operator", step.size.name);
        text += &format!("\n{title:<24}{:>12}{:>12}{:>9}\n", "forward ms", "vjp ms", "share");
        for &(name, forward, vjp) in &step.operators {
            let share = 100.0 * (forward + vjp) / step.one;
            text +=
                &format!("{name:<24}{:>12.2}{:>12.2}{share:>7.1} %\n", 1e3 * forward, 1e3 * vjp);
        }
        let rest = step.parts[PARTS.len() - 1];
        let share = 100.0 * rest / step.one;
        text += &format!("{:<36}{:>12.2}{share:>7.1} %\n", PARTS[PARTS.len() - 1], 1e3 * rest);
    }
    text
}

fn object(report: &Report) -> Json {
    let limit = |limit: &Limit| json!({"name": limit.name, "one": limit.one, "all": limit.all});
    let step = |step: &StepTime| {
        let operator = |&(name, forward, vjp): &(&str, f64, f64)| json!({"name": name, "forward_seconds": forward, "vjp_seconds": vjp});
        json!({
            "size": step.size.name,
            "width": step.size.width,
            "depth": step.size.depth,
            "seq": step.size.seq,
            "batch": step.size.batch,
            "products_seconds": step.floor,
            "one_thread_seconds": step.one,
            "all_threads_seconds": step.all,
            "ratio": step.one / step.floor,
            "operators": step.operators.iter().map(operator).collect::<Vec<_>>(),
        })
    };
    let share = |s: &Share| json!({"name": s.name, "rows": s.shape.0, "cols": s.shape.1, "forward": s.forward, "both": s.both});
    json!({
        "threads": report.threads,
        "quick": report.quick,
        "device": report.device,
        "copy_bytes_per_second": report.copies.iter().map(limit).collect::<Vec<_>>(),
        "product_flops_per_second": report.products.iter().map(limit).collect::<Vec<_>>(),
        "operators_share_of_copy": report.shares.iter().map(share).collect::<Vec<_>>(),
        "left_out": report.left_out,
        "steps": report.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_without_kernels_are_named() {
        let with = |left_out: Vec<&'static str>| Report {
            threads: 1,
            quick: false,
            device: None,
            copies: Vec::new(),
            products: Vec::new(),
            shares: Vec::new(),
            left_out,
            steps: Vec::new(),
        };
        let some = device_text(&with(vec!["one", "two"]), "a device");
        assert!(some.contains("\nleft out, as they have no kernels: one, two\n"), "{some}");
        assert!(!device_text(&with(Vec::new()), "a device").contains("left out"));
    }
}
