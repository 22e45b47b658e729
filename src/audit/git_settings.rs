//! Settings in git's configuration that run a program, fetch from or send to another place, or hide changes: all but those that git
//! writes by itself.

use super::display;
use crate::base::text::shorten;
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
    ("core.excludesfile", "git status doesn't list new files that it names"),
    ("core.sparsecheckout index.sparse", "git status and diff may not show changed or missing files"),
    ("core.untrackedcache status.showuntrackedfiles", "git status may not list new files"),
    ("core.ignorestat core.trustctime core.checkstat", "git status and diff may not show a changed file"),
    ("core.ignorecase", "git status may not list a new file whose name differs from another in case only"),
    ("core.filemode", "git status and diff don't show that a file has become a program"),
    ("core.symlinks", "git status and diff may not show that a file has become a link"),
    ("core.bigfilethreshold", "git diff doesn't show the content of larger files"),
    ("fsmonitor.*", "git asks the process there which files have changed"),
    ("diff.ignoresubmodules submodule.*.ignore", "git status and diff don't show changes in submodules"),
    ("diff.* blame.*", "changes what git diff, show, log or blame show"),
    ("log.* mailmap.* notes.* core.notesref", "changes what git log shows"),
    ("status.*", "changes what git status shows"),
    ("core.logallrefupdates", "git keeps no record of what branches were before"),
    ("http.*.extraheader", "git sends it to servers"),
    ("http.*.sslverify", "git trusts any server on fetch, pull and push"),
    ("http.* credential.*", "changes how git logs in to servers, and what it sends them"),
    ("remote.*.push remote.*.mirror push.*", "changes what git push sends"),
    ("remote.pushdefault branch.*.pushremote", "git push goes to that remote"),
    ("remote.*.fetch", "git fetch and pull change local branches or other refs"),
    ("sendemail.*", "git send-email uses it"),
    (
        "receive.* uploadpack.* uploadarchive.* transfer.*",
        "changes what others may push to and fetch from here",
    ),
    ("submodule.*.update", "runs on git submodule update"),
    ("branch.*.mergeoptions pull.twohead pull.octopus", "git merge and pull may run a program that it names"),
    ("extensions.refstorage", "git reads its refs from a format that `cage check` doesn't know"),
    ("gitflow.path.hooks", "git flow takes its hooks from there"),
    ("tig.*", "tig runs it or binds keys to it"),
    ("color.*", "git diff and status may show text in the color of the background"),
];

const FETCHES: &str = "git fetches missing objects from there by itself";
const LFS: &str = "git-lfs uploads files there and downloads them from there";

/// Values with which these settings do no harm. `true` and `false` stand for all words that git takes for them.
const HARMLESS: &[(&str, &str)] = &[
    // With yes or no these choose a program that git has built in.
    ("core.fsmonitor pager.*", "true false"),
    ("color.*", "true false auto always never"),
    ("core.filemode core.symlinks core.trustctime core.protecthfs core.protectntfs http.*.sslverify", "true"),
    (
        "core.sparsecheckout core.ignorestat core.untrackedcache core.ignorecase extensions.worktreeconfig",
        "false",
    ),
    ("core.logallrefupdates", "true always"),
    ("core.checkstat", "default"),
    ("status.showuntrackedfiles", "normal all true"),
    ("diff.ignoresubmodules submodule.*.ignore", "none"),
    ("submodule.*.update", "none checkout rebase merge"),
    ("protocol.*.allow", "never"),
    ("extensions.refstorage", "files"),
];

