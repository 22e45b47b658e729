//! The Homebrew formula, evaluated by a stand-in for Homebrew.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::common::absent;

const TARGETS: [(&str, &str); 4] = [
    ("macos arm", "aarch64-apple-darwin"),
    ("macos intel", "x86_64-apple-darwin"),
    ("linux arm", "aarch64-unknown-linux-musl"),
    ("linux intel", "x86_64-unknown-linux-musl"),
];

/// Evaluates a formula for every system; `None` if there is no Ruby.
fn evaluate(formula: &Path) -> Option<Value> {
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/formula.rb");
    let Ok(output) = Command::new("ruby").arg(stand_in).arg(formula).output() else {
        absent("the formula", "ruby is not there");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Runs `scripts/formula` with these sums.
fn render(version: &str, sums: &str) -> Output {
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/formula"))
        .arg(version)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The script may fail before it reads.
    let _ = script.stdin.take().unwrap().write_all(sums.as_bytes());
    script.wait_with_output().unwrap()
}

/// Returns a file of sums for a version of the release.
fn sums(version: &str) -> String {
    let line =
        |(n, (_, target)): (usize, &(&str, &str))| format!("{:064x}  cage-{version}-{target}.tar.gz", n + 1);
    TARGETS.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_formula_builds_from_source() {
    let formula = Path::new(env!("CARGO_MANIFEST_DIR")).join("Formula/cage.rb");
    let Some(systems) = evaluate(&formula) else { return };
    for (system, _) in TARGETS {
        let head = &systems[format!("{system} head")];
        assert_eq!(head["url"], "https://github.com/pacificsky/cage.git", "{system}");
        assert_eq!(
            head["runs"],
            json!([["cargo", "install", "std_cargo_args"], ["bin/cage", "man", "man1"]])
        );
        assert_eq!(head["depends_on"], json!({"rust": "build"}));
    }
}

#[test]
fn the_formula_of_a_release_installs_its_archives() {
    let output = render("1.2.3", &sums("1.2.3"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let dir = tempfile::tempdir().unwrap();
    let formula = dir.path().join("cage.rb");
    fs::write(&formula, output.stdout).unwrap();
    let Some(systems) = evaluate(&formula) else { return };
    for (n, (system, target)) in TARGETS.iter().enumerate() {
        let said = &systems[*system];
        let archive = format!("cage-1.2.3-{target}.tar.gz");
        assert_eq!(
            said["url"],
            format!("https://github.com/pacificsky/cage/releases/download/v1.2.3/{archive}")
        );
        assert_eq!(said["sha256"], format!("{:064x}", n + 1), "{system}");
        assert_eq!(said["installs"], json!([["bin", "cage"], ["man1", "man/cage.1"]]), "{system}");
        assert_eq!(said["completions"], json!(["bin/cage", "completions"]), "{system}");
        assert_eq!(said["depends_on"], Value::Null, "{system} needs no compiler");
        assert_eq!(systems[format!("{system} head")]["depends_on"], json!({"rust": "build"}), "{system}");
    }
}

#[test]
fn no_formula_without_every_archive() {
    for (missing, (_, target)) in TARGETS.iter().enumerate() {
        let all = sums("1.2.3");
        let lines: Vec<&str> =
            all.lines().enumerate().filter(|(n, _)| *n != missing).map(|(_, line)| line).collect();
        let output = render("1.2.3", &lines.join("\n"));
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(target));
    }
    assert_eq!(render("1.2.4", &sums("1.2.3")).status.code(), Some(1), "another version");
    assert_eq!(render("1.2.3\"; evil", &sums("1.2.3")).status.code(), Some(1));
    let damaged = sums("1.2.3").replace("0000000000000000000", "");
    assert_eq!(render("1.2.3", &damaged).status.code(), Some(1));
}
