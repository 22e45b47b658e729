//! tmux as the terminal that cage runs in.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, eventually, skipped};
use crate::lab::World;
use crate::modes::{AGENT, PLAIN_SHELL};

on_each_engine!(clients: a_program_in_tmux_is_left_and_entered_again);

/// A server of tmux with one pane, which ends when this goes away.
struct Tmux<'a>(&'a World);

impl Tmux<'_> {
    /// Runs a command of tmux, and returns its output.
    fn does(&self, words: &[&str]) -> String {
        let words: Vec<String> =
            ["-f", "/dev/null"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        self.0.call("tmux", &words).env("TMUX_TMPDIR", &self.0.home).ok().out
    }

    /// Waits until the screen has this text. The screen is without the spaces at the ends of lines.
    #[track_caller]
    fn shows(&self, text: &str) -> &Self {
        let start = Instant::now();
        loop {
            let screen = self.does(&["capture-pane", "-p"]);
            if screen.contains(text) {
                return self;
            }
            assert!(start.elapsed() < PATIENCE, "never shown: {text}, but:\n{screen}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn has_title(&self, title: &str) -> &Self {
        eventually(title, || self.does(&["display-message", "-p", "#{pane_title}"]).trim_end() == title);
        self
    }

    fn types(&self, line: &str) -> &Self {
        self.does(&["send-keys", "-l", line]);
        self.does(&["send-keys", "Enter"]);
        self
    }

    /// Waits until these of the modes that tmux knows are on.
    fn has_modes(&self, modes: &str) -> &Self {
        let names = "#{?alternate_on,alternate screen ,}#{?cursor_flag,,hidden cursor }#{?mouse_all_flag,mouse ,}\
                     #{?mouse_sgr_flag,encoding ,}#{?keypad_cursor_flag,cursor keys ,}";
        eventually(modes, || self.does(&["display-message", "-p", names]).trim_end() == modes);
        self
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let _ = self.0.call("tmux", &["kill-server".into()]).env("TMUX_TMPDIR", &self.0.home).run();
    }
}

fn a_program_in_tmux_is_left_and_entered_again(world: &World) {
    if Command::new("tmux").arg("-V").output().is_err() {
        return skipped(world.engine, "no tmux");
    }
    let tmux = Tmux(world);
    let start = format!("{} start; echo code=$?.; exec sleep 1000", world.binary().display());
    tmux.does(&["new-session", "-d", "-x", "80", "-y", "24", &start]);
    tmux.does(&["select-pane", "-T", "the user's"]);
    tmux.shows("project ").types(PLAIN_SHELL).shows("\nplain>");
    tmux.types(&format!(
        "stty -icanon -echo; printf '{AGENT}\\033[?1h\\033]0;an agent\\ain'; echo side; exec cat -v"
    ))
    .shows("inside");
    let modes = "alternate screen hidden cursor mouse encoding cursor keys";
    // The control: tmux knows them.
    tmux.has_modes(modes).has_title("an agent");
    for _ in 0..2 {
        tmux.does(&["send-keys", "C-\\"]);
        tmux.shows("detached from cage-project-").shows("code=0.").has_modes("").has_title("the user's");
        tmux.does(&["respawn-pane", "-k", &start]);
        tmux.has_modes(modes);
        // A paste is marked as one.
        tmux.does(&["set-buffer", "one\ntwo"]);
        tmux.does(&["paste-buffer", "-p"]);
        tmux.shows("^[[200~one").shows("two^[[201~");
    }
    world.cage("stop").ok();
    tmux.shows("was stopped; `cage start`").has_modes("");
}
