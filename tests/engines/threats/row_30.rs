//! Row 30: the kernel's keyrings of this machine's users, and new user namespaces.

use crate::lab::World;

on_each_engine!(
    keyrings_and_user_namespaces_are_out_of_reach,
    an_image_does_not_choose_its_filter_of_system_calls,
);

/// Prints the number of the user's keyring, or `-1`.
const KEYRING: &str =
    r#"perl -e 'my $call = `uname -m` =~ /x86_64/ ? 250 : 219; print syscall($call, 0, -4, 1), "\n"'"#;

const NAMESPACE: &str = "unshare -U true && echo made";

fn keyrings_and_user_namespaces_are_out_of_reach(world: &World) {
    let run = |script: &str| format!("run --rm cage-lab sh -c {}", shell_words::quote(script));
    let number = |text: &str| text.trim().parse::<i64>().unwrap();
    let alone = number(&world.engine(&run(KEYRING)).run().out);
    let namespace = world.engine(&run(NAMESPACE)).run().out;
    let is_rootful_podman = !world.engine.is_docker() && !world.engine.is_rootless();
    // The control: where the engine alone allows them, and where it is immune by itself.
    assert_eq!(alone > 0 && namespace == "made\n", is_rootful_podman || alone > 0, "{alone} {namespace}");
    assert!(!is_rootful_podman || (alone > 0 && namespace == "made\n"), "{alone} {namespace}");

    world.cage("start -d").ok();
    let inside = |script: &str| world.cage(&format!("run -- sh -c {}", shell_words::quote(script))).run().out;
    let refused = || {
        for who in ["", "sudo ", "sudo setpriv --reuid 4321 --clear-groups "] {
            let keyring = inside(&KEYRING.replacen("perl", &format!("{who}perl"), 1));
            assert_eq!(number(&keyring), -1, "{who}");
        }
        assert_eq!(inside(NAMESPACE), "");
    };
    if is_rootful_podman {
        refused();
        // The filter outlives the file that it came from.
        let file = world.home.join(".local/state/cage/podman.seccomp");
        std::fs::remove_file(&file).unwrap();
        world.cage("stop").ok();
        world.cage("start -d").ok();
        refused();
        // Threads and processes are made as ever.
        world
            .cage("run -- bash -c 'for n in 1 2 3; do (sleep 0.1) & done; wait; python3 --version || true'")
            .ok();
        world.cage("restart --no-root").run();
        refused();
        // One of the user's is taken as it is.
        world.cage("restart --fresh -- --security-opt seccomp=unconfined").ok();
        assert_eq!(inside(NAMESPACE), "made\n");
    } else if !world.engine.is_rootless() {
        refused();
    }
}

fn an_image_does_not_choose_its_filter_of_system_calls(world: &World) {
    // To crun this is a filter that allows everything: "return ALLOW".
    let annotation = "run.oci.seccomp_bpf_data";
    if world.engine.is_docker() {
        // Immune: it keeps no annotations of images.
        let seen = world.engine("image inspect cage-lab").ok().out;
        assert!(!seen.contains("\"Annotations\""), "{seen}");
        return;
    }
    let image = format!("{}-annotated", world.id);
    world.will_remove_image(&image);
    let build = format!("build --quiet --annotation {annotation}=BgAAAAAA/38= --tag {image} -");
    world.engine(&build).stdin("FROM cage-lab\n").ok();
    // The control: the engine alone passes it on to the runtime.
    let name = format!("{}-control", world.id);
    world.will_remove_container(&name);
    world.engine(&format!("create --name {name} {image} true")).ok();
    let seen = world.inspect_container(&name, "{{json .Config.Annotations}}");
    assert!(seen.contains(annotation), "{seen}");

    let why = format!("has the annotation {annotation}, by which it would choose its own isolation");
    world.cage(&format!("start -d --image {image}")).exits(1).says(&why);
    world.cage(&format!("run --image {image} true")).exits(125).says(&why);
    world.cage("start -d").ok();
    world.cage(&format!("restart --image {image}")).exits(1).says(&why);
    world.cage("run true").ok();
}
