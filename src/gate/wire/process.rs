//! A target behind a command: started, asked through its standard input, read from its standard
//! output, and ended whatever it does.
//!
//! Threads of its own write the requests, read the answers and keep the end of standard error, so
//! that no pipe that fills up can block the gate, and the gate itself only ever waits with a limit.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::frame::{Frame, LONGEST, Reader, protocol};
use super::message;
use crate::gate::call::{Broken, Call, Candidate, Hello, Reply};

/// How much of standard error is kept.
const TAIL: usize = 8 << 10;
/// How often a silent target is looked after.
const TICK: Duration = Duration::from_millis(50);
/// How long a target that has come to its end may take to be gone.
const GRACE: Duration = Duration::from_millis(500);

/// How long a target may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// To introduce itself: frameworks load slowly.
    pub hello: Duration,
    /// For any call.
    pub least: Duration,
    /// For a call, in medians of the calls before it.
    pub factor: f64,
}

impl Default for Patience {
    fn default() -> Self {
        let (hello, least) = (Duration::from_secs(60), Duration::from_secs(5));
        Patience { hello, least, factor: 50.0 }
    }
}

/// A target behind a command.
///
/// It is started at the first call; after a death, a timeout or an answer that cannot be read its
/// process group is killed, and the next call starts it anew.
#[derive(Debug)]
pub struct Process {
    command: Vec<OsString>,
    patience: Patience,
    live: Option<Live>,
    hello: Hello,
    seq: u64,
    /// Seconds of the answered calls, in ascending order.
    durations: Vec<f64>,
}

impl Process {
    /// The target that `command`, a program and its arguments, starts.
    pub fn new(command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Process {
            command: command.into_iter().map(Into::into).collect(),
            patience: Patience::default(),
            live: None,
            hello: Hello::default(),
            seq: 0,
            durations: Vec::new(),
        }
    }

    /// The same with other limits of time.
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the target where it does not run, and hears its introduction.
    fn start(&mut self) -> Result<&mut Live, Broken> {
        if self.live.is_none() {
            let mut live = Live::spawn(&self.command)?;
            let introduction = live
                .exchange(message::hello()?, self.patience.hello)
                .and_then(|frame| message::introduction(&frame));
            self.hello = introduction.map_err(|broken| live.end(broken))?;
            self.live = Some(live);
        }
        self.live.as_mut().ok_or_else(|| Broken::Crash("it is not there".into()))
    }

    fn ask(&mut self, call: &Call, repeat: Option<usize>) -> Result<Reply, Broken> {
        let median = self.durations.get(self.durations.len() / 2).copied().unwrap_or(0.0);
        let work = self.patience.factor * median * repeat.unwrap_or(1) as f64;
        let limit = self.patience.least.max(Duration::from_secs_f64(work.min(1e9)));
        self.seq += 1;
        let seq = self.seq;
        let frame = message::ask(seq, call, repeat)?;
        let live = self.start()?;
        let start = Instant::now();
        let reply = live.exchange(frame, limit).and_then(|frame| message::reply(frame, seq));
        match reply {
            Ok(reply) => {
                if repeat.is_none() {
                    let seconds = start.elapsed().as_secs_f64();
                    let place = self.durations.partition_point(|&other| other < seconds);
                    self.durations.insert(place, seconds);
                }
                Ok(reply)
            }
            Err(broken) => {
                let live = self.live.take();
                Err(live.map_or_else(|| broken.clone(), |mut live| live.end(broken.clone())))
            }
        }
    }
}

impl Candidate for Process {
    fn hello(&mut self) -> Result<Hello, Broken> {
        self.start()?;
        Ok(self.hello.clone())
    }
    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        self.ask(call, None)
    }
    fn time(&mut self, call: &Call, repeat: usize) -> Result<Reply, Broken> {
        self.ask(call, Some(repeat))
    }
    fn restart(&mut self) -> Result<(), Broken> {
        self.live = None;
        self.start().map(|_| ())
    }
}

/// A process that runs.
#[derive(Debug)]
struct Live {
    child: Child,
    requests: Option<Sender<Vec<u8>>>,
    replies: Receiver<Vec<u8>>,
    reader: Reader,
    errors: Errors,
    /// True while a request is out.
    busy: bool,
    /// True once its group was killed: the number may soon be that of another group.
    killed: bool,
}

/// The end of standard error, and word that there will be no more.
#[derive(Debug)]
struct Errors {
    tail: Arc<Mutex<VecDeque<u8>>>,
    closed: Receiver<()>,
}

