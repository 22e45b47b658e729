//! A person's own defaults: variables that stand for options of a new cage.
//!
//! They come after what was typed and what the cage before was made with, and are looked at anew whenever a cage is made.

use anyhow::{Result, bail};

use crate::base::error::Failure;
use crate::base::text;
use crate::cage::options::CreateOptions;
use crate::host::machine::Host;

/// A variable that stands for an option.
struct Default {
    variable: &'static str,
    flag: &'static str,
    /// The values for which a switch is there and not there.
    switch: Option<(&'static str, &'static str)>,
}

const fn value(variable: &'static str, flag: &'static str) -> Default {
    Default { variable, flag, switch: None }
}

const DEFAULTS: [Default; 8] = [
    value("CAGE_HOME", "--home"),
    Default { variable: "CAGE_SSH", flag: "--no-ssh", switch: Some(("off", "on")) },
    Default { variable: "CAGE_NO_ROOT", flag: "--no-root", switch: Some(("1", "0")) },
    value("CAGE_NETWORK", "--network"),
    value("CAGE_MEMORY", "--memory"),
    value("CAGE_CPUS", "--cpus"),
    value("CAGE_PIDS_LIMIT", "--pids-limit"),
    value("CAGE_GPUS", "--gpus"),
];

impl Default {
    /// The words that say the same on a command line; none if they leave things as they are.
    fn words<'a>(&'a self, value: &'a str) -> Result<Vec<&'a str>> {
        match self.switch {
            None => Ok(vec![self.flag, value]),
            Some((on, _)) if value == on => Ok(vec![self.flag]),
            Some((_, off)) if value == off => Ok(Vec::new()),
            Some((on, off)) => {
                bail!(Failure::new(format!("{} is neither `{on}` nor `{off}`", self.variable)))
            }
        }
    }

    /// What the variable with this value makes of no options.
    fn options(&self, value: &str) -> Result<CreateOptions> {
        let Some(options) = CreateOptions::from_label(&shell_words::join(self.words(value)?), &[]) else {
            bail!(
                Failure::new(format!(
                    "{} `{}` is not what {} takes",
                    self.variable,
                    text::escape(value),
                    self.flag
                ))
                .hint("`cage help start` tells what it takes")
            );
        };
        Ok(options)
    }
}

impl CreateOptions {
    /// What is wrong with the variables, each by itself.
    pub fn wrong_defaults(host: &Host) -> Vec<anyhow::Error> {
        let set = DEFAULTS.iter().filter_map(|default| Some((default, host.variable(default.variable)?)));
        set.filter_map(|(default, value)| default.options(value).err()).collect()
    }

    /// Adds the options for which there are variables and that were not chosen otherwise.
    ///
    /// # Errors
    /// When a variable has a value that its option can't have.
    pub fn with_defaults(mut self, host: &Host) -> Result<Self> {
        for default in DEFAULTS {
            let Some(value) = host.variable(default.variable) else { continue };
            let options = default.options(value)?;
            let is_chosen = self.words().iter().any(|words| words[0] == default.flag);
            if !is_chosen && options != Self::default() {
                self = self.over(options);
                self.defaults.push(default.variable.to_owned());
            }
        }
        Ok(self)
    }

    /// Without those that come from variables.
    #[must_use]
    pub fn without_defaults(&self) -> Self {
        let by_variable = self.by_variable();
        let mut words = self.words();
        words.retain(|words| !by_variable.iter().any(|(option, _)| option == words));
        let set = |variable: &crate::cage::variable::Variable| {
            Some(format!("{}={}", variable.name, variable.value.as_ref()?))
        };
        let environment: Vec<String> = self.env.iter().filter_map(set).collect();
        Self::from_label(&shell_words::join(words.concat()), &environment).unwrap_or_default()
    }

    /// The options that come from variables, as words, each with its variable.
    pub fn by_variable(&self) -> Vec<(Vec<String>, &'static str)> {
        let words = self.words();
        let used =
            DEFAULTS.iter().filter(|default| self.defaults.iter().any(|name| name == default.variable));
        used.filter_map(|default| {
            Some((words.iter().find(|words| words[0] == default.flag)?.clone(), default.variable))
        })
        .collect()
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
        let made = options("-p 3000:3000 --memory 8g").with_defaults(&host).unwrap();
        assert_eq!(made.to_label(), "-p 127.0.0.1:3000:3000 --home project --no-ssh --memory 8g --cpus 2");
        let by_variable: Vec<_> =
            made.by_variable().into_iter().map(|(words, variable)| (words.join(" "), variable)).collect();
        assert_eq!(
            by_variable,
            [
                ("--home project".to_owned(), "CAGE_HOME"),
                ("--no-ssh".to_owned(), "CAGE_SSH"),
                ("--cpus 2".to_owned(), "CAGE_CPUS")
            ]
        );
        assert_eq!(made.without_defaults(), options("-p 3000:3000 --memory 8g"));
        assert_eq!(options("").with_defaults(&Host::sample(&[])).unwrap(), options(""));
    }

    #[test]
    fn a_value_that_the_option_can_not_have_is_refused_by_the_variables_name() {
        for (variable, value, why) in [
            ("CAGE_MEMORY", "lots", "CAGE_MEMORY `lots` is not what --memory takes"),
            ("CAGE_HOME", "/home/me", "CAGE_HOME `/home/me` is not what --home takes"),
            ("CAGE_NETWORK", "--privileged", "CAGE_NETWORK `--privileged` is not what --network takes"),
            ("CAGE_SSH", "maybe", "CAGE_SSH is neither `off` nor `on`"),
            ("CAGE_NO_ROOT", "yes", "CAGE_NO_ROOT is neither `1` nor `0`"),
        ] {
            let error = options("").with_defaults(&Host::sample(&[(variable, value)])).unwrap_err();
            assert_eq!(error.to_string(), why);
        }
    }

    #[test]
    fn every_variable_is_told_with_its_option() {
        use clap::CommandFactory as _;
        let mut cli = crate::cli::Cli::command();
        let help = cli.find_subcommand_mut("start").unwrap().render_long_help().to_string();
        for Default { variable, flag, .. } in DEFAULTS {
            let about = help.split(flag).nth(1).unwrap_or_default();
            let about = about.split("\n\n").next().unwrap();
            assert!(about.contains(variable), "{flag} doesn't tell of {variable}: {about}");
        }
    }
}
