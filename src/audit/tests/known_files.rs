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
        ".bundle/plugin/index",
        ".ropeproject/history",
        "obj/app.csproj.nuget.g.targets",
        "terraform.d/plugins/x/provider",
        "conf.py",
        ".syntastic_c_config",
        "AGENTS.md",
        ".codex/config.toml",
        ".gemini/settings.json",
        ".cage.env",
        ".claude/skills/a/SKILL.md",
        ".yarn/sdks/typescript/lib/tsserver.js",
        "tsconfig.json",
        "babel.config.json",
        ".kilo/kilo.jsonc",
        ".opencode.json",
        ".config/wt.toml",
        "pyrefly.toml",
        "logseq/custom.js",
        "flake.lock",
        "devenv.lock",
        "devbox.lock",
        "pixi.lock",
        "npins/sources.json",
        "mise.lock",
        "mise.local.lock",
        "lean-toolchain",
        ".pdbrc.py",
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
    assert_eq!(
        project.top(),
        [".envrc: link to /x", ".npmrc: FIFO", ".vscode: link to v", "v/tasks.json: file"]
    );
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

/// Files of every kind in the table, as tools look for them.
const OF_EVERY_KIND: &str = "\
    .direnv/bin/tool .envrc.local .env.production .prototools .fvmrc .flox/env/manifest.toml .shadowenv.d/500.lisp \
    bin/hermit bin/.node-20.pkg .go-version .venv/pyvenv.cfg .venv/lib/python3.12/site-packages/evil.pth \
    .venv/lib/python3.12/site-packages/sitecustomize.py .venv/bin/activate.fish venv/Scripts/activate.bat \
    .bsp/sbt.json buildServer.json rust-project.json .sourcekit-lsp/config.json hie.yaml .merlin .classpath .factorypath \
    .settings/org.eclipse.jdt.apt.core.prefs conftest.py vite.config.ts jest.config.cjs .prettierrc.mjs tox.ini setup.cfg \
    phpstan.neon .php-cs-fixer.dist.php psalm.xml .lazy.lua .neoconf.json .nova/Tasks/x.json .theia/tasks.json \
    .idea/externalTools.xml .idea/dataSources.xml .vscode/extensions/evil/extension.js .helix/languages.toml \
    .claude/settings.json .claude/skills/a/b/c/run.sh .claude/commands/x/y.md .codex/prompts/deep/x.md \
    .gemini/extensions/x/gemini-extension.json .qwen/settings.json .cursor/rules/a/b.mdc .amazonq/rules/x.md \
    .augment/rules/x.md .junie/guidelines.md .tabnine/agent/x.json .rovodev/config.yml .github/skills/x/SKILL.md \
    .github/mcp.json .github/lsp.json local.properties CMakeUserPresets.json .bazelrc.user .githooks/pre-commit \
    docker-bake.override.hcl main_override.tf .jj/repo/config.toml .sl/config _darcs/prefs/defaults .fossil-settings/x \
    .repo/repo/main.py .gclient .west/config json.py pip.py logging/__init__.py re.pyc ssl.cpython-311-x86_64-linux-gnu.so pip/__main__.pyc renv/activate.R latexmkrc .mrconfig .husky/_/husky.sh \
    bin/python3 .activate.sh .pkgx.yaml _opam/.opam-switch/environment vfox.toml aqua.yaml .moon/tasks.yml .paket/Paket.Restore.targets .aspect/cli/config.yaml \
    .plzconfig.local .mill-opts .vagrantplugins .chef/knife.rb wp-cli.yml LocalValetDriver.php .flaskenv .ghc.environment.x86_64-linux-9.4 \
    irbrc .rdbgrc .psysh.php .nrepl.edn tool-gdb.py ipython_config.py profile_default/startup/x.py before.app.sln.targets x.runsettings \
    .emacs.desktop .ropeproject/config.py .joyride/scripts/activate.cljs platformio.ini _vimrc wallaby.js tslint.json .anyrc.js .otherrc.mts \
    .rubocop sorbet/config ruby_lsp/app/addon.rb .cmake-format.py .checkov.yaml .doctor.exs nbactions-x.xml \
    .newagent/skills/x/SKILL.md .newagent/hooks/x.sh .newagent/mcp.json .specify/scripts/x.sh .idea/checkstyle-idea.xml .idea/any.xml app.ipr \
    ctags.d/x.ctags .githooks/commit-msg/check .git-hooks/pre_commit/x.rb .local-overcommit.yml mise/config.local.toml \
    .config/mise/config.local.toml x_override.tofu override.tofu x.auto.tfvars.json terraform.tfvars .kitchen.local.yml \
    phpunit.dist.xml .twig-cs-fixer.php Steepfile .hie-bios .vscode-test.mjs pytest.toml .pytest.toml nose2.cfg unittest.cfg \
    karma.conf.cjs .eslintplugin/index.js eslint-local-rules.js .ember-cli gcovr.cfg gtags.conf pnpmfile.js .emmyrc.json \
    .vim-lsp-settings/settings.json .vimrc.lua sftp-config.json .ftpconfig me.xcuserdatad/xcschemes/x.xcscheme \
    me.xcuserdatad/xcdebugger/Breakpoints_v2.xcbkptlist .live-plugins/x/plugin.groovy .tmuxinator.yaml .tmuxp.yml .smug.yml \
    common/git-hooks/pre-commit .sops.yaml .stowrc .foreman .overmind.env jupyter_config.py codebuff.json fastagent.config.yaml \
    mcp_agent.config.yaml .container-use/environment.json .gtrconfig .wtp.yml .workmux.yaml phantom.config.json \
    _json.py __future__.py _struct.cpython-311-x86_64-linux-gnu.so _strptime/__init__.py graphlib.py msvcrt.py _winapi.py nt.py org/__init__.py code.py \
    _sysconfigdata__linux_x86_64-linux-gnu.py org/python/core.py .venv/lib/python3.12/site-packages/usercustomize/__init__.py \
    app.egg-info/entry_points.txt x.dist-info/entry_points.txt bin/activate.fish etc/conda/activate.d/x.sh .devenv/load-exports .devbox/gen/scripts/.hooks.sh \
    .sbtrc gradle/gradle-daemon-jvm.properties .conanrc .conan2/extensions/hooks/x.py dub.settings.json rebar.config.script site_scons/site_init.py \
    nodemon.json cucumber.yml .powenv .valet-env.php skaffold.env gunicorn.conf.py .pdm-python .pdm-plugins/lib/x.py \
    container-compose.override.yml process-compose.override.yaml user.clj openocd.cfg pyocd_user.py .lefthook/pre-commit/x \
    grumphp.yaml .gh-dash.yml .idea/inspectionProfiles/x.xml .kateproject.build .qtcreator/project.json .lite_project.lua CMakeSettings.json \
    cmake-variants.yaml PSScriptAnalyzerSettings.psd1 .htmlvalidate.cjs cspell.config.yaml dprint.jsonc graphql.config.yml postcss.config.json \
    .pyre_configuration.local .prospector.yaml pylama.ini hatch.toml tests/Pest.php .github/extensions/x/extension.mjs .mux/init .emdash.json \
    .rulesync/rules/x.md .bmad-core/agents/x.md .clinerules-code .continuerules";

