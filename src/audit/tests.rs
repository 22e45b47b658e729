use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, FileType, Mode};

use super::record::{DIGEST, SALT};
use super::*;

mod hidden;
mod hostile;
mod known_files;
#[cfg(target_os = "linux")]
mod moving;
mod record;
mod settings;
mod unreadable;

/// A project for one test.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A project with a repository as `git init` makes it.
    fn repository() -> Self {
        let project = Self::new();
        project.init(".git");
        project.program(".git/hooks/pre-commit.sample", "#!/bin/sh\n");
        project
    }

    fn init(&self, dir: &str) -> &Self {
        self.write(&format!("{dir}/HEAD"), "ref: refs/heads/main\n")
            .write(&format!("{dir}/config"), "[core]\n\tbare = false\n")
            .write(&format!("{dir}/objects/info/x"), "")
            .write(&format!("{dir}/refs/x"), "")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
        self
    }

    fn program(&self, path: &str, text: &str) -> &Self {
        self.write(path, text);
        self.mode(path, 0o755)
    }

    fn mode(&self, path: &str, mode: u32) -> &Self {
        fs::set_permissions(self.path(path), Permissions::from_mode(mode)).unwrap();
        self
    }

    fn link(&self, path: &str, target: &str) -> &Self {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        symlink(target, self.path(path)).unwrap();
        self
    }

    fn fifo(&self, path: &str) -> &Self {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        rustix::fs::mknodat(CWD, self.path(path), FileType::Fifo, Mode::RWXU, 0).unwrap();
        self
    }

    fn config(&self, text: &str) -> &Self {
        self.write(".git/config", text)
    }

    fn scan(&self, scope: Scope) -> Report {
        let start = Instant::now();
        let report = scan(&self.path(""), Outside::default(), scope);
        assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
        report
    }

    /// Returns a record of the project, as a cage created now keeps it.
    fn record(&self) -> Record {
        // The clock of files is behind by up to a tick.
        let now =
            (SystemTime::now() - Duration::from_millis(20)).duration_since(UNIX_EPOCH).unwrap().as_secs();
        Record::new(&self.scan(Scope::Top).findings, now.try_into().unwrap())
    }

    fn found(&self, scope: Scope) -> Vec<String> {
        let report = self.scan(scope);
        assert_eq!(report.incomplete, None);
        report.findings.iter().map(|finding| format!("{}: {}", finding.path, finding.what)).collect()
    }

    /// Returns the findings at the top, which a scan of the whole tree finds as well.
    fn top(&self) -> Vec<String> {
        let (top, whole) = (self.found(Scope::Top), self.found(Scope::Whole));
        assert!(top.iter().all(|line| whole.contains(line)), "{top:?} {whole:?}");
        top
    }

    fn whole(&self) -> Vec<String> {
        self.found(Scope::Whole)
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_ordinary_project_has_no_findings() {
    let project = Project::repository();
    project
        .config("\u{feff}[core]\n\tbare = false\n\tfsmonitor = true\n[remote \"origin\"]\n\turl = git@example.com:x/y\n[pager]\n\tlog = no\n[branch \"main\"]\n\tremote = origin")
        .write(".gitattributes", "* text=auto\n*.py diff=python\n*.lock merge=binary -diff\n# filter=x\n")
        .write(".gitmodules", "[submodule \"a\"]\n\tpath = a\n\turl = https://example.com/a\n\tupdate = rebase\n")
        .write(".git/hooks/pre-push", "not executable")
        .write("src/main.rs", "")
        .write("node_modules/x/.npmrc", "")
        .link("src/link", "../README.md")
        .link("node_modules/.bin/x", "../x/x.js")
        .link(".venv/bin/python3", "/usr/bin/python3")
        .link("itself", "itself");
    // Without a record, a remote is not new.
    for scope in [Scope::Top, Scope::Whole] {
        assert_eq!(without_remotes(&project.scan(scope).findings), []);
    }
    assert_eq!(project.whole(), [".git/config: remote.origin.url=git@example.com:x/y"]);
}

#[test]
fn settings_that_run_commands_or_redirect_are_found() {
    for (setting, what) in [
        ("[core] fsmonitor = ./x", "core.fsmonitor=./x"),
        ("[CORE] HooksPath = h", "core.hookspath=h"),
        ("[core] sshCommand = ./x", "core.sshcommand=./x"),
        ("[core] worktree = /", "core.worktree=/"),
        ("[alias] st = !sh", "alias.st=!sh"),
        ("[alias] co = rebase --exec sh", "alias.co=rebase --exec sh"),
        ("[alias \"new\"] command = x", "alias.new.command=x"),
        ("[pager] log = ./x", "pager.log=./x"),
        ("[filter \"a.b\"] Clean = x", "filter.a.b.clean=x"),
        ("[diff] external = x", "diff.external=x"),
        ("[diff \"x\"] textconv = x", "diff.x.textconv=x"),
        ("[credential] helper = !x", "credential.helper=!x"),
        ("[credential \"https://u:secret@h\"] helper = x", "credential.https://…@h.helper=x"),
        ("[gpg] program = x", "gpg.program=x"),
        ("[gpg \"ssh\"] program = x", "gpg.ssh.program=x"),
        ("[include] path = /x", "include.path=/x"),
        ("[includeIf \"gitdir:/\"] path = x", "includeif.gitdir:/.path=x"),
        ("[protocol] allow = always", "protocol.allow=always"),
        ("[protocol \"ext\"] allow = always", "protocol.ext.allow=always"),
        ("[url \"https://u:secret@h/\"] insteadOf = https://x/", "url.https://…@h/.insteadof=https://x/"),
        ("[remote \"o\"] url = ext::sh -c x", "remote.o.url=ext::sh -c x"),
        ("[remote \"o\"] pushurl = --upload-pack=x", "remote.o.pushurl=--upload-pack=x"),
        ("[remote \"o\"] uploadpack = x", "remote.o.uploadpack=x"),
        ("[submodule \"s\"] update = !x", "submodule.s.update=!x"),
        ("[http] proxy = http://x", "http.proxy=http://x"),
        ("[http \"https://x\"] proxy = y", "http.https://x.proxy=y"),
        ("[http] sslVerify = no", "http.sslverify=no"),
        ("[imap] tunnel = x", "imap.tunnel=x"),
        ("[gc] recentObjectsHook = x", "gc.recentobjectshook=x"),
        ("[hook \"x\"] command = x", "hook.x.command=x"),
        ("[lfs \"customtransfer.x\"] path = x", "lfs.customtransfer.x.path=x"),
        ("[tomorrow \"x\"] newCommand = x", "tomorrow.x.newcommand=x"),
        ("[remote \"o\"] url = https://u:secret@h/x", "remote.o.url=https://…@h/x"),
        ("[remote \"o\"] pushurl = /elsewhere", "remote.o.pushurl=/elsewhere"),
        ("[remote] pushDefault = https://h/x", "remote.pushdefault=https://h/x"),
        ("[branch \"b\"] remote = ../x", "branch.b.remote=../x"),
        ("[remote \"o\"] promisor", "remote.o.promisor"),
        ("[http] cookieFile = ~/.bashrc", "http.cookiefile=~/.bashrc"),
        ("[core] protectNTFS = false", "core.protectntfs=false"),
        ("[lfs] url = https://h", "lfs.url=https://h"),
        ("[svn] authorsProg = x", "svn.authorsprog=x"),
        ("[tig \"bind\"] generic = x !y", "tig.bind.generic=x !y"),
        ("[gitflow \"path\"] hooks = x", "gitflow.path.hooks=x"),
        ("[annex] ssh-options = -o ProxyCommand=x", "annex.ssh-options=-o ProxyCommand=x"),
        ("[remote \"o\"] annex-rsync-options = -e x", "remote.o.annex-rsync-options=-e x"),
        ("[extensions] worktreeConfig", "extensions.worktreeconfig"),
    ] {
        let project = Project::repository();
        project.config(setting);
        assert_eq!(project.top(), [format!(".git/config: {what}")], "{setting}");
    }
    let project = Project::repository();
    project.config("[submodule \"s\"] update = none\n[protocol \"ext\"] allow = never\n[http] sslVerify = true\n[color] pager = true\n[core] protectHFS = true\n[branch \"b\"] remote = .\n[branch \"c\"] remote = origin\n[annex] uuid = x");
    assert_eq!(project.top(), NOTHING);
}

#[test]
fn included_configuration_is_read_only_inside_the_project() {
    let project = Project::repository();
    let outside = Project::new();
    outside.write("config", "[core] pager = secret\n");
    project
        .config(&format!(
            "[include] path = ../more\n[include] path = {}\n[include] path = ../out\n",
            outside.path("config").display()
        ))
        .write("more", "[core] pager = x\n[include] path = more\n[include] path = .git/config\n")
        .link("out", outside.path("config").to_str().unwrap())
        .write(".git/config.worktree", "[core] editor = y\n");
    let found = project.top();
    assert!(
        found.contains(&"more: core.pager=x".into())
            && found.contains(&".git/config.worktree: core.editor=y".into())
    );
    assert!(!found.iter().any(|line| line.contains("secret")), "{found:?}");
    assert_eq!(found.len(), 7, "{found:?}");
}

#[test]
fn hooks_are_found_in_any_directory() {
    let project = Project::repository();
    project
        .program(".git/hooks/pre-commit", "")
        .link(".git/hooks/pre-push", "../../script")
        .program("script", "")
        .program("elsewhere/post-merge", "")
        .config("[core] hooksPath = elsewhere");
    assert_eq!(
        project.top(),
        [
            ".git/config: core.hookspath=elsewhere",
            ".git/hooks/pre-commit: executable hook",
            ".git/hooks/pre-push: hook, link to ../../script",
            "elsewhere/post-merge: executable hook",
        ]
    );
}

#[test]
fn the_repository_may_have_any_shape() {
    let link = |of: &Project| of.top().iter().any(|line| line == "evil/config: core.pager=x");
    let evil =
        |project: &Project| project.init("evil").write("evil/config", "[core] pager = x").0.path().to_owned();

    let project = Project::new();
    evil(&project);
    project.write(".git", "gitdir: evil\n");
    assert!(link(&project) && project.top().contains(&".git: gitdir: evil".into()));

    let project = Project::new();
    evil(&project);
    project.link(".git", "evil");
    assert!(link(&project) && project.top().contains(&".git: link to evil".into()));

    let project = Project::repository();
    evil(&project);
    project.write(".git/commondir", "../evil\n");
    assert!(link(&project) && project.top().contains(&".git/commondir: commondir ../evil".into()));

    let project = Project::repository();
    evil(&project);
    fs::remove_file(project.path(".git/config")).unwrap();
    project.link(".git/config", "../evil/config");
    assert!(link(&project) && project.top().contains(&".git/config: link to ../evil/config".into()));

    let project = Project::new();
    project.write(".git", "gitdir: /etc\n");
    assert_eq!(project.top(), [".git: gitdir: /etc"]);
    let project = Project::new();
    project.fifo(".git");
    assert_eq!(project.top(), [".git: FIFO"]);

    let project = Project::new();
    project.init(".").write("config", "[core] pager = x");
    assert_eq!(project.top(), ["config: core.pager=x"]);
}

#[test]
fn submodules_worktrees_and_other_parts_of_a_repository_are_scanned() {
    let project = Project::repository();
    project
        .init(".git/modules/a/b")
        .write(".git/modules/a/b/config", "[core] pager = x")
        .init(".git/modules/a/b/modules/c")
        .program(".git/modules/a/b/modules/c/hooks/pre-push", "")
        .init(".git/modules/d")
        .write(".git/modules/d/config", "[core] worktree = ../../../d")
        .write("d/.git", "gitdir: ../.git/modules/d")
        .init(".git/modules/e")
        .write(".git/modules/e/config", "[core] worktree = ../../../..")
        .write(".git/worktrees/w/commondir", "../..\n")
        .write(".git/worktrees/w/config.worktree", "[core] editor = x")
        .write(".git/worktrees/v/commondir", "../../../evil\n")
        .write("evil/config", "[core] askPass = x")
        .write(".git/objects/info/alternates", "/x\n")
        .write(".git/info/attributes", "* filter=evil\n")
        .write(".git/rebase-merge/git-rebase-todo", "pick 1\nexec sh\n");
    assert_eq!(
        project.top(),
        [
            ".git/info/attributes: * filter=evil",
            ".git/info/attributes: filter=evil",
            ".git/modules/a/b/config: core.pager=x",
            ".git/modules/a/b/modules/c/hooks/pre-push: executable hook",
            ".git/modules/e/config: core.worktree=../../../..",
            ".git/objects/info/alternates: file",
            ".git/rebase-merge/git-rebase-todo: file",
            ".git/worktrees/v/commondir: commondir ../../../evil",
            ".git/worktrees/w/config.worktree: core.editor=x",
            "evil/config: core.askpass=x",
        ]
    );
    // The same if its directory is a link.
    let project = Project::repository();
    project.write("i/attributes", "* filter=evil\n").link(".git/info", "../i");
    assert!(project.top().contains(&"i/attributes: filter=evil".into()), "{:?}", project.top());
    assert!(project.top().contains(&".git/info: link to ../i".into()));
}

#[test]
fn the_mounted_repository_of_a_linked_worktree_is_scanned() {
    let outside = Project::new();
    let project = Project::new();
    let show = |of: &Project, path: &str| of.path(path).to_str().unwrap().to_owned();
    outside
        .init("r/.git")
        .write("r/.git/config", "[core] pager = x\n")
        .write("r/.git/worktrees/p/commondir", "../..\n")
        .write("r/.git/worktrees/p/HEAD", "ref: refs/heads/p\n")
        .write("r/.git/worktrees/p/gitdir", format!("{}\n", show(&project, ".git")));
    project.write(".git", format!("gitdir: {}\n", show(&outside, "r/.git/worktrees/p")));
    let pointer = format!(".git: gitdir: {}", show(&outside, "r/.git/worktrees/p"));
    assert_eq!(project.top(), [pointer, format!("{}: core.pager=x", show(&outside, "r/.git/config"))]);
    // What is dangerous under any name is found in all of it, as in a repository inside the project.
    outside
        .program("r/.git/x/suid", "")
        .mode("r/.git/x/suid", 0o4755)
        .program("r/.git/x/ordinary", "")
        .write("r/.git/x/.envrc", "")
        .write("r/.git/x/.git/config", "")
        .fifo("r/.git/objects/fifo")
        .link("r/.git/x/out", "/etc")
        .link("r/.git/x/within", "../objects")
        .link("r/.git/x/back", project.path("x").to_str().unwrap());
    project.link("config", &show(&outside, "r/.git/config")).link("hooks", &show(&outside, "r/.git/x"));
    let mut planted: Vec<String> =
        project.whole().into_iter().filter(|line| !line.contains("git: ")).collect();
    assert_eq!(planted.pop(), Some(format!("hooks: link to {}", show(&outside, "r/.git/x"))));
    let planted_there = |(path, what)| format!("{}: {what}", show(&outside, path));
    assert_eq!(
        planted,
        [
            ("r/.git/config", "core.pager=x"),
            ("r/.git/objects/fifo", "FIFO"),
            ("r/.git/x/out", "link to /etc"),
            ("r/.git/x/suid", "setuid program"),
        ]
        .map(planted_there)
    );
    // The control: a repository that names another working tree is not opened.
    outside.write("r/.git/worktrees/p/gitdir", "/elsewhere\n");
    assert_eq!(project.top(), [format!(".git: gitdir: {}", show(&outside, "r/.git/worktrees/p"))]);
}

/// Whatever leads from the project to the repository beside it, or back, is read as in a repository inside the project.
#[test]
fn paths_between_a_project_and_its_repository_are_followed() {
    let world = Project::new();
    let root = world.path("");
    let root = root.to_str().unwrap().trim_end_matches('/');
    let pager = "[core] pager = y\n";
    let attribute = "* filter=y\n";
    // A setting of the repository, a link and its target, a file that changes, its text, and the path of what is new then.
    let cases = [
        ("[include] path = ROOT/p/x", NO_LINK, "p/x", pager, "x"),
        ("[include] path = UP/p/x", NO_LINK, "p/x", pager, "x"),
        ("[include] path = ROOT/here/here/p/x", NO_LINK, "p/x", pager, "x"),
        ("", ("GIT/hooks/pre-push", "ROOT/p/hook"), "p/hook", "", "GIT/hooks/pre-push"),
        ("", ("GIT/hooks/pre-push", "../UP/p/hook"), "p/hook", "", "GIT/hooks/pre-push"),
        ("", ("GIT/hooks", "UP/p/own"), "p/own/pre-push", "", "own/pre-push"),
        ("", ("GIT/info", "UP/p/own"), "p/own/attributes", attribute, "own/attributes"),
        ("", ("GIT/lazygit.yml", "ROOT/p/x"), "p/x", "", "x"),
        ("[core] hooksPath = ROOT/GIT/own", NO_LINK, "GIT/own/pre-push", "", "GIT/own/pre-push"),
        ("[core] hooksPath = ../GIT/own", NO_LINK, "GIT/own/pre-push", "", "GIT/own/pre-push"),
        ("[core] sshCommand = ../GIT/x", NO_LINK, "GIT/x", "", "GIT/config"),
        ("[core] fsmonitor = ROOT/GIT/x", NO_LINK, "GIT/x", "", "GIT/config"),
        ("[core] fsmonitor = ./x", ("p/x", "../GIT/x"), "GIT/x", "", "GIT/config"),
        ("[core] attributesFile = ROOT/GIT/x", NO_LINK, "GIT/x", attribute, "GIT/x"),
        ("", ("p/.vscode", "../GIT/own"), "GIT/own/tasks.json", "", "GIT/own/tasks.json"),
        ("", ("p/.vscode", "ROOT/here/GIT/own"), "GIT/own/tasks.json", "", "GIT/own/tasks.json"),
        ("", ("p/.envrc", "ROOT/GIT/x"), "GIT/x", "", ".envrc"),
        // By way of the directory that both are in.
        ("", ("GIT/hooks", "ROOT/p/all/p/own"), "p/own/pre-push", "", "own/pre-push"),
        // The controls: what leads elsewhere is not read.
        ("[include] path = ROOT/elsewhere/x", NO_LINK, "elsewhere/x", pager, ""),
        ("[include] path = UP/elsewhere/x", NO_LINK, "elsewhere/x", pager, ""),
        ("", ("GIT/hooks/pre-push", "../UP/elsewhere/x"), "elsewhere/x", "", ""),
    ];
    for (git, up, own) in [("r/.git", "../..", "r/.git/worktrees/p"), ("s/.git/modules/p", "../../../..", "")]
    {
        for (setting, link, file, text, new) in &cases {
            let put = |text: &str| text.replace("ROOT", root).replace("UP", up).replace("GIT", git);
            let own = if own.is_empty() { git } else { own };
            for entry in fs::read_dir(world.path("")).unwrap() {
                let path = entry.unwrap().path();
                fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).unwrap();
            }
            world
                .init(git)
                .write(&format!("{git}/config"), format!("[core] worktree = {root}/p\n{}\n", put(setting)))
                .write("p/.git", format!("gitdir: {root}/{own}\n"))
                .write(&format!("{git}/hooks/x"), "")
                .link("here", ".")
                .link("p/all", "..")
                .program(&put(file), "before");
            if own != git {
                world
                    .write(&format!("{own}/commondir"), "../..\n")
                    .write(&format!("{own}/gitdir"), format!("{root}/p/.git\n"));
            }
            if *link != NO_LINK {
                let _none = fs::remove_dir_all(world.path(&put(link.0)));
                world.link(&put(link.0), &put(link.1));
            }
            let scan = || {
                let report = scan(&world.path("p"), Outside::default(), Scope::Top);
                assert_eq!(report.incomplete, None);
                report.findings
            };
            let record = Record::new(&scan(), 0);
            assert_eq!(record.new_among(&scan()), [], "the control");
            world.program(&put(file), text);
            let found: Vec<String> =
                record.new_among(&scan()).into_iter().map(|finding| finding.path).collect();
            let new = new.replace("GIT", &format!("{root}/{git}"));
            let is_as_expected = if new.is_empty() { found.is_empty() } else { found.contains(&new) };
            assert!(is_as_expected, "{git} {setting} {link:?}: {found:?}");
        }
    }
}

const NO_LINK: (&str, &str) = ("", "");

#[test]
fn nested_repositories_are_found_anywhere() {
    let project = Project::repository();
    project
        .init("a/b/.git")
        .write("a/b/.git/config", "[core] fsmonitor = ./x")
        .init("node_modules/c")
        .write("node_modules/c/config", "[core] fsmonitor = ./x")
        .write("d/HEAD", "")
        .write("d/commondir", "../e")
        .write("e/config", "[core] pager = y")
        .write("f/.git", "gitdir: ../.git\n")
        .link("g/.git", "/etc")
        .write("h/HEAD", "")
        .write(".GIT/i/.git", "gitdir: /x\n");
    assert_eq!(project.top(), NOTHING);
    assert_eq!(
        project.whole(),
        [
            ".GIT/i/.git: gitdir: /x",
            "a/b/.git: nested repository",
            "a/b/.git/config: core.fsmonitor=./x",
            "d: looks like a bare repository",
            "d/commondir: commondir ../e",
            "e/config: core.pager=y",
            "f/.git: gitdir: ../.git",
            "g/.git: link to /etc",
            "node_modules/c: looks like a bare repository",
            "node_modules/c/config: core.fsmonitor=./x",
        ]
    );
}
