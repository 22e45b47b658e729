//! Random project trees, through every command: no hang, no panic,
//! nothing that acts on a terminal, no file touched outside.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::machine::{Machine, Speaks};

const TREES: u64 = 40;

/// A random number generator with reproducible output.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % sides
    }

    fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.roll(among.len())]
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.pick(&[0, 1, 10, 100, 5000, 70_000]);
        (0..length).map(|_| u8::try_from(self.roll(256)).unwrap()).collect()
    }
}

const NAMES: [&[u8]; 28] = [
    b".git",
    b".cage.env",
    // Twice, so that many trees have one at the top.
    b".cage.env",
    b".envrc",
    b".vscode",
    b".claude",
    b"config",
    b"hooks",
    b"commondir",
    b"HEAD",
    b"objects",
    b"docker",
    b"podman",
    b"a b",
    b"-rf",
    b"line\nbreak",
    b"red\x1b[31m\x07",
    b"\xff\xfe",
    "\u{202e}txt".as_bytes(),
    b"$(touch x)",
    b".gitattributes",
    b"index",
    b"info",
    b"exclude",
    b"packed-refs",
    b"refs",
    b"replace",
    b"iptables",
];

const TEXTS: [&[u8]; 15] = [
    b"gitdir: /etc\n",
    b"gitdir: ../../home\n",
    b"gitdir: \x1b]0;x\x07\n",
    b"[core]\n\tfsmonitor = ./x\x1b[31m\n\thooksPath = /tmp\n[include]\n\tpath = ../../../home/.ssh/config\n",
    b"[include]\n\tpath = config\n[alias]\n\tx = !sh\n[filter \"a\\\"b\"]\n\tsmudge = x\n",
    b"KEY=value\nOTHER=\x1b[31m\n",
    b"KEY\nAWS*\n",
    b"PATH=/x\nLD_PRELOAD=/x.so\nDOCKER_HOST=tcp://1.2.3.4:5\n",
    b"= \n===\n\xff=\xff\n",
    b"\xef\xbb\xbfKEY=bom\r\n",
    b"[core\n\"\\\n",
    b"* filter=x\n",
    b"DIRC\0\0\0\x02\xff\xff\xff\xff",
    b"DIRC\0\0\0\x04\0\0\0\x01\0\0\0\0",
    b"1 refs/replace/\x1b[31m\n2 refs/heads/x\n",
];

const TARGETS: [&str; 9] = [
    "/etc/passwd",
    "/",
    "..",
    ".",
    "../../home",
    "nowhere",
    "/proc/self/fd/0",
    "/dev/zero",
    "../../home/.config/cage/env",
];

/// Fills `dir` with a few random entries.
fn grow(dice: &mut Dice, dir: &Path, depth: usize) {
    for _ in 0..=dice.roll(8) {
        let path = dir.join(OsStr::from_bytes(dice.pick(&NAMES)));
        // Existing entries are kept.
        let _ = match dice.roll(9) {
            0 | 1 if depth < 6 => fs::create_dir(&path).map(|()| grow(dice, &path, depth + 1)),
            2 => symlink(dice.pick(&TARGETS), &path),
            3 => mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).map_err(Into::into),
            4 => UnixListener::bind(&path).map(drop),
            5 => File::create_new(&path).and_then(|_| fs::write(&path, dice.bytes())),
            6 => File::create_new(&path)
                .and_then(|_| fs::set_permissions(&path, fs::Permissions::from_mode(0o6777))),
            _ => File::create_new(&path).and_then(|_| fs::write(&path, dice.pick(&TEXTS))),
        };
    }
}

/// Returns everything below `dir` except `except`, in a form that shows changes.
fn snapshot(dir: &Path, except: &[PathBuf]) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if except.contains(&path) {
                continue;
            }
            let content = if metadata.is_file() {
                format!("{:?}", fs::read(&path).unwrap())
            } else {
                format!("{:?} {:?}", metadata.file_type(), fs::read_link(&path).ok())
            };
            if metadata.is_dir() {
                dirs.push(path.clone());
            }
            found.insert(path, format!("{:o} {content}", metadata.permissions().mode()));
        }
    }
    found
}

#[test]
fn every_command_handles_hostile_trees() {
    let commands = [
        "start",
        "start -d -v ./config:/x",
        "run true",
        "run -- cat",
        "shell",
        "status",
        "check",
        "check --all --json",
        "list",
        "restart",
        "upgrade",
        "update",
        "check",
        "check --json --all",
        "stop",
        "rm",
        "rm --home",
        "--dry-run start",
        "--dry-run restart",
        "rmconfig --yes",
        "obliterate --yes",
    ];
    let names: [&[u8]; 6] = [b"app", b"a b", b"\x1b[31mred", b"new\nline", "\u{202e}x".as_bytes(), b"-x"];
    let (mut went_well, mut refused) = (0, 0);
    for seed in 1..=TREES {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let story =
            dice.pick(&["none", "running", "stopped", "created", "none, offline", "running, newer image"]);
        let mut machine = Machine::in_story(dice.pick(&[Speaks::Docker, Speaks::Podman]), story);
        fs::create_dir_all(machine.home().join(".ssh")).unwrap();
        fs::write(machine.home().join(".ssh/id"), "private key").unwrap();
        machine.enter(OsStr::from_bytes(dice.pick(&names)));
        grow(&mut dice, &machine.project, 0);
        // As for a user with the project first in PATH by mistake.
        let path = machine.env.iter_mut().find(|(name, _)| *name == "PATH").unwrap();
        path.1.push(":");
        path.1.push(&machine.project);
        let except =
            [machine.project.clone(), machine.home().join(".local"), machine.engine().dir().to_owned()];
        let before = snapshot(&machine.root(), &except);
        for command in commands {
            let start = Instant::now();
            let outcome = machine.cage(command);
            let story = format!("seed {seed}, {story}: cage {command}: {}", outcome.stderr);
            // Under load a command may take seconds, but none may wait for a pipe or read a device to its end.
            assert!(start.elapsed() < Duration::from_secs(60), "{story}");
            assert!(outcome.code != 101 && !outcome.stderr.contains("panicked"), "{story}");
            assert!(
                !outcome.stdout.contains("private key") && !outcome.stderr.contains("root:x:0"),
                "{story}"
            );
            outcome.assert_harmless();
            went_well += u32::from(outcome.code == 0);
            refused += u32::from(outcome.stderr.contains(".cage.env"));
            assert!(before == snapshot(&machine.root(), &except), "{story}");
        }
    }
    // The control: the trees contain hostile entries.
    assert!(went_well > 200 && refused > 20, "{went_well} went well, {refused} were refused");
}
