//! Text with wildcards and policy variables: compiled once, matched many times.
//!
//! Data flow: source text -> [`Pattern::compile`] -> pieces; at a request [`Pattern::resolve`] puts
//! the values of variables in, [`glob`] matches. Sources: IAM User Guide, "IAM policy elements:
//! Variables and tags" and "IAM JSON policy elements: Resource".
//!
//! # Invariants
//! - Matching never recurses and never tries a position twice for the same `*`: at most text times
//!   pattern steps, and text plus pattern steps when no `?` follows a `*`.
//! - What comes out of a variable is plain text: a user called `*` is not every user.
//! - A variable that has no single value and no default makes the pattern [`Unresolved`]; it never
//!   becomes an empty text.
//!
//! # Not here
//! - Which wildcards of an ARN may cross a colon: [`crate::arn`] decides.

use crate::limits::{MAX_EXPANDED_BYTES, MAX_KEY_BYTES, MAX_PATTERN_BYTES};
use crate::request::{Context, Key};
use memchr::{memchr, memchr_iter, memmem};
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
    pub(crate) key: Key,
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
    /// Some wildcards may not cross a colon.
    segmented: bool,
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
        let segmented =
            pieces.iter().any(|piece| matches!(piece, Piece::OneInSegment | Piece::ManyInSegment));
        Self { source: source.into(), pieces, has_variables, segmented }
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
    pub(crate) fn resolve<'a>(
        &'a self,
        context: &Context,
    ) -> Result<Cow<'a, [Piece]>, Unresolved<'a>> {
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
                    let value = variable.value(context).ok_or(Unresolved(variable.key.name()))?;
                    room = room.checked_sub(value.len()).ok_or(Unresolved(variable.key.name()))?;
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

    /// That every variable has a value here.
    pub(crate) fn is_resolved(&self, context: &Context) -> Result<(), Unresolved<'_>> {
        if !self.has_variables {
            return Ok(());
        }
        match self.variables().find(|variable| variable.value(context).is_none()) {
            Some(variable) => Err(Unresolved(variable.key.name())),
            None => Ok(()),
        }
    }

    /// Whether the whole of `text` is covered. A variable without a value covers nothing.
    pub(crate) fn covers(&self, text: &str, context: &Context) -> bool {
        if self.segmented {
            glob_segments(&self.pieces, text, context)
        } else {
            glob(&self.pieces, text, context)
        }
    }

    /// Whether it covers some text of the form `form`, where a `*` stands for any characters but
    /// `:` and `/`. A variable may stand for any text.
    pub(crate) fn can_meet(&self, form: &Self) -> bool {
        let (a, b) = (steps(&self.pieces), steps(&form.pieces));
        let mut reached = vec![false; b.len() + 1];
        reached[0] = true;
        for row in 0..=a.len() {
            let mut next = vec![false; b.len() + 1];
            for column in 0..=b.len() {
                if !reached[column] {
                    continue;
                }
                let (left, right) = (a.get(row), b.get(column));
                // A `*` covers nothing, or one more of what the other side has.
                let skips_right =
                    right == Some(&Step::Many) || (left == Some(&Step::Many) && right.is_some());
                if skips_right {
                    reached[column + 1] = true;
                }
                next[column] |= left == Some(&Step::Many)
                    || (right == Some(&Step::Many) && left.is_some_and(|left| left.is_in_name()));
                if let (Some(left), Some(right)) = (left, right)
                    && left.meets(*right)
                {
                    next[column + 1] = true;
                }
            }
            if row == a.len() {
                return reached[b.len()];
            }
            reached = next;
        }
        false
    }

    /// The same, where a variable without a value has to be told from a text that differs.
    pub(crate) fn matches(&self, text: &str, context: &Context) -> Result<bool, Unresolved<'_>> {
        self.is_resolved(context).map(|()| self.covers(text, context))
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

/// One character of a pattern, or a wildcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Exactly(char),
    One,
    Many,
}

impl Step {
    /// Whether it can be part of a name within an ARN.
    fn is_in_name(self) -> bool {
        !matches!(self, Self::Exactly(':' | '/'))
    }

    /// Whether both can stand for the same single character.
    fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::Exactly(a), Self::Exactly(b)) => a == b,
            _ => true,
        }
    }
}

fn steps(pieces: &[Piece]) -> Vec<Step> {
    let mut steps = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => steps.extend(text.chars().map(Step::Exactly)),
            Piece::One | Piece::OneInSegment => steps.push(Step::One),
            Piece::Many | Piece::ManyInSegment | Piece::Variable(_) => steps.push(Step::Many),
        }
    }
    steps
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
    Some(Variable { key: Key::new(key), default: default.map(Into::into) })
}

/// Within a run of `*` and `?`, all `?` first and one `*` last: the same language, and no search
/// inside the run.
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

