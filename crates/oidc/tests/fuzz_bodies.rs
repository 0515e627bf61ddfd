//! The bodies of the fuzz targets, as property tests: they compile, and hold for as many inputs as
//! a test run has time for.
//!
//! The fuzzer searches for longer (`cargo xtask fuzz`, `fuzz/`). Beside any bytes this tries nearly
//! right ones: those get past the first check.
#![allow(missing_docs, clippy::needless_pass_by_value)] // the bodies take what the fuzzer gives

#[path = "../fuzz/bodies/answer.rs"]
mod answer;
#[path = "../fuzz/bodies/discovery.rs"]
mod discovery;
#[path = "../fuzz/bodies/groups.rs"]
mod groups;
#[path = "../fuzz/bodies/key_set.rs"]
mod key_set;
#[path = "../fuzz/bodies/token.rs"]
mod token;
#[path = "../fuzz/bodies/userinfo.rs"]
mod userinfo;

use proptest::collection::vec;
use proptest::prelude::*;

const TOKEN: &str = include_str!("../fuzz/seeds/token/es256.jwt");
const KEYS: &str = include_str!("../fuzz/seeds/key_set/four.json");
const DISCOVERY: &str = include_str!("../fuzz/seeds/discovery/plain.json");
const ANSWER: &str = include_str!("../fuzz/seeds/answer/tokens.json");
const REFUSED: &str = include_str!("../fuzz/seeds/answer/refused.json");
const USERINFO: &str = include_str!("../fuzz/seeds/userinfo/ann.json");
const CLAIMS: &str =
    r#"{"groups":["ops",{"name":"dev"}],"realm_access":{"roles":["a","b"]},"g":"x,y z"}"#;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

/// The text, with up to four bytes changed.
fn nearly(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    vec((any::<prop::sample::Index>(), any::<u8>()), 0..4).prop_map(move |edits| {
        let mut one = text.trim_end().as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(one.len());
            one[at] = byte;
        }
        one
    })
}

fn nearly_text(text: &'static str) -> impl Strategy<Value = String> {
    nearly(text).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_a_token_or_refused(
        text in prop_oneof![any::<String>(), nearly_text(TOKEN)],
        keys in prop_oneof![bytes(200), nearly(KEYS)],
    ) {
        token::run((text, keys));
    }

    #[test]
    fn any_bytes_are_keys_or_refused(bytes in prop_oneof![bytes(200), nearly(KEYS)]) {
        key_set::run(&bytes);
    }

    #[test]
    fn any_bytes_are_a_discovery_document_or_refused(bytes in prop_oneof![bytes(200), nearly(DISCOVERY)]) {
        discovery::run(&bytes);
    }

    #[test]
    fn any_bytes_are_an_answer_of_a_token_endpoint_or_refused(
        bytes in prop_oneof![bytes(200), nearly(ANSWER), nearly(REFUSED)],
    ) {
        answer::run(&bytes);
    }

    #[test]
    fn userinfo_changes_no_claim_of_the_token(bytes in prop_oneof![bytes(60), nearly(USERINFO)]) {
        userinfo::run(&bytes);
    }

    #[test]
    fn any_claims_have_bounded_groups(
        claims in prop_oneof![bytes(60), nearly(CLAIMS)],
        path in prop_oneof!["groups|g|realm_access\\.roles", any::<String>()],
        separator in prop_oneof![Just(None), any::<char>().prop_map(Some)],
    ) {
        groups::run((claims, path, separator));
    }
}
