//! The page of an experiment: one file, no network, nothing of its data taken for markup; and driven in a
//! browser where there is one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Place, plummet, text};

/// A page of some runs whose title tries to be markup.
fn page(place: &Place, own: &str) -> PathBuf {
    let shared = "title = 'A </script><b>bold</b> & \"quoted\" title'\nwidth = 8\nheads = 2\nseq = 8\nbatch = 4\nsteps = 12\nprobe-every = 4\n";
    let file = place.file("tried.toml", format!("{shared}{own}").as_bytes());
    let reports = place.dir.path().join("out");
    let places = ["--store", text(&place.store), "--reports", text(&reports)];
    let run = plummet(&[&["run", text(&file)][..], &places].concat());
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    reports.join("tried/report.html")
}

const SEVERAL: &str = "depth = [1, 2]\nwiring = ['pre_ln', 'post_ln']\nlr = [1e-3, 1e-2, 1e9]\nclip = 0\nseed = [1, 2]";

#[test]
fn a_page_is_one_file_whose_data_stays_data() {
    let place = Place::empty();
    let html = fs::read_to_string(page(&place, SEVERAL)).unwrap();
    assert!(html.starts_with("<!doctype html>"));
    let title = "<title>A &lt;/script&gt;&lt;b&gt;bold";
    assert!(html.contains(title), "the title is text");
    assert_eq!(html.matches("</script>").count(), 2, "nothing else ends a script");
    assert_eq!(html.matches("<b>").count(), 0);
    // The namespace of SVG is a name and no address.
    let addresses = html.matches("http").count();
    assert_eq!(addresses, html.matches("http://www.w3.org/2000/svg").count());
    for part in ["{{", "src=", "href=", "@import", "url(http"] {
        assert!(!html.contains(part), "{part}");
    }
    let data = html.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["runs"].as_array().unwrap().len(), 24);
    let kinds: Vec<&str> =
        data["figures"].as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"panels") && kinds.contains(&"maps"), "{kinds:?}");
    // 240 runs are ten times as many: 5 MB are far off.
    assert!(html.len() < 400_000, "{} bytes", html.len());
}

#[test]
fn a_page_works_in_a_browser() {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let version = |name: &&str| {
        let found = Command::new(name).arg("--version").output();
        found.is_ok_and(|output| output.status.success())
    };
    let Some(browser) = names.into_iter().find(version) else {
        println!("skipped: there is no Chromium here");
        return;
    };
    let place = Place::empty();
    for own in [SEVERAL, "steps = 2"] {
        let own = own.replace("steps = 2", "lr = 1e-3");
        let path = page(&place, &own);
        for size in ["1400,1000", "400,800"] {
            let output = Command::new(browser)
                .args([
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--virtual-time-budget=10000",
                ])
                .arg(format!("--window-size={size}"))
                .args(["--dump-dom", &format!("file://{}#check", path.display())])
                .output()
                .unwrap();
            let dom = String::from_utf8_lossy(&output.stdout);
            let found = dom.split("id=\"checked\">").nth(1).and_then(|rest| rest.split('<').next());
            let found = found.unwrap_or_else(|| panic!("no check at {size}: {dom}"));
            assert!(found.contains("ok a tick draws the run"), "{size}: {found}");
            assert!(!found.contains("FAILED"), "{size}: {found}");
        }
    }
}
