//! The options that the user chose for a cage, and how labels keep them over `restart` and `upgrade`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{ArgMatches, Args, Command, FromArgMatches, Parser};

use crate::base::file;
use crate::cage::engine_args;
use crate::cage::options::{Definition, HOME, Home, IMAGE, TABLE, Value};
use crate::cage::variable::Variable;
use crate::engine::args::flags;
use crate::engine::dialect::Dialect;
use crate::engine::image::is_same_name;
use crate::engine::info::Limit;
use crate::engine::mount::Mount;
use crate::engine::publish::Publish;
use crate::host::machine::{DEFAULT_IMAGE, Host};

/// The options that were chosen for a cage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// In the order of the table.
    pub(super) chosen: Vec<Choice>,
    /// Arguments for the engine's own `create`, unchanged.
    pub engine_args: Vec<String>,
    /// The symbolic links in the sources of mounts as they were typed, each by its real path.
    pub links: Vec<PathBuf>,
}

/// An option and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub option: &'static Definition,
    pub value: Value,
    /// Whether the value comes from the option's variable or file.
    pub is_default: bool,
}

impl Choice {
    pub fn typed(option: &'static Definition, value: Value) -> Self {
        Self { option, value, is_default: false }
    }

    pub fn words(&self) -> Vec<String> {
        self.option.words(&self.value)
    }

    /// Returns whether this choice takes the place of `old`.
    pub fn replaces(&self, old: &Self) -> bool {
        self.option == old.option && self.option.clashes.is_none_or(|clash| clash(&self.value, &old.value))
    }

    /// Returns whether a cage created with `made` satisfies this choice.
    pub fn is_met_by(&self, made: &CreateOptions) -> bool {
        let mut same = made.chosen.iter().filter(|made| made.option == self.option).peekable();
        let is_default = || self.option.default.is_some_and(|default| self.value.to_string() == default);
        self.option.permits
            || (same.peek().is_none() && is_default())
            || same.any(|made| made.value == self.value)
    }
}

impl Args for CreateOptions {
    fn augment_args(command: Command) -> Command {
        command.args(TABLE.iter().map(Definition::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CreateOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = Self::default();
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for option in &TABLE {
            if option.is_switch() {
                let is_on = matches.get_flag(option.flag);
                self.chosen.extend(is_on.then(|| Choice::typed(option, Value::On)));
            } else {
                let values = matches.get_many::<Value>(option.flag).into_iter().flatten().cloned();
                self.chosen.extend(values.map(|value| Choice::typed(option, value)));
            }
        }
        Ok(())
    }
}

/// The words of a label.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Kept {
    #[command(flatten)]
    options: CreateOptions,

    #[arg(last = true)]
    engine_args: Vec<String>,
}

impl CreateOptions {
    /// Returns whether an option was chosen.
    pub fn has(&self, flag: &str) -> bool {
        self.values(flag).next().is_some()
    }

    /// Returns the value of an option as text.
    pub fn text(&self, flag: &str) -> Option<String> {
        self.values(flag).next().map(ToString::to_string)
    }

    fn values(&self, flag: &str) -> impl Iterator<Item = &Value> {
        self.chosen.iter().filter(move |choice| choice.option.flag == flag).map(|choice| &choice.value)
    }

    fn each<'a, T: 'a>(&'a self, get: impl Fn(&'a Value) -> Option<&'a T>) -> impl Iterator<Item = &'a T> {
        self.chosen.iter().filter_map(move |choice| get(&choice.value))
    }

    /// Returns the home that was chosen.
    pub fn home(&self) -> Option<Home> {
        self.each(|value| if let Value::Home(home) = value { Some(home) } else { None }).next().copied()
    }

    /// Replaces the choice of a home.
    #[must_use]
    pub fn with_home(self, home: Home) -> Self {
        let option = TABLE.iter().find(|option| option.flag == HOME);
        let chosen = option.map(|option| Choice::typed(option, Value::Home(home))).into_iter().collect();
        Self { chosen, ..Self::default() }.over(self)
    }

