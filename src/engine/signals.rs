//! Signals that would end cage: noted while a plan is carried out, or passed on to a command in a container.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::base::console;

/// The signals that would end cage. While a plan is carried out they are only noted, so that a half-done step can be undone; before
/// that they end cage. Ctrl-\ is only noted from the first plan on.
#[derive(Debug)]
pub struct Interrupts {
    numbers: Vec<i32>,
    idle: Arc<AtomicBool>,
    noted: Arc<AtomicBool>,
    /// Stops waiting for Ctrl-\.
    quit: Option<Handle>,
}

/// Starts a thread that, on Ctrl-\, prints a message and ends cage, until the handle is closed: people press Ctrl-\ to detach.
/// Without this thread the signal is only noted.
fn quit_early() -> io::Result<Handle> {
    let mut signals = Signals::new([SIGQUIT])?;
    let handle = signals.handle();
    thread::Builder::new().spawn(move || {
        if signals.forever().next().is_some() {
            console::end_line();
            console::error("error: interrupted\n");
            signal_hook::low_level::exit(128 + SIGQUIT);
        }
    })?;
    Ok(handle)
}

impl Interrupts {
    /// Registers handlers for the signals that are not in `ignored`, a bit mask with bit 0 for signal 1. A signal that was
    /// ignored when cage started stays ignored, as `nohup` wants.
    pub fn register(ignored: u64) -> Self {
        let numbers: Vec<i32> = [SIGHUP, SIGTERM, SIGINT, SIGQUIT]
            .into_iter()
            .filter(|number| ignored >> (number - 1) & 1 == 0)
            .collect();
        let (idle, noted) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        for number in &numbers {
            // If a handler can't be registered, the signal keeps its usual effect.
            if *number != SIGQUIT {
                let _ = signal_hook::flag::register_conditional_default(*number, Arc::clone(&idle));
            }
            let _ = signal_hook::flag::register(*number, Arc::clone(&noted));
        }
        let quit = numbers.contains(&SIGQUIT).then(|| quit_early().ok()).flatten();
        Self { numbers, idle, noted, quit }
    }

    /// Runs `work`, during which a signal is only noted.
    pub fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        self.quit.iter().for_each(Handle::close);
        self.idle.store(false, Ordering::Relaxed);
        let result = work();
        self.idle.store(true, Ordering::Relaxed);
        result
    }

    /// Returns whether a signal has come.
    pub fn came(&self) -> bool {
        self.noted.load(Ordering::Relaxed)
    }

    /// Returns whether a signal has come, also later.
    pub fn noted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.noted)
    }

    /// The numbers of the signals that cage handles.
    pub fn numbers(&self) -> &[i32] {
        &self.numbers
    }

    /// Returns a non-blocking stream that becomes readable when a signal comes.
    ///
    /// # Errors
    /// When a socket pair or a handler can't be made.
    pub fn stream(&self) -> io::Result<UnixStream> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        for number in &self.numbers {
            signal_hook::low_level::pipe::register(*number, writer.try_clone()?)?;
        }
        Ok(reader)
    }
}
