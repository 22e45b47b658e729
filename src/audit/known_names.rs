//! The table of files that editors, shells, tools and agents run or trust because of their name.
//!
//! Not in it are files that a person runs knowingly, such as `Makefile`, `package.json` or `build.rs`.

/// Names of files, with the directories that they must be in, and what the host does with them. A `*` stands for any part
/// of one name, `/**` at the end for every file in a directory.
pub const FILES: &[(&str, &str)] = &[
    // Shells, and programs that choose the tools of a shell.
    // <https://direnv.net/man/direnv.1.html>
    (".envrc .envrc.*", "direnv runs it when you enter the directory, once you allow it"),
    (
        ".direnv/** .devenv/* .devbox/gen/** .devbox/virtenv/**",
        "direnv, devenv or devbox runs it or puts it first in PATH when you enter the directory",
    ),
    (
        "flake.nix shell.nix default.nix devenv.nix devenv.*.nix devenv.yaml devenv.*.yaml devbox.json .guix.scm",
        NIX,
    ),
    // They decide where the code comes from. <https://nix.dev/manual/nix/latest/command-ref/new-cli/nix3-flake#lock-files>,
    // <https://pixi.prefix.dev/latest/integration/third_party/direnv>
    ("flake.lock devenv.lock devbox.lock nix/sources.json npins/sources.json pixi.lock", NIX_LOCK),
    (".env .env.*", DOTENV),
    // <https://mise.jdx.dev/configuration.html>
    ("mise.toml mise.*.toml .mise.toml .mise.*.toml .miserc.toml", MISE),
    (
        ".mise/config.toml .mise/config.*.toml .mise/conf.d/* mise/config.toml mise/config.*.toml mise/conf.d/*",
        MISE,
    ),
    (".config/mise.toml .config/mise/config.toml .config/mise/config.*.toml .config/mise/conf.d/*", MISE),
    (".rtx.toml .rtx.*.toml", MISE),
    // <https://mise.jdx.dev/dev-tools/mise-lock.html>
    ("mise.lock mise.*.lock", "mise downloads programs from the addresses in it"),
    (".tool-versions", "asdf and mise choose programs by it"),
    // <https://moonrepo.dev/docs/proto/config>, <https://fvm.app/documentation/getting-started/configuration>
    (".*-version .nvmrc .naverc .sdkmanrc .prototools .fvmrc .fvm/fvm_config.json .zigversion", VERSIONS),
    (".ruby-gemset .rbenv-gemsets .rbenv-vars .perl-version .versions.conf .conda-env", VERSIONS),
    ("aftman.toml foreman.toml rokit.toml", VERSIONS),
    (".rvmrc", "rvm runs it when you enter the directory"),
    // <https://flox.dev/docs>, <https://shopify.github.io/shadowenv>, <https://cashapp.github.io/hermit>
    (".flox/** .shadowenv.d/**", "a shell with flox or shadowenv runs it when you enter the directory"),
    (
        "bin/hermit bin/hermit.hcl bin/activate-hermit bin/.*.pkg",
        "hermit runs it when you enter the directory",
    ),
    (".autoenv.zsh .autoenv .autoenv.leave .autoenv_leave.zsh .smartcd_enter .smartcd_leave", AUTOENV),
    // <https://github.com/Yelp/aactivator>, <https://docs.pkgx.sh>, <https://opam.ocaml.org/doc/Manual.html#Switches>
    (".activate.sh .deactivate.sh .onenter .onleave", AUTOENV),
    ("pkgx.yaml pkgx.yml .pkgx.yaml .pkgx.yml devshell.toml guix.scm manifest.scm", NIX),
    ("_opam/.opam-switch/environment _opam/.opam-switch/switch-config", VERSIONS),
    (
        ".vfox.toml vfox.toml .vfenv .phpbrewrc aqua.yaml aqua.yml .aqua.yaml .aqua.yml .jabbarc .dvmrc .gvmrc",
        VERSIONS,
    ),
    (".tmux-sessionizer .tmuxinator.* .tmuxp.* .smug.yml .zellij/**", TERMINALS),
    (".lando.yml .lando.*.yml", "lando runs the commands in it on this machine"),
    // <https://docs.python.org/3/library/venv.html>
    ("bin/python*", PYTHONS),
    (".venv/bin/activate* venv/bin/activate* env/bin/activate* .env/bin/activate* bin/activate*", ACTIVATE),
    (".venv/Scripts/* venv/Scripts/* Scripts/activate*", ACTIVATE),
    // <https://docs.conda.io/projects/conda-build/en/stable/resources/activate-scripts.html>
    ("etc/conda/activate.d/* etc/conda/deactivate.d/*", ACTIVATE),
    // <https://packaging.python.org/en/latest/specifications/entry-points>
    ("*.egg-info/entry_points.txt *.dist-info/entry_points.txt", PLUGINS),
    // The copy module asks for a module of Jython's.
    ("org/python/**", PYTHON),
    ("site_scons/**", "scons runs it when it starts in the directory"),
    (".venv", "a shell with autoswitch_virtualenv activates the environment that it names"),
    // Tools that people run by name.
    ("rust-toolchain rust-toolchain.toml", "rustup runs that toolchain for every cargo command"),
    // <https://lean-lang.org/doc/reference/latest/Build-Tools-and-Distribution/Managing-Toolchains-with-Elan>
    ("lean-toolchain", "elan, which editors start, downloads that toolchain and runs it"),
    // <https://doc.rust-lang.org/cargo/reference/config.html>
    (".cargo/config .cargo/config.toml", "cargo runs the linkers, wrappers and aliases in it"),
    (
        ".npmrc .yarnrc .yarnrc.yml .pnpmfile.cjs .pnpmfile.mjs pnpm-workspace.yaml bunfig.toml .corepack.env",
        NPM,
    ),
    (".yarn/releases/* .yarn/plugins/* .pnp.cjs .pnp.loader.mjs", "yarn runs it for every yarn command"),
    // <https://yarnpkg.com/getting-started/editor-sdks>
    (".yarn/sdks/** .pnp.js", LAUNCHER),
    ("package.yaml package.json5 .pnpmrc .huskyrc* .cargo-husky/**", NPM),
    (".moon/** .paket/** .aspect/** .plzconfig* .buckconfig.d/* .mill-opts .mill-jvm-opts", OPTIONS),
    (".vagrantplugins .chef/*.rb .puppet-lint.rc wp-cli.yml wp-cli.local.yml .docksal/** .user.ini", OPTIONS),
    ("nodemon.json .bowerrc cucumber.yml cucumber.yaml .powrc .powenv .pumaenv .valet-env.php", OPTIONS),
    ("skaffold.env gunicorn.conf.py rebar.config.script dub.settings.json", OPTIONS),
    ("process-compose.override.yaml process-compose.override.yml", OPTIONS),
    (
        "LocalValetDriver.php .valetrc .flaskenv .gitlint .ackrc .luarocks/*.lua .yardopts .gnuplot .ghc.environment.*",
        OPTIONS,
    ),
    (".nx/nxw.js deno.json deno.jsonc", "nx or deno runs it or the commands in it"),
    (".mvn/**", "mvn takes options and commands from it"),
    (
        "gradle.properties gradle/wrapper/* gradle/gradle-daemon-jvm.properties local.properties gradle/init.d/* .gradle/*.properties",
        GRADLE,
    ),
    (".gradle/init.d/* gradle/*.init.gradle", GRADLE),
    (".sbtopts .sbtrc .jvmopts .sbt/**", "sbt takes options and commands from it"),
    // <https://bazel.build/run/bazelrc>
    (".bazelrc .bazelrc.* *.bazelrc .bazelversion .bazeliskrc .bazelproject tools/bazel", BAZEL),
    (".buckconfig .buckconfig.* pants.toml .pants.rc .pants.bootstrap pants.*.toml", BAZEL),
    (
        "CMakeUserPresets.json CMakePresets.json .conan/** .conan2/** .conanrc",
        "cmake, conan or an editor runs the programs that it names",
    ),
    ("*_override.tf *_override.tf.json override.tf override.tf.json *.auto.tfvars .terraformrc", TERRAFORM),
    ("*_override.tofu *_override.tofu.json override.tofu override.tofu.json", TERRAFORM),
    ("*.auto.tfvars.json terraform.tfvars terraform.tfvars.json terraform.d/plugins/**", TERRAFORM),
    (".bundle/config .bundle/plugin/**", "bundle takes sources and build options from it, and runs plugins"),
    ("uv.toml pip.conf pip.ini poetry.toml pdm.toml .pdm.toml .pypirc .pixi/config.toml", PIP),
    (".pdm-python .pdm-plugins/**", "pdm, which editors start, runs it or the python that it names"),
    ("Directory.Build.* Directory.Packages.props Directory.Solution.* *.user nuget.config", DOTNET),
    // <https://learn.microsoft.com/visualstudio/msbuild/customize-by-directory>
    ("obj/*.props obj/*.targets", DOTNET),
    ("before.*.targets after.*.targets *.runsettings dotnet-tools.json MSBuild.rsp", DOTNET),
    ("global.json .config/dotnet-tools.json Properties/launchSettings.json launchSettings.json", DOTNET),
    ("profiles.clj .lein-env .clj-kondo/** .lsp/config.edn", "lein, clj-kondo or clojure-lsp runs it"),
    (
        "cabal.project.local cabal.project.freeze stack-local.yaml",
        "cabal or stack takes programs and options from it",
    ),
    (
        "LocalPreferences.toml JuliaLocalPreferences.toml nim.cfg config.nims *.nims",
        "julia or nim runs it or takes options from it",
    ),
    // <https://ctan.org/pkg/latexmk>: Perl code, which editors run to preview a document.
    ("renv/activate.R .trunk/trunk.yaml .ncurc.* .secretlintrc.* .versionrc.* .actrc", OPTIONS),
    ("latexmkrc .latexmkrc texmf.cnf", "latexmk, which editors start, runs it"),
    (
        "jupyter_config.py jupyter_config.json .kitchen.local.yml .sops.yaml .stowrc .foreman .overmind.env",
        OPTIONS,
    ),
    ("nose2.cfg unittest.cfg gcovr.cfg .ember-cli pnpmfile.js sftp-config.json .ftpconfig", OPTIONS),
    (".mc.menu", "mc offers the commands in it"),
    (".valgrindrc .proverc .perltidyrc .perlcriticrc .rspec .rspec-local", OPTIONS),
    ("GNUmakefile", "make reads it instead of a Makefile"),
    (
        "compose.override.yaml compose.override.yml docker-compose.override.yaml docker-compose.override.yml",
        COMPOSE,
    ),
    (
        "container-compose.override.yaml container-compose.override.yml",
        "podman-compose adds it, including mounts of host directories",
    ),
    // <https://docs.docker.com/build/bake/overrides>
    (
        "docker-bake.override.json docker-bake.override.hcl docker-bake.override.yaml docker-bake.override.yml",
        BAKE,
    ),
    (
        ".ddev/config.yaml .ddev/config.*.yaml .ddev/commands/host/*",
        "ddev runs the hooks and commands in it on this machine",
    ),
    ("ansible.cfg", "ansible runs the plugins and commands in it"),
    (".Rprofile .Renviron .RData", "R runs it when it starts in the directory"),
    (
        ".gdbinit .gdbinit-* .lldbinit .lldbinit-* .pdbrc .pdbrc.py .irbrc .pryrc .ghci .ghcid .ocamlinit",
        CONSOLE,
    ),
    (".iex.exs .octaverc startup.m finish.m pathdef.m .erlang startup.jl .perldb .radare2rc", CONSOLE),
    // <https://docs.ruby-lang.org/en/master/IRB.html>, <https://github.com/bobthecow/psysh/wiki/Configuration>, CVE-2022-21699
    (
        "irbrc _irbrc $irbrc irb.rc .rdbgrc .rdbgrc.rb .rdebugrc .byebugrc .psysh.php .nrepl.edn *-gdb.py *-gdb.gdb",
        CONSOLE,
    ),
    ("user.clj user.cljc openocd.cfg pyocd.yaml .pyocd.yaml pyocd_user.py", CONSOLE),
    ("ipython_config.py ipython_kernel_config.py profile_default/startup/*", CONSOLE),
    ("jupyter_*_config.py jupyter_*_config.json", "Jupyter runs it when it starts in the directory"),
    (".ctags .ctags.d/* ctags.d/*.ctags gtags.conf", "ctags, which editors start, takes options from it"),
    // Managers of git hooks.
    (
        ".pre-commit-config.yaml .pre-commit-config.yml prek.toml",
        "pre-commit runs the commands in it on git commit",
    ),
    (".husky/**", "husky runs it on git commit and push"),
    (
        ".githooks/** .git-hooks/** githooks/* .hooks/* common/git-hooks/*",
        "git runs it if core.hooksPath leads there",
    ),
    (".simple-git-hooks.* simple-git-hooks.* .rusty-hook.toml cog.toml hk.pkl .hk.pkl hk.*.pkl", ON_COMMIT),
    (
        "lefthook.yml lefthook.yaml lefthook.toml lefthook.json .lefthook.yml .lefthook.yaml .lefthook.toml .lefthook.json",
        LEFTHOOK,
    ),
    ("lefthook-local.* .lefthook-local.* .config/lefthook.* .lefthook/** .lefthook-local/**", LEFTHOOK),
    (
        ".overcommit.yml .local-overcommit.yml .lintstagedrc* lint-staged.config.* captainhook.json grumphp.yml grumphp.yml.dist",
        ON_COMMIT,
    ),
    (
        ".commitlintrc* commitlint.config.* grumphp.yaml grumphp.yaml.dist grumphp.dist.yml grumphp.dist.yaml",
        ON_COMMIT,
    ),
    // Other version control.
    (
        ".hg/hgrc .hg/hgrc-not-shared .hg/sharedpath .sl/config .sl/hgrc .sl/sharedpath",
        "hg or sl runs the hooks and extensions in it",
    ),
    (".jj/repo .jj/repo/config.toml .jj/repo/config.toml.d/* .jj/*.toml", "jj runs the commands in it"),
    // <http://darcs.net/Using/Configuration>, <https://fossil-scm.org/home/doc/trunk/www/settings.wiki>
    ("_darcs/prefs/*", "darcs runs the hooks in it"),
    (".fslckout _FOSSIL_ .fossil-settings/*", "fossil runs the commands and hooks in it"),
    // <https://gerrit.googlesource.com/git-repo>, <https://docs.zephyrproject.org/latest/develop/west>
    (".repo/repo/** .repo/hooks/** .repo/manifest.xml .repo/local_manifests/*", "repo runs it"),
    (".repo/manifests.git/config .repo/repo.git/config", "repo and git run the commands in it"),
    (".gclient .gclient_entries", "gclient evaluates it as Python and runs its hooks"),
    (".west/config", "west runs the extension commands that it leads to"),
    (".bzr/branch/branch.conf .bzr/branch/location .bzr/bzr.conf", "bzr runs the hooks in it"),
    ("CVS/Root CVS/Repository", "cvs connects to the server in it"),
    (
        ".mrconfig .reviewboardrc .arclint .dvc/config .dvc/config.local",
        "mr, rbt, arc or dvc runs the commands in it",
    ),
    (".pijul/config _MTN/monotonerc", "pijul or monotone runs the hooks in it"),
    (".p4config .arcconfig", "p4 or arc runs the commands in it"),
    (".lfsconfig", "git-lfs takes the address of its server from it"),
    (".gitreview", "git review pushes to the address in it"),
    (".lazygit.yml .gh-dash.yml", "lazygit or gh-dash runs the commands in it"),
    // Editors.
    (".vscode/tasks.json", "VS Code can run its tasks when it opens the folder"),
    (".vscode/settings.json", "VS Code runs the programs that it names"),
    (".vscode/launch.json", "VS Code runs the programs in it on F5"),
    (".vscode/extensions.json", "VS Code offers to install the extensions in it"),
    (".vscode/mcp.json", "VS Code starts the servers in it"),
    (".vscode/*.json", "VS Code or an extension runs the programs that it names"),
    (".vscode/extensions/** .cursor/extensions/**", "VS Code or Cursor runs the extension"),
    ("*.code-workspace", "VS Code can run its tasks when it opens the workspace"),
    (
        ".devcontainer.json .devcontainer/devcontainer.json .devcontainer/*/devcontainer.json",
        "editors run its initializeCommand on this machine",
    ),
    (".devcontainer/** .gitpod.yml .gitpod.Dockerfile .idx/dev.nix .replit replit.nix", CONTAINERS),
    (".codesandbox/tasks.json .stackblitzrc okteto.yml", CONTAINERS),
    (".idea/runConfigurations/* .run/*.run.xml", "a JetBrains IDE offers to run it"),
    (
        ".idea/watcherTasks.xml .idea/startup.xml .idea/externalDependencies.xml .idea/gradle.xml .idea/misc.xml .idea/vcs.xml",
        "a JetBrains IDE runs the commands in it when files change or the project opens",
    ),
    // Each plugin has a file of its own.
    (
        ".idea/*.xml .idea/tools/* .idea/scopes/* .idea/jsLinters/* .idea/stylesheetLinters/* .idea/libraries/* .idea/plugins/* .idea/inspectionProfiles/*",
        JETBRAINS,
    ),
    ("*.ipr *.iws .live-plugins/**", JETBRAINS),
    (".externalToolBuilders/*", "Eclipse runs it when files change"),
    // Eclipse JDT, also as the Java language server: annotation processors and builders.
    (".project .classpath .factorypath .settings/* *.launch .cproject .pydevproject", ECLIPSE),
    (".zed/**", "Zed runs the programs that it names"),
    (".fleet/**", "Fleet runs the programs that it names"),
    (".lapce/**", "Lapce runs the programs that it names"),
    (".helix/**", "Helix runs the programs that it names"),
    (
        ".nova/** .theia/** .tm_properties .lite_project.lua .lite_project/**",
        "Nova, Theia, TextMate or Lite XL runs the programs that it names",
    ),
    (
        ".kateproject .kateproject.build .kateconfig .kdev4/* *.kdev4 *.pro.user *.creator.user .qtcreator/**",
        "Kate, KDevelop or Qt Creator runs the programs that it names",
    ),
    (
        ".vs/** CMakeSettings.json CppProperties.json nbproject/** nbactions*.xml .spyproject/** .Rproj.user/**",
        "Visual Studio, NetBeans, Spyder or RStudio runs the programs that it names",
    ),
    (
        ".obsidian/plugins/** .obsidian/*.json logseq/custom.js",
        "Obsidian or Logseq runs it when it opens the folder as a vault",
    ),
    (
        "xcshareddata/xcschemes/* *.xcuserdatad/xcschemes/* *.xcuserdatad/xcdebugger/* xcshareddata/xcdebugger/* .xcode.env .xcode.env.local .swiftpm/**",
        "Xcode runs the actions in it when it builds",
    ),
    // <https://lazy.folke.io>, <https://github.com/folke/neoconf.nvim>
    (
        ".lazy.lua .neoconf.json .nlsp-settings/** .nvim/** .vim/** .exrc.lua .vimrc.lua .vim-lsp-settings/**",
        VIM,
    ),
    (
        ".exrc .vimrc .nvimrc .nvim.lua .vimrc.local .lvimrc .local.vimrc _vimrc_local.vim .vim/coc-settings.json Session.vim .syntastic_*_config",
        VIM,
    ),
    (".emacs.desktop .ropeproject/* .calva/** .joyride/** platformio.ini", LAUNCHER),
    ("_exrc _vimrc _gvimrc .gvimrc .vimlocal .local_vimrc .project.vim", VIM),
    (".vimspector.json .projections.json .ycm_extra_conf.py", "a vim plugin runs it or the commands in it"),
    (".dir-locals.el .dir-locals-2.el", "Emacs evaluates it when it opens a file in the directory"),
    ("*.sublime-project *.sublime-build *.sublime-workspace", "Sublime Text runs its build systems"),
    // Language servers and linters, which editors start when they open a file.
    // <https://build-server-protocol.github.io>, <https://github.com/swiftlang/sourcekit-lsp>
    (".bsp/*.json buildServer.json .bloop/*.json .metals/** .sourcekit-lsp/* .scalafix.conf", LAUNCHER),
    // <https://rust-analyzer.github.io>, <https://haskell-language-server.readthedocs.io>, <https://ocaml.github.io/merlin>
    ("rust-project.json rust-analyzer.toml .rust-analyzer.toml hie.yaml .merlin .hlint.yaml", LAUNCHER),
    (
        ".clangd .ccls .ccls-root .cquery compile_flags.txt compile_commands.json .clang_complete cmake-variants.yaml cmake-variants.json",
        LAUNCHER,
    ),
    (
        ".clang-tidy pyrefly.toml cabal.project stack.yaml .luarc.json .luarc.jsonc .luacheckrc .busted .tern-project .zls.json zls.json omnisharp.json",
        LAUNCHER,
    ),
    (
        ".solargraph.yml .ruby-lsp/** .phpactor.json .phpactor.yml .erlang_ls.config erlang_ls.config",
        LAUNCHER,
    ),
    (
        "pyrightconfig.json .pyre_configuration .jedi/** analysis_options.yaml .dart_tool/package_config.json",
        LAUNCHER,
    ),
    // Linters and test explorers of JavaScript, most of which run their configuration.
    (
        ".eslintrc* .prettierrc* .stylelintrc* .babelrc* .swcrc .mocharc* .nycrc* .c8rc* .taprc .detoxrc*",
        LINTER,
    ),
    (
        "*.config.js *.config.cjs *.config.mjs *.config.ts *.config.cts *.config.mts *.conf.js *.conf.cjs *.conf.mjs *.conf.ts *.conf.cts *.conf.mts",
        LINTER,
    ),
    // <https://www.typescriptlang.org/tsconfig/#plugins>, <https://babeljs.io/docs/config-files>
    (
        "tsconfig.json tsconfig.*.json jsconfig.json babel.config.* vitest.workspace.* jest.config.json",
        LINTER,
    ),
    (
        "eslint.config.* prettier.config.* stylelint.config.* .postcssrc* .svgrrc* .browserslistrc .graphqlrc*",
        LINTER,
    ),
    (
        "graphql.config.yml graphql.config.yaml graphql.config.json graphql.config.toml postcss.config.json .htmlvalidate.* PSScriptAnalyzerSettings.psd1",
        LINTER,
    ),
    ("wallaby.js .wallaby.* .quokka tslint.json nx.json .solcover.* .template-lintrc.*", LINTER),
    // Whatever tool it is of, a file of settings in JavaScript is run.
    (".*rc.js .*rc.cjs .*rc.mjs .*rc.ts .*rc.cts .*rc.mts", LINTER),
    (
        "biome.json biome.jsonc .biome.json .biome.jsonc .oxlintrc.json dprint.json .dprint.json dprint.jsonc .dprint.jsonc .xo-config*",
        LINTER,
    ),
    (".remarkrc* .textlintrc* .markdownlint* .markdownlint-cli2.* .cspell.* cspell.* .sequelizerc", LINTER),
    (
        ".storybook/* .size-limit.* .releaserc* .czrc .cz.* cz.toml cz.yaml cz.json .cz-config.* .jestrc* .jscsrc .jshintrc",
        LINTER,
    ),
    // Of Python.
    (
        "conftest.py tox.ini setup.cfg pytest.ini .pytest.ini pytest.toml .pytest.toml .coveragerc .bandit .isort.cfg .style.yapf",
        LINTER,
    ),
    (
        ".pylintrc pylintrc .pylintrc.toml pylintrc.toml .flake8 mypy.ini .mypy.ini ruff.toml .ruff.toml",
        LINTER,
    ),
    (".sqlfluff .ansible-lint dbt_project.yml hatch.toml .pyre_configuration.local .landscape.yml", LINTER),
    (".prospector.yaml .prospector.yml prospector.yaml prospector.yml pylama.ini .pylama.ini", LINTER),
    // Of PHP.
    (
        "phpstan.neon phpstan.neon.dist phpstan.dist.neon psalm.xml psalm.xml.dist phpunit.xml phpunit.xml.dist phpunit.dist.xml phpstan-baseline.neon tests/Pest.php",
        LINTER,
    ),
    (
        ".php-cs-fixer.php .php-cs-fixer.dist.php .php_cs .php_cs.dist rector.php ecs.php .phan/config.php",
        LINTER,
    ),
    // Sphinx, also as a language server; previews of documents.
    ("conf.py .crossnote/** .foam/** .asciidoctor/** .zk/**", LAUNCHER),
    (".twig-cs-fixer.php .twig-cs-fixer.dist.php Steepfile .hie-bios .vscode-test.* .emmyrc.json", LAUNCHER),
    (".eslintplugin/** eslint-local-rules.* eslint-local-rules/**", LINTER),
    ("phpcs.xml phpcs.xml.dist .phpcs.xml .phpcs.xml.dist pint.json", LINTER),
    // Of other languages.
    (
        ".rubocop.yml .rubocop_todo.yml .rubocop-*.yml .standard.yml .erb-lint.yml .reek.yml .simplecov",
        LINTER,
    ),
    // <https://docs.rubocop.org/rubocop/usage/basic_usage.html>, <https://shopify.github.io/ruby-lsp/add-ons.html>
    (
        ".rubocop .erb_lint.yml .haml-lint.yml .slim-lint.yml .mdlrc sorbet/config sorbet/tapioca/** ruby_lsp/**",
        LINTER,
    ),
    (".cmake-format.* .checkov.yml .checkov.yaml .*.exs", LINTER),
    (".formatter.exs .credo.exs .dialyzer_ignore.exs elvis.config .golangci.* .revive.toml .lintr", LINTER),
    ("checkstyle.xml lombok.config .scalafmt.conf .swiftlint.yml .tflint.hcl .config/nextest.toml", LINTER),
    // Agents.
    // <https://code.claude.com/docs/en/settings>, <https://code.claude.com/docs/en/hooks>
    (
        ".claude/settings.json .claude/settings.local.json .claude/hooks/** .claude/plugins/**",
        "Claude Code runs its hooks",
    ),
    (".claude-plugin/**", "Claude Code runs the hooks and servers in it"),
    (
        ".mcp.json mcp.json .cursor/mcp.json .roo/mcp.json .github/mcp.json .github/lsp.json",
        "an agent starts the servers in it",
    ),
    (".cursor/hooks.json .cursor/environment.json", "Cursor runs the commands in it"),
    (
        ".gemini/settings.json .gemini/.env .qwen/settings.json .qwen/.env",
        "an agent starts the servers in it",
    ),
    (".codex/config.toml .codex/hooks.json .codex/rules/*", "Codex runs the commands in it"),
    (
        "opencode.json opencode.jsonc .opencode.json kilo.json kilo.jsonc .opencode/plugin/* .opencode/plugins/* .opencode/tool/*",
        "opencode runs it or the commands in it",
    ),
    ("codebuff.json fastagent.config.yaml mcp_agent.config.yaml .container-use/** .gtrconfig", AGENT),
    (".wtp.yml .wtp.yaml .workmux.yaml phantom.config.json", AGENT),
    ("crush.json .crush.json .aider.* .continuerc.json gptme.toml .gptme.toml .mentat_config.json", AGENT),
    (
        ".beads/** .vtcode/** .firebender/** .openclaw/** .cursor-plugin/** .codex-plugin/** .aiassistant/**",
        AGENT,
    ),
    (".hermes.md SOUL.md", PROMPT),
    (".github/extensions/** .mux/** .emdash.json", AGENT),
    (".github/hooks/* .clinerules/hooks/* .openhands/** .kiro/hooks/* .pi/extensions/**", AGENT),
    (
        "CLAUDE.md CLAUDE.local.md AGENTS.md AGENT.md AGENTS.*.md GEMINI.md QWEN.md CRUSH.md WARP.md .goosehints",
        PROMPT,
    ),
    (
        "IFLOW.md GROK.md VIBE.md KIMI.md JULES.md CODEX.md COPILOT.md replit.md .openhands_instructions",
        PROMPT,
    ),
    (
        ".cursorrules .windsurfrules .clinerules .roomodes .roorules* .kilocodemodes .kilocoderules .clinerules-* .continuerules .rules .augment-guidelines",
        PROMPT,
    ),
    (".github/copilot-instructions.md .github/instructions/** .github/prompts/** .github/agents/**", PROMPT),
    (".github/chatmodes/** .github/skills/** .github/copilot/**", PROMPT),
    // Worktrees of the project that Claude Code makes are in .claude/worktrees, which is looked at as a nested project.
    (".claude/* .claude/skills/** .claude/commands/** .claude/agents/** .claude/output-styles/**", PROMPT),
    (".claude/rules/** .claude/workflows/** .claude/*/*.md", PROMPT),
    (".agents/** .agent/** .cursor/** .windsurf/** .codeium/** .clinerules/** .cline/** .roo/**", PROMPT),
    (".kilocode/** .codex/** .gemini/** .opencode/** .qwen/** .continue/** .amp/** .goose/**", PROMPT),
    (
        ".junie/** .kiro/** .trae/** .augment/** .factory/** .pi/** .amazonq/** .tabnine/** .rovodev/**",
        PROMPT,
    ),
    (
        ".crush/** .forge/** .zencoder/** .sourcegraph/** .cody/** .warp/** .void/** .devin/** .serena/**",
        PROMPT,
    ),
    (
        ".ruler/** .copilot/** .grok/** .vibe/** .kimi/** .iflow/** .codebuddy/** .qoder/** .lingma/** .kilo/** .idx/**",
        PROMPT,
    ),
    // Whatever agent it is of.
    (".*/skills/** .*/commands/** .*/rules/** .*/agents/** .*/prompts/** .specify/** .taskmaster/**", PROMPT),
    (".rulesync/** .bmad-core/** _bmad/** .agent-os/**", PROMPT),
    (
        ".*/hooks/** .*/hooks.json .*/mcp.json .*/mcp.toml .*/mcp.yaml conductor.json .conductor/** .superset/** .config/wt.toml",
        AGENT,
    ),
    // cage.
    (".cage.env", "cage sets its variables in the next cage"),
];

