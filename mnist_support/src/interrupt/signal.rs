//! The handler of `SIGINT`.

use std::{
    fs, io,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use signal_hook::{consts::SIGINT, iterator::Signals, low_level::exit};

use super::{
    Interrupt,
    presses::{Answer, Presses},
};
use crate::{Error, Result};

/// The exit status of a process that was ended by a signal: 128 plus the signal's number.
const ENDED: i32 = 128 + SIGINT;

/// The messages to print.
#[derive(Clone, Copy)]
struct Messages {
    stopping: &'static str,
    stopped: &'static str,
    warning: &'static str,
    ended: &'static str,
}

const PROGRAM: Messages = Messages {
    stopping: "Already stopping.",
    stopped: "Already stopped. If something is still running, press Ctrl-C again in 3 seconds.",
    warning: "This cannot be stopped halfway: press Ctrl-C again within 3 seconds to end the program.",
    ended: "The program was ended on request.",
};

const NOTEBOOK: Messages = Messages {
    stopping: "Already stopping. The variables of the notebook are kept.",
    stopped: "Already stopped. If something is still running, press Stop again in 3 seconds.",
    warning: "This code cannot be stopped halfway: press Stop again within 3 seconds to end the cell's \
              process; all variables of the notebook are lost then.",
    ended: "The cell's process was ended on request, and all variables of the notebook are lost: run its \
            cells again from the top.",
};

/// Makes Ctrl-C (`SIGINT`) stop the current operation instead of the program. If no operation of
/// this crate is running, or it has not stopped within 3 seconds, a message says that another
/// Ctrl-C within 3 seconds ends the program, with exit status 130.
///
/// Calling this again does nothing. Handlers installed by others are still called.
///
/// ```no_run
/// # fn main() -> mnist_support::Result<()> {
/// mnist_support::interrupt::install()?;
/// // ... pipeline.fit(&train)? now returns the model so far when Ctrl-C is pressed.
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Io`] if the operating system refuses the handler or the thread.
pub fn install() -> Result<()> {
    install_with(PROGRAM)
}

/// Like [`install`], but only if `SIGINT` is ignored, as it is in the process in which a notebook
/// kernel runs the cells, and with messages for a notebook. Returns whether it is ignored.
///
/// # Errors
/// Same as [`install`].
pub fn install_if_ignored() -> Result<bool> {
    let ignored = is_ignored()?;
    if ignored {
        install_with(NOTEBOOK)?;
    }
    Ok(ignored)
}

fn install_with(messages: Messages) -> Result<()> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        return Ok(());
    }
    let failed = |source| Error::Io {
        operation: "installing a handler for Ctrl-C in",
        path: "this process".into(),
        source,
    };
    let mut signals = Signals::new([SIGINT]).map_err(failed)?;
    thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || {
            let mut presses = Presses::default();
            for _ in &mut signals {
                answer(
                    presses.press(Instant::now(), Interrupt::of_process()),
                    messages,
                );
            }
        })
        .map_err(failed)?;
    *installed = true;
    Ok(())
}

fn answer(answer: Answer, messages: Messages) {
    match answer {
        Answer::Requested => {}
        Answer::Stopping => eprintln!("{}", messages.stopping),
        Answer::Stopped => eprintln!("{}", messages.stopped),
        Answer::Warn => eprintln!("{}", messages.warning),
        Answer::End => {
            eprintln!("{}", messages.ended);
            // Exit at once: destructors and exit handlers might wait for what never ends.
            exit(ENDED)
        }
    }
}

/// Whether this process ignores `SIGINT`.
fn is_ignored() -> Result<bool> {
    let path = Path::new("/proc/self/status");
    let failed = |source| Error::Io {
        operation: "reading",
        path: path.to_owned(),
        source,
    };
    let status = fs::read_to_string(path).map_err(failed)?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .ok_or_else(|| failed(io::Error::other("it names no ignored signals")))?;
    Ok(mask & (1 << (SIGINT - 1)) != 0)
}
