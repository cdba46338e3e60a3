//! Ctrl-C: the first one is a request, the second one is obeyed at once.

use std::ops::ControlFlow;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// The exit code of a program that Ctrl-C ended.
const EXIT: i32 = 130;

/// Starts to listen. Without a handler Ctrl-C ends the program as it always did.
pub fn listen() {
    let handler = || {
        if ASKED.swap(true, Ordering::Relaxed) {
            process::exit(EXIT);
        }
    };
    drop(ctrlc::set_handler(handler));
}

/// Ends the program where nothing can be handed back: in the middle of a download.
#[cfg(feature = "hub")]
pub fn leave(message: &str) -> ! {
    crate::term::warn(message);
    process::exit(EXIT);
}

/// Whether Ctrl-C was pressed.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Whether to go on.
pub fn go_on() -> ControlFlow<()> {
    if asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
