//! The table of the options that a cage is created with. A row declares everything about an option.

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use clap::builder::{EnumValueParser, TypedValueParser as _, ValueParser};
use clap::{Arg, ArgAction, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::base::name;
use crate::cage::variable::Variable;
use crate::engine::args::Flag;
use crate::engine::dialect::Dialect;
use crate::engine::info::Limit;
use crate::engine::mount::Mount;
use crate::engine::publish::Publish;
use crate::host::completion;
use crate::host::machine::DEFAULT_IMAGE;

// The flags that code asks for by name.
pub const HOME: &str = "--home";
pub const NO_SSH: &str = "--no-ssh";
pub const NO_GIT_IDENTITY: &str = "--no-git-identity";
pub const NO_ROOT: &str = "--no-root";
pub const IMAGE: &str = "--image";
pub const NETWORK: &str = "--network";
pub const ALLOW_NESTED: &str = "--allow-nested";
pub const ALLOW_DANGEROUS_DIR: &str = "--allow-dangerous-dir";

// The headings in help.
const MOUNTS: &str = "Ports, mounts and variables";
const ISOLATION: &str = "Isolation";
const LIMITS: &str = "Limits";

/// The options, in the order of help, of labels and of the engine's command line.
pub static TABLE: [Definition; 16] = [
    Definition {
        short: Some('p'),
        file: Some(OptionFile { name: "ports", parse: |text| text.parse().map(Value::Port) }),
        takes: Some(("HOST:PORT", || parsed(Value::Port))),
        clashes: Some(|new, old| match (new, old) {
            (Value::Port(new), Value::Port(old)) => new == old || new.clashes_with(old),
            _ => false,
        }),
        ..Definition::new(
            "--publish",
            MOUNTS,
            "Publish a port of the cage on this machine (127.0.0.1): [[ADDRESS:]HOST:]PORT[/PROTOCOL]",
        )
    },
    Definition {
        short: Some('v'),
        file: Some(OptionFile {
            name: "mounts",
            parse: |text| Ok(Value::Mount(text.parse::<Mount>()?.at_its_own_path())),
        }),
        takes: Some(("SOURCE:TARGET", || parsed(Value::Mount))),
        complete: Some(completion::path),
        clashes: Some(|new, old| match (new, old) {
            (Value::Mount(new), Value::Mount(old)) => new.target() == old.target(),
            _ => false,
        }),
        ..Definition::new(
            "--volume",
            MOUNTS,
            "Mount a directory, file or volume: SOURCE:TARGET[:ro]; PATH[::ro] for the same path inside",
        )
    },
    Definition {
        short: Some('e'),
        takes: Some(("KEY[=VALUE]", || parsed(Value::Variable))),
        clashes: Some(|new, old| match (new, old) {
            (Value::Variable(new), Value::Variable(old)) => new.name == old.name,
            _ => false,
        }),
        ..Definition::new(
            "--env",
            MOUNTS,
            "Set a variable: KEY=VALUE, or KEY for the value on this machine; overrides env files",
        )
    },
    Definition {
        takes: Some(("HOME", || ValueParser::new(EnumValueParser::<Home>::new().map(Value::Home)))),
        default: Some("shared"),
        variable: Some(EnvVar::value("CAGE_HOME")),
        ..Definition::new(HOME, MOUNTS, "Use the home that all cages share, or one for this project only")
    },
    Definition {
        isolates: true,
        variable: Some(EnvVar { name: "CAGE_SSH", switch: Some(("off", "on")) }),
        ..Definition::new(NO_SSH, ISOLATION, "Keep your SSH agent out of the cage")
    },
    Definition {
        isolates: true,
        variable: Some(EnvVar { name: "CAGE_NO_GIT_IDENTITY", switch: Some(("1", "0")) }),
        ..Definition::new(NO_GIT_IDENTITY, ISOLATION, "Keep git's user.name and user.email out of the cage")
    },
    Definition {
        isolates: true,
        variable: Some(EnvVar { name: "CAGE_NO_ROOT", switch: Some(("1", "0")) }),
        ..Definition::new(NO_ROOT, ISOLATION, "Run without root: sudo and setuid programs gain no privileges")
    },
    Definition {
        takes: Some(("MODE", || checked(word))),
        isolates: true,
        engine: same,
        variable: Some(EnvVar::value("CAGE_NETWORK")),
        ..Definition::new(NETWORK, ISOLATION, "Choose the network, e.g. none [default: the engine's]")
    },
    Definition {
        permits: true,
        ..Definition::new(
            ALLOW_NESTED,
            ISOLATION,
            "Allow a project, or a source of -v, that another cage can write to",
        )
    },
    Definition {
        permits: true,
        ..Definition::new(
            ALLOW_DANGEROUS_DIR,
            ISOLATION,
            "Allow a project that overlaps a directory with your secrets, or one that others use",
        )
    },
    Definition {
        takes: Some(("SIZE", || checked(size))),
        limit: Some(Limit::Memory),
        engine: same,
        variable: Some(EnvVar::value("CAGE_MEMORY")),
        ..Definition::new("--memory", LIMITS, "Limit memory, e.g. 4g")
    },
    Definition {
        takes: Some(("NUMBER", || checked(number))),
        limit: Some(Limit::Processors),
        engine: same,
        variable: Some(EnvVar::value("CAGE_CPUS")),
        ..Definition::new("--cpus", LIMITS, "Limit CPU time to this many processors, e.g. 1.5")
    },
    Definition {
        takes: Some(("NUMBER", || checked(count))),
        limit: Some(Limit::Processes),
        engine: same,
        // docker by itself sets no limit.
        default: Some("4096"),
        variable: Some(EnvVar::value("CAGE_PIDS_LIMIT")),
        ..Definition::new("--pids-limit", LIMITS, "Limit the number of processes")
    },
    Definition {
        takes: Some(("SIZE", || checked(size))),
        engine: same,
        // Browsers crash with the engines' 64 MB.
        default: Some("1g"),
        // podman accepts no size for memory that isn't the container's own; docker ignores it.
        default_unless: |flag| flag.name == "ipc" && !matches!(flag.value, "private" | "shareable"),
        variable: Some(EnvVar::value("CAGE_SHM_SIZE")),
        ..Definition::new("--shm-size", LIMITS, "Set the size of shared memory, for browsers and databases")
    },
    Definition {
        takes: Some(("GPUS", || checked(word))),
        engine: |_, dialect, value| dialect.gpu_args(value),
        variable: Some(EnvVar::value("CAGE_GPUS")),
        ..Definition::new("--gpus", LIMITS, "Give access to GPUs: all, device=0,1 or, with docker, a number")
    },
    Definition {
        takes: Some(("IMAGE", || checked(image))),
        default: Some(DEFAULT_IMAGE),
        variable: Some(EnvVar::value("CAGE_IMAGE")),
        ..Definition::new(IMAGE, "Image", "Create the cage from this image, also at restarts")
    },
];

/// Makes the parser of an option's value.
type MakeParser = fn() -> ValueParser;

/// An option of `start` and of the other commands that create a cage.
#[derive(Debug)]
pub struct Definition {
    /// The long flag, which stands for the option in labels unless there is a short one.
    pub flag: &'static str,
    short: Option<char>,
    heading: &'static str,
    help: &'static str,
    /// The name of the value in help, and its parser; none for a switch.
    takes: Option<(&'static str, MakeParser)>,
    /// Completes a value on the command line.
    complete: Option<fn(&OsStr) -> Vec<CompletionCandidate>>,
    /// The variable with the user's own default.
    pub variable: Option<EnvVar>,
    /// The name of the file in `~/.config/cage` with the user's own values, one per line.
    pub file: Option<OptionFile>,
    /// The value that a cage has without the option.
    pub default: Option<&'static str>,
    /// Whether a flag for the engine leaves no use for the default.
    pub default_unless: fn(&Flag) -> bool,
    /// For an option that can be given more than once: whether a new value takes the place of an old one.
    pub clashes: Option<fn(&Value, &Value) -> bool>,
    /// Whether a cage without the option is less isolated.
    pub isolates: bool,
    /// Whether the option only lifts a check, and changes nothing about the cage.
    pub permits: bool,
    /// The limit that it sets, which not every engine enforces.
    pub limit: Option<Limit>,
    /// Returns the arguments by which an engine gives a cage a value; none if other code handles the option.
    pub engine: fn(&Self, Dialect, &str) -> Vec<String>,
}

/// Returns the option's own flag and value, for an option that the engines have, too.
fn same(option: &Definition, _: Dialect, value: &str) -> Vec<String> {
    vec![option.flag.to_owned(), value.to_owned()]
}

/// A file in `~/.config/cage` that has values of an option, one per line; `.cage.NAME` in a project suggests some.
#[derive(Debug, Clone, Copy)]
pub struct OptionFile {
    /// The name of the file.
    pub name: &'static str,
    /// Reads a line.
    pub parse: fn(&str) -> Result<Value, String>,
}

/// An environment variable that stands for an option.
#[derive(Debug, Clone, Copy)]
pub struct EnvVar {
    /// The name of the variable.
    pub name: &'static str,
    /// The values that turn a switch on and off.
    pub switch: Option<(&'static str, &'static str)>,
}

impl EnvVar {
    const fn value(name: &'static str) -> Self {
        Self { name, switch: None }
    }
}

/// Shown in help: the name, and the value that turns a switch on.
impl fmt::Display for EnvVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.switch {
            Some((on, _)) => write!(f, "{}={on}", self.name),
            None => f.write_str(self.name),
        }
    }
}

