//! The variables of a new cage that are not secret.

use crate::cage::proxy;
use crate::cage::ssh_agent::Agent;
use crate::cage::variable::LOCALE;
use crate::engine::args::flags;
use crate::engine::proxies::Proxies;
use crate::host::terminal_variables::NAMES;
use crate::host::worktree::GitDir;
use crate::lifecycle::context::Context;

use super::new_cage::NewCage;

impl NewCage<'_> {
    /// Returns the value of a variable that the user has chosen, by an argument for the engine, by an option or in an env file.
    fn chosen(&self, name: &str) -> Option<&str> {
        let passed = flags(&self.options.engine_args).into_iter().rev().filter(|flag| flag.name == "env");
        let mut passed = passed.filter_map(|flag| match flag.value.split_once('=') {
            Some((set, value)) => (set == name).then_some(value),
            None if flag.value == name => self.context.session.host.any_variable(name),
            None => None,
        });
        let typed = self.options.variables().find(|variable| variable.name == name);
        let typed = || typed.and_then(|variable| variable.value.as_deref());
        passed.next().or_else(typed).or_else(|| self.preflight.env.get(name))
    }

    /// Returns the warning about proxies that can't be reached from the cage.
    pub(super) fn proxy_warning(&self) -> Option<String> {
        let Context { session, runtime, image, .. } = self.context;
        let passed = flags(&self.options.engine_args);
        let is_off = passed.iter().any(|flag| flag.name == "http-proxy" && flag.value == "false");
        let client = if is_off {
            Proxies::default()
        } else {
            runtime.kind.proxies(&session.host, &self.preflight.endpoint)
        };
        let of_image = |name: &str| image.and_then(|image| image.variable(name));
        proxy::warning(|name| self.chosen(name), &client, of_image).filter(|_| self.options.has_network())
    }

    /// Returns the names of the terminal's variables that the user has chosen, or that the image sets and this terminal doesn't.
    pub(super) fn fixed_variables(&self) -> String {
        NAMES.into_iter().filter(|name| self.is_fixed(name)).collect::<Vec<_>>().join(" ")
    }

    fn is_fixed(&self, name: &str) -> bool {
        let Context { session, image, .. } = self.context;
        let is_in_image = image.is_some_and(|image| image.sets(name));
        self.chosen(name).is_some() || (is_in_image && session.host.variable(name).is_none())
    }

    /// Returns the variables that are not secret.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let (host, image) = (&self.context.session.host, self.context.image);
        let mut env = Vec::new();
        let set = |name: &str| self.chosen(name);
        let mut default = |name: &str, value: &str| {
            if set(name).is_none() {
                env.push((name.to_owned(), value.to_owned()));
            }
        };
        // The host's and the cage's virtual environment of a Python project would break each other.
        default("UV_PROJECT_ENVIRONMENT", ".cage-venv");
        for (name, value) in host.terminal_variables().into_iter().filter(|(name, _)| !self.is_fixed(name)) {
            default(name, value);
        }
        // Not the host's locale, which the image may not have.
        let is_set = |name: &&str| set(name).is_some() || image.is_some_and(|image| image.sets(name));
        if !LOCALE.iter().any(is_set) {
            default("LANG", "C.UTF-8");
        }
        if let Some(zone) = &host.time_zone {
            default("TZ", zone);
        }
        if self.mapping.inside(&self.user).uid == 0 {
            // Without it Claude Code refuses to skip permissions as root.
            default("IS_SANDBOX", "1");
        }
        if self.git != GitDir::None {
            env.extend(keep_worktrees(set("GIT_CONFIG_COUNT")));
        }
        if let Some(agent) = self.agent().and_then(Agent::mount) {
            env.push(("SSH_AUTH_SOCK".to_owned(), agent.target().to_owned()));
        }
        env
    }
}

/// Returns the variables that add a setting of git to the `count` settings that are in variables already: the other worktrees
/// of the repository can't be seen from inside, and `git gc` would forget them. Returns none for a count that isn't a number or
/// is too large: git itself refuses to run with a count that doesn't match the settings.
fn keep_worktrees(count: Option<&str>) -> Vec<(String, String)> {
    let Ok(count) = count.map_or(Ok(0), str::parse::<u16>) else { return Vec::new() };
    let Some(next) = count.checked_add(1) else { return Vec::new() };
    vec![
        (format!("GIT_CONFIG_KEY_{count}"), "gc.worktreePruneExpire".to_owned()),
        (format!("GIT_CONFIG_VALUE_{count}"), "never".to_owned()),
        ("GIT_CONFIG_COUNT".to_owned(), next.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_of_git_is_added_to_those_that_are_there() {
        let counts = |count| keep_worktrees(count).into_iter().map(|(_, value)| value).next_back();
        assert_eq!(counts(None).as_deref(), Some("1"));
        assert_eq!(counts(Some("2")).as_deref(), Some("3"));
        assert_eq!(keep_worktrees(Some("2"))[0].0, "GIT_CONFIG_KEY_2");
        for left_alone in ["", "-1", "x", "65535", "65536", "2147483647"] {
            assert_eq!(keep_worktrees(Some(left_alone)), [], "{left_alone}");
        }
    }
}
