//! Kernels without a GPU: the interpreter of PTX as a machine.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::machine::{Machine, Value};
use crate::op::device::{Chip, Launch};
use crate::ptx::{self, Arg, Buffer, Module, Options};

/// The interpreter. It stops at a kernel's first fault, and tells where it lies.
#[derive(Debug, Clone)]
pub struct Interpreted(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    chip: Chip,
    options: Options,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    memory: ptx::Memory,
    /// What is kept and not done, while a list is.
    kept: Option<Vec<Order>>,
    failure: Option<String>,
}

/// A launch or a copy.
#[derive(Debug)]
enum Order {
    Launch { module: Arc<Module>, kernel: &'static str, size: ptx::Launch, args: Vec<Arg> },
    Copy { from: (Buffer, u64), to: (Buffer, u64), bytes: usize },
}

impl Inside {
    /// Keeps an order, or does it.
    fn take(&mut self, order: Order, options: &Options) -> Result<(), String> {
        match &mut self.kept {
            Some(kept) => kept.push(order),
            None => self.obey(&order, options)?,
        }
        Ok(())
    }

    fn obey(&mut self, order: &Order, options: &Options) -> Result<(), String> {
        let done = match order {
            Order::Launch { module, kernel, size, args } => {
                module.run(kernel, size, args, &mut self.memory, options).map(|_| ())
            }
            Order::Copy { from, to, bytes } => self.memory.copy(*from, *to, *bytes),
        };
        done.map_err(|fault| fault.to_string())
    }

    /// A list must not depend on what happens between its launches.
    fn unless_keeping(&self, doing: &str) -> Result<(), String> {
        match self.kept {
            Some(_) => Err(format!("{doing} while a list is kept")),
            None => Ok(()),
        }
    }
}

impl Interpreted {
    /// A chip of so many multiprocessors, under these conditions.
    pub fn new(chip: Chip, options: Options) -> Self {
        let inside = Inside { memory: ptx::Memory::new(), kept: None, failure: None };
        Interpreted(Arc::new(Shared { chip, options, inside: Mutex::new(inside) }))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // What was under way when somebody panicked is a whole buffer or none.
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something unless something has gone wrong before, and keeps what goes wrong.
    fn unless_failed(&self, act: impl FnOnce(&mut Inside) -> Result<(), String>) {
        let mut inside = self.inside();
        if inside.failure.is_none() {
            inside.failure = act(&mut inside).err();
        }
    }
}

/// The module of a text, which is read once in the life of the program.
fn module(ptx: &'static str) -> Result<Arc<Module>, String> {
    /// By where their text lies, which is the program's own.
    type Modules = HashMap<(usize, usize), Arc<Module>>;
    static MODULES: LazyLock<Mutex<Modules>> = LazyLock::new(Mutex::default);
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    let place = (ptx.as_ptr() as usize, ptx.len());
    if let Some(module) = modules.get(&place) {
        return Ok(module.clone());
    }
    let module = Arc::new(Module::parse(ptx).map_err(|error| error.to_string())?);
    modules.insert(place, module.clone());
    Ok(module)
}

/// A small chip: enough blocks for their order to matter, few enough for small problems to fill it.
impl Default for Interpreted {
    fn default() -> Self {
        let options = Options { forbid_float_atomics: true, ..Options::default() };
        Interpreted::new(Chip::new(3), options)
    }
}

/// A buffer that is given back when dropped.
#[derive(Debug)]
pub struct Held {
    buffer: Buffer,
    machine: Interpreted,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.machine.unless_failed(|inside| inside.unless_keeping("giving memory back"));
        self.machine.inside().memory.free(self.buffer);
    }
}

/// Launches and copies with their buffers. One that has been given back meanwhile is a fault when it
/// is used.
#[derive(Debug)]
pub struct Kept(Vec<Order>);

impl Machine for Interpreted {
    type Memory = Held;
    type Recording = Kept;

    fn chip(&self) -> Chip {
        self.0.chip
    }

    fn name(&self) -> String {
        format!("interpreter of PTX, {} multiprocessors", self.0.chip.multiprocessors)
    }

    fn allocate(&self, bytes: usize, zeros: bool) -> Held {
        self.unless_failed(|inside| inside.unless_keeping("allocating"));
        let mut inside = self.inside();
        let buffer = inside.memory.allocate("buffer", bytes as u64);
        if zeros {
            let zeros = inside.memory.write_at(buffer, 0, &vec![0; bytes]);
            debug_assert!(zeros.is_ok(), "a buffer takes as many bytes as it has");
        }
        Held { buffer, machine: self.clone() }
    }

    fn write(&self, to: &Held, at: usize, bytes: &[u8]) {
        self.unless_failed(|inside| {
            inside.unless_keeping("writing")?;
            inside.memory.write_at(to.buffer, at as u64, bytes).map_err(|fault| fault.to_string())
        });
    }

    fn read(&self, from: &Held, at: usize, bytes: &mut [u8]) {
        self.unless_failed(|inside| {
            inside.unless_keeping("reading")?;
            let read = inside.memory.read_at(from.buffer, at as u64, bytes.len());
            bytes.copy_from_slice(&read.map_err(|fault| fault.to_string())?);
            Ok(())
        });
    }

    fn copy(&self, from: &Held, from_at: usize, to: &Held, to_at: usize, bytes: usize) {
        self.unless_failed(|inside| {
            let (from, to) = ((from.buffer, from_at as u64), (to.buffer, to_at as u64));
            inside.take(Order::Copy { from, to, bytes }, &self.0.options)
        });
    }

    fn launch(&self, ptx: &'static str, launch: &Launch, values: &[Value<Held>]) {
        let args: Vec<Arg> = (values.iter())
            .map(|value| match *value {
                Value::Null => Arg::Null,
                Value::Pointer(held, at) => Arg::Within(held.buffer, at as i64),
                Value::U32(count) => Arg::U32(count),
                Value::U64(count) => Arg::U64(count),
                Value::F32(number) => Arg::F32(number),
            })
            .collect();
        self.unless_failed(|inside| {
            let module = module(ptx)?;
            let size = ptx::Launch::linear(launch.blocks, launch.threads);
            let order = Order::Launch { module, kernel: launch.kernel, size, args };
            inside.take(order, &self.0.options)
        });
    }

    fn begin(&self) {
        self.inside().kept = Some(Vec::new());
    }

    fn end(&self) -> Option<Kept> {
        let mut inside = self.inside();
        let kept = inside.kept.take();
        if inside.failure.is_none() { kept.map(Kept) } else { None }
    }

    fn replay(&self, recording: &Kept) {
        self.unless_failed(|inside| {
            recording.0.iter().try_for_each(|order| inside.obey(order, &self.0.options))
        });
    }

    /// Those of the interpreter: no GPU's.
    fn timed(&self, work: &mut dyn FnMut()) -> f64 {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    }

    fn failure(&self) -> Option<String> {
        self.inside().failure.clone()
    }
}
