//! The options that a cage is created with, and how they are kept over `restart` and `upgrade`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Parser, ValueEnum, ValueHint};

use crate::cage::isolation;
use crate::cage::variable::Variable;
use crate::engine::mount::Mount;
use crate::engine::publish::Publish;
use crate::host::machine::Host;

/// The headings of these options in help.
const MOUNTS: &str = "Ports, mounts and variables";
const WALL: &str = "The wall";
const LIMITS: &str = "Limits";

/// What can be chosen about a cage when it is created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct CreateOptions {
    /// Publish a port of the cage on this machine: [[ADDRESS:]HOST:]PORT[/PROTOCOL]; on 127.0.0.1 unless an address is
    /// written, on any free port unless one is
    #[arg(short, long, value_name = "HOST:PORT", allow_hyphen_values = true, help_heading = MOUNTS)]
    pub publish: Vec<Publish>,

    /// Mount another directory, file or volume: SOURCE:TARGET[:ro]
    #[arg(
        short,
        long,
        value_name = "SOURCE:TARGET",
        allow_hyphen_values = true,
        help_heading = MOUNTS,
        value_hint = ValueHint::AnyPath
    )]
    pub volume: Vec<Mount>,

    /// Set a variable inside: KEY=VALUE, or KEY for its value here. It wins over env files
    #[arg(short, long, value_name = "KEY[=VALUE]", allow_hyphen_values = true, help_heading = MOUNTS)]
    pub env: Vec<Variable>,

    /// Whose home: the one that all cages share, or one of this project's own [env: `CAGE_HOME`]
    #[arg(long, value_name = "WHOSE", help_heading = MOUNTS)]
    pub home: Option<Home>,

    /// Keep your SSH agent out of the cage [env: `CAGE_SSH=off`]
    #[arg(long, help_heading = WALL)]
    pub no_ssh: bool,

    /// No root inside: sudo and the like don't work, and setuid programs get nothing [env: `CAGE_NO_ROOT=1`]
    #[arg(long, help_heading = WALL)]
    pub no_root: bool,

    /// The engine's network to be in, such as `none` [default: the engine's default one] [env: `CAGE_NETWORK`]
    #[arg(long, value_name = "MODE", value_parser = word, help_heading = WALL)]
    pub network: Option<String>,

    /// The most memory that all of the cage may use, such as 4g [env: `CAGE_MEMORY`]
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = LIMITS)]
    pub memory: Option<String>,

    /// How many processors' time the cage may use, such as 1.5 [env: `CAGE_CPUS`]
    #[arg(long, value_name = "NUMBER", value_parser = number, help_heading = LIMITS)]
    pub cpus: Option<String>,

    /// How many processes there may be inside [default: 4096] [env: `CAGE_PIDS_LIMIT`]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..), help_heading = LIMITS)]
    pub pids_limit: Option<u32>,

    /// The graphics processors that the cage may use: all, or device=0,1 (docker also takes how many) [env: `CAGE_GPUS`]
    #[arg(long, value_name = "WHICH", value_parser = word, help_heading = LIMITS)]
    pub gpus: Option<String>,

    /// Although another cage can write where the project (or a source of -v) is
    #[arg(long, help_heading = WALL)]
    pub allow_nested: bool,

    /// Although the project is, holds or lies in a directory with your secrets, or one that others use
    #[arg(long, help_heading = WALL)]
    pub allow_dangerous_dir: bool,

    /// Arguments for the engine's own `create`, unchanged.
    #[arg(skip)]
    pub engine_args: Vec<String>,

    /// The variables from which some of these come; see [`Self::with_defaults`].
    #[arg(skip)]
    pub defaults: Vec<String>,
}

/// What an engine takes for a name: it must not be read as an option.
fn word(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:=,/".contains(c);
    if text.starts_with('-') || text.is_empty() || !text.chars().all(fine) {
        return Err("expected a name".into());
    }
    Ok(text.to_owned())
}

