//! What opcodes with their qualifiers and operands do: memory.

use super::decode::{Done, Qualifiers};
use super::eval::Compute;
use super::eval::bits::BitOp;
use super::eval::float::{FloatOp, Mode};
use super::eval::half::Format;
use super::eval::integer::IntOp;
use super::lower::Lowering;
use super::program::{Access, AtomicOp, Op, Reg};
use super::syntax::Operand;
use super::types::{Space, Type};

/// Qualifiers of loads and stores that change no value: caches, order, scope.
fn is_hint(word: &str) -> bool {
    matches!(
        word,
        "ca" | "cg"
            | "cs"
            | "lu"
            | "cv"
            | "wb"
            | "wt"
            | "nc"
            | "volatile"
            | "relaxed"
            | "acquire"
            | "release"
            | "acq_rel"
            | "weak"
            | "mmio"
            | "sys"
            | "gpu"
            | "cta"
            | "cluster"
            | "noftz"
            | "coherent"
    ) || word.starts_with("L1::")
        || word.starts_with("L2::")
}

impl Lowering<'_> {
    pub(super) fn memory(
        &mut self,
        head: &str,
        q: &mut Qualifiers<'_>,
        operands: &[Operand],
    ) -> Done {
        match head {
            "cvta" => {
                let back = q.take("to");
                let space = q.find(Space::named);
                let space = self.needs(space, "a space")?;
                let kind = q.kind();
                let kind = self.needs(kind, "a type")?;
                let [to, from] = self.exactly(operands)?;
                let (d, s) = (self.target(to)?, self.source(from, kind)?);
                let op = if back { Op::FromGeneric(space) } else { Op::ToGeneric(space) };
                self.emit(op, &[d], &[s]);
                return Ok(());
            }
            "isspacep" => {
                let space = q.find(Space::named);
                let space = self.needs(space, "a space")?;
                let [to, from] = self.exactly(operands)?;
                let (d, s) = (self.target(to)?, self.source(from, Type::Unsigned(64))?);
                self.emit(Op::IsSpace(space), &[d], &[s]);
                return Ok(());
            }
            "prefetch" => {
                q.drop(|_| true);
                self.emit(Op::Nothing, &[], &[]);
                return Ok(());
            }
            _ => {}
        }
        let space = q.find(Space::named).unwrap_or(Space::Generic);
        q.drop(is_hint);
        if head == "atom" || head == "red" {
            return self.atomic(head, space, q, operands);
        }
        let count = if q.take("v2") {
            2
        } else if q.take("v4") {
            4
        } else if q.take("v8") {
            8
        } else {
            1
        };
        let kind = q.kind();
        let kind = self.needs(kind, "a type")?;
        if kind == Type::Pred {
            return self.fail("memory holds no predicates");
        }
        let [first, second] = self.exactly(operands)?;
        let (value, address) = if head == "st" { (second, first) } else { (first, second) };
        let (base, offset) = self.pointer(address)?;
        let access = Access { space, kind, offset, count };
        let parts = if head == "st" { self.sources(value, kind)? } else { self.targets(value)? };
        if parts.len() != count as usize {
            return self.fail(format!("{count} elements expected, found {}", parts.len()));
        }
        if head == "st" {
            let s: Vec<Reg> = [base].into_iter().chain(parts).collect();
            self.emit(Op::Store(access), &[], &s);
        } else {
            self.emit(Op::Load(access), &parts, &[base]);
        }
        Ok(())
    }

    fn atomic(
        &mut self,
        head: &str,
        space: Space,
        q: &mut Qualifiers<'_>,
        operands: &[Operand],
    ) -> Done {
        let kind = q.kind();
        let kind = self.needs(kind, "a type")?;
        let (bits, signed) = (kind.bits(), kind.is_signed());
        let word = q.find(|word| {
            let known = ["add", "min", "max", "and", "or", "xor", "inc", "dec", "exch", "cas"];
            known.contains(&word).then(|| word.to_string())
        });
        let word = self.needs(word, "an operation")?;
        // Sums round to nearest, and those of singles in global memory flush subnormals.
        let _ = q.mode();
        let mode = Mode { ftz: kind == Type::F32 && space == Space::Global, ..Mode::PLAIN };
        let float = |op: FloatOp| match kind {
            Type::F32 => Some(Compute::F32(op, mode)),
            Type::F64 => Some(Compute::F64(op, mode)),
            Type::F16 => Some(Compute::Half(op, Format::F16, false, mode)),
            Type::Bf16 => Some(Compute::Half(op, Format::Bf16, false, mode)),
            Type::F16x2 => Some(Compute::Half(op, Format::F16, true, mode)),
            Type::Bf16x2 => Some(Compute::Half(op, Format::Bf16, true, mode)),
            _ => None,
        };
        let compute = |ints: IntOp, floats: FloatOp| {
            AtomicOp::Compute(float(floats).unwrap_or(Compute::Int(ints, bits, signed)))
        };
        let op = match word.as_str() {
            "add" => compute(IntOp::Add, FloatOp::Add),
            "min" => compute(IntOp::Min, FloatOp::Min(false)),
            "max" => compute(IntOp::Max, FloatOp::Max(false)),
            "and" => AtomicOp::Compute(Compute::Bits(BitOp::And, bits)),
            "or" => AtomicOp::Compute(Compute::Bits(BitOp::Or, bits)),
            "xor" => AtomicOp::Compute(Compute::Bits(BitOp::Xor, bits)),
            "inc" => AtomicOp::Increment,
            "dec" => AtomicOp::Decrement,
            "exch" => AtomicOp::Exchange,
            _ => AtomicOp::CompareAndSwap,
        };
        let returns = usize::from(head == "atom");
        let wanted = 2 + returns + usize::from(op == AtomicOp::CompareAndSwap);
        if operands.len() != wanted {
            return self.fail(format!("{wanted} operands expected, found {}", operands.len()));
        }
        let mut d = Vec::new();
        if returns == 1 {
            d.push(self.target(&operands[0])?);
        }
        let (base, offset) = self.pointer(&operands[returns])?;
        let mut s = vec![base];
        for operand in &operands[returns + 1..] {
            s.push(self.source(operand, kind)?);
        }
        let access = Access { space, kind, offset, count: 1 };
        self.emit(Op::Atomic(access, op), &d, &s);
        Ok(())
    }
}
