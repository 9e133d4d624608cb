//! From tokens to the tree.

use super::lex::{Kind, Token, integer, tokens};
use super::parse_error::ParseError;
use super::syntax::{Function, Loc, Registers, Statement, Tree, Variable};
use super::types::{Space, Type};

/// Reads a whole text.
pub(super) fn parse(text: &str) -> Result<Tree, ParseError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, loc: None };
    let mut tree = Tree::default();
    while !parser.done() {
        parser.item(&mut tree)?;
    }
    Ok(tree)
}

pub(super) struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    pub loc: Loc,
}

impl Parser<'_> {
    fn done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    pub fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |token| token.line)
    }

    pub fn fail<T>(&self, what: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.line(), what))
    }

    /// An error that says what stands here instead of what was wanted.
    pub fn expected<T>(&self, wanted: &str) -> Result<T, ParseError> {
        match self.tokens.get(self.at) {
            Some(token) => self.fail(format!("{wanted} expected, found {}", token.kind.name())),
            None => self.fail(format!("{wanted} expected, but the text ends")),
        }
    }

    pub fn peek_sign(&self, sign: char) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.kind == Kind::Sign(sign))
    }

    pub fn peek_word(&self) -> Option<&str> {
        match self.tokens.get(self.at).map(|token| &token.kind) {
            Some(Kind::Word(word)) => Some(word),
            _ => None,
        }
    }

    pub fn take_sign(&mut self, sign: char) -> bool {
        let here = self.peek_sign(sign);
        self.at += usize::from(here);
        here
    }

    pub fn sign(&mut self, sign: char) -> Result<(), ParseError> {
        if self.take_sign(sign) { Ok(()) } else { self.expected(&format!("`{sign}`")) }
    }

    pub fn take_word(&mut self, wanted: &str) -> bool {
        let here = self.peek_word() == Some(wanted);
        self.at += usize::from(here);
        here
    }

    pub fn word(&mut self) -> Result<String, ParseError> {
        match self.peek_word().map(str::to_string) {
            Some(word) => {
                self.at += 1;
                Ok(word)
            }
            None => self.expected("a word"),
        }
    }

    fn text(&mut self) -> Result<String, ParseError> {
        match self.tokens.get(self.at).map(|token| &token.kind) {
            Some(Kind::Text(text)) => {
                self.at += 1;
                Ok(text.clone())
            }
            _ => self.expected("a text in quotes"),
        }
    }

    pub fn integer(&mut self) -> Result<u64, ParseError> {
        let negative = self.take_sign('-');
        let Some(value) = self.peek_word().and_then(integer) else {
            return self.expected("a number");
        };
        self.at += 1;
        Ok(if negative { value.wrapping_neg() } else { value })
    }

    fn item(&mut self, tree: &mut Tree) -> Result<(), ParseError> {
        let Some(word) = self.peek_word().map(str::to_string) else {
            return self.expected("a directive");
        };
        match word.as_str() {
            ".version" | ".address_size" => {
                self.at += 1;
                self.word()?;
            }
            ".target" => {
                self.at += 1;
                self.word()?;
                while self.take_sign(',') {
                    self.word()?;
                }
            }
            ".file" => {
                self.at += 1;
                let number = self.integer()?;
                let name = self.text()?;
                while self.take_sign(',') {
                    self.integer()?;
                }
                tree.files.push((number as u32, name));
            }
            ".section" => {
                self.at += 1;
                self.word()?;
                self.skip_braces()?;
            }
            ".loc" => self.loc()?,
            ".pragma" => self.pragma()?,
            _ => self.definition(tree)?,
        }
        Ok(())
    }

    /// A function or a variable, with the words of its linkage before it.
    fn definition(&mut self, tree: &mut Tree) -> Result<(), ParseError> {
        let mut is_extern = false;
        loop {
            if self.take_word(".extern") {
                is_extern = true;
            } else if !(self.take_word(".visible")
                || self.take_word(".weak")
                || self.take_word(".common"))
            {
                break;
            }
        }
        if self.take_word(".entry") {
            let function = self.function(true)?;
            tree.functions.extend(function);
        } else if self.take_word(".func") {
            let function = self.function(false)?;
            tree.functions.extend(function);
        } else {
            let Some(space) = self.space() else {
                return self.expected("a directive");
            };
            self.variables(space, is_extern, &mut tree.variables)?;
        }
        Ok(())
    }

    fn space(&mut self) -> Option<Space> {
        let space = Space::named(self.peek_word()?.strip_prefix('.')?)?;
        self.at += 1;
        Some(space)
    }

    /// A function; `None` for a mere announcement of one.
    fn function(&mut self, is_kernel: bool) -> Result<Option<Function>, ParseError> {
        let returns = if self.peek_sign('(') { self.parameters()? } else { Vec::new() };
        let line = self.line();
        let name = self.word()?;
        let params = if self.peek_sign('(') { self.parameters()? } else { Vec::new() };
        let mut max_threads = None;
        while let Some(word) = self.peek_word().map(str::to_string) {
            self.at += 1;
            match word.as_str() {
                ".maxntid" | ".reqntid" => {
                    let mut product = self.integer()?;
                    while self.take_sign(',') {
                        product = product.saturating_mul(self.integer()?);
                    }
                    max_threads = Some(product);
                }
                ".minnctapersm" | ".maxnreg" | ".maxnctapersm" => {
                    self.integer()?;
                }
                ".noreturn" => {}
                ".pragma" => {
                    self.text()?;
                    self.sign(';')?;
                }
                _ => {
                    self.at -= 1;
                    return self.expected("the body of a function");
                }
            }
        }
        if self.take_sign(';') {
            return Ok(None);
        }
        self.sign('{')?;
        let body = self.body()?;
        Ok(Some(Function { name, line, is_kernel, returns, params, max_threads, body }))
    }

    fn parameters(&mut self) -> Result<Vec<Variable>, ParseError> {
        self.sign('(')?;
        let mut all = Vec::new();
        if self.take_sign(')') {
            return Ok(all);
        }
        loop {
            if !self.take_word(".param") {
                return self.expected("`.param`");
            }
            let shape = self.shape(Space::Param, false)?;
            all.push(self.declarator(shape)?);
            if !self.take_sign(',') {
                break;
            }
        }
        self.sign(')')?;
        Ok(all)
    }

    fn body(&mut self) -> Result<Vec<Statement>, ParseError> {
        self.loc = None;
        let mut out = Vec::new();
        let mut depth = 0_usize;
        loop {
            if self.done() {
                return self.fail("a function never ends");
            }
            if self.take_sign('{') {
                depth += 1;
                out.push(Statement::Open);
            } else if self.take_sign('}') {
                if depth == 0 {
                    return Ok(out);
                }
                depth -= 1;
                out.push(Statement::Close);
            } else if !self.take_sign(';') {
                self.statement(&mut out)?;
            }
        }
    }

    fn statement(&mut self, out: &mut Vec<Statement>) -> Result<(), ParseError> {
        match self.peek_word() {
            Some(".loc") => return self.loc(),
            Some(".pragma") => return self.pragma(),
            Some(".reg") => {
                self.at += 1;
                return self.registers(out);
            }
            Some(word) if word.starts_with('.') => {
                let Some(space) = self.space() else {
                    return self.expected("an instruction or a declaration");
                };
                let mut variables = Vec::new();
                self.variables(space, false, &mut variables)?;
                out.extend(variables.into_iter().map(Statement::Variable));
                return Ok(());
            }
            _ => {}
        }
        let colon = self.tokens.get(self.at + 1).is_some_and(|t| t.kind == Kind::Sign(':'));
        if let (Some(label), true) = (self.peek_word().map(str::to_string), colon) {
            self.at += 2;
            if self.take_word(".branchtargets") {
                let mut targets = vec![self.word()?];
                while self.take_sign(',') {
                    targets.push(self.word()?);
                }
                self.sign(';')?;
                out.push(Statement::Targets(label, targets));
            } else {
                out.push(Statement::Label(label));
            }
            return Ok(());
        }
        out.push(Statement::Instruction(self.instruction()?));
        Ok(())
    }

    fn registers(&mut self, out: &mut Vec<Statement>) -> Result<(), ParseError> {
        let word = self.word()?;
        if word.strip_prefix('.').and_then(Type::named).is_none() {
            self.at -= 1;
            return self.expected("the type of a register");
        }
        loop {
            let name = self.word()?;
            let mut count = None;
            if self.take_sign('<') {
                let n = self.integer()?;
                if n > 1 << 20 {
                    return self.fail("too many registers");
                }
                count = Some(n as u32);
                self.sign('>')?;
            }
            out.push(Statement::Registers(Registers { name, count }));
            if !self.take_sign(',') {
                break;
            }
        }
        self.sign(';')
    }

    fn loc(&mut self) -> Result<(), ParseError> {
        self.at += 1;
        let file = self.integer()?;
        let line = self.integer()?;
        self.integer()?;
        // Line 0 stands for code that belongs to no line; the last one known says more.
        if line != 0 {
            self.loc = Some((file as u32, line as u32));
        }
        // `, function_name $L__info_string0, inlined_at 1 5 3`
        while self.take_sign(',') {
            if self.take_word("function_name") {
                self.word()?;
                if self.take_sign('+') {
                    self.integer()?;
                }
            } else if self.take_word("inlined_at") {
                for _ in 0..3 {
                    self.integer()?;
                }
            } else {
                return self.expected("`function_name` or `inlined_at`");
            }
        }
        Ok(())
    }

    fn pragma(&mut self) -> Result<(), ParseError> {
        self.at += 1;
        self.text()?;
        self.sign(';')
    }

    fn skip_braces(&mut self) -> Result<(), ParseError> {
        self.sign('{')?;
        let mut depth = 1_usize;
        while depth > 0 {
            if self.done() {
                return self.fail("a section never ends");
            }
            depth += usize::from(self.peek_sign('{'));
            depth -= usize::from(self.peek_sign('}'));
            self.at += 1;
        }
        Ok(())
    }

    /// Passes over a token.
    pub fn advance(&mut self) {
        self.at += 1;
    }

    /// Goes back to the token before.
    pub fn back(&mut self) {
        self.at -= 1;
    }
}
