//! The process groups of targets, so that a gate that is ended by a signal leaves none running.
//!
//! A target has a group of its own and so hears no Ctrl-C. One that reads its input ends with the
//! gate; one that hangs would not.

use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// More targets than a gate has at once; one beyond them is merely not ended by a signal.
const MOST: usize = 1024;
/// The groups; 0 where there is none. A handler may not wait for a lock.
static GROUPS: [AtomicI32; MOST] = [const { AtomicI32::new(0) }; MOST];

/// Notes a group, which this process has made.
pub(super) fn enter(group: u32) {
    static WATCH: Once = Once::new();
    WATCH.call_once(watch);
    if let Ok(group) = i32::try_from(group) {
        let free = |place: &&AtomicI32| place.compare_exchange(0, group, SeqCst, SeqCst).is_ok();
        let _ = GROUPS.iter().find(free);
    }
}

/// Forgets a group: its number may soon be another's.
pub(super) fn leave(group: u32) {
    if let Ok(group) = i32::try_from(group) {
        let held = |place: &&AtomicI32| place.compare_exchange(group, 0, SeqCst, SeqCst).is_ok();
        let _ = GROUPS.iter().find(held);
    }
}

fn watch() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler does nothing but what is allowed in one.
        unsafe {
            let handler = end as extern "C" fn(libc::c_int) as *const () as libc::sighandler_t;
            let before = libc::signal(signal, handler);
            // What is ignored (nohup) or handled by somebody else stays as it is.
            if before != libc::SIG_DFL {
                libc::signal(signal, before);
            }
        }
    }
}

extern "C" fn end(signal: libc::c_int) {
    // SAFETY: all of these are allowed in a handler; the groups are this process's own.
    unsafe {
        for group in GROUPS.iter().map(|group| group.load(SeqCst)).filter(|&group| group > 0) {
            libc::kill(-group, libc::SIGKILL);
        }
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}
