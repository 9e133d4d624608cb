//! A target behind a C interface: `adapters/c/plummet.h` says what it exports.
//!
//! A library may do anything to the process that loads it, so the gate never does: a worker, our
//! own program started again, loads it and speaks the protocol. In the worker every buffer lies
//! between two pages that must not be touched, inputs are read-only, and outputs are full of NaN
//! before the call. What goes wrong then is a death of the worker, with the buffer named.

use std::ffi::OsString;
use std::io;
use std::path::Path;

/// The command of the worker that serves a library: what [`Process`](super::Process) starts.
pub fn command(path: &Path) -> io::Result<Vec<OsString>> {
    // Without a folder in its name the loader would look for it elsewhere.
    let path = path.canonicalize()?;
    Ok(vec![std::env::current_exe()?.into(), "adapter".into(), "--lib".into(), path.into()])
}

#[cfg(unix)]
pub use unix::{Library, serve_stdio};

/// Libraries are loaded on Unix only.
#[cfg(not(unix))]
pub fn serve_stdio(_: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "--lib: libraries are loaded on Unix only"))
}

#[cfg(unix)]
mod unix {
    use std::ffi::{CStr, CString, c_char, c_int, c_void};
    use std::io;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use serde_json::{Map, Value};

    use crate::check::call::{Broken, Call, Candidate, Hello, PROTOCOL, Reply};
    use crate::check::spec::truth;
    use crate::check::tensor::{Dtype, Tensors};
    use crate::check::{oracle, spec};
    use crate::gate::wire::frame::{Frame, protocol};
    use crate::gate::wire::guarded::{self, Buffer, Side};
    use crate::gate::wire::{message, server};

    /// `plummet_tensor` of the header.
    #[repr(C)]
    struct Raw {
        name: *const c_char,
        dtype: *const c_char,
        rank: usize,
        dims: *const usize,
        data: *mut c_void,
    }

    type HelloFn = unsafe extern "C" fn() -> *const c_char;
    type RunFn = unsafe extern "C" fn(
        *const c_char,
        *const Raw,
        usize,
        *mut Raw,
        usize,
        *mut c_char,
        usize,
    ) -> c_int;

    /// Serves a library over standard input and output.
    pub fn serve_stdio(path: &Path) -> io::Result<()> {
        // A library may print as it is loaded.
        let output = server::private_stdout()?;
        server::serve(&mut Library::open(path)?, io::stdin().lock(), output)
    }

    /// A loaded library. It can end this process, which is why the gate has another for it.
    #[derive(Debug)]
    pub struct Library {
        hello: HelloFn,
        run: RunFn,
        outputs: Option<Outputs>,
    }

    /// The outputs of the question before. It mostly comes again, and their shapes cost a formula.
    #[derive(Debug)]
    struct Outputs {
        question: CString,
        given: Vec<(String, Vec<usize>)>,
        all: Vec<(String, Dtype, Vec<usize>)>,
    }

    impl Outputs {
        fn of(question: CString, call: &Call) -> Outputs {
            let named = truth::truth(call).into_iter();
            let wanted = named.filter(|named| call.want.contains(&named.name));
            let all = wanted.map(|named| {
                let dtype = oracle::dtype_of(call, &named.name);
                (named.name, dtype, named.shape)
            });
            Outputs { question, given: given(call), all: all.collect() }
        }
    }

    fn given(call: &Call) -> Vec<(String, Vec<usize>)> {
        call.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect()
    }