const NIX: &str = "direnv and devenv run it when you enter the directory, if .envrc says so";
const NIX_LOCK: &str =
    "direnv has code fetched from the addresses in it when you enter the directory, if .envrc says so";
const NPM: &str = "npm, yarn, pnpm, bun or corepack takes commands and addresses from it";
const COMPOSE: &str = "docker compose adds it, including mounts of host directories";
const CONSOLE: &str = "a debugger or console runs it when it starts in the directory";
const ON_COMMIT: &str = "the tool of that name runs its commands on git commit";
const LINTER: &str =
    "a language server or linter runs it or programs that it names when an editor opens a file";
const MISE: &str = "mise chooses programs by it, and runs its hooks";
const LEFTHOOK: &str = "lefthook runs the commands in it on git commit and push";
const PROMPT: &str = "an agent on this machine follows the instructions in it";
const DOTENV: &str =
    "shells with a dotenv plugin run it when you enter the directory; docker compose and agents read it";
const VERSIONS: &str = "version managers choose programs by it";
const AUTOENV: &str = "a shell with autoenv or smartcd runs it when you enter the directory";
const TERMINALS: &str = "a manager of terminal sessions runs it when it opens the directory";
const PYTHONS: &str = "editors run it when they open the folder";
const PLUGINS: &str = "pytest, flake8 and other tools with plugins run what it names if they start here";
const ACTIVATE: &str = "editors and shells run it when they open a terminal in the project";
const GRADLE: &str = "gradle and gradlew run it or take options from it";
const BAZEL: &str = "bazel, buck or pants runs it or takes options from it";
const TERRAFORM: &str = "terraform adds it to the other files";
const PIP: &str = "pip, uv, poetry, pdm or pixi takes packages from the addresses in it";
const DOTNET: &str = "dotnet, which editors start, runs it or takes options from it";
const OPTIONS: &str = "the tool of that name takes options from it when it starts in the directory";
const BAKE: &str = "docker buildx bake adds it to the other files";
const CONTAINERS: &str = "an editor or service builds the project's container from it";
const JETBRAINS: &str = "a JetBrains IDE runs the programs in it or connects to servers in it";
const ECLIPSE: &str = "Eclipse and the Java language server run the builders and processors in it";
const VIM: &str = "vim or Neovim runs it when it starts in the directory, if configured to";
const LAUNCHER: &str = "a language server, which editors start, runs it or the programs that it names";
const AGENT: &str = "an agent runs it or the commands in it";

