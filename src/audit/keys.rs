//! What in git's configuration runs a program, or takes something from elsewhere.

use crate::host::git_config::Entry;

/// How much of a value is shown.
const SHOWN: usize = 200;

/// A setting with one of these names runs what it says, or sends git elsewhere. `*` is any subsection or none, and the
/// names at the end of the list are for every section: git and its companions learn new ones.
const KEYS: &[(&str, &str)] = &[
    ("core.fsmonitor", "runs on every git status"),
    ("core.hookspath", "git takes its hooks from there"),
    ("core.sshcommand", "runs on git fetch, pull and push over SSH"),
    ("core.pager", "runs on git log, diff and show"),
    ("core.editor", "runs on git commit and rebase"),
    ("core.askpass", "runs when git wants a password"),
    ("core.gitproxy", "runs on git fetch over git://"),
    ("core.alternaterefscommand", "runs on git fetch, where there are alternates"),
    ("core.worktree", "git works on the files there"),
    ("core.attributesfile", "git takes attributes from there"),
    ("sequence.editor", "runs on git rebase -i"),
    ("alias.*", "runs on the git command of that name"),
    ("pager.*", "runs on the git command of that name"),
    ("filter.*.clean", "runs on git status, add and diff"),
    ("filter.*.smudge", "runs on git checkout, switch, restore and pull"),
    ("filter.*.process", "runs on git status, add, diff and checkout"),
    ("diff.external", "runs on git diff"),
    ("diff.*.command", "runs on git diff"),
    ("diff.*.textconv", "runs on git diff, log -p and show"),
    ("merge.*.driver", "runs on git merge, pull and rebase"),
    ("mergetool.*.cmd", "runs on git mergetool"),
    ("mergetool.*.path", "runs on git mergetool"),
    ("difftool.*.cmd", "runs on git difftool"),
    ("difftool.*.path", "runs on git difftool"),
    ("credential.*.helper", "runs when git wants a password, and is given it"),
    ("gpg.*.program", "runs on signed commits and when signatures are shown"),
    ("gpg.ssh.defaultkeycommand", "runs on signed commits"),
    ("gpg.ssh.allowedsignersfile", "says whose signatures git trusts"),
    ("include.path", "git reads more configuration there"),
    ("includeif.*.path", "git reads more configuration there"),
    ("protocol.*.allow", "lets git use a way to fetch that may run programs"),
    ("url.*.insteadof", "sends git fetch and pull elsewhere"),
    ("url.*.pushinsteadof", "sends git push elsewhere"),
    ("remote.*.uploadpack", "runs on git fetch and pull"),
    ("remote.*.receivepack", "runs on git push"),
    ("remote.*.vcs", "runs git-remote-NAME on git fetch, pull and push"),
    ("remote.*.proxy", "sends git fetch, pull and push through it"),
    ("trailer.*.command", "runs on git commit --trailer and interpret-trailers"),
    ("trailer.*.cmd", "runs on git commit --trailer and interpret-trailers"),
    ("uploadpack.packobjectshook", "runs when somebody fetches from here"),
    ("interactive.difffilter", "runs on git add -p"),
    ("browser.*.path", "runs on git help -w and instaweb"),
    ("man.*.path", "runs on git help"),
    ("tar.*.command", "runs on git archive"),
    ("init.templatedir", "git init copies hooks from there"),
    ("http.*.proxy", "sends git fetch, pull and push through it"),
    ("http.*.sslcainfo", "says which servers git trusts"),
    ("http.*.sslcapath", "says which servers git trusts"),
    ("http.*.curloptresolve", "sends git fetch, pull and push elsewhere"),
    ("sendemail.*.smtpserver", "runs on git send-email, where it is a path"),
    ("imap.*.tunnel", "runs on git imap-send"),
    ("instaweb.httpd", "runs on git instaweb"),
    ("gc.recentobjectshook", "runs on git gc, and so on pull and fetch"),
    ("hook.*.command", "runs as a hook"),
    ("lfs.customtransfer.*.path", "runs on git push and pull, by git-lfs"),
    ("lfs.extension.*.clean", "runs on git add, by git-lfs"),
    ("lfs.extension.*.smudge", "runs on git checkout, by git-lfs"),
    ("extensions.worktreeconfig", "git reads config.worktree, too"),
    ("extensions.partialclone", FETCHES),
    ("remote.*.promisor", FETCHES),
    ("core.protecthfs", "git takes names that some systems take for .git"),
    ("core.protectntfs", "git takes names that some systems take for .git"),
    ("fetch.bundleuri", "sends git fetch and pull elsewhere"),
    ("http.*.cookiefile", "git fetch and pull send cookies from there, or write them there"),
    ("http.*.savecookies", "git fetch and pull write cookies to a file"),
    ("http.*.sslcert", "git shows it to servers"),
    ("http.*.sslkey", "git uses it towards servers"),
    ("http.*.delegation", "git lets servers act as you"),
    ("http.*.proxysslcainfo", "says which proxies git trusts"),
    ("instaweb.modulepath", "git instaweb loads it"),
    ("lfs.url", LFS),
    ("lfs.pushurl", LFS),
    ("lfs.standalonetransferagent", LFS),
    ("remote.*.lfsurl", LFS),
    ("remote.*.lfspushurl", LFS),
    ("gitflow.path.hooks", "git flow takes its hooks from there"),
    ("tig.*", "tig binds keys to it, or runs it"),
];

