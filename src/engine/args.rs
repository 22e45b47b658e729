//! Parser for the arguments of the engines' `create`, as far as cage has to understand them.

/// Flags with a value that may look like a flag.
const WITH_TEXT: [&str; 8] =
    ["annotation", "entrypoint", "env", "health-cmd", "label", "log-opt", "user", "workdir"];

/// Flags of one letter that have a value, with their long names; the other letters are switches.
const SHORT: [(char, &str); 10] = [
    ('a', "attach"),
    ('c', "cpu-shares"),
    ('e', "env"),
    ('h', "hostname"),
    ('l', "label"),
    ('m', "memory"),
    ('p', "publish"),
    ('u', "user"),
    ('v', "volume"),
    ('w', "workdir"),
];

/// A flag among arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag<'a> {
    /// The long name without dashes.
    pub name: &'a str,
    /// The value, or the next word if the flag has no value.
    pub value: &'a str,
    /// Whether the value is part of the same word.
    pub is_inline: bool,
}

/// Returns the flags among arguments. Engines have more flags than cage knows: after an unknown one, a word that begins with a
/// dash counts as a flag.
pub fn flags(args: &[String]) -> Vec<Flag<'_>> {
    let mut flags = Vec::new();
    let mut words = args.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        let next = words.peek().copied().unwrap_or_default();
        let long = word.strip_prefix("--");
        let flag = match long.map(|long| (long, long.split_once('='))) {
            Some((_, Some((name, value)))) => Some(Flag { name, value, is_inline: true }),
            Some((name, None)) => Some(Flag { name, value: next, is_inline: false }),
            None => word.strip_prefix('-').and_then(|cluster| short(cluster, next)),
        };
        let Some(flag) = flag else { continue };
        if !flag.is_inline && (long.is_none() || WITH_TEXT.contains(&flag.name)) {
            words.next();
        }
        flags.push(flag);
    }
    flags
}

/// Returns the flag with a value in a word such as `-itv/a:/b`.
fn short<'a>(cluster: &'a str, next: &'a str) -> Option<Flag<'a>> {
    let letters = cluster.split('=').next().unwrap_or_default();
    let (at, name) = letters.char_indices().find_map(|(at, letter)| {
        SHORT.iter().find(|(short, _)| *short == letter).map(|(_, name)| (at, *name))
    })?;
    let rest = &cluster[at + 1..];
    let value = if rest.is_empty() { next } else { rest.strip_prefix('=').unwrap_or(rest) };
    Some(Flag { name, value, is_inline: !rest.is_empty() })
}

/// Returns whether these flags turn a switch on: the last one counts.
pub fn turns_on(flags: &[Flag], name: &str) -> bool {
    flags.iter().rev().find(|flag| flag.name == name).is_some_and(Flag::is_on)
}

/// A file or directory of the host, or a volume, that a flag mounts.
#[derive(Debug, PartialEq, Eq)]
pub struct MountSource {
    /// The path, or the volume's name.
    pub name: String,
    /// Whether it can be changed from inside.
    pub is_writable: bool,
}

impl MountSource {
    /// Returns whether it is a path of the host.
    pub fn is_path(&self) -> bool {
        self.name.starts_with(['/', '.', '~'])
    }
}

/// A place in a container, and what is mounted there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path in the container.
    pub target: String,
    /// What is mounted there.
    pub content: Content,
    /// Whether it is mounted read-only.
    pub readonly: bool,
}

/// What a mount shows in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file or directory of the host.
    Path(String),
    /// A volume that the engine keeps in a directory of its own; without a name it is a new one.
    Volume(String),
    /// An empty file system that `--mount` makes.
    Tmpfs,
    /// An empty file system that `--tmpfs` makes, an image, or a volume with options.
    Other,
}

