//! The documents for users: every command and block in them works, every link leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::fake::machine::{Machine, Speaks};
use crate::repository::{read, root, subcommands};

/// Returns the names of all documents.
fn documents() -> Vec<String> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()));
    let docs = docs.filter(|name| Path::new(name).extension().is_some_and(|end| end == "md"));
    let top = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md"]
        .map(str::to_owned);
    top.into_iter().chain(docs).collect()
}

/// A code block: its file, language and text.
struct Block {
    file: String,
    language: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for file in documents() {
        let text = read(&file);
        let mut parts = text.split("```").skip(1);
        while let (Some(block), _) = (parts.next(), parts.next()) {
            let (language, text) = block.split_once('\n').unwrap_or_default();
            blocks.push(Block { file: file.clone(), language: language.to_owned(), text: text.to_owned() });
        }
    }
    blocks
}

/// Returns the inline code of a document, as a reader sees it.
fn inline_code(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    prose.split('`').skip(1).step_by(2).map(|code| code.replace("\\|", "|")).collect()
}

/// Programs that the documents use.
const OTHERS: [&str; 16] = [
    "brew",
    "cargo",
    "cat",
    "colima",
    "cp",
    "curl",
    "git",
    "head",
    "id",
    "mkdir",
    "Invoke-Expression",
    "Out-String",
    "rm",
    "sh",
    "source",
    "stat",
];

/// A machine with fake engines, a running cage, and stand-ins for all other programs that the documents use. It keeps a list of the
/// calls of cage.
struct Reader(Machine);

impl Reader {
    fn new() -> Self {
        let mut machine = Machine::in_story(Speaks::Docker, "running");
        machine.install("podman", Speaks::Podman);
        let [bin, others] = ["bin", "others"].map(|dir| machine.root().join(dir));
        fs::create_dir(&others).unwrap();
        for program in OTHERS {
            symlink("/usr/bin/true", others.join(program)).unwrap();
        }
        for dir in ["src/my-project", "datasets"] {
            fs::create_dir_all(machine.home().join(dir)).unwrap();
        }
        let path = format!("{}:{}", bin.display(), others.display());
        machine.env.push(("PATH", path.into()));
        machine.env.push(("TOKEN", "secret".into()));
        Self(machine)
    }

    /// Runs lines of a document, and returns why they can't be right, if so.
    fn mistake(&self, lines: &str) -> Option<String> {
        let calls = self.0.root().join("calls");
        let _ = fs::remove_file(&calls);
        let cage = format!(
            "cage() {{ {} \"$@\"; code=$?; echo \"$code $*\" >>{}; return $code; }}",
            env!("CARGO_BIN_EXE_cage"),
            calls.display()
        );
        let outcome = self.0.run(self.0.command("/bin/sh").args(["-c", &format!("{cage}\n{lines}")]));
        let calls = fs::read_to_string(calls).unwrap_or_default();
        let wrong =
            calls.lines().any(|call| ["2 ", "126 ", "127 "].iter().any(|code| call.starts_with(code)));
        let unknown = ["not found", "yntax error"].iter().any(|word| outcome.stderr.contains(word));
        (wrong || unknown || (lines.contains("cage ") && calls.is_empty()))
            .then(|| format!("{lines}\n{calls}\n{}", outcome.stderr))
    }
}

#[test]
fn every_block_is_tested() {
    let reader = Reader::new();
    for mistake in ["cage start --no-such-flag", "no-such-program", "git status | cage strat", "if"] {
        assert!(reader.mistake(mistake).is_some(), "the control: {mistake}");
    }
    let mut counted = 0;
    let mut dockerfile = None;
    for Block { file, language, text } in blocks() {
        match language.as_str() {
            // An interactive zsh takes comments for arguments.
            "sh" => {
                assert!(!text.contains('#') || text.contains("${#"), "{file}: a comment in\n{text}");
                assert_eq!(reader.mistake(&text), None, "{file}");
            }
            "json" => drop(serde_json::from_str::<serde_json::Value>(&text).expect(&file)),
            // `engines::images` builds the first.
            "dockerfile" => assert_eq!(text, *dockerfile.get_or_insert(text.clone()), "{file}"),
            // Below.
            "text" => assert_eq!(file, "docs/check.md"),
            _ => panic!("{file}: a block in `{language}`:\n{text}"),
        }
        counted += 1;
    }
    assert!(counted > 10, "{counted}");
}

