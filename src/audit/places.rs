//! Files that editors, shells, tools and agents run or trust without being told to.

use std::collections::HashMap;

/// The name of a file with the directories that it must be in, and what the host does with it. `*` is any part of one name.
const PLACES: &[(&str, &str)] = &[
    // Shells, and what picks the tools that they run.
    (".envrc", "direnv runs it when you enter the directory, once you allow it"),
    (
        ".direnv/* .direnv/*/bin/*",
        "direnv runs it, or puts it before your programs, when you enter the directory",
    ),
    ("flake.nix shell.nix devenv.nix devenv.yaml devbox.json", NIX),
    (
        ".env",
        "shells with a dotenv plugin run it when you enter the directory; docker compose and agents read it",
    ),
    ("mise.toml mise.*.toml .mise.toml .mise.*.toml .miserc.toml", MISE),
    (".mise/config.toml .mise/config.*.toml .mise/conf.d/* mise/config.toml mise/conf.d/*", MISE),
    (".config/mise.toml .config/mise/config.toml .config/mise/conf.d/*", MISE),
    (".tool-versions", "asdf and mise choose programs by it"),
    (
        ".nvmrc .node-version .python-version .ruby-version .java-version .sdkmanrc",
        "managers of versions choose programs by it",
    ),
    (".rvmrc", "rvm runs it when you enter the directory"),
    (
        ".autoenv.zsh .autoenv .autoenv.leave .autoenv_leave.zsh",
        "a shell with autoenv runs it when you enter the directory",
    ),
    (".tmux-sessionizer", "tmux-sessionizer runs it when it opens the directory"),
    (".venv/bin/python* venv/bin/python*", "editors run it when they open the folder"),
    (".venv/bin/activate venv/bin/activate", "editors and shells run it when they open a terminal here"),
    // Tools that are run by name.
    ("rust-toolchain rust-toolchain.toml", "rustup runs that toolchain for every cargo command"),
    (".cargo/config .cargo/config.toml", "cargo runs the linkers, wrappers and aliases in it"),
    (
        ".npmrc .yarnrc .yarnrc.yml .pnpmfile.cjs .pnpmfile.mjs pnpm-workspace.yaml bunfig.toml .corepack.env",
        NPM,
    ),
    (".yarn/releases/* .yarn/plugins/* .pnp.cjs .pnp.loader.mjs", "yarn runs it for every yarn command"),
    (".mvn/* .mvn/wrapper/*", "mvn runs what it says"),
    ("gradle.properties gradle/wrapper/*", "gradle and gradlew run it, or what it says"),
    (".sbtopts .jvmopts", "sbt runs with it"),
    (
        ".bazelrc .bazelversion .bazeliskrc tools/bazel .buckconfig pants.toml",
        "bazel, buck or pants runs it, or what it says",
    ),
    (".bundle/config", "bundle takes what to build and from where from it"),
    ("uv.toml", "uv takes packages from where it says"),
    ("GNUmakefile", "make reads it instead of a Makefile"),
    (
        "compose.override.yaml compose.override.yml docker-compose.override.yaml docker-compose.override.yml",
        COMPOSE,
    ),
    (
        ".ddev/config.yaml .ddev/config.*.yaml .ddev/commands/host/*",
        "ddev runs the hooks and commands in it on this machine",
    ),
    ("ansible.cfg", "ansible runs what it says, whatever it is to do"),
    (".Rprofile .Renviron .RData", "R runs it when it starts here"),
    (".gdbinit .lldbinit .pdbrc .irbrc .pryrc .ghci .ocamlinit .iex.exs .octaverc startup.m", CONSOLE),
    ("jupyter_*_config.py jupyter_*_config.json", "Jupyter runs it when it starts here"),
    (".ctags .ctags.d/*", "ctags, which editors run by themselves, takes it for options"),
    // Hooks that a manager of hooks runs.
    (
        ".pre-commit-config.yaml .pre-commit-config.yml prek.toml",
        "pre-commit runs what it says on git commit",
    ),
    (".husky/*", "husky runs it on git commit and push"),
    (
        "lefthook.yml lefthook.yaml lefthook.toml lefthook.json .lefthook.yml .lefthook.yaml .lefthook.toml .lefthook.json",
        LEFTHOOK,
    ),
    ("lefthook-local.* .lefthook-local.* .config/lefthook.*", LEFTHOOK),
    (".overcommit.yml .lintstagedrc* lint-staged.config.* captainhook.json grumphp.yml", ON_COMMIT),
    (".commitlintrc* commitlint.config.*", ON_COMMIT),
    // Other version control.
    (
        ".hg/hgrc .hg/hgrc-not-shared .hg/sharedpath .sl/config",
        "hg or sl runs the hooks and extensions in it",
    ),
    (".jj/repo .jj/repo/config.toml .jj/repo/config.toml.d/*", "jj runs the commands in it"),
    (".pijul/config", "pijul runs the hooks in it"),
    (".p4config .arcconfig", "p4 or arc runs what it says"),
    (".lfsconfig", "git-lfs takes its server from it"),
    (".gitreview", "git review pushes where it says"),
    (".lazygit.yml", "lazygit runs the commands in it"),
    // Editors.
    (".vscode/tasks.json", "VS Code can run its tasks when it opens the folder"),
    (".vscode/settings.json", "VS Code runs the programs that it names"),
    (".vscode/launch.json", "VS Code runs it on F5"),
    (".vscode/extensions.json", "VS Code offers to install the extensions in it"),
    (".vscode/mcp.json", "VS Code starts the servers in it"),
    (".vscode/*.json", "VS Code or an extension of it runs the programs that it names"),
    ("*.code-workspace", "VS Code can run its tasks when it opens the workspace"),
    (
        ".devcontainer.json .devcontainer/devcontainer.json .devcontainer/*/devcontainer.json",
        "editors run its initializeCommand on this machine",
    ),
    (".idea/runConfigurations/* .run/*.run.xml", "a JetBrains IDE offers to run it"),
    (
        ".idea/watcherTasks.xml .idea/startup.xml .idea/externalDependencies.xml .idea/gradle.xml .idea/misc.xml .idea/vcs.xml",
        "a JetBrains IDE runs it, or what it names, when files change or the project opens",
    ),
    (".externalToolBuilders/*", "Eclipse runs it when files change"),
    (".zed/settings.json .zed/tasks.json .zed/debug.json", "Zed runs the programs that it names"),
    (".fleet/run.json .fleet/settings.json", "Fleet runs the programs that it names"),
    (".lapce/settings.toml .lapce/run.toml", "Lapce runs the programs that it names"),
    (".helix/config.toml .helix/languages.toml", "Helix runs the programs that it names"),
    (".kateproject", "Kate runs the programs that it names"),
    (
        ".exrc .vimrc .nvimrc .nvim.lua .vimrc.local .lvimrc .local.vimrc _vimrc_local.vim .vim/coc-settings.json Session.vim",
        "vim or Neovim runs it when it starts here, if it is set up to",
    ),
    (".vimspector.json .projections.json .ycm_extra_conf.py", "a plugin of vim runs it, or what it says"),
    (".dir-locals.el .dir-locals-2.el", "Emacs evaluates it when it opens a file here"),
    ("*.sublime-project", "Sublime Text runs its build systems"),
    // What editors' helpers run as soon as a file is open.
    (".luarc.json .luarc.jsonc rust-analyzer.toml .rust-analyzer.toml", HELPER),
    (".eslintrc* eslint.config.* .prettierrc* prettier.config.* .stylelintrc* stylelint.config.*", HELPER),
    (
        ".pylintrc pylintrc .flake8 mypy.ini .mypy.ini .rubocop.yml .formatter.exs .credo.exs .golangci.*",
        HELPER,
    ),
    // Agents.
    (".claude/settings.json .claude/settings.local.json .claude/hooks/*", "Claude Code runs its hooks"),
    (".mcp.json .cursor/mcp.json .roo/mcp.json", "an agent starts the servers in it"),
    (".cursor/hooks.json .cursor/environment.json", "Cursor runs what it says"),
    (".gemini/settings.json .gemini/.env", "Gemini CLI starts the servers in it"),
    (".codex/config.toml .codex/hooks.json .codex/rules/*", "Codex runs what it says"),
    (
        "opencode.json opencode.jsonc .opencode/plugin/* .opencode/plugins/* .opencode/tool/*",
        "opencode runs what it says",
    ),
    ("crush.json .crush.json .aider.conf.yml .continuerc.json", "an agent runs what it says"),
    (".github/hooks/*", "Copilot runs the hooks in it"),
    (".clinerules/hooks/* .openhands/* .kiro/hooks/* .pi/extensions/*", "an agent runs it"),
    (
        "CLAUDE.md CLAUDE.local.md AGENTS.md AGENT.md AGENTS.override.md GEMINI.md QWEN.md CRUSH.md WARP.md .goosehints",
        TOLD,
    ),
    (".cursorrules .windsurfrules .clinerules .roomodes .kilocodemodes .rules .augment-guidelines", TOLD),
    (
        ".github/copilot-instructions.md .github/instructions/* .github/prompts/* .github/agents/* .github/chatmodes/*",
        TOLD,
    ),
    (".claude/* .claude/*/* .claude/skills/*/* .agents/*/* .agents/skills/*/*", TOLD),
    (".cursor/* .cursor/*/* .windsurf/*/* .clinerules/* .roo/* .roo/*/* .kilocode/* .kilocode/*/*", TOLD),
    (
        ".codex/* .codex/*/* .gemini/* .gemini/*/* .opencode/* .opencode/*/* .qwen/* .continue/* .continue/*/*",
        TOLD,
    ),
    (
        ".amp/* .goose/* .junie/* .kiro/*/* .trae/* .trae/*/* .augment/*/* .factory/* .factory/*/* .pi/* .pi/*/*",
        TOLD,
    ),
    // cage.
    (".cage.env", "cage gives its variables to the next cage"),
];

