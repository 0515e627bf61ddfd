//! One line of a `Condition` block: an operator, a key, the values it is compared with.
//!
//! Sources: IAM User Guide, "Condition operators" and "Conditions with multiple context keys or
//! values".
//!
//! # Invariants
//! - A key that is missing, or present without a value, meets no positive test and every negated
//!   one; `IfExists` and `ForAllValues` are met by it, `ForAnyValue` never.
//! - Several wanted values are alternatives: a positive test needs one of them, a negated test
//!   none.
//! - For set operators a key whose values are all empty texts counts as missing.
//! - A value that is not of the operator's type (`ten` as a number) equals nothing: no error, no
//!   match.
//! - A policy variable without a value matches nothing. Under a negation that would be "everything
//!   else", so there the statement's effect decides: an `Allow` is not met, a `Deny` is. Never the
//!   wider right.
//!
//! - Without a set operator a key of several values passes when one of them does (all, for a
//!   negation). IAM leaves this open and asks for a set operator.
//! - `towline:DocumentParameter/*`, `towline:CommandLine` and `towline:DeviceTagKeys` are
//!   exceptions, because their values are run, or permitted, together: without a set operator an
//!   `Allow` needs all of them to pass, and for a `Deny` one is enough, negated or not. An `Allow`
//!   on the first two is not met without a value, unless the operator ends with `IfExists`.
//! - A condition on `towline:DocumentParameter/path` says nothing about a copy that follows
//!   symbolic links, unless its statement has a condition on `towline:DocumentParameter/follow`:
//!   such an `Allow` is not met, such a `Deny` is.
//! - A key of which nobody knows whether it has a value, and which ([`Context::set_unknown`]), also
//!   as a variable: an `Allow` is not met, a `Deny` is, whatever the operator.
//! - A pattern of an IPv4 address for `towline:DocumentParameter/host` (`10.*`) means addresses: a
//!   name such as `10.example.com` never passes by it.

use crate::arn::ArnPattern;
use crate::effect::Effect;
use crate::fold::folded;
use crate::known_keys::{COMMAND_LINE, DEVICE_TAG_KEYS, DOCUMENT_PARAMETER};
use crate::operator::{Family, Operator, Quantifier, Relation};
use crate::pattern::{Pattern, PatternError, Piece, Syntax, Unresolved, Variable};
use crate::request::{Context, Key};
use crate::values::{Decimal, Moment, Network, binary, boolean};

/// Whether a copy follows symbolic links.
const FOLLOW: &str = "towline:DocumentParameter/follow";

/// What a key is compared with, compiled for the operator's family.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Text(Vec<Pattern>),
    TextIgnoreCase(Vec<Pattern>),
    TextLike(Vec<Pattern>),
    Number(Relation, Vec<Decimal>),
    Date(Relation, Vec<Moment>),
    Bool(Vec<Pattern>),
    Binary(Vec<Vec<u8>>),
    Address(Vec<Network>),
    Arn(Vec<ArnPattern>),
    Null(Vec<bool>),
}

/// One operator applied to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    operator_name: Box<str>,
    key_name: Box<str>,
    key: Key,
    sources: Vec<Box<str>>,
    operator: Operator,
    wanted: Wanted,
    /// The key is a parameter of a document, or the command that parameters make: one value a step.
    parameter: bool,
    /// The values of the key are granted together, not one of them.
    together: bool,
    /// The key is the host that a document connects to.
    host: bool,
    /// The key is the path of a copy, and no condition beside it is on whether links are followed.
    path_alone: bool,
}

/// Why a value does not fit its operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValueError {
    Pattern(PatternError),
    /// Not of the operator's type.
    Type,
}

impl From<PatternError> for ValueError {
    fn from(error: PatternError) -> Self {
        Self::Pattern(error)
    }
}

impl Condition {
    /// Compiles one line. The error comes with the number of the value that is wrong.
    pub(crate) fn compile(
        (operator_name, operator): (&str, Operator),
        key_name: &str,
        values: &[String],
        variables: bool,
    ) -> Result<Self, (usize, ValueError)> {
        let key = Key::new(key_name);
        let parameter = key.name().starts_with(DOCUMENT_PARAMETER) || key.name() == COMMAND_LINE;
        Ok(Self {
            parameter,
            together: parameter || key.name() == DEVICE_TAG_KEYS,
            host: key.name().strip_prefix(DOCUMENT_PARAMETER) == Some("host"),
            path_alone: false,
            operator_name: operator_name.into(),
            key_name: key_name.into(),
            key,
            sources: values.iter().map(|value| value.as_str().into()).collect(),
            operator,
            wanted: Wanted::compile(operator.family, values, variables)?,
        })
    }

