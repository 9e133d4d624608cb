//! Input that does not hold: one line that names field, value and what is allowed, exit code 2,
//! and the store as it was.

use super::support::*;
use std::fs;

/// Runs every call against a store with a run in it, which must stay as it is, byte by byte.
fn all_refused(calls: &[(&[&str], &[&str])]) {
    let place = Place::with_a_run();
    let before = fs::read(&place.store).unwrap();
    for (flags, named) in calls {
        let line = refused(&place.train(flags), named);
        assert!(line.contains("allowed is"), "{line}");
        assert_eq!(fs::read(&place.store).unwrap(), before, "{flags:?} changed the store");
    }
    let files = fs::read_dir(place.dir.path()).unwrap().count();
    assert_eq!(files, 1, "something was left beside the store");
}

#[test]
fn a_choice_that_is_not_there_is_refused() {
    all_refused(&[
        (&["--norm", "lawyer_norm"], &["norm = lawyer_norm", "layer_norm, partial_rms_norm"]),
        (&["--wiring", "mid_ln"], &["wiring = mid_ln", "pre_ln", "post_ln"]),
        (&["--init", "he"], &["init = he", "kaiming_normal"]),
        (&["--weights", "spectral"], &["weights = spectral", "plain, standardised"]),
        (&["--weights", "weight_norm(eps=-1)"], &["weights = weight_norm", "eps a finite number"]),
        (&["--qk-norm", "batch"], &["qk-norm = batch", "none, l2, layer, rms"]),
        (&["--preset", "gpt5"], &["preset = gpt5", "gpt2", "llama"]),
        (&["--task", "images"], &["task = images", "markov, hops, series"]),
        (&["--bias", "yes"], &["bias = yes", "true or false"]),
        (&["--checkpoint", "some"], &["checkpoint = some", "auto"]),
    ]);
}

#[test]
fn a_number_out_of_range_is_refused() {
    all_refused(&[
        (&["--lr", "NaN"], &["lr = NaN", "above 0"]),
        (&["--lr", "0"], &["lr = 0", "above 0"]),
        (&["--lr", "-1"], &["lr = -1", "above 0"]),
        (&["--lr", "inf"], &["lr = inf", "finite"]),
        (&["--lr", "fast"], &["lr = fast", "a number"]),
        (&["--depth", "0"], &["depth = 0", "1 to 10000"]),
        (&["--depth", "3000000"], &["depth = 3000000", "1 to 10000"]),
        (&["--depth", "99999999999999999999999"], &["depth = 9999", "whole number"]),
        (&["--depth", "-3"], &["depth = -3", "whole number"]),
        (&["--depth", "2.5"], &["depth = 2.5", "whole number"]),
        (&["--seq", "1"], &["seq = 1", "2 to"]),
        (&["--batch", "0"], &["batch = 0", "1 to"]),
        (&["--dropout", "1"], &["dropout = 1", "below 1"]),
        (&["--beta2", "NaN"], &["beta2 = NaN", "below 1"]),
        (&["--threads", "0"], &["threads = 0", "1 to"]),
        (&["--ffn-ratio", "1e300"], &["ffn-ratio = 1", "up to 64"]),
        (&["--snapshot-seconds", "1e30"], &["snapshot-seconds = 1", "0 to"]),
        (&["--embed-std", "-1"], &["embed-std = -1", "from 0 up"]),
        (&["--softcap", "-1"], &["softcap = -1", "from 0 up"]),
        (&["--softcap", "inf"], &["softcap = inf", "finite"]),
        (&["--logit-softcap", "NaN"], &["logit-softcap = NaN", "finite"]),
        (&["--seed", "-1"], &["seed = -1", "whole number"]),
    ]);
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    all_refused(&[
        (&["--device", "tpu"], &["device = tpu", "cuda_interpreted"]),
        (&["--tf32", "true"], &["tf32 = true", "false on a device other than cuda"]),
        (
            &["--device", "cuda_interpreted", "--precision", "f64"],
            &["precision = f64", "f32 on a device other than cpu"],
        ),
    ]);
    // With a GPU behind it the run is trained; where there is none, a line says what is missing.
    if !cfg!(feature = "cuda") {
        all_refused(&[(&["--device", "cuda"], &["device = cuda", "without the feature cuda"])]);
    }
}