impl Definition {
    const fn new(flag: &'static str, heading: &'static str, help: &'static str) -> Self {
        Self {
            flag,
            heading,
            help,
            short: None,
            takes: None,
            complete: None,
            variable: None,
            file: None,
            default: None,
            default_unless: |_| false,
            clashes: None,
            isolates: false,
            permits: false,
            limit: None,
            engine: |_, _, _| Vec::new(),
        }
    }

    /// Returns whether the option has no value.
    pub fn is_switch(&self) -> bool {
        self.takes.is_none()
    }

    /// Returns the argument of the command line.
    pub fn arg(&self) -> Arg {
        let default = self.default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
        let variable = self.variable.map(|variable| format!(" [env: {variable}]")).unwrap_or_default();
        let file = self.file.map(|file| format!(" [file: ~/.config/cage/{}]", file.name)).unwrap_or_default();
        let details = [self.help, &default, &variable, &file].concat();
        // Each command line makes some two hundred of these.
        let ends = |pair: &[u8]| matches!(pair, b": " | b"; " | b" [");
        let end = self.help.as_bytes().windows(2).position(ends);
        let brief = &self.help[..end.unwrap_or(self.help.len())];
        let arg = Arg::new(self.flag).long(self.flag.trim_start_matches('-')).short(self.short);
        let arg = arg.help(brief).long_help(details).help_heading(self.heading);
        let Some((name, parser)) = self.takes else { return arg.action(ArgAction::SetTrue) };
        let is_list = self.clashes.is_some();
        let arg = arg
            .action(if is_list { ArgAction::Append } else { ArgAction::Set })
            .allow_hyphen_values(is_list)
            .value_name(name)
            .value_parser(parser());
        match self.complete {
            Some(complete) => arg.add(ArgValueCompleter::new(complete)),
            None => arg,
        }
    }

