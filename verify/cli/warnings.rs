//! What is surely not meant: a line on standard error, and the run goes on.

use super::support::*;
use std::process::Output;

/// The lines on standard error of a call that went well, and its last line as JSON.
fn warned(output: &Output) -> (Vec<String>, serde_json::Value) {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    let lines: Vec<String> = errors.lines().map(str::to_string).collect();
    assert!(lines.iter().all(|line| line.starts_with("warning: ")), "{errors}");
    let answer = String::from_utf8_lossy(&output.stdout);
    (lines, serde_json::from_str(answer.lines().last().unwrap()).unwrap())
}

#[test]
fn what_is_surely_not_meant_is_said_once_and_in_the_answer() {
    let place = Place::empty();
    let cases: [(&[&str], &[&str]); 5] = [
        (&["--warmup", "4"], &["warmup = 4: ", "never over"]),
        (&["--dropout", "0.95"], &["dropout = 0.95: ", "dropped"]),
        (&["--eval-every", "100"], &["eval-every = 100: ", "only"]),
        (&["--lr", "1e-12"], &["lr = 0.000000000001: ", "nothing is learned"]),
        (&["--tied-head", "true", "--embed-std", "5"], &["first loss = ", "tied", "ln 256"]),
    ];
    for (flags, named) in cases {
        let (lines, answer) = warned(&place.train(&[flags, &["--json"]].concat()));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(named.iter().all(|name| lines[0].contains(name)), "{named:?}: {lines:?}");
        let listed = answer["warnings"].as_array().unwrap();
        assert_eq!(listed.len(), 1, "{answer}");
        assert!(lines[0].contains(listed[0].as_str().unwrap()), "{lines:?} {answer}");
    }
}

#[test]
fn a_text_that_is_none_is_named() {
    let place = Place::empty();
    let text16: Vec<u8> = "In UTF-16, letter by letter. "
        .repeat(40)
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let packed = [b"\x1f\x8b\x08\x00".to_vec(), (0..3000u32).map(|i| (i * i / 7) as u8).collect()];
    let cases = [
        ("utf16.txt", text16, "in UTF-16"),
        ("packed.gz", packed.concat(), "compressed by gzip"),
        ("same.txt", vec![b'x'; 2000], "one byte over and over"),
        ("zeros.bin", [b"some text ".repeat(100), vec![0; 2000]].concat(), "binary"),
    ];
    for (name, bytes, kind) in cases {
        let file = place.file(name, &bytes);
        let (lines, _) = warned(&place.train(&["--text", text(&file), "--json"]));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(name) && lines[0].contains(kind), "{lines:?}");
    }
}

#[test]
fn a_sweep_says_it_once_for_all_its_runs() {
    let place = Place::empty();
    let file = place.file(
        "two.toml",
        b"width = 8\ndepth = 1\nheads = 2\nseq = 8\nbatch = 4\nsteps = 3\nseed = [1, 2]\nwarmup = [0, 3]\n",
    );
    let args = ["sweep", text(&file), "--json", "--store", text(&place.store)];
    let (lines, answer) = warned(&plummet(&args));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("warmup = 3") && lines[0].contains("2 of 4 runs"), "{lines:?}");
    let counts: Vec<usize> = (answer.as_array().unwrap().iter())
        .map(|run| run["warnings"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [0, 1, 0, 1]);
}
