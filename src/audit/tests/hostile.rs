//! Trees that are made to hang, crash or mislead a scan, and large trees.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use proptest::prelude::*;
use rustix::fs::OFlags;

use super::*;
use crate::audit::limits::Limits;
use crate::audit::{MAX_FINDINGS, scan_within};

/// Makes nested directories, deeper than a path can be long.
fn deep(project: &Project, name: &str, levels: usize) {
    let mut dir = rustix::fs::open(project.path(""), OFlags::RDONLY, Mode::empty()).unwrap();
    for _ in 0..levels {
        rustix::fs::mkdirat(&dir, name, Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, name, OFlags::RDONLY, Mode::empty()).unwrap();
    }
}

/// Removes them, which `rm -r` may fail to do.
fn shallow(project: &Project, name: &str) {
    for n in 0.. {
        let (at, aside) = (project.path(name), project.path(&format!("aside-{n}")));
        let inner = at.join(name);
        if !inner.exists() {
            break;
        }
        fs::rename(&inner, &aside).unwrap();
        fs::remove_dir(&at).unwrap();
        fs::rename(&aside, &at).unwrap();
    }
}

#[test]
fn depth_is_limited_and_the_rest_is_scanned() {
    for name in ["d", "modules"] {
        let project = Project::repository();
        deep(&project, name, 2000);
        project.write("z/.envrc", "").write("a/.envrc", "");
        let report = project.scan(Scope::Whole);
        assert_eq!(report.incomplete.as_deref(), Some("a directory is more than 100 levels deep"));
        let paths: Vec<&str> = report.findings.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(paths, ["a/.envrc", "z/.envrc"]);
        shallow(&project, name);
    }
    let project = Project::repository();
    project.write(&format!(".git/modules/{}HEAD", "x/".repeat(120)), "");
    let incomplete = project.scan(Scope::Top).incomplete.unwrap();
    assert!(incomplete.contains("the repository has too many parts"), "{incomplete}");
}

#[test]
fn a_fifo_directory_or_link_in_the_place_of_a_file_does_not_block_a_scan() {
    let files = [
        ".git/HEAD",
        ".git/config",
        ".git/config.worktree",
        ".git/commondir",
        ".git/info/attributes",
        ".git/hooks/pre-commit",
        ".git/objects/info/alternates",
        ".git/rebase-merge/git-rebase-todo",
        ".gitattributes",
        ".gitmodules",
        ".envrc",
        ".vscode/tasks.json",
        "a/.gitattributes",
        "a/.envrc",
        "a/.git/config",
    ];
    let fifos = Project::new();
    let directories = Project::new();
    let links = Project::new();
    let loops = Project::new();
    for file in files {
        fifos.fifo(file);
        directories.write(&format!("{file}/inner"), "");
        links.link(file, "/dev/zero");
        loops.link(file, Path::new(file).file_name().unwrap().to_str().unwrap());
    }
    for project in [&fifos, &directories, &links, &loops] {
        for scope in [Scope::Top, Scope::Whole] {
            assert_eq!(project.scan(scope).incomplete, None);
        }
    }
    assert!(fifos.whole().contains(&".envrc: FIFO".into()));
    for dir in [".git", ".git/hooks", ".git/modules", ".git/worktrees", ".vscode", ".git/info"] {
        for target in [None, Some("."), Some("..")] {
            let project = Project::new();
            match target {
                Some(target) => project.link(dir, target),
                None => project.fifo(dir),
            };
            assert_eq!(project.scan(Scope::Whole).incomplete, None, "{dir}");
        }
    }
}

#[test]
fn cycles_of_links_and_pointers_end() {
    let project = Project::repository();
    project
        .link("a", "b")
        .link("b", "a")
        .link("up", "up/../up/x")
        .write(".git/commondir", ".\n")
        .config("[include] path = config\n[include] path = ../a\n[core] hooksPath = a/b\n[core] attributesFile = up\n")
        .write("c/.git", "gitdir: .git\n")
        .write("d/.git", "gitdir: ../d\n")
        .write("e/HEAD", "")
        .write("e/commondir", "../f")
        .write("f/commondir", "../e");
    let report = project.scan(Scope::Whole);
    assert_eq!(report.incomplete, None);
    assert!(report.findings.len() > 8, "{:#?}", report.findings);
}

#[test]
fn large_files_and_many_findings_make_a_report_incomplete() {
    let project = Project::repository();
    project.config(&format!("[core] pager = x\n{}[core] editor = x\n", "# padding\n".repeat(200_000)));
    let report = project.scan(Scope::Top);
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.incomplete.as_deref(), Some(".git/config is too large to be read to its end"));

    let project = Project::repository();
    let config = (0..60_000).fold(String::new(), |text, n| text + &format!("[alias] a{n}=x\n"));
    project.config(&config).write(".envrc", "");
    let report = project.scan(Scope::Whole);
    assert_eq!(
        (
            report.findings.len(),
            report.incomplete.is_some_and(|why| why.starts_with("there are too many findings"))
        ),
        (MAX_FINDINGS, true)
    );

    let project = Project::repository();
    project
        .config(&(0..500).map(|n| format!("[include] path = ../c{}\n", n % 10)).collect::<Vec<_>>().concat());
    for n in 0..10 {
        project.write(&format!("c{n}"), format!("[include] path = c{}\n", n + 1).repeat(500));
    }
    assert_eq!(
        project.scan(Scope::Top).incomplete.as_deref(),
        Some("there are too many paths in git's configuration")
    );
}

