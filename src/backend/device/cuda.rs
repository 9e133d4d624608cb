//! A GPU through its driver, which is all that is needed: the driver compiles the PTX that ships.
//!
//! Everything goes through one stream, so that calls take effect in the order in which they come. Two
//! machines on one GPU share its context and have a stream each.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{DriverError, result, sys};

use super::machine::{Machine, Product, Value};
use super::products::{Library, Pointed};
use crate::op::device::{Chip, Launch};

/// The oldest compute capability that the kernels are compiled for.
const OLDEST: (i32, i32) = (8, 0);
/// The oldest version of CUDA whose drivers read the kernels, as drivers count: see `LANGUAGE` in
/// verify/cuda/compile.py.
const OLDEST_DRIVER: i32 = 12_000;

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
    /// The library of products, where this machine has it.
    blas: Option<Library>,
    functions: HashMap<(usize, &'static str), sys::CUfunction>,
    /// While a list is kept: the memory that it works on.
    kept: Option<HashMap<sys::CUdeviceptr, Arc<Block>>>,
    failure: Option<String>,
}

/// An error of the driver in words.
fn words(doing: &str, error: DriverError) -> String {
    let said = error.error_string().map(|text| text.to_string_lossy().into_owned());
    format!("{doing}: {}", said.unwrap_or_else(|_| format!("{:?}", error.0)))
}

impl Cuda {
    /// The first GPU of this machine; `tf32` says whether products of matrices may round their factors to
    /// the ten bits of TF32.
    ///
    /// # Errors
    /// In a line what was found and what is needed: a driver, a GPU, one that is not too old.
    pub fn open(tf32: bool) -> Result<Self, String> {
        // SAFETY: it looks for a library and loads it, no more.
        if !unsafe { sys::is_culib_present() } {
            return Err("no NVIDIA driver was found (libcuda); a GPU needs one".into());
        }
        result::init().map_err(|error| words("the NVIDIA driver does not start", error))?;
        let mut driver = 0;
        // SAFETY: it writes one number.
        let asked = unsafe { sys::cuDriverGetVersion(&mut driver) }.result();
        asked.map_err(|error| words("the NVIDIA driver", error))?;
        if driver < OLDEST_DRIVER {
            let [found, least] = [driver, OLDEST_DRIVER].map(version);
            return Err(format!(
                "the NVIDIA driver is for CUDA {found}; one for {least} or later is needed"
            ));
        }
        let count = result::device::get_count().unwrap_or(0);
        if count == 0 {
            return Err("the NVIDIA driver sees no GPU".into());
        }
        let device = result::device::get(0).map_err(|error| words("the first GPU", error))?;
        let name = result::device::get_name(device).unwrap_or_else(|_| "GPU".into());
        let name = format!("{name}, driver for CUDA {}", version(driver));
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
        let blas = Library::open(tf32).map_err(|error| words(&name, error))?;
        let name = match (&blas, tf32) {
            (None, _) => name,
            (Some(_), false) => format!("{name}, products by cuBLASLt"),
            (Some(_), true) => format!("{name}, products by cuBLASLt in TF32"),
        };
        let chip = Chip::new(multiprocessors);
        let state = Mutex::new(State { blas, ..State::default() });
        Ok(Cuda(Arc::new(Shared { device, context, stream, chip, name, state })))
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

/// As people write it: 12.8 for 12080.
fn version(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: nobody is left who could use them. What fails here fails at the end of everything.
        unsafe {
            let _ = result::ctx::set_current(self.context);
            let _ = result::stream::synchronize(self.stream);
            let _ = result::stream::destroy(self.stream);
            if let Some(blas) = &mut state.blas {
                blas.close();
            }
            for &module in state.modules.values() {
                let _ = result::module::unload(module);
            }
            let _ = result::primary_ctx::release(self.device);
        }
    }
}

/// Memory of the GPU, given back when nobody has it any more: neither its owner nor a list of launches.
pub type Held = Arc<Block>;

/// Some bytes of the GPU.
#[derive(Debug)]
pub struct Block {
    /// 0 where there is none: of no bytes, or after a failure.
    pointer: sys::CUdeviceptr,
    machine: Cuda,
}

impl Drop for Block {
    fn drop(&mut self) {
        let pointer = self.pointer;
        if pointer != 0 {
            // SAFETY: allocated here, freed once, and after all work on it: freeing waits.
            self.machine
                .unless_failed("giving memory back", |_, _| unsafe { result::free_sync(pointer) });
        }
    }
}

/// A graph that can be launched, with the memory that it works on.
#[derive(Debug)]
pub struct Graph {
    graph: sys::CUgraphExec,
    machine: Cuda,
    _memory: Vec<Held>,
}

// SAFETY: as for the handles of the machine.
unsafe impl Send for Graph {}
// SAFETY: as above.
unsafe impl Sync for Graph {}

impl Drop for Graph {
    fn drop(&mut self) {
        let graph = self.graph;
        self.machine.unless_failed("giving a graph back", |shared, _| unsafe {
            // SAFETY: made here, given back once, when its last launch is done.
            result::stream::synchronize(shared.stream)?;
            result::graph::exec_destroy(graph)
        });
    }
}

impl Machine for Cuda {
    type Memory = Held;
    type Recording = Graph;

