//! Operands as registers: names, constants, addresses.

use super::lower::{Lowering, Symbol};
use super::parse_error::ParseError;
use super::program::{Constant, Op, Reg, SHARED_BASE, Special};
use super::syntax::{Number, Operand};
use super::types::{Space, Type};

impl Lowering<'_> {
    /// What a name stands for, from the innermost braces outwards.
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (family, number) = name.split_at(name.len() - digits);
        for scope in self.scopes.iter().rev() {
            if let Some(&symbol) = scope.names.get(name) {
                return Some(symbol);
            }
            if let (Some(&(count, first)), Ok(number)) =
                (scope.families.get(family), number.parse::<u32>())
                && number < count
            {
                return Some(Symbol::Register(first + number));
            }
        }
        let index = self.tree.variables.iter().position(|v| v.name == name)?;
        let variable = &self.tree.variables[index];
        Some(match variable.space {
            Space::Shared if variable.dynamic => Symbol::Dynamic,
            _ => Symbol::Variable(index as u32),
        })
    }

    /// A register by its name, to write to or to read from.
    pub fn register(&mut self, name: &str) -> Result<Reg, ParseError> {
        if name == "_" {
            return Ok(self.scratch());
        }
        match self.symbol(name) {
            Some(Symbol::Register(reg)) => Ok(reg),
            Some(_) => self.fail(format!("`{name}` is no register")),
            None => self.fail(format!("unknown register `{name}`")),
        }
    }

    /// The register of the carry between `.cc` and its user; one for the whole program, as on
    /// the chip, where no call keeps it.
    pub fn carry_flag(&mut self) -> Reg {
        match self.carry {
            Some(reg) => reg,
            None => {
                let reg = self.scratch();
                self.carry = Some(reg);
                reg
            }
        }
    }

    /// A register of no name.
    pub fn scratch(&mut self) -> Reg {
        self.program.registers += 1;
        self.program.registers - 1
    }

    pub fn constant(&mut self, constant: Constant) -> Reg {
        if let Some(&reg) = self.constants.get(&constant) {
            return reg;
        }
        let reg = self.scratch();
        self.constants.insert(constant, reg);
        self.program.constants.push((reg, constant));
        reg
    }

    /// Static shared variables of the module get their place when first named.
    fn module_variable(&mut self, index: u32, add: i64) -> Constant {
        let variable = &self.tree.variables[index as usize];
        if variable.space != Space::Shared {
            return Constant::Variable(index, add);
        }
        let place = match self.shared.get(&index) {
            Some(&place) => place,
            None => {
                let at = self.program.shared_bytes.next_multiple_of(variable.align);
                self.program.shared_bytes = at + variable.bytes;
                self.shared.insert(index, SHARED_BASE + at);
                SHARED_BASE + at
            }
        };
        Constant::Bits(place.wrapping_add_signed(add))
    }

    /// The address that a name stands for, with something added, in its own space.
    fn address(&mut self, symbol: Symbol, add: i64) -> Option<Constant> {
        Some(match symbol {
            Symbol::Register(_) => return None,
            Symbol::Place(_, at, _) => Constant::Bits(at.wrapping_add_signed(add)),
            Symbol::Dynamic => Constant::Dynamic(add),
            Symbol::Variable(index) => self.module_variable(index, add),
        })
    }

    /// A source operand as a register; numbers are of the type given.
    pub fn source(&mut self, operand: &Operand, kind: Type) -> Result<Reg, ParseError> {
        match operand {
            Operand::Name(name) => {
                if let Some(symbol) = self.symbol(name) {
                    if let Symbol::Register(reg) = symbol {
                        return Ok(reg);
                    }
                    return match self.address(symbol, 0) {
                        Some(constant) => Ok(self.constant(constant)),
                        None => self.fail(format!("`{name}` is no value")),
                    };
                }
                match special(name) {
                    Some(constant) => Ok(self.constant(constant)),
                    None => self.fail(format!("unknown register or variable `{name}`")),
                }
            }
            Operand::Not(name) => {
                let source = self.register(name)?;
                let d = self.scratch();
                self.emit(Op::Compute(super::eval::Compute::Not), &[d], &[source]);
                Ok(d)
            }
            Operand::Number(number) => match bits(*number, kind) {
                Some(bits) => Ok(self.constant(Constant::Bits(bits))),
                None => self.fail("a number of another type than the instruction's"),
            },
            _ => self.fail("a register or a number expected"),
        }
    }

    /// The base of an address as a register, and what is added to it.
    pub fn pointer(&mut self, operand: &Operand) -> Result<(Reg, i64), ParseError> {
        let Operand::Address(base, offset) = operand else {
            return self.fail("an address in brackets expected");
        };
        match &**base {
            Operand::Name(name) => match self.symbol(name) {
                Some(Symbol::Register(reg)) => Ok((reg, *offset)),
                Some(symbol) => match self.address(symbol, *offset) {
                    Some(constant) => Ok((self.constant(constant), 0)),
                    None => self.fail(format!("`{name}` is no address")),
                },
                None => self.fail(format!("unknown register or variable `{name}`")),
            },
            Operand::Number(Number::Integer(address)) => {
                let address = address.wrapping_add_signed(*offset);
                Ok((self.constant(Constant::Bits(address)), 0))
            }
            _ => self.fail("a register or a variable expected in the brackets"),
        }
    }

    /// The parts of `{a, b}` as sources, or the one that stands alone.
    pub fn sources(&mut self, operand: &Operand, kind: Type) -> Result<Vec<Reg>, ParseError> {
        match operand {
            Operand::Vector(parts) => parts.iter().map(|part| self.source(part, kind)).collect(),
            _ => Ok(vec![self.source(operand, kind)?]),
        }
    }

    /// The parts of `{a, b}` to write to, or the one that stands alone.
    pub fn targets(&mut self, operand: &Operand) -> Result<Vec<Reg>, ParseError> {
        match operand {
            Operand::Vector(parts) => parts.iter().map(|part| self.target(part)).collect(),
            _ => Ok(vec![self.target(operand)?]),
        }
    }

    /// A register to write to.
    pub fn target(&mut self, operand: &Operand) -> Result<Reg, ParseError> {
        match operand {
            Operand::Name(name) => self.register(name),
            _ => self.fail("a register to write to expected"),
        }
    }

    /// One or two registers to write to: `%r1|%p1`.
    pub fn target_pair(&mut self, operand: &Operand) -> Result<Vec<Reg>, ParseError> {
        match operand {
            Operand::Pair(first, second) => Ok(vec![self.register(first)?, self.register(second)?]),
            _ => Ok(vec![self.target(operand)?]),
        }
    }
}

