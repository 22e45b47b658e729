//! The user's own defaults for options of a new cage: variables, and the files of [`option_files`].
//!
//! Options on the command line, and those of a cage that is replaced, override them. cage reads them each time it creates a cage.

use std::path::Path;

use anyhow::{Result, bail};

use crate::base::error::Failure;
use crate::base::text;
use crate::cage::create_options::{Choice, CreateOptions};
use crate::cage::options::{Definition, EnvVar, IMAGE, TABLE, Value};
use crate::cage::{option_files, pull};
use crate::host::machine;
use crate::host::machine::Host;

/// Returns the names of all variables that cage takes settings from.
pub fn settings() -> impl Iterator<Item = &'static str> {
    let defaults = TABLE.iter().filter_map(|option| Some(option.variable?.name));
    let others = machine::SETTINGS.into_iter().filter(|name| *name != "CAGE_IMAGE");
    others.chain([pull::VARIABLE]).chain(defaults)
}

/// Returns the options with a variable that is set, each with that variable and its value.
fn set(host: &Host) -> impl Iterator<Item = (&'static Definition, EnvVar, &str)> {
    TABLE.iter().filter_map(|option| {
        let variable = option.variable?;
        Some((option, variable, host.variable(variable.name)?))
    })
}

/// Returns the choice that a variable with this value stands for; `None` if the value turns a switch off.
fn choice(option: &Definition, variable: EnvVar, value: &str) -> Result<Option<Choice>> {
    let words = match variable.switch {
        None => vec![option.flag, value],
        Some((on, _)) if value == on => vec![option.flag],
        Some((_, off)) if value == off => return Ok(None),
        Some((on, off)) => bail!(Failure::new(format!("{} is neither `{on}` nor `{off}`", variable.name))),
    };
    let options = CreateOptions::from_label(&shell_words::join(words), &[]).ok_or_else(|| {
        let value = text::escape(value);
        Failure::new(format!("{} `{value}` is not a value for {}", variable.name, option.flag))
            .hint("`cage help start` explains the option")
    })?;
    Ok(options.chosen.into_iter().next().map(|choice| Choice { is_default: true, ..choice }))
}

impl CreateOptions {
    /// Returns an error for each variable with an invalid value, and the first error in a file.
    pub fn wrong_defaults(host: &Host) -> Vec<anyhow::Error> {
        let wrong = set(host).filter_map(|(option, variable, value)| choice(option, variable, value).err());
        wrong.chain(option_files::read(host, &Self::default(), &mut Self::default()).err()).collect()
    }

    /// Adds the options that come from variables and files, except those that were chosen otherwise, and those that a cage for the
    /// directory `project` can't use.
    ///
    /// # Errors
    /// When a variable or a file has a value that the option can't have.
    pub fn with_defaults(self, host: &Host, project: &str) -> Result<Self> {
        let mut defaults = Self::default();
        for (option, variable, value) in set(host) {
            let choice = choice(option, variable, value)?;
            defaults.chosen.extend(choice.filter(|_| !self.has(option.flag)));
        }
        option_files::read(host, &self, &mut defaults)?;
        let mut options = self.over(defaults);
        // What every cage has is not meant for one that can't publish ports, or that has the directory as its project.
        let has_network = options.has_network();
        let is_vain = |value: &Value| match value {
            Value::Port(_) => !has_network,
            Value::Mount(mount) => Path::new(&mount.place().target) == Path::new(project),
            _ => false,
        };
        options.chosen.retain(|choice| !choice.is_default || !is_vain(&choice.value));
        Ok(options)
    }

    /// Returns the options that don't come from variables or files.
    #[must_use]
    pub fn without_defaults(&self) -> Self {
        let mut options = self.clone();
        options.chosen.retain(|choice| !choice.is_default);
        options
    }

    /// Returns the options that a cage passes on to the one that replaces it: those that were typed, and the image unless
    /// `CAGE_IMAGE` is set.
    #[must_use]
    pub fn kept(mut self, host: &Host) -> Self {
        let is_kept = |choice: &Choice| match choice.option.variable {
            Some(variable) if choice.option.flag == IMAGE => host.variable(variable.name).is_none(),
            _ => !choice.is_default,
        };
        self.chosen.retain(is_kept);
        self
    }

    /// Returns the image for a new cage with these options and the user's own default.
    pub fn image_or_default(&self, host: &Host) -> String {
        self.text(IMAGE).unwrap_or_else(|| host.image.clone())
    }

    /// Returns the options that come from variables and files, as words, each with the name of the variable or file.
    pub fn defaults(&self) -> Vec<(Vec<String>, &'static str)> {
        let defaults = self.chosen.iter().filter(|choice| choice.is_default);
        defaults.filter_map(|choice| Some((choice.words(), choice.option.default_name()?))).collect()
    }

    /// Returns the text of the label that keeps these names.
    pub fn to_defaults_label(&self) -> String {
        self.defaults().into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(label: &str) -> CreateOptions {
        CreateOptions::from_label(label, &[]).unwrap()
    }

    #[test]
    fn a_variable_stands_for_an_option_that_was_not_chosen() {
        let host = Host::sample(&[
            ("CAGE_MEMORY", "4g"),
            ("CAGE_CPUS", "2"),
            ("CAGE_SSH", "off"),
            ("CAGE_NO_ROOT", "0"),
            ("CAGE_HOME", "project"),
        ]);
        let made = options("-p 3000:3000 --memory 8g").with_defaults(&host, "").unwrap();
        assert_eq!(made.to_label(), "-p 127.0.0.1:3000:3000 --home project --no-ssh --memory 8g --cpus 2");
        let defaults: Vec<_> =
            made.defaults().into_iter().map(|(words, variable)| (words.join(" "), variable)).collect();
        assert_eq!(
            defaults,
            [
                ("--home project".to_owned(), "CAGE_HOME"),
                ("--no-ssh".to_owned(), "CAGE_SSH"),
                ("--cpus 2".to_owned(), "CAGE_CPUS")
            ]
        );
        assert_eq!(made.without_defaults(), options("-p 3000:3000 --memory 8g"));
        assert_eq!(options("").with_defaults(&Host::sample(&[]), "").unwrap(), options(""));
    }

    #[test]
    fn a_value_that_the_option_can_not_have_is_refused_by_the_variables_name() {
        for (variable, value, why) in [
            ("CAGE_MEMORY", "lots", "CAGE_MEMORY `lots` is not a value for --memory"),
            ("CAGE_HOME", "/home/me", "CAGE_HOME `/home/me` is not a value for --home"),
            ("CAGE_NETWORK", "--privileged", "CAGE_NETWORK `--privileged` is not a value for --network"),
            ("CAGE_SSH", "maybe", "CAGE_SSH is neither `off` nor `on`"),
            ("CAGE_NO_ROOT", "yes", "CAGE_NO_ROOT is neither `1` nor `0`"),
        ] {
            let error = options("").with_defaults(&Host::sample(&[(variable, value)]), "").unwrap_err();
            assert_eq!(error.to_string(), why);
        }
    }

    #[test]
    fn the_documents_have_every_setting() {
        let rows = include_str!("../../docs/configuration.md").lines();
        let named = rows.filter_map(|row| row.strip_prefix("| `CAGE_")?.split('`').next());
        let mut named: Vec<String> = named.map(|name| format!("CAGE_{name}")).collect();
        let mut settings: Vec<&str> = settings().collect();
        named.sort();
        settings.sort_unstable();
        assert_eq!(named, settings);
    }
}