const NIX: &str = "direnv and devenv run it when you enter the directory, where .envrc says so";
const NPM: &str = "npm, yarn, pnpm, bun or corepack runs or trusts what it says";
const COMPOSE: &str = "docker compose takes it, too, with what it mounts of this machine";
const CONSOLE: &str = "a debugger or console runs it when it starts here";
const ON_COMMIT: &str = "runs on git commit, by the tool of that name";
const HELPER: &str = "an editor's helper runs it, or what it names, when a file here is open";
const MISE: &str = "mise chooses programs by it, and runs its hooks";
const LEFTHOOK: &str = "lefthook runs what it says on git commit and push";
const TOLD: &str = "an agent on this machine does what it says";

/// Directories full of other people's files, none of which is opened as a project by itself.
const DEPENDENCIES: &[&[u8]] = &[b"node_modules", b"site-packages"];

/// No more names than these follow one that has no `*`, with that one.
const LONGEST: usize = 3;

/// A name, or what one begins and ends with.
#[derive(Debug)]
struct Name {
    start: &'static [u8],
    end: Option<&'static [u8]>,
}

/// The names of a pattern, and what it says.
type Row = (Vec<Name>, &'static str);

/// The table, ready to be looked things up in.
#[derive(Debug, Default)]
pub struct Places {
    /// By the last name that has no `*`, in lower case, and how many come after it.
    named: HashMap<(usize, String), Vec<Row>>,
    /// Those that have none.
    others: Vec<Row>,
}

impl Places {
    /// The table.
    pub fn new() -> Self {
        let mut places = Self::default();
        for (names, trigger) in PLACES {
            for pattern in names.split(' ') {
                let pattern: Vec<_> = pattern.split('/').collect();
                let named = pattern.iter().rev().enumerate().find(|(_, name)| !name.contains('*'));
                let rows = match named {
                    Some((after, name)) => {
                        places.named.entry((after, name.to_ascii_lowercase())).or_default()
                    }
                    None => &mut places.others,
                };
                rows.push((pattern.into_iter().map(Name::new).collect(), *trigger));
            }
        }
        places
    }

    /// What the host does with the file of this name in the directory of these names, and how many of those it takes for that.
    pub fn trigger(&self, dirs: &[&[u8]], name: &[u8]) -> Option<(&'static str, usize)> {
        let fits = |pattern: &[Name]| {
            let path = dirs.iter().chain([&name]);
            dirs.len() + 1 >= pattern.len()
                && path.rev().zip(pattern.iter().rev()).all(|(name, pattern)| pattern.fits(name))
        };
        let named = [name].into_iter().chain(dirs.iter().rev().copied()).take(LONGEST).enumerate();
        let named = named.filter_map(|(after, name)| {
            let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
            self.named.get(&(after, name))
        });
        let mut rows = named.flatten().chain(&self.others);
        let (pattern, trigger) = rows.find(|(pattern, _)| fits(pattern))?;
        (!dirs.iter().any(|name| DEPENDENCIES.contains(name))).then_some((trigger, pattern.len() - 1))
    }

    /// Is the directory of this name in those one that a file of the table can be in? `at_the_top`: with all of them below the
    /// project, or wherever.
    pub fn leads_on(&self, dirs: &[&[u8]], name: &[u8], at_the_top: bool) -> bool {
        let path: Vec<&[u8]> = dirs.iter().copied().chain([name]).collect();
        let leads = |pattern: &[Name]| {
            let least = if at_the_top { path.len() } else { 1 };
            (least..=path.len()).any(|count| {
                let end = &path[path.len() - count..];
                pattern.len() > count && end.iter().zip(pattern).all(|(name, pattern)| pattern.fits(name))
            })
        };
        let mut rows = self.named.values().flatten().chain(&self.others);
        rows.any(|(pattern, _)| leads(pattern))
    }
}

impl Name {
    /// One with at most one `*`.
    fn new(pattern: &'static str) -> Self {
        match pattern.split_once('*') {
            None => Self { start: pattern.as_bytes(), end: None },
            Some((start, end)) => Self { start: start.as_bytes(), end: Some(end.as_bytes()) },
        }
    }

    /// Is it this one? There are systems where `.VSCode` is `.vscode`.
    fn fits(&self, name: &[u8]) -> bool {
        let Some(end) = self.end else { return self.start.eq_ignore_ascii_case(name) };
        let begins =
            |start: &[u8]| name.get(..start.len()).is_some_and(|part| part.eq_ignore_ascii_case(start));
        let ends = || name[name.len() - end.len()..].eq_ignore_ascii_case(end);
        name.len() >= self.start.len() + end.len() && begins(self.start) && ends()
    }
}
