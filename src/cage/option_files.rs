//! Files with mounts and ports: the user's own in `~/.config/cage`, which apply to every new cage, and those in a project, which
//! only become a suggestion, because code in a cage can write them.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use rustix::fs::OFlags;

use crate::base::error::{Failure, chain};
use crate::base::file::{links, read_small, real};
use crate::base::text;
use crate::base::text::quote;
use crate::cage::create_options::{Choice, CreateOptions, resolve};
use crate::cage::isolation;
use crate::cage::options::{ALLOW_DANGEROUS_DIR, Definition, OptionFile, TABLE, Value};
use crate::cage::variable::BYTE_ORDER_MARK;
use crate::host::machine::Host;
use crate::host::project::Project;

/// The largest number of suggested options, and the largest size of one.
const MOST: usize = 20;
const LONGEST: usize = 200;

/// Returns the options that a file can give, each with its file.
fn with_files() -> impl Iterator<Item = (&'static Definition, OptionFile)> {
    TABLE.iter().filter_map(|option| Some((option, option.file?)))
}

/// Iterates over the lines of a file without comments and empty lines, with their numbers. A comment begins with `#` at the
/// beginning of a line or after white space.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.trim_start_matches(BYTE_ORDER_MARK).lines().map(|line| {
        let comment = line
            .match_indices('#')
            .find(|(at, _)| line[..*at].chars().next_back().is_none_or(char::is_whitespace));
        line[..comment.map_or(line.len(), |(at, _)| at)].trim()
    });
    (1..).zip(lines).filter(|(_, line)| !line.is_empty())
}

/// Reads a line, in which a leading `~/` is the user's home.
fn parse(host: &Host, file: OptionFile, line: &str) -> Result<Value, String> {
    let home = host.home.as_ref().and_then(|home| home.to_str());
    match (line.strip_prefix("~/"), home) {
        (Some(below), Some(home)) => (file.parse)(&format!("{home}/{below}")),
        _ => (file.parse)(line),
    }
}

/// Adds the options in the user's own files to `defaults`, except those that `typed` replaces.
///
/// # Errors
/// When a file can't be read, or a line is not a value of the option or could not be typed. The error names file and line.
pub fn read(host: &Host, typed: &CreateOptions, defaults: &mut CreateOptions) -> Result<()> {
    let Some(dir) = host.config_dir() else { return Ok(()) };
    for (option, file) in with_files() {
        let path = dir.join(file.name);
        // Dotfile managers make links of such files.
        let text = read_small("settings", &path, OFlags::empty())?.unwrap_or_default();
        let mut lines: Vec<(usize, Choice)> = Vec::new();
        for (number, line) in entries(&text) {
            let failure = |why: &str| {
                let path = text::escape(&path.to_string_lossy());
                Failure::new(format!("{path}, line {number}: {why}"))
            };
            let value = parse(host, file, line).map_err(|why| failure(&text::escape(&why)))?;
            let mut choice = Choice { is_default: true, ..Choice::typed(option, value) };
            let other = lines.iter().find(|(_, other)| choice.replaces(other));
            ensure!(
                other.is_none(),
                failure(&format!("it clashes with line {}", other.map_or(0, |(number, _)| *number))).hint(
                    "two lines can't use the same path in the cage, or the same port of this machine: remove one"
                )
            );
            if !typed.replaces(&choice) {
                settle(host, typed, &mut choice, &mut defaults.links).map_err(|error| {
                    let hint = error.downcast_ref().and_then(Failure::advice).unwrap_or("change the line");
                    failure(&chain(&error, str::to_owned)).hint(hint)
                })?;
                defaults.chosen.push(choice.clone());
            }
            lines.push((number, choice));
        }
    }
    Ok(())
}

