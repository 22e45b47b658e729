//! The user's name and address for git, and the keys of hosts, on their way into a cage.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::machine::{Machine, Outcome, Speaks};

/// Returns a machine with these files in the home, and a project whose repository has this configuration.
fn machine(files: &[(&str, &str)], config: &str) -> Machine {
    // There is no git in its PATH.
    let machine = Machine::in_story(Speaks::Docker, "none");
    let own = machine.project.join(".git/config");
    for (path, text) in
        files.iter().map(|(path, text)| (machine.home().join(path), *text)).chain([(own, config)])
    {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    machine
}

/// Returns the archive that the script of a dry run puts into the container.
fn archive(outcome: &Outcome) -> String {
    let line =
        outcome.stdout.lines().find_map(|line| line.strip_prefix("printf %s ")?.split_once(" | base64 -d"));
    let data = BASE64_STANDARD.decode(line.unwrap().0).unwrap();
    String::from_utf8_lossy(&data).into_owned()
}

#[test]
fn a_dry_run_shows_how_they_come_in_and_nothing_else_does() {
    let settings =
        "[user]\nname = Jane\nemail = j@example.com\nsigningkey = SECRET\n[http]\nextraHeader = SECRET\n";
    let known = "one.example ssh-ed25519 AAAA\nSECRET.example ssh-ed25519 BBBB\n";
    let remotes = "[remote \"a\"]\nurl = git@one.example:x\n[remote \"b\"]\nurl = ext::SECRET.example:x\n\
                   [remote \"c\"]\nurl = \"SECRET.example:x\\ny\"\n[remote \"d\"]\nurl = ssh://-oSECRET.example/x\n\
                   [remote \"e\"]\nurl = ssh://*/x\n[remote \"f\"]\nurl = S*:x\n";
    let machine = machine(&[(".gitconfig", settings), (".ssh/known_hosts", known)], remotes);
    let outcome = machine.cage("start --dry-run");
    let archive = archive(&outcome);
    assert!(archive.contains("[user]\n\tname = \"Jane\"\n\temail = \"j@example.com\"\n"), "{archive}");
    assert!(archive.contains("one.example ssh-ed25519 AAAA\n"), "{archive}");
    assert!(!archive.contains("SECRET") && !outcome.stdout.contains("SECRET"), "{archive}");
    assert!(!outcome.stdout.contains("Jane"), "{}", outcome.stdout);
    let without = machine.cage("start --dry-run --no-git-identity");
    assert!(!self::archive(&without).contains("[user]"));
    let outcome = machine.cage("start -d");
    assert_eq!((outcome.code, outcome.stderr.contains("warning")), (0, false), "{}", outcome.stderr);
    assert!(!outcome.calls.concat().concat().contains("Jane"), "{:?}", outcome.calls);
}

#[test]
fn a_file_that_cannot_be_read_is_one_warning() {
    let remote = "[remote \"o\"]\nurl = git@one.example:x\n";
    for (files, warning) in [
        (vec![(".gitconfig/x", "")], "git's file HOME/.gitconfig: it is not a regular file"),
        (vec![(".gitconfig", "[include]\npath = .gitconfig\n")], "too many files include each other"),
        (vec![(".gitconfig", "[user")], "git refuses it because of an error in it"),
        (vec![(".ssh/known_hosts/x", "")], "file HOME/.ssh/known_hosts: it is not a regular file"),
    ] {
        let machine = machine(&files, remote);
        let outcome = machine.cage("start -d");
        let warning = warning.replace("HOME", machine.home().to_str().unwrap());
        assert_eq!((outcome.code, outcome.stderr.matches("warning").count()), (0, 1), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&warning), "{}", outcome.stderr);
    }
}
