//! Settings in git's configuration that run a program, or fetch from or send to another place.

use super::display;
use crate::host::git_config::Entry;

/// Names of settings, and when git acts on them. A `*` stands for any subsection or none.
const SETTINGS: &[(&str, &str)] = &[
    ("core.fsmonitor", "runs on every git status"),
    ("core.hookspath", "git takes its hooks from there"),
    ("core.sshcommand", "runs on git fetch, pull and push over SSH"),
    ("core.pager", "runs on git log, diff and show"),
    ("core.editor", "runs on git commit and rebase"),
    ("core.askpass", "runs when git asks for a password"),
    ("core.gitproxy", "runs on git fetch over git://"),
    ("core.worktree", "git works on the files there"),
    ("core.attributesfile", "git takes attributes from there"),
    ("sequence.editor", "runs on git rebase -i"),
    ("alias.* pager.*", "runs on the git command of that name"),
    ("filter.*.clean", "runs on git status, add and diff"),
    ("filter.*.smudge", "runs on git checkout, switch, restore and pull"),
    ("filter.*.process", "runs on git status, add, diff and checkout"),
    ("diff.external diff.*.command", "runs on git diff"),
    ("diff.*.textconv", "runs on git diff, log -p and show"),
    ("merge.*.driver", "runs on git merge, pull and rebase"),
    ("mergetool.*.cmd mergetool.*.path", "runs on git mergetool"),
    ("difftool.*.cmd difftool.*.path", "runs on git difftool"),
    ("credential.*.helper", "runs when git asks for a password, and receives it"),
    ("gpg.*.program", "runs on signed commits and when signatures are shown"),
    ("gpg.ssh.allowedsignersfile", "lists the keys whose signatures git trusts"),
    ("include.path includeif.*.path", "git reads more configuration there"),
    ("protocol.*.allow", "allows git a protocol that may run programs"),
    ("url.*.insteadof fetch.bundleuri", "git fetch and pull go to another address"),
    ("url.*.pushinsteadof", "git push goes to another address"),
    ("remote.*.uploadpack", "runs on git fetch and pull"),
    ("remote.*.receivepack", "runs on git push"),
    ("remote.*.vcs", "runs git-remote-NAME on git fetch, pull and push"),
    ("remote.*.proxy http.*.proxy", "git fetch, pull and push go through it"),
    ("interactive.difffilter", "runs on git add -p"),
    ("browser.*.path", "runs on git help -w and instaweb"),
    ("man.*.path", "runs on git help"),
    ("init.templatedir", "git init copies hooks from there"),
    ("http.*.sslcainfo http.*.sslcapath", "tells which servers git trusts"),
    ("http.*.curloptresolve", "git fetch, pull and push go to another address"),
    ("sendemail.*.smtpserver", "runs on git send-email if it is a path"),
    ("instaweb.httpd", "runs on git instaweb"),
    ("hook.*.command", "runs as a hook"),
    ("lfs.customtransfer.*.path", "runs on git push and pull, by git-lfs"),
    ("lfs.extension.*.clean", "runs on git add, by git-lfs"),
    ("lfs.extension.*.smudge", "runs on git checkout, by git-lfs"),
    ("extensions.worktreeconfig", "git reads config.worktree, too"),
    ("extensions.partialclone remote.*.promisor", FETCHES),
    ("core.protecthfs core.protectntfs", "git accepts file names that some systems take for .git"),
    ("http.*.cookiefile", "git fetch and pull send cookies from there, or write them there"),
    ("http.*.savecookies", "git fetch and pull write cookies to a file"),
    ("http.*.sslcert", "git presents it to servers"),
    ("http.*.sslkey", "git uses it to log in to servers"),
    ("http.*.delegation", "git lets servers act on your behalf"),
    ("http.*.proxysslcainfo", "tells which proxies git trusts"),
    ("instaweb.modulepath", "git instaweb loads it"),
    ("lfs.url lfs.pushurl lfs.standalonetransferagent remote.*.lfsurl remote.*.lfspushurl", LFS),
    ("user.* author.* committer.*", "git writes it into commits, or signs them with that key"),
    (
        "commit.gpgsign tag.gpgsign tag.forcesignannotated push.gpgsign gpg.*",
        "changes how git signs commits and tags",
    ),
    ("status.showuntrackedfiles", "git status may not list new files"),
    ("core.excludesfile", "git status doesn't list new files that it names"),
    ("core.sparsecheckout", "git status and diff may not show changed or missing files"),
    ("core.untrackedcache", "git status may not list new files"),
    ("core.ignorestat core.trustctime core.checkstat", "git status and diff may not show a changed file"),
    ("diff.ignoresubmodules submodule.*.ignore", "git status and diff don't show changes in submodules"),
    ("extensions.refstorage", "git reads its refs from a format that `cage check` doesn't know"),
    ("gitflow.path.hooks", "git flow takes its hooks from there"),
    ("tig.*", "tig runs it or binds keys to it"),
];

