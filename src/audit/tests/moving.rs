//! A hundred hostile trees in which another program holds a lease on a file, swaps files and directories during the scan, and
//! hides changes in git's index.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::unreadable::lease::Lease;
use super::*;

/// Files to find, with the finding.
const PLANTED: [(&str, &str, &str); 9] = [
    (".git/config", "[core]\nfsmonitor = ./x\n", "core.fsmonitor=./x"),
    (".git/info/exclude", "evil.sh\n", "evil.sh"),
    (".git/hooks/post-checkout", "#!/bin/sh\n", "executable hook"),
    (".gitattributes", "* filter=evil\n", "filter=evil"),
    (".envrc", "x", "file"),
    (".vscode/tasks.json", "{}", "file"),
    (".claude/skills/a/SKILL.md", "x", "file"),
    ("deep/er/.git/config", "[core]\npager = ./y\n", "core.pager=./y"),
    ("deep/er/conftest.py", "x", "file"),
];

/// Directories that the program swaps, apart from each of the files.
const DIRECTORIES: [&str; 5] = [".git/hooks", ".vscode", ".claude/skills", "deep", "deep/er/.git"];

/// Returns an index in which git hides changes of two files.
#[expect(clippy::disallowed_methods, reason = "git makes the index")]
fn hiding_index() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    for words in [
        "init -q",
        "update-index --add --cacheinfo 100644,e69de29bb2d1d6434b8b29ae775ad8c2e48c5391,a",
        "update-index --add --cacheinfo 100644,e69de29bb2d1d6434b8b29ae775ad8c2e48c5391,b",
        "update-index --assume-unchanged a",
        "update-index --skip-worktree b",
    ] {
        let git = Command::new("git").current_dir(dir.path()).args(words.split(' ')).status();
        assert!(git.unwrap().success(), "{words}");
    }
    fs::read(dir.path().join(".git/index")).unwrap()
}

/// Makes a directory outside of the project that looks like any of [`DIRECTORIES`], with findings that tell where they are from.
fn outside() -> Project {
    let outside = Project::new();
    outside.init(".").write("escaped.code-workspace", "");
    for (path, text, _) in PLANTED {
        let text = format!("{text}[core]\neditor = ./escaped\n* diff=escaped\n");
        for (at, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let start = if at == path.len() { 0 } else { at + 1 };
            outside.program(&path[start..], &text);
        }
    }
    outside
}

/// Puts something else in the place of an entry, and then the entry back.
fn swap(path: &Path, outside: &Path, kind: usize) {
    let aside = outside.join("aside");
    fs::rename(path, &aside).unwrap();
    match kind {
        0 => symlink(outside, path).unwrap(),
        1 => symlink(outside.join(path.file_name().unwrap()), path).unwrap(),
        2 => rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap(),
        3 => fs::write(path, "\0").unwrap(),
        _ => fs::create_dir(path).unwrap(),
    }
    thread::yield_now();
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
    fs::rename(&aside, path).unwrap();
}

#[test]
fn what_stays_in_its_place_is_found_whatever_else_happens() {
    let index = hiding_index();
    let (mut disturbed, mut hidden) = (0, 0);
    for tree in 0..100 {
        let (project, outside) = (Project::repository(), outside());
        project.init("deep/er/.git").write(".git/index", &index);
        for (path, text, _) in PLANTED {
            project.program(path, text);
        }
        let places: Vec<&str> = PLANTED.iter().map(|(path, ..)| *path).chain(DIRECTORIES).collect();
        // Each combination of a place and a kind comes up. After that, directories become links, which is the worst.
        let combinations = places.len() * 5;
        let directory = DIRECTORIES[tree % DIRECTORIES.len()];
        let (swapped, kind) =
            if tree < combinations { (places[tree % places.len()], tree % 5) } else { (directory, 0) };
        let leased = PLANTED.map(|(path, ..)| path)[tree * 7 % PLANTED.len()];
        let (leased, end) = (Some(leased).filter(|path| !path.starts_with(swapped)), AtomicBool::new(false));
        let lease = leased.map(|path| Lease::on(project.path(path)));
        let report = thread::scope(|scope| {
            scope.spawn(|| {
                while !end.load(Ordering::Relaxed) {
                    swap(&project.path(swapped), &outside.path(""), kind);
                }
            });
            let reports = [(); 5].map(|()| scan(&project.path(""), Outside::default(), Scope::Whole));
            end.store(true, Ordering::Relaxed);
            reports
        });
        let line = |finding: &Finding| format!("{}: {}", finding.path, finding.what);
        let all = PLANTED.map(|(path, _, what)| format!("{path}: {what}"));
        for report in report {
            let found: Vec<String> = report.findings.iter().map(line).collect();
            let story = format!(
                "tree {tree}, {swapped} swapped {kind}, {leased:?}: {:?} {found:#?}",
                report.incomplete
            );
            assert!(!found.iter().any(|line| line.contains("escaped")), "{story}");
            for (line, (path, ..)) in all.iter().zip(PLANTED) {
                let (is_swapped, is_leased) = (path.starts_with(swapped), leased == Some(path));
                assert!(
                    is_swapped || found.contains(line) || is_leased && report.incomplete.is_some(),
                    "{line}: {story}"
                );
                hidden += usize::from(is_leased && !found.contains(line));
                disturbed += usize::from(is_swapped && !found.contains(line));
            }
            for what in ["marked assume-unchanged", "marked skip-worktree"] {
                assert!(found.iter().any(|line| line.contains(what)), "{what}: {story}");
            }
        }
        drop(lease);
        // The control: without lease and watcher everything is found, and nothing else was moved.
        let found = project.whole();
        assert!(all.iter().all(|line| found.contains(line)), "tree {tree}: {found:#?}");
    }
    assert!(disturbed > 20 && hidden > 20, "the control: {disturbed} disturbed, {hidden} hidden");
}