#[test]
fn files_of_every_kind_are_found_at_the_top_and_below() {
    for (prefix, scope) in [("", Scope::Top), ("", Scope::Whole), ("a/b/", Scope::Whole)] {
        let project = Project::new();
        // A module shadows another one only at the top.
        let is_module = |name: &&str| {
            [
                "json.py",
                "pip.py",
                "logging/",
                "re.pyc",
                "ssl.",
                "pip/",
                "_json.",
                "__future__.",
                "_struct.",
                "_strptime/",
                "graphlib.",
                "msvcrt.",
                "_winapi.",
                "nt.",
                "org/__init__.",
                "code.",
                "_sysconfigdata_",
            ]
            .iter()
            .any(|module| name.starts_with(module))
        };
        let names: Vec<_> = OF_EVERY_KIND
            .split_ascii_whitespace()
            .filter(|name| prefix.is_empty() || !is_module(name))
            .collect();
        for name in &names {
            project.write(&format!("{prefix}{name}"), "");
        }
        let found = project.found(scope);
        for name in &names {
            let in_packages = name.contains("site-packages");
            let line = format!("{prefix}{name}: file");
            assert!(found.contains(&line) || (in_packages && scope == Scope::Top), "{line}");
        }
        if scope == Scope::Whole {
            assert_eq!(found.len(), names.len(), "{found:?}");
        }
    }
}

#[test]
fn a_directory_with_the_name_of_one_of_packages_hides_nothing_among_known_files() {
    for (name, found) in [
        (
            ".devcontainer/node_modules/devcontainer.json",
            ".devcontainer/node_modules/devcontainer.json: file",
        ),
        (
            ".devcontainer/site-packages/devcontainer.json",
            ".devcontainer/site-packages/devcontainer.json: file",
        ),
        (".claude/skills/node_modules/SKILL.md", ".claude/skills/node_modules: directory"),
        (".cursor/rules/a/node_modules/x.mdc", ".cursor/rules/a/node_modules: directory"),
        (
            "deep/.vscode/extensions/site-packages/package.json",
            "deep/.vscode/extensions/site-packages: directory",
        ),
    ] {
        let project = Project::new();
        project.write(name, "");
        assert!(project.whole().contains(&found.to_owned()), "{name}");
        assert_eq!(project.top().contains(&found.to_owned()), !name.starts_with("deep"), "{name}");
    }
}

#[test]
fn files_that_a_person_runs_knowingly_are_not_listed() {
    let project = Project::new();
    for name in "Makefile package.json build.rs pyproject.toml setup.py Cargo.toml justfile src/json.py src/pip/__init__.py _version.py __init__.py __main__.py src/_json.py \
        .github/workflows/ci.yml .gitignore .editorconfig requirements.txt index.ts config.ts main.tf docker-compose.yml \
        node_modules/x/jest.config.js .venv/lib/python3.12/site-packages/json/__init__.py site.yml environment.rb \
        .idea/workspace.xml .idea/modules.xml .idea/codeStyles/Project.xml .idea/app.iml .github/ISSUE_TEMPLATE/x.md skills/x.md"
        .split_ascii_whitespace()
    {
        project.write(name, "");
    }
    assert_eq!(project.top(), NOTHING);
    assert_eq!(project.whole(), NOTHING);
}

#[test]
fn a_file_that_a_tool_prefers_to_the_usual_one_is_found() {
    let project = Project::new();
    for file in [
        "Makefile",
        "deep/Gemfile",
        "deep/gems.rb",
        "node_modules/x/Makefile",
        "node_modules/x/makefile",
        "other/makefile",
    ] {
        project.write(file, "");
    }
    assert_eq!(project.whole(), ["deep/gems.rb: file"]);
    project.write("makefile", "").link("Dockerfile", "x").write("Containerfile", "");
    assert_eq!(project.top(), ["Containerfile: file", "makefile: file"]);
    project.link("compose.yaml", "real").write("compose.yml", "");
    assert!(project.top().contains(&"compose.yaml: link to real".to_owned()));
}
