//! Row 10: a path that is not UTF-8.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use crate::engines::lab::World;
use crate::engines::on_each_engine;

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

    // The control: an engine that is given it doesn't mount it.
    let mut volume = dir.into_os_string();
    volume.push(":/shown");
    let mut raw = world.command(world.engine.program());
    raw.args(["run", "--rm", "--volume"]).arg(volume).args(["cage-lab", "cat", "/shown/file"]);
    let shown = raw.stdin(Stdio::null()).output().unwrap();
    assert_ne!(String::from_utf8_lossy(&shown.stdout), "mine");
    if world.engine.is_docker() {
        assert_eq!(here(), 2, "docker makes a directory with another name");
    }
}
