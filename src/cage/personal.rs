//! The facts from the user's own git and SSH settings that come into a cage: name and address for commits, and the keys of the
//! hosts that the project's repository names. Everything else in these files stays outside.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rustix::fs::OFlags;

use crate::base::error::chain;
use crate::base::file;
use crate::base::text::{escape, name, quote};
use crate::cage::image_facts::ImageFacts;
use crate::engine::error;
use crate::engine::new_file::NewFile;
use crate::host::git_person::Settings;
use crate::host::git_remotes::{self, Remote};
use crate::host::git_repository::Repository;
use crate::host::known_hosts;
use crate::host::machine::Host;
use crate::host::project::Project;
use crate::host::reach::Reach;
use crate::host::ssh_config::SshConfig;

/// The largest `known_hosts` that is read, in bytes.
const MAX_KNOWN_HOSTS: u64 = 64 * 1024 * 1024;

/// What a cage gets from the user's settings.
#[derive(Debug, Default, Clone)]
pub struct Personal {
    /// The name and address for commits.
    pub identity: Identity,
    /// The lines of the user's `known_hosts` about the hosts of the project's remotes and submodules.
    pub known_hosts: Vec<u8>,
    /// Those hosts.
    pub hosts: Vec<KnownHost>,
    /// The key that signs commits outside, if the cage doesn't have it.
    pub signing_key: Option<SigningKey>,
    /// What could not be read, and why.
    pub warnings: Vec<String>,
}

/// A host of the project's remotes and submodules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHost {
    /// The host as the repository names it.
    pub remote: Remote,
    /// The host and port that this name stands for in the user's settings of ssh.
    pub meant: Remote,
    /// Whether the user has a key of it.
    pub is_known: bool,
    /// Whether ssh in a cage connects to another host or port, because it doesn't have these settings.
    pub is_alias: bool,
}

/// The name and address that git writes into commits.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `user.name`. Any bytes but NUL.
    pub name: Option<Vec<u8>>,
    /// `user.email`. Any bytes but NUL.
    pub email: Option<Vec<u8>>,
}

/// A file with a key that signs commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The path outside.
    pub path: String,
    /// Whether git signs every commit.
    pub is_always: bool,
}

impl Personal {
    /// Gathers the facts. `reach` are the places that code in a cage can write: files there are not read.
    pub fn gather(host: &Host, project: &Project, reach: &Reach) -> Self {
        let repository = Repository::of(project);
        let mut personal = Self::default();
        let settings = match Settings::read(host, &repository, reach).and_then(|settings| {
            personal.identity = Identity::of(&settings)?;
            Ok(settings)
        }) {
            Ok(settings) => settings,
            Err(error) => {
                personal.warn("your name and address for git are not known in the cage", &error);
                Settings::default()
            }
        };
        personal.signing_key = SigningKey::of(host, &settings, &repository, project);
        let own: Vec<_> = repository.settings.iter().chain(&repository.submodules).collect();
        let remotes = git_remotes::hosts(&own, &settings.entries);
        let skipped = personal.read_known_hosts(host, remotes, reach);
        if let Some(path) = settings.skipped.iter().chain(&skipped).next() {
            let path = name(&path.to_string_lossy());
            personal.warnings.push(format!("{path} is not read, because code in a cage can write it"));
        }
        personal
    }

    /// Returns the files that a cage of this image gets. What the image has comes later in the file and wins.
    pub fn files(&self, image: &ImageFacts) -> Vec<NewFile> {
        let files = [
            ("/etc/gitconfig", self.identity.to_config()),
            ("/etc/ssh/ssh_known_hosts", self.known_hosts.clone()),
        ];
        let files = files.into_iter().filter(|(_, own)| !own.is_empty());
        let files = files.map(|(path, own)| {
            let text = image.file(path).unwrap_or_default();
            // git accepts a byte order mark only at the start.
            let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
            NewFile::readable(path, [own.as_slice(), text].concat())
        });
        files.collect()
    }

    fn warn(&mut self, what: &str, error: &anyhow::Error) {
        let hint = error::hint(error).map(|hint| format!("; {hint}")).unwrap_or_default();
        self.warnings.push(format!("{what}: {}{hint}", chain(error, str::to_owned)));
    }

