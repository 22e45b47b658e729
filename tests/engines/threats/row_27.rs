//! Row 27: root inside renames a directory above the project.

use crate::lab::World;

on_each_engine!(a_renamed_parent_is_told_in_a_sentence);

fn a_renamed_parent_is_told_in_a_sentence(world: &World) {
    world.cage("start -d").ok();
    let parent = world.project.parent().unwrap().display().to_string();
    world.cage(&format!("run sudo mv {parent} /moved")).ok();
    // The control: the engine's own words, and its own code.
    let raw = world.engine(&format!("exec {} true", world.name())).run();
    assert!(raw.code != 0, "{raw}");

    let run = world.cage("run true").exits(125);
    let sentence = "error: there is no such directory in the cage, or none for this user";
    run.says(sentence).says_not("OCI").says_not("chdir");
    world.cage("shell -- true").exits(125);
    // Nor does it keep anybody from leaving, stopping or replacing the cage.
    world.cage("status").ok();
    world.cage("stop").ok();
    world.cage("restart").ok();
    world.cage("run pwd").ok().prints(&format!("{}\n", world.project.display()));
    // What one types is still seen from the project.
    world
        .cage("run -- sh -c 'cd - >/dev/null 2>&1; pwd'")
        .ok()
        .prints(&format!("{}\n", world.project.display()));
}
