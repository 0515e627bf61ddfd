//! The names of condition operators: `[ForAllValues:|ForAnyValue:]Name[IfExists]`.
//!
//! Source: IAM User Guide, "IAM JSON policy elements: Condition operators". Names are spelt exactly
//! as there; a name in other letters is refused with the right spelling, because a policy that
//! silently means nothing is worse.
//!
//! # Invariants
//! - [`NAMES`] is the whole language: an operator that is not in it does not parse.

/// Several values of one key: how many of them must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantifier {
    /// No prefix: a positive test passes when any value does, a negated one when all do.
    Plain,
    /// `ForAllValues:`.
    All,
    /// `ForAnyValue:`.
    Any,
}

/// Order relations of numbers and dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    pub(crate) fn holds<T: Ord>(self, given: &T, wanted: &T) -> bool {
        match self {
            Self::Equal => given == wanted,
            Self::Less => given < wanted,
            Self::LessOrEqual => given <= wanted,
            Self::Greater => given > wanted,
            Self::GreaterOrEqual => given >= wanted,
        }
    }
}

/// What is compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Text,
    TextIgnoreCase,
    TextLike,
    Number(Relation),
    Date(Relation),
    Bool,
    Binary,
    Address,
    Arn,
    Null,
}

impl Family {
    /// What its values must be, for error messages.
    pub(crate) fn wants(self) -> &'static str {
        match self {
            Self::Text | Self::TextIgnoreCase | Self::TextLike => "a string",
            Self::Number(_) => "a number in plain digits",
            Self::Date(_) => "a date of ISO 8601 or seconds since 1970",
            Self::Bool | Self::Null => "\"true\" or \"false\"",
            Self::Binary => "padded base64",
            Self::Address => "an IP address or a network in CIDR form",
            Self::Arn => "an ARN of six parts",
        }
    }
}

/// One operator, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(crate) quantifier: Quantifier,
    pub(crate) family: Family,
    pub(crate) negated: bool,
    pub(crate) if_exists: bool,
}

/// Every base name, its family, and whether it is a negation.
pub(crate) const NAMES: [(&str, Family, bool); 27] = [
    ("StringEquals", Family::Text, false),
    ("StringNotEquals", Family::Text, true),
    ("StringEqualsIgnoreCase", Family::TextIgnoreCase, false),
    ("StringNotEqualsIgnoreCase", Family::TextIgnoreCase, true),
    ("StringLike", Family::TextLike, false),
    ("StringNotLike", Family::TextLike, true),
    ("NumericEquals", Family::Number(Relation::Equal), false),
    ("NumericNotEquals", Family::Number(Relation::Equal), true),
    ("NumericLessThan", Family::Number(Relation::Less), false),
    ("NumericLessThanEquals", Family::Number(Relation::LessOrEqual), false),
    ("NumericGreaterThan", Family::Number(Relation::Greater), false),
    ("NumericGreaterThanEquals", Family::Number(Relation::GreaterOrEqual), false),
    ("DateEquals", Family::Date(Relation::Equal), false),
    ("DateNotEquals", Family::Date(Relation::Equal), true),
    ("DateLessThan", Family::Date(Relation::Less), false),
    ("DateLessThanEquals", Family::Date(Relation::LessOrEqual), false),
    ("DateGreaterThan", Family::Date(Relation::Greater), false),
    ("DateGreaterThanEquals", Family::Date(Relation::GreaterOrEqual), false),
    ("Bool", Family::Bool, false),
    ("BinaryEquals", Family::Binary, false),
    ("IpAddress", Family::Address, false),
    ("NotIpAddress", Family::Address, true),
    ("ArnEquals", Family::Arn, false),
    ("ArnLike", Family::Arn, false),
    ("ArnNotEquals", Family::Arn, true),
    ("ArnNotLike", Family::Arn, true),
    ("Null", Family::Null, false),
];

impl Operator {
    /// Reads a name; on failure the nearest right spelling, when there is one.
    pub(crate) fn read(name: &str) -> Result<Self, Option<String>> {
        let (quantifier, rest) = match name.split_once(':') {
            None => (Quantifier::Plain, name),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(_) => return Err(respell(name)),
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let found = NAMES.iter().find(|(known, _, _)| *known == base);
        let Some(&(_, family, negated)) = found else { return Err(respell(name)) };
        // Null asks for existence itself: neither a condition on existence nor a count of values
        // adds anything to it.
        if family == Family::Null && (if_exists || quantifier != Quantifier::Plain) {
            return Err(Some("Null".to_owned()));
        }
        Ok(Self { quantifier, family, negated, if_exists })
    }
}

/// The right spelling of a name that is wrong in its case only.
fn respell(name: &str) -> Option<String> {
    let (prefix, rest) = match name.split_once(':') {
        None => ("", name),
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("ForAllValues") => {
            ("ForAllValues:", rest)
        }
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("ForAnyValue") => {
            ("ForAnyValue:", rest)
        }
        Some(_) => return None,
    };
    let suffix = "IfExists";
    let cut = rest.len().checked_sub(suffix.len()).filter(|cut| rest.is_char_boundary(*cut));
    let (base, suffix) = match cut.map(|cut| rest.split_at(cut)) {
        Some((base, tail)) if tail.eq_ignore_ascii_case(suffix) => (base, suffix),
        _ => (rest, ""),
    };
    let known =
        NAMES.iter().map(|(known, _, _)| known).find(|known| known.eq_ignore_ascii_case(base))?;
    Some(format!("{prefix}{known}{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_other_letters_is_refused_with_its_spelling() {
        assert_eq!(
            Operator::read("forallvalues:stringlikeifexists"),
            Err(Some("ForAllValues:StringLikeIfExists".into()))
        );
        assert_eq!(Operator::read("stringequals"), Err(Some("StringEquals".into())));
        assert_eq!(Operator::read("StringMatches"), Err(None));
        assert_eq!(Operator::read("ForSomeValues:StringLike"), Err(None));
    }

    #[test]
    fn null_takes_no_suffix_and_no_set() {
        assert!(Operator::read("NullIfExists").is_err());
        assert!(Operator::read("ForAllValues:Null").is_err());
    }

    #[test]
    fn every_name_reads_with_every_prefix_and_suffix() {
        for (name, family, negated) in NAMES.into_iter().filter(|(name, ..)| *name != "Null") {
            for (prefix, quantifier) in [
                ("", Quantifier::Plain),
                ("ForAllValues:", Quantifier::All),
                ("ForAnyValue:", Quantifier::Any),
            ] {
                for (suffix, if_exists) in [("", false), ("IfExists", true)] {
                    let read = Operator::read(&format!("{prefix}{name}{suffix}"));
                    assert_eq!(
                        read,
                        Ok(Operator { quantifier, family, negated, if_exists }),
                        "{prefix}{name}{suffix}"
                    );
                }
            }
        }
    }
}