const FETCHES: &str = "git fetches from there by itself what is missing";
const LFS: &str = "git-lfs sends files there, and takes them from there";

/// Where a repository's branches come from and go to.
pub const REMOTE: &str = "git fetch, pull and push go there";

/// Names that end like this are commands.
const ENDINGS: &[&str] = &[
    "cmd", "command", "program", "prog", "hook", "helper", "askpass", "editor", "pager", "browser", "tunnel",
];

/// What the host does with a setting, if it runs or trusts it.
pub fn trigger(entry: &Entry) -> Option<&'static str> {
    let name = entry.name.as_str();
    if let Some(trigger) = url(entry) {
        return Some(trigger);
    }
    match (entry.section.as_str(), name) {
        ("http", "sslverify") if entry.boolean() == Some(false) => {
            return Some("git trusts any server on fetch, pull and push");
        }
        ("submodule", "update") if starts(entry, b"!") => return Some("runs on git submodule update"),
        // Of these, yes and no choose something of git's own.
        ("core", "fsmonitor") | ("pager" | "color", _) if entry.boolean().is_some() => return None,
        ("extensions", "worktreeconfig") if entry.boolean() == Some(false) => return None,
        ("core", "protecthfs" | "protectntfs") if entry.boolean() != Some(false) => return None,
        ("protocol", "allow") if entry.value.as_deref() == Some(b"never") => return None,
        ("advice" | "completion", _) => return None,
        _ => {}
    }
    if goes_to(entry) {
        return Some(REMOTE);
    }
    let listed = KEYS.iter().find(|(key, _)| is_named(entry, key)).map(|(_, trigger)| *trigger);
    let is_annexs = entry.section == "annex" || (entry.section == "remote" && name.starts_with("annex-"));
    if is_annexs && name.ends_with("options") {
        return Some("git-annex runs programs with it");
    }
    let command = || ENDINGS.iter().any(|end| name.ends_with(end)) && entry.boolean().is_none();
    listed.or_else(|| command().then_some("runs by git, or by a program that reads git's configuration"))
}

/// Is it the one that `key` names?
fn is_named(entry: &Entry, key: &str) -> bool {
    let Some(rest) = key.strip_prefix(entry.section.as_str()).and_then(|rest| rest.strip_prefix('.')) else {
        return false;
    };
    match rest.rsplit_once('.') {
        // `alias.*` is `alias.x` and also, in new versions of git, `alias.x.command`.
        None if rest == "*" => true,
        None => rest == entry.name && entry.subsection.is_none(),
        Some((_, name)) if name != entry.name => false,
        Some(("*", _)) => true,
        Some((middle, _)) => {
            let subsection = entry.subsection.as_deref().unwrap_or_default().to_ascii_lowercase();
            match middle.strip_suffix("*") {
                Some(start) => subsection.starts_with(start.as_bytes()),
                None => subsection == middle.as_bytes(),
            }
        }
    }
}

/// Does it say where branches come from or go to? A name of a remote does so by that remote's own setting.
fn goes_to(entry: &Entry) -> bool {
    let value = entry.value.as_deref().unwrap_or_default();
    let is_place = || {
        value.contains(&b':')
            || [b"/".as_slice(), b"./", b"../", b"~"].iter().any(|start| value.starts_with(start))
    };
    match (entry.section.as_str(), entry.name.as_str()) {
        ("remote", "url" | "pushurl") => entry.subsection.is_some(),
        ("branch", "remote" | "pushremote") | ("remote", "pushdefault") => is_place(),
        _ => false,
    }
}

/// Addresses that are commands.
fn url(entry: &Entry) -> Option<&'static str> {
    let trigger = match (entry.section.as_str(), entry.name.as_str()) {
        ("remote", "url" | "pushurl") => "runs on git fetch, pull or push",
        ("submodule", "url") => "runs on git submodule update",
        ("submodule", "path") => return starts(entry, b"-").then_some("git may take it for an option"),
        ("url", "insteadof" | "pushinsteadof") => {
            let base = entry.subsection.as_deref().unwrap_or_default();
            return is_command(base).then_some("runs on git fetch, pull or push");
        }
        _ => return None,
    };
    is_command(entry.value.as_deref().unwrap_or_default()).then_some(trigger)
}

/// `ext::sh -c …` and others that start a program of that name; and what could be taken for an option.
fn is_command(url: &[u8]) -> bool {
    let helper =
        url.iter().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'+')).count();
    url.starts_with(b"-") || (helper > 0 && url[helper..].starts_with(b"::"))
}

fn starts(entry: &Entry, with: &[u8]) -> bool {
    entry.value.as_deref().is_some_and(|value| value.starts_with(with))
}

/// A setting for people: not all of a long one, and no password of an address.
pub fn show(entry: &Entry) -> String {
    let mut text = entry.key();
    if let Some(value) = &entry.value {
        text.push('=');
        text.push_str(&String::from_utf8_lossy(value));
    }
    shorten(&mask(&text))
}

/// As much of a text as is worth showing.
pub fn shorten(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN - 1).chain(['…']).collect()
}

/// Takes user names and passwords out of addresses.
fn mask(text: &str) -> String {
    let mut parts = text.split("://");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str("://");
        let end = part.find(['/', '?', '#', ' ', '=']).unwrap_or(part.len());
        let host = part[..end].rfind('@').map_or(0, |at| at + 1);
        if host > 0 {
            masked.push_str("…@");
        }
        masked.push_str(&part[host..]);
    }
    masked
}
