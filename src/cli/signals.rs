//! Being asked to end: SIGTERM, SIGINT (Ctrl-C) and SIGHUP end a training behind its step under way.
//!
//! The first of them is only noted; the run writes its snapshot and the command ends with exit code
//! 128 + signal. From then on the signals do what they do by default: a second one ends at once.

use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// The first signal that came; 0 for none.
static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// The signal that asked this command to end.
pub(super) fn caught() -> Option<i32> {
    Some(CAUGHT.load(SeqCst)).filter(|&signal| signal != 0)
}

/// Its name.
pub(super) fn name(signal: i32) -> String {
    #[cfg(unix)]
    for (number, name) in
        [(libc::SIGINT, "SIGINT"), (libc::SIGTERM, "SIGTERM"), (libc::SIGHUP, "SIGHUP")]
    {
        if number == signal {
            return name.to_string();
        }
    }
    format!("signal {signal}")
}

/// From now on the signals are noted.
///
/// SIGHUP stays ignored where it is, which is what nohup does. SIGINT does not: a shell without job
/// control has its background commands ignore it, and who sends it to one means it.
#[cfg(unix)]
pub(super) fn watch() {
    // SAFETY: the handler does nothing but what is allowed in one.
    unsafe {
        libc::signal(libc::SIGINT, handler());
        libc::signal(libc::SIGTERM, handler());
        if libc::signal(libc::SIGHUP, handler()) == libc::SIG_IGN {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
        }
    }
}

#[cfg(not(unix))]
pub(super) fn watch() {}

#[cfg(unix)]
fn handler() -> libc::sighandler_t {
    note as extern "C" fn(libc::c_int) as *const () as libc::sighandler_t
}

#[cfg(unix)]
extern "C" fn note(signal: libc::c_int) {
    let _ = CAUGHT.compare_exchange(0, signal, SeqCst, SeqCst);
    for each in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: signal and atomics are allowed in a handler.
        unsafe {
            // One that is ignored stays so.
            if libc::signal(each, libc::SIG_DFL) == libc::SIG_IGN {
                libc::signal(each, libc::SIG_IGN);
            }
        }
    }
}
