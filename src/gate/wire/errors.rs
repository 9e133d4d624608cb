//! The end of what a target says on standard error, which is where the cause of a death stands.

use std::collections::VecDeque;
use std::io::Read;
use std::process::ChildStderr;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How much of standard error is kept.
const TAIL: usize = 8 << 10;

/// The end of standard error, and word that there will be no more.
#[derive(Debug)]
pub(super) struct Errors {
    tail: Arc<Mutex<Tail>>,
    closed: Receiver<()>,
}

/// The last bytes, and how many lines were before them.
#[derive(Debug, Default)]
struct Tail {
    bytes: VecDeque<u8>,
    lines_before: usize,
}

impl Errors {
    /// Reads to the end in a thread of its own, so that no pipe that is full can block a target.
    pub(super) fn of(stderr: ChildStderr) -> Errors {
        let (done, closed) = channel();
        let tail = Arc::new(Mutex::new(Tail::default()));
        let kept = Arc::clone(&tail);
        thread::spawn(move || {
            keep(stderr, &kept);
            // Nobody listens where the process was ended by the gate.
            let _ = done.send(());
        });
        Errors { tail, closed }
    }

    /// What was said last, for a message: `; standard error ends:` and the lines, or that there are
    /// none. Waits a little for the pipe to close, which is open still where a child left the group.
    pub(super) fn told(&self, grace: Duration) -> Option<String> {
        let _ = self.closed.recv_timeout(grace);
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let before = tail.lines_before;
        let text = String::from_utf8_lossy(tail.bytes.make_contiguous()).into_owned();
        // The line that was cut into is no line.
        let text = match text.split_once('\n') {
            Some((_, rest)) if before > 0 && !rest.trim().is_empty() => rest,
            _ => &text,
        };
        let text = text.trim();
        match (text.is_empty(), before) {
            (true, _) => None,
            (false, 0) => Some(format!("; standard error ends:\n{text}")),
            (false, _) => {
                Some(format!("; standard error ends, after {before} lines more:\n{text}"))
            }
        }
    }
}

/// Reads to the end and keeps the last bytes.
fn keep(mut stderr: impl Read, tail: &Mutex<Tail>) {
    let mut bytes = vec![0; TAIL];
    while let Ok(count) = stderr.read(&mut bytes) {
        if count == 0 {
            return;
        }
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.bytes.extend(&bytes[..count]);
        let past = tail.bytes.len().saturating_sub(TAIL);
        let gone = tail.bytes.drain(..past).filter(|&byte| byte == b'\n').count();
        // The line that is cut into counts as gone.
        let first = usize::from(past > 0 && tail.lines_before == 0);
        tail.lines_before += gone + first;
    }
}
