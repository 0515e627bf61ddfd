//! The bodies of the fuzz targets, as property tests: they compile, and hold for as many inputs as
//! a test run has time for.
//!
//! The fuzzer searches for longer (`cargo xtask fuzz`, `fuzz/`). Beside any text this tries nearly
//! right documents: those get past the first check.
#![allow(missing_docs)]

#[path = "../fuzz/bodies/canonical.rs"]
mod canonical;
#[path = "../fuzz/bodies/document.rs"]
mod document;
#[path = "../fuzz/bodies/line.rs"]
mod line;
#[path = "../fuzz/bodies/wildcards.rs"]
mod wildcards;

use proptest::collection::vec;
use proptest::prelude::*;

const DOCUMENTS: &[&str] = &[
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Action":["ssm:Start*"],"Resource":"*"}]}"#,
    r#"{"Statement":{"Effect":"Deny","NotAction":"ssm:*","NotResource":["arn:aws:s3:::x/${aws:username}"]}}"#,
    r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:username":"al?c*"}}}}"#,
    r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":
       {"aws:TagKeys":["a","b"]},"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}}}"#,
    r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"::1/64"}}}}"#,
];

/// One of the documents, with some characters put in the place of others, and its end cut.
fn nearly() -> impl Strategy<Value = String> {
    let edits = vec((any::<prop::sample::Index>(), any::<char>()), 0..4);
    (prop::sample::select(DOCUMENTS), edits, any::<prop::sample::Index>()).prop_map(
        |(text, edits, cut)| {
            let mut one: Vec<char> = text.chars().collect();
            for (at, character) in edits {
                let at = at.index(one.len());
                one[at] = character;
            }
            one.truncate(cut.index(one.len() + 1).max(one.len() / 2));
            one.into_iter().collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_a_policy_or_refused_with_a_place(text in prop_oneof![any::<String>(), nearly()]) {
        document::run(&text);
    }

    #[test]
    fn a_line_of_a_batch_has_the_same_answer_twice(text in prop_oneof![any::<String>(), nearly()]) {
        line::run(&text);
    }

    #[test]
    fn spellings_of_one_policy_decide_alike(
        choice in any::<u8>(), action in "ssm:Start[*?]?|\\*|[a-z:]{0,6}", resource in "\\*|arn:aws:ssm:r:1:[a-z*]{1,4}",
        pattern in "[0-9.:+TZ/-]{0,12}|[a-z*?]{0,6}|2026-0[1-9]-1[0-9]T00:00:00Z|10\\.0\\.0\\.[0-9]{1,3}(/[0-9]{1,2})?|\\PC{0,6}",
        value in "[0-9.:+TZ/-]{0,12}|[a-z]{0,6}|10\\.0\\.0\\.[0-9]{1,3}|\\PC{0,6}",
    ) {
        canonical::run((choice, action, resource, pattern, value));
    }

    #[test]
    fn matching_ends_and_a_lone_star_matches_all(pattern in "[*?a-c]{0,24}|\\*", text in "[a-c*]{0,60}") {
        wildcards::run(&format!("{pattern}\n{text}"));
    }
}