#[test]
#[cfg(all(unix, not(feature = "cuda")))]
fn what_needs_a_gpu_ends_in_a_line_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/verify/gpu.sh");
    let run = || std::process::Command::new(script).arg(folder.path()).output().unwrap();
    refused(&run(), &["folder = ", "built with --features cuda"]);
    std::os::unix::fs::symlink(PLUMMET, folder.path().join("plummet")).unwrap();
    refused(&run(), &["device = cuda", "without the feature cuda"]);
    assert!(!folder.path().join("results").exists());
}

#[test]
fn a_task_that_cannot_be_had_is_refused() {
    all_refused(&[
        (&["--task", "markov(k=1)"], &["task = markov(k=1)", "constants of markov: none"]),
        (&["--task", "hops(m=1)"], &["task = hops(m=1)", "constants of hops: k, n"]),
        (&["--task", "hops(k=2,k=3)"], &["task = hops(k=2,k=3)", "k once"]),
        (&["--task", "hops(k=0)"], &["task = hops(k=0)", "k a whole number from 1 up"]),
        (&["--task", "hops(k=NaN)"], &["task = hops(k=NaN)", "k a whole number from 1 up"]),
        (&["--task", "hops(k=5)"], &["task = hops(k=5)", "k from 1 to n/2 = 4"]),
        (&["--task", "hops(n=3)"], &["task = hops(n=3)", "n from 4 to 64"]),
        (&["--task", "hops(n=65)"], &["task = hops(n=65)", "n from 4 to 64"]),
        (&["--task", "hops"], &["seq = 8", "9 or more", "a question"]),
        (&["--task", "hops(n=4)", "--tied-head", "true"], &["tied-head = true", "task hops"]),
    ]);
    refused(&plummet(&["train", "--task", "hops(n=64)"]), &["task = hops(n=64)", "below seq 64"]);
}

#[test]
fn fields_that_do_not_fit_each_other_are_refused() {
    all_refused(&[
        (&["--heads", "3"], &["heads = 3", "a divisor of width 8"]),
        (&["--norm", "group_norm(groups=3)"], &["norm = group_norm(groups=3)", "divide width 8"]),
        (&["--heads", "0"], &["heads = 0", "1 to"]),
        (&["--kv-heads", "3"], &["kv-heads = 3", "a divisor of heads 2"]),
        (&["--kv-heads", "0"], &["kv-heads = 0", "a divisor of heads 2"]),
        (&["--batch", "6", "--shards", "4"], &["shards = 4", "divides batch 6"]),
        (&["--shards", "0"], &["shards = 0", "1 to 4"]),
        (&["--shards", "18446744073709551615"], &["shards = 1844", "1 to 4"]),
        (&["--micro-batches", "3"], &["micro-batches = 3", "a divisor of batch 4"]),
        (
            &["--shards", "4", "--micro-batches", "2", "--batch", "12"],
            &["micro-batches = 2", "shards 4", "batch 12"],
        ),
        (&["--shards", "8", "--micro-batches", "3", "--batch", "12"], &["shards = 8", "batch 12"]),
        (&["--width", "10", "--heads", "4"], &["width = 10", "a multiple of heads 4"]),
        (&["--eval-every", "0"], &["eval-every = 0", "from 1 up"]),
        (&["--checkpoint", "3"], &["checkpoint = 3", "1 to 2"]),
        (
            &["--positions", "rotary", "--width", "6", "--heads", "2"],
            &["positions = rotary", "none or learned"],
        ),
        (&["--preset", "llama", "--width", "12", "--heads", "4"], &["width = 12", "multiple of 8"]),
        (&["--preset", "llama", "--width", "12", "--heads", "12"], &["heads = 12", "rotary"]),
    ]);
}

