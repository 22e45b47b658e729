//! Signals that would end cage: noted while a plan is carried out, or passed on to a command in a container.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// The signals that would end cage. While a plan is carried out they are only noted, so that a half-done step can be undone;
/// at all other times they have their usual effect.
#[derive(Debug)]
pub struct Interrupts {
    numbers: Vec<i32>,
    idle: Arc<AtomicBool>,
    noted: Arc<AtomicBool>,
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
            // If a handler can't be registered, the signal keeps its usual effect. Ctrl-\ is what people detach with: pressed too
            // early it ends cage like Ctrl-C, without a core dump.
            let idle = Arc::clone(&idle);
            let _ = if *number == SIGQUIT {
                signal_hook::flag::register_conditional_shutdown(*number, 128 + SIGQUIT, idle)
            } else {
                signal_hook::flag::register_conditional_default(*number, idle)
            };
            let _ = signal_hook::flag::register(*number, Arc::clone(&noted));
        }
        Self { numbers, idle, noted }
    }

    /// Runs `work`, during which a signal is only noted.
    pub fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        self.idle.store(false, Ordering::Relaxed);
        let result = work();
        self.idle.store(true, Ordering::Relaxed);
        result
    }

    /// Returns whether a signal has come.
    pub fn came(&self) -> bool {
        self.noted.load(Ordering::Relaxed)
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
