//! Consistency of the repository: documents, versions, tests and files.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fake::machine::{Machine, Speaks};

const LARGEST: u64 = 100_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the subcommands that `cage --help` lists.
pub fn subcommands() -> BTreeSet<String> {
    let help = Machine::new().cage("--help").stdout;
    let list = help.split("Commands:\n").nth(1).expect("help lists commands").split("\n\n").next().unwrap();
    let is_entry = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    list.lines().filter(is_entry).map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

/// Returns the lines of code blocks that call cage.
fn examples(markdown: &str) -> Vec<&str> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block && line.trim_start().starts_with("cage ") {
            found.push(line.trim());
        }
    }
    found
}

#[test]
fn the_readme_table_lists_exactly_the_commands() {
    let readme = read("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `cage ")?.split(['`', ' ']).next());
    let rows: Vec<String> = rows.map(str::to_owned).collect();
    assert_eq!(rows.iter().cloned().collect::<BTreeSet<_>>(), subcommands());
    assert_eq!(rows.len(), subcommands().len(), "none twice");
}

/// Returns the names of the documents for users.
fn documents() -> Vec<String> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()));
    let docs = docs.filter(|name| Path::new(name).extension().is_some_and(|end| end == "md"));
    ["README.md".to_owned(), "CHANGELOG.md".to_owned()].into_iter().chain(docs).collect()
}

#[test]
fn every_example_in_the_documents_parses() {
    let machine = Machine::in_story(Speaks::Docker, "running");
    symlink(env!("CARGO_BIN_EXE_cage"), machine.root().join("bin/cage")).unwrap();
    let texts: Vec<String> = documents().iter().map(|file| read(file)).collect();
    let examples: Vec<&str> = texts.iter().flat_map(|text| examples(text)).collect();
    assert!(examples.len() > 3, "{examples:?}");
    let code = |line: &str| {
        let outcome = machine.run(machine.command("/bin/sh").args(["-c", line]));
        (outcome.code, outcome.stderr)
    };
    assert_eq!(code("cage start --no-such-flag").0, 2, "the control");
    for line in examples {
        let (code, stderr) = code(line);
        assert!(![2, 126, 127].contains(&code), "{line}: {stderr}");
    }
}

#[test]
fn every_command_that_the_documents_mention_exists() {
    let known = subcommands();
    for file in documents() {
        let text = read(&file);
        for mention in text.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("cage ")) {
            let word = mention.split_whitespace().next().unwrap_or_default();
            assert!(word.starts_with('-') || known.contains(word), "{file}: `cage {mention}`");
        }
    }
}

/// Options of other programs that the documents mention.
const OTHERS_OPTIONS: [&str; 13] = [
    "--dangerously-skip-permissions", // Claude Code
    "--global",                       // git config
    "--internal",                     // docker network create
    "--locked",                       // cargo install
    "--shared",                       // git clone
    "--test",                         // cargo test
    "--uninstall",                    // install.sh
    "--path",                         // cargo install
    "--cap-add",                      // the engines' create
    "--security-opt",
    "--http-proxy", // podman's create
    "--log-driver",
    "--ssh-agent", // colima start
];

#[test]
fn every_option_that_the_documents_mention_exists() {
    let machine = Machine::new();
    let mut known = BTreeSet::new();
    for command in subcommands() {
        known.extend(options_in(&machine.cage(&format!("help {command}")).stdout));
    }
    let others = BTreeSet::from(OTHERS_OPTIONS.map(str::to_owned));
    let mut mentioned = BTreeSet::new();
    for file in ["README.md", "SECURITY.md"] {
        let options = options_in(&read(file));
        for option in &options {
            assert!(
                known.contains(option) || others.contains(option),
                "{file}: no command of cage takes {option}"
            );
        }
        mentioned.extend(options);
    }
    assert!(others.is_subset(&mentioned), "not all of these are mentioned any more: {others:?}");
}

/// Returns the long options that a text mentions.
fn options_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let words = words
        .filter(|word| word.starts_with("--") && word[2..].starts_with(|c: char| c.is_ascii_lowercase()));
    words.map(str::to_owned).collect()
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
    let security = read("SECURITY.md");
    let rows = security
        .lines()
        .filter(|line| line.starts_with("| ") && line[2..].starts_with(|c: char| c.is_ascii_digit()));
    let rows: Vec<_> = rows.map(columns).collect();
    let modules = read("tests/engines/threats/mod.rs");
    for (row, number) in rows.iter().zip(1..) {
        let [name, file] = [format!("row_{number:02}"), format!("tests/engines/threats/row_{number:02}.rs")];
        assert_eq!(row.len(), 6, "{row:?}");
        assert_eq!(row[0], number.to_string());
        assert!(row.iter().all(|column| !column.is_empty()), "{row:?}");
        assert_eq!(row[4], format!("[`threats::{name}`]({file})"));
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
    assert_eq!(rows.len(), 33);
}

#[test]
fn the_published_crate_has_the_source_and_what_users_read() {
    let args = ["package", "--list", "--allow-dirty", "--offline", "--quiet"];
    let output = Command::new(env!("CARGO")).args(args).current_dir(root()).output().expect("cargo runs");
    let listed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && listed.contains("src/main.rs"), "{output:?}");
    let belongs = |file: &&str| {
        let is_for_users = ["CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md"].contains(file);
        is_for_users || ["src/", "Cargo.", ".cargo_vcs_info.json"].iter().any(|start| file.starts_with(start))
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