#[test]
fn what_no_memory_can_hold_is_refused_before_it_is_allocated() {
    all_refused(&[
        (&["--depth", "10000", "--width", "16384"], &["depth = 10000", "GiB"]),
        (&["--width", "16384", "--ffn-ratio", "64", "--depth", "2000"], &["depth = 2000", "GiB"]),
        (&["--width", "16384", "--depth", "16"], &["width = 16384", "GiB"]),
        (
            &["--batch", "65536", "--depth", "16", "--width", "64", "--seq", "2000"],
            &["batch = 65536", "GiB"],
        ),
        (
            // More bytes than 64 bits can count.
            &[
                "--task", "markov", "--depth", "10000", "--width", "16384", "--heads", "1024",
                "--seq", "50000", "--batch", "65536", "--shards", "1",
            ],
            &["depth = 10000", "GiB"],
        ),
        (
            &["--precision", "f64", "--depth", "10000", "--width", "16384"],
            &["depth = 10000", "GiB"],
        ),
    ]);
}

#[test]
fn a_text_that_cannot_be_learned_is_refused() {
    let texts = Place::empty();
    let empty = texts.file("empty.txt", b"");
    let short = texts.file("short.txt", b"Lorem ipsum");
    let missing = texts.dir.path().join("missing.txt");
    all_refused(&[
        (&["--text", text(&empty)], &["text = ", "empty.txt", "bytes or more", "has 0"]),
        (&["--text", text(&short)], &["text = ", "short.txt", "bytes or more", "has 11"]),
        (&["--text", text(&missing)], &["text = ", "missing.txt", "a readable file"]),
        (&["--text", text(texts.dir.path())], &["text = ", "a readable file", "directory"]),
        (&["--seq", "60000"], &["seq = 60000", "for a text of"]),
    ]);
}

#[test]
fn what_the_parser_refuses_reads_the_same() {
    all_refused(&[
        (&["--frob", "3"], &["flag = --frob", "--depth", "--width"]),
        (&["--dept", "3"], &["flag = --dept", "--depth"]),
        (&["-x"], &["flag = -x"]),
        (&["extra"], &["argument = extra"]),
        (&["--norm", "layer_norm(eps=-1)"], &["norm = layer_norm(eps=-1)", "eps a finite number"]),
        (&["--norm", "layer_norm(ebs=1)"], &["the constants of layer_norm: eps"]),
    ]);
    // Only the flags of the command that was given.
    let line = refused(&plummet(&["gate", "check", "--frob"]), &["flag = --frob", "--cases"]);
    assert!(!line.contains("--depth"), "{line}");
    refused(&plummet(&["trian"]), &["command = trian", "train", "run", "list"]);
    refused(&plummet(&["train", "--lr"]), &["lr = (nothing)", "value"]);
    refused(&plummet(&["sweep"]), &["FILE.toml", "nothing"]);
    refused(
        &plummet(&["list", "colours"]),
        &["list = colours", "norms, wirings, inits, weights, tasks"],
    );
    refused(&plummet(&["train", "--lr", "1", "--lr", "2"]), &["lr"]);
}