/// Other settings that git writes by itself, when it makes a repository, a branch, a remote, a submodule or a worktree, and those
/// of common programs; with any value. <https://git-scm.com/docs/git-config>
const ORDINARY: &[&str] = &[
    "core.repositoryformatversion core.bare core.precomposeunicode core.hidedotfiles",
    "extensions.objectformat extensions.compatobjectformat extensions.preciousobjects extensions.noop",
    "extensions.relativeworktrees branch.* remote.*.tagopt remote.*.prune remote.*.skipfetchall",
    "remote.*.skipdefaultupdate remote.*.gh-resolved remote.*.github-pr-remote remote.*.followremotehead",
    "submodule.active submodule.*.active submodule.*.url submodule.*.path submodule.*.branch submodule.*.shallow",
    "submodule.*.fetchrecursesubmodules maintenance.auto maintenance.strategy",
    "annex.uuid annex.version remote.*.annex-uuid remote.*.annex-ignore",
    "lfs.repositoryformatversion lfs.*.access lfs.*.locksverify gui.wmstate gui.geometry advice.* completion.*",
];

/// The trigger of a repository's remotes.
pub const REMOTE: &str = "git fetch, pull and push go there";

/// The trigger of settings that are in no list: git and programs around it add new ones.
pub const UNKNOWN: &str = "git, or a program that reads its configuration, may run it or act on it";

/// Returns when git runs or trusts a setting, if it does.
pub fn trigger(entry: &Entry) -> Option<&'static str> {
    let has = |keys: &str| keys.split(' ').any(|key| is_named(entry, key));
    if let Some(trigger) = url(entry) {
        return Some(trigger);
    }
    if HARMLESS.iter().any(|(keys, values)| has(keys) && is_value(entry, values)) || fetches_as_usual(entry) {
        return None;
    }
    if goes_to(entry) {
        return Some(REMOTE);
    }
    if merges_no_branch(entry) {
        return Some("git pull merges it");
    }
    let listed = SETTINGS.iter().find(|(keys, _)| has(keys)).map(|(_, trigger)| *trigger);
    listed.or_else(|| (!ORDINARY.iter().any(|keys| has(keys))).then_some(UNKNOWN))
}

/// Returns whether a setting has git fetch branches of a remote to its own names for them here, or tags.
fn fetches_as_usual(entry: &Entry) -> bool {
    let value = String::from_utf8_lossy(entry.value.as_deref().unwrap_or_default());
    let (from, to) = value.split_once(':').unwrap_or((&value, ""));
    let from = from.trim_start_matches(['+', '^']);
    let remote = String::from_utf8_lossy(entry.subsection.as_deref().unwrap_or_default());
    let own = |branch: &str| format!("refs/remotes/{remote}/{branch}");
    let is_usual = match from.strip_prefix("refs/heads/") {
        Some(branch) => to.is_empty() || to == own(branch),
        // A short name may stand for anything, such as a pull request.
        None => from.starts_with("refs/tags/") && (to.is_empty() || to == from),
    };
    entry.section == "remote" && entry.name == "fetch" && is_usual
}

/// Returns whether a setting has git pull merge something else than a branch, such as a pull request of a stranger's.
fn merges_no_branch(entry: &Entry) -> bool {
    (entry.section.as_str(), entry.name.as_str()) == ("branch", "merge") && !starts(entry, b"refs/heads/")
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

fn is_value(entry: &Entry, values: &str) -> bool {
    values.split(' ').any(|value| match value {
        "true" | "false" => entry.boolean().is_some_and(|is_on| is_on == (value == "true")),
        value => entry.value.as_deref() == Some(value.as_bytes()),
    })
}

fn starts(entry: &Entry, with: &[u8]) -> bool {
    entry.value.as_deref().is_some_and(|value| value.starts_with(with))
}

/// Names, or parts of them, of settings whose values are for no eyes.
const SECRETS: [&str; 5] = ["pass", "token", "secret", "extraheader", "apikey"];

/// Returns the text of a setting: shortened, and without passwords.
pub fn show(entry: &Entry) -> String {
    let mut text = entry.key();
    // These are commands.
    let is_shown = matches!(entry.section.as_str(), "alias" | "pager") || entry.name.ends_with("askpass");
    let is_secret = !is_shown && SECRETS.iter().any(|part| entry.name.contains(part));
    if let Some(value) = &entry.value {
        text.push('=');
        text.push_str(if is_secret { "…".into() } else { String::from_utf8_lossy(value) }.as_ref());
    }
    shorten(&display::mask(&text))
}
