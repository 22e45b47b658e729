//! `install.sh` against a server of releases that may be broken.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::common::releases::serve;

/// What the server does with the archive.
#[derive(Clone, Copy, PartialEq)]
enum Archive {
    Whole,
    Damaged,
    /// The connection ends too early.
    Truncated,
    Missing,
    /// The program in it can't run.
    Broken,
}

/// A server of releases 1.2.2 and 1.2.3, the latest, and a home to install to.
struct Install {
    url: String,
    dir: TempDir,
}

impl Install {
    fn new(archive: Archive) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        let mut files = BTreeMap::new();
        for version in ["1.2.2", "1.2.3"] {
            let mut sums = String::new();
            for target in [
                "x86_64-unknown-linux-musl",
                "aarch64-unknown-linux-musl",
                "x86_64-apple-darwin",
                "aarch64-apple-darwin",
            ] {
                let name = format!("cage-{version}-{target}");
                let mut bytes = pack(dir.path(), &name, version, archive);
                writeln!(sums, "{}  {name}.tar.gz", hex::encode(Sha256::digest(&bytes))).unwrap();
                if archive == Archive::Damaged {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                }
                if archive != Archive::Missing {
                    files.insert(format!("/download/v{version}/{name}.tar.gz"), bytes);
                }
            }
            files.insert(format!("/download/v{version}/SHA256SUMS"), sums.clone().into_bytes());
            files.insert("/latest/download/SHA256SUMS".to_owned(), sums.into_bytes());
        }
        let url = serve(files, archive == Archive::Truncated);
        Self { url, dir }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn program(&self) -> PathBuf {
        self.home().join(".local/bin/cage")
    }

    /// Runs the script, as `curl … | sh` does.
    fn run(&self, shell: &[&str], args: &[&str], variables: &[(&str, &str)]) -> Output {
        let script = fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("install.sh")).unwrap();
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(["-s", "--"]).args(args).stdin(script).current_dir(self.dir.path());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.home()).env("CAGE_RELEASES_URL", &self.url).env("SHELL", "/bin/zsh");
        command.env("TMPDIR", self.dir.path()).envs(variables.iter().copied());
        command.output().unwrap()
    }

    /// Returns the files in the home, and in the directory for temporary files.
    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut dirs = vec![self.home()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    dirs.push(entry.path());
                } else {
                    found.push(entry.path().strip_prefix(self.home()).unwrap().display().to_string());
                }
            }
        }
        let leftovers = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        found.extend(
            leftovers.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with("cage-install")),
        );
        found.sort();
        found
    }
}

const INSTALLED: [&str; 6] = [
    ".local/bin/cage",
    ".local/share/bash-completion/completions/cage",
    ".local/share/fish/vendor_completions.d/cage.fish",
    ".local/share/man/man1/cage-start.1",
    ".local/share/man/man1/cage.1",
    ".local/share/zsh/site-functions/_cage",
];

/// Makes the archive of a release with a stand-in for the program.
fn pack(dir: &Path, name: &str, version: &str, archive: Archive) -> Vec<u8> {
    let content = dir.join(name);
    fs::create_dir_all(content.join("man")).unwrap();
    let code = if archive == Archive::Broken { "exit 1" } else { "" };
    let program = format!(
        "#!/bin/sh\n# CAGE_IMAGE\n{code}\ncase $1 in\nversion) echo cage {version} ;;\n\
         completions) echo \"completions for $2\" ;;\nesac\n"
    );
    fs::write(content.join("cage"), program).unwrap();
    fs::set_permissions(content.join("cage"), fs::Permissions::from_mode(0o755)).unwrap();
    for page in ["cage.1", "cage-start.1"] {
        fs::write(content.join("man").join(page), page).unwrap();
    }
    let output = Command::new("tar").arg("-C").arg(dir).args(["-czf", "-", name]).output().unwrap();
    assert!(output.status.success());
    fs::remove_dir_all(content).unwrap();
    output.stdout
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn installs_the_latest_release_in_every_shell() {
    let install = Install::new(Archive::Whole);
    for shell in [&["dash"][..], &["bash", "--posix"], &["busybox", "sh"]] {
        if !Command::new(shell[0]).args(["-c", ":"]).output().is_ok_and(|_| true) {
            assert!(shell[0] != "bash", "bash is here");
            continue;
        }
        let output = install.run(shell, &[], &[]);
        assert!(output.status.success(), "{shell:?}: {}", said(&output));
        assert_eq!(install.files(), INSTALLED, "{shell:?}");
        assert!(said(&output).contains("installed cage 1.2.3 as "), "{}", said(&output));
        assert!(said(&output).contains(r#".local/bin:$PATH"' >>~/.zshrc"#), "{}", said(&output));
        let version = Command::new(install.program()).arg("version").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&version.stdout), "cage 1.2.3\n");

        let output = install.run(shell, &["--uninstall"], &[]);
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("`cage obliterate`"), "{}", said(&output));
        assert_eq!(install.files(), [""; 0], "{shell:?}");
        let output = install.run(shell, &["--uninstall"], &[]);
        assert!(output.status.success() && said(&output).contains("nothing of cage"), "{}", said(&output));
    }
}

