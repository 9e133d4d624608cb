//! From the tree to a decoded program: names become numbers.

use std::collections::HashMap;

use super::fault::Site;
use super::parse_error::ParseError;
use super::program::{
    Constant, Instruction, LOCAL_BASE, Op, PARAM_BASE, Param, Program, Reg, SHARED_BASE,
};
use super::syntax::{Function, Statement, Tree, Variable, Written};
use super::types::Space;

/// What a thread has at most; a broken text may claim anything.
const MOST_REGISTERS: u64 = 1 << 16;
const MOST_LOCAL: u64 = 1 << 19;
const MOST_PARAM: u64 = 1 << 16;

/// What a name in a function stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Symbol {
    Register(Reg),
    /// Where it lies in its space, and its size.
    Place(Space, u64, u64),
    Dynamic,
    Variable(u32),
}

/// Names that a pair of braces holds.
#[derive(Default)]
pub(super) struct Scope {
    pub names: HashMap<String, Symbol>,
    /// Numbered families of registers: how many, and the first.
    pub families: HashMap<String, (u32, Reg)>,
}

/// Parameters of a device function, where they lie.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    pub params: Vec<(u64, u64)>,
    pub returns: Vec<(u64, u64)>,
    /// Its first instruction, once it is placed.
    pub entry: Option<u32>,
}

pub(super) struct Lowering<'a> {
    pub tree: &'a Tree,
    lines: &'a [&'a str],
    pub program: Program,
    pub scopes: Vec<Scope>,
    pub constants: HashMap<Constant, Reg>,
    pub frames: HashMap<String, Frame>,
    /// Functions called and not yet placed.
    pending: Vec<String>,
    /// Calls by instruction, to be patched with the entry of a function.
    pub calls: Vec<(usize, String)>,
    /// Jumps of the function at hand, to be patched with labels.
    pub jumps: Vec<(usize, Vec<String>, usize)>,
    labels: HashMap<String, u32>,
    targets: HashMap<String, Vec<String>>,
    opcodes: HashMap<String, u32>,
    /// Where static shared variables of the module lie, by their numbers.
    pub shared: HashMap<u32, u64>,
    pub carry: Option<Reg>,
    /// The instruction at hand.
    pub line: usize,
    pub guard: Option<(Reg, bool)>,
    opcode: Option<u32>,
    pub in_kernel: bool,
}

/// Decodes one kernel and the functions that it calls.
pub(super) fn lower(tree: &Tree, lines: &[&str], kernel: &Function) -> Result<Program, ParseError> {
    let mut lowering = Lowering {
        tree,
        lines,
        program: Program { name: kernel.name.clone(), ..Program::default() },
        scopes: Vec::new(),
        constants: HashMap::new(),
        frames: HashMap::new(),
        pending: Vec::new(),
        calls: Vec::new(),
        jumps: Vec::new(),
        labels: HashMap::new(),
        targets: HashMap::new(),
        opcodes: HashMap::new(),
        shared: HashMap::new(),
        carry: None,
        line: kernel.line,
        guard: None,
        opcode: None,
        in_kernel: true,
    };
    lowering.kernel(kernel)?;
    Ok(lowering.program)
}

