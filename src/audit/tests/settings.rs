//! Settings of git that are findings, and those that git writes by itself.
#![expect(clippy::disallowed_methods, reason = "git makes the repositories that these tests look at")]

use std::process::Command;

use super::*;
use crate::audit::git_settings::REMOTE;

fn git(project: &Project, args: &str) {
    let mut git = Command::new("git");
    git.current_dir(project.path("")).args(shell_words::split(args).unwrap());
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    for (name, value) in [
        ("GIT_AUTHOR_NAME", "x"),
        ("GIT_AUTHOR_EMAIL", "x"),
        ("GIT_COMMITTER_NAME", "x"),
        ("GIT_COMMITTER_EMAIL", "x"),
    ] {
        git.env(name, value);
    }
    let ran = git.output().unwrap();
    assert!(ran.status.success(), "git {args}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// Has git itself write settings, and returns the findings but for remotes and the repositories themselves.
fn findings_after(commands: &[&str]) -> Vec<String> {
    let project = Project::new();
    for command in commands {
        git(&project, &command.replace("HERE", project.path("").to_str().unwrap()));
    }
    let findings = project.scan(Scope::Whole).findings;
    let others = findings.iter().filter(|it| it.trigger != REMOTE && it.path.ends_with("config"));
    others.map(|finding| format!("{}: {}", finding.path, finding.what)).collect()
}

const SETUP: [&str; 3] = ["init -q -b main .", "commit -q --allow-empty -m first", "clone -q . clone"];

#[test]
fn what_git_writes_by_itself_is_no_finding() {
    let ordinary = [
        "-C clone checkout -q -b topic",
        "-C clone remote add --track main other ..",
        "-C clone fetch -q other",
        "-C clone push -q -u origin topic",
        "-C clone checkout -q -b main3 --track other/main",
        "-C clone -c protocol.file.allow=always submodule --quiet add --name deep/er HERE sub",
        "-C clone submodule --quiet set-branch --branch main sub",
        "-C clone submodule --quiet sync",
        "-C clone commit -q -m sub",
        "-C clone worktree add -q ../tree",
        "-C clone stash list",
        "-C clone remote rename other another",
        "-C clone branch -m main2",
        "-C clone remote add --mirror=fetch --tags third ../x",
        "clone -q --bare . bare",
        "-c protocol.file.allow=always clone -q --depth 1 --recurse-submodules file://HERE/clone shallow",
        "clone -q --no-tags --single-branch --origin up . single",
        "init -q --object-format=sha256 --separate-git-dir=elsewhere newer",
    ];
    let ordinary: Vec<_> =
        ordinary.into_iter().filter(|it| !it.contains("--help") && !it.contains("edit-")).collect();
    let found = findings_after(&[&SETUP[..], &ordinary[..]].concat());
    assert_eq!(found, ["clone/.git/config: remote.third.fetch=+refs/*:refs/*"]);
}

#[test]
fn any_other_setting_is_a_finding() {
    for (setting, what) in [
        ("remote.o.push +refs/heads/*:refs/heads/x", "remote.o.push=+refs/heads/*:refs/heads/x"),
        ("remote.o.mirror true", "remote.o.mirror=true"),
        ("remote.pushDefault fork", "remote.pushdefault=fork"),
        ("branch.main.pushRemote fork", "branch.main.pushremote=fork"),
        ("branch.main.mergeOptions '-s evil'", "branch.main.mergeoptions=-s evil"),
        ("branch.main.merge refs/pull/6/head", "branch.main.merge=refs/pull/6/head"),
        ("branch.main.merge pull/6/head", "branch.main.merge=pull/6/head"),
        ("remote.o.fetch refs/pull/6/head", "remote.o.fetch=refs/pull/6/head"),
        (
            "remote.o.fetch +refs/pull/6/head:refs/remotes/o/main",
            "remote.o.fetch=+refs/pull/6/head:refs/remotes/o/main",
        ),
        (
            "remote.o.fetch +refs/heads/x:refs/remotes/o/main",
            "remote.o.fetch=+refs/heads/x:refs/remotes/o/main",
        ),
        (
            "remote.o.fetch +refs/heads/*:refs/remotes/other/*",
            "remote.o.fetch=+refs/heads/*:refs/remotes/other/*",
        ),
        ("remote.o.fetch '+refs/x/*:refs/replace/*'", "remote.o.fetch=+refs/x/*:refs/replace/*"),
        ("http.https://h/.extraHeader 'Authorization: s3cret'", "http.https://h/.extraheader=…"),
        ("sendemail.smtpPass s3cret", "sendemail.smtppass=…"),
        ("github.oauth-token s3cret", "github.oauth-token=…"),
        ("credential.username x", "credential.username=x"),
        ("http.proxyAuthMethod basic", "http.proxyauthmethod=basic"),
        ("sendemail.to x@y", "sendemail.to=x@y"),
        ("receive.denyCurrentBranch ignore", "receive.denycurrentbranch=ignore"),
        ("uploadpack.allowAnySHA1InWant true", "uploadpack.allowanysha1inwant=true"),
        ("core.fileMode false", "core.filemode=false"),
        ("core.logAllRefUpdates false", "core.logallrefupdates=false"),
        ("core.symlinks false", "core.symlinks=false"),
        ("core.ignoreCase true", "core.ignorecase=true"),
        ("core.bigFileThreshold 1", "core.bigfilethreshold=1"),
        ("core.splitIndex true", "core.splitindex=true"),
        ("core.preloadIndex false", "core.preloadindex=false"),
        ("diff.orderFile x", "diff.orderfile=x"),
        ("diff.x.binary true", "diff.x.binary=true"),
        ("diff.relative true", "diff.relative=true"),
        ("status.branch false", "status.branch=false"),
        ("fsmonitor.socketDir /tmp/x", "fsmonitor.socketdir=/tmp/x"),
        ("mailmap.file x", "mailmap.file=x"),
        ("pull.twohead evil", "pull.twohead=evil"),
        ("alias.token '!x'", "alias.token=!x"),
        ("of.tomorrow x", "of.tomorrow=x"),
        ("submodule.s.ignore untracked", "submodule.s.ignore=untracked"),
    ] {
        let found = findings_after(&[SETUP[0], &format!("config {setting}")]);
        assert_eq!(found, [format!(".git/config: {what}")], "{setting}");
    }
    // The control: with these values they do no harm.
    for setting in
        ["core.fileMode true", "core.symlinks yes", "core.ignoreCase false", "submodule.s.ignore none"]
    {
        assert_eq!(findings_after(&[SETUP[0], &format!("config {setting}")]), NOTHING, "{setting}");
    }
}

#[test]
fn settings_that_hide_changes_or_change_who_commits_are_found() {
    let project = Project::repository();
    project.config(
        "[status]\nshowUntrackedFiles = normal\n[core]\ntrustctime = true\ncheckStat = default\nsparseCheckout = false\n\
         [diff]\nignoreSubmodules = none\n[extensions]\nrefStorage = files\n",
    );
    assert_eq!(project.top(), [] as [&str; 0], "the control: as git has them by itself");
    let settings = [
        ("[user]\nname = x", "user.name=x"),
        ("[user]\nsigningkey = x", "user.signingkey=x"),
        ("[author]\nemail = x", "author.email=x"),
        ("[committer]\nname = x", "committer.name=x"),
        ("[commit]\ngpgsign = false", "commit.gpgsign=false"),
        ("[gpg]\nformat = ssh", "gpg.format=ssh"),
        ("[status]\nshowUntrackedFiles = no", "status.showuntrackedfiles=no"),
        ("[core]\nexcludesFile = x", "core.excludesfile=x"),
        ("[core]\nsparseCheckout", "core.sparsecheckout"),
        ("[core]\ntrustctime = false", "core.trustctime=false"),
        ("[core]\ncheckStat = minimal", "core.checkstat=minimal"),
        ("[submodule \"x\"]\nignore = all", "submodule.x.ignore=all"),
        ("[diff]\nignoreSubmodules = all", "diff.ignoresubmodules=all"),
        ("[extensions]\nrefStorage = reftable", "extensions.refstorage=reftable"),
    ];
    for (text, shown) in settings {
        project.config(text);
        assert_eq!(project.top(), [format!(".git/config: {shown}")]);
    }
}

#[test]
fn a_file_that_git_refuses_is_a_finding() {
    let project = Project::new();
    git(&project, "init -q .");
    let config = std::fs::read_to_string(project.path(".git/config")).unwrap();
    for error in ["[a]\nk = \"x", "[a]\n1k = x", "[a]\n\u{c}k = x", "[a_b]"] {
        project.write(".git/config", format!("{config}{error}\n[core]\n\thooksPath = evil\n"));
        assert_eq!(project.whole(), [".git/config: file with an error"], "{error:?}");
    }
    project.write(".git/config", &config);
    project.write(".gitmodules", "[a_b]\n");
    project.write("sub/.git", "git-dir: ../.git\n");
    project.write("other/.git", "gitdir:../.git\n");
    assert_eq!(
        project.whole(),
        [".gitmodules: file with an error", "other/.git: gitdir: ../.git", "sub/.git: file with an error"]
    );
}