#[test]
fn a_download_that_is_not_right_installs_nothing() {
    for (archive, words) in [
        (Archive::Damaged, "damaged"),
        (Archive::Truncated, "could not download"),
        (Archive::Missing, "could not download"),
        (Archive::Broken, "does not run here"),
    ] {
        let install = Install::new(archive);
        let output = install.run(&["sh"], &[], &[]);
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
        assert_eq!(install.files(), [""; 0], "{words}");
    }
    // The script itself may arrive incomplete, too.
    let install = Install::new(Archive::Whole);
    let script = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("install.sh")).unwrap();
    let lines: Vec<&str> = script.lines().collect();
    for count in (1..lines.len()).step_by(7) {
        let mut command = Command::new("sh");
        command.args(["-c", &lines[..count].join("\n")]).env("HOME", install.home());
        command.env("CAGE_RELEASES_URL", &install.url).output().unwrap();
        assert_eq!(install.files(), [""; 0], "{count} lines");
    }
}

#[test]
fn installs_the_version_that_is_asked_for() {
    let install = Install::new(Archive::Whole);
    let version = || fs::read_to_string(install.program()).unwrap();
    for (args, variables) in [
        (&["--version", "1.2.2"][..], &[][..]),
        (&["--version=v1.2.2"], &[]),
        (&[], &[("CAGE_VERSION", "1.2.2")]),
    ] {
        let output = install.run(&["sh"], args, variables);
        assert!(output.status.success(), "{}", said(&output));
        assert!(version().contains("cage 1.2.2"));
        install.run(&["sh"], &[], &[]);
        assert!(version().contains("cage 1.2.3"));
    }
    for (args, code) in [
        (&["--version", "9.9.9"][..], 1),
        (&["--version", "../x"], 1),
        (&["--version"], 1),
        (&["--wrong"], 2),
    ] {
        let output = install.run(&["sh"], args, &[]);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
        assert!(version().contains("cage 1.2.3"), "{args:?}");
    }
}

#[test]
fn replaces_the_script_and_no_other_program() {
    let install = Install::new(Archive::Whole);
    fs::create_dir_all(install.program().parent().unwrap()).unwrap();
    fs::write(install.program(), "#!/usr/bin/env bash\nIMAGE=\"${CAGE_IMAGE:-x}\"\n").unwrap();
    let output = install.run(&["sh"], &[], &[]);
    assert!(
        output.status.success() && said(&output).contains("replacing the shell script"),
        "{}",
        said(&output)
    );
    assert_eq!(install.files(), INSTALLED);

    // A Wayland compositor has the same name.
    fs::write(install.program(), "a compositor").unwrap();
    for args in [&[][..], &["--uninstall"]] {
        let output = install.run(&["sh"], args, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("is not cage"), "{}", said(&output));
        assert_eq!(fs::read_to_string(install.program()).unwrap(), "a compositor");
    }

    // A link into a checkout of the script is replaced, the checkout stays.
    let checkout = install.dir.path().join("checkout");
    fs::write(&checkout, "#!/bin/bash\n# CAGE_IMAGE\n").unwrap();
    fs::remove_file(install.program()).unwrap();
    symlink(&checkout, install.program()).unwrap();
    assert!(install.run(&["sh"], &[], &[]).status.success());
    assert!(!install.program().is_symlink());
    assert_eq!(fs::read_to_string(&checkout).unwrap(), "#!/bin/bash\n# CAGE_IMAGE\n");
}

#[test]
fn installs_to_another_directory() {
    let install = Install::new(Archive::Whole);
    let path = format!("{}/bin:{}", install.home().display(), std::env::var("PATH").unwrap());
    let other = install.home().join("bin");
    let variables = [("CAGE_INSTALL_DIR", other.to_str().unwrap()), ("PATH", &path)];
    let output = install.run(&["sh"], &[], &variables);
    assert!(output.status.success(), "{}", said(&output));
    assert!(other.join("cage").is_file());
    assert!(!said(&output).contains("PATH"), "{}", said(&output));
}
