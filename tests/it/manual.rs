//! `cage man`: a page for each command, and no other file overwritten.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::absent;
use crate::fake::machine::Machine;
use crate::repository::subcommands;

fn files(dir: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(dir).map(|files| files.map(|file| file.unwrap().path()).collect()).unwrap_or_default()
}

#[test]
fn every_command_has_a_valid_page() {
    let machine = Machine::new();
    let outcome = machine.cage("man new/man1");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    let pages = files(&machine.project.join("new/man1"));
    let printed: BTreeSet<PathBuf> = outcome.stdout.lines().map(PathBuf::from).collect();
    assert_eq!(printed, pages);
    let commands = subcommands().into_iter().filter(|command| command != "help");
    let wanted = commands.map(|command| format!("cage-{command}.1")).chain(["cage.1".to_owned()]);
    let wanted = wanted.map(|name| machine.project.join("new/man1").join(name)).collect();
    assert_eq!(pages, wanted);

    let broken = machine.project.join("broken.1");
    fs::write(&broken, ".TH x 1\n.SH NAME\n.nosuchmacro\n.EE\n.TE\n").unwrap();
    let formatters: [(&str, &[&str]); 2] =
        [("groff", &["-ww", "-man", "-Tutf8", "-z"]), ("mandoc", &["-T", "lint", "-W", "error"])];
    for (program, args) in formatters {
        let complaints = |pages: &BTreeSet<PathBuf>| {
            let output = Command::new(program).args(args).args(pages).output().ok()?;
            Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
        };
        match complaints(&pages) {
            None => absent("the manual", &format!("{program} is not there")),
            Some(said) => {
                assert_eq!(said, "", "{program}");
                let said = complaints(&BTreeSet::from([broken.clone()]));
                assert!(said.is_some_and(|said| !said.is_empty()), "the control: {program}");
            }
        }
    }
}

#[test]
fn a_page_has_the_flags_and_examples_of_help() {
    let machine = Machine::new();
    machine.cage("man .");
    for command in subcommands().into_iter().filter(|command| command != "help") {
        let page = fs::read_to_string(machine.project.join(format!("cage-{command}.1"))).unwrap();
        let page = page.replace("\\-", "-").replace("\\*(Aq", "'");
        let help = machine.cage(&format!("{command} --help")).stdout;
        let words = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        for flag in words.filter(|word| word.starts_with("--") && word.len() > 2) {
            assert!(page.contains(flag), "{command}: {flag}");
        }
        assert!(page.contains(".SH EXAMPLES") && page.contains(&format!("cage {command}")), "{command}");
    }
    let start = fs::read_to_string(machine.project.join("cage-start.1")).unwrap();
    assert!(
        start.starts_with(".\\\" Written by `cage man`.\n")
            && start.contains("\n.TH cage-start 1 \" \" \"cage "),
        "{start}"
    );
}

#[test]
fn only_earlier_pages_are_replaced() {
    let machine = Machine::new();
    let page = machine.project.join("cage-start.1");
    assert_eq!(machine.cage("man .").code, 0);
    let text = fs::read_to_string(&page).unwrap();
    fs::write(&page, format!("{text}.\\\" of another version\n")).unwrap();
    assert_eq!(machine.cage("man .").code, 0);
    assert_eq!(fs::read_to_string(&page).unwrap(), text);

    let secret = machine.home().join("secret");
    fs::write(&secret, &text).unwrap();
    let cases: [(&str, &dyn Fn()); 4] = [
        ("a file", &|| fs::write(&page, "mine").unwrap()),
        ("an empty file", &|| fs::write(&page, "").unwrap()),
        ("a link to a page", &|| symlink(&secret, &page).unwrap()),
        ("a directory", &|| fs::create_dir(&page).unwrap()),
    ];
    for (what, make) in cases {
        for file in files(&machine.project) {
            fs::remove_file(file).unwrap();
        }
        make();
        let outcome = machine.cage("man .");
        assert_eq!(outcome.code, 1, "{what}");
        assert!(
            outcome.stderr.contains("cage-start.1 exists and was not written by `cage man`"),
            "{}",
            outcome.stderr
        );
        assert_eq!(files(&machine.project), BTreeSet::from([page.clone()]), "{what}");
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), text);
}

#[test]
fn the_directory_is_respected_and_a_dry_run_writes_nothing() {
    let machine = Machine::new();
    let there = machine.home().join("it's here");
    fs::create_dir(&there).unwrap();
    let words = ["-C", there.to_str().unwrap(), "man", "man1"];
    let dry = machine.cage_args(words.into_iter().chain(["--dry-run"]));
    assert_eq!(
        dry.stdout,
        format!("cage man {}\n", shell_words::quote(there.join("man1").to_str().unwrap()))
    );
    assert_eq!(files(&there), BTreeSet::new());
    assert_eq!(machine.cage_args(words).code, 0);
    assert!(there.join("man1/cage.1").is_file());

    fs::write(there.join("file"), "").unwrap();
    let outcome = machine.cage_args(["man", there.join("file/man1").to_str().unwrap()]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("file/man1"), "{}", outcome.stderr);
}
