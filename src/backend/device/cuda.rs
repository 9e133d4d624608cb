//! A GPU through its driver, which is all that is needed: the driver compiles the PTX that ships.
//!
//! Everything goes through one stream, so that calls take effect in the order in which they come.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{DriverError, result, sys};

use super::machine::{Machine, Value};
use crate::op::device::{Chip, Launch};

/// The oldest compute capability that the kernels are compiled for.
const OLDEST: (i32, i32) = (8, 0);

/// A GPU.
#[derive(Debug, Clone)]
pub struct Cuda(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    device: sys::CUdevice,
    context: sys::CUcontext,
    stream: sys::CUstream,
    chip: Chip,
    name: String,
    state: Mutex<State>,
}

// SAFETY: the handles are valid on every thread that has made the context its own, which every call
// does first; the driver guards them itself.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

#[derive(Debug, Default)]
struct State {
    /// By the address of their text, which is the program's own.
    modules: HashMap<usize, sys::CUmodule>,
    functions: HashMap<(usize, &'static str), sys::CUfunction>,
    failure: Option<String>,
}

/// An error of the driver in words.
fn words(doing: &str, error: DriverError) -> String {
    let said = error.error_string().map(|text| text.to_string_lossy().into_owned());
    format!("{doing}: {}", said.unwrap_or_else(|_| format!("{:?}", error.0)))
}

impl Cuda {
    /// The first GPU of this machine.
    ///
    /// # Errors
    /// In a line what was found and what is needed: a driver, a GPU, one that is not too old.
    pub fn open() -> Result<Self, String> {
        // SAFETY: it looks for a library and loads it, no more.
        if !unsafe { sys::is_culib_present() } {
            return Err("no NVIDIA driver was found (libcuda); a GPU needs one".into());
        }
        result::init().map_err(|error| words("the NVIDIA driver does not start", error))?;
        let count = result::device::get_count().unwrap_or(0);
        if count == 0 {
            return Err("the NVIDIA driver sees no GPU".into());
        }
        let device = result::device::get(0).map_err(|error| words("the first GPU", error))?;
        let name = result::device::get_name(device).unwrap_or_else(|_| "GPU".into());
        let attribute = |attribute| {
            // SAFETY: the device is one that the driver has named.
            let value = unsafe { result::device::get_attribute(device, attribute) };
            value.map_err(|error| words(&name, error))
        };
        use sys::CUdevice_attribute::*;
        let capability = (
            attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        if capability < OLDEST {
            let ((major, minor), (least, more)) = (capability, OLDEST);
            return Err(format!(
                "{name} has compute capability {major}.{minor}; {least}.{more} or later is needed"
            ));
        }
        let multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as u32;
        // SAFETY: as above; it is released when the last owner is dropped.
        let context = unsafe { result::primary_ctx::retain(device) };
        let context = context.map_err(|error| words(&name, error))?;
        // SAFETY: the context has just been had.
        unsafe { result::ctx::set_current(context) }.map_err(|error| words(&name, error))?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking)
            .map_err(|error| words(&name, error))?;
        let (chip, state) = (Chip::new(multiprocessors), Mutex::default());
        Ok(Cuda(Arc::new(Shared { device, context, stream, chip, name, state })))
    }

    /// What the GPU is called.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something unless something has gone wrong before, and keeps what goes wrong.
    fn unless_failed(
        &self,
        doing: &str,
        act: impl FnOnce(&Shared, &mut State) -> Result<(), DriverError>,
    ) {
        let mut state = self.state();
        if state.failure.is_some() {
            return;
        }
        // SAFETY: the context lives as long as its owner.
        let current = unsafe { result::ctx::set_current(self.0.context) };
        let done = current.and_then(|()| act(&self.0, &mut state));
        state.failure = done.err().map(|error| words(&format!("{}, {doing}", self.0.name), error));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: nobody is left who could use them. What fails here fails at the end of everything.
        unsafe {
            let _ = result::ctx::set_current(self.context);
            let _ = result::stream::destroy(self.stream);
            let _ = result::primary_ctx::release(self.device);
        }
    }
}

/// Memory of the GPU, given back when dropped.
#[derive(Debug)]
pub struct Held {
    /// 0 where there is none: of no bytes, or after a failure.
    pointer: sys::CUdeviceptr,
    machine: Cuda,
}

impl Drop for Held {
    fn drop(&mut self) {
        let pointer = self.pointer;
        if pointer != 0 {
            // SAFETY: allocated here, freed once, and after all work on it: freeing waits.
            self.machine
                .unless_failed("giving memory back", |_, _| unsafe { result::free_sync(pointer) });
        }
    }
}

impl Machine for Cuda {
    type Memory = Held;

