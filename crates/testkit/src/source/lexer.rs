//! Splits Rust source into identifiers and punctuation. Comments are dropped, literals are reduced
//! to one token.
//!
//! # Not here
//! - A parser: [`super::parse`] finds items by keyword.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A word: keyword or name; of a raw identifier the name alone.
    Ident(&'a str),
    /// One character of punctuation.
    Punct(char),
    /// A string, character, number or lifetime.
    Literal,
}

/// A token and the line it starts on, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// The line it starts on.
    pub line: usize,
}

impl<'a> Token<'a> {
    /// The word, if it is one.
    #[must_use]
    pub fn ident(&self) -> Option<&'a str> {
        if let Kind::Ident(word) = self.kind { Some(word) } else { None }
    }

    /// Whether it is this character.
    #[must_use]
    pub fn is(&self, punct: char) -> bool {
        self.kind == Kind::Punct(punct)
    }
}

/// All tokens of a source text.
#[must_use]
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0, line: 1 };
    std::iter::from_fn(|| lexer.next()).collect()
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let line = self.line;
        let rest = self.rest();
        let first = rest.chars().next()?;
        let kind = if let Some(length) = string(rest) {
            self.advance(length);
            Kind::Literal
        } else if first == '\'' {
            self.advance(quoted(rest));
            Kind::Literal
        } else if first.is_ascii_digit() {
            self.advance(word(rest));
            Kind::Literal
        } else if starts_word(first) {
            let rest = rest.strip_prefix("r#").unwrap_or(rest);
            let length = word(rest);
            self.advance(self.rest().len() - rest.len() + length);
            Kind::Ident(&rest[..length])
        } else {
            self.advance(first.len_utf8());
            Kind::Punct(first)
        };
        Some(Token { kind, line })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, length: usize) {
        self.line += self.rest().bytes().take(length).filter(|byte| *byte == b'\n').count();
        self.at += length;
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let length = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                block_comment(rest)
            } else {
                rest.len() - rest.trim_start().len()
            };
            if length == 0 {
                return;
            }
            self.advance(length);
        }
    }
}

fn starts_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// Length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of a string literal of any kind, if one starts here.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            let hashes = if prefix.ends_with('r') { rest.trim_start_matches('#') } else { rest };
            hashes.starts_with('"')
        })
    })?;
    let body = &text[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let from = prefix.len() + hashes + 1;
        let close = text.get(from..)?.find(&end);
        return Some(close.map_or(text.len(), |at| from + at + end.len()));
    }
    let mut escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(prefix.len() + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// Length of a character literal or of a lifetime.
fn quoted(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            // The escaped character may be a quote itself.
            let rest = text.get(3..).unwrap_or_default();
            rest.find('\'').map_or(text.len(), |at| at + 4)
        }
        Some((at, c)) => {
            let close = at + c.len_utf8();
            if text.get(close..).is_some_and(|rest| rest.starts_with('\'')) {
                close + 1
            } else {
                1 + word(&text[1..])
            }
        }
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text).iter().filter_map(Token::ident).collect()
    }

    #[test]
    fn comments_and_literals_hide_what_is_in_them() {
        let text = r##"a // b
            /* c /* d */ e */ f "g \" h" r#"i " j"# b"k" 'l' '\'' '"' m::<'n>(b'o') r#type"##;
        assert_eq!(words(text), ["a", "f", "m", "b", "type"]);
    }

    #[test]
    fn a_token_knows_its_line() {
        let text = "a\n\"two\nlines\" b\n/* c\n */ d";
        let lines: Vec<usize> = tokens(text).iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 2, 3, 5]);
    }
}