/// A number of bytes as the engines write it.
fn size(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches(['b', 'k', 'm', 'g', 'B', 'K', 'M', 'G']);
    let whole = number(digits).map_err(|_| "expected a number with b, k, m or g, such as 512m or 4g")?;
    if text.len() - whole.len() > 1 {
        Err("expected one of b, k, m or g after the number".into())
    } else {
        Ok(text.into())
    }
}

fn number(text: &str) -> Result<String, String> {
    let is_number =
        text.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok_and(|value| value > 0.0);
    if is_number { Ok(text.to_owned()) } else { Err("expected a number".into()) }
}

/// Whose home a cage has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Home {
    /// That of all cages
    Shared,
    /// One of the project's own
    Project,
}

/// Reads [`CreateOptions`] back from a label.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Kept {
    #[command(flatten)]
    options: CreateOptions,

    #[arg(last = true)]
    engine_args: Vec<String>,
}

impl CreateOptions {
    /// Makes the sources of volumes absolute, seen from `base`, takes values from this machine for variables without, and
    /// arguments for the engine from `CAGE_CREATE_ARGS`.
    ///
    /// # Errors
    /// When a volume's source doesn't exist, a variable has no value, or an argument can't be the engine's.
    pub fn resolve(mut self, host: &Host, base: &Path) -> Result<Self> {
        self.engine_args.splice(..0, host.create_args.iter().cloned());
        isolation::check_engine_args(&self.engine_args, &host.label)?;
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

    /// The files and directories of the host that volumes mount.
    pub fn sources(&self) -> impl Iterator<Item = PathBuf> {
        self.volume.iter().filter_map(|mount| mount.source_path()).map(PathBuf::from)
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
        let switches = [
            ("--no-ssh", self.no_ssh),
            ("--no-root", self.no_root),
            ("--allow-nested", self.allow_nested),
            ("--allow-dangerous-dir", self.allow_dangerous_dir),
        ];
        let switches = switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| vec![name.to_owned()]);
        let values = [
            ("--network", self.network.clone()),
            ("--memory", self.memory.clone()),
            ("--cpus", self.cpus.clone()),
            ("--pids-limit", self.pids_limit.map(|limit| limit.to_string())),
            ("--gpus", self.gpus.clone()),
        ];
        let values = values.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
        let engine_args = (!self.engine_args.is_empty())
            .then(|| ["--".to_owned()].into_iter().chain(self.engine_args.iter().cloned()).collect());
        publish
            .chain(volume)
            .chain(env)
            .chain(home)
            .chain(switches)
            .chain(values)
            .chain(engine_args)
            .collect()
    }

    /// The text of the label that keeps them.
    pub fn to_label(&self) -> String {
        shell_words::join(self.words().concat())
    }

    /// Reads the texts of the labels that keep the options and the names of the variables that some of them come from; `None`
    /// when either isn't one that this version of cage writes. The values of variables are those of the container,
    /// `environment`.
    pub fn from_labels(text: &str, defaults: &str, environment: &[String]) -> Option<Self> {
        let mut options = Self::from_label(text, environment)?;
        options.defaults = defaults.split_whitespace().map(str::to_owned).collect();
        (options.by_variable().len() == options.defaults.len()).then_some(options)
    }

