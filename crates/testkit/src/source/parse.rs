//! What one file declares and names: child modules, items, `use` items, paths.
//!
//! Data flow: tokens -> tokens without `#[cfg(test)]` items -> [`File`].
//!
//! # Invariants
//! - A path belongs to the inline module it stands in (`scope`), so `super` is resolved from there.

use super::lexer::{Kind, Token, tokens};

/// What a file declares and names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// `mod x;`: the name, and whether it is for tests only.
    pub children: Vec<(String, bool)>,
    /// Names that the file defines at its own level.
    pub items: Vec<String>,
    /// `use` items, one for each leaf.
    pub uses: Vec<Use>,
    /// Paths of two segments or more outside of `use` items.
    pub paths: Vec<Named>,
    /// Functions with a body: first and last line.
    pub functions: Vec<(usize, usize)>,
    /// Names of macros that are called.
    pub macros: Vec<String>,
    /// The whole file is for tests (`#![cfg(test)]`).
    pub is_test: bool,
}

/// A path and the place where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Inline modules around it.
    pub scope: Vec<String>,
    /// Its segments.
    pub path: Vec<String>,
    /// Its line.
    pub line: usize,
}

/// One leaf of a `use` item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// What is imported, and where.
    pub named: Named,
    /// The name it has here; `*` for a glob, `_` for none.
    pub alias: String,
}

/// Reads one file.
#[must_use]
pub fn parse(text: &str) -> File {
    let all = tokens(text);
    let mut file = File::default();
    let kept = without_tests(&all, &mut file);
    let mut parser = Parser { tokens: &kept, at: 0, braces: Vec::new(), open: Vec::new(), file };
    parser.run();
    parser.file
}

/// Whether an attribute's tokens (between the brackets) restrict to tests.
fn is_test_attribute(tokens: &[Token<'_>]) -> bool {
    let words: Vec<&str> = tokens.iter().filter_map(Token::ident).collect();
    words == ["cfg", "test"] || words.starts_with(&["cfg", "all", "test"])
}

/// Index behind the bracket that closes the one at `open`.
fn behind(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Punct('(' | '[' | '{') => depth += 1,
            Kind::Punct(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Drops every item behind a test attribute; notes test modules that have files of their own.
fn without_tests<'a>(all: &[Token<'a>], file: &mut File) -> Vec<Token<'a>> {
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(token) = all.get(at) {
        let inner = all.get(at + 1).is_some_and(|next| next.is('!'));
        let open = at + 1 + usize::from(inner);
        if !token.is('#') || !all.get(open).is_some_and(|next| next.is('[')) {
            kept.push(*token);
            at += 1;
            continue;
        }
        let end = behind(all, open);
        if !is_test_attribute(&all[open..end]) {
            kept.extend_from_slice(&all[at..end]);
            at = end;
        } else if inner {
            file.is_test = true;
            at = end;
        } else {
            at = behind_item(all, end, file);
        }
    }
    kept
}

/// Index behind the item at `at`: its `;`, or its braces.
fn behind_item(all: &[Token<'_>], mut at: usize, file: &mut File) -> usize {
    while let Some(token) = all.get(at) {
        if token.ident() == Some("mod")
            && let (Some(name), Some(true)) =
                (all.get(at + 1).and_then(Token::ident), all.get(at + 2).map(|t| t.is(';')))
        {
            file.children.push((name.to_owned(), true));
        }
        match token.kind {
            Kind::Punct(';' | ',') => return at + 1,
            Kind::Punct('{') => {
                // `use a::{b};` ends with its semicolon.
                let end = behind(all, at);
                return end + usize::from(all.get(end).is_some_and(|next| next.is(';')));
            }
            Kind::Punct('(' | '[') => at = behind(all, at),
            // The end of what is around: an attribute on the last field.
            Kind::Punct('}') => return at,
            _ => at += 1,
        }
    }
    at
}

/// What an open brace belongs to.
enum Brace {
    Module(String),
    Function(usize),
    Other,
}

struct Parser<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    braces: Vec<Brace>,
    /// What the next opening brace belongs to, in the order of announcement.
    open: Vec<Brace>,
    file: File,
}