    fn chip(&self) -> Chip {
        self.0.chip
    }

    fn name(&self) -> String {
        self.0.name.clone()
    }

    /// All but a sixteenth of what is free, which compiled kernels and recorded steps take.
    fn free(&self) -> Option<u64> {
        let mut free = None;
        self.unless_failed("asking for its memory", |_, _| {
            let (bytes, _) = result::mem_get_info()?;
            free = Some((bytes - bytes / 16) as u64);
            Ok(())
        });
        free
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
        Arc::new(Block { pointer, machine: self.clone() })
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
        self.unless_failed("copying", |shared, state| unsafe {
            state.keep([from, to]);
            let (from, to) = (from.pointer + from_at as u64, to.pointer + to_at as u64);
            // SAFETY: both are memory of this device, and live until the stream has done its work.
            result::memcpy_dtod_async(to, from, bytes, shared.stream)
        });
    }

    fn launch(&self, ptx: &'static str, launch: &Launch, values: &[Value<Held>]) {
        self.unless_failed(launch.kernel, |shared, state| {
            let function = function(state, ptx, launch.kernel)?;
            state.keep(values.iter().filter_map(|value| match value {
                Value::Pointer(held, _) => Some(*held),
                _ => None,
            }));
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

    fn multiply(&self, products: &[Product<Held>]) -> bool {
        let pointed: Vec<Pointed> =
            products.iter().map(|product| Pointed::new(product, |held| held.pointer)).collect();
        let (mut done, mut failed) = (false, None);
        self.unless_failed("a product", |shared, state| {
            let Some(blas) = &mut state.blas else { return Ok(()) };
            if !pointed.iter().all(|product| blas.plans(product)) {
                return Ok(());
            }
            done = true;
            for product in &pointed {
                // SAFETY: the tensors are of these sizes, and live until the stream has done its work.
                failed = unsafe { blas.multiply(product, shared.stream) }.err();
                if failed.is_some() {
                    break;
                }
            }
            for product in products {
                state.keep([product.left, product.right, product.to].map(|(held, _)| held));
                state.keep(product.bias.map(|(held, _)| held));
            }
            Ok(())
        });
        if let Some(error) = failed {
            let mut state = self.state();
            state.failure.get_or_insert(format!("{}, a product by cuBLASLt: {error}", self.0.name));
        }
        done
    }

    fn begin(&self) {
        self.unless_failed("recording a step", |shared, state| {
            // Relaxed: what other threads do with other streams meanwhile is none of its business.
            let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
            // SAFETY: the stream is this machine's own.
            unsafe { result::stream::begin_capture(shared.stream, mode) }?;
            state.kept = Some(HashMap::new());
            Ok(())
        });
    }

    fn end(&self) -> Option<Graph> {
        let memory = self.state().kept.take()?;
        // Ended whatever went wrong within: a stream that records can do nothing else.
        // SAFETY: the context and the stream are this machine's own, and the stream records.
        let ended = unsafe {
            result::ctx::set_current(self.0.context)
                .and_then(|()| result::stream::end_capture(self.0.stream))
        };
        let mut made = None;
        self.unless_failed("recording a step", |_, _| {
            let graph = ended?;
            // SAFETY: the graph has just been had; what is made of it does not need it any more.
            made = Some(unsafe {
                let made = result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0));
                result::graph::destroy(graph)?;
                made?
            });
            Ok(())
        });
        let (machine, memory) = (self.clone(), memory.into_values().collect());
        made.map(|graph| Graph { graph, machine, _memory: memory })
    }

    fn replay(&self, recording: &Graph) {
        self.unless_failed("a recorded step", |shared, _| {
            // SAFETY: the graph and all memory that it names live as long as the recording.
            unsafe { result::graph::launch(recording.graph, shared.stream) }
        });
    }

    fn timed(&self, work: &mut dyn FnMut()) -> f64 {
        let (mut events, mut seconds) = (None, f64::NAN);
        self.unless_failed("timing", |shared, _| {
            let event = || result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT);
            let (start, end) = (event()?, event()?);
            events = Some((start, end));
            // SAFETY: the event and the stream are this machine's own.
            unsafe { result::event::record(start, shared.stream) }
        });
        work();
        self.unless_failed("timing", |shared, _| {
            let Some((start, end)) = events else { return Ok(()) };
            // SAFETY: as above; both are given back once, when the second is past.
            unsafe {
                result::event::record(end, shared.stream)?;
                result::event::synchronize(end)?;
                seconds = f64::from(result::event::elapsed(start, end)?) / 1e3;
                result::event::destroy(start)?;
                result::event::destroy(end)
            }
        });
        seconds
    }

    fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }
}

impl State {
    /// Keeps memory for a list that works on it, while one is made.
    fn keep<'a>(&mut self, memory: impl IntoIterator<Item = &'a Held>) {
        if let Some(kept) = &mut self.kept {
            kept.extend(memory.into_iter().map(|held| (held.pointer, held.clone())));
        }
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
