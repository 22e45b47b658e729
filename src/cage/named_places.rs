//! The user's settings of git and ssh that name a place: what is written there counts on this machine.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::base::error::Failure;
use crate::base::text;
use crate::cage::options::ALLOW_DANGEROUS_DIR;
use crate::host::git_config::Entry;
use crate::host::git_person;
use crate::host::machine::Host;
use crate::host::reach::Reach;
use crate::host::ssh_config::SshConfig;
use crate::host::users::home_of;

/// Settings of git and of programs around it that only list repositories, or name a text for a message.
const HARMLESS: [(&str, &str); 7] = [
    ("safe", "directory"),
    ("maintenance", "repo"),
    ("scalar", "repo"),
    ("gui", "recentrepo"),
    ("ghq", "root"),
    ("remote", "url"),
    ("commit", "template"),
];

/// What ends a path in a command line.
const SEPARATORS: &str = " \t\n'\"`;&|()<>=,:";

/// Checks that no setting of the user's names something in these `places`, which a new cage can write: git would read more
/// settings there, or run a hook, and ssh likewise.
///
/// # Errors
/// When one does.
pub fn check(host: &Host, places: &Reach) -> Result<()> {
    check_home(host, places)?;
    host.other_homes.iter().try_for_each(|home| check_home(&host.of_home(home), places))
}

fn check_home(host: &Host, places: &Reach) -> Result<()> {
    let Some(home) = &host.home else { return Ok(()) };
    // Files that can't be read have a warning of their own; git and ssh refuse them, too.
    let git = git_person::Settings::read_all(host, places).unwrap_or_default();
    let ssh = SshConfig::read(home, places).unwrap_or_default();
    let is_used = |entry: &&Entry| !HARMLESS.contains(&(entry.section.as_str(), entry.name.as_str()));
    let of_git = git.entries.iter().filter(is_used).map(|entry| {
        (entry.key(), "git", String::from_utf8_lossy(entry.value.as_deref().unwrap_or_default()).into_owned())
    });
    let of_ssh = ssh.all().into_iter().map(|(keyword, words)| (keyword.to_owned(), "ssh", words.join(" ")));
    let leads_there = |path: &PathBuf| places.place_of(path).is_some() || places.may_hold(path);
    let named = of_git.chain(of_ssh).find_map(|(name, program, value)| {
        Some((
            format!("{} in your settings of {program}", text::escape(&name)),
            paths(&value, home).into_iter().find(leads_there)?,
        ))
    });
    // A variable can name another file than the usual one.
    let own_file = || {
        Some((
            "a file of your settings of git or ssh".to_owned(),
            git.skipped.iter().chain(&ssh.skipped).next()?.clone(),
        ))
    };
    let Some((what, path)) = named.or_else(own_file) else { return Ok(()) };
    Err(Failure::new(format!(
        "{what} leads to {}, which counts on this machine as soon as code in the cage writes it",
        text::escape(&path.to_string_lossy())
    ))
    .hint(format!("keep that elsewhere; {ALLOW_DANGEROUS_DIR} if you mean it"))
    .into())
}

/// Returns the absolute paths in a value, which may be a command line. A word may have an option in front of its path: `-F/path`.
fn paths(value: &str, home: &Path) -> Vec<PathBuf> {
    let words = shell_words::split(value).unwrap_or_default();
    let parts = value.split(|c| SEPARATORS.contains(c)).map(str::to_owned);
    let all = [value.to_owned()].into_iter().chain(words).chain(parts);
    all.filter_map(|word| {
        let mut homes = ["~/", "$HOME/", "${HOME}/", "%d/"].into_iter();
        if let Some((_, below)) = homes.find_map(|start| word.split_once(start)) {
            return Some(home.join(below));
        }
        let path = &word[word.find(['/', '~'])?..];
        match path.strip_prefix('~').and_then(|path| path.split_once('/')) {
            Some((user, below)) => Some(home_of(user.as_bytes())?.join(below)),
            None => Some(path.into()),
        }
    })
    .filter(|path: &PathBuf| path.is_absolute())
    .collect()
}