/// Resolves the source of a mount from a file, and judges the mount like one that was typed.
fn settle(host: &Host, typed: &CreateOptions, choice: &mut Choice, links: &mut Vec<PathBuf>) -> Result<()> {
    let Value::Mount(mount) = &choice.value else { return Ok(()) };
    let is_relative = mount.source_path().is_some_and(|source| !source.starts_with('/'));
    ensure!(
        !is_relative,
        Failure::new("the path is relative").hint("expected a path that begins with `/` or `~/`")
    );
    choice.value = Value::Mount(resolve(mount.clone(), Path::new("/"), links)?);
    let alone = CreateOptions { chosen: vec![choice.clone()], ..CreateOptions::default() };
    // The project, and so which directories in PATH are its own, is known only when the mount is checked again.
    let everything = Path::new("/");
    if typed.has(ALLOW_DANGEROUS_DIR) { Ok(()) } else { isolation::check_mounts(host, &alone, everything) }
}

/// Checks that no cage can write the user's files, or a link on the way to them. `places` are the directories and files that cages
/// can write.
///
/// # Errors
/// When a cage can, and the user doesn't allow it.
pub fn check_places(host: &Host, options: &CreateOptions, places: &[String]) -> Result<()> {
    if options.has(ALLOW_DANGEROUS_DIR) {
        return Ok(());
    }
    let names = with_files().map(|(_, file)| file.name).chain(["env", "home"]);
    let paths = names.filter_map(|name| Some(host.config_dir()?.join(name)));
    for path in paths.filter(|path| path.exists()) {
        let ways: Vec<PathBuf> = links(&path).into_iter().chain([real(&path)]).collect();
        let place = places.iter().find(|place| ways.iter().any(|way| way.starts_with(place)));
        ensure!(
            place.is_none(),
            Failure::new(format!(
                "{} is in {}, where a cage can write",
                text::escape(&path.to_string_lossy()),
                text::escape(place.map_or("", String::as_str))
            ))
            .hint("move it out: what it says counts for all cages; --allow-dangerous-dir if you mean it")
        );
    }
    Ok(())
}

