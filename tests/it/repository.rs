//! Consistency of the repository: documents, versions, tests and files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fake::machine::Machine;

const LARGEST: u64 = 100_000;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the subcommands that `cage --help` lists.
pub fn subcommands() -> BTreeSet<String> {
    let help = Machine::new().cage("--help").stdout;
    let list = help.split("Commands:\n").nth(1).expect("help lists commands").split("\n\n").next().unwrap();
    let is_entry = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    list.lines().filter(is_entry).map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn manifest_and_changelog_agree_on_the_version() {
    let version = env!("CARGO_PKG_VERSION");
    let changelog = read("CHANGELOG.md");
    let top = changelog.lines().find_map(|line| line.strip_prefix("## ")).expect("an entry");
    let top = top.trim_start_matches(['[', 'v']).split([' ', ']']).next();
    assert_eq!(top, Some(version), "CHANGELOG.md");
}

/// Returns the columns of a table's row, without the outer bars.
fn columns(row: &str) -> Vec<&str> {
    row.trim_matches('|').split(" | ").map(str::trim).collect()
}

#[test]
fn every_row_of_the_table_of_threats_has_a_test_that_runs_on_every_engine() {
    let page = read("docs/threat-model.md");
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && line[2..].starts_with(|c: char| c.is_ascii_digit()));
    let rows: Vec<_> = rows.map(columns).collect();
    let modules = read("tests/engines/threats/mod.rs");
    for (row, number) in rows.iter().zip(1..) {
        let [name, file] = [format!("row_{number:02}"), format!("tests/engines/threats/row_{number:02}.rs")];
        assert_eq!(row.len(), 6, "{row:?}");
        assert_eq!(row[0], number.to_string());
        assert!(row.iter().all(|column| !column.is_empty()), "{row:?}");
        assert_eq!(row[4], format!("[`threats::{name}`](../{file})"));
        assert!(row[5].starts_with("all"), "{row:?}");
        assert!(modules.contains(&format!("\nmod {name};\n")), "{name} is no module");
        // The functions that the file names exist, and at least one of them is tested on every engine.
        let text = read(&file);
        assert!(text.starts_with(&format!("//! Row {number}: ")), "{file}");
        let mut on_every_engine = 0;
        for list in text.split("on_each_engine!(").skip(1) {
            let list = list.split(')').next().unwrap();
            let (engines, bodies) = list.split_once(':').unwrap_or(("", list));
            assert!(["", "everybody", "clients"].contains(&engines.trim()), "{file}: {engines}");
            for body in bodies.split(',').map(str::trim).filter(|body| !body.is_empty()) {
                assert!(text.contains(&format!("\nfn {body}(world: &World) {{\n")), "{file}: {body}");
                on_every_engine += usize::from(engines.trim() != "clients");
            }
        }
        assert!(on_every_engine > 0, "{file} has no test on every engine");
    }
    assert_eq!(rows.len(), 34);
}

#[test]
fn the_published_crate_has_the_source_and_what_users_read() {
    let args = ["package", "--list", "--allow-dirty", "--offline", "--quiet"];
    let output = Command::new(env!("CARGO")).args(args).current_dir(root()).output().expect("cargo runs");
    let listed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && listed.contains("src/main.rs"), "{output:?}");
    let belongs = |file: &&str| {
        let is_for_users = ["CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md"].contains(file);
        is_for_users
            || ["src/", "docs/", "Cargo.", ".cargo_vcs_info.json"].iter().any(|start| file.starts_with(start))
    };
    let others: Vec<&str> = listed.lines().filter(|file| !belongs(file)).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn no_large_or_built_file_is_tracked() {
    let git = ["-c", "safe.directory=*", "ls-files", "-z"];
    let output = Command::new("git").args(git).current_dir(root()).output().expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files: Vec<PathBuf> = output
        .stdout
        .split(|byte| *byte == 0)
        .map(|name| String::from_utf8_lossy(name).into_owned().into())
        .collect();
    assert!(files.contains(&"Cargo.toml".into()));
    for file in files {
        let path = root().join(&file);
        let size = fs::symlink_metadata(&path).map_or(0, |metadata| metadata.len());
        assert!(size <= LARGEST || path.is_dir(), "{} has {size} bytes", file.display());
        let name = file.to_string_lossy();
        let built =
            name.starts_with("target/") || name.ends_with(".snap.new") || name.ends_with(".pending-snap");
        assert!(!built, "{name} is tracked");
    }
}
