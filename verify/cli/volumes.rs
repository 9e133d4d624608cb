//! Volumes: known by their content, and refused by their field where they do not hold.

use super::support::*;
use std::fs;
use std::path::Path;
use std::process::Output;

/// A NIfTI file of bytes that vary, with some fields changed.
fn nifti(dims: [i16; 3], changes: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 352];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &348i32.to_le_bytes());
    for (axis, size) in [3, dims[0], dims[1], dims[2]].into_iter().enumerate() {
        put(40 + 2 * axis, &size.to_le_bytes());
    }
    put(70, &2i16.to_le_bytes());
    (0..4).for_each(|axis| put(76 + 4 * axis, &1f32.to_le_bytes()));
    put(108, &352f32.to_le_bytes());
    put(344, b"n+1\0");
    changes.iter().for_each(|(at, field)| put(*at, field));
    let count = dims.iter().map(|&size| i64::from(size)).product::<i64>();
    // Light where the sum of a few waves is high.
    bytes.extend((0..count).map(|i| (i % 7 * (i / 9 % 11) + i / 300 % 5) as u8));
    bytes
}

fn good() -> Vec<u8> {
    nifti([40, 8, 9], &[])
}

/// Flags of a task whose cubes fit into such a volume.
const TASK: &[&str] = &["--task", "volume(patch=1)", "--seq", "27"];

fn train(place: &Place, volume: &Path, target: &Path, more: &[&str]) -> Output {
    let files = ["--volume", text(volume), "--target", text(target)];
    place.train(&[TASK, &files, more].concat())
}

#[test]
fn a_run_is_known_by_the_content_of_both_volumes() {
    let place = Place::empty();
    let volume = place.file("t1.nii", &good());
    let target = place.file("gm.nii", &nifti([40, 8, 9], &[(112, &0.5f32.to_le_bytes())]));
    let run = |more: &[&str]| json(&train(&place, &volume, &target, &[&["--json"], more].concat()));
    let first = run(&[]);
    assert_eq!(first["baseline"], "mean");
    assert!(first["references"].to_string().contains("ridge"));
    assert_ne!(first["config"]["volume-sha256"], first["config"]["target-sha256"]);
    // The same content under another name, and standing for more than is asked.
    let moved = place.dir.path().join("moved.nii");
    fs::copy(&volume, &moved).unwrap();
    let again = json(&train(&place, &moved, &target, &["--json"]));
    assert_eq!(again["run"], first["run"]);
    assert_ne!(run(&["--samples", "4"])["run"], first["run"]);
    let mut other = fs::read(&target).unwrap();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&target, other).unwrap();
    let output = train(&place, &volume, &target, &["--json"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.starts_with("note: target = ") && errors.contains("learned anew"), "{errors}");
    let second: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_ne!(first["run"], second["run"]);
}

#[test]
fn a_volume_that_does_not_hold_is_refused() {
    let place = Place::with_a_run();
    let before = fs::read(&place.store).unwrap();
    let good_file = place.file("good.nii", &good());
    let mut short = good();
    short.truncate(1000);
    let cases: [(&str, &[u8], &[&str]); 8] = [
        ("empty.nii", b"", &["a whole NIfTI-1 file", "ends within its header"]),
        ("prices.csv", &b"Date,Close\n2020-01-02,3\n".repeat(40), &["does not begin with 348"]),
        ("short.nii", &short, &["ends within its voxels, behind 0 of 2880"]),
        ("gzip.nii.gz", b"\x1f\x8b\x08\0\0\0\0\0", &["ends within its header"]),
        ("many.nii", &nifti([40, 8, 9], &[(40, &[4, 0]), (48, &[6, 0])]), &["40 × 8 × 9 × 6"]),
        ("none.nii", &nifti([40, 8, 9], &[(42, &[0, 0])]), &["1 voxel or more", "0 × 8 × 9"]),
        (
            "huge.nii",
            &nifti([40, 8, 9], &[(42, &[0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f])]),
            &["32767 × 32767 × 32767"],
        ),
        (
            "kind.nii",
            &nifti([40, 8, 9], &[(70, &128i16.to_le_bytes())]),
            &["a datatype of 2 uint8", "is 128"],
        ),
    ];
    for (name, bytes, named) in cases {
        let file = place.file(name, bytes);
        for (field, output) in [
            ("volume = ", train(&place, &file, &good_file, &["--memory", "64MiB"])),
            ("target = ", train(&place, &good_file, &file, &["--memory", "64MiB"])),
        ] {
            let line = refused(&output, &[&[field, name, "allowed is"], named].concat());
            assert!(line.contains("(this one"), "{line}");
        }
    }
    let longer = place.file("longer.nii", &nifti([40, 8, 10], &[]));
    let moved = nifti([40, 8, 9], &[(254, &[1, 0]), (280, &2f32.to_le_bytes())]);
    let moved = place.file("moved.nii", &moved);
    let missing = place.dir.path().join("missing.nii");
    let folder = place.dir.path();
    let good = &good_file;
    for (output, named) in [
        (train(&place, &missing, good, &[]), ["volume = ", "missing.nii", "a readable file"]),
        (train(&place, good, folder, &[]), ["target = ", "a readable file", "directory"]),
        (train(&place, good, &longer, &[]), ["target = ", "40 × 8 × 9 voxels", "40 × 8 × 10"]),
        (train(&place, good, &moved, &[]), ["target = ", "at the place of", "voxels apart"]),
        (train(&place, good, good, &["--samples", "0"]), ["samples = 0", "auto", "from 1 up"]),
        (
            train(&place, good, good, &["--samples", "9999"]),
            ["samples = 9999", "auto, or 1 to", "that there are"],
        ),
        (
            train(&place, Path::new("/dev/zero"), good, &["--memory", "32MiB"]),
            ["volume = /dev/zero", "up to 32.0 MiB", "goes on"],
        ),
    ] {
        refused(&output, &named);
    }
    let flat = ["--task", "volume(patch=8)"];
    let files = ["--volume", text(good), "--target", text(good), "--seq", "27"];
    let line =
        refused(&place.train(&[&flat[..], &files].concat()), &["volume = ", "cubes of 24 voxels"]);
    assert!(line.contains("40 × 8 × 9"), "{line}");
    let alone = place.train(&[TASK, &["--volume", text(good)]].concat());
    refused(&alone, &["target = ''", "beside --volume"]);
    let alone = place.train(&[TASK, &["--target", text(good)]].concat());
    refused(&alone, &["volume = ''", "beside --target"]);
    assert_eq!(fs::read(&place.store).unwrap(), before, "a refusal changed the store");
}

#[test]
fn a_volume_comes_from_a_pipe_as_well() {
    let place = Place::empty();
    let target = place.file("gm.nii", &good());
    let fifo = place.dir.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let writer = {
        let fifo = fifo.clone();
        std::thread::spawn(move || fs::write(fifo, good()))
    };
    answered(&train(&place, &fifo, &target, &[]));
    writer.join().unwrap().unwrap();
}
