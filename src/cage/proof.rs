//! The proof that an engine on another machine has the same directories: a file that is put into each here is seen in a container
//! there.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::base::error::Failure;
use crate::base::{file, script, text};
use crate::cage::home::UNCONFINED;
use crate::engine::error::Trouble;
use crate::engine::mount::Mount;
use crate::engine::runner::Runner;
use crate::engine::runtime::Runtime;

/// The script that looks for the files.
const SCRIPT: &str = script::body(include_str!("proof.sh"));

/// The time limit, which a slow connection to the other machine may need.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the user can do if the directory is not there.
const WAYS: &str = "make the directory available there at the same path (NFS, sshfs, mutagen), or use an engine on this machine";

/// A file that a container must find in the same directory. Dropping this removes the file.
struct Token {
    dir: OwnedFd,
    name: String,
    text: String,
}

impl Token {
    /// Creates the file. Code in a cage may be changing the directory, so nothing that exists is opened, and no link followed.
    fn put(dir: &str) -> Result<Self> {
        let shown =
            || format!("cannot make a file in {}, to look for it on the engine's machine", text::escape(dir));
        file::check_unlinked(dir.as_ref())?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = rustix::fs::open(dir, flags, Mode::empty()).with_context(shown)?;
        let token = Self { dir: open, name: format!(".cage-proof-{}", random()?), text: random()? };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&token.dir, token.name.as_str(), flags, Mode::from_raw_mode(0o644));
        File::from(made.with_context(shown)?).write_all(token.text.as_bytes()).with_context(shown)?;
        Ok(token)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(&self.dir, self.name.as_str(), AtFlags::empty());
    }
}

fn random() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(hex::encode(bytes))
}

/// Checks that the engine at `address`, on another machine, has these directories of this machine, by a short-lived container of
/// `image`. Signals that would end cage must be held back, so that the files are removed.
///
/// # Errors
/// When a directory is not there or is another one, or the container can't run.
pub fn prove(runtime: &Runtime, runner: Runner, image: &str, address: &str, dirs: &[&str]) -> Result<()> {
    let tokens = dirs.iter().map(|dir| Token::put(dir)).collect::<Result<Vec<_>>>()?;
    let place = |index: usize| format!("/cage-proof-{index}");
    let mounts =
        dirs.iter().enumerate().map(|(index, dir)| Mount::path(*dir, place(index)).readonly().to_flag());
    let mounts: Vec<String> = mounts.collect();
    let mut args =
        vec!["run", "--rm", "--pull", "never", "--network", "none", "--workdir", "/", "--user", "0"];
    args.extend(script::NO_LIBRARIES);
    args.push(UNCONFINED);
    args.extend(mounts.iter().flat_map(|mount| ["--mount", mount]));
    args.extend(["--entrypoint", "/bin/sh", image, "-c", SCRIPT, "sh"]);
    let files = tokens.iter().enumerate().map(|(index, token)| format!("{}/{}", place(index), token.name));
    let look = runtime.command(args.into_iter().map(str::to_owned).chain(files));
    let look = look.slow("Looking for the project on the engine's machine").within(PATIENCE);
    let elsewhere = format!("the engine is on another machine, {}", text::escape(address));
    let mut said = String::new();
    // A busy podman sometimes loses the output of a short-lived container.
    for _ in 0..3 {
        said = match runner.run(&look) {
            Err(error) if error.trouble == Trouble::NotShared => {
                let dirs: Vec<String> = dirs.iter().map(|dir| text::escape(dir)).collect();
                bail!(
                    Failure::new(format!("{elsewhere}, which doesn't have {}", dirs.join(" and ")))
                        .hint(WAYS)
                )
            }
            said => said?,
        };
        if !said.is_empty() {
            break;
        }
    }
    let mut lines = said.lines().skip(1);
    let other = dirs.iter().zip(&tokens).find(|(_, token)| lines.next() != Some(&token.text));
    ensure!(
        other.is_none(),
        Failure::new(format!(
            "{elsewhere}, where {} is another directory",
            text::escape(other.map_or("", |(dir, _)| dir))
        ))
        .hint(WAYS)
    );
    Ok(())
}