impl<'a> Lowering<'a> {
    pub fn fail<T>(&self, what: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.line, what))
    }

    fn kernel(&mut self, kernel: &'a Function) -> Result<(), ParseError> {
        self.program.max_threads = kernel.max_threads;
        let mut names = Vec::new();
        for param in &kernel.params {
            let offset = self.param(param);
            names.push((param.name.clone(), Symbol::Place(Space::Param, offset, param.bytes)));
            let (name, bytes) = (param.name.clone(), param.bytes);
            self.program.params.push(Param { name, offset: offset - PARAM_BASE, bytes });
        }
        self.body(kernel, names)?;
        self.in_kernel = false;
        while let Some(name) = self.pending.pop() {
            if self.frame(&name)?.entry.is_some() {
                continue;
            }
            let function = self.function(&name)?;
            let frame = self.frame(&name)?;
            let mut names = Vec::new();
            let places = frame.params.iter().chain(&frame.returns);
            for (variable, place) in function.params.iter().chain(&function.returns).zip(places) {
                let symbol = Symbol::Place(Space::Param, place.0, place.1);
                names.push((variable.name.clone(), symbol));
            }
            let entry = self.program.code.len() as u32;
            if let Some(frame) = self.frames.get_mut(&name) {
                frame.entry = Some(entry);
            }
            self.body(function, names)?;
        }
        for (at, name) in std::mem::take(&mut self.calls) {
            let entry = self.frames.get(&name).and_then(|frame| frame.entry).unwrap_or(0);
            if let Op::Call { target, .. } = &mut self.program.code[at].op {
                *target = entry;
            }
        }
        self.line = kernel.line;
        let program = &self.program;
        for (what, size, most) in [
            ("registers", u64::from(program.registers), MOST_REGISTERS),
            ("bytes of local memory", program.local_bytes, MOST_LOCAL),
            ("bytes of parameters", program.param_bytes, MOST_PARAM),
        ] {
            if size > most {
                return self.fail(format!("{size} {what}, more than {most}"));
            }
        }
        self.program.constants.sort_by_key(|&(reg, _)| reg);
        Ok(())
    }

    /// A place for a parameter; functions never recurse here, so each has one for good.
    pub fn param(&mut self, variable: &Variable) -> u64 {
        let at = self.program.param_bytes.next_multiple_of(variable.align);
        self.program.param_bytes = at + variable.bytes;
        PARAM_BASE + at
    }

    pub fn function(&self, name: &str) -> Result<&'a Function, ParseError> {
        match self.tree.functions.iter().find(|f| f.name == name && !f.is_kernel) {
            Some(function) => Ok(function),
            None => self.fail(format!("no function `{name}` is defined")),
        }
    }

    /// Where a function's parameters lie; a function that is seen first is to be placed.
    pub fn frame(&mut self, name: &str) -> Result<Frame, ParseError> {
        if let Some(frame) = self.frames.get(name) {
            return Ok(frame.clone());
        }
        let function = self.function(name)?;
        let mut frame = Frame::default();
        for variable in &function.params {
            frame.params.push((self.param(variable), variable.bytes));
        }
        for variable in &function.returns {
            frame.returns.push((self.param(variable), variable.bytes));
        }
        self.frames.insert(name.to_string(), frame.clone());
        self.pending.push(name.to_string());
        Ok(frame)
    }

    fn body(
        &mut self,
        function: &'a Function,
        names: Vec<(String, Symbol)>,
    ) -> Result<(), ParseError> {
        self.scopes = vec![Scope::default()];
        self.scopes[0].names.extend(names);
        self.labels.clear();
        self.targets.clear();
        for statement in &function.body {
            if let Statement::Targets(name, targets) = statement {
                self.targets.insert(name.clone(), targets.clone());
            }
        }
        for statement in &function.body {
            match statement {
                Statement::Open => self.scopes.push(Scope::default()),
                Statement::Close => {
                    self.scopes.pop();
                }
                Statement::Registers(registers) => {
                    let first = self.program.registers;
                    self.program.registers = first.saturating_add(registers.count.unwrap_or(1));
                    let name = registers.name.clone();
                    let Some(scope) = self.scopes.last_mut() else { continue };
                    match registers.count {
                        Some(count) => {
                            scope.families.insert(name, (count, first));
                        }
                        None => {
                            scope.names.insert(name, Symbol::Register(first));
                        }
                    }
                }
                Statement::Variable(variable) => self.variable(variable)?,
                Statement::Label(name) => {
                    let here = self.program.code.len() as u32;
                    if self.labels.insert(name.clone(), here).is_some() {
                        return self.fail(format!("label `{name}` stands twice"));
                    }
                }
                Statement::Targets(..) => {}
                Statement::Instruction(written) => self.written(written)?,
            }
        }
        // Whoever falls off the end has ended.
        self.guard = None;
        self.opcode = None;
        self.emit(if self.in_kernel { Op::Exit } else { Op::Return }, &[], &[]);
        for (at, names, line) in std::mem::take(&mut self.jumps) {
            let mut places = Vec::new();
            for name in names {
                match self.labels.get(&name) {
                    Some(&place) => places.push(place),
                    None => return Err(ParseError::new(line, format!("no label `{name}`"))),
                }
            }
            self.program.code[at].op = match self.program.code[at].op {
                Op::Branch(_) => Op::Branch(places[0]),
                _ => Op::BranchIndexed(places.into()),
            };
        }
        Ok(())
    }

    fn variable(&mut self, variable: &Variable) -> Result<(), ParseError> {
        let place = |bytes: &mut u64, base: u64| {
            let at = bytes.next_multiple_of(variable.align);
            *bytes = at + variable.bytes;
            base + at
        };
        let at = match variable.space {
            Space::Shared => place(&mut self.program.shared_bytes, SHARED_BASE),
            Space::Local => place(&mut self.program.local_bytes, LOCAL_BASE),
            Space::Param => self.param(variable),
            _ => return self.fail(format!("`{}` cannot be declared here", variable.name)),
        };
        let symbol = Symbol::Place(variable.space, at, variable.bytes);
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.insert(variable.name.clone(), symbol);
        }
        Ok(())
    }

    fn written(&mut self, written: &Written) -> Result<(), ParseError> {
        self.line = written.line;
        let text = self.lines.get(written.line - 1).copied().unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text.trim_end_matches(';').to_string();
        let source = written.loc.and_then(|(file, line)| {
            let name = self.tree.files.iter().find(|(number, _)| *number == file)?;
            // The bare name: a report should not depend on where a file was compiled.
            Some((name.1.rsplit(['/', '\\']).next()?.to_string(), line))
        });
        self.program.sites.push(Site { line: written.line, text, source });
        let opcode = written.opcode.join(".");
        let next = self.program.opcodes.len() as u32;
        let number = *self.opcodes.entry(opcode.clone()).or_insert(next);
        if number == next {
            self.program.opcodes.push(opcode);
        }
        self.guard = None;
        self.opcode = None;
        self.guard = match &written.guard {
            Some((name, negated)) => Some((self.register(name)?, *negated)),
            None => None,
        };
        self.opcode = Some(number);
        let before = self.program.code.len();
        self.decode(written)?;
        // Helpers stand before the instruction itself, which alone counts.
        let after = self.program.code.len();
        for helper in &mut self.program.code[before..after.max(before + 1) - 1] {
            helper.opcode = None;
        }
        Ok(())
    }

    pub fn emit(&mut self, op: Op, d: &[Reg], s: &[Reg]) {
        self.program.code.push(Instruction {
            op,
            guard: self.guard,
            d: d.into(),
            s: s.into(),
            opcode: self.opcode,
            site: self.program.sites.len().saturating_sub(1) as u32,
        });
    }

    pub fn jump(&mut self, op: Op, names: Vec<String>, s: &[Reg]) {
        self.jumps.push((self.program.code.len(), names, self.line));
        self.emit(op, &[], s);
    }

    pub fn targets_of(&self, name: &str) -> Result<Vec<String>, ParseError> {
        match self.targets.get(name) {
            Some(targets) => Ok(targets.clone()),
            None => self.fail(format!("no branch targets `{name}`")),
        }
    }
}