impl Flag<'_> {
    /// Returns whether a switch is on. Engines read a value after `=` only, as Go's `strconv.ParseBool` does.
    pub fn is_on(&self) -> bool {
        !(self.is_inline && matches!(self.value, "0" | "f" | "F" | "false" | "FALSE" | "False"))
    }

    /// Returns the place at which the flag mounts something.
    pub fn place(&self) -> Option<Place> {
        match self.name {
            "mount" => place_of_mount(self.value),
            "volume" => Some(place_of_volume(self.value)),
            "tmpfs" => {
                let target = self.value.split(':').next().unwrap_or_default().to_owned();
                Some(Place { target, content: Content::Other, readonly: false })
            }
            _ => None,
        }
    }

    /// Returns the sources that the flag mounts.
    pub fn sources(&self) -> Vec<MountSource> {
        match self.name {
            "mount" => by_mount(self.value),
            "volume" => by_volume(self.value).into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

fn place_of_volume(value: &str) -> Place {
    let mut parts = value.split(':');
    let first = parts.next().unwrap_or_default().to_owned();
    let Some(target) = parts.next() else {
        return Place { target: first, content: Content::Volume(String::new()), readonly: false };
    };
    let readonly =
        parts.flat_map(|options| options.split(',')).any(|option| matches!(option, "ro" | "readonly"));
    let is_path = first.starts_with(['/', '.', '~']);
    let content = if is_path { Content::Path(first) } else { Content::Volume(first) };
    Place { target: target.to_owned(), content, readonly }
}

fn place_of_mount(value: &str) -> Option<Place> {
    let (mut kind, mut source, mut target, mut readonly) = ("volume".to_owned(), None, None, false);
    for field in csv(value) {
        let (name, value) = field.split_once('=').unwrap_or((&field, "true"));
        match name.trim().to_ascii_lowercase().as_str() {
            "type" if kind != "other" => kind = value.to_ascii_lowercase(),
            "source" | "src" => source = Some(value.to_owned()),
            "target" | "destination" | "dst" => target = Some(value.to_owned()),
            "readonly" | "ro" => readonly = !matches!(value, "false" | "0"),
            "volume-opt" | "volume-driver" => "other".clone_into(&mut kind),
            _ => {}
        }
    }
    let content = match kind.as_str() {
        "bind" => Content::Path(source?),
        "volume" => Content::Volume(source.unwrap_or_default()),
        "tmpfs" => Content::Tmpfs,
        _ => Content::Other,
    };
    Some(Place { target: target?, content, readonly })
}

fn by_volume(value: &str) -> Option<MountSource> {
    let (source, rest) = value.split_once(':')?;
    let has = |names: &[&str]| rest.split([':', ',']).skip(1).any(|option| names.contains(&option));
    // These change owner or label of the source, read-only or not.
    let is_writable = !has(&["ro", "readonly"]) || has(&["U", "z", "Z"]);
    Some(MountSource { name: source.to_owned(), is_writable })
}

/// Reads `type=bind,source=…`, and a volume that is a directory of the host:
/// `type=volume,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/…`.
fn by_mount(value: &str) -> Vec<MountSource> {
    let (mut names, mut is_writable, mut changes_owner) = (Vec::new(), true, false);
    for field in csv(value) {
        let (name, value) = field.split_once('=').unwrap_or((&field, "true"));
        match name.trim().to_ascii_lowercase().as_str() {
            "source" | "src" => names.push(value.to_owned()),
            "volume-opt" => names.extend(
                value.strip_prefix("device=").filter(|device| device.starts_with('/')).map(str::to_owned),
            ),
            "readonly" | "ro" => is_writable = matches!(value, "false" | "0"),
            "u" | "chown" | "relabel" => changes_owner = true,
            _ => {}
        }
    }
    let is_writable = is_writable || changes_owner;
    names.into_iter().map(|name| MountSource { name, is_writable }).collect()
}

/// Returns the fields of a line, as Go's `encoding/csv` reads it.
fn csv(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let (mut quoted, mut chars) = (false, line.chars().peekable());
    while let Some(c) = chars.next() {
        let Some(field) = fields.last_mut() else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> String {
        let args = shell_words::split(words).unwrap();
        flags(&args).iter().map(|flag| format!("{} {}", flag.name, flag.value)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn flags_are_told_from_values() {
        for (words, flags) in [
            ("", ""),
            ("- x é", ""),
            ("--name=x --memory 1g", "name x, memory 1g"),
            ("-itv/a:/b -u=0 -l a=b", "volume /a:/b, user 0, label a=b"),
            ("-it -e --rm --env --name", "env --rm, env --name"),
            ("-é=x -x=v", ""),
            ("--init --rm", "init --rm, rm "),
            ("--what-is-this --rm", "what-is-this --rm, rm "),
        ] {
            assert_eq!(read(words), flags, "{words}");
        }
    }

    #[test]
    fn the_last_value_of_a_switch_counts() {
        for (words, on) in [
            ("--init", true),
            ("--init=true", true),
            ("--init false", true),
            ("--init=false", false),
            ("--init=F --memory 1g", false),
            ("--init --init=0", false),
            ("--init=0 --init=1", true),
            ("-e --init", false),
        ] {
            assert_eq!(turns_on(&flags(&shell_words::split(words).unwrap()), "init"), on, "{words}");
        }
    }

    #[test]
    fn the_places_of_mounts_are_found() {
        let places = |words: &str| {
            let args = shell_words::split(words).unwrap();
            let shown = |Place { target, content, readonly }| {
                let content = match content {
                    Content::Path(path) => path,
                    Content::Volume(name) => format!("volume {name}"),
                    Content::Tmpfs => "empty".to_owned(),
                    Content::Other => "other".to_owned(),
                };
                format!("{target} {content}{}", if readonly { ":ro" } else { "" })
            };
            flags(&args).iter().filter_map(Flag::place).map(shown).collect::<Vec<_>>().join(", ")
        };
        for (words, found) in [
            (
                "-v /a:/b --volume=./e:/f:z,ro -v name:/x -itv/y",
                "/b /a, /f ./e:ro, /x volume name, /y volume ",
            ),
            ("--tmpfs /t:size=1m --tmpfs=/u", "/t other, /u other"),
            (
                "--mount type=bind,src=/c,dst=/d,ro --mount Type=bind,source=/c,destination=/e",
                "/d /c:ro, /e /c",
            ),
            ("--mount target=/v --mount type=volume,src=n,target=/w", "/v volume , /w volume n"),
            (
                "--mount type=tmpfs,target=/t --mount 'type=bind,source=/s,\"target=/a,b\"'",
                "/t empty, /a,b /s",
            ),
            ("--mount volume-opt=device=/srv,volume-opt=o=bind,type=volume,target=/o", "/o other"),
            ("--mount type=bind,target=/x --mount type=bind,source=/x", ""),
        ] {
            assert_eq!(places(words), found, "{words}");
        }
    }

    #[test]
    fn the_sources_of_mounts_are_found() {
        let sources = |words: &str| {
            let args = shell_words::split(words).unwrap();
            let sources = flags(&args).into_iter().flat_map(|flag| flag.sources());
            let shown = |source: MountSource| {
                format!("{}{}", source.name, if source.is_writable { "" } else { ":ro" })
            };
            sources.map(shown).collect::<Vec<_>>().join(" ")
        };
        for (words, found) in [
            ("-v /a:/b -itv/e:/f -v name:/x -v /x", "/a /e name"),
            ("-v /a:/b:ro -v /a:/b:ro,U", "/a:ro /a"),
            ("--mount type=bind,src=/c,dst=/d", "/c"),
            ("--mount TYPE=bind,Source=/c,target=/x,readonly", "/c:ro"),
            ("--mount type=bind,source=/c,target=/x,readonly=false", "/c"),
            ("--mount 'type=bind,\"source=/home/a,b\",target=/x'", "/home/a,b"),
            ("--mount type=volume,target=/v,volume-opt=o=bind,volume-opt=device=/srv", "/srv"),
            ("--mount type=volume,target=/v,volume-opt=device=tmpfs --mount type=tmpfs,target=/x", ""),
        ] {
            assert_eq!(sources(words), found, "{words}");
        }
    }
}
