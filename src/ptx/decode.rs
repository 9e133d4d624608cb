//! What an opcode with its qualifiers and operands does: which decoder it goes to, and moves,
//! conversions, comparisons and selections.

use super::eval::compare::{Compare, Join, Test};
use super::eval::convert::Convert;
use super::eval::float::Mode;
use super::eval::round::Round;
use super::eval::{Compute, ComputePair};
use super::lower::Lowering;
use super::parse_error::ParseError;
use super::program::Op;
use super::syntax::{Operand, Written};
use super::types::Type;

pub(super) type Done = Result<(), ParseError>;

/// The qualifiers of an opcode; each must be asked for, so that none is passed over.
pub(super) struct Qualifiers<'a> {
    words: Vec<&'a str>,
}

impl<'a> Qualifiers<'a> {
    pub fn new(words: &'a [String]) -> Self {
        Self { words: words.iter().map(String::as_str).collect() }
    }

    /// Takes a word, if it is there.
    pub fn take(&mut self, word: &str) -> bool {
        let found = self.words.iter().position(|w| *w == word);
        found.map(|at| self.words.remove(at)).is_some()
    }

    /// Takes the first word that means something.
    pub fn find<T>(&mut self, meaning: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (at, value) =
            self.words.iter().enumerate().find_map(|(at, w)| Some((at, meaning(w)?)))?;
        self.words.remove(at);
        Some(value)
    }

    /// Takes the first type.
    pub fn kind(&mut self) -> Option<Type> {
        self.find(Type::named)
    }

    /// Takes every word that passes.
    pub fn drop(&mut self, passes: impl Fn(&str) -> bool) {
        self.words.retain(|word| !passes(word));
    }

    /// The words that nobody took.
    pub fn rest(&self) -> String {
        self.words.join(".")
    }

    pub fn mode(&mut self) -> Mode {
        let round = self.find(|word| {
            Some(match word {
                "rn" => Round::Nearest,
                "rz" => Round::Zero,
                "rm" => Round::Down,
                "rp" => Round::Up,
                _ => return None,
            })
        });
        let (ftz, sat) = (self.take("ftz"), self.take("sat"));
        Mode { round: round.unwrap_or(Round::Nearest), ftz, sat }
    }
}