    /// Adds the image that a cage was made of, for one whose other labels don't name it: such an image came from the variable.
    pub(super) fn made_of(mut self, image: &str) -> Option<Self> {
        if !self.has(IMAGE) && !is_same_name(image, DEFAULT_IMAGE) {
            let mut named = Self::from_label(&shell_words::join([IMAGE, image]), &[])?;
            named.chosen.iter_mut().for_each(|choice| choice.is_default = true);
            self = self.over(named);
        }
        Some(self)
    }

    /// Returns the image to make the cage of.
    pub fn image(&self) -> String {
        self.text(IMAGE).unwrap_or_else(|| DEFAULT_IMAGE.to_owned())
    }

    /// Returns the published ports.
    pub fn ports(&self) -> impl Iterator<Item = &Publish> {
        self.each(|value| if let Value::Port(publish) = value { Some(publish) } else { None })
    }

    /// Returns the mounts.
    pub fn mounts(&self) -> impl Iterator<Item = &Mount> {
        self.each(|value| if let Value::Mount(mount) = value { Some(mount) } else { None })
    }

    /// Returns the variables.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.each(|value| if let Value::Variable(variable) = value { Some(variable) } else { None })
    }

    /// Returns the limits that were chosen.
    pub fn limits(&self) -> impl Iterator<Item = Limit> {
        self.chosen.iter().filter_map(|choice| choice.option.limit)
    }

    /// Returns the same options without variables.
    #[must_use]
    pub fn without_variables(mut self) -> Self {
        self.chosen.retain(|choice| !matches!(choice.value, Value::Variable(_)));
        self
    }

    /// Returns only the options without which a cage is less isolated.
    #[must_use]
    pub fn isolating(mut self) -> Self {
        self.chosen.retain(|choice| choice.option.isolates);
        self.engine_args.clear();
        self
    }

    /// Returns the arguments for the engine's `create` of these options, and of defaults for the others. Limits that are
    /// `unenforced` are left out: some engines ignore them, others make no container with them.
    pub fn to_engine_args(&self, runtime: Dialect, unenforced: &[Limit]) -> Vec<String> {
        let flags = flags(&self.engine_args);
        let args = |option: &Definition| {
            let default = option.default.filter(|_| !flags.iter().any(option.default_unless));
            let chosen = self.text(option.flag).or_else(|| default.map(str::to_owned));
            chosen.map(|value| (option.engine)(option, runtime, &value))
        };
        let can = |option: &&Definition| option.limit.is_none_or(|limit| !unenforced.contains(&limit));
        TABLE.iter().filter(can).filter_map(args).flatten().collect()
    }

    /// Makes the sources of mounts absolute, relative to `base`, gives variables without a value their value on this machine, and
    /// adds the arguments for the engine from `CAGE_CREATE_ARGS`.
    ///
    /// # Errors
    /// When the source of a mount doesn't exist, a variable has no value, or an argument can't be the engine's.
    pub fn resolve(mut self, host: &Host, base: &Path) -> Result<Self> {
        self.engine_args.splice(..0, host.create_args.iter().cloned());
        engine_args::check_engine_args(&self.engine_args, &host.label)?;
        for choice in &mut self.chosen {
            choice.value = match choice.value.clone() {
                Value::Variable(variable) => Value::Variable(variable.resolve(host)?),
                Value::Mount(mount) => Value::Mount(resolve(mount, base, &mut self.links)?),
                value => value,
            };
        }
        Ok(self)
    }

    /// Checks that the sources of mounts still exist.
    ///
    /// # Errors
    /// When one doesn't exist.
    pub fn check_sources(&self) -> Result<()> {
        self.mounts().try_for_each(Mount::check_source)
    }

    /// Returns the files and directories of the host that are mounted.
    pub fn sources(&self) -> impl Iterator<Item = PathBuf> {
        self.mounts().filter_map(|mount| mount.source_path()).map(PathBuf::from)
    }

