//! `cage check` without a real engine.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::machine::{Cage, Machine, Speaks, stories};

/// Returns a machine whose project has two findings.
fn machine(speaks: Speaks, words: &str) -> Machine {
    let machine = Machine::in_story(speaks, words);
    fs::create_dir(machine.project.join("deep")).unwrap();
    fs::write(machine.project.join("deep/.envrc"), "").unwrap();
    fs::write(machine.project.join(".envrc"), "").unwrap();
    machine
}

const ENVRC: &str = ".envrc: file  (direnv runs it when you enter the directory, once you allow it)\n";

#[test]
fn an_empty_project_has_no_findings() {
    stories(
        r"
        none: cage check
          > container inspect NAME NAME.new ; ABOVE
          cage: there is no cage here
          cage: listing all files, new or not
          cage: no files or settings that this machine would run or trust

        running: cage check
          > container inspect NAME NAME.new ; pause ID ; unpause ID
          cage: the cage has no record of what was here before
          cage: listing all files, new or not
          cage: no files or settings that this machine would run or trust
        ",
    );
}

#[test]
fn without_a_cage_or_an_engine_all_findings_are_listed() {
    let everything = format!("{ENVRC}deep/{ENVRC}");
    let expect = |machine: &Machine, said: &str| {
        let outcome = machine.cage("check");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (3, everything.as_str()), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
        let is_pause = |call: &&[String]| ["pause", "unpause"].contains(&call[0].as_str());
        assert!(outcome.changes().iter().all(is_pause), "{:?}", outcome.changes());
    };
    for speaks in [Speaks::Docker, Speaks::Podman] {
        expect(&machine(speaks, "none"), "cage: there is no cage here");
        expect(&machine(speaks, "running"), "cage: the cage has no record");
        expect(&machine(speaks, "stranger, running"), "was not made by cage");
    }
    let down = machine(Speaks::Docker, "none");
    down.engine().is_down();
    expect(&down, "cage: warning: the cage can't be found: ");
}

#[test]
fn findings_in_the_record_of_a_cage_are_not_listed() {
    for (since, expected) in [("0", format!("{ENVRC}deep/{ENVRC}")), ("9999999999", ENVRC.to_owned())] {
        let machine = machine(Speaks::Docker, "none");
        let mut cage = Cage { status: "running".into(), ..Cage::of(&machine.project) };
        cage.labels.push(("cage.seen".into(), String::new()));
        cage.labels.push(("cage.since".into(), since.into()));
        machine.engine().add(&cage);
        let outcome = machine.cage("check");
        assert_eq!((outcome.code, outcome.stdout), (3, expected), "{}", outcome.stderr);

        // A cage that replaces the old one keeps the record.
        let labels = |command: &str| {
            let create = machine.cage(command).call("create").to_vec();
            create.into_iter().filter(|word| word.starts_with("cage.s")).collect::<Vec<_>>()
        };
        assert_eq!(labels("restart"), ["cage.seen=", &format!("cage.since={since}")]);
    }
    // The control: a new cage scans the project.
    let machine = machine(Speaks::Docker, "none");
    let create = machine.cage("start").call("create").to_vec();
    let seen = create.iter().find_map(|word| word.strip_prefix("cage.seen=")).unwrap();
    assert_eq!(seen.len(), 24, "a salt and a digest");
}

#[test]
fn a_file_that_is_too_large_is_not_reported_as_clean() {
    let machine = Machine::in_story(Speaks::Docker, "none");
    fs::create_dir(machine.project.join(".git")).unwrap();
    let config = machine.project.join(".git/config");
    fs::write(&config, "# a comment\n".repeat(10)).unwrap();
    assert_eq!(machine.cage("check").code, 0, "the control");
    fs::write(&config, "# a comment\n".repeat(200_000) + "[core]\nfsmonitor = ./x\n").unwrap();
    let outcome = machine.cage("check");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, ""), "{}", outcome.stderr);
    let said = "cage: warning: the list may be incomplete: .git/config is too large";
    assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    let json: serde_json::Value = serde_json::from_str(&machine.cage("check --json").stdout).unwrap();
    assert_eq!(json["stopped"], ".git/config is too large to be read to its end");
}