/// Returns messages about the project's own files: the command that gives the cage what they name, unless `options` have it.
pub fn suggestions(host: &Host, project: &Project, options: &CreateOptions) -> Vec<String> {
    let (mut files, mut words, mut left_out, mut told) = (Vec::new(), Vec::new(), 0, Vec::new());
    for (option, file) in with_files() {
        let name = format!(".cage.{}", file.name);
        let text = match read_small("file", &project.dir().join(&name), OFlags::NOFOLLOW) {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => {
                told.push(format!("{name} is not used: {error}"));
                continue;
            }
        };
        let before = words.len() + left_out;
        for (_, line) in entries(&text) {
            let choice = parse(host, file, line).ok().map(|value| as_typed(project, option, value));
            match choice {
                Some(choice) if choice.is_met_by(options) => {}
                Some(choice) if words.len() < MOST && choice.value.to_string().len() <= LONGEST => {
                    words.push(choice.words().iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "));
                }
                _ => left_out += 1,
            }
        }
        files.extend((words.len() + left_out > before).then_some(name));
    }
    if !files.is_empty() {
        let files = files.join(" and ");
        told.push(format!(
            "{files} of the project: not read as orders, because code in a cage can write there"
        ));
    }
    if !words.is_empty() {
        told.push(format!("  to have it, read this and type it once: `cage restart {}`", words.join(" ")));
    }
    if left_out > 0 {
        told.push(format!("  not shown: {left_out} more, which are too long, too many, or not readable"));
    }
    told
}

/// Returns the choice that typing the value in the project would make, as far as its source exists.
fn as_typed(project: &Project, option: &'static Definition, value: Value) -> Choice {
    let value = match value {
        Value::Mount(mount) => {
            Value::Mount(resolve(mount.clone(), &project.dir(), &mut Vec::new()).unwrap_or(mount))
        }
        value => value,
    };
    Choice::typed(option, value)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    struct World {
        dir: tempfile::TempDir,
        host: Host,
    }

    impl World {
        fn new(mounts: &str, ports: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().canonicalize().unwrap();
            for below in ["home/.config/cage", "home/data", "app", "other"] {
                fs::create_dir_all(root.join(below)).unwrap();
            }
            let mut host = Host::sample(&[]);
            host.home = Some(root.join("home"));
            let world = Self { dir, host };
            fs::write(world.path("home/.config/cage/mounts"), world.full(mounts)).unwrap();
            fs::write(world.path("home/.config/cage/ports"), ports).unwrap();
            world
        }

        fn path(&self, below: &str) -> PathBuf {
            self.dir.path().canonicalize().unwrap().join(below)
        }

        /// Returns `text` with `ROOT` replaced by the directory.
        fn full(&self, text: &str) -> String {
            text.replace("ROOT", &self.path("").display().to_string()).replace("//", "/")
        }

        fn brief(&self, text: &str) -> String {
            text.replace(self.path("").to_str().unwrap().trim_end_matches('/'), "ROOT")
        }

        fn typed(&self, words: &str) -> CreateOptions {
            let options = CreateOptions::from_label(&self.full(words), &[]).unwrap();
            options.resolve(&self.host, &self.path("app")).unwrap()
        }

        fn with(&self, words: &str) -> String {
            let made = self.typed(words).with_defaults(&self.host, self.path("app").to_str().unwrap());
            made.map_or_else(|error| self.brief(&error.to_string()), |made| self.brief(&made.to_label()))
        }

        fn project(&self) -> Project {
            Project::locate(&self.host, Some(&self.path("app"))).unwrap()
        }

        fn suggested(&self, made: &str) -> String {
            let suggested = suggestions(&self.host, &self.project(), &self.typed(made));
            self.brief(&suggested.join("\n"))
        }
    }

    #[test]
    fn the_users_files_give_options_and_what_is_typed_wins() {
        let world = World::new(
            "\u{feff}# mine\r\n\n  ~/data::ro  \r\nROOT/other # C#\nROOT/other:/o\npg:/pg\n",
            "3000:3000\t# web\n# x\n0.0.0.0:80:8080",
        );
        let mounts =
            "-v ROOT/home/data:ROOT/home/data:ro -v ROOT/other:ROOT/other -v ROOT/other:/o -v pg:/pg";
        assert_eq!(world.with(""), format!("-p 127.0.0.1:3000:3000 -p 0.0.0.0:80:8080 {mounts}"));
        assert_eq!(
            world.with("-p 3000:1 -v ROOT/app:/o"),
            "-p 0.0.0.0:80:8080 -p 127.0.0.1:3000:1 -v ROOT/home/data:ROOT/home/data:ro -v ROOT/other:ROOT/other \
             -v pg:/pg -v ROOT/app:/o"
        );
        // A line about a project is for the other cages.
        let own = World::new("ROOT/app/::ro\nROOT/app:/again", "");
        assert_eq!(own.with(""), "-v ROOT/app:/again");
        // A label tells those of the files from the others.
        let made = world.typed("-v ROOT/app:/x -v pg:/pg").with_defaults(&world.host, "").unwrap();
        assert_eq!(made.to_defaults_label(), "ports ports mounts mounts mounts");
        let read = CreateOptions::from_labels(&made.to_label(), &made.to_defaults_label(), &[]).unwrap();
        assert_eq!(
            (&read.chosen, &read),
            (&made.chosen, &CreateOptions { links: Vec::new(), ..made.clone() })
        );
        assert_eq!(world.brief(&read.without_defaults().to_label()), "-v ROOT/app:/x -v pg:/pg");
        assert_eq!(CreateOptions::from_labels("-v /a:/a", "mounts mounts", &[]), None);
    }

    #[test]
    fn an_error_names_file_and_line_and_what_is_expected() {
        let refused = |mounts: &str, ports: &str| World::new(mounts, ports).with("");
        let mounts = |text: &str| refused(text, "").replace("ROOT/home/.config/cage/mounts, ", "");
        assert_eq!(mounts("\n./data"), "line 2: the path is relative");
        assert!(mounts("/a:/b:z").starts_with("line 1: `:z` would relabel"));
        assert!(mounts("data").contains("expected SOURCE:TARGET[:ro]"), "{}", mounts("data"));
        assert_eq!(
            mounts("# x\n\n~/gone"),
            "line 3: volume source ROOT/home/gone: No such file or directory (os error 2)"
        );
        assert_eq!(mounts("~/data:/x\n~/data:/y\nROOT/other:/x"), "line 3: it clashes with line 1");
        assert!(mounts("~/.config/cage").starts_with("line 1: `-v ROOT/home/.config/cage:"), "judged as -v");
        let ports = refused("", "80:80\nhttp");
        assert!(ports.starts_with("ROOT/home/.config/cage/ports, line 2: `http` is not a port"), "{ports}");
        assert!(ports.contains("; expected [[ADDRESS:]HOST:]PORT"), "{ports}");
        // What is typed replaces a line that is no longer true, and one that is dangerous.
        let world = World::new("~/gone:/x\n~/.config:/y", "");
        assert_eq!(world.with("-v ROOT/other:/x -v pg:/y"), "-v ROOT/other:/x -v pg:/y");
        fs::remove_file(world.path("home/.config/cage/ports")).unwrap();
        fs::create_dir(world.path("home/.config/cage/ports")).unwrap();
        assert_eq!(world.with(""), "settings ROOT/home/.config/cage/ports: it is not a regular file");
    }

    #[test]
    fn a_file_that_a_cage_can_write_is_refused() {
        let world = World::new("pg:/pg", "");
        let check = |place: &str, options: &str| {
            let places = [world.path(place).to_string_lossy().into_owned()];
            let checked = check_places(&world.host, &world.typed(options), &places);
            checked.map_err(|error| world.brief(&error.to_string()))
        };
        assert_eq!(check("other", ""), Ok(()));
        for place in ["home", "home/.config", "home/.config/cage", "home/.config/cage/mounts"] {
            let told = format!("ROOT/home/.config/cage/mounts is in ROOT/{place}, where a cage can write");
            let ports = told.replace("mounts", "ports");
            assert!([Err(told), Err(ports)].contains(&check(place, "")), "{place}");
            assert_eq!(check(place, "--allow-dangerous-dir"), Ok(()));
        }
        // A link that leads through such a place, and out again.
        let mounts = world.path("home/.config/cage/mounts");
        fs::rename(&mounts, world.path("real")).unwrap();
        symlink(world.path("real"), world.path("other/link")).unwrap();
        symlink(world.path("other/link"), &mounts).unwrap();
        assert!(check("other", "").is_err());
        assert_eq!(check("app", ""), Ok(()));
    }

    #[test]
    fn the_projects_files_are_only_a_suggestion() {
        let world = World::new("", "");
        assert_eq!(world.suggested(""), "");
        let of = |mounts: &str, ports: &str| {
            fs::write(world.path("app/.cage.mounts"), world.full(mounts)).unwrap();
            fs::write(world.path("app/.cage.ports"), ports).unwrap();
        };
        of("~/data::ro\nROOT/other\n/no 'x';`y`\u{1b}[2J:/$(z)\n", "3000:3000");
        assert_eq!(world.with(""), "", "they are no orders");
        let orders = "of the project: not read as orders, because code in a cage can write there";
        let once = "  to have it, read this and type it once: `cage restart";
        assert_eq!(
            world.suggested(""),
            format!(
                ".cage.ports and .cage.mounts {orders}\n{once} -p 127.0.0.1:3000:3000 -v \
                 ROOT/home/data:ROOT/home/data:ro -v ROOT/other:ROOT/other -v $'/no \\'x\\';`y`\\033[2J:/$(z)'`"
            )
        );
        of("ROOT/other", "3000:3000");
        assert_eq!(
            world.suggested("-p 3000:3000"),
            format!(".cage.mounts {orders}\n{once} -v ROOT/other:ROOT/other`")
        );
        assert_eq!(world.suggested("-p 3000:3000 -v ROOT/other:ROOT/other"), "");
        // However much there is, a few lines are shown.
        of(&format!("/{}:/x\n{}", "a".repeat(3000), "pg:/pg\n".repeat(5000)), "x\ny\n");
        let told = world.suggested("");
        assert!(told.len() < 1000 && told.contains("\n  not shown: 4983 more"), "{told}");
        fs::remove_file(world.path("app/.cage.mounts")).unwrap();
        symlink(world.path("home/.config/cage/mounts"), world.path("app/.cage.mounts")).unwrap();
        let link = ".cage.mounts is not used: file ROOT/app/.cage.mounts: it is a symbolic link";
        assert!(world.suggested("").starts_with(link), "{}", world.suggested(""));
    }
}
