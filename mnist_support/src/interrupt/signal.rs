//! The signal that a press sends.

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

/// The exit status of a process that a signal has ended: 128 and the signal's number.
const ENDED: i32 = 128 + SIGINT;

/// What is told to whom.
#[derive(Clone, Copy)]
struct Words {
    stopping: &'static str,
    stopped: &'static str,
    warning: &'static str,
    ended: &'static str,
}

const PROGRAM: Words = Words {
    stopping: "Stopping already.",
    stopped: "Stopped already. If something still runs, press Ctrl-C again in 3 seconds.",
    warning: "This cannot be stopped halfway: press Ctrl-C again within 3 seconds to end the program.",
    ended: "The program was ended on request.",
};

const NOTEBOOK: Words = Words {
    stopping: "Stopping already; the variables of the notebook are kept.",
    stopped: "Stopped already. If something still runs, press Stop again in 3 seconds.",
    warning: "This code cannot be stopped halfway: press Stop again within 3 seconds to end the cell's \
              process; all variables of the notebook are lost then.",
    ended: "The cell's process was ended on request, and all variables of the notebook are lost: run its \
            cells again from the top.",
};

/// Makes Ctrl-C (`SIGINT`) stop the operation that runs rather than the program. Where no operation of this
/// crate runs, or it has not stopped within 3 seconds, a message says that the next Ctrl-C within 3 seconds
/// ends the program, with exit status 130.
///
/// Further calls do nothing. Handlers that others have installed are called, too.
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
/// [`Error::Io`] where the operating system refuses a handler or a thread.
pub fn install() -> Result<()> {
    install_with(PROGRAM)
}

/// As [`install`], but only where `SIGINT` is ignored, as a notebook's kernel starts the process of the
/// cells; says so in a notebook's words. Returns whether it is.
///
/// # Errors
/// As [`install`].
pub fn install_if_ignored() -> Result<bool> {
    let ignored = is_ignored()?;
    if ignored {
        install_with(NOTEBOOK)?;
    }
    Ok(ignored)
}

fn install_with(words: Words) -> Result<()> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        return Ok(());
    }
    let failed = |source| Error::Io {
        operation: "installing a handler of Ctrl-C in",
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
                    words,
                );
            }
        })
        .map_err(failed)?;
    *installed = true;
    Ok(())
}

fn answer(answer: Answer, words: Words) {
    match answer {
        Answer::Requested => {}
        Answer::Stopping => eprintln!("{}", words.stopping),
        Answer::Stopped => eprintln!("{}", words.stopped),
        Answer::Warn => eprintln!("{}", words.warning),
        Answer::End => {
            eprintln!("{}", words.ended);
            // At once: destructors and handlers of exit may wait for what does not end.
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