#[test]
fn every_command_in_the_text_works() {
    let (reader, known) = (Reader::new(), subcommands());
    let mut tried = BTreeSet::new();
    let mut mistakes = Vec::new();
    for file in documents() {
        for code in inline_code(&read(&file)) {
            let starts = code.starts_with("cage ");
            let Some(arguments) = code.split("cage ").nth(1).filter(|_| starts || code.contains("| cage "))
            else {
                continue;
            };
            let word = arguments.split_whitespace().next().unwrap_or_default();
            assert!(word.starts_with('-') || known.contains(word), "{file}: `{code}`");
            // Capital letters are a placeholder.
            let whole = arguments.contains(' ') && !arguments.contains(['…', '<']);
            if whole && !arguments.contains("NAME") && tried.insert(code.clone()) {
                mistakes.extend(
                    reader.mistake(&format!("{code} </dev/null")).map(|why| format!("{file}: {why}")),
                );
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    assert!(tried.len() > 10, "{tried:?}");
}

#[test]
fn the_output_in_the_page_of_check_is_real() {
    let block = blocks().into_iter().find(|block| block.language == "text").unwrap();
    let machine = Machine::in_story(Speaks::Docker, "none");
    for (file, text) in [
        (".git/HEAD", "ref: refs/heads/main\n"),
        (".git/config", "[core]\n\tfsmonitor = ./x\n"),
        ("sub/.git/HEAD", "ref: refs/heads/main\n"),
        (".envrc", ""),
    ] {
        let file = machine.project.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    for dir in
        [".git", "sub/.git"].iter().flat_map(|git| ["objects", "refs"].map(|dir| format!("{git}/{dir}")))
    {
        fs::create_dir(machine.project.join(dir)).unwrap();
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(lines(&block.text), lines(&machine.cage("check").stdout));
}

#[test]
fn the_image_with_fixed_versions_has_those_that_the_tests_use() {
    let lab = read("tests/lab/npm");
    let versions: BTreeSet<&str> =
        lab.lines().filter_map(|line| line.trim().strip_prefix("version=")).collect();
    let image = read("examples/image/Dockerfile");
    for package in ["@anthropic-ai/claude-code", "@openai/codex"] {
        let version = image.split(&format!("{package}@")).nth(1).unwrap().split_whitespace().next().unwrap();
        let tested = versions.iter().any(|tested| tested.split("-linux").next() == Some(version));
        assert!(tested, "{package}@{version}");
    }
}

#[test]
fn the_readme_lists_exactly_the_commands() {
    let readme = read("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `cage ")?.split(['`', ' ']).next());
    let rows: Vec<String> = rows.map(str::to_owned).collect();
    assert_eq!(rows.iter().cloned().collect::<BTreeSet<_>>(), subcommands());
    assert_eq!(rows.len(), subcommands().len(), "none twice");
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    for file in documents() {
        let text = read(&file);
        let here = root().join(&file);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let pictures = ["src=\"", "srcset=\""].into_iter().flat_map(|name| text.split(name).skip(1));
        for link in links.chain(pictures.filter_map(|rest| rest.split('"').next())) {
            if link.starts_with("https://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { here.clone() } else { here.parent().unwrap().join(path) };
            assert!(target.exists(), "{file}: {link}");
            if !heading.is_empty() {
                let headings = fs::read_to_string(&target).unwrap();
                let found = headings.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(found.into_iter().any(|anchor| anchor == heading), "{file}: {link}");
            }
        }
    }
}

/// Returns the fragment by which a page of GitHub links to a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Options of other programs that the documents mention.
const OTHERS_OPTIONS: [&str; 25] = [
    "--dangerously-skip-permissions", // Claude Code
    "--device-auth",                  // codex login
    "--global",                       // git config
    "--internal",                     // docker network create
    "--locked",                       // cargo install
    "--git",
    "--shared",    // git clone
    "--ignored",   // git status
    "--test",      // cargo test
    "--uninstall", // install.sh
    "--cap-add",   // the engines' create
    "--env-file",
    "--security-opt",
    "--http-proxy", // podman's create
    "--log-driver",
    "--group-add",
    "--rm", // the engines' run
    "--entrypoint",
    "--ssh-agent", // colima start
    "--mount",
    "--all-targets", // cargo clippy
    "--dns",
    "--cap-drop",
    "--name",
    "--restart",
];

#[test]
fn every_option_that_the_documents_mention_exists() {
    let machine = Machine::new();
    let mut known = BTreeSet::new();
    for command in subcommands() {
        known.extend(options_in(&machine.cage(&format!("help {command}")).stdout));
    }
    let others = BTreeSet::from(OTHERS_OPTIONS.map(str::to_owned));
    let mut mentioned = BTreeSet::new();
    for file in documents().iter().filter(|file| *file != "CHANGELOG.md") {
        let options = options_in(&read(file));
        let unknown: Vec<_> = options.difference(&known).filter(|option| !others.contains(*option)).collect();
        assert!(unknown.is_empty(), "{file}: no command of cage takes {unknown:?}");
        mentioned.extend(options);
    }
    let rest: Vec<_> = others.difference(&mentioned).collect();
    assert!(rest.is_empty(), "not mentioned any more: {rest:?}");
}

/// Returns the long options that a text mentions.
fn options_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let words = words
        .filter(|word| word.starts_with("--") && word[2..].starts_with(|c: char| c.is_ascii_lowercase()));
    words.map(str::to_owned).collect()
}
