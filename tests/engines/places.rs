//! Unusual places: a project below the image's home, and a podman that is called docker.

use std::fs;
use std::path::{Path, PathBuf};

use super::lab::World;
use crate::common::{is_root, skipped};

on_each_engine!(a_project_below_the_image_home_leaves_no_directories);

on_each_engine!(podmans: podman_linked_as_docker_is_recognized, the_podman_docker_script_is_recognized);

/// Directories created on this machine and removed at the end.
struct Made(Vec<PathBuf>);

impl Made {
    fn new(path: &Path) -> Self {
        let missing = path.ancestors().take_while(|dir| !dir.exists()).map(Path::to_owned).collect();
        fs::create_dir_all(path).unwrap();
        Self(missing)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for dir in &self.0 {
            // Only if it is empty.
            let _ = fs::remove_dir(dir);
        }
    }
}

/// 30
fn a_project_below_the_image_home_leaves_no_directories(world: &World) {
    if !is_root() {
        return skipped(world.engine, "making /home/vscode needs root");
    }
    // The test that creates /home/vscode must remove it. Tests may be processes, so this is a file lock.
    let alone = fs::File::create(std::env::temp_dir().join("cage-test-home.lock")).unwrap();
    alone.lock().unwrap();
    let top = Path::new("/home/vscode").join(&world.id);
    let _made = Made::new(&top);
    world.give(&top);
    let project = top.join("src/app");
    world.mkdir(&project);
    let look = |volume: &str| {
        let look = format!("run --rm --user 0 --volume {volume}:/look cage-lab ls -A /look");
        world.engine(&look).ok().out
    };

    let path = project.display();
    let ran = world.cage("run -- sh -c 'pwd; touch here; stat -c %U ~ ..'").dir(&project).ok();
    ran.prints(&format!("{path}\nvscode\nvscode\n"));
    assert!(project.join("here").exists());
    world.cage("restart").dir(&project).ok();
    world.cage("run ls").dir(&project).ok().prints("here\n");
    world.cage("rm").dir(&project).ok();
    let left = look(&world.volume());
    assert!(left.contains(".zshrc") && !left.contains(&world.id), "{left}");
    assert!(project.join("here").exists());

    // The control: the engine alone leaves it.
    let mounts = format!("--mount type=volume,source={},target=/home/vscode", world.extra_volume());
    world
        .engine(&format!("run --rm {mounts} --mount type=bind,source={path},target={path} cage-lab true"))
        .ok();
    assert!(look(&world.extra_volume()).contains(&world.id));
    fs::remove_dir_all(top.join("src")).unwrap();
}

/// 31
fn podman_linked_as_docker_is_recognized(world: &World) {
    let bin = world.root().join("bin");
    world.mkdir(&bin);
    std::os::unix::fs::symlink(podman(), bin.join("docker")).unwrap();
    is_podman(world, &bin);
}

/// 31
fn the_podman_docker_script_is_recognized(world: &World) {
    let shim = format!(
        "#!/bin/sh\necho 'Emulate Docker CLI using podman. Create /etc/containers/nodocker to quiet msg.' >&2\n\
         exec {} \"$@\"\n",
        podman().display()
    );
    world.program(&world.root().join("bin/docker"), &shim);
    is_podman(world, &world.root().join("bin"));
}

fn podman() -> PathBuf {
    which::which("podman").unwrap()
}

fn is_podman(world: &World, bin: &Path) {
    let path = format!("{}:{}", bin.display(), super::lab::PATH);
    for choice in ["", "docker"] {
        let cage = |words: &str| world.cage(words).env("PATH", &path).env("CAGE_RUNTIME", choice);
        let name = cage("start").ok().out;
        assert_eq!(world.cages(), [name.trim()], "podman has it");
        let listed = cage("list").ok().out;
        assert!(listed.contains(name.trim()), "{listed}");
        cage("run -- sh -c 'exit 7'").exits(7);
        cage("restart").ok().prints(&name);
        cage("stop").ok();
        cage("rm").ok();
        assert!(world.cages().is_empty());
    }
}
