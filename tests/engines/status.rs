//! `cage status`: the JSON output, and the origin of a cage's options.

use serde_json::{Value, json};

use super::lab::{IMAGE, World};

on_each_engine!(status_json_matches_the_engine);

on_each_engine!(clients: variables_are_defaults_for_options);

fn status(world: &World) -> Value {
    let out = world.cage("status --json").ok().out;
    assert_eq!(out.lines().count(), 1, "one object on one line: {out}");
    serde_json::from_str(&out).unwrap()
}

fn status_json_matches_the_engine(world: &World) {
    let name = world.name();
    let project = world.project.to_str().unwrap();
    assert_eq!(
        status(world),
        json!({"version": 1, "name": name, "state": "none", "project": project}),
        "no cage is not an error"
    );
    world.cage("start --memory 512m -v /usr/share:/data:ro -- --hostname-is-not-a-flag").exits(1);
    world.cage("start --memory 512m -v /usr/share:/data:ro -- --env PASSED=on").ok();
    let status = status(world);
    assert_eq!(
        (&status["name"], &status["state"], &status["project"]),
        (&json!(name), &json!("running"), &json!(project))
    );
    assert_eq!((&status["image"], &status["ports"]), (&json!(IMAGE), &json!([])));
    assert_eq!(status["engine"]["rootless"], json!(world.engine.is_rootless()));
    assert_eq!((&status["user"]["name"], &status["user"]["can_be_root"]), (&json!("vscode"), &json!(true)));
    let data = json!({"volume": null, "source": "/usr/share", "target": "/data", "writable": false});
    assert!(status["mounts"].as_array().unwrap().contains(&data), "{status}");
    let memory = &status["limits"]["memory"];
    assert!(memory["enforced"] == json!(false) || memory["most"] == json!(512 << 20), "{memory}");
    assert_eq!(status["options"], json!(["-v /usr/share:/data:ro", "--memory 512m"]));
    assert_eq!(status["engine_args"], json!(["--env", "PASSED=on"]));
    let created = status["created"].as_str().unwrap();
    assert!(created.starts_with("20") && created.as_bytes()[10] == b'T', "RFC 3339: {created}");
    // Errors are reported as JSON and as text.
    let failed = world.cage("status --json").env("CAGE_RUNTIME", "/nowhere/docker").exits(1);
    let error: Value = serde_json::from_str(&failed.out).unwrap();
    assert_eq!(error["error"]["message"], json!("container runtime `/nowhere/docker` not found"));
    failed.says("error: container runtime `/nowhere/docker` not found\nhint: ");
}

fn variables_are_defaults_for_options(world: &World) {
    let mine = |words: &str| {
        world.cage(words).env("CAGE_NETWORK", "none").env("CAGE_PIDS_LIMIT", "100").env("CAGE_SSH", "off")
    };
    mine("start --pids-limit 200").ok().says_not("exists without");
    let says = |lines: &[&str]| {
        let told = world.cage("status").ok().out;
        for line in lines {
            assert!(told.contains(line), "{line}: {told}");
        }
    };
    says(&[
        "Network:   none\n",
        "Options:   --pids-limit 200\n",
        "Default:   --network none (CAGE_NETWORK)\n",
    ]);
    says(&["Default:   --no-ssh (CAGE_SSH)\n"]);
    // Attaching again prints no message about defaults.
    mine("start").ok().says_not("exists without");
    // Typed options are kept; variables have their current value.
    world
        .cage("restart")
        .env("CAGE_PIDS_LIMIT", "300")
        .env("CAGE_CPUS", "1.5")
        .env("CAGE_HOME", "project")
        .ok();
    let told = world.cage("status").ok().out;
    assert!(
        told.contains("Options:   --home shared --pids-limit 200\nDefault:   --cpus 1.5 (CAGE_CPUS)\n"),
        "{told}"
    );
    assert!(!told.contains("CAGE_NETWORK") && !told.contains("Network:   none"), "{told}");
    assert!(told.contains(&format!("volume {} -> ", world.volume())), "a cage keeps its home: {told}");
    world.cage("rm").ok();
    world.cage("start").env("CAGE_HOME", "project").ok();
    let told = world.cage("status").ok().out;
    assert!(told.contains("Default:   --home project (CAGE_HOME)\n"), "{told}");
    world.cage("rm --home").ok();
    world
        .cage("start")
        .env("CAGE_MEMORY", "lots")
        .exits(1)
        .says("error: CAGE_MEMORY `lots` is not a value for --memory\n");
    world
        .cage("start")
        .env("CAGE_PULL", "sometimes")
        .exits(1)
        .says("error: CAGE_PULL `sometimes` is none of");
    assert!(world.cages().is_empty());
}
