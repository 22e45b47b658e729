//! `cage prune`: what is removed and, more important, what is kept.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::machine::{Cage, Machine, Outcome, Speaks};

/// Returns a machine with a deleted project `gone` beside another project.
struct Lost {
    machine: Machine,
    cage: Cage,
}

impl Lost {
    /// Adds the cage of the deleted project in this state.
    fn new(speaks: Speaks, status: &str) -> Self {
        let mut machine = Machine::in_story(speaks, "none");
        machine.enter("gone");
        let gone = machine.project.clone();
        let cage = Cage { status: status.into(), ..Cage::of(&gone) };
        machine.enter("app");
        fs::remove_dir(gone).unwrap();
        let lost = Self { machine, cage };
        lost.has(&[&lost.cage]);
        lost
    }

    /// Makes the engine have these cages.
    fn has(&self, cages: &[&Cage]) {
        for cage in cages {
            self.machine.engine().add(cage);
        }
        self.machine.engine().tell_cages(&cages.iter().map(|cage| (*cage).clone()).collect::<Vec<_>>());
    }

    /// Returns the engine calls that remove something.
    fn removes(&self, outcome: &Outcome) -> Vec<String> {
        let changes = ["rm", "rmi", "volume rm", "run"];
        let calls = outcome.calls.iter().map(|call| call.join(" "));
        let calls = calls.filter(|call| changes.iter().any(|change| call.starts_with(&format!("{change} "))));
        calls.map(|call| call.replace(&self.cage.id[..12], "GONE")).collect()
    }

    fn gone(&self) -> String {
        self.machine.root().join("src/gone").display().to_string()
    }
}

const BOTH: [Speaks; 2] = [Speaks::Docker, Speaks::Podman];

#[test]
fn a_cage_without_directory_is_removed_with_its_link() {
    for speaks in BOTH {
        for status in ["exited", "created", "dead"] {
            let lost = Lost::new(speaks, status);
            let link =
                lost.machine.home().join(".local/state/cage").join(format!("{}.agent", lost.cage.name));
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            fs::write(&link, "").unwrap();
            let outcome = lost.machine.cage("prune --yes");
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
            assert_eq!(
                lost.removes(&outcome),
                ["rm --volumes GONE"],
                "never forced: it may have come to run"
            );
            assert_eq!(
                outcome.stderr,
                format!("cage: Removing {} ({} is gone)\n", lost.cage.name, lost.gone())
            );
            assert!(!link.exists());
        }
    }
}

#[test]
fn running_cages_and_existing_projects_are_kept() {
    for speaks in BOTH {
        for status in ["running", "paused", "restarting", "removing"] {
            let lost = Lost::new(speaks, status);
            let outcome = lost.machine.cage("prune --yes");
            assert_eq!((outcome.code, lost.removes(&outcome)), (0, vec![]), "{status}: {}", outcome.stderr);
            assert!(outcome.stderr.contains(": it is running, although "), "{}", outcome.stderr);
            assert!(outcome.stderr.ends_with("cage: nothing to prune\n"), "{}", outcome.stderr);
        }
        let lost = Lost::new(speaks, "exited");
        let there = Cage { status: "exited".into(), ..Cage::of(&lost.machine.project) };
        lost.has(&[&there, &lost.cage]);
        // The control: the cage beside it without a directory is removed.
        assert_eq!(lost.removes(&lost.machine.cage("prune --yes")), ["rm --volumes GONE"]);
        // A file at the path counts as existing.
        fs::write(lost.gone(), "").unwrap();
        assert_eq!(lost.machine.cage("prune").stderr, "cage: nothing to prune\n");
    }
}

#[test]
fn containers_that_are_not_cages_are_kept() {
    let lost = Lost::new(Speaks::Docker, "exited");
    let stranger = Cage { name: "database".into(), ..lost.cage.clone() };
    lost.has(&[&stranger]);
    let outcome = lost.machine.cage("prune");
    assert_eq!((outcome.stderr.as_str(), lost.removes(&outcome)), ("cage: nothing to prune\n", vec![]));
    // A container with another label.
    let mut other = Lost::new(Speaks::Docker, "exited");
    other.machine.env.push(("CAGE_LABEL", "other.project".into()));
    let outcome = other.machine.cage("prune");
    assert_eq!((outcome.stderr.as_str(), other.removes(&outcome)), ("cage: nothing to prune\n", vec![]));
    assert!(outcome.call("ps").contains(&"label=other.project".to_owned()));
}

