//! Ways to hide a file from a scan.

use rustix::time::{ClockId, clock_gettime};

use super::*;

/// Returns the findings in the whole project that are new after `change`.
fn new_after(project: &Project, change: impl FnOnce(&Project)) -> Vec<String> {
    // Files that exist become a second older than those that come.
    std::thread::sleep(Duration::from_millis(1100));
    let record = project.record();
    let new = || {
        let report = scan(&project.path(""), Outside::default(), Scope::Whole);
        assert_eq!(report.incomplete, None);
        let new = record.new_among(&report.findings);
        new.into_iter().map(|finding| format!("{}: {}", finding.path, finding.what)).collect::<Vec<_>>()
    };
    assert_eq!(new(), NOTHING, "the control: no finding is new before");
    change(project);
    new()
}

fn rename(project: &Project, from: &str, to: &str) {
    fs::rename(project.path(from), project.path(to)).unwrap();
}

#[test]
fn an_old_directory_that_is_renamed_is_new() {
    let project = Project::repository();
    project
        .init("a/dot_git")
        .write("a/dot_git/config", "[core] fsmonitor = ./x")
        .write("b/dot_vscode/tasks.json", "")
        .write("c/dot_claude/hooks/x", "");
    let new = new_after(&project, |project| {
        rename(project, "a/dot_git", "a/.git");
        rename(project, "b/dot_vscode", "b/.vscode");
        rename(project, "c/dot_claude", "c/.claude");
    });
    assert_eq!(
        new,
        ["a/.git/config: core.fsmonitor=./x", "b/.vscode/tasks.json: file", "c/.claude/hooks/x: file"]
    );
}

#[test]
fn a_change_behind_an_old_link_is_new() {
    let project = Project::repository();
    project
        .write("v/tasks.json", "1")
        .link(".vscode", "v")
        .write("e", "1")
        .link("deep/.envrc", "../e")
        .write("w/tasks.json", "1")
        .link("deep/.vscode", "../w")
        .program("hook", "1")
        .link(".git/hooks/pre-push", "../../hook");
    let new = new_after(&project, |project| {
        project.write("v/tasks.json", "2").write("e", "2").write("w/tasks.json", "2").program("hook", "2");
    });
    assert_eq!(
        new,
        [
            ".git/hooks/pre-push: hook, link to ../../hook",
            "deep/.envrc: link to ../e",
            "v/tasks.json: file",
            "w/tasks.json: file",
        ]
    );
}

#[test]
fn a_change_far_behind_an_old_link_is_new() {
    let project = Project::repository();
    project
        .write("s/skills/a/b/c/d/old.sh", "1")
        .link(".claude", "s")
        .write("h/deep/er/run", "1")
        .write("husky/old", "")
        .link("husky/more", "../h")
        .link("deep/.husky", "../husky")
        .link("husky/deep/again", "../..");
    let new = new_after(&project, |project| {
        project.write("s/skills/a/b/c/d/new.sh", "1").write("h/deep/er/run", "2");
    });
    assert_eq!(new, ["h/deep/er/run: file", "s/skills/a/b/c/d/new.sh: file"]);
}

#[test]
fn a_link_to_a_directory_that_is_not_looked_at_is_found() {
    let project = Project::repository();
    project
        .init(".git/x/.git")
        .write(".git/x/.git/config", "[core] fsmonitor = ./x")
        .link("sub", ".git/x")
        .init(".git/bare")
        .link("a/b", "../way")
        .link("way", ".git/./bare")
        .write("node_modules/y/.vscode/tasks.json", "")
        .link("deep/pkg", "../node_modules/y")
        .write("lib/site-packages/z/.envrc", "")
        .link("absolute", project.path("lib/site-packages/z").to_str().unwrap())
        .link("all", "node_modules")
        .link("node_modules/sub", "../.git/x");
    let found = project.whole();
    let expected = [
        "a/b: link to ../way".to_owned(),
        format!("absolute: link to {}", project.path("lib/site-packages/z").display()),
        "all: link to node_modules".to_owned(),
        "deep/pkg: link to ../node_modules/y".to_owned(),
        "node_modules/sub: link to ../.git/x".to_owned(),
        "sub: link to .git/x".to_owned(),
        "way: link to .git/./bare".to_owned(),
    ];
    assert_eq!(found, expected);

    // Links to files, to directories that are looked at, and among packages.
    let project = Project::repository();
    project
        .write("node_modules/.bin/tool", "")
        .link("tool", "node_modules/.bin/tool")
        .write("src/a", "")
        .link("same", "src")
        .link("node_modules/own", "../src")
        .write("node_modules/.pnpm/p/node_modules/p/index.js", "")
        .link("node_modules/p", ".pnpm/p/node_modules/p");
    assert_eq!(project.whole(), NOTHING);
}

