//! Row 28: a library in the shared home is loaded by what cage runs as root for another project.

use std::fs;
use std::process::Command;

use crate::lab::World;

on_each_engine!(a_library_in_the_home_is_not_loaded_by_cage);

/// Leaves a file in the home when it is loaded.
const LIBRARY: &str = r#"
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void planted(void) {
    int file = open("/home/vscode/canary", O_WRONLY | O_CREAT | O_APPEND, 0644);
    write(file, getuid() == 0 ? "root\n" : "user\n", 5);
}
"#;

fn a_library_in_the_home_is_not_loaded_by_cage(world: &World) {
    let source = world.home.join("planted.c");
    fs::write(&source, LIBRARY).unwrap();
    // Programs such as ls and cp load the library of this name.
    let library = world.project.join("libselinux.so.1");
    let cc = ["-shared", "-fPIC", "-w", "-Wl,-soname,libselinux.so.1", "-o"];
    assert!(Command::new("cc").args(cc).arg(&library).arg(&source).status().unwrap().success());
    world.give(&library);
    let image = world.build(
        "library",
        "ENV LD_LIBRARY_PATH=/home/vscode/lib\nENTRYPOINT [\"/bin/sleep\"]\nCMD [\"1000\"]",
    );
    let second = world.root().join("second");
    world.mkdir(&second);
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", &image);
    cage("start -d").ok();
    cage("run -- sh -c 'mkdir ~/lib && cp libselinux.so.1 ~/lib'").ok();
    cage("rm").ok();

    let volume = format!("--volume {}:/home/vscode", world.volume());
    let canary = || {
        let read = "cat /home/vscode/canary && rm /home/vscode/canary";
        world.engine(&format!("run --rm --user 0 {volume} cage-lab sh -c '{read}'")).run().out
    };
    // The control: root in another container of that image loads it.
    world.engine(&format!("run --rm --user 0 {volume} --entrypoint /bin/ls {image} /")).run();
    assert!(canary().contains("root"), "the control");

    world.write(&world.home.join(".config/cage/home/seeded"), "");
    let in_second =
        |words: &str| world.cage(&format!("-C {} {words}", second.display())).env("CAGE_IMAGE", &image);
    for words in ["start -d", "stop", "start -d", "restart", "restart --fresh", "status", "rm"] {
        in_second(words).ok();
        assert_eq!(canary(), "", "{words}");
    }
}
