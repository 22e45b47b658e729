//! Row 15: output without end, which an engine keeps in a file.

use std::fs;

use crate::common::eventually;
use crate::lab::World;

on_each_engine!(what_a_cage_prints_is_kept_nowhere);

/// Prints five megabytes and says so.
const PRINT: &str = "head -c 5000000 /dev/zero | tr '\\0' x | fold -w 99; touch";

fn what_a_cage_prints_is_kept_nowhere(world: &World) {
    // The control: the engine as it is. Its default may be the system's journal.
    let plain = format!("{}-plain", world.id);
    world.will_remove_container(&plain);
    let script = shell_words::quote(&format!("{PRINT} /tmp/done; exec sleep 1000")).into_owned();
    world.engine(&format!("run --detach --tty --name {plain} cage-lab sh -c {script}")).ok();
    eventually("it has printed all", || {
        world.engine(&format!("exec {plain} test -e /tmp/done")).run().code == 0
    });
    eventually("the engine has kept it", || {
        world.engine(&format!("logs {plain}")).run().out.len() > 5_000_000
    });
    let path = "{{if .LogPath}}{{.LogPath}}{{end}}";
    let path = if world.engine.is_docker() { path } else { "{{.HostConfig.LogConfig.Path}}" };
    let log = world.inspect_container(&plain, path);
    let size = |path: &str| fs::metadata(path).map(|file| file.len());
    if let Ok(size) = size(&log) {
        assert!(size > 5_000_000, "{log}: {size}");
    }
    world.removal(&plain).ok();

    let done = world.project.join("done");
    let script = format!("{PRINT} {}; exec sleep 1000", done.display());
    let command = serde_json_string(&script);
    let image = world.build("chatty", &format!("CMD [\"sh\", \"-c\", {command}]"));
    world.cage("start -d").env("CAGE_IMAGE", &image).ok();
    // Nobody reads, and it goes on all the same.
    eventually("the cage has printed all", || done.exists());
    let name = world.name();
    assert_eq!(world.inspect("{{.HostConfig.LogConfig.Type}}"), "none");
    assert_eq!(world.engine(&format!("logs {name}")).run().out, "");
    let log = world.inspect(path);
    assert!(log.is_empty() || size(&log).unwrap_or(0) == 0, "{log}");
}

/// A string as the recipe of an image takes it.
fn serde_json_string(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}
