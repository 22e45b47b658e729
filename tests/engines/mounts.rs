//! The owner of mount points inside other mounts and of new volumes; see row 33 for ways that lead elsewhere.

use std::fs;
use std::os::unix::fs::chown;

use super::lab::{Engine, World};
use super::yours::owner;
use crate::common::is_root;

on_each_engine!(everybody: mount_points_and_new_volumes_belong_to_the_user);

on_each_engine!(clients: a_file_that_a_mount_hides_deep_in_the_project_is_told);

tests_of!(a_home_with_files_of_root_is_healed, false, group_docker GroupDocker, rootless_podman RootlessPodman);
tests_of!(an_empty_file_system_is_no_directory_of_this_machine, false, group_docker GroupDocker, rootless_podman RootlessPodman);

/// Returns the arguments that mount these sources at these targets.
fn volumes(mounts: &[(&str, &str)]) -> String {
    let options: Vec<String> =
        mounts.iter().map(|(source, target)| format!(" -v {source}:{target}")).collect();
    options.concat()
}

fn mount_points_and_new_volumes_belong_to_the_user(world: &World) {
    if matches!(world.engine, Engine::Docker | Engine::Podman) && is_root() {
        // `sudo cage` in another user's project.
        chown(&world.project, Some(12345), Some(23456)).unwrap();
    }
    let (project, other) = (world.project.display().to_string(), world.root().join("other"));
    world.write(&other.join("file"), "");
    let (other, file) = (other.display().to_string(), format!("{other}/file", other = other.display()));
    let volume = world.extra_volume();
    let mounts = volumes(&[
        (&volume, &format!("{project}/node_modules")),
        (&other, &format!("{project}/deep/er")),
        ("/dev/null", &format!("{project}/.env:ro")),
        (&other, "/home/vscode/.damaged/a/b"),
        (&file, "/home/vscode/.new/file"),
    ]);
    let anonymous = format!("-v {project}/cache/deep -v /data -v /home/vscode/.npm -v /data/in/it");
    let passed_on = format!(
        "--tmpfs {project}/tmp/fs --mount type=bind,source={other},target={project}/args/x \
         --volume={other}:{project}/args/y -v {project}/args/volume -v {other}:/data/args/z -v /opt -v /etc/apt"
    );
    world.cage(&format!("start -d{mounts} {anonymous} -- {passed_on}")).ok();

    let expected = owner(&world.project);
    let made =
        ["node_modules", "deep", "deep/er", ".env", "cache/deep", "tmp/fs", "args", "args/y", "args/volume"];
    let check = || {
        for name in made {
            assert_eq!(owner(&world.project.join(name)), expected, "{name} on {}", world.engine);
        }
        assert_eq!(fs::read(world.project.join(".env")).unwrap(), b"");
    };
    check();
    let write =
        "cd && test -d /etc/apt/apt.conf.d && touch /opt/x .damaged/x .damaged/a/x .new/x .npm/x /data/x /data/in/x /data/in/it/x /data/args/x
         cd - && touch node_modules/x cache/x cache/deep/x deep/x args/z args/volume/x";
    world.cage(&format!("run -- sh -euc {}", shell_words::quote(write))).ok();

    // What is gone while the cage is stopped comes back.
    world.cage("stop").ok();
    fs::remove_dir_all(world.project.join("node_modules")).unwrap();
    fs::remove_dir_all(world.project.join("deep")).unwrap();
    fs::remove_file(world.project.join(".env")).unwrap();
    let remove = format!("run --rm --user 0 --volume {}:/h cage-lab rm -r /h/.damaged", world.volume());
    world.engine(&remove).ok();
    world.cage("start -d").ok();
    check();
    world.cage("run -- sh -euc 'touch ~/.damaged/y ~/.damaged/a/y; cat node_modules/x'").ok();
    world.cage("rm").ok();

    // The home is as its user would have made it, and the volume stays the user's.
    let own =
        "cd && test -O .damaged/a/b && test -O .new/file && test -O .npm && touch .npm/y .damaged/a/b/y";
    world.cage(&format!("run -v {volume}:/again -- sh -euc '{own}; touch /again/x /again/y'")).ok();
    world.cage("rm").ok();

    // The control: the engine alone makes them root's.
    let nested = format!("--volume {project}:/p --volume /p/control/made");
    world.engine(&format!("run --rm {nested} cage-lab true")).ok();
    let roots = if world.engine.is_rootless() { expected } else { (0, 0) };
    assert_eq!(owner(&world.project.join("control")), roots);
}

