//! The options that a cage is created with, and how they are kept over `restart` and `upgrade`.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use clap::{Args, Parser, ValueEnum};

use crate::env_file;
use crate::error::Failure;
use crate::host::Host;
use crate::mount::Mount;
use crate::publish::Publish;
use crate::ui;

/// What can be chosen about a cage when it is created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct CreateOptions {
    /// Publish a port of the cage on this machine: [[ADDRESS:]HOST:]PORT[/PROTOCOL]; on 127.0.0.1 unless an address is
    /// written, on any free port unless one is
    #[arg(short, long, value_name = "HOST:PORT", allow_hyphen_values = true)]
    pub publish: Vec<Publish>,

    /// Mount another directory, file or volume: SOURCE:TARGET[:ro]
    #[arg(short, long, value_name = "SOURCE:TARGET", allow_hyphen_values = true)]
    pub volume: Vec<Mount>,

    /// Set a variable inside: KEY=VALUE, or KEY for its value here. It wins over env files
    #[arg(short, long, value_name = "KEY[=VALUE]", allow_hyphen_values = true)]
    pub env: Vec<Variable>,

    /// Whose home: the one that all cages share, or one of this project's own
    #[arg(long, value_name = "WHOSE")]
    pub home: Option<Home>,

    /// Keep your SSH agent out of the cage (as does `CAGE_SSH=off`)
    #[arg(long)]
    pub no_ssh: bool,
}

/// Whose home a cage has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Home {
    /// That of all cages
    Shared,
    /// One of the project's own
    Project,
}

/// A variable for a cage. Its value may be secret: it is neither shown nor kept in a label.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// The name.
    pub name: String,
    /// The value, once it is known.
    pub value: Option<String>,
}

impl FromStr for Variable {
    type Err = Infallible;

    /// Takes everything: the value of what isn't a variable may be secret all the same, and clap would show it.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once('=') {
            Some((name, value)) => Self { name: name.to_owned(), value: Some(value.to_owned()) },
            None => Self { name: text.to_owned(), value: None },
        })
    }
}

impl Variable {
    /// Takes the value from this machine if there is none.
    fn resolve(mut self, host: &Host) -> Result<Self> {
        let shown = ui::escape(&self.name);
        ensure!(
            env_file::is_name(&self.name),
            Failure::new(format!("-e: `{shown}` is not a variable's name")).hint("expected KEY=VALUE or KEY")
        );
        let value = match self.value.take() {
            Some(value) => value,
            None => match host.any_variable(&self.name) {
                Some(value) => value.to_owned(),
                None => bail!(
                    Failure::new(format!("-e: {shown} has no value here"))
                        .hint(format!("write -e {shown}=VALUE"))
                ),
            },
        };
        ensure!(
            !value.contains(['\n', '\0']),
            Failure::new(format!("-e: the value of {shown} has line breaks"))
        );
        Ok(Self { value: Some(value), ..self })
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Reads [`CreateOptions`] back from a label.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Kept {
    #[command(flatten)]
    options: CreateOptions,
}

impl CreateOptions {
    /// Makes the sources of volumes absolute, seen from `base`, and takes values from this machine for variables without.
    ///
    /// # Errors
    /// When a volume's source doesn't exist, or a variable has no value.
    pub fn resolve(mut self, host: &Host, base: &Path) -> Result<Self> {
        self.env = self.env.into_iter().map(|variable| variable.resolve(host)).collect::<Result<_>>()?;
        let volume = self.volume.into_iter().map(|mount| mount.resolve(base)).collect::<Result<_>>()?;
        Ok(Self { volume, ..self })
    }

    /// Checks that the sources of volumes are still there.
    ///
    /// # Errors
    /// When one isn't.
    pub fn check_sources(&self) -> Result<()> {
        self.volume.iter().try_for_each(Mount::check_source)
    }

    /// The options one by one, as words that could have been typed; variables without their values.
    pub fn words(&self) -> Vec<Vec<String>> {
        let publish = self.publish.iter().map(|publish| vec!["-p".to_owned(), publish.to_string()]);
        let volume = self.volume.iter().map(|mount| vec!["-v".to_owned(), mount.to_volume_option()]);
        let env = self.env.iter().map(|variable| vec!["-e".to_owned(), variable.name.clone()]);
        let home = self.home.map(|home| match home {
            Home::Shared => vec!["--home".to_owned(), "shared".to_owned()],
            Home::Project => vec!["--home".to_owned(), "project".to_owned()],
        });
        let no_ssh = self.no_ssh.then(|| vec!["--no-ssh".to_owned()]);
        publish.chain(volume).chain(env).chain(home).chain(no_ssh).collect()
    }

    /// The text of the label that keeps them.
    pub fn to_label(&self) -> String {
        shell_words::join(self.words().concat())
    }

    /// Reads a label's text; `None` when it isn't one that cage wrote. The values of variables are those of the
    /// container, `environment`.
    pub fn from_label(text: &str, environment: &[String]) -> Option<Self> {
        let words = shell_words::split(text).ok()?;
        let mut options = Kept::try_parse_from(words).ok()?.options;
        for variable in &mut options.env {
            let value = |set: &String| Some(set.strip_prefix(&variable.name)?.strip_prefix('=')?.to_owned());
            variable.value = environment.iter().find_map(value);
        }
        options.env.retain(|variable| variable.value.is_some());
        Some(options)
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
        let mut env = kept.env;
        env.retain(|old| !self.env.iter().any(|new| new.name == old.name));
        env.append(&mut self.env);
        Self { publish, volume, env, home: self.home.or(kept.home), no_ssh: self.no_ssh || kept.no_ssh }
    }

    /// Those that `made` doesn't have.
    #[must_use]
    pub fn missing_from(&self, made: &Self) -> Self {
        let mut missing = self.clone();
        missing.publish.retain(|publish| !made.publish.contains(publish));
        missing.volume.retain(|mount| !made.volume.contains(mount));
        missing.env.retain(|variable| !made.env.contains(variable));
        missing.home = self.home.filter(|home| *home != made.home.unwrap_or(Home::Shared));
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
            "--home",
            "project",
            "-e",
            "TOKEN=secret=1",
        ]);
        let environment = ["TOKENS=x".to_owned(), "TOKEN=secret=1".to_owned()];
        let label = typed.to_label();
        assert_eq!(
            label,
            r"-p 127.0.0.1:3000:3000 -p 127.0.0.1:53:53/udp -v '/it'\''s a:b:/t:ro' -v pg:/pg -e TOKEN --home project --no-ssh"
        );
        assert_eq!(CreateOptions::from_label(&label, &environment), Some(typed));
        assert_eq!(CreateOptions::from_label("", &[]), Some(CreateOptions::default()));
        assert_eq!(CreateOptions::from_label("--privileged", &[]), None);
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
