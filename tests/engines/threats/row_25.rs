//! Row 25: a file that programs of this machine run or trust, or a directory with one, is mounted writable.

use std::fs;

use super::text;
use crate::lab::World;

on_each_engine!(a_dotfile_is_not_mounted_writable);

fn a_dotfile_is_not_mounted_writable(world: &World) {
    let home = world.home.clone();
    let config = home.join(".gitconfig");
    world.write(&config, "[user]\n");
    world.write(&home.join(".config/git/config"), "");
    world.write(&home.join(".claude/settings.json"), "{}");
    world.write(&home.join("notes/x"), "");
    // A dotfile manager's.
    world.write(&home.join("dotfiles/profile"), "");
    std::os::unix::fs::symlink(home.join("dotfiles/profile"), home.join(".profile")).unwrap();

    // The control: the engine alone lets the container write it.
    let mount = format!("type=bind,source={},target=/x", config.display());
    world.engine(&format!("run --rm --user 0 --mount {mount} cage-lab sh -c 'echo planted >>/x'")).ok();
    assert!(text(&config).contains("planted"));
    fs::write(&config, "[user]\n").unwrap();

    for source in [".gitconfig", ".config", ".config/git", ".claude", "dotfiles", "dotfiles/profile", ""] {
        let source = home.join(source).display().to_string();
        let refused = world.cage(&format!("start -d -v {source}:/x")).exits(1);
        refused.says("can't be writable: ").says("hint: add `:ro`");
        world.cage(&format!("run -v {source}:/x:rw true")).exits(125);
    }
    // Hidden files and directories that cage has not heard of, and one that a link among settings leads to.
    world.write(&home.join(".unheard-of"), "");
    world.write(&home.join(".unknown/bin/tool"), "");
    world.write(&home.join(".config/unknown/key"), "");
    world.write(&home.join(".local/share/unknown/startup.sh"), "");
    world.write(&home.join("linked/options.lua"), "");
    world.mkdir(&home.join(".config/nvim/lua"));
    std::os::unix::fs::symlink(home.join("linked/options.lua"), home.join(".config/nvim/lua/o.lua")).unwrap();
    let unknown = [".unheard-of", ".unknown", ".unknown/bin", ".config/unknown", ".local/share/unknown"];
    for source in unknown.into_iter().chain(["linked", "linked/options.lua"]) {
        let source = home.join(source).display().to_string();
        world.cage(&format!("start -d -v {source}:/x")).exits(1).says("can't be writable: ");
    }
    world.cage("start -d -v /etc:/x").exits(1).says("can't be writable: it is a system directory");
    assert!(world.cages().is_empty());

    let (config, notes) = (config.display(), home.join("notes"));
    world.cage(&format!("start -d -v {config}:/x:ro -v {}:/notes", notes.display())).ok();
    world.cage("run sh -c 'echo planted >>/x'").run();
    assert_eq!(text(&home.join(".gitconfig")), "[user]\n");
    world.cage(&format!("restart --allow-dangerous-dir -v {config}:/x")).ok();
    world.cage("run sudo sh -c 'echo chosen >>/x'").ok();
    assert!(text(&home.join(".gitconfig")).contains("chosen"));
}
