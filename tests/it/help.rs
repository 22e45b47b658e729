//! The help: every page, its examples, its colours, and the suggestions after typing errors.
//!
//! The pages are snapshots in `snapshots/`. When options or words have changed on purpose,
//! `INSTA_UPDATE=always cargo test --test it help::` writes them anew, and `git diff` shows what is different. That of a
//! command which is no more is to be deleted.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rexpect::reader::Options;
use rexpect::session::spawn_with_options;

use crate::fake::machine::{Machine, Speaks};
use crate::repository::subcommands;

/// Returns the commands that have a page, and "" for cage itself. `help` belongs to clap.
fn pages() -> BTreeSet<String> {
    let mut pages = subcommands();
    assert!(pages.remove("help"));
    pages.insert(String::new());
    pages
}

/// Returns the output at this width, without blanks at the ends of lines.
fn printed(words: &str, columns: &str) -> String {
    let mut machine = Machine::new();
    machine.env.push(("COLUMNS", columns.into()));
    let outcome = machine.cage(words);
    assert_eq!(outcome.code, 0, "{words}: {}", outcome.stderr);
    outcome.stdout.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Returns the part of a page that is aligned by hand.
fn aligned_by_hand(page: &str) -> Vec<&str> {
    page.lines().skip_while(|line| !["Work:", "What the cage can see:", "Examples:"].contains(line)).collect()
}

/// Returns the command lines below `Examples:`.
fn examples(page: &str) -> Vec<&str> {
    let Some((_, examples)) = page.split_once("\nExamples:\n") else { return Vec::new() };
    let examples = examples.split("\n\n").next().unwrap_or_default();
    examples
        .lines()
        .filter_map(|line| line.strip_prefix("  ").filter(|line| line.starts_with("cage ")))
        .map(|line| line.split("  ").next().unwrap_or(line))
        .collect()
}

#[test]
fn every_help_page_matches_its_snapshot() {
    let mut names = BTreeSet::new();
    for command in pages() {
        let short = printed(&format!("{command} -h"), "80");
        let long = printed(&format!("{command} --help"), "80");
        assert_eq!(printed(&format!("help {command}"), "80"), long);
        let mut text = format!("$ cage {command} -h\n{short}");
        if long != short {
            text = format!("{text}\n$ cage {command} --help\n{long}");
        }
        let name = if command.is_empty() { "help".to_owned() } else { format!("help_{command}") };
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name.clone(), text);
        });
        names.insert(format!("{name}.snap"));
    }
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots")).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.filter(|name| name.starts_with("help")).collect();
    assert_eq!(files, names, "a page of each command, and of no other");
}

#[test]
fn help_fits_eighty_columns() {
    for command in pages() {
        for flag in ["-h", "--help"] {
            let words = format!("{command} {flag}");
            let (narrow, wide) = (printed(&words, "80"), printed(&words, "100"));
            for line in narrow.lines() {
                assert!(line.chars().count() <= 80, "{words}: {line}");
            }
            // The options of cage itself come last.
            let by_hand =
                |page: &'static str| aligned_by_hand(page.split("\nOptions:\n  -C").next().unwrap());
            assert_eq!(by_hand(narrow.leak()), by_hand(wide.leak()), "{words}");
        }
    }
    let by_hand = |columns| printed("start -h", columns).leak();
    assert!(aligned_by_hand(by_hand("40")) != aligned_by_hand(by_hand("80")), "the control");
}

#[test]
fn the_short_help_is_one_screen_with_every_command_in_a_group() {
    let page = printed("-h", "80");
    assert_eq!(printed("", "80"), page);
    assert!(page.lines().count() <= 22, "{page}");
    let headings: Vec<&str> = page.lines().filter(|line| line.ends_with(':')).collect();
    assert_eq!(headings, ["Work:", "Look:", "Clean up:", "Set up:"]);
    let long = printed("--help", "80");
    let names = |page: &str| -> BTreeSet<String> {
        page.split(|c: char| !c.is_ascii_lowercase()).map(str::to_owned).collect()
    };
    for command in pages() {
        let is_shown = |page: &str| command.is_empty() || names(page).contains(&command);
        assert!(is_shown(&long) && (command == "version" || is_shown(&page)), "{command}: {page}");
    }
    assert!(printed("start -h", "80").lines().count() <= 40);
    for words in ["Environment:", "CAGE_IMAGE", "Files:", "~/.config/cage/env", "--dry-run"] {
        assert!(long.contains(words) && !page.contains(words), "{words}");
    }
}