    /// Returns the name of the variable or file with the user's own default.
    pub fn default_name(&self) -> Option<&'static str> {
        self.variable.map(|variable| variable.name).or(self.file.map(|file| file.name))
    }

    /// Returns the words that give the option this value on a command line, and in a label.
    pub fn words(&self, value: &Value) -> Vec<String> {
        let flag = self.short.map_or_else(|| self.flag.to_owned(), |short| format!("-{short}"));
        if self.is_switch() { vec![flag] } else { vec![flag, value.to_string()] }
    }
}

impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        self.flag == other.flag
    }
}

impl Eq for Definition {}

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A switch is on.
    On,
    /// A text that the option's parser accepts.
    Text(String),
    /// The home that is used.
    Home(Home),
    /// A published port.
    Port(Publish),
    /// A mount.
    Mount(Mount),
    /// A variable.
    Variable(Variable),
}

/// As in a label: a variable without its value, which may be secret.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => Ok(()),
            Self::Text(text) => f.write_str(text),
            Self::Home(Home::Shared) => f.write_str("shared"),
            Self::Home(Home::Project) => f.write_str("project"),
            Self::Port(publish) => publish.fmt(f),
            Self::Mount(mount) => f.write_str(&mount.to_volume_option()),
            Self::Variable(variable) => f.write_str(&variable.name),
        }
    }
}

/// The home of a cage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Home {
    /// The home that all cages share
    Shared,
    /// A home for this project only
    Project,
}

fn parsed<T>(make: fn(T) -> Value) -> ValueParser
where
    T: FromStr<Err: fmt::Display> + 'static,
{
    ValueParser::new(move |text: &str| text.parse().map(make).map_err(|error: T::Err| error.to_string()))
}

fn checked(check: fn(&str) -> Result<(), &'static str>) -> ValueParser {
    ValueParser::new(move |text: &str| check(text).map(|()| Value::Text(text.to_owned())))
}

/// Accepts a name for the engine, which must not be read as an option.
fn word(text: &str) -> Result<(), &'static str> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:=,/".contains(c);
    let is_word = !text.is_empty() && !text.starts_with('-') && text.chars().all(fine);
    is_word.then_some(()).ok_or("expected a name")
}

/// Accepts a name for an image.
fn image(text: &str) -> Result<(), &'static str> {
    name::is_image_name(text).then_some(()).ok_or("expected an image's name")
}

/// Accepts a number of bytes as the engines write it.
fn size(text: &str) -> Result<(), &'static str> {
    let digits = text.strip_suffix(['b', 'k', 'm', 'g', 'B', 'K', 'M', 'G']).unwrap_or(text);
    number(digits).map_err(|_| "expected a number with b, k, m or g, such as 512m or 4g")
}

/// Accepts a number above zero.
fn number(text: &str) -> Result<(), &'static str> {
    let is_number =
        text.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok_and(|value| value > 0.0);
    is_number.then_some(()).ok_or("expected a number above 0")
}

/// Accepts a whole number above zero.
fn count(text: &str) -> Result<(), &'static str> {
    let is_count = !text.starts_with('+') && text.parse::<u32>().is_ok_and(|count| count > 0);
    is_count.then_some(()).ok_or("expected a whole number above 0")
}
