//! The hosts of a repository's remotes and submodules. Code in a cage can write their addresses, so anything but a plain name or
//! address of a host is ignored.

use std::net::Ipv6Addr;

use crate::host::git_config::Entry;

/// The number of hosts that a project may have.
const MAX_HOSTS: usize = 100;

/// The number of addresses, and of settings that replace their start, that are looked at.
const MAX_SETTINGS: usize = 1000;

/// A host that a repository names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The host's name or address, in lower case as SSH looks for it.
    pub host: String,
    /// The port of SSH.
    pub port: u16,
    /// Whether git connects to the host by SSH; with another protocol it may do so later.
    pub is_ssh: bool,
}

impl Remote {
    /// Returns the names under which SSH looks for the host's key. A key without a port counts for every port.
    pub fn names(&self) -> Vec<String> {
        let Self { host, port, .. } = self;
        let with_port = (*port != 22).then(|| format!("[{host}]:{port}"));
        with_port.into_iter().chain([host.clone()]).collect()
    }

    /// Reads a remote's address; `None` for one without a host, or with one that is not plain.
    fn of(url: &str) -> Option<Self> {
        let (is_ssh, authority) = match url.split_once("://") {
            Some((scheme, rest)) => {
                let is_ssh = matches!(scheme, "ssh" | "git+ssh" | "ssh+git");
                if !is_ssh && !matches!(scheme, "http" | "https" | "git") {
                    return None;
                }
                (is_ssh, rest.split('/').next()?)
            }
            // `host:path`. With two colons it names a program, git-remote-host.
            None => (true, url.split('/').next()?),
        };
        let (_, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (host, rest) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let has_scheme = url.contains("://");
        if !has_scheme && (!rest.starts_with(':') || rest.starts_with("::")) {
            return None;
        }
        // git takes `[host:port]:path`, too.
        let (host, inner) = match host.split_once(':') {
            Some((name, port)) if !is_ipv6(host) => (name, port),
            _ => (host, ""),
        };
        let port = if has_scheme { rest.strip_prefix(':').unwrap_or(rest) } else { inner };
        let port = match port {
            _ if !is_ssh => 22,
            "" => 22,
            port if port.starts_with('+') => return None,
            port => port.parse().ok()?,
        };
        is_host(host).then(|| Self { host: host.to_ascii_lowercase(), port, is_ssh })
    }
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

/// Returns whether a text is a name or an address. A dash at its start would be an option for ssh; other characters have a meaning
/// in `known_hosts`.
fn is_host(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_plain);
    is_ipv6(text) || (is_name && text.len() <= 255)
}

/// Returns the hosts of the remotes and submodules in a repository's own settings, each once. Settings of the repository and of the
/// user can replace the start of an address.
pub fn hosts(own: &[&Entry], users: &[Entry]) -> Vec<Remote> {
    let is_address = |entry: &&Entry| {
        matches!(
            (entry.section.as_str(), entry.name.as_str()),
            ("remote", "url" | "pushurl") | ("submodule", "url")
        ) && entry.subsection.is_some()
    };
    let rewrites = own.iter().copied().chain(users).filter(|entry| entry.section == "url");
    let rewrites: Vec<&Entry> = rewrites.take(MAX_SETTINGS).collect();
    let mut hosts: Vec<Remote> = Vec::new();
    for entry in own.iter().copied().filter(is_address).take(MAX_SETTINGS) {
        let Some(url) = text(entry) else { continue };
        let rewritten = ["insteadof", "pushinsteadof"].map(|kind| rewrite(url, kind, &rewrites));
        for url in [url.to_owned()].into_iter().chain(rewritten.into_iter().flatten()) {
            let Some(new) = Remote::of(&url) else { continue };
            let is_same = |old: &&mut Remote| (&old.host, old.port) == (&new.host, new.port);
            if let Some(old) = hosts.iter_mut().find(is_same) {
                old.is_ssh |= new.is_ssh;
            } else if hosts.len() < MAX_HOSTS {
                hosts.push(new);
            }
        }
    }
    hosts
}

/// Returns the value of a setting, if a terminal could show it.
fn text(entry: &Entry) -> Option<&str> {
    let value = str::from_utf8(entry.value.as_deref()?).ok()?;
    (!value.contains(|c: char| c.is_control())).then_some(value)
}

/// Returns an address with its start replaced, as the setting with the longest match says: `url.BASE.insteadOf = START`.
fn rewrite(url: &str, kind: &str, rewrites: &[&Entry]) -> Option<String> {
    let matching = rewrites.iter().filter(|entry| entry.name == kind).filter_map(|entry| {
        let rest = url.strip_prefix(text(entry)?)?;
        Some((str::from_utf8(entry.subsection.as_deref()?).ok()?, rest))
    });
    matching.min_by_key(|(_, rest)| rest.len()).map(|(base, rest)| format!("{base}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::git_config::entries;

    fn names(url: &str) -> String {
        Remote::of(url).map(|host| host.names().join(" ")).unwrap_or_default()
    }

    #[test]
    fn addresses_in_all_of_gits_forms_have_a_host() {
        for (url, expected) in [
            ("git@github.com:me/app.git", "github.com"),
            ("github.com:app", "github.com"),
            ("GitHub.com:app", "github.com"),
            ("ssh://git@github.com/me/app.git", "github.com"),
            ("ssh://github.com", "github.com"),
            ("ssh://github.com:/x", "github.com"),
            ("ssh://git@host.example:2222/x", "[host.example]:2222 host.example"),
            ("ssh://host:22/x", "host"),
            ("git+ssh://host/x", "host"),
            ("ssh+git://host:7/x", "[host]:7 host"),
            ("ssh://a@b@host/x", "host"),
            ("ssh://user:p@host/x", "host"),
            ("ssh://user%40corp@host/x", "host"),
            ("ssh://[2001:DB8::1]:2222/x", "[2001:db8::1]:2222 2001:db8::1"),
            ("ssh://git@[::1]/x", "::1"),
            ("git@[::1]:x", "::1"),
            ("[host:2222]:x", "[host]:2222 host"),
            ("git@[host.example:2222]:x", "[host.example]:2222 host.example"),
            ("[host]:x", "host"),
            ("127.0.0.1:x", "127.0.0.1"),
            ("my_host-1:x", "my_host-1"),
            ("https://github.com/me/app", "github.com"),
            ("https://me:token@host:8443/x", "host"),
            ("git://host/x", "host"),
        ] {
            assert_eq!(names(url), expected, "{url}");
        }
    }

    #[test]
    fn addresses_that_are_hostile_or_have_no_host_are_ignored() {
        for url in [
            "",
            "/path/to/x",
            "../x",
            "./a:b",
            "path/with:colon",
            "file:///x",
            "ext::sh -c whoami",
            "ext::ssh://host/x",
            "host::x",
            "ssh://-oProxyCommand=x/y",
            "-oProxyCommand=x:y",
            "git@-oProxyCommand=x:y",
            "*:x",
            "ssh://*/x",
            "ssh://*.example.com/x",
            "ssh://host?/x",
            "ssh://!host/x",
            "ssh://a,b/x",
            "ssh://a b/x",
            "ssh://|1|x|y/x",
            "ssh://host:port/x",
            "ssh://host:99999/x",
            "ssh://host:+22/x",
            "ssh://host:-1/x",
            "ssh://ho%73t/x",
            "ssh://[::1/x",
            "ssh://[*]:22/x",
            "ssh:///x",
            "ssh://",
            "foo://host/x",
            "SSH://host/x",
            "hösten:x",
            "#:x",
        ] {
            assert_eq!(names(url), "", "{url}");
        }
        assert_eq!(names(&format!("{}:x", "a".repeat(300))), "");
    }

    #[test]
    fn the_hosts_of_remotes_and_submodules_are_found_once_each() {
        let settings = |text: &str| entries(text.as_bytes()).collect::<Vec<_>>();
        let found = |own: &str, users: &str| {
            let own = settings(own);
            let found = hosts(&own.iter().collect::<Vec<_>>(), &settings(users));
            found.iter().map(|remote| remote.host.clone()).collect::<Vec<_>>().join(" ")
        };
        let own = "[remote \"origin\"]\nurl = git@one:x\npushurl = ssh://two/x\n[remote \"b\"]\nurl = one:y\nfetch = three:x\n\
                   [submodule \"s\"]\nurl = ../s\n[submodule \"t\"]\nurl = four:t\n[other \"o\"]\nurl = five:x\n";
        assert_eq!(found(own, ""), "one two four");
        assert_eq!(found("[remote \"o\"]\nurl = \"evil:x\\nnext:y\"\n[remote \"p\"]\nurl\n", ""), "");
        let rewrites = "[url \"git@work:\"]\ninsteadOf = w:\n[url \"ssh://longer/\"]\ninsteadOf = w:team/\n\
                        [url \"ssh://push/\"]\npushInsteadOf = https://site/";
        assert_eq!(found("[remote \"o\"]\nurl = w:x", rewrites), "w work");
        assert_eq!(found("[remote \"o\"]\nurl = w:team/x", rewrites), "w longer");
        assert_eq!(found(&format!("[remote \"o\"]\nurl = https://site/x\n{rewrites}"), ""), "site push");
        let own = settings("[remote \"o\"]\nurl = https://one/x\n[remote \"p\"]\nurl = git@one:x");
        let one = Remote { host: "one".into(), port: 22, is_ssh: true };
        assert_eq!(hosts(&own.iter().collect::<Vec<_>>(), &[]), [one]);
        let many: Vec<String> = (0..1000).map(|n| format!("[remote \"{n}\"]\nurl = h{n}:x\n")).collect();
        assert_eq!(found(&many.concat(), "").split(' ').count(), MAX_HOSTS);
    }
}
