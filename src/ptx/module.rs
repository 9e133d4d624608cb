//! A module: kernels read from a text, and their launch.

use std::collections::{BTreeMap, HashMap};

use super::exec::block::{Dice, run};
use super::exec::machine::{Machine, unfold};
use super::exec::warp::Warp;
use super::fault::{Fault, FaultKind, Party, Trouble};
use super::lower::lower;
use super::memory::{Memory, Region};
use super::options::{Arg, Launch, Options, Schedule};
use super::order::Order;
use super::parse::parse;
use super::parse_error::ParseError;
use super::program::{Program, SHARED_BASE};
use super::statistics::Statistics;
use super::syntax::Variable;
use super::types::Space;

/// The most threads that a block may have.
const MOST_THREADS: u64 = 1024;
/// The most shared memory that a block may have, of the chips of today.
const MOST_SHARED: u64 = 227 * 1024;

/// Kernels that can be launched.
#[derive(Clone, Debug)]
pub struct Module {
    kernels: BTreeMap<String, Program>,
    variables: Vec<Variable>,
    /// What tells this module's variables from another's in memory.
    identity: u64,
}

impl Module {
    /// Reads a PTX text. Whatever the interpreter does not know is an error that names its line.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let tree = parse(text)?;
        let lines: Vec<&str> = text.lines().collect();
        let mut kernels = BTreeMap::new();
        for function in tree.functions.iter().filter(|function| function.is_kernel) {
            kernels.insert(function.name.clone(), lower(&tree, &lines, function)?);
        }
        // FNV-1a: two modules of one text are one.
        let identity = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        Ok(Self { kernels, variables: tree.variables, identity })
    }

    /// The names of the kernels, in order.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.kernels.keys().map(String::as_str)
    }

    /// The bytes of static shared memory of a kernel.
    pub fn shared_bytes(&self, kernel: &str) -> Option<u64> {
        Some(self.kernels.get(kernel)?.shared_bytes)
    }

    /// Launches a kernel and runs it to its end.
    pub fn run(
        &self,
        kernel: &str,
        launch: &Launch,
        args: &[Arg],
        memory: &mut Memory,
        options: &Options,
    ) -> Result<Statistics, Fault> {
        let bad = |detail: String| Fault::plain(FaultKind::Launch, kernel, detail);
        let Some(program) = self.kernels.get(kernel) else {
            return Err(bad(format!("no kernel is named `{kernel}`")));
        };
        check(program, launch).map_err(bad)?;
        let args = bytes_of(program, args).map_err(bad)?;
        for region in &mut memory.regions {
            region.shadow.clear();
            region.traffic = super::statistics::Traffic::default();
        }
        let variables = self.place_variables(memory);
        let mut statistics = Statistics::default();
        let mut counts = vec![0; program.opcodes.len()];
        let mut spent = 0;
        let mut released = HashMap::new();
        let shared = if launch.shared == 0 {
            program.shared_bytes
        } else {
            Machine::dynamic_base(program) - SHARED_BASE + u64::from(launch.shared)
        };
        let mut machine = Machine {
            program,
            launch: *launch,
            options: *options,
            args: &args,
            variables: &variables,
            memory,
            shared: Region::new("shared memory", SHARED_BASE, shared),
            order: Order::new(0),
            barriers: Default::default(),
            statistics: &mut statistics,
            counts: &mut counts,
            spent: &mut spent,
            released: &mut released,
            block: [0; 3],
            number: 0,
            arch: pulp::Arch::new(),
            near: 0,
        };
        let mut warps = machine.warps();
        let mut dice = Dice(match options.schedule {
            Schedule::Random(seed) => seed,
            _ => 0,
        });
        for number in order_of_blocks(launch, options.schedule, &mut dice) {
            machine.begin(number, &mut warps);
            let (at, outcome) = run(&mut machine, &mut warps, &mut dice);
            if let Err(trouble) = outcome {
                return Err(locate(program, launch, number, &warps[at], *trouble));
            }
        }
        for (name, count) in program.opcodes.iter().zip(counts) {
            statistics.instructions.insert(name.clone(), count);
        }
        for region in &memory.regions {
            if region.traffic != super::statistics::Traffic::default() {
                statistics.buffers.insert(region.name.clone(), region.traffic);
            }
        }
        Ok(statistics)
    }

    /// Gives the module's variables a place in global memory, once.
    fn place_variables(&self, memory: &mut Memory) -> Vec<u64> {
        let mut addresses = Vec::new();
        for (index, variable) in (0..).zip(&self.variables) {
            if !matches!(variable.space, Space::Global | Space::Const) {
                addresses.push(0);
                continue;
            }
            let known =
                memory.variables.iter().find(|known| (known.0, known.1) == (self.identity, index));
            if let Some(known) = known {
                addresses.push(known.2);
                continue;
            }
            let buffer = memory.allocate(&variable.name, variable.bytes);
            // Variables without an initialiser are zero, as in C.
            let mut bytes = variable.initial.clone();
            bytes.resize(variable.bytes as usize, 0);
            memory.place(buffer.address(), &bytes);
            if let Some(region) = memory.regions.last_mut() {
                region.read_only = variable.space == Space::Const;
            }
            memory.variables.push((self.identity, index, buffer.address()));
            addresses.push(buffer.address());
        }
        addresses
    }
}

