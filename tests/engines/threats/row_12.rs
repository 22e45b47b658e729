//! Row 12: device nodes and file capabilities in the project, which other users of the host can use.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use crate::lab::World;

on_each_engine!(device_nodes_and_file_capabilities_can_not_be_made, what_people_do_as_root_goes_on_working);

/// Gives a copy of a program the capability to open ports below 1024, as `setcap` does. Tells whether that worked.
const SETCAP: &str = r#"cp /bin/true capable && perl -e '
    my ($call, $file, $name) = (`uname -m` =~ /x86_64/ ? 188 : 5, "capable", "security.capability");
    my ($value, $size, $flags) = (pack("V5", 0x02000001, 0x400, 0, 0, 0), 20, 0);
    exit(syscall($call, $file, $name, $value, $size, $flags) == 0 ? 0 : 1)'"#;

/// Has the file capabilities, as the host sees it?
fn is_capable(file: &Path) -> bool {
    let mut value = [0; 64];
    rustix::fs::getxattr(file, "security.capability", &mut value).is_ok()
}

fn device_nodes_and_file_capabilities_can_not_be_made(world: &World) {
    let (node, capable) = (world.project.join("node"), world.project.join("capable"));
    let as_root = |script: &str| {
        let mount = format!("type=bind,source={},target=/p", world.project.display());
        let script = shell_words::quote(script).into_owned();
        world.engine(&format!("run --rm --user 0 --workdir /p --mount {mount} cage-lab sh -c {script}")).run()
    };
    // The controls: root in any other container.
    as_root(SETCAP);
    assert!(is_capable(&capable), "the engine's root can give no capabilities");
    as_root("rm capable");
    let made = as_root("mknod node c 1 3");
    let node_is_made = fs::metadata(&node).is_ok_and(|file| file.file_type().is_char_device());
    if world.engine.is_docker() && !world.engine.is_rootless() {
        assert!(node_is_made, "{made}");
        as_root("rm node");
    } else {
        // Immune by itself: podman gives no such capability, and without root the kernel refuses.
        assert!(!node_is_made && made.code != 0, "{made}");
    }

    world.cage("start -d").ok();
    let inside =
        |script: &str| world.cage(&format!("run -- sudo sh -c {}", shell_words::quote(script))).run();
    assert_eq!(inside("id -u").out, "0\n");
    for command in ["mknod node c 1 3", "mknod node b 7 0"] {
        let ran = inside(command);
        assert!(ran.code != 0 && ran.err.contains("Operation not permitted"), "{ran}");
    }
    // A file is copied all the same.
    let ran = inside(SETCAP);
    assert!(ran.code != 0 && capable.exists() && !is_capable(&capable), "{ran}");
    assert!(!node.exists());
    inside("rm -f capable");
    // No process inside can have MKNOD or SETFCAP. AUDIT_WRITE, without which sudo complains, is as the engine has it.
    let bounding = world.inside("sed -n 's/^CapBnd:\t//p' /proc/self/status").ok().out;
    let bounding = u64::from_str_radix(bounding.trim(), 16).unwrap();
    assert_eq!(bounding & (1 << 27 | 1 << 31), 0, "{bounding:x}");
    if world.engine.is_docker() {
        assert_ne!(bounding & (1 << 29), 0, "{bounding:x}");
    }
    let status = world.cage("status").ok().out;
    // podman names only those that it would give otherwise.
    assert!(status.contains("\nDropped capabilities: ") && status.contains("SETFCAP"), "{status}");

    // The other control: with that flag it can be had.
    world.cage("restart -- --cap-add SETFCAP").ok().says("`--cap-add SETFCAP` weakens the cage");
    let status = world.cage("status").ok().out;
    let without = status.lines().find(|line| line.starts_with("Dropped capabilities:")).unwrap();
    assert!(without.contains("MKNOD") && !without.contains("SETFCAP"), "{status}");
    inside(SETCAP);
    assert!(is_capable(&capable));
}

/// Prints what a container allows that people need: a FIFO, an ICMP socket of root's and of anybody's, as `ping` uses them,
/// tracing one's own child, as a debugger does, and another user's process.
const PROBE: &str = r#"
mkfifo /tmp/fifo && echo fifo
id -u
sudo perl -e 'print "raw socket\n" if socket(my $s, 2, 3, 1)'
perl -e 'print "ping\n" if socket(my $s, 2, 2, 1)'
perl -e '
    my $child = fork; if (!$child) { sleep 20; exit }
    my ($call, $attach, $zero) = (`uname -m` =~ /x86_64/ ? 101 : 117, 16, 0);
    print "trace\n" if syscall($call, $attach, $child, $zero, $zero) == 0;
    kill 9, $child'
sudo sh -c 'useradd --system probe && touch /tmp/theirs && chown probe /tmp/theirs && chmod 4755 /tmp/theirs && echo chown'
sudo -u probe id -un
sudo chroot / true && echo chroot
sudo perl -e 'socket(S, 2, 1, 0) && bind(S, pack("Sna4x8", 2, 80, "\0\0\0\0")) && print "port 80\n"'
"#;

fn what_people_do_as_root_goes_on_working(world: &World) {
    // Installing a package: `root_inside_can_install_packages` in `engines/people.rs`. This is what a plain container of
    // the engine's can do, and a cage is to allow it, too.
    let plain = world.engine(&format!("run --rm cage-lab sh -c {}", shell_words::quote(PROBE))).run().out;
    for must in ["fifo", "trace", "chown", "probe", "chroot", "port 80"] {
        assert!(plain.lines().any(|line| line == must), "{must}: {plain}");
    }
    let caged = world.cage(&format!("run -- sh -c {}", shell_words::quote(PROBE))).ok();
    // Whose numbers the user has differs, and the more of root's it has the more it can.
    for line in plain.lines().filter(|line| line.parse::<u32>().is_err()) {
        assert!(caged.out.lines().any(|other| other == line), "{line}: {caged}");
    }
}