    /// Reads a label's text; `None` when it isn't one that cage wrote. The values of variables are those of the
    /// container, `environment`.
    pub fn from_label(text: &str, environment: &[String]) -> Option<Self> {
        let words = shell_words::split(text).ok()?;
        let Kept { mut options, engine_args } = Kept::try_parse_from(words).ok()?;
        options.engine_args = engine_args;
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
        let mut engine_args = kept.engine_args;
        if !holds(&engine_args, &self.engine_args) {
            engine_args.append(&mut self.engine_args);
        }
        Self {
            publish,
            volume,
            env,
            home: self.home.or(kept.home),
            no_ssh: self.no_ssh || kept.no_ssh,
            no_root: self.no_root || kept.no_root,
            network: self.network.or(kept.network),
            memory: self.memory.or(kept.memory),
            cpus: self.cpus.or(kept.cpus),
            pids_limit: self.pids_limit.or(kept.pids_limit),
            gpus: self.gpus.or(kept.gpus),
            allow_nested: self.allow_nested || kept.allow_nested,
            allow_dangerous_dir: self.allow_dangerous_dir || kept.allow_dangerous_dir,
            engine_args,
            defaults: self.defaults,
        }
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
        missing.no_root &= !made.no_root;
        missing.network = self.network.clone().filter(|network| Some(network) != made.network.as_ref());
        missing.memory = self.memory.clone().filter(|memory| Some(memory) != made.memory.as_ref());
        missing.cpus = self.cpus.clone().filter(|cpus| Some(cpus) != made.cpus.as_ref());
        missing.pids_limit = self.pids_limit.filter(|limit| Some(*limit) != made.pids_limit);
        missing.gpus = self.gpus.clone().filter(|gpus| Some(gpus) != made.gpus.as_ref());
        // These say that something may be, not what is to be.
        missing.allow_nested = false;
        missing.allow_dangerous_dir = false;
        if holds(&made.engine_args, &self.engine_args) {
            missing.engine_args.clear();
        }
        missing
    }
}

/// Are these words, one after the other, among those?
fn holds(all: &[String], part: &[String]) -> bool {
    part.is_empty() || all.windows(part.len()).any(|words| words == part)
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
        let mut typed = options(&["--no-root", "--network", "none", "--memory", "4g", "--cpus", "1.5"]);
        typed.pids_limit = Some(100);
        typed.allow_nested = true;
        typed.engine_args = ["--gpus", "all", "--label", "a=b c", "-p", "1:1"].map(str::to_owned).into();
        let label = typed.to_label();
        assert_eq!(
            label,
            "--no-root --allow-nested --network none --memory 4g --cpus 1.5 --pids-limit 100 \
             -- --gpus all --label 'a=b c' -p 1:1"
        );
        assert_eq!(CreateOptions::from_label(&label, &[]), Some(typed));
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
    fn arguments_for_the_engine_are_kept_and_not_repeated() {
        let with = |words: &str| CreateOptions {
            engine_args: shell_words::split(words).unwrap(),
            ..CreateOptions::default()
        };
        let over = |new: &str, kept: &str| with(new).over(with(kept)).engine_args.join(" ");
        assert_eq!(over("--gpus all", "--init"), "--init --gpus all");
        assert_eq!(over("--gpus all", "--init --gpus all"), "--init --gpus all");
        assert_eq!(over("", "--init"), "--init");
        assert_eq!(
            with("--gpus all").missing_from(&with("--init --gpus all")).words(),
            Vec::<Vec<String>>::new()
        );
        assert_eq!(with("--gpus all").missing_from(&with("--init")).words(), [["--", "--gpus", "all"]]);
    }

    #[test]
    fn what_no_engine_takes_for_a_limit_is_refused() {
        for words in [
            ["--memory", "lots"],
            ["--memory", "4gg"],
            ["--memory", "-1g"],
            ["--memory", ""],
            ["--cpus", "x"],
            ["--cpus", "0"],
            ["--cpus", "-1"],
            ["--pids-limit", "0"],
            ["--network", "--privileged"],
            ["--network", "a b"],
        ] {
            assert!(Kept::try_parse_from(words).is_err(), "{words:?}");
        }
        for words in [["--memory", "512m"], ["--memory", "1.5G"], ["--memory", "1000000"], ["--cpus", "0.5"]]
        {
            assert!(Kept::try_parse_from(words).is_ok(), "{words:?}");
        }
    }

    #[test]
    fn only_what_a_cage_was_not_made_with_is_missing() {
        let made = options(&["-p", "3000:3000", "-v", "/a:/x"]);
        let typed = options(&["-p", "127.0.0.1:3000:3000", "-p", "4000:4000", "-v", "/a:/x:ro"]);
        assert_eq!(typed.missing_from(&made).to_label(), "-p 127.0.0.1:4000:4000 -v /a:/x:ro");
    }
}
