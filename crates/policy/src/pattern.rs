//! Text with wildcards and policy variables: compiled once, matched many times.
//!
//! Way: source text -> [`Pattern::compile`] -> pieces; at a request [`Pattern::resolve`] puts the values of variables in,
//! [`glob`] matches. Sources: IAM User Guide, "IAM policy elements: Variables and tags" and "IAM JSON policy elements:
//! Resource".
//!
//! # Invariants
//! - Matching never recurses and never tries a position twice for the same `*`: at most text times pattern steps, and
//!   text plus pattern steps when no `?` follows a `*`.
//! - What comes out of a variable is plain text: a user called `*` is not every user.
//! - A variable that has no single value and no default makes the pattern [`Unresolved`]; it never becomes an empty text.
//!
//! # Not here
//! - What a colon means in an ARN: [`crate::arn`].

use crate::limits::{MAX_EXPANDED_BYTES, MAX_KEY_BYTES, MAX_PATTERN_BYTES};
use crate::request::Context;
use std::borrow::Cow;

/// One part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Exactly this.
    Text(Box<str>),
    /// `?`: one character.
    One,
    /// `*`: any characters, also none.
    Many,
    /// `?` inside a segment of an ARN: one character, but no colon.
    OneInSegment,
    /// `*` inside a segment of an ARN: any characters but a colon.
    ManyInSegment,
    /// `${key}`: replaced before matching.
    Variable(Variable),
}

/// `${key}` or `${key, 'default'}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// In small letters: key names have no case.
    pub(crate) key: Box<str>,
    pub(crate) default: Option<Box<str>>,
}

/// Which characters of a source text mean more than themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// `*` and `?` are wildcards.
    pub(crate) wildcards: bool,
    /// `${...}` is a variable: in documents of version 2012-10-17 only.
    pub(crate) variables: bool,
}

/// A compiled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    source: Box<str>,
    pieces: Vec<Piece>,
    has_variables: bool,
}

/// The request has no single value for this variable, or the result would be too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unresolved<'a>(pub(crate) &'a str);

/// Why a text is no pattern. Becomes part of a [`crate::ParseError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error("longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    #[error("the policy variable at \"{0}\" is malformed: write ${{key}} or ${{key, 'default'}}")]
    Variable(String),
}

impl Pattern {
    /// Compiles `source`.
    pub(crate) fn compile(source: &str, syntax: Syntax) -> Result<Self, PatternError> {
        Ok(Self::from_pieces(source, tokenise(source, syntax)?))
    }

    /// Puts a pattern together from pieces that another module has adapted.
    pub(crate) fn from_pieces(source: &str, mut pieces: Vec<Piece>) -> Self {
        order_wildcards(&mut pieces);
        let has_variables = pieces.iter().any(|piece| matches!(piece, Piece::Variable(_)));
        Self { source: source.into(), pieces, has_variables }
    }

    /// The text it was compiled from.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub(crate) fn has_variables(&self) -> bool {
        self.has_variables
    }

    /// Every variable in it.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(variable) => Some(variable),
            _ => None,
        })
    }

    /// The pieces with every variable replaced. Allocates only when there is one.
    pub(crate) fn resolve<'a>(&'a self, context: &Context) -> Result<Cow<'a, [Piece]>, Unresolved<'a>> {
        if !self.has_variables {
            return Ok(Cow::Borrowed(&self.pieces));
        }
        let mut room = MAX_EXPANDED_BYTES;
        let mut resolved: Vec<Piece> = Vec::with_capacity(self.pieces.len());
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(exactly) => text.push_str(exactly),
                Piece::Variable(variable) => {
                    let value = variable.value(context).ok_or(Unresolved(&variable.key))?;
                    room = room.checked_sub(value.len()).ok_or(Unresolved(&variable.key))?;
                    text.push_str(value);
                }
                wildcard => {
                    flush(&mut text, &mut resolved);
                    resolved.push(wildcard.clone());
                }
            }
        }
        flush(&mut text, &mut resolved);
        Ok(Cow::Owned(resolved))
    }

    /// The whole as one text, wildcards as themselves: for comparisons that know no wildcards.
    pub(crate) fn text<'a>(&'a self, context: &Context) -> Result<Cow<'a, str>, Unresolved<'a>> {
        if let [Piece::Text(text)] = self.pieces.as_slice() {
            return Ok(Cow::Borrowed(text));
        }
        let mut whole = String::new();
        for piece in self.resolve(context)?.iter() {
            match piece {
                Piece::Text(text) => whole.push_str(text),
                Piece::One | Piece::OneInSegment => whole.push('?'),
                Piece::Many | Piece::ManyInSegment => whole.push('*'),
                Piece::Variable(_) => {} // resolve leaves none
            }
        }
        Ok(Cow::Owned(whole))
    }

    /// Whether the whole of `text` is covered.
    pub(crate) fn matches<'a>(&'a self, text: &str, context: &Context) -> Result<bool, Unresolved<'a>> {
        if !self.has_variables {
            return Ok(glob(&self.pieces, text));
        }
        self.resolve(context).map(|pieces| glob(&pieces, text))
    }
}