#[test]
fn escape_sequences_in_findings_do_not_reach_the_terminal() {
    let machine = machine(Speaks::Docker, "none");
    symlink("/etc/\u{1b}[2J\u{202e}", machine.project.join("a\n\u{1b}]0;x\u{7}\u{9b}")).unwrap();
    fs::create_dir(machine.project.join(".git")).unwrap();
    let config = b"[core]\nfsmonitor = \"./x\\n\x1b[31m\xff\xe2\x80\xae\"\n";
    fs::write(machine.project.join(".git/config"), config).unwrap();
    for args in ["check", "check --all", "check --json"] {
        let outcome = machine.cage(args);
        assert_eq!(outcome.code, 3);
        outcome.assert_harmless();
        assert!(!outcome.stdout.contains('\u{202e}'));
        assert_eq!(outcome.stdout.lines().count(), if args == "check --json" { 1 } else { 4 });
    }
    let json: serde_json::Value = serde_json::from_str(&machine.cage("check --json").stdout).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["project"], machine.project.to_str().unwrap());
    assert_eq!((&json["since"], &json["stopped"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert_eq!(json["findings"][1]["what"], "core.fsmonitor=./x\n\u{1b}[31m\u{fffd}\u{202e}");
    assert_eq!(json["findings"][2]["path"], "a\n\u{1b}]0;x\u{7}\u{9b}");
}

#[test]
fn accepted_findings_are_not_new_until_they_change() {
    let machine = machine(Speaks::Docker, "none");
    let none = machine.cage("check --accept");
    assert_eq!(none.code, 1);
    assert!(
        none.stderr.contains("there is and was no cage here whose findings could be accepted"),
        "{}",
        none.stderr
    );
    let mut cage = Cage { status: "running".into(), ..Cage::of(&machine.project) };
    cage.labels.push(("cage.seen".into(), String::new()));
    cage.labels.push(("cage.since".into(), "0".into()));
    machine.engine().add(&cage);
    let new = |args: &str| machine.cage(args).stdout.lines().count();
    assert_eq!(new("check"), 2, "the control");
    let nothing = machine.cage("check --accept .vscode");
    assert_eq!(nothing.code, 1);
    assert!(nothing.stderr.contains("there is no new finding at .vscode"), "{}", nothing.stderr);
    assert_eq!(new("check"), 2);

    // What changed in this second may change once more.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let accept = machine.cage("check --accept ./x/../.envrc");
    assert_eq!((accept.code, accept.stdout.as_str()), (0, ENVRC), "{}", accept.stderr);
    assert_eq!(new("check"), 1);
    assert_eq!((new("check --accept deep"), new("check"), new("check --all")), (1, 0, 2));
    assert_eq!(machine.cage("check").code, 0);
    fs::write(machine.project.join(".envrc"), "changed").unwrap();
    fs::write(machine.project.join("deep/.envrc"), "").unwrap();
    assert_eq!(new("check"), 2);
    assert_eq!((new("check --accept"), machine.cage("check --accept --all").code), (2, 2));
}

#[test]
fn only_what_was_listed_and_has_not_changed_since_is_accepted() {
    let machine = machine(Speaks::Docker, "none");
    let mut cage = Cage { status: "running".into(), ..Cage::of(&machine.project) };
    cage.labels.push(("cage.seen".into(), String::new()));
    cage.labels.push(("cage.since".into(), "0".into()));
    machine.engine().add(&cage);
    let pause = || std::thread::sleep(std::time::Duration::from_millis(1100));
    let accept = |code: i32, refused: &str| {
        let outcome = machine.cage("check --accept");
        let says = format!("changed since: {refused}; look, then accept again");
        assert_eq!((outcome.code, outcome.stderr.contains(&says)), (code, code == 3), "{}", outcome.stderr);
    };
    let write = |text: &str| fs::write(machine.project.join(".envrc"), text).unwrap();
    pause();
    accept(3, ".envrc, deep/.envrc");
    accept(0, "");
    assert_eq!(machine.cage("check").code, 0, "the control");

    // One changes while the user looks at it, and back.
    write("evil");
    fs::write(machine.project.join("deep/.envrc"), "other").unwrap();
    assert_eq!(machine.cage("check").code, 3);
    pause();
    write("good");
    write("evil");
    accept(3, ".envrc");
    assert_eq!(machine.cage("check").stdout, ENVRC, "the other one is accepted");
    pause();
    write("worse");
    accept(3, ".envrc");
    assert_eq!(machine.cage("check").stdout, ENVRC);
    accept(0, "");
    assert_eq!(machine.cage("check").code, 0);
}

/// Renaming a directory leaves the times of its files alone.
#[test]
fn a_file_that_takes_the_place_of_an_accepted_one_is_new() {
    let machine = Machine::in_story(Speaks::Docker, "none");
    let place = |name: &str| machine.project.join(name);
    for dir in [
        "deep/x/.vscode",
        "deep/node_modules/x/.vscode",
        "deep/x/.git/hooks",
        "deep/node_modules/x/.git/hooks",
    ] {
        fs::create_dir_all(place(dir)).unwrap();
    }
    for (dir, text) in [("deep/x", "good"), ("deep/node_modules/x", "evil")] {
        fs::write(place(dir).join(".vscode/tasks.json"), text).unwrap();
        for file in ["HEAD", "config", "hooks/post-checkout"] {
            fs::write(place(dir).join(".git").join(file), if file == "config" { "" } else { text }).unwrap();
        }
        fs::set_permissions(place(dir).join(".git/hooks/post-checkout"), Permissions::from_mode(0o755))
            .unwrap();
    }
    let mut cage = Cage { status: "running".into(), ..Cage::of(&machine.project) };
    cage.labels.push(("cage.seen".into(), String::new()));
    cage.labels.push(("cage.since".into(), "0".into()));
    machine.engine().add(&cage);
    // What changed in this second may change once more.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    machine.cage("check");
    let listed = machine.cage("check --accept").stdout;
    for file in ["deep/x/.vscode/tasks.json: ", "deep/x/.git/hooks/post-checkout: "] {
        assert!(listed.contains(file), "the control: {listed}");
    }
    assert_eq!(machine.cage("check").code, 0);
    fs::rename(place("deep/x"), place("deep/node_modules/y")).unwrap();
    fs::rename(place("deep/node_modules/x"), place("deep/x")).unwrap();
    let listed_again = machine.cage("check").stdout;
    for file in ["deep/x/.vscode/tasks.json: ", "deep/x/.git/hooks/post-checkout: "] {
        assert!(listed_again.contains(file), "{listed_again}");
    }
}

/// Of a submodule the repository lies outside the project, and paths lead from either into the other.
#[test]
fn files_that_a_repository_outside_the_project_leads_to_are_read() {
    let machine = Machine::in_story(Speaks::Docker, "none");
    let (app, modules) = (&machine.project, machine.project.with_file_name("modules"));
    let repository = modules.join("app");
    for dir in ["objects", "refs", "hooks"] {
        fs::create_dir_all(repository.join(dir)).unwrap();
    }
    let config = format!(
        "[core]\nworktree = ../../app\nsshCommand = {}/ssh\n[include]\npath = ../../app/settings\n",
        repository.display()
    );
    fs::write(repository.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(repository.join("config"), config).unwrap();
    symlink(app.join("hook"), repository.join("hooks/pre-commit")).unwrap();
    fs::write(app.join(".git"), "gitdir: ../modules/app\n").unwrap();
    let files = [app.join("settings"), app.join("hook"), repository.join("ssh")];
    for file in &files {
        fs::write(file, "").unwrap();
    }
    let label = |word: &String| {
        let (name, value) = word.split_once('=')?;
        name.starts_with("cage.s").then(|| (name.to_owned(), value.to_owned()))
    };
    let mut cage = Cage { status: "running".into(), ..Cage::of(app) };
    cage.labels.extend(machine.cage("start").call("create").iter().filter_map(label));
    machine.engine().add(&cage);
    let none = machine.cage("check");
    assert_eq!((none.code, none.stdout.as_str()), (0, ""), "the control: {}", none.stderr);
    for file in &files {
        fs::write(file, "[core]\nfsmonitor = ./x\n").unwrap();
    }
    let outcome = machine.cage("check");
    let there = repository.display();
    let expected = [
        format!("{there}/config: core.sshcommand={there}/ssh  (runs on git fetch, pull and push over SSH)"),
        format!("{there}/hooks/pre-commit: hook, link to {}/hook  (runs on git commit)", app.display()),
        "settings: core.fsmonitor=./x  (runs on every git status)".to_owned(),
    ];
    assert_eq!(
        (outcome.code, outcome.stdout.lines().collect::<Vec<_>>()),
        (3, expected.iter().map(String::as_str).collect())
    );
}

#[test]
fn a_finding_at_a_path_that_is_not_utf_8_can_be_accepted_and_no_other_with_it() {
    let machine = Machine::in_story(Speaks::Docker, "none");
    let names = [b"a\xff", b"a\xfe"].map(|name| OsStr::from_bytes(name));
    for name in names {
        fs::create_dir(machine.project.join(name)).unwrap();
        fs::write(machine.project.join(name).join(".envrc"), "").unwrap();
    }
    let mut cage = Cage { status: "running".into(), ..Cage::of(&machine.project) };
    cage.labels.push(("cage.seen".into(), String::new()));
    cage.labels.push(("cage.since".into(), "0".into()));
    machine.engine().add(&cage);
    // What changed in this second may change once more.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(machine.cage("check").stdout.lines().count(), 2, "the control");
    let accept = machine.cage_args([OsStr::new("check"), OsStr::new("--accept"), names[0]]);
    assert_eq!((accept.code, accept.stdout.lines().count()), (0, 1), "{}", accept.stderr);
    assert_eq!(machine.cage("check").stdout.lines().count(), 1);
}

#[test]
fn check_needs_a_valid_project_directory() {
    let machine = machine(Speaks::Docker, "none");
    let outcome = machine.cage("-C deep check");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, ENVRC));
    assert_eq!(machine.cage("-C / check").code, 1);
    assert_eq!(machine.cage("-C nowhere check").code, 1);
    assert_eq!(machine.cage("check --no-such-flag").code, 2);
}