#[test]
fn names_that_are_not_utf_8_are_shown_in_part() {
    let project = Project::new();
    let dir = project.path("").join(OsStr::from_bytes(b"\xff\x1b[31m"));
    fs::create_dir(&dir).unwrap();
    symlink("/etc/\u{202e}", dir.join(OsStr::from_bytes(b"\xfe\n"))).unwrap();
    fs::write(dir.join(".envrc"), "").unwrap();
    let lines = project.whole();
    let escape = "\u{fffd}\u{1b}[31m";
    assert_eq!(
        lines,
        [format!("{escape}/.envrc: file"), format!("{escape}/\u{fffd}\n: link to /etc/\u{202e}")]
    );
}

#[test]
fn a_project_that_is_gone_makes_a_report_incomplete() {
    let report = scan(Path::new("/nonexistent/project"), Outside::default(), Scope::Whole);
    assert!(
        report.findings.is_empty() && report.incomplete.unwrap().starts_with("the project can't be opened")
    );
}

/// An entry of a hostile tree.
#[derive(Debug, Clone)]
enum Thing {
    File(&'static str),
    Link(&'static str),
    Fifo,
    Dir,
}

fn trees() -> impl Strategy<Value = Vec<(Vec<&'static str>, Thing)>> {
    let name = prop::sample::select(vec![
        ".git",
        "config",
        "HEAD",
        "objects",
        "refs",
        "hooks",
        "info",
        "modules",
        "worktrees",
        "commondir",
        "attributes",
        ".vscode",
        "tasks.json",
        ".envrc",
        ".gitattributes",
        ".gitmodules",
        "a",
        "b",
        "node_modules",
        "pre-commit",
    ]);
    let text = prop::sample::select(vec![
        "",
        "gitdir: a\n",
        "gitdir: ../.git",
        "gitdir: /",
        "[core]\nhooksPath=a\n[include] path = ../a/config",
        "* filter=x",
        "..",
        "[core]\nworktree=..\nattributesFile = .envrc\nfsmonitor=./a/../b",
        "a\0b",
        "\u{feff}[include]path=config",
    ]);
    let target =
        prop::sample::select(vec![".", "..", "a", "../a", "/", "../../..", "a/../b", ".git", "b/./../a/b"]);
    let thing = prop_oneof![
        4 => text.prop_map(Thing::File),
        2 => target.prop_map(Thing::Link),
        1 => Just(Thing::Fifo),
        1 => Just(Thing::Dir),
    ];
    prop::collection::vec((prop::collection::vec(name, 1..5), thing), 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 50, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_tree_is_scanned_to_its_end(things in trees()) {
        let project = Project::new();
        for (path, thing) in things {
            // Nothing is made through a link: it would be outside the directory of the test.
            let path = path.join("/");
            let parents: Vec<&Path> = Path::new(&path).ancestors().skip(1).collect();
            if parents.iter().any(|dir| project.path("").join(dir).is_symlink() || project.path("").join(dir).is_file()) {
                continue;
            }
            let at = project.path("").join(&path);
            let _ = fs::create_dir_all(at.parent().unwrap());
            let _ = match thing {
                Thing::File(text) if !at.exists() && !at.is_symlink() => fs::write(&at, text),
                Thing::Link(target) => symlink(target, &at),
                Thing::Fifo => rustix::fs::mknodat(CWD, &at, FileType::Fifo, Mode::RWXU, 0).map_err(Into::into),
                Thing::Dir => fs::create_dir(&at),
                Thing::File(_) => Ok(()),
            };
        }
        let top = project.scan(Scope::Top);
        let whole = project.scan(Scope::Whole);
        prop_assert_eq!(&whole.incomplete, &None);
        for finding in &top.findings {
            prop_assert!(whole.findings.contains(finding));
        }
        prop_assert!(project.record().new_among(&top.findings).is_empty());
    }
}

#[test]
fn a_large_tree_is_scanned_with_each_entry_counted_once() {
    // Creating so many files on a disk takes longer than all other tests.
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let project = Project(memory.unwrap());
    project.init(".git");
    for dir in 0..1000 {
        let dir = project.path(&format!("src/{}/{dir}", dir % 10));
        fs::create_dir_all(&dir).unwrap();
        for file in 0..100 {
            fs::File::create(dir.join(format!("file{file}.rs"))).unwrap();
        }
    }
    // Entries are what costs time, so they are counted; a busy machine may take longer than the usual time limit.
    let scan = |entries| {
        let limits = Limits::new(Duration::from_secs(120), entries, 512 * 1024 * 1024, MAX_FINDINGS);
        scan_within(&project.path(""), Outside::default(), Scope::Whole, limits)
    };
    let report = scan(110_000);
    assert!(report.findings.is_empty() && report.incomplete.is_none(), "{:?}", report.incomplete);
    assert!(scan(90_000).incomplete.is_some(), "the control: there are more entries than that");
}