    /// Returns the words of each option as on a command line, without the values of variables.
    pub fn words(&self) -> Vec<Vec<String>> {
        let engine_args = (!self.engine_args.is_empty())
            .then(|| ["--".to_owned()].into_iter().chain(self.engine_args.iter().cloned()).collect());
        self.chosen.iter().map(Choice::words).chain(engine_args).collect()
    }

    /// Returns the text of the label that keeps the options.
    pub fn to_label(&self) -> String {
        shell_words::join(self.words().concat())
    }

    /// Reads the options from the texts of their labels: the options, and the names of the variables and files that some of them
    /// come from. Returns `None` for a text that this version of cage doesn't write. The values of `-e` come from the container's
    /// `environment`.
    pub fn from_labels(text: &str, defaults: &str, environment: &[String]) -> Option<Self> {
        let mut options = Self::from_label(text, environment)?;
        for name in defaults.split_whitespace() {
            let is_of = |choice: &&mut Choice| {
                !choice.is_default && choice.option.default_name().is_some_and(|of| of == name)
            };
            // Those from a file are the first ones of the option.
            options.chosen.iter_mut().find(is_of)?.is_default = true;
        }
        Some(options)
    }

    /// Reads the text of the label that keeps the options.
    pub fn from_label(text: &str, environment: &[String]) -> Option<Self> {
        let words = shell_words::split(text).ok()?;
        let Kept { mut options, engine_args } = Kept::try_parse_from(words).ok()?;
        options.engine_args = engine_args;
        for choice in &mut options.chosen {
            if let Value::Variable(Variable { name, value }) = &mut choice.value {
                let set = |set: &String| Some(set.strip_prefix(name.as_str())?.strip_prefix('=')?.to_owned());
                *value = environment.iter().find_map(set);
            }
        }
        options
            .chosen
            .retain(|choice| !matches!(&choice.value, Value::Variable(Variable { value: None, .. })));
        Some(options)
    }

    /// Returns whether one of these options takes the place of `old`.
    pub(super) fn replaces(&self, old: &Choice) -> bool {
        self.chosen.iter().any(|new| new.replaces(old))
    }

    /// Returns these options, and those of `kept` that they don't replace: a port of the host and a path in the cage can be used
    /// only once.
    #[must_use]
    pub fn over(mut self, mut kept: Self) -> Self {
        kept.links.append(&mut self.links);
        kept.chosen.retain(|old| !self.replaces(old));
        kept.chosen.append(&mut self.chosen);
        kept.chosen.sort_by_key(|choice| TABLE.iter().position(|option| option == choice.option));
        if !holds(&kept.engine_args, &self.engine_args) {
            kept.engine_args.append(&mut self.engine_args);
        }
        kept
    }

    /// Returns the options that a cage made with `made` doesn't have.
    #[must_use]
    pub fn missing_from(&self, made: &Self) -> Self {
        let mut missing = self.clone();
        missing.chosen.retain(|choice| !choice.is_met_by(made));
        if holds(&made.engine_args, &self.engine_args) {
            missing.engine_args.clear();
        }
        missing
    }
}

/// Makes the source of a mount absolute, relative to `base`, and adds the links in its path to `links`.
pub(super) fn resolve(mount: Mount, base: &Path, links: &mut Vec<PathBuf>) -> Result<Mount> {
    let typed = mount.clone();
    let mount = mount.resolve(base)?;
    // A path alone is a source only now.
    let source = typed.source_path().or_else(|| mount.source_path().map(|_| typed.target()));
    links.extend(source.into_iter().flat_map(|source| file::links(&base.join(source))));
    Ok(mount)
}

