//! Row 1: the project, or a source of `-v`, is where another cage can write, which puts a link there.

use std::fs;
use std::os::unix::fs::symlink;

use super::the_engine_shows;
use crate::lab::World;

on_each_engine!(a_project_where_another_cage_can_write_is_refused, a_source_that_became_a_link_is_refused);

on_each_engine!(
    clients:
    so_is_one_that_is_reached_by_a_link_there,
    so_is_a_source_there,
    a_stopped_cage_is_not_started_where_another_one_can_write,
    a_link_that_is_put_while_the_old_cage_ends_is_refused,
    so_is_one_that_is_put_before_the_old_cage_starts_again,
);

/// The words of the refusal of `path`, which is in the project.
fn refused(world: &World, path: &str) -> String {
    format!(
        "{}/{path} is in {}, where {} can write",
        world.project.display(),
        world.project.display(),
        world.name()
    )
}

fn a_project_where_another_cage_can_write_is_refused(world: &World) {
    let (inner, secret) = (world.project.join("inner"), world.root().join("secret"));
    world.write(&inner.join("file"), "harmless");
    world.write(&secret.join("file"), "secret");
    world.cage("start -d").ok();
    let (name, said) = (world.name(), refused(world, "inner"));
    let cage = |words: &str| world.cage(&format!("-C {} {words}", inner.display()));
    cage("start -d").exits(1).says(&said).says("--allow-nested");
    cage("start -d --home project --no-ssh").exits(1).says(&said);
    cage("start --dry-run").exits(1).says(&said);
    // That is in the other cage, which has it anyway.
    cage("run cat file").ok().prints("harmless").says(&format!("using {name}"));
    // A stopped one can be started again.
    world.cage("stop").ok();
    cage("start -d").exits(1).says(&said);
    assert_eq!(world.cages(), [name.as_str()]);

    // Whoever means it has it, also at the next restart.
    cage("start -d --allow-nested").ok();
    cage("run cat file").ok().prints("harmless");
    cage("restart").ok();
    cage("restart --fresh").exits(1).says(&said);
    cage("stop").ok();
    cage("start -d").ok();
    cage("rm").ok();

    // The control: this is what the other cage can do.
    assert_eq!(the_engine_shows(world, &inner, "file"), "harmless");
    world.cage("start -d").ok();
    world.inside(&format!("rm -r inner && ln -s {} inner", secret.display())).ok();
    assert_eq!(the_engine_shows(world, &inner, "file"), "secret");

    // Where no other cage is, or none that can write, the same directory is a project.
    world.cage("rm").ok();
    fs::remove_file(&inner).unwrap();
    world.write(&inner.join("file"), "harmless");
    let reader = world.root().join("reader");
    world.mkdir(&reader);
    let volume = format!("-v {}:/project:ro", world.project.display());
    world.cage(&format!("-C {} start -d {volume}", reader.display())).ok();
    cage("run cat file").ok().prints("harmless");
}

fn so_is_one_that_is_reached_by_a_link_there(world: &World) {
    let (way, secret) = (world.project.join("way"), world.root().join("secret"));
    world.write(&secret.join("file"), "secret");
    world.cage("start -d").ok();
    world.inside(&format!("ln -s {} way", secret.display())).ok();
    let said = refused(world, "way");
    let name = world.name();
    // However one goes through it.
    world.cage("-C way start -d").exits(1).says(&said);
    world.cage(&format!("-C {} start -d", way.display())).dir(&world.home).exits(1).says(&said);
    world.cage("-C ./way/../secret start -d").exits(1).says(&said);
    world.cage("start -d").dir(&way).env("PWD", &way).exits(1).says(&said);
    world.cage("run cat file").dir(&way).env("PWD", &way).exits(125).says(&said);
    assert_eq!(world.cages(), [name.as_str()]);

    // The controls: the same directory by its own path, and with the flag.
    let file = world.cage(&format!("-C {} run cat file", secret.display()));
    file.ok().prints("secret");
    world.cage(&format!("-C {} rm", secret.display())).ok();
    world.cage("-C way run --allow-nested -- cat file").ok().prints("secret");
}

fn so_is_a_source_there(world: &World) {
    let (second, secret) = (world.root().join("second"), world.root().join("secret"));
    let data = world.project.join("data");
    world.write(&data.join("file"), "harmless");
    world.write(&secret.join("file"), "secret");
    world.mkdir(&second);
    world.cage("start -d").ok();
    let (name, said) = (world.name(), refused(world, "data"));
    let cage = |words: &str| world.cage(&format!("-C {} {words}", second.display()));
    let volume = format!("-v {}:/data", data.display());
    cage(&format!("start -d {volume}")).exits(1).says(&said);
    cage(&format!("start -d {volume}:ro")).exits(1).says(&said);
    cage(&format!("run {volume} -- cat /data/file")).exits(125).says(&said);
    assert_eq!(world.cages(), [name.as_str()]);
    cage("start -d").ok();
    cage(&format!("restart {volume}")).exits(1).says(&said);
    cage(&format!("restart --allow-nested {volume}")).ok();
    cage("run cat /data/file").ok().prints("harmless");

    // The control: what the other cage can do with it. Once it is done, no flag helps.
    world.inside(&format!("rm -r data && ln -s {} data", secret.display())).ok();
    assert_eq!(the_engine_shows(world, &data, "file"), "secret");
    cage("restart").exits(1).says(&format!("now leads to {}", secret.display()));
    // Nothing is mounted anew in the cage that is there, which stays.
    cage("run true").ok();
    assert_ne!(cage("run cat /data/file").run().out, "secret");
}

