//! Commands typed below a directory that has a cage: those that use an existing cage use that one and say so.

use super::machine::{Cage, Machine, Speaks};

/// Returns a machine whose `app` has a running cage; the current directory is `app/src/deep`.
fn machine(speaks: Speaks) -> (Machine, Cage) {
    let mut machine = Machine::new();
    machine.install(if speaks == Speaks::Docker { "docker" } else { "podman" }, speaks);
    machine.engine().image(super::machine::IMAGE, super::machine::IMAGE_ID);
    machine.engine().answer("container-inspect-format", 0, "", "running 0\n");
    let mut cage = Cage::of(&machine.project);
    cage.status = "running".into();
    machine.engine().add(&cage);
    machine.engine().tell_cages(&[cage.clone()]);
    machine.enter("app/src/deep");
    (machine, cage)
}

#[test]
fn commands_use_the_cage_of_the_nearest_parent_directory() {
    for speaks in [Speaks::Docker, Speaks::Podman] {
        for command in ["shell", "shell -- ls", "run ls", "status", "stop", "check", "--dry-run forward 3000"]
        {
            let (machine, cage) = machine(speaks);
            // forward first asks which program can connect inside.
            machine.engine().answer("exec", 0, "", "bash /bin/bash\n");
            let outcome = machine.cage(command);
            assert_eq!(outcome.code, 0, "{command}: {}", outcome.stderr);
            let app = machine.root().join("src/app");
            let said = format!("cage: using {}, the cage of {}\n", cage.name, app.display());
            assert_eq!(outcome.stderr.matches(&said).count(), 1, "{command}: {}", outcome.stderr);
            if let Some(exec) = outcome.calls.iter().find(|call| call[0] == "exec") {
                assert!(
                    command.contains("forward") || exec.contains(&machine.project.display().to_string()),
                    "{command} runs where one stands"
                );
                assert!(exec.contains(&cage.id[..12].to_owned()), "{command}: {exec:?}");
            }
        }
    }
}

#[test]
fn the_nearest_cage_is_preferred() {
    let (machine, _) = machine(Speaks::Docker);
    let mut nearer = Cage::of(machine.project.parent().unwrap());
    nearer.status = "running".into();
    machine.engine().add(&nearer);
    let outcome = machine.cage("stop");
    assert!(outcome.stderr.contains(&format!("Stopping {}", nearer.name)), "{}", outcome.stderr);
}

#[test]
fn creating_and_removing_uses_the_exact_directory() {
    for command in ["rm", "restart"] {
        let (machine, cage) = machine(Speaks::Docker);
        let outcome = machine.cage(command);
        assert_eq!((outcome.code, outcome.changes().len()), (1, 0), "{command}: {}", outcome.stderr);
        let missing = format!("error: No container for {}", machine.project.display());
        assert!(outcome.stderr.starts_with(&missing), "{}", outcome.stderr);
        let app = machine.root().join("src/app");
        let advice = format!("hint: `cage {command} -C {}` is for {}, ", app.display(), cage.name);
        assert!(outcome.stderr.contains(&advice), "{}", outcome.stderr);
    }
    let (machine, cage) = machine(Speaks::Docker);
    let outcome = machine.cage("upgrade");
    let advice = format!("is for {}, the cage of that directory\n", cage.name);
    assert!(outcome.code == 0 && outcome.stderr.ends_with(&advice), "{}", outcome.stderr);
}

#[test]
fn start_is_refused_with_a_hint_for_both_choices() {
    let (machine, cage) = machine(Speaks::Docker);
    let outcome = machine.cage("start");
    assert_eq!((outcome.code, outcome.changes().len()), (1, 0), "{}", outcome.stderr);
    let project = machine.project.display();
    let app = machine.root().join("src/app");
    assert_eq!(
        outcome.stderr,
        format!(
            "error: {project} is in {}, where {} can write\n\
             hint: `cage shell` here uses that cage; if you trust the code in it, --allow-nested makes a separate cage\n",
            app.display(),
            cage.name
        )
    );
    assert_eq!(machine.cage("start --allow-nested").code, 0, "the second way out");
}

#[test]
fn a_container_that_only_has_the_name_of_a_cage_above_is_not_used() {
    let (machine, mut cage) = machine(Speaks::Docker);
    cage.labels.clear();
    machine.engine().add(&cage);
    let outcome = machine.cage("stop");
    assert_eq!((outcome.code, outcome.changes().len()), (1, 0), "{}", outcome.stderr);
}

#[test]
fn a_cage_around_another_ones_project_is_made_with_a_warning() {
    for (directory, is_around) in [("", true), ("other", false)] {
        let (mut machine, cage) = machine(Speaks::Docker);
        machine.enter(directory);
        let outcome = machine.cage("start -d");
        let warning =
            format!("warning: the project of {} is in this one: code in this cage can change it", cage.name);
        assert_eq!((outcome.code, outcome.stderr.contains(&warning)), (0, is_around), "{}", outcome.stderr);
    }
}
