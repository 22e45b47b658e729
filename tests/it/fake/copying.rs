//! Copying files into a new cage with an engine whose `cp` follows links that code in a running cage puts on the way.

use std::fs;

use super::machine::{Cage, Machine, Outcome, Speaks};

const OLD: &str = "20.10.24+dfsg1";

/// Returns a machine with an engine of this version, on which the project's cage and two others run. One shares the home, the
/// other shares nothing.
fn machine(speaks: Speaks, version: &str) -> Machine {
    let machine = Machine::in_story(speaks, "running");
    let mut cages = vec![Cage::of(&machine.project)];
    for name in ["other", "stranger"] {
        let project = machine.root().join(name);
        fs::create_dir(&project).unwrap();
        cages.push(Cage { has_home: name == "other", ..Cage::of(&project) });
    }
    for cage in &mut cages {
        cage.status = "running".into();
        machine.engine().add(cage);
    }
    machine.engine().tell_cages(&cages);
    let info = format!(
        r#"{{"OperatingSystem": "Debian GNU/Linux 12 (bookworm)", "Name": "vm", "ServerVersion": "{version}"}}"#
    );
    machine.engine().answer("info-format", 0, "", &info);
    // A file to be copied.
    fs::write(machine.home().join(".gitconfig"), "[user]\nname = Me\nemail = me@example.com\n").unwrap();
    machine
}

/// Returns the calls from `create` on that matter here, with the names of cages for their IDs.
pub(super) fn calls(machine: &Machine, outcome: &Outcome) -> Vec<String> {
    let matters = ["create", "cp", "pause", "unpause", "stop", "start", "rm"];
    let name = |word: &String| {
        let project = ["src/app", "src", "other", "stranger"].into_iter();
        let cage = project.map(|project| (project, Cage::of(&machine.root().join(project))));
        let own = |(project, cage): (&'static str, Cage)| cage.id.starts_with(word).then_some(project);
        cage.filter(|_| word.len() == 12).find_map(own).unwrap_or(word).to_owned()
    };
    let said = |call: &[String]| {
        let words: Vec<String> = call.iter().map(name).collect();
        if call[0].ends_with("pause") { words.join(" ") } else { words[0].clone() }
    };
    let calls = outcome.changes().into_iter().filter(|call| matters.contains(&call[0].as_str()));
    calls.map(said).collect()
}

#[test]
fn cages_that_can_redirect_a_mount_are_paused_meanwhile() {
    let machine = machine(Speaks::Docker, OLD);
    let restart = |words: &str| {
        let outcome = machine.cage(&format!("restart -d {words}"));
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        calls(&machine, &outcome)
    };
    let (here, in_home) = (format!("-v {}/modules", machine.project.display()), "-v /home/vscode/data");
    // The cage that is replaced stops before.
    assert_eq!(restart(&here), ["create", "stop", "cp", "start", "rm"]);
    assert_eq!(restart(in_home), ["create", "stop", "pause other", "cp", "unpause other", "start", "rm"]);
    assert_eq!(
        restart("-v pg:/pg -v /pg/new"),
        ["create", "cp", "stop", "start", "rm"],
        "nobody else has it"
    );
    assert_eq!(restart("-v /data"), ["create", "cp", "stop", "start", "rm"], "in no other mount");
}

#[test]
fn other_engines_need_no_pause() {
    for (speaks, version) in [(Speaks::Docker, "29.6.0"), (Speaks::Podman, "")] {
        let machine = machine(speaks, version);
        let outcome = machine.cage("restart -d -v /home/vscode/data");
        assert_eq!(calls(&machine, &outcome), ["create", "cp", "stop", "start", "rm"]);
    }
}

#[test]
fn the_others_go_on_whatever_fails() {
    let restart = |prepare: &dyn Fn(&Machine)| {
        let machine = machine(Speaks::Docker, OLD);
        prepare(&machine);
        let modules = machine.project.join("modules");
        let outcome = machine.cage(&format!("restart -d -v /home/vscode/data -v {}", modules.display()));
        assert_eq!(outcome.code, 1, "{}", outcome.stderr);
        (calls(&machine, &outcome), outcome.stderr)
    };
    let (pause, unpause) = ("pause other", "unpause other");
    let (calls, said) = restart(&|machine| machine.engine().answer("cp", 1, "no space left on device", ""));
    assert_eq!(calls, ["create", "stop", pause, "cp", unpause, "rm", "start"], "{said}");
    // A link that was put there at the last moment.
    let (calls, said) = restart(&|machine| {
        let modules = machine.project.join("modules");
        let script = format!("/bin/rmdir {0}; /bin/ln -s /etc {0}", modules.display());
        machine.engine().act("pause", &script);
    });
    assert_eq!(calls, ["create", "stop", pause, unpause, "rm", "start"], "{said}");
    assert!(said.contains("modules: it is a symbolic link"), "{said}");
    let (calls, said) = restart(&|machine| machine.engine().act("pause", "kill -INT $PPID"));
    assert_eq!(calls, ["create", "stop", pause, unpause, "rm", "start"], "{said}");
    assert!(said.contains("error: interrupted"), "{said}");

    let (calls, said) = restart(&|machine| machine.engine().answer("pause", 1, "cgroups not configured", ""));
    assert_eq!(calls, ["create", "stop", pause, unpause, "rm", "start"], "{said}");
    assert!(
        said.contains("error: cannot pause cage-other-") && said.contains("hint: `cage stop` there"),
        "{said}"
    );

    // What is still paused then is told.
    let machine = machine(Speaks::Docker, OLD);
    machine.engine().answer("unpause", 1, "no answer", "");
    let script = machine.cage("--dry-run restart -d -v /home/vscode/data").stdout;
    let at = |words: &str| script.find(words).unwrap_or_else(|| panic!("no {words}: {script}"));
    assert!(at(" create ") < at(" pause ") && at(" pause ") < at(" cp - ") && at(" cp - ") < at(" unpause "));
    let outcome = machine.cage("restart -d -v /home/vscode/data");
    assert_eq!((outcome.code, self::calls(&machine, &outcome).len()), (0, 7), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("cage: warning: cage-other-"));
    assert!(outcome.stderr.contains(" may still be paused, which `cage start` there ends: "));
}