fn a_stopped_cage_is_not_started_where_another_one_can_write(world: &World) {
    let inner = world.project.join("inner");
    world.mkdir(&inner);
    let cage = |words: &str| world.cage(&format!("-C {} {words}", inner.display()));
    cage("start -d").ok();
    // While it runs nothing is mounted anew, so that it is no matter who comes.
    world.cage("start -d").ok();
    cage("start -d").ok();
    cage("run true").ok();
    cage("stop").ok();
    let said = refused(world, "inner");
    cage("start -d").exits(1).says(&said);
    cage("run true").exits(125).says(&said);
    cage("restart").exits(1).says(&said);
    cage("status").ok().says_not("error");
    cage("start -d --allow-nested").ok();
    cage("stop").ok();
    world.cage("rm").ok();
    cage("start -d").ok();
}

fn a_source_that_became_a_link_is_refused(world: &World) {
    let (data, secret) = (world.project.join("data"), world.root().join("secret"));
    world.write(&data.join("file"), "harmless");
    world.write(&secret.join("file"), "secret");
    world.cage("start -d -v ./data:/data").ok();
    world.inside("cat /data/file").ok().prints("harmless");
    world.cage("stop").ok();
    let id = world.container_id();

    // The project is writable inside, so the cage could have done this.
    fs::remove_dir_all(&data).unwrap();
    symlink(&secret, &data).unwrap();
    let leads = format!("now leads to {}", secret.display());
    for command in ["start -d", "restart", "restart --pull never"] {
        world.cage(command).exits(1).says(&leads);
    }
    world.cage("run cat /data/file").exits(125).says(&leads).prints("");
    assert_eq!((world.container_id(), world.state()), (id, "exited".into()));

    // The control: the engine follows it. So it must not start a cage by itself, when code inside has ended that.
    world.engine(&format!("start {}", world.name())).ok();
    world.cage("restart -- --restart always").exits(1).says("without cage's checks");
    world.inside("cat /data/file").ok().prints("secret");
    world.cage("stop").ok();
    world.cage("restart --fresh").ok();
    assert_ne!(world.inside("cat /data/file").run().code, 0);
}

fn a_link_that_is_put_while_the_old_cage_ends_is_refused(world: &World) {
    let (data, secret) = (world.project.join("data"), world.root().join("secret"));
    world.write(&secret.join("file"), "secret");
    let swap = format!("rm -rf data; ln -s {} data; exit", secret.display());
    let image = world.build("swaps", &format!("CMD trap '{swap}' HUP; while :; do sleep 0.1; done"));
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", &image);
    for mount in ["-v ./data:/data".to_owned(), format!("-- -v {}:/data", data.display())] {
        let _ = fs::remove_file(&data);
        world.write(&data.join("file"), "harmless");
        cage(&format!("start -d {mount}")).ok();
        world.inside("cat /data/file").ok().prints("harmless");
        cage("restart").exits(1).says(" leads ").says(&secret.display().to_string());
        // Neither the new one nor the old one, which would mount it as well.
        assert_eq!((world.cages(), world.state()), (vec![world.name()], "exited".into()));
        cage("start -d").exits(1).says(" leads ");
        // The control: the engine follows it.
        world.engine(&format!("start {}", world.name())).ok();
        world.inside("cat /data/file").ok().prints("secret");
        cage("rm").ok();
    }
}

fn so_is_one_that_is_put_before_the_old_cage_starts_again(world: &World) {
    let (data, secret) = (world.project.join("data"), world.root().join("secret"));
    world.write(&data.join("file"), "harmless");
    world.write(&secret.join("file"), "secret");
    let puts = format!("cd {} && mv data data0 && ln -s {} data", world.project.display(), secret.display());
    world.cage("start -d -v ./data:/data").ok();
    // In the new cage, which has no such file, this runs before the first shell, and ends it.
    let first = format!("[ -e ~/../../marker ] || {{ {puts}; exit 1; }}");
    world.inside(&format!("sudo touch /marker && echo {} >>~/.zshenv", shell_words::quote(&first))).ok();
    let refused = world.cage("restart -d").exits(1);
    refused.says("could not undo the steps so far: ").says(&format!(" leads to {}", secret.display()));
    assert_ne!(world.state(), "running");
    // The control: the engine alone follows the link.
    assert_eq!(the_engine_shows(world, &data, "file"), "secret");
    // Nor does the old one start when its source is not among the options of the new one.
    world.cage("start -d").exits(1).says(" leads to ");
    fs::remove_file(&data).unwrap();
    fs::rename(world.project.join("data0"), &data).unwrap();
    world.cage("start -d").ok();
    world.inside(&puts).ok();
    let broken = world.build("broken", "ENTRYPOINT [\"/no/such/program\"]");
    let refused = world.cage(&format!("restart -d --fresh --image {broken}")).exits(1);
    refused.says(&format!(" leads to {}", secret.display()));
    assert_ne!(world.state(), "running");
}
