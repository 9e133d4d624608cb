//! What an opcode with its qualifiers and operands does: jumps, calls, and what threads do
//! together.

use super::decode::{Done, Qualifiers};
use super::eval::Compute;
use super::eval::bits::BitOp;
use super::eval::integer::IntOp;
use super::lower::{Lowering, Symbol};
use super::parse_error::ParseError;
use super::program::{Barrier, BarrierReduction, Copy, Op, Shuffle, WarpOp};
use super::syntax::Operand;
use super::types::{Space, Type};

impl Lowering<'_> {
    pub(super) fn control(
        &mut self,
        head: &str,
        q: &mut Qualifiers<'_>,
        operands: &[Operand],
    ) -> Done {
        match head {
            "bra" => {
                q.take("uni");
                let [target] = self.exactly(operands)?;
                let Operand::Name(name) = target else {
                    return self.fail("a label expected");
                };
                self.jump(Op::Branch(0), vec![name.clone()], &[]);
            }
            "brx" => {
                q.drop(|word| word == "idx" || word == "uni");
                let [index, list] = self.exactly(operands)?;
                let Operand::Name(name) = list else {
                    return self.fail("the name of branch targets expected");
                };
                let targets = self.targets_of(name)?;
                let s = self.source(index, Type::Unsigned(32))?;
                self.jump(Op::BranchIndexed(Box::default()), targets, &[s]);
            }
            "call" => {
                q.take("uni");
                self.call(operands)?;
            }
            "ret" => {
                q.take("uni");
                let op = if self.in_kernel { Op::Exit } else { Op::Return };
                self.exactly::<0>(operands)?;
                self.emit(op, &[], &[]);
            }
            "exit" => {
                self.exactly::<0>(operands)?;
                self.emit(Op::Exit, &[], &[]);
            }
            "trap" | "brkpt" => self.emit(Op::Trap, &[], &[]),
            "membar" | "fence" if !q.take("cta") => {
                q.drop(|_| true);
                self.emit(Op::Fence, &[], &[]);
            }
            "membar" | "fence" | "nanosleep" | "pmevent" | "discard" | "applypriority"
            | "griddepcontrol" => {
                q.drop(|_| true);
                self.emit(Op::Nothing, &[], &[]);
            }
            "activemask" => {
                q.kind();
                let [d] = self.exactly(operands)?;
                let d = self.target(d)?;
                self.emit(Op::ActiveMask, &[d], &[]);
            }
            "bar" | "barrier" => self.barrier(q, operands)?,
            "shfl" | "vote" | "match" | "redux" => self.warp(head, q, operands)?,
            _ => return self.fail(format!("opcode `{head}` is not known")),
        }
        Ok(())
    }

    fn call(&mut self, operands: &[Operand]) -> Done {
        let mut rest = operands;
        let empty = Vec::new();
        let mut returns = &empty;
        if let [Operand::List(list), tail @ ..] = rest {
            (returns, rest) = (list, tail);
        }
        let (name, args) = match rest {
            [Operand::Name(name)] => (name, &empty),
            [Operand::Name(name), Operand::List(list)] => (name, list),
            _ => return self.fail("a call of this form is not known"),
        };
        match name.as_str() {
            // The chip's own functions of failed assertions and of printing.
            "__assertfail" | "__assert_fail" => {
                self.emit(Op::Trap, &[], &[]);
                return Ok(());
            }
            "vprintf" => {
                self.emit(Op::Nothing, &[], &[]);
                return Ok(());
            }
            _ => {}
        }
        let frame = self.frame(name)?;
        let into = self.places(args)?;
        let back = self.places(returns)?;
        if into.len() != frame.params.len() || back.len() != frame.returns.len() {
            return self.fail(format!("`{name}` takes another number of parameters"));
        }
        let copy = |from: &(u64, u64), to: &(u64, u64)| Copy {
            from: from.0,
            to: to.0,
            bytes: from.1.min(to.1),
        };
        let copies = into.iter().zip(&frame.params).map(|(a, b)| copy(a, b)).collect();
        let returns = frame.returns.iter().zip(&back).map(|(a, b)| copy(a, b)).collect();
        self.calls.push((self.program.code.len(), name.clone()));
        self.emit(Op::Call { target: 0, copies, returns }, &[], &[]);
        Ok(())
    }

    /// Where the parameters of a call lie.
    fn places(&self, operands: &[Operand]) -> Result<Vec<(u64, u64)>, ParseError> {
        let mut out = Vec::new();
        for operand in operands {
            let symbol = match operand {
                Operand::Name(name) => self.symbol(name),
                _ => None,
            };
            match symbol {
                Some(Symbol::Place(Space::Param, at, bytes)) => out.push((at, bytes)),
                _ => return self.fail("a call passes variables of `.param` only"),
            }
        }
        Ok(out)
    }

    fn barrier(&mut self, q: &mut Qualifiers<'_>, operands: &[Operand]) -> Done {
        q.drop(|word| matches!(word, "cta" | "aligned"));
        let word = Type::Unsigned(32);
        if q.take("warp") {
            q.take("sync");
            let [mask] = self.exactly(operands)?;
            let mask = self.source(mask, word)?;
            self.emit(Op::Warp(WarpOp::Sync), &[], &[mask]);
            return Ok(());
        }
        let (sync, arrive, red) = (q.take("sync"), q.take("arrive"), q.take("red"));
        if u8::from(sync) + u8::from(arrive) + u8::from(red) != 1 {
            return self.fail("a barrier of this form is not known");
        }
        let mut reduction = None;
        let mut d = Vec::new();
        let mut rest = operands;
        let mut predicate = None;
        if red {
            reduction = q.find(|word| {
                Some(match word {
                    "popc" => BarrierReduction::Count,
                    "and" => BarrierReduction::And,
                    "or" => BarrierReduction::Or,
                    _ => return None,
                })
            });
            self.needs(reduction, "a reduction")?;
            q.kind();
            let [target, middle @ .., last] = rest else {
                return self.fail("a barrier with a reduction has more operands");
            };
            d.push(self.target(target)?);
            predicate = Some(self.source(last, Type::Pred)?);
            rest = middle;
        }
        let counted = rest.len() == 2;
        if rest.is_empty() || rest.len() > 2 {
            return self.fail("a barrier has one number and at most one count");
        }
        let mut s = Vec::new();
        for operand in rest {
            s.push(self.source(operand, word)?);
        }
        s.extend(predicate);
        self.emit(Op::Barrier(Barrier { waits: !arrive, counted, reduction }), &d, &s);
        Ok(())
    }

    fn warp(&mut self, head: &str, q: &mut Qualifiers<'_>, operands: &[Operand]) -> Done {
        if !q.take("sync") {
            return self.fail(format!("`{head}` without `.sync` is not known"));
        }
        let word = Type::Unsigned(32);
        let op = q.find(|word| {
            Some(match (head, word) {
                ("shfl", "up") => WarpOp::Shuffle(Shuffle::Up),
                ("shfl", "down") => WarpOp::Shuffle(Shuffle::Down),
                ("shfl", "bfly") => WarpOp::Shuffle(Shuffle::Butterfly),
                ("shfl", "idx") => WarpOp::Shuffle(Shuffle::Index),
                ("vote", "all") => WarpOp::VoteAll,
                ("vote", "any") => WarpOp::VoteAny,
                ("vote", "uni") => WarpOp::VoteUniform,
                ("vote", "ballot") => WarpOp::VoteBallot,
                ("match", "any") => WarpOp::MatchAny(32),
                ("match", "all") => WarpOp::MatchAll(32),
                ("redux", "add") => WarpOp::Reduce(Compute::Int(IntOp::Add, 32, false)),
                ("redux", "min") => WarpOp::Reduce(Compute::Int(IntOp::Min, 32, false)),
                ("redux", "max") => WarpOp::Reduce(Compute::Int(IntOp::Max, 32, false)),
                ("redux", "and") => WarpOp::Reduce(Compute::Bits(BitOp::And, 32)),
                ("redux", "or") => WarpOp::Reduce(Compute::Bits(BitOp::Or, 32)),
                ("redux", "xor") => WarpOp::Reduce(Compute::Bits(BitOp::Xor, 32)),
                _ => return None,
            })
        });
        let op = self.needs(op, "an operation")?;
        let kind = q.kind();
        let kind = self.needs(kind, "a type")?;
        let (op, kinds): (WarpOp, &[Type]) = match op {
            WarpOp::Shuffle(_) => (op, &[Type::Bits(32), word, word, word]),
            WarpOp::MatchAny(_) => (WarpOp::MatchAny(kind.bits()), &[kind, word]),
            WarpOp::MatchAll(_) => (WarpOp::MatchAll(kind.bits()), &[kind, word]),
            WarpOp::Reduce(Compute::Int(int, bits, _)) if !kind.is_float() => {
                (WarpOp::Reduce(Compute::Int(int, bits, kind.is_signed())), &[kind, word])
            }
            WarpOp::Reduce(_) if kind.is_float() => {
                return self.fail("`redux` of floats is not known");
            }
            WarpOp::Reduce(_) => (op, &[kind, word]),
            _ => (op, &[Type::Pred, word]),
        };
        if operands.len() != kinds.len() + 1 {
            let (n, found) = (kinds.len() + 1, operands.len());
            return self.fail(format!("{n} operands expected, found {found}"));
        }
        let d = self.target_pair(&operands[0])?;
        let mut s = Vec::new();
        for (operand, &kind) in operands[1..].iter().zip(kinds) {
            s.push(self.source(operand, kind)?);
        }
        self.emit(Op::Warp(op), &d, &s);
        Ok(())
    }
}