    fn chip(&self) -> Chip {
        self.0.chip
    }

    fn allocate(&self, bytes: usize, zeros: bool) -> Held {
        let mut pointer = 0;
        if bytes > 0 {
            self.unless_failed(&format!("allocating {bytes} bytes"), |shared, _| unsafe {
                // SAFETY: nobody has the memory before it is filled, in the order of the stream.
                pointer = result::malloc_sync(bytes)?;
                if zeros {
                    result::memset_d8_async(pointer, 0, bytes, shared.stream)
                } else {
                    Ok(())
                }
            });
        }
        Held { pointer, machine: self.clone() }
    }

    fn write(&self, to: &Held, at: usize, bytes: &[u8]) {
        self.unless_failed("writing", |shared, _| unsafe {
            // SAFETY: the source is read before this returns, since the stream is waited for.
            result::memcpy_htod_async(to.pointer + at as u64, bytes, shared.stream)?;
            result::stream::synchronize(shared.stream)
        });
    }

    fn read(&self, from: &Held, at: usize, bytes: &mut [u8]) {
        self.unless_failed("reading", |shared, _| unsafe {
            // SAFETY: as above.
            result::memcpy_dtoh_async(bytes, from.pointer + at as u64, shared.stream)?;
            result::stream::synchronize(shared.stream)
        });
    }

    fn copy(&self, from: &Held, from_at: usize, to: &Held, to_at: usize, bytes: usize) {
        let (from, to) = (from.pointer + from_at as u64, to.pointer + to_at as u64);
        self.unless_failed("copying", |shared, _| unsafe {
            // SAFETY: both are memory of this device, and live until the stream has done its work.
            result::memcpy_dtod_async(to, from, bytes, shared.stream)
        });
    }

    fn launch(&self, ptx: &'static str, launch: &Launch, values: &[Value<Held>]) {
        self.unless_failed(launch.kernel, |shared, state| {
            let function = function(state, ptx, launch.kernel)?;
            // Eight bytes hold any of them; the kernel reads as many as its parameter has.
            let mut words: Vec<u64> = (values.iter())
                .map(|value| match *value {
                    Value::Null => 0,
                    Value::Pointer(held, at) => held.pointer + at as u64,
                    Value::U32(count) => count.into(),
                    Value::U64(count) => count,
                    Value::F32(number) => number.to_bits().into(),
                })
                .collect();
            let mut params: Vec<*mut c_void> =
                words.iter_mut().map(|word| std::ptr::from_mut(word).cast()).collect();
            let (blocks, threads) = ((launch.blocks, 1, 1), (launch.threads, 1, 1));
            // SAFETY: the parameters are as many and of the kinds that the kernel takes: the same
            // list is checked on the interpreter. They are copied before this returns.
            unsafe {
                result::launch_kernel(function, blocks, threads, 0, shared.stream, &mut params)
            }
        });
    }

    fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }
}

/// A kernel, compiled by the driver when its module is first used.
fn function(
    state: &mut State,
    ptx: &'static str,
    kernel: &'static str,
) -> Result<sys::CUfunction, DriverError> {
    let text = ptx.as_ptr() as usize;
    if let Some(&function) = state.functions.get(&(text, kernel)) {
        return Ok(function);
    }
    let module = match state.modules.get(&text) {
        Some(&module) => module,
        None => {
            let image = CString::new(ptx).unwrap_or_default();
            // SAFETY: a text that ends in a zero, which is read before this returns.
            let module = unsafe { result::module::load_data(image.as_ptr().cast()) }?;
            state.modules.insert(text, module);
            module
        }
    };
    let name = CString::new(kernel).unwrap_or_default();
    // SAFETY: modules are never unloaded.
    let function = unsafe { result::module::get_function(module, name) }?;
    state.functions.insert((text, kernel), function);
    Ok(function)
}