/// The bits of a number as a value of a type.
fn bits(number: Number, kind: Type) -> Option<u64> {
    Some(match (number, kind) {
        (Number::Single(bits), Type::F64) => f64::from(f32::from_bits(bits)).to_bits(),
        (Number::Double(bits), Type::F32) => u64::from((f64::from_bits(bits) as f32).to_bits()),
        (Number::Integer(_), Type::F32 | Type::F64) => return None,
        (number, _) => number.bits(),
    })
}

/// The special register of a name.
fn special(name: &str) -> Option<Constant> {
    let axis = |axis: &str| Some(["x", "y", "z"].iter().position(|a| *a == axis)? as u8);
    let special = match name {
        "WARP_SZ" => return Some(Constant::Bits(32)),
        "%laneid" => Special::Lane,
        "%warpid" => Special::Warp,
        "%nwarpid" => Special::Warps,
        "%lanemask_eq" => Special::MaskEq,
        "%lanemask_le" => Special::MaskLe,
        "%lanemask_lt" => Special::MaskLt,
        "%lanemask_ge" => Special::MaskGe,
        "%lanemask_gt" => Special::MaskGt,
        "%dynamic_smem_size" => Special::DynamicShared,
        "%total_smem_size" => Special::TotalShared,
        "%smid" | "%gridid" => return Some(Constant::Bits(0)),
        "%nsmid" => return Some(Constant::Bits(1)),
        _ => {
            let (register, part) = name.split_once('.')?;
            match register {
                "%tid" => Special::Thread(axis(part)?),
                "%ntid" => Special::BlockSize(axis(part)?),
                "%ctaid" => Special::Block(axis(part)?),
                "%nctaid" => Special::GridSize(axis(part)?),
                _ => return None,
            }
        }
    };
    Some(Constant::Special(special))
}