impl Lowering<'_> {
    /// Decodes an instruction and emits it.
    pub(super) fn decode(&mut self, written: &Written) -> Done {
        let head = written.opcode[0].as_str();
        let mut q = Qualifiers::new(&written.opcode[1..]);
        let operands = &written.operands;
        match head {
            "mov" => self.mov(&mut q, operands)?,
            "add" | "sub" | "mul" | "mad" | "mul24" | "mad24" | "fma" | "div" | "rem" | "min"
            | "max" | "abs" | "neg" | "sad" | "dp4a" | "addc" | "subc" | "madc" | "copysign"
            | "rcp" | "sqrt" | "rsqrt" | "sin" | "cos" | "lg2" | "ex2" | "tanh" => {
                self.arithmetic(head, &mut q, operands)?;
            }
            "and" | "or" | "xor" | "not" | "cnot" | "shl" | "shr" | "shf" | "lop3" | "bfe"
            | "bfi" | "prmt" | "clz" | "popc" | "brev" | "bfind" => {
                self.bits(head, &mut q, operands)?;
            }
            "cvt" => self.cvt(&mut q, operands)?,
            "setp" | "set" => self.compare(head, &mut q, operands)?,
            "selp" | "slct" | "testp" => self.select(head, &mut q, operands)?,
            "ld" | "ldu" | "st" | "atom" | "red" | "cvta" | "isspacep" | "prefetch" => {
                self.memory(head, &mut q, operands)?;
            }
            _ => self.control(head, &mut q, operands)?,
        }
        let rest = q.rest();
        if rest.is_empty() {
            Ok(())
        } else {
            let opcode = written.opcode.join(".");
            self.fail(format!("`.{rest}` of `{opcode}` is not known"))
        }
    }

    pub(super) fn needs<T>(&self, value: Option<T>, what: &str) -> Result<T, ParseError> {
        match value {
            Some(value) => Ok(value),
            None => self.fail(format!("{what} expected among the qualifiers")),
        }
    }

    pub(super) fn exactly<'o, const N: usize>(
        &self,
        operands: &'o [Operand],
    ) -> Result<&'o [Operand; N], ParseError> {
        match operands.try_into() {
            Ok(operands) => Ok(operands),
            Err(_) => self.fail(format!("{N} operands expected, found {}", operands.len())),
        }
    }

    /// Emits a pure instruction: the first operand is written, the others are read.
    pub(super) fn compute(
        &mut self,
        op: Compute,
        kind: Type,
        operands: &[Operand],
        count: usize,
    ) -> Done {
        let kinds = vec![kind; count];
        self.compute_of(op, &kinds, operands)
    }

    pub(super) fn compute_of(&mut self, op: Compute, kinds: &[Type], operands: &[Operand]) -> Done {
        if operands.len() != kinds.len() + 1 {
            let (n, found) = (kinds.len() + 1, operands.len());
            return self.fail(format!("{n} operands expected, found {found}"));
        }
        let d = self.target(&operands[0])?;
        let mut s = Vec::new();
        for (operand, &kind) in operands[1..].iter().zip(kinds) {
            s.push(self.source(operand, kind)?);
        }
        self.emit(Op::Compute(op), &[d], &s);
        Ok(())
    }

    fn mov(&mut self, q: &mut Qualifiers<'_>, operands: &[Operand]) -> Done {
        let kind = q.kind();
        let kind = self.needs(kind, "a type")?;
        let [to, from] = self.exactly(operands)?;
        let part = |parts: &[Operand]| {
            let count = parts.len() as u32;
            let whole = matches!(count, 2 | 4) && kind.bits() % count == 0;
            whole.then(|| kind.bits() / count)
        };
        match (to, from) {
            (Operand::Vector(parts), _) => {
                let Some(bits) = part(parts) else {
                    return self.fail("a vector of another size than the type's");
                };
                let d = self.targets(to)?;
                let s = self.source(from, kind)?;
                self.emit(Op::Unpack(bits), &d, &[s]);
            }
            (_, Operand::Vector(parts)) => {
                let Some(bits) = part(parts) else {
                    return self.fail("a vector of another size than the type's");
                };
                let d = self.target(to)?;
                let s = self.sources(from, Type::Bits(bits))?;
                self.emit(Op::Pack(bits), &[d], &s);
            }
            (_, Operand::Name(name))
                if name.starts_with("%clock") || name.starts_with("%globaltimer") =>
            {
                let d = self.target(to)?;
                self.emit(Op::Clock, &[d], &[]);
            }
            _ => self.compute(Compute::Copy(kind.bits()), kind, operands, 1)?,
        }
        Ok(())
    }

    fn cvt(&mut self, q: &mut Qualifiers<'_>, operands: &[Operand]) -> Done {
        let whole = q.find(|word| {
            Some(match word {
                "rni" => Round::Nearest,
                "rzi" => Round::Zero,
                "rmi" => Round::Down,
                "rpi" => Round::Up,
                _ => return None,
            })
        });
        let mode = q.mode();
        let relu = q.take("relu");
        let (to, from) = (q.kind(), q.kind());
        let (to, from) = (self.needs(to, "a type")?, self.needs(from, "a second type")?);
        let packed = matches!(to, Type::F16x2 | Type::Bf16x2);
        if to == Type::Pred || from == Type::Pred || matches!(from, Type::F16x2 | Type::Bf16x2) {
            return self.fail("a conversion of such types is not known");
        }
        if to.is_float() && from.is_float() && to.bits() != from.bits() && whole.is_some() {
            return self.fail("a conversion of such a mode is not known");
        }
        let op = Convert {
            to,
            from,
            round: whole.unwrap_or(mode.round),
            whole: whole.is_some(),
            ftz: mode.ftz,
            sat: mode.sat,
            relu,
        };
        self.compute(Compute::Convert(op), from, operands, if packed { 2 } else { 1 })
    }

    fn compare(&mut self, head: &str, q: &mut Qualifiers<'_>, operands: &[Operand]) -> Done {
        // Of `set`, the first type is the result's.
        let result = if head == "set" { q.kind() } else { None };
        let kind = q.kind();
        let kind = self.needs(kind, "a type")?;
        if matches!(kind, Type::F16x2 | Type::Bf16x2 | Type::Pred) {
            return self.fail("a comparison of such a type is not known");
        }
        let relation = q.find(|word| Compare::named(word, kind));
        let (relation, unordered) = self.needs(relation, "a relation")?;
        let join = q.find(|word| {
            Some(match word {
                "and" => Join::And,
                "or" => Join::Or,
                "xor" => Join::Xor,
                _ => return None,
            })
        });
        let compare = Compare { relation, unordered, kind, ftz: q.take("ftz"), join };
        let mut kinds = vec![kind, kind];
        if join.is_some() {
            kinds.push(Type::Pred);
        }
        if head == "set" {
            let result = self.needs(result, "a type")?;
            if result.bits() != 32 || matches!(result, Type::F16x2 | Type::Bf16x2) {
                return self.fail("`set` of such a type is not known");
            }
            return self.compute_of(Compute::Set(compare, result == Type::F32), &kinds, operands);
        }
        if operands.len() != kinds.len() + 1 {
            let (n, found) = (kinds.len() + 1, operands.len());
            return self.fail(format!("{n} operands expected, found {found}"));
        }
        let d = self.target_pair(&operands[0])?;
        let mut s = Vec::new();
        for (operand, &kind) in operands[1..].iter().zip(&kinds) {
            s.push(self.source(operand, kind)?);
        }
        self.emit(Op::Pair(ComputePair::Compare(compare)), &d, &s);
        Ok(())
    }

    fn select(&mut self, head: &str, q: &mut Qualifiers<'_>, operands: &[Operand]) -> Done {
        match head {
            "selp" => {
                let kind = q.kind();
                let kind = self.needs(kind, "a type")?;
                let op = Compute::Select(kind.bits());
                self.compute_of(op, &[kind, kind, Type::Pred], operands)
            }
            "slct" => {
                let (kind, third) = (q.kind(), q.kind());
                let (kind, third) = (self.needs(kind, "a type")?, self.needs(third, "a type")?);
                q.drop(|word| word == "ftz");
                let op = Compute::SelectSign(kind.bits(), third == Type::F32);
                self.compute_of(op, &[kind, kind, third], operands)
            }
            _ => {
                let test = q.find(Test::named);
                let (test, kind) = (self.needs(test, "a test")?, q.kind());
                let kind = self.needs(kind, "a type")?;
                self.compute(Compute::Test(test, kind == Type::F64), kind, operands, 1)
            }
        }
    }
}