/// Files that a tool reads instead of one that people run knowingly: their names, and those of the other files.
pub const PREFERRED: &[(&str, &str, &str)] = &[
    ("makefile", "Makefile", "make reads it instead of Makefile"),
    ("rakefile", "Rakefile rakefile.rb Rakefile.rb", "rake reads it instead of the other file"),
    (".justfile", "justfile Justfile", "just finds two justfiles, and reads one or refuses both"),
    ("compose.yaml", "compose.yml docker-compose.yaml docker-compose.yml", COMPOSE_FIRST),
    ("compose.yml", "docker-compose.yaml docker-compose.yml", COMPOSE_FIRST),
    ("docker-compose.yaml", "docker-compose.yml", COMPOSE_FIRST),
    ("gems.rb", "Gemfile", "bundle reads it instead of Gemfile"),
    ("Containerfile", "Dockerfile", "podman builds from it instead of Dockerfile"),
    ("build.gradle", "build.gradle.kts", "gradle reads it instead of build.gradle.kts"),
    ("settings.gradle", "settings.gradle.kts", "gradle reads it instead of settings.gradle.kts"),
    ("WORKSPACE.bazel", "WORKSPACE", "bazel reads it instead of WORKSPACE"),
    ("BUILD.bazel", "BUILD", "bazel reads it instead of BUILD"),
    ("meson.options", "meson_options.txt", "meson reads it instead of meson_options.txt"),
    ("pixi.toml", "pyproject.toml", "pixi reads it instead of pyproject.toml"),
    ("Taskfile.yml", "Taskfile.dist.yml", "task reads it instead of Taskfile.dist.yml"),
    ("taskfile.yml", "Taskfile.yaml Taskfile.dist.yml", "task reads it instead of the other file"),
];

