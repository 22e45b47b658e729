//! Files that editors, shells, tools and agents run or trust without being told to.

use std::collections::HashMap;

/// The name of a file with the directories that it must be in, and what the host does with it. `*` is any part of one name.
const PLACES: &[(&str, &str)] = &[
    // Shells, and what picks the tools that they run.
    (".envrc", "direnv runs it when you enter the directory, once you allow it"),
    ("mise.toml mise.local.toml .mise.toml .mise.local.toml", MISE),
    (".mise/config.toml mise/config.toml .config/mise.toml .config/mise/config.toml", MISE),
    (".tool-versions", "asdf and mise choose programs by it"),
    (".autoenv.zsh .autoenv .autoenv.leave", "a shell with autoenv runs it when you enter the directory"),
    ("rust-toolchain rust-toolchain.toml", "rustup runs that toolchain for every cargo command"),
    (".cargo/config .cargo/config.toml", "cargo runs the linkers, wrappers and aliases in it"),
    (
        ".npmrc .yarnrc .yarnrc.yml .pnpmfile.cjs bunfig.toml",
        "npm, yarn, pnpm or bun runs or trusts what it says",
    ),
    (".yarn/releases/* .yarn/plugins/*", "yarn runs it for every yarn command"),
    (".mvn/jvm.config .mvn/maven.config .mvn/extensions.xml .mvn/wrapper/*", "mvn runs what it says"),
    ("gradle/wrapper/*", "gradlew runs it"),
    (".Rprofile .Renviron", "R runs it when it starts here"),
    (".gdbinit .lldbinit .pdbrc .irbrc .pryrc", "a debugger or console runs it when it starts here"),
    // Hooks that a manager of hooks runs.
    (".pre-commit-config.yaml .pre-commit-config.yml", "pre-commit runs what it says on git commit"),
    (".husky/*", "husky runs it on git commit and push"),
    ("lefthook.yml lefthook.yaml lefthook.toml .lefthook.yml .lefthook.yaml", LEFTHOOK),
    ("lefthook-local.yml lefthook-local.yaml .lefthook-local.yml", LEFTHOOK),
    (".overcommit.yml .lintstagedrc .lintstagedrc.json", "runs on git commit, by the tool of that name"),
    // Other version control.
    (".hg/hgrc .hg/hgrc-not-shared", "hg runs the hooks and extensions in it"),
    (".jj/repo/config.toml .jj/repo/config.toml.d/*", "jj runs the commands in it"),
    (".lfsconfig", "git-lfs takes its server from it"),
    // Editors.
    (".vscode/tasks.json", "VS Code can run its tasks when it opens the folder"),
    (".vscode/settings.json", "VS Code runs the programs that it names"),
    (".vscode/launch.json", "VS Code runs it on F5"),
    (".vscode/extensions.json", "VS Code offers to install the extensions in it"),
    (".vscode/mcp.json", "VS Code starts the servers in it"),
    ("*.code-workspace", "VS Code can run its tasks when it opens the workspace"),
    (
        ".devcontainer.json .devcontainer/devcontainer.json .devcontainer/*/devcontainer.json",
        "editors run its initializeCommand on this machine",
    ),
    (".idea/runConfigurations/* .run/*.run.xml", "a JetBrains IDE offers to run it"),
    (
        ".idea/watcherTasks.xml .idea/startup.xml",
        "a JetBrains IDE runs it when files change or the project opens",
    ),
    (".zed/settings.json .zed/tasks.json .zed/debug.json", "Zed runs the programs that it names"),
    (".fleet/run.json .fleet/settings.json", "Fleet runs the programs that it names"),
    (".helix/config.toml .helix/languages.toml", "Helix runs the programs that it names"),
    (
        ".exrc .vimrc .nvimrc .nvim.lua .vimrc.local .lvimrc .vim/coc-settings.json",
        "vim or Neovim runs it when it starts here, if it is set up to",
    ),
    (".dir-locals.el .dir-locals-2.el", "Emacs evaluates it when it opens a file here"),
    ("*.sublime-project", "Sublime Text runs its build systems"),
    // Agents.
    (".claude/settings.json .claude/settings.local.json .claude/hooks/*", "Claude Code runs its hooks"),
    (".mcp.json .cursor/mcp.json .roo/mcp.json", "an agent starts the servers in it"),
    (".cursor/hooks.json .cursor/environment.json", "Cursor runs what it says"),
    (".gemini/settings.json .gemini/.env", "Gemini CLI starts the servers in it"),
    (".codex/config.toml .codex/hooks.json", "Codex runs what it says"),
    ("opencode.json opencode.jsonc .opencode/plugin/* .opencode/plugins/*", "opencode runs what it says"),
    (".aider.conf.yml", "aider runs the commands in it"),
    (".claude/CLAUDE.md CLAUDE.md CLAUDE.local.md AGENTS.md AGENTS.override.md GEMINI.md", TOLD),
    (".claude/commands/* .claude/agents/* .claude/skills/*/SKILL.md", TOLD),
    (".cursor/rules/* .cursorrules .windsurfrules .windsurf/rules/* .clinerules", TOLD),
    (".github/copilot-instructions.md .github/instructions/*", TOLD),
    // cage.
    (".cage.env", "cage gives its variables to the next cage"),
];

