//! A target behind a command: started, asked through its standard input, read from its standard
//! output, and ended whatever it does.
//!
//! Threads of its own write the requests, read the answers and keep the end of standard error, so
//! that no pipe that fills up can block the gate, and the gate itself only ever waits with a limit.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::errors::Errors;
use super::frame::{Frame, LONGEST, Reader, protocol};
use super::message;
use super::patience::{Occasion, Pace, Patience, Waiting, Watch, subject};
use crate::check::call::{Broken, Call, Candidate, Hello, Reply};

/// How often a silent target is looked after.
const TICK: Duration = Duration::from_millis(50);
/// From when on somebody is told that a call takes long.
const LONG: Duration = Duration::from_secs(2);
/// How long a target that has come to its end may take to be gone.
const GRACE: Duration = Duration::from_millis(500);

/// A target behind a command.
///
/// It is started at the first call; after a death, a timeout or an answer that cannot be read its
/// process group is killed, and the next call starts it anew.
#[derive(Debug)]
pub struct Process {
    command: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    patience: Patience,
    live: Option<Live>,
    hello: Hello,
    seq: u64,
    pace: Pace,
    watch: Option<Watch>,
}

impl Process {
    /// The target that `command`, a program and its arguments, starts.
    pub fn new(command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Process {
            command: command.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            patience: Patience::default(),
            live: None,
            hello: Hello::default(),
            seq: 0,
            pace: Pace::default(),
            watch: None,
        }
    }

    /// The same with a variable more in its environment.
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The same with other limits of time.
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The same, and `watch` hears of calls that take long.
    pub fn watched(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Starts the target where it does not run, and hears its introduction.
    fn start(&mut self) -> Result<&mut Live, Broken> {
        if self.live.is_none() {
            self.pace.forget();
            let mut live = Live::spawn(&self.command, &self.environment)?;
            let mut watch = Watched::new(self.watch.as_ref(), String::new(), Occasion::Hello);
            let introduction = live
                .exchange(message::hello()?, self.patience.hello, &mut watch)
                .and_then(|frame| message::introduction(&frame));
            self.hello = introduction.map_err(|broken| live.end(broken))?;
            self.live = Some(live);
        }
        self.live.as_mut().ok_or_else(|| Broken::Crash("it is not there".into()))
    }

    fn ask(&mut self, call: &Call, repeat: Option<usize>) -> Result<Reply, Broken> {
        self.seq += 1;
        let seq = self.seq;
        let frame = message::ask(seq, call, repeat)?;
        // A fresh process has everything to compile again.
        self.start()?;
        let repeats = repeat.unwrap_or(1).max(1);
        let (occasion, limit) = self.pace.limit(&self.patience, call, repeats);
        let mut watch = Watched::new(self.watch.as_ref(), subject(call), occasion);
        let live = self.live.as_mut().ok_or_else(|| Broken::Crash("it is not there".into()))?;
        let start = Instant::now();
        let reply =
            live.exchange(frame, limit, &mut watch).and_then(|frame| message::reply(frame, seq));
        match reply {
            Ok(reply) => {
                let seconds = start.elapsed().as_secs_f64() / repeats as f64;
                self.pace.answered(call, occasion, seconds);
                Ok(reply)
            }
            Err(broken) => {
                if matches!(broken, Broken::Timeout(_)) {
                    self.pace.hung(call);
                }
                let live = self.live.take();
                Err(live.map_or_else(|| broken.clone(), |mut live| live.end(broken.clone())))
            }
        }
    }
}

/// Tells somebody that a call takes long, once a second, and that it is over.
struct Watched<'a> {
    watch: Option<&'a Watch>,
    waiting: Waiting,
    told: Duration,
}

impl<'a> Watched<'a> {
    fn new(watch: Option<&'a Watch>, subject: String, occasion: Occasion) -> Watched<'a> {
        let waiting = Waiting { subject, occasion, elapsed: Duration::ZERO };
        Watched { watch, waiting, told: Duration::ZERO }
    }
    fn tick(&mut self, elapsed: Duration) {
        let Some(watch) = self.watch else { return };
        if elapsed >= LONG && elapsed.as_secs() > self.told.as_secs() {
            self.told = elapsed;
            self.waiting.elapsed = elapsed;
            (watch.0)(Some(&self.waiting));
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if let (Some(watch), false) = (self.watch, self.told.is_zero()) {
            (watch.0)(None);
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

impl Live {
    fn spawn(command: &[OsString], environment: &[(OsString, OsString)]) -> Result<Live, Broken> {
        let [program, args @ ..] = command else {
            return Err(protocol(
                "command",
                "is empty; a program and its arguments start a target",
            ));
        };
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(environment.iter().map(|(name, value)| (name, value)));
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
        thread::spawn(move || write(stdin, to_write));
        thread::spawn(move || read(stdout, arrived));
        let (requests, errors) = (Some(requests), Errors::of(stderr));
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
    fn exchange(
        &mut self,
        request: Vec<u8>,
        limit: Duration,
        watch: &mut Watched,
    ) -> Result<Frame, Broken> {
        // No operator answers with much more than it is asked with, and memory is not endless.
        self.reader.longest = (8 * request.len() as u64 + (64 << 20)).min(LONGEST);
        self.busy = true;
        let start = Instant::now();
        let deadline = start + limit;
        if let Some(requests) = &self.requests {
            // Where the writer is gone so is the target, and reading will tell how.
            let _ = requests.send(request);
        }
        loop {
            if let Some(frame) = self.reader.frame()? {
                self.busy = false;
                return Ok(frame);
            }
            watch.tick(start.elapsed());
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

    /// Ends what broke; to a death, or to an answer that stops short, belongs what was last said on
    /// standard error.
    fn end(&mut self, broken: Broken) -> Broken {
        self.kill();
        match broken {
            Broken::Crash(how) => {
                let said = self.errors.told(GRACE);
                Broken::Crash(how + said.as_deref().unwrap_or("; nothing on standard error"))
            }
            Broken::Protocol(why) => {
                let said = self.errors.told(GRACE);
                Broken::Protocol(why + said.as_deref().unwrap_or_default())
            }
            Broken::Timeout(_) | Broken::Late => broken,
        }
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