#[test]
fn a_changed_program_that_an_old_setting_names_is_new() {
    let project = Project::repository();
    project
        .config("[core] pager = sh tool\n[core] editor = ./other -x")
        .write("tool", "1")
        .write("other", "1")
        .init("deep/.git")
        .write("deep/.git/config", "[core] fsmonitor = ./x")
        .write("deep/x", "1");
    let new = new_after(&project, |project| {
        project.write("tool", "2").write("other", "2").write("deep/x", "2");
    });
    assert_eq!(
        new,
        [
            ".git/config: core.editor=./other -x",
            ".git/config: core.pager=sh tool",
            "deep/.git/config: core.fsmonitor=./x",
        ]
    );
}

#[test]
fn repositories_behind_links_and_below_decoys_are_found() {
    let project = Project::repository();
    project
        .write(".git/modules/a/HEAD", "")
        .init(".git/modules/a/b")
        .write(".git/modules/a/b/config", "[core] pager = x")
        .init("elsewhere/c")
        .write("elsewhere/c/config", "[core] editor = x")
        .link(".git/modules/c", "../../elsewhere/c")
        .init("elsewhere/w/modules/d")
        .write("elsewhere/w/modules/d/config", "[core] askPass = x")
        .write("elsewhere/w/commondir", "../..\n")
        .link(".git/worktrees", "../elsewhere");
    let top = project.found(Scope::Top);
    for line in [
        ".git/modules/a/b/config: core.pager=x",
        ".git/modules/c: link to ../../elsewhere/c",
        "elsewhere/c/config: core.editor=x",
        ".git/worktrees: link to ../elsewhere",
        "elsewhere/w/modules/d/config: core.askpass=x",
    ] {
        assert!(top.contains(&line.to_owned()), "{line}: {top:#?}");
    }
    // The directory of all submodules is a link.
    let project = Project::repository();
    project.init("m/a").write("m/a/config", "[core] pager = x").link(".git/modules", "../m");
    let top = project.top();
    assert!(top.contains(&"m/a/config: core.pager=x".into()), "{top:?}");
}

#[test]
fn each_file_in_a_linked_worktrees_directory_is_scanned() {
    let project = Project::repository();
    project
        .write(".git/worktrees/w/commondir", "../..\n")
        .write(".git/worktrees/w/config", "[core] pager = x")
        .write(".git/worktrees/w/config.worktree", "[core] editor = x")
        .init(".git/worktrees/w/modules/s")
        .write(".git/worktrees/w/modules/s/config", "[core] askPass = x")
        .program(".git/worktrees/w/hooks/pre-commit", "")
        .write(".git/worktrees/w/info/attributes", "* filter=evil")
        .write(".git/worktrees/w/rebase-merge/git-rebase-todo", "exec sh\n");
    assert_eq!(
        project.top(),
        [
            ".git/worktrees/w/config: core.pager=x",
            ".git/worktrees/w/config.worktree: core.editor=x",
            ".git/worktrees/w/hooks/pre-commit: executable hook",
            ".git/worktrees/w/info/attributes: * filter=evil",
            ".git/worktrees/w/info/attributes: filter=evil",
            ".git/worktrees/w/modules/s/config: core.askpass=x",
            ".git/worktrees/w/rebase-merge/git-rebase-todo: file",
        ]
    );
}

#[test]
fn a_blank_at_the_end_of_a_path_is_part_of_it() {
    let project = Project::new();
    project
        .init("evil")
        .init("evil ")
        .write("evil /config", "[core] pager = x")
        .write(".git", "gitdir: evil \n");
    assert_eq!(project.top(), [".git: gitdir: evil ", "evil /config: core.pager=x"]);
    let project = Project::repository();
    project
        .init("evil")
        .init("evil ")
        .write("evil /config", "[core] pager = x")
        .write(".git/commondir", "../evil \r\n");
    assert_eq!(project.top(), [".git/commondir: commondir ../evil ", "evil /config: core.pager=x"]);
}

