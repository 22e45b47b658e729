//! The options that a cage is created with, and how they are kept over `restart` and `upgrade`.

use std::path::Path;

use anyhow::Result;
use clap::{Args, Parser};

use crate::mount::Mount;
use crate::publish::Publish;

/// What can be chosen about a cage when it is created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct CreateOptions {
    /// Publish a port of the cage on this machine: [[ADDRESS:]HOST:]PORT[/PROTOCOL], on 127.0.0.1 unless an address is
    /// written
    #[arg(short, long, value_name = "HOST:PORT", allow_hyphen_values = true)]
    pub publish: Vec<Publish>,

    /// Mount another directory, file or volume: SOURCE:TARGET[:ro]
    #[arg(short, long, value_name = "SOURCE:TARGET", allow_hyphen_values = true)]
    pub volume: Vec<Mount>,

    /// Keep your SSH agent out of the cage (as does `CAGE_SSH=off`)
    #[arg(long)]
    pub no_ssh: bool,
}

/// Reads [`CreateOptions`] back from a label.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Kept {
    #[command(flatten)]
    options: CreateOptions,
}

impl CreateOptions {
    /// Makes the sources of volumes absolute, seen from `base`.
    ///
    /// # Errors
    /// When a volume's source doesn't exist.
    pub fn resolve(self, base: &Path) -> Result<Self> {
        let volume = self.volume.into_iter().map(|mount| mount.resolve(base)).collect::<Result<_>>()?;
        Ok(Self { volume, ..self })
    }

    /// The options one by one, as words that could have been typed.
    pub fn words(&self) -> Vec<Vec<String>> {
        let publish = self.publish.iter().map(|publish| vec!["-p".to_owned(), publish.to_string()]);
        let volume = self.volume.iter().map(|mount| vec!["-v".to_owned(), mount.to_volume_option()]);
        let no_ssh = self.no_ssh.then(|| vec!["--no-ssh".to_owned()]);
        publish.chain(volume).chain(no_ssh).collect()
    }

    /// The text of the label that keeps them.
    pub fn to_label(&self) -> String {
        shell_words::join(self.words().concat())
    }

    /// Reads a label's text; `None` when it isn't one that cage wrote.
    pub fn from_label(text: &str) -> Option<Self> {
        let words = shell_words::split(text).ok()?;
        Some(Kept::try_parse_from(words).ok()?.options)
    }

    /// These, and those of `kept` that they don't replace: a port of the host's and a place inside can be used once.
    #[must_use]
    pub fn over(mut self, kept: Self) -> Self {
        let mut publish = kept.publish;
        publish.retain(|old| !self.publish.iter().any(|new| new == old || new.clashes_with(old)));
        publish.append(&mut self.publish);
        let mut volume = kept.volume;
        volume.retain(|old| !self.volume.iter().any(|new| new.target() == old.target()));
        volume.append(&mut self.volume);
        Self { publish, volume, no_ssh: self.no_ssh || kept.no_ssh }
    }

    /// Those that `made` doesn't have.
    #[must_use]
    pub fn missing_from(&self, made: &Self) -> Self {
        let mut missing = self.clone();
        missing.publish.retain(|publish| !made.publish.contains(publish));
        missing.volume.retain(|mount| !made.volume.contains(mount));
        missing.no_ssh &= !made.no_ssh;
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> CreateOptions {
        Kept::try_parse_from(words).unwrap().options
    }

    #[test]
    fn a_label_reads_back_as_what_was_written() {
        let typed = options(&[
            "-p",
            "3000:3000",
            "-v",
            "/it's a:b:/t:ro",
            "-p",
            "53:53/udp",
            "-v",
            "pg:/pg",
            "--no-ssh",
        ]);
        let label = typed.to_label();
        assert_eq!(
            label,
            r"-p 127.0.0.1:3000:3000 -p 127.0.0.1:53:53/udp -v '/it'\''s a:b:/t:ro' -v pg:/pg --no-ssh"
        );
        assert_eq!(CreateOptions::from_label(&label), Some(typed));
        assert_eq!(CreateOptions::from_label(""), Some(CreateOptions::default()));
        assert_eq!(CreateOptions::from_label("--privileged"), None);
    }

    #[test]
    fn new_options_join_the_kept_ones_and_replace_those_they_clash_with() {
        let kept = options(&["-p", "3000:3000", "-p", "4000:4000", "-v", "/a:/x", "-v", "/b:/y"]);
        let new = options(&["-p", "3000:80", "-p", "5000:5000", "-v", "/c:/x"]);
        assert_eq!(
            new.over(kept).to_label(),
            "-p 127.0.0.1:4000:4000 -p 127.0.0.1:3000:80 -p 127.0.0.1:5000:5000 -v /b:/y -v /c:/x"
        );
    }

    #[test]
    fn only_what_a_cage_was_not_made_with_is_missing() {
        let made = options(&["-p", "3000:3000", "-v", "/a:/x"]);
        let typed = options(&["-p", "127.0.0.1:3000:3000", "-p", "4000:4000", "-v", "/a:/x:ro"]);
        assert_eq!(typed.missing_from(&made).to_label(), "-p 127.0.0.1:4000:4000 -v /a:/x:ro");
    }
}
