//! Invalid input and failures: one clear error that names the cause, a hint if there is one, the right exit code, and
//! nothing left behind.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use super::machine::{Cage, Machine, Speaks};

#[test]
fn a_usage_error_exits_with_2_before_any_engine_call() {
    for (args, says) in [
        ("strat", "'start'"),
        ("frobnicate", "unrecognized subcommand 'frobnicate'"),
        ("start --detahc", "similar argument exists: '--detach'"),
        ("start --privileged", "unexpected argument '--privileged'"),
        ("list extra", "unexpected argument 'extra'"),
        ("run", "<CMD>..."),
        ("start -p", "a value is required for '--publish <HOST:PORT>'"),
        ("start -p 3000:http", "`http` is not a port from 1 to 65535"),
        ("start -p 70000:80", "`70000` is not a port from 1 to 65535"),
        ("start -p -1", "invalid value '-1' for '--publish <HOST:PORT>'"),
        ("start -p localhost:80:80", "`localhost` is not an IP address"),
        ("start -v data", "expected SOURCE:TARGET[:ro], such as ./data:/data"),
        ("start -v ./a:relative", "the target is not an absolute path"),
        ("start -v ./a:/b:rx", "unknown option `rx`"),
        ("restart -p x", "`x` is not a port"),
        ("upgrade -v x", "expected SOURCE:TARGET"),
        ("run -p x true", "`x` is not a port"),
    ] {
        let machine = Machine::in_story(Speaks::Docker, "none");
        let outcome = machine.cage(args);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{args}: {}", outcome.stderr);
        assert!(
            outcome.stderr.starts_with("error: ") && outcome.stderr.contains(says),
            "{args}: {}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains("--help"), "{args}: {}", outcome.stderr);
        let about_a_value = args.contains(" -p") || args.contains(" -v");
        assert!(outcome.stderr.contains("Usage: cage ") || about_a_value, "{args}: {}", outcome.stderr);
        assert!(machine.engine().all_calls().is_empty(), "{args}");
    }
}

const NAMES: [&str; 20] = [
    "two words",
    "été",
    "日本語",
    "it's",
    "say \"hi\"",
    "a:b",
    "a,b",
    "a=b",
    "-rf",
    "--privileged",
    "line\nbreak",
    "tab\there",
    "red\u{1b}[31m",
    "bell\u{7}",
    "c1\u{9b}31m",
    "\u{202e}txt.exe",
    "$(touch x)`touch x`;touch x",
    "back\\slash",
    " ",
    "...",
];

#[test]
fn any_directory_name_works_and_is_escaped() {
    let long = "x".repeat(200);
    for name in NAMES.into_iter().chain([long.as_str()]) {
        let mut machine = Machine::in_story(Speaks::Docker, "none");
        machine.enter(name);
        let path = machine.project.to_str().unwrap().to_owned();
        for args in ["start --verbose", "start --dry-run", "status", "stop", "restart", "shell", "upgrade"] {
            let outcome = machine.cage(args);
            outcome.assert_harmless();
            assert_ne!(outcome.code, 2, "{name:?}: {args}");
        }
        let outcome = machine.cage("start");
        assert_eq!(outcome.code, 0, "{name:?}: {}", outcome.stderr);
        let create = outcome.call("create");
        let value = |flag: &str| create[create.iter().position(|word| word == flag).unwrap() + 1].as_str();
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        assert!(
            value("--hostname").chars().all(legal) && value("--hostname").len() <= 64,
            "{name:?}: {}",
            value("--name")
        );
        assert_eq!(outcome.stdout, format!("{}\n", value("--hostname")));
        assert_eq!((value("--name"), value("--workdir")), (value("--hostname"), path.as_str()));
        assert!(create.contains(&format!("cage.project={path}")));
        let fields = [format!("source={path}"), format!("target={path}")].map(|field| {
            let special = field.contains([',', '"', '\n']);
            if special { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
        });
        assert!(create.contains(&format!("type=bind,{}", fields.join(","))), "{create:?}");
    }
}

#[test]
fn list_prints_one_line_per_project_with_an_unusual_name() {
    let mut machine = Machine::in_story(Speaks::Docker, "none");
    let cages: Vec<Cage> = NAMES
        .into_iter()
        .map(|name| {
            machine.enter(name);
            let started = machine.cage("start").stdout;
            Cage { name: started.trim().to_owned(), status: "exited".into(), ..Cage::of(&machine.project) }
        })
        .collect();
    for cage in &cages {
        machine.engine().add(cage);
    }
    machine.engine().tell_cages(&cages);
    let outcome = machine.cage("list");
    outcome.assert_harmless();
    assert_eq!(outcome.stdout.lines().count(), NAMES.len() + 1, "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("directory gone"), "{}", outcome.stdout);
    machine.cage("obliterate").assert_harmless();
}

#[test]
fn output_of_engines_and_variables_is_escaped() {
    let mut machine = Machine::in_story(Speaks::Docker, "none, local image");
    machine.engine().answer("create", 1, "no\u{1b}]0;title\u{7} \u{9b}31m", "");
    let outcome = machine.cage("start --verbose");
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains(r"no\u{1b}]0;title\u{7} \u{9b}31m"), "{}", outcome.stderr);
    outcome.assert_harmless();
    machine.cage_args(["--runtime", "\u{1b}[2J", "list"]).assert_harmless();
    machine.cage_args(["-C", "\u{1b}[2J", "start"]).assert_harmless();
    machine.cage_args(["stop", "\u{1b}[2J"]).assert_harmless();
    machine.cage_args(["start", "-v", "./\u{1b}[2J:/x"]).assert_harmless();
    machine.cage_args(["start", "-p", "\u{1b}[2J\u{7}"]).assert_harmless();
    machine.cage_args(["\u{1b}[2J\u{7}"]).assert_harmless();
    machine.env.push(("CAGE_IMAGE", "\u{1b}[2J\u{7}".into()));
    machine.cage("start").assert_harmless();
}

#[test]
fn a_directory_that_is_not_utf8_is_refused() {
    let mut machine = Machine::in_story(Speaks::Docker, "none");
    machine.enter(OsStr::from_bytes(b"latin\xe9"));
    let outcome = machine.cage("start");
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stderr.contains("its path is not valid UTF-8\nhint: rename the directory"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.changes().is_empty());
    assert_eq!(machine.cage("list").code, 0, "other commands work from there");
}

#[test]
fn a_missing_directory_is_named() {
    let machine = Machine::in_story(Speaks::Docker, "none");
    fs::write(machine.project.join("file"), "").unwrap();
    for (directory, why) in [("nope", "No such file or directory"), ("file", "it is not a directory")] {
        let outcome = machine.cage(&format!("-C {directory} start"));
        assert_eq!((outcome.code, outcome.calls.len()), (1, 0));
        let expected = format!("error: cannot use directory {directory}: {why}");
        assert!(outcome.stderr.starts_with(&expected), "{}", outcome.stderr);
    }
}

#[test]
fn a_deleted_directory_is_an_error_only_for_commands_that_need_one() {
    let mut machine = Machine::in_story(Speaks::Docker, "running");
    let (project, name) = (machine.project.clone(), Cage::of(&machine.project).name);
    machine.enter("gone");
    let cage = |args: &str| {
        fs::create_dir_all(&machine.project).unwrap();
        let script = format!("/bin/rmdir ../gone && exec {} {args}", env!("CARGO_BIN_EXE_cage"));
        machine.run(machine.command("/bin/sh").args(["-c", &script]))
    };
    for args in ["start", "stop", "status", "-C . start", "run true"] {
        let outcome = cage(args);
        assert_eq!(
            (outcome.code, outcome.calls.len()),
            (if args == "run true" { 125 } else { 1 }, 0),
            "{args}"
        );
        let expected = "error: the current directory no longer exists\nhint: ";
        assert!(outcome.stderr.starts_with(expected), "{args}: {}", outcome.stderr);
    }
    for args in [
        "list",
        "version",
        &format!("stop {name}"),
        &format!("rm {name}"),
        &format!("-C {} status", project.display()),
    ] {
        let outcome = cage(args);
        assert_eq!(outcome.code, 0, "{args}: {}", outcome.stderr);
    }
}

#[test]
fn a_missing_home_means_no_settings() {
    let mut machine = Machine::in_story(Speaks::Docker, "none");
    // An unset HOME would be looked up in the system's user database.
    machine.env.push(("HOME", "not/absolute".into()));
    // Without a home any directory above the project may be another project.
    machine.env.push(("CAGE_RUNTIME", machine.root().join("bin/docker").into()));
    assert_eq!(machine.cage("start").code, 0);
    machine.env.retain(|(name, _)| *name != "HOME");
    assert_eq!(machine.cage("status").code, 0);
}

#[test]
fn an_image_that_can_not_be_pulled_is_named() {
    for (speaks, words) in
        [(Speaks::Docker, "Error: No such image: lab"), (Speaks::Podman, "Error: lab: image not known")]
    {
        let machine = Machine::in_story(speaks, "none, local image, image missing");
        machine.engine().answer("run.before-pull", 125, words, "");
        let outcome = machine.cage("start");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
        assert!(outcome.stderr.contains("error: ") && outcome.stderr.contains(words), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("\nhint: ") && outcome.stderr.contains("CAGE_IMAGE"),
            "{}",
            outcome.stderr
        );
        assert!(outcome.changes().is_empty(), "{:?}", outcome.calls);

        let machine = Machine::in_story(speaks, "none, offline, image missing");
        let outcome = machine.cage("start");
        let changes: Vec<&str> = outcome.changes().iter().map(|call| call[0].as_str()).collect();
        assert_eq!((outcome.code, changes), (1, vec!["pull"]));
        assert!(
            machine
                .anonymous(&outcome.stderr)
                .lines()
                .any(|line| line.starts_with("error: ") && line.contains("IMAGE"))
        );
    }
}

#[test]
fn a_full_disk_has_a_hint_and_leaves_nothing() {
    let outcome = Machine::in_story(Speaks::Docker, "none, create fails").cage("start");
    assert_eq!((outcome.code, outcome.changes().last().unwrap()[0].as_str()), (1, "create"));
    assert!(outcome.stderr.contains("no space left on device\nhint: free some space"), "{}", outcome.stderr);

    let machine = Machine::in_story(Speaks::Docker, "none");
    machine.engine().answer("start", 1, "Error response from daemon: write /x: no space left on device", "");
    let outcome = machine.cage("start");
    let changes: Vec<&str> = outcome.changes().iter().map(|call| call[0].as_str()).collect();
    assert_eq!((outcome.code, changes), (1, vec!["pull", "create", "run", "start", "rm"]));
}

#[test]
fn a_failing_undo_is_reported_after_the_error() {
    let machine = Machine::in_story(Speaks::Docker, "none, start fails");
    machine.engine().answer("rm", 1, "Error response from daemon: busy", "");
    let stderr = machine.cage("start").stderr;
    assert!(
        stderr.contains("cage: warning: could not undo the steps so far") && stderr.contains("busy"),
        "{stderr}"
    );
    assert!(stderr.contains("\nerror: port 127.0.0.1:3000 is taken\n"), "{stderr}");
}

#[test]
fn an_invalid_engine_answer_is_an_error_with_the_command() {
    for rubbish in ["", "not json", "{}", "[{\"State\": 7, \"Image\": 7}]", "\u{0}\u{1b}[2J"] {
        let machine = Machine::in_story(Speaks::Docker, "none");
        machine.engine().answer("container-inspect", 0, "", rubbish);
        let outcome = machine.cage("status");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""), "{rubbish}");
        assert!(
            outcome.stderr.starts_with("error: cannot read the answer of `docker container inspect"),
            "{}",
            outcome.stderr
        );
        outcome.assert_harmless();
    }
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let machine = Machine::in_story(Speaks::Docker, "running");
    for args in ["list", "status", "start", "start --dry-run", "version", "--version", "help", "--help", ""] {
        let mut command = machine.command(env!("CARGO_BIN_EXE_cage"));
        let command = command.args(args.split_whitespace()).stderr(Stdio::piped());
        let control = command.output().unwrap();
        assert!(control.status.success() && !control.stdout.is_empty(), "the control: {args}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = command.stdout(writer).spawn().unwrap();
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "`cage {args} | true`");
    }
}

#[test]
fn unwritable_output_is_an_error() {
    // The control of the test above: other write errors are reported.
    if let Ok(full) = fs::File::options().write(true).open("/dev/full") {
        let machine = Machine::in_story(Speaks::Docker, "running");
        let output = machine.command(env!("CARGO_BIN_EXE_cage")).arg("status").stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "));
    }
}