fn check(program: &Program, launch: &Launch) -> Result<(), String> {
    let product = |size: [u32; 3]| size.iter().map(|&n| u64::from(n)).product::<u64>();
    let threads = product(launch.block);
    let most = program.max_threads.unwrap_or(MOST_THREADS).min(MOST_THREADS);
    if threads == 0 || threads > most {
        return Err(format!("a block has {threads} threads, and may have 1 to {most}"));
    }
    let blocks = launch.grid.iter().try_fold(1_u32, |all, &n| all.checked_mul(n));
    if !blocks.is_some_and(|blocks| blocks > 0 && blocks < u32::MAX) {
        return Err(format!("a grid cannot be {:?}", launch.grid));
    }
    let shared = program.shared_bytes + u64::from(launch.shared);
    if shared > MOST_SHARED {
        return Err(format!("a block has {shared} bytes of shared memory, more than any chip"));
    }
    Ok(())
}

/// The parameters of the kernel as it finds them.
fn bytes_of(program: &Program, args: &[Arg]) -> Result<Vec<u8>, String> {
    let params = &program.params;
    if args.len() != params.len() {
        return Err(format!("{} arguments given, {} expected", args.len(), params.len()));
    }
    let size = params.iter().map(|param| param.offset + param.bytes).max().unwrap_or(0);
    let mut all = vec![0; size as usize];
    for (arg, param) in args.iter().zip(params) {
        let bytes = arg.bytes();
        if bytes.len() as u64 != param.bytes {
            let (name, given, wanted) = (&param.name, bytes.len(), param.bytes);
            return Err(format!("`{name}` has {wanted} bytes, the argument {given}"));
        }
        let at = param.offset as usize;
        all[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    Ok(all)
}

fn order_of_blocks(launch: &Launch, schedule: Schedule, dice: &mut Dice) -> Vec<u32> {
    let count = launch.grid.iter().product();
    let mut order: Vec<u32> = (0..count).collect();
    match schedule {
        Schedule::RoundRobin | Schedule::Ascending => {}
        Schedule::Descending => order.reverse(),
        Schedule::Random(_) => {
            for last in (1..order.len()).rev() {
                order.swap(last, dice.below(last as u64 + 1) as usize);
            }
        }
    }
    order
}

impl Machine<'_> {
    /// The warps of a block, which all blocks use in turn.
    fn warps(&self) -> Vec<Warp> {
        let threads = self.threads();
        (0..threads.div_ceil(32))
            .map(|index| Warp::new(index, (threads - index * 32).min(32), self.program))
            .collect()
    }

    /// Makes everything ready for a block: nothing is left of the one before it.
    fn begin(&mut self, number: u32, warps: &mut [Warp]) {
        (self.number, self.block) = (number, unfold(number, self.launch.grid));
        self.order = Order::new(self.threads());
        self.barriers = Default::default();
        self.shared.written.fill(false);
        self.shared.shadow.clear();
        for warp in warps {
            warp.restart(self.args);
            self.fill(warp);
        }
    }
}

/// Says where trouble was.
fn locate(program: &Program, launch: &Launch, number: u32, warp: &Warp, trouble: Trouble) -> Fault {
    let party = |block: u32, thread: u32, at: u32| {
        let instruction = program.code.get(at as usize)?;
        let site = program.sites.get(instruction.site as usize)?.clone();
        let (block, thread) = (unfold(block, launch.grid), unfold(thread, launch.block));
        Some(Box::new(Party { block, thread, site }))
    };
    let at = trouble.at.unwrap_or(warp.at);
    Fault {
        kind: trouble.kind,
        kernel: program.name.clone(),
        party: trouble.thread.and_then(|thread| party(number, thread, at)),
        detail: trouble.detail,
        other: trouble.other.and_then(|(block, thread, at)| party(block as u32, thread, at)),
    }
}