/// Returns whether the words of `part` follow each other somewhere in `all`.
fn holds(all: &[String], part: &[String]) -> bool {
    part.is_empty() || all.windows(part.len()).any(|words| words == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &str) -> CreateOptions {
        Kept::try_parse_from(shell_words::split(words).unwrap()).unwrap().options
    }

    #[test]
    fn a_label_reads_back_as_what_was_written() {
        let typed = options(
            "-p 3000:3000 -v \"/it's a:b:/t:ro\" -p 53:53/udp -v pg:/pg --no-ssh --home project -e TOKEN=secret=1",
        );
        let environment = ["TOKENS=x".to_owned(), "TOKEN=secret=1".to_owned()];
        let label = typed.to_label();
        assert_eq!(
            label,
            r"-p 127.0.0.1:3000:3000 -p 127.0.0.1:53:53/udp -v '/it'\''s a:b:/t:ro' -v pg:/pg -e TOKEN --home project --no-ssh"
        );
        assert_eq!(CreateOptions::from_label(&label, &environment), Some(typed));
        assert_eq!(CreateOptions::from_label("", &[]), Some(CreateOptions::default()));
        let mut typed =
            options("--pids-limit 100 --cpus 1.5 --no-root --network none --memory 4g --allow-nested");
        typed.engine_args = ["--gpus", "all", "--label", "a=b c", "-p", "1:1"].map(str::to_owned).into();
        let label = typed.to_label();
        assert_eq!(
            label,
            "--no-root --network none --allow-nested --memory 4g --cpus 1.5 --pids-limit 100 \
             -- --gpus all --label 'a=b c' -p 1:1"
        );
        assert_eq!(CreateOptions::from_label(&label, &[]).as_ref(), Some(&typed));
        // As an older cage wrote it.
        let older = "--no-root --allow-nested --network none --memory 4g --cpus 1.5 --pids-limit 100 \
                     -- --gpus all --label 'a=b c' -p 1:1";
        assert_eq!(CreateOptions::from_label(older, &[]), Some(typed));
        for unreadable in ["--privileged", "--no-root --of-tomorrow", "--memory lots", "'"] {
            assert_eq!(CreateOptions::from_labels(unreadable, "", &[]), None);
        }
        let with_defaults = |defaults| CreateOptions::from_labels("--memory 4g", defaults, &[]);
        assert_eq!(with_defaults("CAGE_MEMORY").unwrap().to_defaults_label(), "CAGE_MEMORY");
        for unreadable in ["CAGE_CPUS", "CAGE_OF_TOMORROW"] {
            assert_eq!(with_defaults(unreadable), None);
        }
    }

    #[test]
    fn new_options_join_the_kept_ones_and_replace_those_they_clash_with() {
        let kept = options("-p 3000:3000 -p 4000:4000 -v /a:/x -v /b:/y");
        let new = options("-p 3000:80 -p 5000:5000 -v /c:/x");
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
            "--memory lots",
            "--memory 4gg",
            "--memory -1g",
            "--memory ''",
            "--cpus x",
            "--cpus 0",
            "--cpus -1",
            "--pids-limit 0",
            "--network --privileged",
            "--network 'a b'",
        ] {
            assert_eq!(CreateOptions::from_label(words, &[]), None, "{words}");
        }
        for words in ["--memory 512m", "--memory 1.5G", "--memory 1000000", "--cpus 0.5"] {
            assert!(CreateOptions::from_label(words, &[]).is_some(), "{words}");
        }
    }

    #[test]
    fn only_what_a_cage_was_not_made_with_is_missing() {
        let made = options("-p 3000:3000 -v /a:/x");
        let typed = options("-p 127.0.0.1:3000:3000 -p 4000:4000 -v /a:/x:ro");
        assert_eq!(typed.missing_from(&made).to_label(), "-p 127.0.0.1:4000:4000 -v /a:/x:ro");
        let missing = |typed, made| options(typed).missing_from(&options(made)).to_label();
        assert_eq!(missing("--home shared --pids-limit 4096 --allow-nested", ""), "", "the defaults");
        assert_eq!(missing("--home shared", "--home project"), "--home shared");
        assert_eq!(missing("--no-root --memory 4g", "--no-root --memory 2g"), "--memory 4g");
    }
}
