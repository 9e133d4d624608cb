//! Kernels without a GPU: the interpreter of PTX as a machine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// By the address of their text, which is the program's own.
    modules: HashMap<usize, Arc<Module>>,
    failure: Option<String>,
}

impl Interpreted {
    /// A chip of so many multiprocessors, under these conditions.
    pub fn new(chip: Chip, options: Options) -> Self {
        let inside = Inside { memory: ptx::Memory::new(), modules: HashMap::new(), failure: None };
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
        self.machine.inside().memory.free(self.buffer);
    }
}

impl Machine for Interpreted {
    type Memory = Held;

    fn chip(&self) -> Chip {
        self.0.chip
    }

    fn allocate(&self, bytes: usize, zeros: bool) -> Held {
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
            inside.memory.write_at(to.buffer, at as u64, bytes).map_err(|fault| fault.to_string())
        });
    }

    fn read(&self, from: &Held, at: usize, bytes: &mut [u8]) {
        self.unless_failed(|inside| {
            let read = inside.memory.read_at(from.buffer, at as u64, bytes.len());
            bytes.copy_from_slice(&read.map_err(|fault| fault.to_string())?);
            Ok(())
        });
    }

    fn copy(&self, from: &Held, from_at: usize, to: &Held, to_at: usize, bytes: usize) {
        self.unless_failed(|inside| {
            let (from, to) = ((from.buffer, from_at as u64), (to.buffer, to_at as u64));
            inside.memory.copy(from, to, bytes).map_err(|fault| fault.to_string())
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
            let module = match inside.modules.get(&(ptx.as_ptr() as usize)) {
                Some(module) => module.clone(),
                None => {
                    let module = Arc::new(Module::parse(ptx).map_err(|error| error.to_string())?);
                    inside.modules.insert(ptx.as_ptr() as usize, module.clone());
                    module
                }
            };
            let size = ptx::Launch::linear(launch.blocks, launch.threads);
            let run = module.run(launch.kernel, &size, &args, &mut inside.memory, &self.0.options);
            run.map(|_| ()).map_err(|fault| fault.to_string())
        });
    }

    fn failure(&self) -> Option<String> {
        self.inside().failure.clone()
    }
}
