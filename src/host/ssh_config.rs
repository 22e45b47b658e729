//! What the user's ssh does for a host: where it connects to, and which files it has keys in. cage never runs ssh.
//! <https://man.openbsd.org/ssh_config>

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use rustix::fs::OFlags;

use crate::base::error::Failure;
use crate::base::file;
use crate::host::git_pattern;
use crate::host::known_hosts::is_one;
use crate::host::reach::Reach;

/// The number of files that may include each other, as in ssh.
const MAX_DEPTH: usize = 16;

/// The number of files that are read.
const MAX_FILES: usize = 1000;

/// The most bytes that all files together may have.
const MAX_SIZE: u64 = 1024 * 1024;

/// The user's settings of ssh.
#[derive(Debug, Default)]
pub struct SshConfig {
    lines: Vec<Line>,
    /// The files that were not read because code in a cage can write them.
    pub skipped: Vec<PathBuf>,
}

#[derive(Debug)]
enum Line {
    Set(String, Vec<String>),
    Include(Vec<Line>),
}

/// The settings for a host.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The host that a name stands for.
    pub host: Option<String>,
    /// The port to connect to.
    pub port: Option<u16>,
    /// The user's files with keys of hosts.
    pub known_hosts: Option<Vec<PathBuf>>,
}

impl SshConfig {
    /// Reads the files of a user with this home and of the system. `reach` are the places that code in a cage can write: files there
    /// are not read.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn read(home: &Path, reach: &Reach) -> Result<Self> {
        let mut reader = Reader { home, reach, skipped: Vec::new(), files: 0, room: MAX_SIZE };
        let mut lines = Vec::new();
        for (dir, name) in [(home.join(".ssh"), "config"), ("/etc/ssh".into(), "ssh_config")] {
            lines.push(Line::Include(reader.file(&dir.join(name), &dir, 0)?));
        }
        Ok(Self { lines, skipped: reader.skipped })
    }

    /// Returns every setting with its words, whatever the host.
    pub fn all(&self) -> Vec<(&str, &[String])> {
        let mut lines: Vec<&Line> = self.lines.iter().rev().collect();
        let mut all = Vec::new();
        while let Some(line) = lines.pop() {
            match line {
                Line::Set(keyword, words) => all.push((keyword.as_str(), words.as_slice())),
                Line::Include(included) => lines.extend(included.iter().rev()),
            }
        }
        all
    }

    /// Returns the settings for a host by the name on ssh's command line. The first value of each setting counts.
    pub fn of(&self, home: &Path, name: &str) -> Settings {
        let mut settings = Settings::default();
        apply(&self.lines, home, name, &mut settings);
        settings
    }
}

struct Reader<'a> {
    home: &'a Path,
    reach: &'a Reach,
    skipped: Vec<PathBuf>,
    /// The number of files that were read.
    files: usize,
    /// The number of bytes that may still be read.
    room: u64,
}

impl Reader<'_> {
    /// Reads a file, if it exists, and those that it includes. Relative paths in it start at `dir`.
    fn file(&mut self, path: &Path, dir: &Path, depth: usize) -> Result<Vec<Line>> {
        if self.reach.has(path) {
            self.skipped.push(path.to_owned());
            return Ok(Vec::new());
        }
        if file::is_null(path) {
            return Ok(Vec::new());
        }
        let bytes = file::read_up_to(self.room, "ssh's file", path, OFlags::empty())?.unwrap_or_default();
        self.files += 1;
        self.room -= bytes.len() as u64;
        let is_endless = depth > MAX_DEPTH || self.files > MAX_FILES;
        ensure!(!is_endless, Failure::new("ssh's files: too many include each other"));
        let mut lines = Vec::new();
        for line in String::from_utf8_lossy(&bytes).lines() {
            let Some((keyword, words)) = setting(line) else { continue };
            let included = if keyword == "include" { words.as_slice() } else { &[] };
            let paths = included.iter().flat_map(|word| found(&dir.join(at_home(self.home, word))));
            for path in paths.collect::<Vec<_>>() {
                lines.push(Line::Include(self.file(&path, dir, depth + 1)?));
            }
            lines.push(Line::Set(keyword, words));
        }
        Ok(lines)
    }
}

/// Reads a line: a keyword in lower case, and words, which may be quoted.
fn setting(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    let end = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let mut rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let mut words = Vec::new();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    (!keyword.starts_with('#')).then(|| (keyword.to_ascii_lowercase(), words))
}

fn apply(lines: &[Line], home: &Path, name: &str, settings: &mut Settings) {
    let mut is_active = true;
    for line in lines {
        match line {
            Line::Include(lines) if is_active => apply(lines, home, name, settings),
            Line::Set(keyword, words) => match (keyword.as_str(), words.as_slice()) {
                ("host", patterns) => {
                    is_active = is_one(patterns.iter().map(String::as_bytes), name.as_bytes());
                }
                ("match", words) => is_active = is_match(words, name, settings),
                _ if !is_active => {}
                ("hostname", [host, ..]) if settings.host.is_none() => {
                    settings.host = Some(host.replace("%h", name).to_ascii_lowercase());
                }
                ("port", [port, ..]) if settings.port.is_none() => settings.port = port.parse().ok(),
                ("userknownhostsfile", files) if settings.known_hosts.is_none() => {
                    let paths = files.iter().map(|file| at_home(home, file));
                    settings.known_hosts = Some(paths.filter(|path| path.is_absolute()).collect());
                }
                _ => {}
            },
            Line::Include(_) => {}
        }
    }
}

