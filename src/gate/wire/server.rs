//! Any target as a command that speaks the protocol.

use std::io::{self, ErrorKind, Read, Write};

use super::frame::Reader;
use super::message::{self, Request};
use crate::check::call::{Broken, Candidate, Reply};

/// Answers the requests of `input` until `bye` or its end.
///
/// A call that the candidate breaks at is answered with an error; a request that cannot be read
/// ends the conversation.
pub fn serve(
    candidate: &mut dyn Candidate,
    mut input: impl Read,
    mut output: impl Write,
) -> io::Result<()> {
    let invalid = |broken: Broken| io::Error::new(ErrorKind::InvalidData, broken.to_string());
    let mut reader = Reader::default();
    let mut bytes = vec![0; 64 << 10];
    loop {
        while let Some(frame) = reader.frame().map_err(invalid)? {
            let request = message::request(frame).map_err(invalid)?;
            let (seq, result) = match request {
                Request::Bye => return Ok(()),
                Request::Hello => {
                    let hello = candidate.hello().map_err(invalid)?;
                    output.write_all(&message::introduce(&hello).map_err(invalid)?)?;
                    output.flush()?;
                    continue;
                }
                Request::Run(seq, call) => (seq, candidate.run(&call)),
                Request::Time(seq, call, repeat) => (seq, candidate.time(&call, repeat)),
            };
            let reply = result.unwrap_or_else(|broken| Reply::Error(broken.to_string()));
            output.write_all(&message::answer(seq, &reply).map_err(invalid)?)?;
            output.flush()?;
        }
        match input.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => reader.push(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The same over standard input and output. What the candidate prints goes to standard error, so
/// that it cannot come between frames.
pub fn serve_stdio(candidate: &mut dyn Candidate) -> io::Result<()> {
    serve(candidate, io::stdin().lock(), private_stdout()?)
}

/// Standard output under a descriptor of its own; the usual one becomes standard error.
#[cfg(unix)]
pub(super) fn private_stdout() -> io::Result<impl Write> {
    use std::os::fd::{AsFd, AsRawFd};
    let own = io::stdout().as_fd().try_clone_to_owned()?;
    // SAFETY: both descriptors are open for as long as the process lives.
    if unsafe { libc::dup2(io::stderr().as_raw_fd(), io::stdout().as_raw_fd()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(std::fs::File::from(own))
}

#[cfg(not(unix))]
pub(super) fn private_stdout() -> io::Result<impl Write> {
    Ok(io::stdout())
}