fn a_home_with_files_of_root_is_healed(world: &World) {
    world.cage("start -d").ok();
    world.cage("rm").ok();
    // As an engine leaves it.
    let ids = if world.engine.is_docker() { "" } else { "--userns=keep-id:uid=501,gid=20" };
    let (volume, other) = (world.volume(), world.root().join("other"));
    world.mkdir(&other);
    let mounts = format!(
        "-v {}:/home/vscode/.config/foo/bar/deep/er -v /dev/null:/home/vscode/.netrc",
        other.display()
    );
    world.engine(&format!("run --rm {ids} --volume {volume}:/home/vscode {mounts} cage-lab true")).ok();
    // What has text in it was made by root on purpose.
    let root = "cd /h && echo root >of-root && test $(stat -c %u .config .netrc | sort -u) = 0";
    let in_home = format!("run --rm {ids} --user 0 --volume {volume}:/h cage-lab sh -euc");
    world.engine(&format!("{in_home} '{root}'")).ok();
    let mine =
        "cd && mkdir .config/x .config/foo/x .config/foo/bar/deep/er/x && echo >>.netrc && test ! -O of-root";
    world.cage(&format!("run -- sh -euc '{mine}'")).ok();
}

fn a_file_that_a_mount_hides_deep_in_the_project_is_told(world: &World) {
    for file in [".env", "deep/.env"] {
        world.write(&world.project.join(file), "secret");
    }
    let mask = |file: &str| format!(" -v /dev/null:{}/{file}:ro", world.project.display());
    let told = "hides the file only until the next start: code in the cage can move deep aside";
    let start = world.cage(&format!("start -d{}{}", mask(".env"), mask("deep/.env"))).ok().says(told);
    assert_eq!(start.err.matches("hides the file").count(), 1, "{start}");
    world.cage("run -- sh -c 'cat .env deep/.env; mv deep moved'").ok().prints("");
    world.cage("run -- sh -c '! mv .env moved && ! sudo mv .env moved'").ok();
    world.cage("restart -d").ok();
    world.cage("run -- cat .env moved/.env").ok().prints("secret");
    let status = world.cage("status").ok();
    assert!(status.out.contains(told), "{status}");
}

fn an_empty_file_system_is_no_directory_of_this_machine(world: &World) {
    let tmpfs = format!("--mount type=tmpfs,target={}/empty/deep", world.project.display());
    world.cage(&format!("start -d -- {tmpfs}")).ok();
    assert_eq!(owner(&world.project.join("empty/deep")), owner(&world.project));
    world.cage("run true").ok().says_not("mounted");
    world.cage("restart -d").ok();
    let second = world.root().join("second");
    world.mkdir(&second);
    world.cage("start -d").dir(&second).ok();
    // docker can't share the new volume beside it.
    let ran = world.cage(&format!("restart -d -v /data -- {tmpfs}")).run();
    assert_eq!(ran.code, i32::from(world.engine.is_docker()), "{ran}");
    assert_eq!(ran.err.contains("hint: write `--tmpfs "), world.engine.is_docker(), "{ran}");
    world
        .cage(&format!("restart --fresh -d -v /data -- --tmpfs {}/empty/deep", world.project.display()))
        .ok();
}