    /// Reads the lines about these hosts. Returns the files that were not read.
    fn read_known_hosts(&mut self, host: &Host, remotes: Vec<Remote>, reach: &Reach) -> Vec<PathBuf> {
        let Some(home) = host.home.as_ref().filter(|_| !remotes.is_empty()) else { return Vec::new() };
        let config = SshConfig::read(home, reach).unwrap_or_else(|error| {
            self.warn("names of hosts are not known in the cage", &error);
            SshConfig::default()
        });
        let own = ["known_hosts", "known_hosts2"].map(|name| home.join(".ssh").join(name));
        let system = ["ssh_known_hosts", "ssh_known_hosts2"].map(|name| Path::new("/etc/ssh").join(name));
        let mut files: Vec<PathBuf> = own.into_iter().chain(system).collect();
        let mut hosts = Vec::new();
        for remote in remotes {
            let settings = config.of(home, &remote.host);
            files.extend(settings.known_hosts.into_iter().flatten());
            // A port in the address wins.
            let port = settings.port.filter(|_| remote.port == 22).unwrap_or(remote.port);
            let meant = Remote { host: settings.host.unwrap_or_else(|| remote.host.clone()), port, ..remote };
            hosts.push((remote, meant));
        }
        let names = hosts.iter().flat_map(|(remote, meant)| [remote.names(), meant.names()].concat());
        let names: BTreeSet<String> = names.collect();
        let names: Vec<String> = names.into_iter().collect();
        let mut read = BTreeSet::new();
        files.retain(|path| !file::is_null(path) && read.insert(path.clone()));
        let (mut skipped, files): (Vec<PathBuf>, Vec<PathBuf>) =
            files.into_iter().partition(|path| reach.has(path));
        skipped.extend(config.skipped);
        for path in files {
            match file::read_up_to(MAX_KNOWN_HOSTS, "file", &path, OFlags::empty()) {
                Ok(bytes) => {
                    let bytes = bytes.unwrap_or_default();
                    let lines = known_hosts::lines(&bytes, &names);
                    self.known_hosts.extend(lines.iter().flat_map(|line| [line.text, b"\n"]).flatten());
                }
                Err(error) => self.warn("keys of hosts are not known in the cage", &error),
            }
        }
        let is_known = |remote: &Remote| {
            known_hosts::lines(&self.known_hosts, &remote.names()).iter().any(|line| !line.is_revoked)
        };
        // The user may have put settings into the homes of cages.
        let has_config = host.config_dir().is_some_and(|dir| dir.join("home/.ssh/config").exists());
        let known = hosts.into_iter().map(|(remote, meant)| KnownHost {
            is_known: is_known(&meant),
            is_alias: remote != meant && !has_config,
            remote,
            meant,
        });
        self.hosts = known.collect();
        skipped
    }
}

impl Identity {
    fn of(settings: &Settings) -> Result<Self> {
        let value = |name| Ok::<_, anyhow::Error>(settings.value("user", name)?.map(<[u8]>::to_vec));
        Ok(Self { name: value("name")?, email: value("email")? })
    }

    /// Returns the section of a git configuration file with the name and address; empty if there are none.
    pub fn to_config(&self) -> Vec<u8> {
        let line = |(name, value): (&str, &Option<Vec<u8>>)| {
            let value = value.as_ref()?;
            let escaped = value.iter().flat_map(|c| match c {
                b'\n' => b"\\n".to_vec(),
                b'"' | b'\\' => vec![b'\\', *c],
                c => vec![*c],
            });
            Some([b"\t", name.as_bytes(), b" = \"", &escaped.collect::<Vec<_>>(), b"\"\n"].concat())
        };
        let lines: Vec<_> =
            [("name", &self.name), ("email", &self.email)].into_iter().filter_map(line).collect();
        if lines.is_empty() { Vec::new() } else { [b"[user]\n".as_slice(), &lines.concat()].concat() }
    }
}

impl SigningKey {
    /// Returns the key that signs commits outside, if it is a file that a cage doesn't have.
    fn of(host: &Host, settings: &Settings, repository: &Repository, project: &Project) -> Option<Self> {
        let entries = [settings.entries.as_slice(), &repository.settings].concat();
        let all = Settings { entries, skipped: Vec::new() };
        let path = |settings: &Settings| {
            let key = settings.value("user", "signingkey").ok()??;
            let is_literal = key.starts_with(b"key::") || key.starts_with(b"ssh-");
            let key = (!is_literal).then(|| str::from_utf8(key).ok()).flatten()?;
            Some(match (key.strip_prefix("~/"), &host.home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => PathBuf::from(key),
            })
        };
        let chosen = path(&all).filter(|_| all.value("gpg", "format").is_ok_and(|it| it == Some(b"ssh")))?;
        // Code in the project could name any file as the key.
        let keys = host.home.as_ref().map(|home| home.join(".ssh"));
        let is_key = chosen.parent() == keys.as_deref()
            && escape(&chosen.to_string_lossy()) == chosen.to_string_lossy();
        let path = if is_key { chosen } else { path(settings)? };
        let is_inside = path.starts_with(&project.path);
        let path = path.into_os_string().into_string().ok()?;
        (!is_inside).then(|| Self { path, is_always: all.is_on("commit", "gpgsign") })
    }

