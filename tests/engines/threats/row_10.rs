//! Row 10: a path that is not UTF-8.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Stdio;

use crate::lab::World;

on_each_engine!(a_path_that_is_not_utf_8_is_refused);

fn a_path_that_is_not_utf_8_is_refused(world: &World) {
    let places = world.root().join("places");
    let dir = places.join(OsStr::from_bytes(b"latin-\xe9"));
    world.write(&dir.join("file"), "mine");
    let here = || fs::read_dir(&places).unwrap().count();
    world.cage("start -d").dir(&dir).exits(1).says("its path is not valid UTF-8");
    world.cage("run true").dir(&dir).exits(125).says("its path is not valid UTF-8");
    let mut start = world.command(world.binary());
    let started = start.arg("-C").arg(&dir).args(["start", "-d"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(started.status.code(), Some(1));
    let link = world.root().join("link");
    std::os::unix::fs::symlink(&dir, &link).unwrap();
    world.cage("-C ../link start -d").exits(1).says("its path is not valid UTF-8");
    world.cage("start -d -v ../link:/v").exits(1).says("its path is not valid UTF-8");
    assert!(world.cages().is_empty() && here() == 1);

    // The control: an engine that is given it mounts another directory, whose name it makes of that one.
    let mangled = places.join("latin-\u{fffd}");
    world.write(&mangled.join("file"), "another");
    let shown = |dir: &Path| {
        let mut volume = dir.as_os_str().to_owned();
        volume.push(":/shown");
        let mut raw = world.command(world.engine.program());
        raw.args(["run", "--rm", "--volume"]).arg(volume).args(["cage-lab", "cat", "/shown/file"]);
        String::from_utf8(raw.stdin(Stdio::null()).output().unwrap().stdout).unwrap()
    };
    assert_eq!(shown(&dir), "another", "the control");
    // docker makes it, if there is none.
    fs::remove_dir_all(&mangled).unwrap();
    assert_eq!(shown(&dir), "");
    assert_eq!(mangled.exists(), world.engine.is_docker());
}