#[test]
fn a_nul_byte_ends_a_path_as_it_does_for_git() {
    let project = Project::new();
    project.init("evil").write("evil/config", "[core] pager = x").write(".git", "gitdir: evil\0x\n");
    assert_eq!(project.top(), [".git: gitdir: evil", "evil/config: core.pager=x"]);
    let project = Project::repository();
    project
        .write("more", "[core] pager = x")
        .config("[include] path = ../more\0x")
        .write(".git/commondir", "../evil\0x")
        .init("evil")
        .program("evil/hooks/pre-push", "");
    assert_eq!(
        project.top(),
        [
            ".git/commondir: commondir ../evil",
            ".git/config: include.path=../more\0x",
            "evil/hooks/pre-push: executable hook",
            "more: core.pager=x",
        ]
    );
}

#[test]
fn old_remotes_and_files_of_other_programs_in_the_repository_are_found() {
    let project = Project::repository();
    project
        .write(".git/remotes/origin", "URL: ext::sh -c x\n")
        .write(".git/branches/b", "https://elsewhere#main\n")
        .write(".git/lazygit.yml", "")
        .write(".git/sl/config", "")
        .write(".git/arc/config", "")
        .write(".git/safe/x", "");
    assert_eq!(
        project.top(),
        [
            ".git/arc/config: file",
            ".git/branches/b: file",
            ".git/lazygit.yml: file",
            ".git/remotes/origin: file",
            ".git/safe: directory",
            ".git/sl/config: file",
        ]
    );
}

#[test]
fn known_names_in_another_case_are_found() {
    let project = Project::new();
    project
        .write(".VSCode/Tasks.json", "")
        .write("Claude.md", "")
        .write("a/.ENVRC", "")
        .link("b/.Vscode", "../c");
    project.write("c/tasks.json", "").write("d/head", "").write("d/Objects/x", "").write("d/REFS/x", "");
    assert_eq!(
        project.whole(),
        [
            ".VSCode/Tasks.json: file",
            "Claude.md: file",
            "a/.ENVRC: file",
            "b/.Vscode: link to ../c",
            "c/tasks.json: file",
            "d: looks like a bare repository",
        ]
    );
}

#[test]
fn known_names_in_letters_that_some_file_systems_take_for_the_same_are_found() {
    let project = Project::new();
    let names =
        [".v\u{17f}code/ta\u{17f}ks.json", "CLAUDE\u{200d}.md", "deep/MI\u{17f}E.toml", ".\u{feff}envrc"];
    for name in names {
        project.write(name, "");
    }
    project.write(".git\u{200c}attributes", "* filter=x\n");
    let found = project.whole();
    for name in names {
        assert!(found.contains(&format!("{name}: file")), "{name}: {found:#?}");
    }
    assert!(found.contains(&".git\u{200c}attributes: filter=x".into()), "{found:#?}");
    assert_eq!(found.len(), 5);
    // The control: other letters make another name.
    let project = Project::new();
    project.write(".v\u{442}code/tasks.json", "").write("CLAÜDE.md", "").write(".envrç", "");
    assert_eq!(project.whole(), NOTHING);
}

#[test]
fn what_is_no_file_at_a_known_name_is_found() {
    let project = Project::repository();
    fs::remove_file(project.path(".git/config")).unwrap();
    project.fifo(".git/config").fifo(".envrc").fifo(".git/info/exclude").fifo("deep/CLAUDE.md");
    let _listener =
        std::os::unix::net::UnixListener::bind(project.path(".git/fsmonitor--daemon.ipc")).unwrap();
    let top = [
        ".envrc: FIFO",
        ".git/config: FIFO",
        ".git/fsmonitor--daemon.ipc: socket",
        ".git/info/exclude: FIFO",
    ];
    assert_eq!(project.top(), top);
    assert_eq!(project.whole(), [&top[..], &["deep/CLAUDE.md: FIFO"]].concat());
}

