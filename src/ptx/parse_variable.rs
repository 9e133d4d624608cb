//! Variables and parameters, as written.

use super::parse::Parser;
use super::parse_error::ParseError;
use super::syntax::{Shape, Variable};
use super::types::{Space, Type};

/// No variable of a kernel is larger; a broken text may claim anything.
const LARGEST: u64 = 1 << 28;

impl Parser<'_> {
    /// `.align`, the type and what else stands before the name of a variable.
    pub(super) fn shape(&mut self, space: Space, is_extern: bool) -> Result<Shape, ParseError> {
        let mut align = None;
        let mut lanes = 1;
        loop {
            let word = self.word()?;
            match word.as_str() {
                ".align" => {
                    let value = self.integer()?;
                    if !value.is_power_of_two() || value > 1 << 16 {
                        return self.fail(format!("{value} is no alignment"));
                    }
                    align = Some(value);
                }
                ".ptr" | ".attribute" | ".const" | ".global" | ".shared" | ".local" => {}
                ".v2" => lanes = 2,
                ".v4" => lanes = 4,
                _ => {
                    let Some(element) = word.strip_prefix('.').and_then(Type::named) else {
                        self.back();
                        return self.expected("the type of a variable");
                    };
                    let align = align.or(Some(element.bytes() * lanes));
                    while self.take_word(".ptr") {}
                    return Ok(Shape { space, element, align, is_extern });
                }
            }
        }
    }

    pub(super) fn variables(
        &mut self,
        space: Space,
        is_extern: bool,
        out: &mut Vec<Variable>,
    ) -> Result<(), ParseError> {
        let shape = self.shape(space, is_extern)?;
        loop {
            out.push(self.declarator(shape)?);
            if !self.take_sign(',') {
                break;
            }
        }
        self.sign(';')
    }

    pub(super) fn declarator(&mut self, shape: Shape) -> Result<Variable, ParseError> {
        // A pointer's qualifiers stand between its type and its name.
        loop {
            if self.take_word(".align") {
                self.integer()?;
            } else if !(self.take_word(".ptr")
                || self.take_word(".global")
                || self.take_word(".const")
                || self.take_word(".shared")
                || self.take_word(".local"))
            {
                break;
            }
        }
        let name = self.word()?;
        let mut bytes = shape.element.bytes();
        let mut dynamic = false;
        while self.take_sign('[') {
            if self.peek_sign(']') {
                dynamic = true;
                bytes = 0;
            } else {
                bytes = bytes.saturating_mul(self.integer()?);
            }
            self.sign(']')?;
        }
        if bytes > LARGEST {
            return self.fail(format!("`{name}` is too large"));
        }
        let mut initial = Vec::new();
        if self.take_sign('=') {
            self.initial(shape.element, &mut initial)?;
            if initial.len() as u64 > bytes {
                return self.fail(format!("`{name}` holds less than it is given"));
            }
        }
        let align = shape.align.unwrap_or(1).max(1);
        if dynamic && !(shape.is_extern && shape.space == Space::Shared) {
            return self.fail(format!("`{name}` has no size"));
        }
        Ok(Variable { name, space: shape.space, align, bytes, dynamic, initial })
    }

    fn initial(&mut self, element: Type, out: &mut Vec<u8>) -> Result<(), ParseError> {
        if self.take_sign('{') {
            loop {
                self.initial(element, out)?;
                if !self.take_sign(',') {
                    break;
                }
            }
            return self.sign('}');
        }
        let bits = match self.number()? {
            Some(number) => number.bits(),
            None => return self.fail("only numbers can initialise a variable"),
        };
        out.extend_from_slice(&bits.to_le_bytes()[..element.bytes() as usize]);
        Ok(())
    }
}
