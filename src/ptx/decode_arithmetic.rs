//! What an opcode with its qualifiers and operands does: arithmetic and bits.

use super::decode::{Done, Qualifiers};
use super::eval::approximate::{Approximate, Function, Kind};
use super::eval::bits::BitOp;
use super::eval::float::FloatOp;
use super::eval::half::Format;
use super::eval::integer::{Carry, CarryOp, IntOp};
use super::eval::round::Round;
use super::eval::{Compute, ComputePair};
use super::lower::Lowering;
use super::program::{Op, Reg};
use super::syntax::Operand;
use super::types::Type;

impl Lowering<'_> {
    pub(super) fn arithmetic(
        &mut self,
        head: &str,
        q: &mut Qualifiers<'_>,
        operands: &[Operand],
    ) -> Done {
        let kind = q.kind();
        let kind = self.needs(kind, "a type")?;
        if kind.is_float() {
            return self.floats(head, kind, q, operands);
        }
        let (bits, signed) = (kind.bits(), kind.is_signed());
        if !matches!(kind, Type::Unsigned(_) | Type::Signed(_) | Type::Bits(_)) || bits < 16 {
            return self.fail("arithmetic of such a type is not known");
        }
        let part = q.find(|word| matches!(word, "lo" | "hi" | "wide").then(|| word.to_string()));
        let part = part.as_deref();
        let (carries_in, carries_out) = (head.ends_with('c') && head.len() > 3, q.take("cc"));
        if carries_in || carries_out {
            let (op, count) = match (head, part) {
                ("add" | "addc", None) => (CarryOp::Add, 2),
                ("sub" | "subc", None) => (CarryOp::Sub, 2),
                ("mad" | "madc", Some("lo")) => (CarryOp::MadLo, 3),
                ("mad" | "madc", Some("hi")) => (CarryOp::MadHi, 3),
                _ => return self.fail(format!("`{head}` with a carry is not known")),
            };
            return self.carry(op, kind, count, (carries_in, carries_out), operands);
        }
        let sat = q.take("sat");
        let (op, count) = match (head, part) {
            ("add", None) if sat => (IntOp::AddSaturating, 2),
            ("sub", None) if sat => (IntOp::SubSaturating, 2),
            _ if sat => return self.fail("`.sat` is not known here"),
            ("add", None) => (IntOp::Add, 2),
            ("sub", None) => (IntOp::Sub, 2),
            ("mul", Some("lo")) => (IntOp::MulLo, 2),
            ("mul", Some("hi")) => (IntOp::MulHi, 2),
            ("mul", Some("wide")) if bits < 64 => (IntOp::MulWide, 2),
            ("mad", Some("lo")) => (IntOp::MadLo, 3),
            ("mad", Some("hi")) => (IntOp::MadHi, 3),
            ("mad", Some("wide")) if bits < 64 => (IntOp::MadWide, 3),
            ("mul24", Some("lo")) => (IntOp::Mul24, 2),
            ("mad24", Some("lo")) => (IntOp::Mad24, 3),
            ("div", None) => (IntOp::Div, 2),
            ("rem", None) => (IntOp::Rem, 2),
            ("min", None) => (IntOp::Min, 2),
            ("max", None) => (IntOp::Max, 2),
            ("abs", None) => (IntOp::Abs, 1),
            ("neg", None) => (IntOp::Neg, 1),
            ("sad", None) => (IntOp::Sad, 3),
            ("dp4a", None) => {
                let second = q.kind();
                let second = self.needs(second, "a second type")?;
                (IntOp::Dp4a(second.is_signed()), 3)
            }
            _ => return self.fail(format!("`{head}` of this form is not known for integers")),
        };
        self.compute(Compute::Int(op, bits, signed), kind, operands, count)
    }

    fn carry(
        &mut self,
        op: CarryOp,
        kind: Type,
        count: usize,
        (carries_in, carries_out): (bool, bool),
        operands: &[Operand],
    ) -> Done {
        if operands.len() != count + 1 {
            return self.fail(format!("{} operands expected, found {}", count + 1, operands.len()));
        }
        let flag = self.carry_flag();
        let mut d = vec![self.target(&operands[0])?];
        let mut s: Vec<Reg> = Vec::new();
        for operand in &operands[1..] {
            s.push(self.source(operand, kind)?);
        }
        if carries_in {
            s.push(flag);
        }
        if carries_out {
            d.push(flag);
        }
        let carry_at = carries_in.then_some(count);
        let carry = Carry { op, bits: kind.bits(), is_signed: kind.is_signed(), carry_at };
        self.emit(Op::Pair(ComputePair::Carry(carry)), &d, &s);
        Ok(())
    }

    fn floats(
        &mut self,
        head: &str,
        kind: Type,
        q: &mut Qualifiers<'_>,
        operands: &[Operand],
    ) -> Done {
        let function = match head {
            "rcp" => Some(Function::Rcp),
            "rsqrt" => Some(Function::Rsqrt),
            "sqrt" => Some(Function::Sqrt),
            "sin" => Some(Function::Sin),
            "cos" => Some(Function::Cos),
            "lg2" => Some(Function::Lg2),
            "ex2" => Some(Function::Ex2),
            "tanh" => Some(Function::Tanh),
            "div" => Some(Function::Div),
            _ => None,
        };
        let fast = q.take("approx");
        let approximate = fast || (head == "div" && q.take("full"));
        let mode = q.mode();
        if let (Some(function), true) = (function, approximate) {
            let function = if fast && head == "div" { Function::DivApprox } else { function };
            let half = matches!(function, Function::Ex2 | Function::Tanh);
            let kind_of = match kind {
                Type::F32 => Kind::F32,
                Type::F64 if matches!(function, Function::Rcp | Function::Rsqrt) => Kind::F64,
                Type::F16 if half => Kind::Half(Format::F16, false),
                Type::F16x2 if half => Kind::Half(Format::F16, true),
                Type::Bf16 if half => Kind::Half(Format::Bf16, false),
                Type::Bf16x2 if half => Kind::Half(Format::Bf16, true),
                _ => return self.fail(format!("`{head}.approx` of this type is not known")),
            };
            let op = Approximate { function, kind: kind_of, ftz: mode.ftz };
            let count = if head == "div" { 2 } else { 1 };
            return self.compute(Compute::Approximate(op), kind, operands, count);
        }
        let nan = q.take("NaN");
        let (op, count) = match head {
            "add" => (FloatOp::Add, 2),
            "sub" => (FloatOp::Sub, 2),
            "mul" => (FloatOp::Mul, 2),
            "fma" | "mad" => (FloatOp::Fma, 3),
            "div" => (FloatOp::Div, 2),
            "rcp" => (FloatOp::Rcp, 1),
            "sqrt" => (FloatOp::Sqrt, 1),
            "min" => (FloatOp::Min(nan), 2),
            "max" => (FloatOp::Max(nan), 2),
            "abs" => (FloatOp::Abs, 1),
            "neg" => (FloatOp::Neg, 1),
            "copysign" => (FloatOp::CopySign, 2),
            _ => return self.fail(format!("`{head}` of this form is not known for floats")),
        };
        if nan && !matches!(op, FloatOp::Min(_) | FloatOp::Max(_)) {
            return self.fail("`.NaN` is not known here");
        }
        let plain = matches!(op, FloatOp::Add | FloatOp::Sub | FloatOp::Mul);
        if kind == Type::F64 && mode.round != Round::Nearest && !plain {
            return self.fail("directed rounding of this double is not known");
        }
        let compute = match kind {
            Type::F32 => Compute::F32(op, mode),
            Type::F64 if mode.ftz || mode.sat => return self.fail("no such mode for doubles"),
            Type::F64 => Compute::F64(op, mode),
            Type::F16 => Compute::Half(op, Format::F16, false, mode),
            Type::F16x2 => Compute::Half(op, Format::F16, true, mode),
            Type::Bf16 => Compute::Half(op, Format::Bf16, false, mode),
            _ => Compute::Half(op, Format::Bf16, true, mode),
        };
        self.compute(compute, kind, operands, count)
    }

    pub(super) fn bits(
        &mut self,
        head: &str,
        q: &mut Qualifiers<'_>,
        operands: &[Operand],
    ) -> Done {
        let shift = q.take("shiftamt");
        let left = q.take("l");
        let right = q.take("r");
        let clamp = q.take("clamp");
        let wrap = q.take("wrap");
        let kind = q.kind();
        let kind = self.needs(kind, "a type")?;
        let signed = kind.is_signed();
        let word = Type::Unsigned(32);
        let (op, kinds): (BitOp, &[Type]) = match head {
            "and" => (BitOp::And, &[kind; 2]),
            "or" => (BitOp::Or, &[kind; 2]),
            "xor" => (BitOp::Xor, &[kind; 2]),
            "not" => (BitOp::Not, &[kind]),
            "cnot" => (BitOp::IsZero, &[kind]),
            "shl" => (BitOp::Shl, &[kind, word]),
            "shr" => (BitOp::Shr { signed }, &[kind, word]),
            "shf" if left != right && clamp != wrap => {
                (BitOp::Funnel { left, clamp }, &[kind, kind, word])
            }
            "bfe" => (BitOp::Extract { signed }, &[kind, word, word]),
            "bfi" => (BitOp::Insert, &[kind, kind, word, word]),
            "prmt" => (BitOp::Permute, &[kind; 3]),
            "clz" => (BitOp::CountLeadingZeros, &[kind]),
            "popc" => (BitOp::CountOnes, &[kind]),
            "brev" => (BitOp::Reverse, &[kind]),
            "bfind" => (BitOp::Find { signed, shift }, &[kind]),
            "lop3" => {
                let [d, a, b, c, table] = self.exactly(operands)?;
                let Operand::Number(number) = table else {
                    return self.fail("the table of `lop3` must be a number");
                };
                let op = Compute::Bits(BitOp::Lop3(number.bits() as u8), kind.bits());
                let operands = [d, a, b, c].map(Clone::clone);
                return self.compute(op, kind, &operands, 3);
            }
            _ => return self.fail(format!("`{head}` of this form is not known")),
        };
        self.compute_of(Compute::Bits(op, kind.bits()), kinds, operands)
    }
}