/// The exact text a piece stands for in this request; `None` for wildcards and for variables
/// without a value.
pub(crate) fn literal<'a>(piece: &'a Piece, context: &'a Context) -> Option<&'a str> {
    match piece {
        Piece::Text(text) => Some(text),
        Piece::Variable(variable) => variable.value(context),
        _ => None,
    }
}

/// Whether `pieces` cover the whole of `text`. No piece is bound to a segment, see
/// [`glob_segments`].
///
/// Works on bytes: both sides are UTF-8, where a text can only be found at the start of a
/// character.
pub(crate) fn glob(pieces: &[Piece], text: &str, context: &Context) -> bool {
    let mut rest = text.as_bytes();
    let mut left = pieces;
    // After the last `*` passed: the pieces, and the text where their next attempt may begin.
    let mut retry: Option<(&[Piece], &[u8])> = None;
    loop {
        match left {
            [] if rest.is_empty() => return true,
            [Piece::Many] => return true,
            [Piece::Many, after @ ..] => {
                if let ([_], Some(end)) = (after, literal(&after[0], context)) {
                    return rest.ends_with(end.as_bytes());
                }
                retry = Some((after, rest));
            }
            [piece, after @ ..] => {
                if let Some(on) = step(piece, rest, context) {
                    (left, rest) = (after, on);
                    continue;
                }
            }
            [] => {}
        }
        let Some((after, from)) = retry else { return false };
        let Some((behind, next)) = seek(after, from, context) else { return false };
        (left, rest) = behind;
        retry = next.map(|next| (after, next));
    }
}

/// Like [`glob`], for patterns whose wildcards differ in what they may cross. Keeps all reachable
/// positions at once.
pub(crate) fn glob_segments(pieces: &[Piece], text: &str, context: &Context) -> bool {
    let bytes = text.as_bytes();
    let mut reached = vec![false; bytes.len() + 1];
    reached[0] = true;
    for piece in pieces {
        let mut next = vec![false; bytes.len() + 1];
        match piece {
            Piece::Many | Piece::ManyInSegment => {
                let all = *piece == Piece::Many;
                let mut open = false;
                for at in 0..=bytes.len() {
                    open &= at == 0 || all || bytes[at - 1] != b':';
                    open |= reached[at];
                    next[at] = open && text.is_char_boundary(at);
                }
            }
            Piece::One | Piece::OneInSegment => {
                for (at, c) in text.char_indices() {
                    next[at + c.len_utf8()] |= reached[at] && (*piece == Piece::One || c != ':');
                }
            }
            Piece::Text(_) | Piece::Variable(_) => {
                let Some(exactly) = literal(piece, context) else { return false };
                for (at, _) in reached.iter().enumerate().filter(|(_, reached)| **reached) {
                    if text[at..].starts_with(exactly) {
                        next[at + exactly.len()] = true;
                    }
                }
            }
        }
        reached = next;
    }
    reached[bytes.len()]
}

/// What is left of pieces and text.
type Left<'p, 't> = (&'p [Piece], &'t [u8]);

/// The first place from where on `pieces`, which follow a `*`, could match: what is left behind the
/// piece that was sought, and the text where the next attempt may begin, if there can be one.
fn seek<'p, 't>(
    pieces: &'p [Piece],
    text: &'t [u8],
    context: &Context,
) -> Option<(Left<'p, 't>, Option<&'t [u8]>)> {
    let (first, after) = pieces.split_first()?;
    match literal(first, context).map(str::as_bytes) {
        Some(wanted) if !wanted.is_empty() => {
            let found = find(text, wanted).and_then(|at| text.get(at..))?;
            Some(((after, found.get(wanted.len()..)?), skip_character(found)))
        }
        // A `?`, or a variable whose value is empty: here.
        _ => Some(((pieces, text), skip_character(text))),
    }
}

/// The text without its first character.
fn skip_character(text: &[u8]) -> Option<&[u8]> {
    let length = match text.first()? {
        0..0x80 => 1,
        0..0xe0 => 2,
        0..0xf0 => 3,
        _ => 4,
    };
    text.get(length..)
}

/// The text behind `piece`, when it begins with it.
fn step<'t>(piece: &Piece, text: &'t [u8], context: &Context) -> Option<&'t [u8]> {
    if *piece == Piece::One {
        return skip_character(text);
    }
    text.strip_prefix(literal(piece, context)?.as_bytes())
}

/// The first hit of `wanted`, in linear time. A short one is sought by its first byte, as the
/// linear search costs more to prepare than it saves.
fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    match wanted {
        [] => Some(0),
        [only] => memchr(*only, text),
        [first, ..] if wanted.len() <= SHORT => {
            let starts = &text[..(text.len() + 1).checked_sub(wanted.len())?];
            memchr_iter(*first, starts).find(|&at| text[at..].starts_with(wanted))
        }
        _ => memmem::find(text, wanted),
    }
}

/// Longest text sought by its first byte; at most so many comparisons for a byte of the text.
const SHORT: usize = 16;