const MISE: &str = "mise chooses programs by it, and runs its hooks";
const LEFTHOOK: &str = "lefthook runs what it says on git commit and push";
const TOLD: &str = "an agent on this machine does what it says";

/// Directories full of other people's files, none of which is opened as a project by itself.
const DEPENDENCIES: &[&[u8]] = &[b"node_modules", b"site-packages"];

/// The names of a pattern, and what it says.
type Row = (Vec<&'static [u8]>, &'static str);

/// The table, ready to be looked things up in.
#[derive(Debug, Default)]
pub struct Places {
    /// By the name of the file.
    named: HashMap<&'static [u8], Vec<Row>>,
    /// Those that don't have one.
    others: Vec<Row>,
}

impl Places {
    /// The table.
    pub fn new() -> Self {
        let mut places = Self::default();
        for (names, trigger) in PLACES {
            for pattern in names.split(' ') {
                let pattern: Vec<_> = pattern.as_bytes().split(|c| *c == b'/').collect();
                let name = pattern.last().copied().unwrap_or_default();
                let rows = if name.contains(&b'*') {
                    &mut places.others
                } else {
                    places.named.entry(name).or_default()
                };
                rows.push((pattern, *trigger));
            }
        }
        places
    }

    /// What the host does with the file of this name in the directory of these names.
    pub fn trigger(&self, dirs: &[&[u8]], name: &[u8]) -> Option<&'static str> {
        let fits = |pattern: &[&[u8]]| {
            let path = dirs.iter().chain([&name]);
            dirs.len() + 1 >= pattern.len()
                && path.rev().zip(pattern.iter().rev()).all(|(name, pattern)| matches(pattern, name))
        };
        let rows = self.named.get(name).into_iter().flatten().chain(&self.others);
        let row = rows.into_iter().find(|(pattern, _)| fits(pattern))?;
        (!dirs.iter().any(|name| DEPENDENCIES.contains(name))).then_some(row.1)
    }

    /// Is the directory of this name in those, all below the project, one that a file of the table can be in?
    pub fn leads_on(&self, dirs: &[&[u8]], name: &[u8]) -> bool {
        let leads = |pattern: &[&[u8]]| {
            let path = dirs.iter().chain([&name]);
            pattern.len() > dirs.len() + 1 && path.zip(pattern).all(|(name, pattern)| matches(pattern, name))
        };
        self.named.values().flatten().chain(&self.others).any(|(pattern, _)| leads(pattern))
    }
}

/// Does a name fit a pattern with at most one `*`?
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.iter().position(|c| *c == b'*') {
        None => pattern == name,
        Some(star) => {
            let (start, end) = (&pattern[..star], &pattern[star + 1..]);
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    }
}