    /// Returns the message for a user whose commits are not signed in the cage.
    pub fn advice(&self) -> [String; 2] {
        [
            format!("no commit is signed inside: {} is not there. To let your SSH agent sign:", self.path),
            format!("  {}", self.commands()),
        ]
    }

    /// Returns the commands that make a repository sign with a key of the SSH agent, outside and in a cage.
    pub fn commands(&self) -> String {
        let always = if self.is_always { " && git config commit.gpgsign true" } else { "" };
        // Never the private key.
        let public = format!("{}.pub", self.path.strip_suffix(".pub").unwrap_or(&self.path));
        let public = quote(&public);
        format!("git config gpg.format ssh{always} && git config user.signingkey \"key::$(cat {public})\"")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::host::git_config::all_entries;

    /// A home with a project that is a repository with this configuration.
    fn personal(files: &[(&str, &str)], own: &str) -> (Personal, String) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let system = root.join("none");
        let mut host = Host::sample(&[("GIT_CONFIG_SYSTEM", system.to_str().unwrap())]);
        host.home = Some(root.clone());
        for (path, text) in [("app/.git/config", own)].iter().chain(files) {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        let project = Project::locate(&host, Some(&root.join("app"))).unwrap();
        let reach = [project.dir()].into_iter().collect();
        (Personal::gather(&host, &project, &reach), root.to_str().unwrap().to_owned())
    }

    fn hosts(personal: &Personal) -> Vec<(&str, bool)> {
        personal.hosts.iter().map(|host| (host.meant.host.as_str(), host.is_known)).collect()
    }

    #[test]
    fn only_lines_about_the_hosts_of_the_project_come_in() {
        let known =
            "one.example ssh-ed25519 AAAA\ntwo.example ssh-rsa BBBB\n@revoked three.example ssh-rsa CCCC\n";
        let more = "[one.example]:7 ssh-rsa DDDD\n";
        let own = "[remote \"o\"]\nurl = git@one.example:x\n[remote \"p\"]\nurl = three.example:x\n";
        let submodule = "[submodule \"s\"]\nurl = ssh://two.example:7/x\n";
        let (personal, _) = personal(
            &[
                (".ssh/known_hosts", known),
                (".ssh/known_hosts2", more),
                ("app/.gitmodules", submodule),
                ("app/.git/modules/a/b/HEAD", ""),
                ("app/.git/modules/a/b/config", "[remote \"o\"]\nurl = four.example:x\n"),
                (".gitconfig", "[url \"one.example:\"]\ninsteadOf = one:\n"),
            ],
            own,
        );
        assert_eq!(String::from_utf8(personal.known_hosts.clone()).unwrap(), known);
        let expected =
            [("one.example", true), ("three.example", false), ("two.example", true), ("four.example", false)];
        assert_eq!(hosts(&personal), expected);
        assert_eq!(personal.warnings, [""; 0]);
    }

    #[test]
    fn a_name_of_ssh_stands_for_the_host_and_has_its_keys() {
        let config =
            "Host work\nHostName Git.example\nPort 7\nUserKnownHostsFile ~/.ssh/first ~/.ssh/second\n";
        let keys = "[git.example]:7 ssh-rsa AAAA\n[git.example]:8 ssh-rsa BBBB\nwork ssh-rsa CCCC\n";
        let files = [(".ssh/config", config), (".ssh/first", ""), (".ssh/second", keys), ("app/x", "")];
        let own = "[remote \"o\"]\nurl = git@work:x\n";
        let (found, _) = personal(&files, own);
        assert_eq!(hosts(&found), [("git.example", true)]);
        assert!(found.hosts[0].is_alias);
        let known = "[git.example]:7 ssh-rsa AAAA\nwork ssh-rsa CCCC\n";
        assert_eq!(String::from_utf8(found.known_hosts).unwrap(), known);
        let (found, _) = personal(&[&files[..], &[(".config/cage/home/.ssh/config", config)]].concat(), own);
        assert!(!found.hosts[0].is_alias);
    }

    #[test]
    fn what_cannot_be_read_is_one_warning() {
        let remote = "[remote \"o\"]\nurl = git@one.example:x\n";
        let (broken, root) =
            personal(&[(".gitconfig", "[user]\nname = x\n[include]\npath = .gitconfig")], remote);
        assert_eq!(broken.identity, Identity::default());
        assert_eq!(
            broken.warnings,
            [format!(
                "your name and address for git are not known in the cage: git's file {root}/.gitconfig: \
                 too many files include each other"
            )]
        );
        let (broken, _) = personal(&[(".gitconfig", "[user]\nname\nemail = x")], remote);
        assert_eq!((broken.identity, broken.warnings.len()), (Identity::default(), 1));
        let (broken, root) =
            personal(&[(".gitconfig", "[user]\nname = x"), (".ssh/known_hosts/x", "")], remote);
        assert_eq!(broken.identity.name.as_deref(), Some(b"x".as_slice()));
        let why = format!(
            "keys of hosts are not known in the cage: file {root}/.ssh/known_hosts: it is not a regular file"
        );
        assert_eq!(broken.warnings, [why]);
        let (planted, root) = personal(
            &[
                (".gitconfig", "[user]\nname = x\n[include]\npath = app/planted"),
                ("app/planted", "[user]\nemail = x"),
            ],
            remote,
        );
        assert_eq!(planted.identity.email, None);
        let why = format!("{root}/app/planted is not read, because code in a cage can write it");
        assert_eq!(planted.warnings, [why]);
    }

    #[test]
    fn every_value_is_read_back_from_the_cages_file() {
        for value in ["Jane", " a # b ; c ", "\"q\" \\ \n[alias]\n\tx = !y\t\r", "\u{fc}\u{8}", "]"] {
            let identity = Identity { name: Some(value.into()), email: None };
            let entries = all_entries(&identity.to_config()).unwrap();
            assert_eq!(entries.len(), 1);
            assert_eq!(
                (entries[0].key().as_str(), entries[0].value.as_deref()),
                ("user.name", Some(value.as_bytes()))
            );
        }
        let identity = Identity { name: Some(b"J".into()), email: Some(b"\xff".into()) };
        assert_eq!(identity.to_config(), b"[user]\n\tname = \"J\"\n\temail = \"\xff\"\n");
        assert!(Identity::default().to_config().is_empty());
    }

    #[test]
    fn a_key_that_signs_is_outside_unless_it_is_in_the_settings() {
        let key = |settings: &str, own: &str| {
            let (personal, root) =
                personal(&[(".gitconfig", &format!("[gpg]\nformat = ssh\n{settings}"))], own);
            personal.signing_key.map(|key| (key.commands().replace(&root, "HOME"), key.is_always))
        };
        let commands =
            "git config gpg.format ssh && git config user.signingkey \"key::$(cat HOME/.ssh/id.pub)\"";
        let user = "[user]\nsigningkey = ~/.ssh/id.pub\n";
        assert_eq!(key(user, ""), Some((commands.to_owned(), false)));
        assert_eq!(key("[user]\nsigningkey = ~/.ssh/id\n", ""), Some((commands.to_owned(), false)));
        let always = format!("{user}[commit]\ngpgSign\n");
        let (commands, is_always) = key(&always, "").unwrap();
        assert!(is_always && commands.contains("git config commit.gpgsign true && "), "{commands}");
        for settings in [
            "",
            "[user]\nsigningkey = key::ssh-ed25519 AAAA",
            "[user]\nsigningkey = ssh-rsa AAAA",
            "[gpg]\nformat = openpgp\n[user]\nsigningkey = /x",
        ] {
            assert_eq!(key(settings, ""), None, "{settings}");
        }
        assert_eq!(key(user, "[user]\nsigningkey = key::ssh-ed25519 AAAA"), None);
        // The repository's own settings, which make each commit inside fail.
        let always = key(user, "[commit]\ngpgSign");
        assert!(always.is_some_and(|(_, is_always)| is_always));
        let own = |key: &str| format!("[gpg]\nformat = ssh\n[user]\nsigningkey = {key}\n[commit]\ngpgSign");
        let (commands, is_always) = key("", &own("~/.ssh/work.pub")).unwrap();
        assert!(is_always && commands.contains("HOME/.ssh/work.pub"), "{commands}");
        for planted in ["/etc/x.pub", "~/.ssh/../x", "~/.ssh/deep/x", "~/x", "\"~/.ssh/x\\n\""] {
            assert_eq!(key("", &own(planted)), None, "{planted}");
        }
        assert!(key(user, "[user]\nsigningkey = /home/me/.ssh/id").unwrap().0.contains("HOME/.ssh/id.pub"));
    }
}