const COMPOSE_FIRST: &str = "docker compose reads it instead of the other file";

/// Files that a Python interpreter runs as it starts, wherever they are: <https://docs.python.org/3/library/site.html>.
pub const STARTUP: &[(&str, &str)] = &[(
    "pyvenv.cfg *.pth *._pth sitecustomize.* usercustomize.* sitecustomize/__init__.* usercustomize/__init__.*",
    "the python of that environment, which editors start, runs it",
)];

/// What happens with a file at the top that has the name of a module.
pub const PYTHON: &str =
    "python -m and python -c, which editors start here, run it instead of the module of that name";

/// Modules that python itself, its tools and its debuggers import, without those that have the name of another one after `_`: <https://docs.python.org/3/py-modindex.html>. Other modules of
/// that kind have names that projects use for their own.
pub const PYTHON_MODULES: &str = "\
    __future__ _aix_support _blake2 _bootlocale _bootsubprocess _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr \
    _codecs_tw _collections_abc _colorize _compat_pickle _compression _crypt _curses_panel _distutils_system_mod _elementtree \
    _gdbm _interpreters _lsprof _markupbase _md5 _multibytecodec _opcode_metadata _osx_support _overlapped _posixshmem \
    _posixsubprocess _py_abc _pydatetime _pydecimal _pyio _pylong _pyrepl _scproxy _sha1 _sha2 _sha256 _sha3 _sha512 \
    _sitebuiltins _strptime _threading_local _weakrefset _winapi abc aifc argparse array ast asynchat asyncio asyncore atexit \
    audioop base64 bdb binascii bisect builtins bz2 cProfile calendar cgi cgitb chunk cmath cmd code codecs codeop collections \
    colorsys compileall concurrent configparser contextlib contextvars copy copyreg crypt csv ctypes curses dataclasses \
    datetime dbm decimal difflib dis doctest email encodings ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch \
    fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http \
    imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3 linecache locale logging lzma mailbox \
    mailcap marshal math mimetypes mmap modulefinder msvcrt multiprocessing netrc nis nntplib nt ntpath nturl2path numbers \
    opcode operator optparse org os ossaudiodev pathlib pdb pickle pickletools pipes pkgutil platform plistlib poplib posix \
    posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc pyexpat queue quopri random re readline reprlib resource \
    rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver \
    sqlite3 sre_compile sre_constants sre_parse spwd ssl stat statistics string stringprep struct subprocess sunau symtable \
    sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios textwrap threading time timeit tkinter token tokenize \
    tomllib trace traceback tracemalloc tty turtle types typing unicodedata unittest urllib uu uuid venv warnings wave weakref \
    webbrowser winreg wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo \
    IPython astroid attr attrs autopep8 black brotli brotlicffi certifi charset_normalizer click colorama coverage debugpy \
    distutils exceptiongroup flake8 idna iniconfig ipykernel isort jedi jupyter_client jupyter_core matplotlib mccabe mypy \
    mypy_extensions numpy packaging pandas parso pathspec pip pkg_resources platformdirs pluggy psutil pycodestyle pydevd \
    pyflakes pygls pygments pylint pylsp pytest requests rope ruff setuptools simplejson six socks tomli tomlkit tornado \
    traitlets typing_extensions urllib3 virtualenv wheel yaml yapf zmq";

/// Files in `.idea` that the IDE itself writes all the time, or that name nothing to run.
pub const IDE_STATE: &str =
    "workspace.xml usage.statistics.xml tasks.xml modules.xml encodings.xml shelf.xml";