#[test]
fn a_virtual_environment_with_a_python_of_its_own_is_found() {
    let project = Project::new();
    project.link(".venv/bin/python", "/usr/bin/python3").link(".venv/bin/python3", "python");
    assert_eq!(project.whole(), NOTHING);
    project.program("venv/bin/python3", "").write("venv/bin/activate", "");
    assert_eq!(project.top(), ["venv/bin/activate: file", "venv/bin/python3: file"]);
    for script in [
        "../../own",
        "../../python3",
        "/tmp/python3",
        "/home/me/app/python3",
        "/usr/../tmp/python3",
        "./python3",
    ] {
        let project = Project::repository();
        project.link(".venv/bin/python", script);
        assert_eq!(project.top(), [format!(".venv/bin/python: link to {script}")]);
    }
    let project = Project::repository();
    let inside = project.path("x/python3").display().to_string();
    project.link(".venv/bin/python", &inside);
    assert_eq!(project.top(), [format!(".venv/bin/python: link to {inside}")]);
    let store = "/home/me/.local/share/uv/python/cpython-3.13-linux-x86_64-gnu/bin/python3.13";
    for installed in ["/opt/homebrew/bin/python3", "/root/.pyenv/versions/3.12.1/bin/python3", store] {
        let project = Project::repository();
        project.link(".venv/bin/python", installed);
        assert_eq!(project.top(), [] as [&str; 0], "{installed}");
        // The place may also be a cage's.
        let place = Path::new(installed).parent().unwrap();
        let outside = Outside { home: None, writable: [place.to_owned()].into_iter().collect() };
        assert_eq!(scan(&project.path(""), outside, Scope::Top).findings.len(), 1, "{installed}");
    }
}

/// Returns the time that this thread has had of a processor, which doesn't depend on what else the machine does.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

#[test]
fn a_quick_scan_is_quick_in_any_project() {
    let hostile: [fn(&Project); 6] = [
        |project| {
            let config = (0..60_000).fold(String::new(), |text, n| text + &format!("[alias] a{n}=x y z\n"));
            project.config(&config);
        },
        |project| {
            project.config(&"[a]b=c\n".repeat(140_000));
        },
        |project| {
            for n in 0..20 {
                project.program(&format!(".git/hooks/h{n}"), &"x".repeat(1 << 20));
            }
        },
        |project| {
            for n in 0..15_000 {
                project.write(&format!("f{n}"), "");
            }
        },
        |project| {
            project.config(
                &(0..900)
                    .map(|n| format!("[core] attributesFile = a{}\n", n % 40))
                    .collect::<Vec<_>>()
                    .concat(),
            );
            for n in 0..40 {
                project.write(&format!("a{n}"), "* filter=x\n".repeat(90_000));
            }
        },
        |project| {
            project.write(".git/rebase-merge/git-rebase-todo", "exec sh\n".repeat(130_000));
            for n in 0..3000 {
                project
                    .write(&format!(".git/modules/m{n}/HEAD"), "")
                    .write(&format!(".git/worktrees/w{n}/config"), "");
            }
        },
    ];
    for (which, make) in hostile.iter().enumerate() {
        let project = Project::repository();
        project.write(".envrc", "");
        make(&project);
        let record = project.record();
        let start = processor_time();
        let report = quick_scan(&project.path(""), Outside::default());
        let stopped = report.incomplete.clone();
        let new = record.new_among(&report.findings);
        let took = processor_time().checked_sub(start).unwrap();
        #[expect(clippy::disallowed_macros, reason = "a measurement is worth a look")]
        {
            println!("{which}: {took:?} {stopped:?}, {} new", new.len());
        }
        // The code is not optimized.
        assert!(took < Duration::from_millis(400), "{which}: {took:?}");
        // A file that was not read to its end is not reported as new.
        assert!(record.is_cut() || new.is_empty() || which == 2, "{which}: {} new", new.len());
    }
}

#[test]
fn files_by_which_git_hides_changes_are_found() {
    let project = Project::repository();
    project
        .write(".git/info/exclude", "# comment\n\n  # another\n")
        .write(".git/packed-refs", "# pack-refs\n1 refs/heads/main\n");
    assert_eq!(project.top(), [] as [&str; 0], "the control: as git makes them");
    project
        .write(".git/info/exclude", "# comment\nevil.sh\n*.log\n")
        .write(".git/info/sparse-checkout", "/*\n")
        .write(".git/info/attributes", "# x\n* -diff\n")
        .write(".git/info/grafts", "1 2\n")
        .write(".git/shallow", "1\n")
        .write(".git/refs/replace/0123", "4567\n")
        .write(".git/packed-refs", "# pack-refs\n1 refs/heads/main\n2 refs/replace/3\n");
    assert_eq!(
        project.top(),
        [
            ".git/info/attributes: * -diff",
            ".git/info/exclude: evil.sh and 1 more",
            ".git/info/grafts: file",
            ".git/info/sparse-checkout: file",
            ".git/packed-refs: 2 refs/replace/3",
            ".git/refs/replace/0123: file",
            ".git/shallow: file",
        ]
    );
    project.write(".git/index", "DIRC broken");
    assert_eq!(project.scan(Scope::Top).incomplete.unwrap(), ".git/index is not an index that cage can read");
}
