//! The layers of `src/`: a module uses its own folder and those below it, and files inside a folder have no cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The folders of `src/`, lowest first.
const LAYERS: [&str; 9] =
    ["base", "host", "terminal", "engine", "audit", "cage", "lifecycle", "doctor", "commands"];

/// Folders that don't use each other although one stands above the other.
const INDEPENDENT: [&str; 3] = ["terminal", "engine", "audit"];

/// The files directly in `src/`, which only `main.rs` and each other use.
const TOP: [&str; 4] = ["main", "cli", "complete", "report"];

/// What one module uses of another: both as paths, `["engine", "runner"]`.
type Arrow = (Vec<String>, Vec<String>);

fn paths(text: &str) -> Vec<String> {
    // `a::{b, c::{d, e}}` is three paths.
    let Some((before, list)) = text.split_once('{') else { return vec![text.trim().to_owned()] };
    let list = list.trim_end().strip_suffix('}').expect("a closing brace");
    let (mut depth, mut part, mut parts) = (0, String::new(), Vec::new());
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part);
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| paths(part)).map(|path| format!("{}{path}", before.trim())).collect()
}

/// Returns the paths that a source file mentions: every `use` of this crate, and every `crate::` in its code.
fn mentioned(source: &str, module: &[String]) -> Vec<Vec<String>> {
    // Unit tests at the end of a file may look anywhere.
    let code = source.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == ':' || c == '_') {
                continue;
            }
            let is_use = code[..at].trim_end().ends_with("use");
            let end = code[at..].find(if is_use { [';', ';'] } else { ['(', ')'] }).unwrap_or(0);
            let text = if is_use {
                code[at..at + end].to_owned()
            } else {
                let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                code[at..].chars().take_while(|c| is_part(*c)).collect()
            };
            for path in paths(&text.replace('\n', " ")) {
                let mut target: Vec<String> = Vec::new();
                for part in path.split("::").map(|part| part.split(" as ").next().unwrap().trim()) {
                    match part {
                        "crate" => target.clear(),
                        "self" if target.is_empty() => target = module.to_vec(),
                        "super" if target.is_empty() => {
                            target = module[..module.len() - 1].to_vec();
                        }
                        "super" => drop(target.pop()),
                        part => target.push(part.to_owned()),
                    }
                }
                found.push(target);
            }
        }
    }
    found
}

/// Reads every source file, by its module path.
fn sources() -> BTreeMap<Vec<String>, String> {
    fn read(dir: &Path, module: &[String], found: &mut BTreeMap<Vec<String>, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let mut inner = module.to_vec();
            if path.is_dir() {
                inner.push(name);
                read(&path, &inner, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                if name != "mod" {
                    inner.push(name);
                }
                found.insert(inner, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut found);
    found.retain(|module, _| !module.iter().any(|part| part == "tests"));
    found
}

/// Returns the arrows from module to module.
fn arrows(sources: &BTreeMap<Vec<String>, String>) -> BTreeSet<Arrow> {
    let mut found = BTreeSet::new();
    for (module, source) in sources {
        for path in mentioned(source, module) {
            // The longest beginning of the path that is a module; the rest are items.
            let target = (1..=path.len())
                .rev()
                .map(|end| path[..end].to_vec())
                .find(|path| sources.contains_key(path));
            if let Some(target) = target.filter(|target| target != module) {
                found.insert((module.clone(), target));
            }
        }
    }
    found
}

/// Returns why an arrow between two modules is not allowed, if it isn't.
fn complaint(from: &[String], to: &[String]) -> Option<&'static str> {
    let place = |module: &[String]| LAYERS.iter().position(|layer| *layer == module[0]);
    match (place(from), place(to)) {
        (Some(from), Some(to)) if from == to => None,
        (Some(from), Some(to))
            if INDEPENDENT.contains(&LAYERS[from]) && INDEPENDENT.contains(&LAYERS[to]) =>
        {
            Some("sideways")
        }
        (Some(from), Some(to)) => (from < to).then_some("up"),
        (Some(_), None) => Some("up to a file of the top"),
        (None, _) => None,
    }
}

/// Returns the modules from which a walk along the arrows inside a folder comes back to where it began.
fn in_cycles(arrows: &BTreeSet<Arrow>) -> BTreeSet<Vec<String>> {
    let inside = |from: &[String]| -> Vec<&Vec<String>> {
        let same = arrows.iter().filter(|(a, b)| a == from && a[0] == b[0]);
        same.map(|(_, b)| b).collect()
    };
    let comes_back = |start: &Vec<String>| {
        let (mut seen, mut next) = (BTreeSet::new(), inside(start));
        while let Some(module) = next.pop() {
            if module == start {
                return true;
            }
            if seen.insert(module) {
                next.extend(inside(module));
            }
        }
        false
    };
    arrows.iter().map(|(from, _)| from).filter(|from| comes_back(from)).cloned().collect()
}

#[test]
fn every_module_is_in_a_layer() {
    for module in sources().keys() {
        let first = module[0].as_str();
        assert!(LAYERS.contains(&first) || TOP.contains(&first), "{}", module.join("/"));
    }
}

#[test]
fn a_module_uses_its_own_folder_and_those_below_it() {
    let sources = sources();
    let arrows = arrows(&sources);
    assert!(arrows.len() > 100, "the arrows are read: {}", arrows.len());
    let wrong = arrows.iter().filter_map(|(from, to)| {
        complaint(from, to).map(|why| format!("{} uses {}: {why}", from.join("/"), to.join("/")))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_inside_a_folder_have_no_cycles() {
    let cycles = in_cycles(&arrows(&sources()));
    let cycles: Vec<String> = cycles.iter().map(|module| module.join("/")).collect();
    assert!(cycles.is_empty(), "in a cycle: {}", cycles.join(", "));
}

#[test]
fn invalid_dependencies_and_cycles_are_detected() {
    let source = |uses: &str| {
        format!(
            "use std::fmt;\n{uses}\nfn f() {{}}\n\n#[cfg(test)]\nmod tests {{ use crate::commands::x; }}\n"
        )
    };
    let files = [
        ("base/text", "use crate::engine::{runner, error::{self, Trouble}};"),
        ("engine/runner", "use super::error::Trouble;\nuse crate::audit;"),
        (
            "engine/error",
            "// use crate::commands::run;\nfn g() { crate::engine::runner::run(crate::cli::Cli) }",
        ),
        ("audit", "use crate::base::text;"),
        ("cli", "use crate::commands::run;"),
        ("commands/run", "use crate::base::text::{escape, quote};"),
    ];
    let module = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let sources = files.iter().map(|(path, uses)| (module(path), source(uses))).collect();
    let arrows = arrows(&sources);
    let wrong: Vec<String> = arrows
        .iter()
        .filter_map(|(from, to)| {
            Some(format!("{} {} {}", from.join("/"), complaint(from, to)?, to.join("/")))
        })
        .collect();
    assert_eq!(
        wrong,
        [
            "base/text up engine/error",
            "base/text up engine/runner",
            "engine/error up to a file of the top cli",
            "engine/runner sideways audit",
        ]
    );
    assert_eq!(in_cycles(&arrows), [module("engine/error"), module("engine/runner")].into());
}