const FETCHES: &str = "git fetches missing objects from there by itself";
const COLOR: &str = "git diff and status may show text in the color of the background";
const LFS: &str = "git-lfs uploads files there and downloads them from there";

/// The trigger of a repository's remotes.
pub const REMOTE: &str = "git fetch, pull and push go there";

/// Ends of names that are commands in any section: git and programs around it add new ones.
const ENDINGS: &[&str] = &[
    "cmd", "command", "program", "prog", "hook", "helper", "askpass", "editor", "pager", "browser", "tunnel",
];

/// Returns when git runs or trusts a setting, if it does.
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
        // With yes or no these choose a program that git has built in.
        ("core", "fsmonitor") | ("pager" | "color", _) if entry.boolean().is_some() => return None,
        ("color", _) if !is_value(entry, &["auto", "always", "never"]) => return Some(COLOR),
        ("extensions", "worktreeconfig") | ("core", "sparsecheckout" | "ignorestat" | "untrackedcache")
            if entry.boolean() == Some(false) =>
        {
            return None;
        }
        ("core", "protecthfs" | "protectntfs") if entry.boolean() != Some(false) => return None,
        ("status", "showuntrackedfiles") if is_value(entry, &["normal", "all", "true"]) => return None,
        ("core", "trustctime") if entry.boolean() == Some(true) => return None,
        ("core", "checkstat") if is_value(entry, &["default"]) => return None,
        ("diff" | "submodule", "ignoresubmodules" | "ignore") if is_value(entry, &["none"]) => return None,
        ("extensions", "refstorage") if is_value(entry, &["files"]) => return None,
        ("protocol", "allow") if entry.value.as_deref() == Some(b"never") => return None,
        ("advice" | "completion", _) => return None,
        _ => {}
    }
    if goes_to(entry) {
        return Some(REMOTE);
    }
    let listed = SETTINGS
        .iter()
        .find(|(keys, _)| keys.split(' ').any(|key| is_named(entry, key)))
        .map(|(_, trigger)| *trigger);
    let is_annex = entry.section == "annex" || (entry.section == "remote" && name.starts_with("annex-"));
    if is_annex && name.ends_with("options") {
        return Some("git-annex runs programs with these options");
    }
    let command = || ENDINGS.iter().any(|end| name.ends_with(end)) && entry.boolean().is_none();
    listed.or_else(|| command().then_some("git, or a program that reads its configuration, may run it"))
}

/// Returns whether a setting has the name `key` in the table.
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

/// Returns whether a setting is an address that branches come from or go to. The name of a remote is none: the remote has
/// an address of its own.
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

/// Returns when git runs an address that is a command.
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

/// Returns whether git takes an address for a command, such as `ext::sh -c …`, or for an option.
fn is_command(url: &[u8]) -> bool {
    let helper =
        url.iter().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'+')).count();
    url.starts_with(b"-") || (helper > 0 && url[helper..].starts_with(b"::"))
}

fn is_value(entry: &Entry, values: &[&str]) -> bool {
    values.iter().any(|value| entry.value.as_deref() == Some(value.as_bytes()))
}

fn starts(entry: &Entry, with: &[u8]) -> bool {
    entry.value.as_deref().is_some_and(|value| value.starts_with(with))
}

/// Returns the text of a setting: shortened, and without passwords in addresses.
pub fn show(entry: &Entry) -> String {
    let mut text = entry.key();
    if let Some(value) = &entry.value {
        text.push('=');
        text.push_str(&String::from_utf8_lossy(value));
    }
    display::shorten(&display::mask(&text))
}