impl<'a> Parser<'_, 'a> {
    fn run(&mut self) {
        while let Some(token) = self.tokens.get(self.at).copied() {
            match token.kind {
                Kind::Punct('{') => {
                    let brace = self.open.pop().unwrap_or(Brace::Other);
                    self.braces.push(brace);
                    self.at += 1;
                }
                Kind::Punct('}') => {
                    if let Some(Brace::Function(first)) = self.braces.pop() {
                        self.file.functions.push((first, token.line));
                    }
                    self.at += 1;
                }
                // A function without a body, in a trait.
                Kind::Punct(';') => {
                    self.open.clear();
                    self.at += 1;
                }
                // `[u8; 4]` in a signature is not its end.
                Kind::Punct('[') if matches!(self.open.last(), Some(Brace::Function(_))) => {
                    let end = behind(self.tokens, self.at);
                    self.inner_paths(end);
                }
                Kind::Ident(word) => self.word(word, token.line),
                _ => self.at += 1,
            }
        }
    }

    /// Reads the paths up to `end`, and nothing else.
    fn inner_paths(&mut self, end: usize) {
        while self.at < end {
            let before = self.at;
            if let Some(word) = self.word_at(self.at) {
                let line = self.tokens[self.at].line;
                self.path(word, line);
            }
            self.at = self.at.max(before + 1);
        }
    }

    fn word(&mut self, word: &str, line: usize) {
        match word {
            "use" if self.starts_item() => self.use_item(line),
            "mod" if self.word_at(self.at + 1).is_some() => self.module(),
            "pub" => self.visibility(),
            "fn" if self.word_at(self.at + 1).is_some() => {
                self.item(1);
                self.open.push(Brace::Function(line));
                self.at += 2;
            }
            "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" => {
                self.item(1 + usize::from(self.word_at(self.at + 1) == Some("mut")));
                self.at += 1;
            }
            "macro_rules" => {
                self.item(2);
                self.at += 1;
            }
            _ => self.path(word, line),
        }
    }

    fn word_at(&self, at: usize) -> Option<&'a str> {
        self.tokens.get(at).and_then(Token::ident)
    }

    fn is(&self, at: usize, punct: char) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(punct))
    }

    fn colons(&self, at: usize) -> bool {
        self.is(at, ':') && self.is(at + 1, ':')
    }

    /// `impl Trait + use<'a>` is no import.
    fn starts_item(&self) -> bool {
        !self.is(self.at + 1, '<')
    }

    fn scope(&self) -> Vec<String> {
        let names = self.braces.iter().filter_map(|brace| match brace {
            Brace::Module(name) => Some(name.clone()),
            _ => None,
        });
        names.collect()
    }

    /// Notes the name `ahead` tokens further, if this is the file's own level.
    fn item(&mut self, ahead: usize) {
        if self.braces.is_empty()
            && let Some(name) = self.word_at(self.at + ahead)
        {
            self.file.items.push(name.to_owned());
        }
    }

    fn module(&mut self) {
        let name = self.word_at(self.at + 1).unwrap_or_default().to_owned();
        if self.is(self.at + 2, ';') {
            if self.braces.is_empty() {
                self.file.children.push((name, false));
            }
            self.at += 3;
        } else {
            self.item(1);
            self.open.push(Brace::Module(name));
            self.at += 2;
        }
    }

    /// `pub(in crate::x)` names a module, but uses nothing of it.
    fn visibility(&mut self) {
        self.at += 1;
        if self.is(self.at, '(') && self.word_at(self.at + 1) == Some("in") {
            self.at = behind(self.tokens, self.at);
        }
    }

    fn path(&mut self, first: &str, line: usize) {
        let from = self.at;
        let is_global = from >= 2 && self.colons(from - 2);
        let is_field =
            from >= 1 && self.is(from - 1, '.') && !(from >= 2 && self.is(from - 2, '.'));
        let mut path = vec![first.to_owned()];
        self.at += 1;
        while self.colons(self.at)
            && let Some(next) = self.word_at(self.at + 2)
        {
            path.push(next.to_owned());
            self.at += 3;
        }
        if self.is(self.at, '!') && !self.is(self.at + 1, '=') {
            self.file.macros.extend(path.last().cloned());
        }
        if path.len() > 1 && !is_global && !is_field {
            let scope = self.scope();
            self.file.paths.push(Named { scope, path, line });
        }
    }

    fn use_item(&mut self, line: usize) {
        self.at += 1;
        // `use ::std::io`.
        if self.colons(self.at) {
            while self.at < self.tokens.len() && !self.is(self.at, ';') {
                self.at += 1;
            }
        }
        let scope = self.scope();
        self.use_tree(&mut Vec::new(), &scope, line);
        self.at += 1;
    }

    fn use_tree(&mut self, prefix: &mut Vec<String>, scope: &[String], line: usize) {
        let depth = prefix.len();
        loop {
            if self.is(self.at, '{') {
                self.at += 1;
                while self.at < self.tokens.len() && !self.is(self.at, '}') {
                    self.use_tree(prefix, scope, line);
                    self.at += usize::from(self.is(self.at, ','));
                }
                self.at += 1;
                break;
            }
            if self.is(self.at, '*') {
                self.at += 1;
                self.leaf(prefix.clone(), "*".to_owned(), scope, line);
                break;
            }
            let Some(word) = self.word_at(self.at) else {
                // Not Rust: go on behind it.
                self.at += 1;
                break;
            };
            prefix.push(word.to_owned());
            self.at += 1;
            if self.colons(self.at) {
                self.at += 2;
                continue;
            }
            // `{self}` is the path so far.
            if word == "self" && prefix.len() > 1 {
                prefix.pop();
            }
            let mut alias = prefix.last().cloned().unwrap_or_default();
            if self.word_at(self.at) == Some("as") {
                alias = self.word_at(self.at + 1).unwrap_or("_").to_owned();
                self.at += 2;
            }
            self.leaf(prefix.clone(), alias, scope, line);
            break;
        }
        prefix.truncate(depth);
    }

    fn leaf(&mut self, path: Vec<String>, alias: String, scope: &[String], line: usize) {
        let named = Named { scope: scope.to_vec(), path, line };
        self.file.uses.push(Use { named, alias });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(text: &str) -> Vec<String> {
        let leaf = |u: &Use| format!("{} as {}", u.named.path.join("::"), u.alias);
        parse(text).uses.iter().map(leaf).collect()
    }

    #[test]
    fn nested_groups_globs_and_renames_are_one_leaf_each() {
        let text = "pub(crate) use crate::{a::{self, B as C}, d::*, E};";
        let leaves = ["crate::a as a", "crate::a::B as C", "crate::d as *", "crate::E as E"];
        assert_eq!(imports(text), leaves);
    }

    #[test]
    fn items_for_tests_are_left_out() {
        let text =
            "use crate::a; #[cfg(test)] use crate::{b}; #[cfg(test)] mod tests { use crate::c; }
            #[cfg(test)] mod more; mod d; #[derive(Debug)] struct E; use crate::f;";
        assert_eq!(imports(text), ["crate::a as a", "crate::f as f"]);
        let file = parse(text);
        assert_eq!(file.children, [("more".to_owned(), true), ("d".to_owned(), false)]);
        assert_eq!(file.items, ["E"]);
    }

    #[test]
    fn paths_inside_of_macros_and_signatures_are_seen_and_visibilities_are_not() {
        let text = "pub(in crate::v) fn f(x: [crate::a::T; 2]) -> u8 { debug!(\"{}\", \
                    crate::b::c()); x.y::<u8>() }";
        let file = parse(text);
        let paths: Vec<String> = file.paths.iter().map(|named| named.path.join("::")).collect();
        assert_eq!(paths, ["crate::a::T", "crate::b::c"]);
        assert_eq!(file.macros, ["debug"]);
        assert_eq!(file.functions, [(1, 1)]);
    }

    #[test]
    fn an_inline_module_is_a_scope() {
        let file = parse("mod a { use super::B; } use super::C;");
        assert_eq!(file.uses[0].named.scope, ["a"]);
        assert!(file.uses[1].named.scope.is_empty());
    }

    #[test]
    fn a_function_is_as_long_as_its_braces_are_apart() {
        let text = "trait T {\nfn a(&self);\nfn b() {\n}\n}\nfn c() {\nif x {\n}\n}\n";
        assert_eq!(parse(text).functions, [(3, 4), (6, 9)]);
    }
}
