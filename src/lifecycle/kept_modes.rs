//! Terminal modes of the program in a cage, kept for the next attachment.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::file;
use crate::engine::command::Invocation;
use crate::engine::runner::{Cancel, Runner};
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::lifecycle::foreground::Foreground;
use crate::terminal::modes::Modes;
use crate::terminal::tracker::ModeTracker;

/// The file of a cage, `~/.local/state/cage/NAME.modes`, before it is read.
#[derive(Debug)]
pub struct KeptModes {
    /// `None` where there is no place for a file.
    path: Option<PathBuf>,
    /// When the container was started, if it is running.
    pub since: Option<String>,
    foreground: Invocation,
}

/// The modes that are kept during an attachment.
pub struct Keeper<'a> {
    file: &'a KeptModes,
    runner: Runner,
    content: Content,
    /// The modes for which the cage was last asked whether a shell has set them.
    asked: Option<Modes>,
}

#[derive(Default, Serialize, Deserialize)]
struct Content {
    /// When the container was started, as the engine writes it. After a restart the modes don't apply.
    since: String,
    /// The program that has set the modes. It may end while nobody is attached, and another one has other modes.
    foreground: Option<String>,
    modes: Modes,
    /// The prompt that was last seen with bracketed paste. It is the same after a restart.
    #[serde(default)]
    prompt: Option<Prompt>,
}

/// The modes that a shell sets at its prompt.
#[derive(Serialize, Deserialize)]
struct Prompt {
    shell: String,
    modes: Modes,
}

/// Returns whether a cage's terminal was last seen with modes of a program, not only of a shell at its prompt.
pub fn are_of_program(host: &Host, name: &str) -> bool {
    let text = host.state_file(name, "modes").and_then(|path| fs::read_to_string(path).ok());
    let content = text.and_then(|text| serde_json::from_str::<Content>(&text).ok());
    content.is_some_and(|content| content.foreground.is_some())
}

impl KeptModes {
    /// Describes the file of the cage `name`.
    pub fn of(host: &Host, runtime: &Runtime, container: &str, name: &str) -> Self {
        let foreground = Foreground::query_and_continue(runtime, container);
        Self { path: host.state_file(name, "modes"), since: None, foreground }
    }

    /// Reads the modes. They are the default ones if there are none, or those of another program or another start of the container.
    pub fn read(&self, runner: Runner) -> Keeper<'_> {
        let read = || {
            let text = fs::read_to_string(self.path.as_ref()?).ok()?;
            let mut content: Content = serde_json::from_str(&text).ok()?;
            content.modes = ModeTracker::checked(&content.modes);
            let is_same = || {
                content.foreground.is_some() && content.foreground == self.ask_id(runner, &Cancel::default())
            };
            let applies =
                self.since.as_ref() == Some(&content.since) && (content.modes.are_of_a_prompt() || is_same());
            Some(if applies { content } else { Content { prompt: content.prompt, ..Content::default() } })
        };
        Keeper { file: self, runner, content: read().unwrap_or_default(), asked: None }
    }

    fn ask(&self, runner: Runner, cancel: &Cancel) -> Option<Foreground> {
        Foreground::of(runner.capture_unless(&self.foreground, cancel))
    }

    fn ask_id(&self, runner: Runner, cancel: &Cancel) -> Option<String> {
        self.ask(runner, cancel).map(|program| program.id)
    }
}

impl Keeper<'_> {
    /// Returns the modes that are kept.
    pub fn modes(&self) -> &Modes {
        &self.content.modes
    }

    /// Returns the modes that a shell has set at its prompt while nobody was attached, as far as they are known from an earlier
    /// prompt. None if another program is running.
    pub fn unseen_prompt(&self, cancel: &Cancel) -> Option<Modes> {
        if self.content.modes != Modes::default() {
            return None;
        }
        // This also continues a suspended agent, which has undone its modes.
        let shell = self.file.ask(self.runner, cancel)?.waiting_shell()?;
        let prompt = self.content.prompt.as_ref().filter(|prompt| prompt.shell == shell)?;
        Some(ModeTracker::checked(&prompt.modes))
    }

    /// Writes the modes, unless they were read or written last: another terminal may have written newer ones. `since` is when the
    /// container was started. Without the file the user has to make a program set its modes again.
    pub fn keep(&mut self, modes: &Modes, since: &str, cancel: &Cancel) {
        let kind = |modes: &Modes| (modes.are_of_a_prompt(), modes.of_program());
        if *modes == self.content.modes {
            return;
        }
        if kind(modes) != kind(&self.content.modes) {
            self.content.foreground =
                if modes.are_of_a_prompt() { None } else { self.file.ask_id(self.runner, cancel) };
        }
        self.learn_prompt(modes, cancel);
        if !cancel.is_cancelled() {
            self.content.modes = modes.clone();
            since.clone_into(&mut self.content.since);
            if let (Some(path), Ok(text)) = (&self.file.path, serde_json::to_string(&self.content)) {
                let _ = file::write_private(path, &text);
            }
        }
    }

    /// Keeps modes if they are those of a shell's prompt, which another program can have, too. Asks only once for the same modes.
    fn learn_prompt(&mut self, modes: &Modes, cancel: &Cancel) {
        let is = |other: Option<&Modes>| other.is_some_and(|other| other.of_program() == modes.of_program());
        let is_known =
            is(self.content.prompt.as_ref().map(|prompt| &prompt.modes)) || is(self.asked.as_ref());
        if !modes.are_of_a_prompt() || !modes.bracketed_paste() || is_known {
            return;
        }
        if let Some(program) = self.file.ask(self.runner, cancel) {
            self.asked = Some(modes.clone());
            let prompt = program.waiting_shell().map(|shell| Prompt { shell, modes: modes.clone() });
            self.content.prompt = prompt.or(self.content.prompt.take());
        }
    }
}