#[test]
fn projects_on_unmounted_disks_need_confirmation() {
    for (make, said) in [
        (None, "/src/disk is gone, too: is it on a disk that is not mounted?"),
        (Some("disk/src"), "/src/disk/src is empty: is it on a disk that is not mounted?"),
    ] {
        let mut lost = Lost::new(Speaks::Docker, "exited");
        lost.machine.enter("disk/src/gone");
        let gone = lost.machine.project.clone();
        lost.cage = Cage { status: "exited".into(), ..Cage::of(&gone) };
        lost.machine.enter("app");
        fs::remove_dir_all(lost.machine.root().join("src/disk")).unwrap();
        if let Some(make) = make {
            fs::create_dir_all(lost.machine.root().join("src").join(make)).unwrap();
        }
        lost.has(&[&lost.cage]);
        let outcome = lost.machine.cage("prune");
        assert_eq!(lost.removes(&outcome), [""; 0]);
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("`cage prune --yes` removes it"), "{}", outcome.stderr);
        assert_eq!(lost.removes(&lost.machine.cage("prune --yes")), ["rm --volumes GONE"]);
    }
}

/// Makes the engine have these volumes, some labelled with a project.
fn volumes(lost: &Lost, all: &[&str], labelled: &[(&str, &str)]) {
    let engine = lost.machine.engine();
    engine.answer("volume-ls-format", 0, "", &format!("{}\n", all.join("\n")));
    let (mut names, mut rows) = (String::new(), String::new());
    for (name, path) in labelled {
        let _ = writeln!(names, "{name}");
        let _ = writeln!(rows, "{name} {}", json!({"cage.project": path, "a": "b c"}));
    }
    engine.answer("volume-ls", 0, "", &names);
    // The missing volume disappeared meanwhile.
    engine.answer("volume-inspect-format", 1, "Error: no such volume: x", &rows);
    engine.act("ps", "case \"$*\" in *volume=*) exit 0 ;; esac");
}

