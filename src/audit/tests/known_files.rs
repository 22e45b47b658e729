//! Files that are found by name, and files that are found by type.

use super::*;

#[test]
fn attributes_and_submodules_are_read() {
    let project = Project::new();
    project
        .write(".gitattributes", "*.x filter=lfs diff=lfs merge=lfs -text\n")
        .write("deep/.gitattributes", "* diff=evil\n")
        .write(
            ".gitmodules",
            "[submodule \"a\"]\nupdate = !x\nurl = ext::sh\n[submodule \"b\"]\nurl = -u\npath = -p\n",
        );
    assert_eq!(
        project.top(),
        [
            ".gitattributes: diff=lfs",
            ".gitattributes: filter=lfs",
            ".gitattributes: merge=lfs",
            ".gitmodules: submodule.a.update=!x",
            ".gitmodules: submodule.a.url=ext::sh",
            ".gitmodules: submodule.b.path=-p",
            ".gitmodules: submodule.b.url=-u",
        ]
    );
    assert!(project.whole().contains(&"deep/.gitattributes: diff=evil".into()));
}

#[test]
fn known_files_are_found_at_the_top_and_below() {
    let names = [
        ".envrc",
        "mise.toml",
        ".tool-versions",
        "rust-toolchain.toml",
        ".cargo/config.toml",
        ".npmrc",
        ".yarn/releases/yarn.cjs",
        ".mvn/wrapper/maven-wrapper.jar",
        "gradle/wrapper/gradle-wrapper.jar",
        ".pre-commit-config.yaml",
        ".husky/pre-commit",
        "lefthook.yml",
        ".hg/hgrc",
        ".vscode/tasks.json",
        ".vscode/settings.json",
        "x.code-workspace",
        ".devcontainer/devcontainer.json",
        ".devcontainer/a/devcontainer.json",
        ".idea/runConfigurations/x.xml",
        ".zed/tasks.json",
        ".exrc",
        ".nvim.lua",
        ".dir-locals.el",
        ".claude/settings.json",
        ".claude/settings.local.json",
        ".mcp.json",
        ".cursor/mcp.json",
        "CLAUDE.md",
        "AGENTS.md",
        ".codex/config.toml",
        ".gemini/settings.json",
        ".cage.env",
        ".claude/skills/a/SKILL.md",
    ];
    let project = Project::new();
    for name in names {
        project
            .write(name, "")
            .write(&format!("a/b/{name}"), "")
            .write(&format!("node_modules/a/{name}"), "");
    }
    project.write("src/tasks.json", "").write("README.md", "").write(".vscode/other", "");
    let sorted = |prefix: &[&str]| {
        let mut lines: Vec<String> = prefix
            .iter()
            .flat_map(|prefix| names.iter().map(move |name| format!("{prefix}{name}: file")))
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(project.top(), sorted(&[""]));
    assert_eq!(project.whole(), sorted(&["", "a/b/"]));
    let project = Project::new();
    project
        .link(".envrc", "/x")
        .link(".vscode", "v")
        .write("v/tasks.json", "")
        .fifo(".npmrc")
        .write("CLAUDE.md/x", "");
    assert_eq!(project.top(), [".envrc: link to /x", ".vscode: link to v"]);
}

#[test]
fn privileged_programs_special_files_and_links_that_lead_out_are_found() {
    let project = Project::new();
    project
        .program("a/su", "")
        .mode("a/su", 0o4755)
        .program(".git/su", "")
        .mode(".git/su", 0o2755)
        .write("a/harmless", "")
        .mode("a/harmless", 0o4644)
        .fifo("a/fifo")
        .link("abs", "/etc/passwd")
        .link("a/up", "../../x")
        .link("a/in", "../x")
        .link("a/self", project.path("x").to_str().unwrap())
        .link("a/down", "../deep/..")
        .link("gone", "/nonexistent")
        .write("deep/er/x", "")
        .link("deep/top", "er/../..")
        .link("sly", "deep/top/../x");
    let _socket = std::os::unix::net::UnixListener::bind(project.path("a/socket")).unwrap();
    let expected = [
        ".git/su: setgid program",
        "a/fifo: FIFO",
        "a/socket: socket",
        "a/su: setuid program",
        "a/up: link to ../../x",
        "abs: link to /etc/passwd",
        "gone: link to /nonexistent",
        "sly: link to deep/top/../x",
    ];
    assert_eq!(project.whole(), expected);
}

#[cfg(target_os = "linux")]
#[test]
fn capabilities_of_a_file_are_found() {
    let project = Project::new();
    project.program("program", "");
    // cap_net_raw, as `setcap` writes it.
    let mut capability = [0_u8; 20];
    (capability[0], capability[3], capability[5]) = (1, 2, 0x20);
    let path = project.path("program");
    let set =
        rustix::fs::setxattr(&path, "security.capability", &capability, rustix::fs::XattrFlags::empty());
    // Only root may set it, and not on every file system.
    if set.is_ok() {
        assert_eq!(project.whole(), ["program: program with capabilities"]);
    }
}
