//! The table of files that editors, shells, tools and agents run or trust because of their name.

/// Names of files, with the directories that they must be in, and what the host does with them. A `*` stands for any part
/// of one name.
pub const FILES: &[(&str, &str)] = &[
    // Shells, and programs that choose the tools of a shell.
    (".envrc", "direnv runs it when you enter the directory, once you allow it"),
    (".direnv/* .direnv/*/bin/*", "direnv runs it or puts it first in PATH when you enter the directory"),
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
        "version managers choose programs by it",
    ),
    (".rvmrc", "rvm runs it when you enter the directory"),
    (
        ".autoenv.zsh .autoenv .autoenv.leave .autoenv_leave.zsh",
        "a shell with autoenv runs it when you enter the directory",
    ),
    (".tmux-sessionizer", "tmux-sessionizer runs it when it opens the directory"),
    (".venv/bin/python* venv/bin/python*", "editors run it when they open the folder"),
    (
        ".venv/bin/activate venv/bin/activate",
        "editors and shells run it when they open a terminal in the project",
    ),
    // Tools that people run by name.
    ("rust-toolchain rust-toolchain.toml", "rustup runs that toolchain for every cargo command"),
    (".cargo/config .cargo/config.toml", "cargo runs the linkers, wrappers and aliases in it"),
    (
        ".npmrc .yarnrc .yarnrc.yml .pnpmfile.cjs .pnpmfile.mjs pnpm-workspace.yaml bunfig.toml .corepack.env",
        NPM,
    ),
    (".yarn/releases/* .yarn/plugins/* .pnp.cjs .pnp.loader.mjs", "yarn runs it for every yarn command"),
    (".mvn/* .mvn/wrapper/*", "mvn takes options and commands from it"),
    ("gradle.properties gradle/wrapper/*", "gradle and gradlew run it or take options from it"),
    (".sbtopts .jvmopts", "sbt takes options from it"),
    (
        ".bazelrc .bazelversion .bazeliskrc tools/bazel .buckconfig pants.toml",
        "bazel, buck or pants runs it or takes options from it",
    ),
    (".bundle/config", "bundle takes sources and build options from it"),
    ("uv.toml", "uv takes packages from the addresses in it"),
    ("GNUmakefile", "make reads it instead of a Makefile"),
    (
        "compose.override.yaml compose.override.yml docker-compose.override.yaml docker-compose.override.yml",
        COMPOSE,
    ),
    (
        ".ddev/config.yaml .ddev/config.*.yaml .ddev/commands/host/*",
        "ddev runs the hooks and commands in it on this machine",
    ),
    ("ansible.cfg", "ansible runs the plugins and commands in it"),
    (".Rprofile .Renviron .RData", "R runs it when it starts in the directory"),
    (".gdbinit .lldbinit .pdbrc .irbrc .pryrc .ghci .ocamlinit .iex.exs .octaverc startup.m", CONSOLE),
    ("jupyter_*_config.py jupyter_*_config.json", "Jupyter runs it when it starts in the directory"),
    (".ctags .ctags.d/*", "ctags, which editors start, takes options from it"),
    // Managers of git hooks.
    (
        ".pre-commit-config.yaml .pre-commit-config.yml prek.toml",
        "pre-commit runs the commands in it on git commit",
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
    (".p4config .arcconfig", "p4 or arc runs the commands in it"),
    (".lfsconfig", "git-lfs takes the address of its server from it"),
    (".gitreview", "git review pushes to the address in it"),
    (".lazygit.yml", "lazygit runs the commands in it"),
    // Editors.
    (".vscode/tasks.json", "VS Code can run its tasks when it opens the folder"),
    (".vscode/settings.json", "VS Code runs the programs that it names"),
    (".vscode/launch.json", "VS Code runs the programs in it on F5"),
    (".vscode/extensions.json", "VS Code offers to install the extensions in it"),
    (".vscode/mcp.json", "VS Code starts the servers in it"),
    (".vscode/*.json", "VS Code or an extension runs the programs that it names"),
    ("*.code-workspace", "VS Code can run its tasks when it opens the workspace"),
    (
        ".devcontainer.json .devcontainer/devcontainer.json .devcontainer/*/devcontainer.json",
        "editors run its initializeCommand on this machine",
    ),
    (".idea/runConfigurations/* .run/*.run.xml", "a JetBrains IDE offers to run it"),
    (
        ".idea/watcherTasks.xml .idea/startup.xml .idea/externalDependencies.xml .idea/gradle.xml .idea/misc.xml .idea/vcs.xml",
        "a JetBrains IDE runs the commands in it when files change or the project opens",
    ),
    (".externalToolBuilders/*", "Eclipse runs it when files change"),
    (".zed/settings.json .zed/tasks.json .zed/debug.json", "Zed runs the programs that it names"),
    (".fleet/run.json .fleet/settings.json", "Fleet runs the programs that it names"),
    (".lapce/settings.toml .lapce/run.toml", "Lapce runs the programs that it names"),
    (".helix/config.toml .helix/languages.toml", "Helix runs the programs that it names"),
    (".kateproject", "Kate runs the programs that it names"),
    (
        ".exrc .vimrc .nvimrc .nvim.lua .vimrc.local .lvimrc .local.vimrc _vimrc_local.vim .vim/coc-settings.json Session.vim",
        "vim or Neovim runs it when it starts in the directory, if configured to",
    ),
    (".vimspector.json .projections.json .ycm_extra_conf.py", "a vim plugin runs it or the commands in it"),
    (".dir-locals.el .dir-locals-2.el", "Emacs evaluates it when it opens a file in the directory"),
    ("*.sublime-project", "Sublime Text runs its build systems"),
    // Language servers and linters, which editors start when they open a file.
    (".luarc.json .luarc.jsonc rust-analyzer.toml .rust-analyzer.toml", LINTER),
    (".eslintrc* eslint.config.* .prettierrc* prettier.config.* .stylelintrc* stylelint.config.*", LINTER),
    (
        ".pylintrc pylintrc .flake8 mypy.ini .mypy.ini .rubocop.yml .formatter.exs .credo.exs .golangci.*",
        LINTER,
    ),
    // Agents.
    (".claude/settings.json .claude/settings.local.json .claude/hooks/*", "Claude Code runs its hooks"),
    (".mcp.json .cursor/mcp.json .roo/mcp.json", "an agent starts the servers in it"),
    (".cursor/hooks.json .cursor/environment.json", "Cursor runs the commands in it"),
    (".gemini/settings.json .gemini/.env", "Gemini CLI starts the servers in it"),
    (".codex/config.toml .codex/hooks.json .codex/rules/*", "Codex runs the commands in it"),
    (
        "opencode.json opencode.jsonc .opencode/plugin/* .opencode/plugins/* .opencode/tool/*",
        "opencode runs it or the commands in it",
    ),
    ("crush.json .crush.json .aider.conf.yml .continuerc.json", "an agent runs the commands in it"),
    (".github/hooks/*", "Copilot runs the hooks in it"),
    (".clinerules/hooks/* .openhands/* .kiro/hooks/* .pi/extensions/*", "an agent runs it"),
    (
        "CLAUDE.md CLAUDE.local.md AGENTS.md AGENT.md AGENTS.override.md GEMINI.md QWEN.md CRUSH.md WARP.md .goosehints",
        PROMPT,
    ),
    (".cursorrules .windsurfrules .clinerules .roomodes .kilocodemodes .rules .augment-guidelines", PROMPT),
    (
        ".github/copilot-instructions.md .github/instructions/* .github/prompts/* .github/agents/* .github/chatmodes/*",
        PROMPT,
    ),
    (".claude/* .claude/*/* .claude/skills/*/* .agents/*/* .agents/skills/*/*", PROMPT),
    (".cursor/* .cursor/*/* .windsurf/*/* .clinerules/* .roo/* .roo/*/* .kilocode/* .kilocode/*/*", PROMPT),
    (
        ".codex/* .codex/*/* .gemini/* .gemini/*/* .opencode/* .opencode/*/* .qwen/* .continue/* .continue/*/*",
        PROMPT,
    ),
    (
        ".amp/* .goose/* .junie/* .kiro/*/* .trae/* .trae/*/* .augment/*/* .factory/* .factory/*/* .pi/* .pi/*/*",
        PROMPT,
    ),
    // cage.
    (".cage.env", "cage sets its variables in the next cage"),
];

const NIX: &str = "direnv and devenv run it when you enter the directory, if .envrc says so";
const NPM: &str = "npm, yarn, pnpm, bun or corepack takes commands and addresses from it";
const COMPOSE: &str = "docker compose adds it, including mounts of host directories";
const CONSOLE: &str = "a debugger or console runs it when it starts in the directory";
const ON_COMMIT: &str = "the tool of that name runs its commands on git commit";
const LINTER: &str =
    "a language server or linter runs it or programs that it names when an editor opens a file";
const MISE: &str = "mise chooses programs by it, and runs its hooks";
const LEFTHOOK: &str = "lefthook runs the commands in it on git commit and push";
const PROMPT: &str = "an agent on this machine follows the instructions in it";
