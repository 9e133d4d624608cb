//! Instructions and their operands, as written.

use super::lex::integer;
use super::parse::Parser;
use super::parse_error::ParseError;
use super::syntax::{Number, Operand, Written};

impl Number {
    /// The bits, in the lower part of a word.
    pub fn bits(self) -> u64 {
        match self {
            Self::Integer(bits) | Self::Double(bits) => bits,
            Self::Single(bits) => u64::from(bits),
        }
    }
}

/// Vectors and lists nest no deeper; a broken text may claim anything.
const DEEPEST: usize = 4;

impl Parser<'_> {
    pub(super) fn instruction(&mut self) -> Result<Written, ParseError> {
        let line = self.line();
        let mut guard = None;
        if self.take_sign('@') {
            let negated = self.take_sign('!');
            guard = Some((self.word()?, negated));
        }
        let opcode: Vec<String> = self.word()?.split('.').map(str::to_string).collect();
        let mut operands = Vec::new();
        if !self.peek_sign(';') {
            loop {
                operands.push(self.operand(0)?);
                if !self.take_sign(',') {
                    break;
                }
            }
        }
        self.sign(';')?;
        Ok(Written { line, loc: self.loc, guard, opcode, operands })
    }

    fn operand(&mut self, depth: usize) -> Result<Operand, ParseError> {
        if depth > DEEPEST {
            return self.fail("operands nest too deep");
        }
        if self.take_sign('!') {
            return Ok(Operand::Not(self.word()?));
        }
        if self.take_sign('[') {
            let base = self.operand(depth + 1)?;
            let mut offset = 0_i64;
            if self.take_sign('+') || self.peek_sign('-') {
                offset = self.integer()? as i64;
            }
            self.sign(']')?;
            return Ok(Operand::Address(Box::new(base), offset));
        }
        for (open, close) in [('{', '}'), ('(', ')')] {
            if self.take_sign(open) {
                let mut parts = Vec::new();
                if !self.peek_sign(close) {
                    loop {
                        parts.push(self.operand(depth + 1)?);
                        if !self.take_sign(',') {
                            break;
                        }
                    }
                }
                self.sign(close)?;
                let list = open == '(';
                return Ok(if list { Operand::List(parts) } else { Operand::Vector(parts) });
            }
        }
        if let Some(number) = self.number()? {
            return Ok(Operand::Number(number));
        }
        let name = self.word()?;
        if self.take_sign('|') {
            return Ok(Operand::Pair(name, self.word()?));
        }
        Ok(Operand::Name(name))
    }

    /// A number, if one stands here.
    pub(super) fn number(&mut self) -> Result<Option<Number>, ParseError> {
        if self.peek_sign('-') {
            return Ok(Some(Number::Integer(self.integer()?)));
        }
        let Some(word) = self.peek_word() else { return Ok(None) };
        if !word.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(None);
        }
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let number = match word.get(..2) {
            Some("0f" | "0F") if word.len() == 10 => {
                hex(&word[2..]).map(|bits| Number::Single(bits as u32))
            }
            Some("0d" | "0D") if word.len() == 18 => hex(&word[2..]).map(Number::Double),
            _ => integer(word).map(Number::Integer),
        };
        match number {
            Some(number) => {
                self.advance();
                Ok(Some(number))
            }
            None => self.expected("a number"),
        }
    }
}