    impl Library {
        /// Loads a library, and handles faults of memory from then on.
        pub fn open(path: &Path) -> io::Result<Library> {
            let text = CString::new(path.as_os_str().as_bytes())?;
            // SAFETY: the path ends with 0; what loading runs is what this process is for.
            let handle = unsafe { libc::dlopen(text.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
            if handle.is_null() {
                return Err(io::Error::other(format!("--lib: {}", loader_error())));
            }
            let symbol = |name: &CStr| {
                // SAFETY: the library is loaded and never closed.
                let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
                let missing = || format!("--lib: {} does not export {name:?}", path.display());
                if symbol.is_null() { Err(io::Error::other(missing())) } else { Ok(symbol) }
            };
            let (hello, run) = (symbol(c"plummet_hello")?, symbol(c"plummet_run")?);
            guarded::watch();
            // SAFETY: by the header, functions of these names have these types.
            Ok(unsafe {
                Library {
                    hello: std::mem::transmute::<*mut c_void, HelloFn>(hello),
                    run: std::mem::transmute::<*mut c_void, RunFn>(run),
                    outputs: None,
                }
            })
        }

        /// Calls the library `repeat` times, the buffers at one side of their pages.
        fn call(&mut self, call: &Call, side: Side, repeat: usize) -> Result<Reply, Broken> {
            let memory = |error: io::Error| protocol("memory", error);
            let request = message::question(0, call, None).to_string();
            let request = CString::new(request).map_err(|error| protocol("request", error))?;
            let mut buffers = Vec::new();
            for (name, tensor) in &call.tensors {
                buffers.push(Buffer::holding(name, tensor, side).map_err(memory)?);
            }
            let known = self.outputs.take();
            let known =
                known.filter(|known| known.question == request && known.given == given(call));
            let outputs = known.unwrap_or_else(|| Outputs::of(request.clone(), call));
            for (name, dtype, shape) in &outputs.all {
                buffers.push(Buffer::new(name, *dtype, shape, side).map_err(memory)?);
            }
            self.outputs = Some(outputs);
            let inputs = call.tensors.len();
            let mut said = [0u8; 1024];
            let code = guarded::watched(&mut buffers, |buffers| {
                let mut raw: Vec<Raw> = buffers.iter().map(raw).collect();
                let (inputs, outputs) = raw.split_at_mut(inputs);
                let mut code = 0;
                for _ in 0..repeat.max(1) {
                    // SAFETY: as the header promises; what the library does besides is watched.
                    code = unsafe {
                        (self.run)(
                            request.as_ptr(),
                            inputs.as_ptr(),
                            inputs.len(),
                            outputs.as_mut_ptr(),
                            outputs.len(),
                            said.as_mut_ptr().cast(),
                            said.len(),
                        )
                    };
                }
                code
            });
            let said = said.split(|&byte| byte == 0).next().unwrap_or_default();
            let said = String::from_utf8_lossy(said).into_owned();
            match code {
                0 => {
                    let outputs = buffers[inputs..].iter();
                    let named = |buffer: &Buffer| {
                        (buffer.name.to_string_lossy().into_owned(), buffer.tensor())
                    };
                    Ok(Reply::Ok(outputs.map(named).collect()))
                }
                1 => Ok(Reply::Unsupported(said)),
                2 => Ok(Reply::Error(said)),
                code => Err(protocol("plummet_run", format!("returned {code}, not 0, 1 or 2"))),
            }
        }
    }

    fn raw(buffer: &Buffer) -> Raw {
        Raw {
            name: buffer.name.as_ptr(),
            dtype: buffer.dtype().as_ptr(),
            rank: buffer.shape.len(),
            dims: buffer.shape.as_ptr(),
            data: buffer.data(),
        }
    }

    fn loader_error() -> String {
        // SAFETY: the loader's own text, or nothing.
        let text = unsafe { libc::dlerror() };
        if text.is_null() {
            return "cannot be loaded".into();
        }
        // SAFETY: a text that ends with 0, ours until the next call of the loader.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }

    impl Candidate for Library {
        fn hello(&mut self) -> Result<Hello, Broken> {
            // SAFETY: by the header, a text that ends with 0 or nothing.
            let text = unsafe {
                let text = (self.hello)();
                if text.is_null() {
                    return Err(protocol("plummet_hello", "returned no text"));
                }
                CStr::from_ptr(text)
            };
            let message = serde_json::from_slice::<Map<String, Value>>(text.to_bytes());
            let mut message = message.map_err(|error| protocol("plummet_hello", error))?;
            // A library has no need to say what kind of message this is.
            message.entry("kind").or_insert("hello".into());
            message.entry("protocol").or_insert(PROTOCOL.into());
            message::introduction(&Frame { message, tensors: Tensors::new() })
        }

        /// Both sides of the buffers are guarded, one after the other; which of the two answers is
        /// given depends on the case alone, so that paths for aligned data and for other data are
        /// both judged.
        fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
            if spec::find(&call.op).is_none() {
                return Ok(Reply::Unsupported(format!(
                    "op = {}: not in the specification",
                    call.op
                )));
            }
            let first = self.call(call, Side::Begin, 1)?;
            let second = self.call(call, Side::End, 1)?;
            let odd = call.id.bytes().fold(0, |parity, byte| parity ^ byte.count_ones()) % 2 == 1;
            let failed = !matches!(first, Reply::Ok(_));
            Ok(if failed || odd { first } else { second })
        }

        fn time(&mut self, call: &Call, repeat: usize) -> Result<Reply, Broken> {
            if spec::find(&call.op).is_none() {
                return self.run(call);
            }
            self.call(call, Side::Begin, repeat)
        }
    }
}