impl Variable {
    /// The one value of the key, or the default. A key of many values has no one value.
    pub(crate) fn value<'a>(&'a self, context: &'a Context) -> Option<&'a str> {
        match context.get(&self.key) {
            [value] => Some(value),
            [] => self.default.as_deref(),
            _ => None,
        }
    }
}

/// The pieces in the order of the source.
pub(crate) fn tokenise(source: &str, syntax: Syntax) -> Result<Vec<Piece>, PatternError> {
    if source.len() > MAX_PATTERN_BYTES {
        return Err(PatternError::TooLong);
    }
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        if syntax.variables && rest.starts_with("${") {
            let end = rest.find('}').ok_or_else(|| malformed(rest))?;
            match &rest[2..end] {
                special @ ("*" | "?" | "$") => text.push_str(special),
                inner => {
                    flush(&mut text, &mut pieces);
                    pieces.push(Piece::Variable(variable(inner).ok_or_else(|| malformed(rest))?));
                }
            }
            rest = &rest[end + 1..];
            continue;
        }
        match c {
            '*' | '?' if syntax.wildcards => {
                flush(&mut text, &mut pieces);
                pieces.push(if c == '*' { Piece::Many } else { Piece::One });
            }
            _ => text.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    flush(&mut text, &mut pieces);
    Ok(pieces)
}

fn malformed(at: &str) -> PatternError {
    PatternError::Variable(at.chars().take(32).collect())
}

fn flush(text: &mut String, pieces: &mut Vec<Piece>) {
    if !text.is_empty() {
        pieces.push(Piece::Text(std::mem::take(text).into()));
    }
}

/// `key` or `key, 'default'`. Tag keys may contain spaces, never a comma, quote or brace.
fn variable(inner: &str) -> Option<Variable> {
    let (key, default) = match inner.split_once(',') {
        Some((key, quoted)) => {
            let default = quoted.trim_start().strip_prefix('\'')?.strip_suffix('\'')?;
            (key, Some(default))
        }
        None => (inner, None),
    };
    let strange = |c: char| c.is_control() || "*?${}'\"".contains(c);
    let outside = key.trim() != key || key.is_empty() || key.len() > MAX_KEY_BYTES;
    if outside || key.contains(strange) || default.is_some_and(|d| d.contains(['\'', '$', '{'])) {
        return None;
    }
    Some(Variable { key: key.to_lowercase().into(), default: default.map(Into::into) })
}

/// Within a run of `*` and `?`, all `?` first and one `*` last: the same language, and no search inside the run.
fn order_wildcards(pieces: &mut Vec<Piece>) {
    let mut ordered: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces.drain(..) {
        match (&piece, ordered.last()) {
            (Piece::Many, Some(Piece::Many)) => {}
            (Piece::One, Some(Piece::Many)) => {
                let before = ordered.len() - 1;
                ordered.insert(before, piece);
            }
            _ => ordered.push(piece),
        }
    }
    *pieces = ordered;
}

/// Whether `pieces` cover the whole of `text`. Pieces are resolved: a variable matches nothing.
pub(crate) fn glob(pieces: &[Piece], text: &str) -> bool {
    if pieces.iter().any(|piece| matches!(piece, Piece::OneInSegment | Piece::ManyInSegment)) {
        return crate::arn::glob_segments(pieces, text);
    }
    let (mut piece, mut at) = (0, 0);
    // The piece after the last `*` passed, and where its present attempt began.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pieces.get(piece) {
            Some(Piece::Many) => {
                piece += 1;
                match &pieces[piece..] {
                    [] => return true,
                    [Piece::Text(end)] => return text[at..].ends_with(end.as_ref()),
                    _ => {}
                }
                let Some(found) = seek(&pieces[piece], text, at) else { return false };
                at = found;
                retry = Some((piece, found));
                continue;
            }
            None if at == text.len() => return true,
            Some(one) => {
                if let Some(next) = step(one, text, at) {
                    piece += 1;
                    at = next;
                    continue;
                }
            }
            None => {}
        }
        let Some((after, began)) = retry else { return false };
        let Some(c) = text[began..].chars().next() else { return false };
        let Some(found) = seek(&pieces[after], text, began + c.len_utf8()) else { return false };
        piece = after;
        at = found;
        retry = Some((after, found));
    }
}

/// Where the text goes on after `piece` matched at `at`.
fn step(piece: &Piece, text: &str, at: usize) -> Option<usize> {
    match piece {
        Piece::Text(exactly) => text[at..].starts_with(exactly.as_ref()).then(|| at + exactly.len()),
        Piece::One => text[at..].chars().next().map(|c| at + c.len_utf8()),
        _ => None,
    }
}

/// The first place from `at` on where `piece` could match: a linear search for a text, here for anything else.
fn seek(piece: &Piece, text: &str, at: usize) -> Option<usize> {
    match piece {
        Piece::Text(exactly) => text[at..].find(exactly.as_ref()).map(|found| at + found),
        _ => Some(at),
    }
}