impl Live {
    fn spawn(command: &[OsString]) -> Result<Live, Broken> {
        let [program, args @ ..] = command else {
            return Err(protocol(
                "command",
                "is empty; a program and its arguments start a target",
            ));
        };
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| {
            let program = program.to_string_lossy();
            protocol("command", format!("{program} cannot be started ({error})"))
        })?;
        #[cfg(unix)]
        super::groups::enter(child.id());
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(protocol("command", "has no pipes"));
        };
        let (requests, to_write) = channel();
        let (arrived, replies) = sync_channel(16);
        let (done, closed) = channel();
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&tail);
        thread::spawn(move || write(stdin, to_write));
        thread::spawn(move || read(stdout, arrived));
        thread::spawn(move || {
            keep(stderr, &kept);
            // Nobody listens where the process was ended by the gate.
            let _ = done.send(());
        });
        let (requests, errors) = (Some(requests), Errors { tail, closed });
        Ok(Live {
            child,
            requests,
            replies,
            reader: Reader::default(),
            errors,
            busy: false,
            killed: false,
        })
    }

    /// Sends a request and waits for the frame that answers it.
    fn exchange(&mut self, request: Vec<u8>, limit: Duration) -> Result<Frame, Broken> {
        // No operator answers with much more than it is asked with, and memory is not endless.
        self.reader.longest = (8 * request.len() as u64 + (64 << 20)).min(LONGEST);
        self.busy = true;
        let deadline = Instant::now() + limit;
        if let Some(requests) = &self.requests {
            // Where the writer is gone so is the target, and reading will tell how.
            let _ = requests.send(request);
        }
        loop {
            if let Some(frame) = self.reader.frame()? {
                self.busy = false;
                return Ok(frame);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Broken::Timeout(limit.as_secs_f64()));
            }
            match self.replies.recv_timeout(left.min(TICK)) {
                Ok(bytes) => self.reader.push(&bytes),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
                Err(RecvTimeoutError::Timeout) => {
                    // A child of the target may hold the pipe open when the target is dead.
                    let dead = self.child.try_wait().is_ok_and(|status| status.is_some());
                    if dead && let Ok(bytes) = self.replies.try_recv() {
                        self.reader.push(&bytes);
                    } else if dead {
                        return Err(self.ended());
                    }
                }
            }
        }
    }

    /// Why no more bytes come.
    fn ended(&mut self) -> Broken {
        let (rest, status) = (self.reader.rest().len(), self.wait(GRACE));
        match status {
            None => protocol("standard output", "was closed while an answer was due"),
            Some(status) if status.success() && rest > 0 => {
                protocol("frame", format!("ended after {rest} bytes, and the adapter with it"))
            }
            Some(status) => Broken::Crash(describe(status)),
        }
    }

    /// How the process ended, if it does so in time.
    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends the whole process group.
    fn kill(&mut self) {
        if std::mem::replace(&mut self.killed, true) {
            return;
        }
        #[cfg(unix)]
        if let Ok(group) = i32::try_from(self.child.id()) {
            // SAFETY: a signal to a group that this process has made.
            unsafe { libc::kill(-group, libc::SIGKILL) };
            super::groups::leave(self.child.id());
        }
        // Where it has ended already there is nothing to end, and its status is known.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends what broke; to a death belongs what was last said on standard error.
    fn end(&mut self, broken: Broken) -> Broken {
        self.kill();
        let Broken::Crash(how) = broken else { return broken };
        // The pipe is open still where a child left the group.
        let _ = self.errors.closed.recv_timeout(GRACE);
        let mut tail = self.errors.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let tail = String::from_utf8_lossy(tail.make_contiguous()).trim().to_string();
        if tail.is_empty() {
            return Broken::Crash(format!("{how}; nothing on standard error"));
        }
        Broken::Crash(format!("{how}; standard error ends:\n{tail}"))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let (Some(requests), false, Ok(bye)) = (self.requests.take(), self.busy, message::bye())
        {
            // A target that is gone needs no farewell.
            let _ = requests.send(bye);
            drop(requests);
            self.wait(GRACE);
        }
        self.kill();
    }
}

/// Writes requests until there are no more, or nobody reads them.
fn write(mut stdin: ChildStdin, requests: Receiver<Vec<u8>>) {
    for request in requests {
        if stdin.write_all(&request).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

/// Passes on what arrives; the channel is bounded, so what nobody waits for stays in the pipe.
fn read(mut stdout: ChildStdout, arrived: SyncSender<Vec<u8>>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count) = stdout.read(&mut bytes) {
        if count == 0 || arrived.send(bytes[..count].to_vec()).is_err() {
            return;
        }
    }
}

/// Reads to the end and keeps the last bytes.
fn keep(mut stderr: ChildStderr, tail: &Mutex<VecDeque<u8>>) {
    let mut bytes = vec![0; TAIL];
    while let Ok(count) = stderr.read(&mut bytes) {
        if count == 0 {
            return;
        }
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&bytes[..count]);
        let past = tail.len().saturating_sub(TAIL);
        tail.drain(..past);
    }
}

/// How a process ended, in words.
fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = match signal {
            libc::SIGABRT => "SIGABRT",
            libc::SIGBUS => "SIGBUS",
            libc::SIGFPE => "SIGFPE",
            libc::SIGILL => "SIGILL",
            libc::SIGKILL => "SIGKILL",
            libc::SIGSEGV => "SIGSEGV",
            libc::SIGTERM => "SIGTERM",
            libc::SIGTRAP => "SIGTRAP",
            _ => return format!("killed by signal {signal}"),
        };
        return format!("killed by {name}");
    }
    match status.code() {
        Some(code) => format!("exited with code {code}"),
        None => "ended".into(),
    }
}
