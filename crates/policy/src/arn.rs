//! ARNs as patterns: where a wildcard may cross a colon and where not.
//!
//! Two rules, by the IAM User Guide:
//! - `Resource` ("IAM JSON policy elements: Resource"): wildcards stand within a segment, but a `*`
//!   that ends its segment may go on past the colon. The sixth segment, the resource itself, may
//!   hold colons and is one segment to us.
//! - `ArnLike` and its family ("Condition operators", ARN): the six parts are compared one by one,
//!   and no wildcard of one part reaches into the next.
//!
//! # Invariants
//! - A variable stands only in the resource part of a `Resource` (IAM User Guide, "Variables and
//!   tags").
//! - Both matchers cost at most pattern times text.

use crate::pattern::{Pattern, PatternError, Piece, Syntax, Unresolved, glob, tokenise};
use crate::request::{ARN_PARTS as PARTS, Context};

/// Why a text cannot be a `Resource`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResourceError {
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(
        "a resource is \"*\" or an ARN of six parts, arn:partition:service:region:account:resource"
    )]
    NotAnArn,
    #[error(
        "a policy variable may stand only in the resource part of an ARN, after the fifth colon"
    )]
    VariableTooEarly,
}

/// Compiles one entry of `Resource` or `NotResource`.
pub(crate) fn resource(source: &str, variables: bool) -> Result<Pattern, ResourceError> {
    let mut pieces = tokenise(source, Syntax { wildcards: true, variables })?;
    if source == "*" {
        return Ok(Pattern::from_pieces(source, pieces));
    }
    if !source.starts_with("arn:") {
        return Err(ResourceError::NotAnArn);
    }
    let colons = confine_wildcards(&mut pieces)?;
    if colons < PARTS - 1 && !source.ends_with('*') {
        return Err(ResourceError::NotAnArn);
    }
    Ok(Pattern::from_pieces(source, pieces))
}

/// Keeps wildcards before the resource part inside their segment, unless they end it. Answers the
/// number of colons.
fn confine_wildcards(pieces: &mut [Piece]) -> Result<usize, ResourceError> {
    let mut colons = 0;
    for at in 0..pieces.len() {
        let ends_segment = match pieces.get(at + 1) {
            None => true,
            Some(Piece::Text(next)) => next.starts_with(':'),
            Some(_) => false,
        };
        let early = colons < PARTS - 1;
        match &mut pieces[at] {
            Piece::Text(text) => colons += text.matches(':').count(),
            Piece::Variable(_) if early => return Err(ResourceError::VariableTooEarly),
            many @ Piece::Many if early && !ends_segment => *many = Piece::ManyInSegment,
            one @ Piece::One if early => *one = Piece::OneInSegment,
            _ => {}
        }
    }
    Ok(colons)
}

/// A value of `ArnLike`, `ArnEquals` or their negations: six patterns, one per part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArnPattern {
    whole: Pattern,
    /// Split once when there is no variable, whose value may bring colons along.
    parts: Option<[Vec<Piece>; PARTS]>,
}

impl ArnPattern {
    pub(crate) fn compile(source: &str, variables: bool) -> Result<Self, PatternError> {
        let whole = Pattern::compile(source, Syntax { wildcards: true, variables })?;
        let parts = if whole.has_variables() { None } else { split(whole.pieces()) };
        Ok(Self { whole, parts })
    }

    pub(crate) fn whole(&self) -> &Pattern {
        &self.whole
    }

    /// Whether it can match anything: `*`, six parts, or a variable that may bring them.
    pub(crate) fn is_arn(&self) -> bool {
        self.parts.is_some() || self.whole.has_variables() || self.is_everything()
    }

    fn is_everything(&self) -> bool {
        self.whole.pieces() == [Piece::Many]
    }

    pub(crate) fn matches<'a>(
        &'a self,
        arn: &str,
        context: &Context,
    ) -> Result<bool, Unresolved<'a>> {
        if self.is_everything() {
            return Ok(true);
        }
        if let Some(parts) = &self.parts {
            return Ok(match_parts(parts, arn, context));
        }
        let resolved = self.whole.resolve(context)?;
        Ok(split(&resolved).is_some_and(|parts| match_parts(&parts, arn, context)))
    }
}

fn match_parts(parts: &[Vec<Piece>; PARTS], arn: &str, context: &Context) -> bool {
    let given: Vec<&str> = arn.splitn(PARTS, ':').collect();
    given.len() == PARTS && parts.iter().zip(given).all(|(part, text)| glob(part, text, context))
}

/// Cuts pieces at the first five colons; `None` when there are fewer.
fn split(pieces: &[Piece]) -> Option<[Vec<Piece>; PARTS]> {
    let mut parts: [Vec<Piece>; PARTS] = Default::default();
    let mut part = 0;
    for piece in pieces {
        let Piece::Text(text) = piece else {
            parts[part].push(piece.clone());
            continue;
        };
        let mut chunks = text.splitn(PARTS - part, ':');
        if let Some(first) = chunks.next().filter(|first| !first.is_empty()) {
            parts[part].push(Piece::Text(first.into()));
        }
        for chunk in chunks {
            part += 1;
            if !chunk.is_empty() {
                parts[part].push(Piece::Text(chunk.into()));
            }
        }
    }
    (part == PARTS - 1).then_some(parts)
}