#[test]
fn the_home_of_a_deleted_project_is_removed() {
    for speaks in BOTH {
        let lost = Lost::new(speaks, "");
        let own = lost.cage.name.replace("cage-", "cage-home-");
        let path = lost.gone();
        volumes(&lost, &["cage-home", &own], &[(&own, &path)]);
        // podman's words when another volume is removed while it lists them.
        let vanished = "Error: no volume with name other found in database: no such volume";
        let once = lost.machine.root().join("once");
        let fail = format!("[ -e {0} ] || {{ : >{0}; echo '{vanished}' >&2; exit 125; }}", once.display());
        lost.machine.engine().act("volume-ls", &fail);
        let outcome = lost.machine.cage("prune --yes");
        assert!(once.exists());
        assert_eq!(lost.removes(&outcome), [format!("volume rm {own}")], "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&format!("the home {own}, with its logins ({path} is gone)")));

        // The project exists again, a container uses the volume, another home volume is configured.
        fs::create_dir(&path).unwrap();
        assert_eq!(lost.removes(&lost.machine.cage("prune --yes")), [""; 0]);
        fs::remove_dir(&path).unwrap();
        lost.machine.engine().act("ps", "case \"$*\" in *volume=*) echo 0123456789ab; exit 0 ;; esac");
        let outcome = lost.machine.cage("prune --yes");
        assert_eq!(lost.removes(&outcome), [""; 0]);
        assert!(outcome.stderr.contains(": container 0123456789ab uses it"), "{}", outcome.stderr);
        let mut other = lost;
        other.machine.env.push(("CAGE_HOME_VOLUME", "other-home".into()));
        other.machine.engine().act("ps", "case \"$*\" in *volume=*) exit 0 ;; esac");
        assert_eq!(other.machine.cage("prune --yes").stderr, "cage: nothing to prune\n");
    }
}

#[test]
fn the_shared_home_and_unknown_homes_are_kept() {
    for speaks in BOTH {
        let lost = Lost::new(speaks, "");
        let own = lost.cage.name.replace("cage-", "cage-home-");
        let path = lost.gone();
        // Even with a project's label.
        volumes(&lost, &["cage-home", &own, "cage-home-x"], &[("cage-home", &path)]);
        let outcome = lost.machine.cage("prune --yes");
        assert_eq!(lost.removes(&outcome), [""; 0]);
        let said = format!("cage: keeping the home {own}: its project is unknown; ");
        assert!(outcome.stderr.starts_with(&said), "{}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().count(), 2, "{}", outcome.stderr);
    }
}

/// Adds an image without a name.
fn old_image(lost: &Lost, speaks: Speaks, came_from: &str) -> String {
    let id = format!("{}{}", if speaks == Speaks::Docker { "sha256:" } else { "" }, "ab".repeat(32));
    let mut image = json!({
        "Id": id, "Created": "2026-09-01T00:00:00Z", "RootFS": {}, "RepoTags": [], "RepoDigests": [],
        "Size": 1_234_567_890_u64, "Architecture": "amd64", "Config": {"User": "vscode"},
    });
    match speaks {
        Speaks::Docker => image["RepoDigests"] = json!([format!("{came_from}@sha256:1234")]),
        Speaks::Podman => image["NamesHistory"] = json!([format!("{came_from}:latest")]),
    }
    fs::write(lost.machine.engine().dir().join("objects").join(&id), image.to_string()).unwrap();
    lost.machine.engine().answer("images", 0, "", &format!("{id}\n"));
    lost.machine.engine().act("ps", "case \"$*\" in *ancestor=*) exit 0 ;; esac");
    id
}

#[test]
fn only_former_images_for_new_cages_are_removed() {
    for speaks in BOTH {
        let mut lost = Lost::new(speaks, "");
        let id = old_image(&lost, speaks, "ghcr.io/pacificsky/devcontainer-lite");
        let outcome = lost.machine.cage("prune --yes");
        assert_eq!(lost.removes(&outcome), [format!("rmi {id}")], "{}", outcome.stderr);
        assert!(outcome.stderr.contains("the old image abababab, 2026-09-01 (up to 1.2 GB)"));
        // A container uses it.
        lost.machine.engine().act("ps", "case \"$*\" in *ancestor=*) echo 0123456789ab; exit 0 ;; esac");
        assert_eq!(lost.removes(&lost.machine.cage("prune --yes")), [""; 0]);
        // It had another name.
        old_image(&lost, speaks, "ghcr.io/pacificsky/devcontainer");
        assert_eq!(lost.removes(&lost.machine.cage("prune --yes")), [""; 0]);
        // The former images of a local name are unknown.
        lost.machine.env.push(("CAGE_IMAGE", "lab".into()));
        let outcome = lost.machine.cage("prune --yes");
        assert_eq!(lost.removes(&outcome), [""; 0]);
        assert!(outcome.stderr.contains("cage can't tell which of them were the local image lab"));
        lost.machine.env.push(("CAGE_IMAGE", "ghcr.io/x/y@sha256:12".into()));
        old_image(&lost, speaks, "ghcr.io/x/y");
        assert_eq!(lost.removes(&lost.machine.cage("prune --yes")), [""; 0], "digests are chosen on purpose");
    }
}

#[test]
fn json_output_and_dry_run() {
    let lost = Lost::new(Speaks::Docker, "exited");
    let outcome = lost.machine.cage("prune --dry-run");
    assert_eq!(lost.removes(&outcome), [""; 0]);
    assert!(outcome.stdout.contains(&format!("docker rm --volumes {}", &lost.cage.id[..12])));
    for (args, dry_run) in [("prune --json --dry-run", true), ("prune --yes --json", false)] {
        let outcome = lost.machine.cage(args);
        assert_eq!(lost.removes(&outcome).is_empty(), dry_run);
        let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let cage = json!({"name": lost.cage.name, "id": lost.cage.id[..12], "project": lost.gone()});
        assert_eq!(
            printed,
            json!({"version": 1, "dry_run": dry_run, "cages": [cage], "homes": [], "images": [], "left": []})
        );
    }
}

#[test]
fn a_remote_engine_is_refused() {
    let mut lost = Lost::new(Speaks::Docker, "exited");
    lost.machine.env.push(("DOCKER_HOST", "ssh://me@build".into()));
    let outcome = lost.machine.cage("prune --yes");
    assert_eq!((outcome.code, lost.removes(&outcome)), (1, vec![]));
    assert!(outcome.stderr.contains("the engine is on another machine"), "{}", outcome.stderr);
}

#[test]
fn messages_are_escaped() {
    let mut lost = Lost::new(Speaks::Docker, "");
    let path = PathBuf::from(lost.gone()).join("a\u{1b}[2J\u{202e}\nb");
    fs::create_dir_all(lost.gone()).unwrap();
    lost.cage = Cage { status: "exited".into(), ..Cage::of(&path) };
    lost.has(&[&lost.cage]);
    for args in ["prune --yes --dry-run", "prune --json --dry-run", "prune --yes --json", "prune --yes"] {
        let outcome = lost.machine.cage(args);
        assert_eq!(outcome.code, 0);
        outcome.assert_harmless();
    }
}