#[test]
fn a_sweep_file_that_does_not_hold_is_refused() {
    let place = Place::with_a_run();
    let before = fs::read(&place.store).unwrap();
    let cases: [(&[u8], &[&str]); 12] = [
        (b"wiring =", &["sweep = ", "valid TOML (line 1"]),
        (b"steps = 1\n\nwiring = [", &["sweep = ", "valid TOML (line 3"]),
        (b"\xff\xfe", &["sweep = ", "TOML"]),
        (b"wirings = 'pre_ln'", &["field = wirings", "wiring"]),
        (b"wiring = 'mid_ln'", &["wiring = mid_ln", "pre_ln"]),
        (b"preset = 'gpt5'", &["preset = gpt5", "gpt2"]),
        (b"lr = nan", &["lr = NaN", "above 0"]),
        (b"lr = []", &["lr = []", "at least one value"]),
        (b"lr = [[1.0]]", &["lr = [1.0]", "a value"]),
        (b"[lr]\nmost = 1.0", &["lr = ", "a value, an array of values, or a range"]),
        (b"arm = 3", &["arm = 3", "[[arm]]"]),
        (b"depth = [1, 2, 0]", &["depth = 0", "1 to"]),
    ];
    for (content, named) in cases {
        let file = place.file("sweep.toml", content);
        let line = refused(&plummet(&["sweep", text(&file), "--store", text(&place.store)]), named);
        assert!(line.contains("allowed is"), "{line}");
    }
    let product = (0..5).map(|i| {
        format!(
            "{} = {:?}\n",
            ["seed", "steps", "lr", "width", "batch"][i],
            (1..20).collect::<Vec<_>>()
        )
    });
    let file = place.file("sweep.toml", product.collect::<String>().as_bytes());
    refused(&plummet(&["sweep", text(&file), "--store", text(&place.store)]), &["100000 runs"]);
    let missing = place.dir.path().join("none.toml");
    refused(&plummet(&["sweep", text(&missing), "--store", text(&place.store)]), &["none.toml"]);
    assert_eq!(fs::read(&place.store).unwrap(), before);
}

#[test]
fn a_run_that_is_not_there_is_refused() {
    let place = Place::with_a_run();
    let store = text(&place.store);
    refused(&plummet(&["show", "nothing", "--store", store]), &["nothing", "pre_ln"]);
    let none = place.dir.path().join("none.sqlite");
    refused(&plummet(&["show", "--store", text(&none)]), &["none.sqlite", "no such file"]);
    assert!(!none.exists(), "reading must not create");
}

#[test]
fn a_series_that_cannot_be_learned_is_refused() {
    let place = Place::empty();
    let lines = |n: u32| -> String { (0..n).map(|i| format!("{i},{}\n", 1 + i % 7)).collect() };
    let file = |name: &str, text: String| place.file(name, text.as_bytes());
    let long = file("long.csv", format!("row,Close\n{}", lines(200)));
    let short = file("short.csv", format!("row,Close\n{}", lines(30)));
    let flat = file("flat.csv", format!("row,Close\n{}", "1,2\n".repeat(200)));
    let zero = file("zero.csv", format!("row,Close\n{}5,0\n", lines(200)));
    let series = |path: &std::path::Path, more: &[&str], named: &[&str]| {
        let flags = [&["--task", "series", "--series", text(path)], more].concat();
        let line = refused(&place.train(&flags), named);
        assert!(line.contains("allowed is"), "{line}");
    };
    let close = ["--column", "Close"];
    series(&long, &[], &["column = :", "'row', 'Close'"]);
    series(&long, &["--column", "close"], &["column = close", "'row', 'Close'"]);
    series(&short, &close, &["series = ", "41 values or more at seq 8", "29"]);
    series(&flat, &close, &["flat.csv", "vary", "'Close'"]);
    series(&zero, &close, &["zero.csv", "above 0", "line 202", "'Close'"]);
    series(place.dir.path(), &close, &["series = ", "a readable file"]);
    series(&place.dir.path().join("no.csv"), &close, &["no.csv", "a readable file"]);
    series(
        std::path::Path::new("/dev/zero"),
        &close,
        &["/dev/zero", "64.0 MiB (this one goes on)"],
    );
    all_refused(&[
        (&["--task", "series(returns=levels)"], &["returns=log where no --series"]),
        (&["--task", "series(head=cauchy)"], &["head gaussian, student"]),
        (
            &["--task", "series", "--label-smoothing", "0.1"],
            &["label-smoothing = 0.1", "0 under task series: it says no classes"],
        ),
        (&["--task", "series", "--tied-head", "true"], &["tied-head = true", "task series"]),
    ]);
}