#[test]
fn global_options_are_shown_where_they_mean_something() {
    let shows = |command: &str, option: &str| printed(&format!("help {command}"), "80").contains(option);
    for (option, command, others) in [
        ("--dry-run", "start", ["list", "status", "doctor", "version"]),
        ("--runtime", "list", ["version", "completions", "man", "version"]),
        ("--directory", "status", ["obliterate", "rmconfig", "prune", "version"]),
    ] {
        assert!(shows(command, option), "{command} {option}");
        for other in others {
            assert!(!shows(other, option), "{other} {option}");
        }
    }
}

#[test]
fn options_are_grouped_and_the_global_ones_come_last() {
    let page = printed("start --help", "80");
    let headings: Vec<&str> =
        page.lines().filter(|line| line.ends_with(':') && !line.starts_with([' ', '$'])).collect();
    let wanted =
        ["Options:", "Ports, mounts and variables:", "Isolation:", "Limits:", "Global options:", "Examples:"];
    let places: Vec<_> =
        wanted.iter().map(|wanted| headings.iter().position(|heading| heading == wanted)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{headings:?}");
    let isolation = page.split("\nIsolation:\n").nth(1).unwrap().split("\nLimits:\n").next().unwrap();
    for option in ["--no-ssh", "--no-root", "--network", "--allow-nested", "--allow-dangerous-dir"] {
        assert!(isolation.contains(option), "{option}");
    }
}

#[test]
fn start_help_describes_access_and_leaving() {
    let page = printed("help start", "80");
    for words in [
        "What the cage can see:",
        "SSH agent",
        "What it can't see:",
        "docs/threat-model.md",
        "Ctrl-\\",
        "CAGE_DETACH_KEYS",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn every_example_parses() {
    let mut machine = Machine::in_story(Speaks::Docker, "running");
    machine.env.push(("TOKEN", "secret".into()));
    symlink(env!("CARGO_BIN_EXE_cage"), machine.root().join("bin/cage")).unwrap();
    for dir in ["src/app", "datasets"] {
        fs::create_dir_all(machine.home().join(dir)).unwrap();
    }
    let code = |line: &str| code_of(machine.command("/bin/sh").args(["-c", line]));
    assert_eq!(code("cage start --no-such-flag"), Some(2), "the control");
    for command in pages() {
        let page = printed(&format!("{command} --help"), "80");
        let examples = examples(&page);
        assert!(!examples.is_empty(), "cage {command} has no example");
        for line in examples {
            assert!(
                command.is_empty() || line.contains(&format!(" {command}")),
                "{line} on the page of {command}"
            );
            assert!(![Some(2), Some(126), Some(127)].contains(&code(line)), "{line}");
        }
    }
}

/// Returns a command's exit code, or `None` for a command that runs until it is interrupted.
fn code_of(command: &mut Command) -> Option<i32> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

#[test]
fn typing_errors_get_a_suggestion() {
    for (words, meant) in [
        ("strat", "'start'"),
        ("start --publsh 3000", "'--publish'"),
        ("start --home projct", "'project'"),
        ("--runtme podman list", "'--runtime'"),
        ("completions bsh", "'bash'"),
    ] {
        let outcome = Machine::new().cage(words);
        assert_eq!(outcome.code, 2, "{words}");
        let tip = outcome.stderr.lines().find(|line| line.contains("tip: ")).unwrap_or_default();
        assert!(tip.contains(meant), "{words}: {}", outcome.stderr);
    }
}

#[test]
fn help_and_version_exit_with_0() {
    let first = |words| printed(words, "80").lines().next().map(str::to_owned);
    for words in ["", "help", "-h", "--help"] {
        assert!(first(words).is_some_and(|line| line.starts_with("Run coding agents")), "{words}");
    }
    for words in ["version", "--version", "-V"] {
        assert_eq!(first(words), Some(concat!("cage ", env!("CARGO_PKG_VERSION")).to_owned()), "{words}");
    }
}

#[test]
fn colours_are_used_only_on_terminals_or_on_request() {
    let on_a_terminal = |words: &str, variable: Option<&'static str>| {
        let mut machine = Machine::new();
        machine.env.push(("TERM", "xterm".into()));
        machine.env.extend(variable.map(|name| (name, "1".into())));
        let mut command = machine.command(env!("CARGO_BIN_EXE_cage"));
        command.args(words.split(' '));
        let mut session = spawn_with_options(command, Options::new().timeout_ms(Some(30_000))).unwrap();
        session.exp_eof().unwrap()
    };
    for words in ["help start", "strat"] {
        let coloured = on_a_terminal(words, None);
        assert!(coloured.contains("Usage:") && coloured.contains("\u{1b}["), "{words}: {coloured:?}");
        let plain = on_a_terminal(words, Some("NO_COLOR"));
        assert!(plain.contains("Usage:") && !plain.contains('\u{1b}'), "{words}: {plain:?}");
        let piped = Machine::new().cage(words);
        assert!(!piped.stdout.contains('\u{1b}') && !piped.stderr.contains('\u{1b}'), "{words}");
    }
}