/// Returns whether a `Match` applies. One about other things than hosts, such as a program's exit status, does not.
fn is_match(words: &[String], name: &str, settings: &Settings) -> bool {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let host = match word.to_ascii_lowercase().as_str() {
            "all" => continue,
            "host" => settings.host.as_deref().unwrap_or(name),
            "originalhost" => name,
            _ => return false,
        };
        let is_meant = |patterns: &String| is_one(patterns.split(',').map(str::as_bytes), host.as_bytes());
        if !words.next().is_some_and(is_meant) {
            return false;
        }
    }
    true
}

/// Replaces the home at the start of a path.
fn at_home(home: &Path, path: &str) -> PathBuf {
    let rest = path.strip_prefix("~/").or_else(|| path.strip_prefix("%d/"));
    rest.map_or_else(|| path.into(), |rest| home.join(rest))
}

/// Returns the files that a path means whose last part may be a pattern.
fn found(path: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    if !name.as_bytes().iter().any(|c| b"*?[".contains(c)) {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().take(MAX_FILES);
    let fits = |file: &[u8]| !file.starts_with(b".") && git_pattern::matches(name.as_bytes(), file, false);
    let entries = entries.filter(|entry| fits(entry.file_name().as_bytes()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "ssh is what the reader is compared with")]
mod tests {
    use std::process::Command;

    use super::*;

    /// Returns what cage reads for a host, after a comparison with what ssh does.
    #[track_caller]
    fn settings(home: &Path, name: &str) -> (String, u16, Vec<String>) {
        let config = SshConfig::read(home, &Reach::default()).unwrap();
        let ours = config.of(home, name);
        let files = ours.known_hosts.unwrap_or_default();
        let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let ours = (ours.host.unwrap_or(name.to_owned()), ours.port.unwrap_or(22), files);
        let output =
            Command::new("ssh").arg("-G").arg("-F").arg(home.join(".ssh/config")).arg(name).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let value = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or_default()
        };
        assert_eq!((ours.0.as_str(), ours.1), (value("hostname"), value("port").parse().unwrap()), "{text}");
        if !ours.2.is_empty() {
            assert_eq!(ours.2.join(" "), value("userknownhostsfile"));
        }
        ours
    }

    #[test]
    fn a_host_is_where_ssh_would_connect_to() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        let ssh = home.join(".ssh");
        fs::create_dir_all(ssh.join("more")).unwrap();
        let write = |name: &str, text: &str| fs::write(ssh.join(name), text).unwrap();
        let shown = ssh.display();
        let config = format!(
            "# comment\nHost work w-*,x !w-not\n  HostName = \"git.corp.example\"\n\tport=2222\nHost w-*  !w-not\n\
             Hostname %h.corp.example\nInclude {shown}/more/*.conf\nHost one\nInclude {shown}/first\nPort 7\n\
             Match host git.corp.example,other originalhost work\nUserKnownHostsFile {shown}/a \"{shown}/b c\"\n\
             Match exec false\nPort 9\nMatch all\nHost *\nPort 10\nUserKnownHostsFile {shown}/last\n"
        );
        write("config", &config);
        write("first", "Host none\nPort 1\nHost on?\nPort 5\nHost none\n");
        write("more/1.conf", "Port 3\n");
        write("more/2.conf", "Port 4\n");
        write("more/.3.conf", "Port 6\n");
        let file = |name: &str| format!("{shown}/{name}");
        let found = |name: &str| settings(home, name);
        assert_eq!(found("work"), ("git.corp.example".into(), 2222, vec![file("a"), file("b c")]));
        assert_eq!(found("w-1"), ("w-1.corp.example".into(), 3, vec![file("last")]));
        assert_eq!(found("w-not").0, "w-not");
        assert_eq!(found("one").1, 5);
        assert_eq!(found("other"), ("other".into(), 10, vec![file("last")]));
    }

    #[test]
    fn files_that_include_each_other_are_an_error_and_those_of_a_cage_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let (home, config) = (dir.path(), dir.path().join(".ssh/config"));
        fs::create_dir(home.join(".ssh")).unwrap();
        fs::write(&config, "Include config config\n").unwrap();
        assert!(SshConfig::read(home, &Reach::default()).is_err());
        fs::write(&config, "Include ~/app/planted\nHost *\nUserKnownHostsFile ~/keys none %d/x\n").unwrap();
        fs::create_dir(home.join("app")).unwrap();
        fs::write(home.join("app/planted"), "Host *\nPort 7\n").unwrap();
        let read = |reach: &Reach| {
            let config = SshConfig::read(home, reach).unwrap();
            (config.of(home, "x"), config.skipped.len())
        };
        let known_hosts = Some(vec![home.join("keys"), home.join("x")]);
        let (settings, skipped) = read(&Reach::default());
        assert_eq!((settings.port, &settings.known_hosts, skipped), (Some(7), &known_hosts, 0));
        let (settings, skipped) = read(&[home.join("app")].into_iter().collect());
        assert_eq!((settings.port, &settings.known_hosts, skipped), (None, &known_hosts, 1));
    }
}