    /// Tells the conditions of one statement about each other.
    pub(crate) fn relate(conditions: &mut [Self]) {
        let parameter = |condition: &Self, wanted: &str| {
            condition.key.name().strip_prefix(DOCUMENT_PARAMETER) == Some(wanted)
        };
        if !conditions.iter().any(|condition| parameter(condition, "follow")) {
            for condition in conditions.iter_mut() {
                condition.path_alone = parameter(condition, "path");
            }
        }
    }

    pub(crate) fn operator_name(&self) -> &str {
        &self.operator_name
    }

    /// The key as the policy spells it.
    pub(crate) fn key_name(&self) -> &str {
        &self.key_name
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The wanted values as the policy spells them.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| &**source)
    }

    /// The folded name of the document's parameter that it compares without a set operator.
    pub(crate) fn plain_parameter(&self) -> Option<&str> {
        let plain = self.operator.quantifier == Quantifier::Plain
            && !matches!(self.wanted, Wanted::Null(_));
        self.key.name().strip_prefix(DOCUMENT_PARAMETER).filter(|_| plain)
    }

    /// Whether it is met only by a key that is there, with a text that not every text is. A
    /// variable may be the key itself, or what the caller chooses: it narrows nothing.
    pub(crate) fn is_narrow_text(&self) -> bool {
        let Operator { quantifier, family, negated, if_exists } = self.operator;
        let is_text = matches!(family, Family::Text | Family::TextIgnoreCase | Family::TextLike);
        let is_open = |source: &str| source.chars().all(|c| matches!(c, '*' | '?'));
        let is_strict = !negated && !if_exists && quantifier != Quantifier::All;
        is_text && is_strict && !self.sources().any(is_open) && self.variables().is_empty()
    }

    pub(crate) fn is_negated(&self) -> bool {
        self.operator.negated
    }

    /// Every policy variable in the values.
    pub(crate) fn variables(&self) -> Vec<&Variable> {
        match &self.wanted {
            Wanted::Text(p) | Wanted::TextIgnoreCase(p) | Wanted::TextLike(p) | Wanted::Bool(p) => {
                p.iter().flat_map(Pattern::variables).collect()
            }
            Wanted::Arn(patterns) => {
                patterns.iter().flat_map(|arn| arn.whole().variables()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A value of an ARN operator that can never match because it is no ARN.
    pub(crate) fn arn_that_is_none(&self) -> Option<&str> {
        let Wanted::Arn(patterns) = &self.wanted else { return None };
        patterns.iter().find(|arn| !arn.is_arn()).map(|arn| arn.whole().source())
    }

    /// Whether the request meets it, in a statement of this effect.
    pub(crate) fn is_met(&self, context: &Context, effect: Effect) -> bool {
        if context.has_unknown() && self.rests_on_unknown(context) {
            return effect == Effect::Deny;
        }
        let given = context.get(&self.key);
        if let Wanted::Null(wanted) = &self.wanted {
            return wanted.contains(&given.is_empty());
        }
        // Followed links lead where the letters of a path do not tell.
        if self.path_alone && context.get(&Key::new(FOLLOW)).iter().any(|value| value == "true") {
            return effect == Effect::Deny;
        }
        let operator = self.operator;
        let set = operator.quantifier != Quantifier::Plain;
        if given.is_empty() || (set && given.iter().all(String::is_empty)) {
            return operator.if_exists
                || match operator.quantifier {
                    Quantifier::All => true,
                    Quantifier::Any => false,
                    Quantifier::Plain => {
                        operator.negated && !(self.parameter && effect == Effect::Allow)
                    }
                };
        }
        let all = match operator.quantifier {
            Quantifier::All => true,
            Quantifier::Any => false,
            Quantifier::Plain if self.together => effect == Effect::Allow,
            Quantifier::Plain => operator.negated,
        };
        let mut each = given.iter().map(|value| self.value_passes(value, context, effect));
        if all { each.all(|passes| passes) } else { each.any(|passes| passes) }
    }

    fn rests_on_unknown(&self, context: &Context) -> bool {
        context.is_unknown(&self.key)
            || self.variables().iter().any(|variable| context.is_unknown(&variable.key))
    }

    /// Whether the statement would get weaker if a pattern of addresses matched a name: then it
    /// does not match one.
    fn spares_names(&self, given: &str, effect: Effect) -> bool {
        self.host
            && self.operator.negated == (effect == Effect::Deny)
            && given.parse::<std::net::IpAddr>().is_err()
    }

    fn value_passes(&self, given: &str, context: &Context, effect: Effect) -> bool {
        let found = self.wanted.find(given, context, self.spares_names(given, effect));
        if !self.operator.negated {
            return found == Found::Yes;
        }
        match found {
            Found::Yes => false,
            Found::No => true,
            Found::Unknown => effect == Effect::Deny,
        }
    }
}

/// Whether one of the wanted values is the given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Yes,
    No,
    /// No, but a variable without a value might have said otherwise.
    Unknown,
}

/// Tries the alternatives in turn.
fn any<'a, T>(wanted: &'a [T], test: impl Fn(&'a T) -> Result<bool, Unresolved<'a>>) -> Found {
    let mut found = Found::No;
    for one in wanted {
        match test(one) {
            Ok(true) => return Found::Yes,
            Ok(false) => {}
            Err(Unresolved(_)) => found = Found::Unknown,
        }
    }
    found
}

/// The same for values that hold no variables.
fn any_plain<T>(wanted: &[T], test: impl Fn(&T) -> bool) -> Found {
    if wanted.iter().any(test) { Found::Yes } else { Found::No }
}

impl Wanted {
    fn compile(
        family: Family,
        values: &[String],
        variables: bool,
    ) -> Result<Self, (usize, ValueError)> {
        let exact =
            |text: &str| Ok(Pattern::compile(text, Syntax { wildcards: false, variables })?);
        let like = |text: &str| Ok(Pattern::compile(text, Syntax { wildcards: true, variables })?);
        let truth = |text: &str| {
            let pattern = exact(text)?;
            if pattern.has_variables() || boolean(text).is_some() {
                Ok(pattern)
            } else {
                Err(ValueError::Type)
            }
        };
        Ok(match family {
            Family::Text => Self::Text(each(values, exact)?),
            Family::TextIgnoreCase => Self::TextIgnoreCase(each(values, exact)?),
            Family::TextLike => Self::TextLike(each(values, like)?),
            Family::Number(relation) => Self::Number(relation, each(values, typed(Decimal::read))?),
            Family::Date(relation) => Self::Date(relation, each(values, typed(Moment::read))?),
            Family::Bool => Self::Bool(each(values, truth)?),
            Family::Binary => Self::Binary(each(values, typed(binary))?),
            Family::Address => Self::Address(each(values, typed(Network::read))?),
            Family::Arn => {
                Self::Arn(each(values, |text| Ok(ArnPattern::compile(text, variables)?))?)
            }
            Family::Null => Self::Null(each(values, typed(boolean))?),
        })
    }

    /// `no_addresses`: patterns of addresses do not match.
    fn find(&self, given: &str, context: &Context, no_addresses: bool) -> Found {
        match self {
            Self::Text(wanted) => any(wanted, |text| Ok(text.text(context)? == given)),
            Self::TextIgnoreCase(wanted) => {
                any(wanted, |text| Ok(folded(&text.text(context)?).eq(folded(given))))
            }
            Self::TextLike(wanted) => any(wanted, |pattern| {
                Ok(pattern.matches(given, context)?
                    && !(no_addresses && is_address_pattern(&pattern.resolve(context)?)))
            }),
            Self::Arn(wanted) => any(wanted, |arn| arn.matches(given, context)),
            Self::Bool(wanted) => match boolean(given) {
                Some(given) => any(wanted, |text| Ok(boolean(&text.text(context)?) == Some(given))),
                None => Found::No,
            },
            Self::Number(relation, wanted) => match Decimal::read(given) {
                Some(given) => any_plain(wanted, |wanted| relation.holds(&given, wanted)),
                None => Found::No,
            },
            Self::Date(relation, wanted) => match Moment::read(given) {
                Some(given) => any_plain(wanted, |wanted| relation.holds(&given, wanted)),
                None => Found::No,
            },
            Self::Binary(wanted) => match binary(given) {
                Some(given) => any_plain(wanted, |wanted| *wanted == given),
                None => Found::No,
            },
            Self::Address(wanted) => any_plain(wanted, |network| network.holds(given)),
            Self::Null(_) => Found::No, // answered before any value is looked at
        }
    }
}

/// Whether only IPv4 addresses are meant: digits, dots and wildcards, and at least one digit. (A
/// name holds no colon, so a pattern of an IPv6 address matches none.)
fn is_address_pattern(pieces: &[Piece]) -> bool {
    let mut digits = false;
    for piece in pieces {
        if let Piece::Text(text) = piece {
            if !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
                return false;
            }
            digits |= text.bytes().any(|b| b.is_ascii_digit());
        }
    }
    digits
}

fn each<T>(
    values: &[String],
    read: impl Fn(&str) -> Result<T, ValueError>,
) -> Result<Vec<T>, (usize, ValueError)> {
    values.iter().enumerate().map(|(at, value)| read(value).map_err(|error| (at, error))).collect()
}

fn typed<T>(read: impl Fn(&str) -> Option<T>) -> impl Fn(&str) -> Result<T, ValueError> {
    move |text| read(text).ok_or(ValueError::Type)
}
