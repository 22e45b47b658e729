//! Row 16: the home that all cages share brings something of one project to the next.

use crate::lab::World;

on_each_engine!(planted_programs_are_not_run_by_cage);

on_each_engine!(clients: a_home_of_its_own_keeps_the_others_out);

/// A program that tells who ran it, and then does what it should.
const PLANT: &str = r#"#!/bin/sh
echo "${0##*/} as $(/usr/bin/id -u)" >>/home/vscode/canary
PATH=/usr/sbin:/usr/bin:/sbin:/bin exec "${0##*/}" "$@"
"#;

const NAMES: &str = "sh ls id cp rm mkdir chown chmod tar cat grep tr test true sleep stty kill env find";

fn planted_programs_are_not_run_by_cage(world: &World) {
    let image = world.build("path", "ENV PATH=/home/vscode/.local/bin:/usr/local/bin:/usr/bin:/bin");
    world.write(&world.home.join(".config/cage/home/seeded"), "");
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", &image);
    world.write(&world.project.join("plant"), PLANT);
    let plant = format!(
        "mkdir -p ~/.local/bin && for name in {NAMES}; do \
         install -m 755 plant ~/.local/bin/$name; done; rm -f ~/canary"
    );
    cage("start -d").ok();
    cage(&format!("run -- /bin/sh -c {}", shell_words::quote(&plant))).ok();
    let forget = || {
        // By absolute paths: these names are among the planted ones.
        let name = world.name();
        world.engine(&format!("exec {name} /bin/rm -f /home/vscode/canary")).ok();
    };
    let canary = || {
        let volume = world.volume();
        let read = "--entrypoint /bin/cat cage-lab /home/vscode/canary";
        world.engine(&format!("run --rm --volume {volume}:/home/vscode {read}")).run().out
    };
    // The controls: root in another container of that image, and the person's own command.
    let volume = format!("--volume {}:/home/vscode", world.volume());
    world.engine(&format!("run --rm --user 0 {volume} {image} sh -c ls")).ok();
    let ran = canary();
    assert!(ran.contains("sh as 0"), "{ran:?}");
    forget();
    cage("run ls").ok();
    assert!(canary().contains("ls as "), "the control");

    // Everything that cage does of its own accord; the image's own first process is not told to do anything here.
    let quiet = world.build("quiet", &format!("FROM {image}\nENTRYPOINT [\"/bin/sleep\"]\nCMD [\"1000\"]"));
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", &quiet);
    let seed = world.home.join(".config/cage/home");
    cage("restart").ok();
    forget();
    for (round, command) in
        ["restart", "stop", "start -d", "restart --fresh", "status", "list"].iter().enumerate()
    {
        world.write(&seed.join(format!("more-{round}/file")), "");
        if *command == "restart" {
            // As another person left it, so that it changes hands again.
            let chown = "/bin/chown 12345 /home/vscode /home/vscode/.zshrc";
            world.engine(&format!("exec --user 0 {} {chown}", world.name())).ok();
        }
        cage(command).ok();
        let ran = canary();
        assert_eq!(ran, "", "{command} ran it");
    }
    cage("run /bin/true").ok();
    cage("rm").ok();
    cage("start -d").ok();
    assert_eq!(canary(), "");
    world.engine(&format!("exec {} /bin/ls /home/vscode/more-3/file", world.name())).ok();
}

fn a_home_of_its_own_keeps_the_others_out(world: &World) {
    let second = world.root().join("second");
    world.mkdir(&second);
    let in_second = |words: &str| world.cage(&format!("-C {} {words}", second.display()));
    world.cage("run -- sh -c 'echo infected >>~/.zshrc'").ok();
    // The control: the next project's shell would read it.
    in_second("run tail -n 1 /home/vscode/.zshrc").ok().prints("infected\n");
    in_second("rm").ok();

    in_second("start -d --home project").ok();
    let own = in_second("run cat /home/vscode/.zshrc").ok().out;
    in_second("run -- sh -c 'echo mine >>~/.zshrc'").ok();
    let shared = world.cage("run cat /home/vscode/.zshrc").ok().out;
    in_second("rm --home").ok();
    assert!(
        own.contains("PROMPT=") && !own.contains("infected") && !shared.contains("mine"),
        "{own}\n{shared}"
    );
}
