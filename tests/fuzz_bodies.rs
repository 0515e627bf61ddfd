//! The bodies of the fuzz targets, as property tests: they compile, and hold for as many inputs as
//! a test run has time for.
//!
//! The fuzzer searches for longer (`cargo xtask fuzz`, `fuzz/`). Beside any bytes this tries nearly
//! right ones: those get past the first check.
#![allow(missing_docs, clippy::needless_pass_by_value)] // the bodies take what the fuzzer gives

#[path = "../fuzz/bodies/config.rs"]
mod config;
#[path = "../fuzz/bodies/form.rs"]
mod form;
#[path = "../fuzz/bodies/form_round.rs"]
mod form_round;
#[path = "../fuzz/bodies/network.rs"]
mod network;
#[path = "../fuzz/bodies/proxy.rs"]
mod proxy;
#[path = "../fuzz/bodies/settings.rs"]
mod settings;

use proptest::collection::vec;
use proptest::prelude::*;
use towline_wire::message::encode;
use towline_wire::separation::FromNetwork;

const CONFIG: &str = include_str!("../fuzz/seeds/config/all_keys.toml");
const ANSWERS: &[&str] = &[
    "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nTLS",
    "HTTP/1.0 407 Proxy Authentication Required\r\n\r\n",
    "HTTP/1.1 503 \u{7}busy\r\n\r\n",
    "http://ann:p%40ss@proxy.example:8080/",
    "localhost, .corp.example,10.0.0.0/8,fd00::/8\n10.9.8.7",
];

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

/// The text, with up to four characters changed.
fn nearly(text: &'static str) -> impl Strategy<Value = String> {
    vec((any::<prop::sample::Index>(), any::<char>()), 0..4).prop_map(move |edits| {
        let mut one: Vec<char> = text.chars().collect();
        for (at, character) in edits {
            let at = at.index(one.len());
            one[at] = character;
        }
        one.into_iter().collect()
    })
}

/// Numbers as the form writes them: some of them lengths that fit.
fn left() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![0_u64..40, any::<u64>()].prop_map(|n| n.to_le_bytes().to_vec());
    vec(prop_oneof![number, bytes(20)], 0..12).prop_map(|pieces| pieces.concat())
}

/// What a network process may say, in no order.
fn said() -> impl Strategy<Value = FromNetwork> {
    let hash = prop_oneof![vec(any::<u8>(), 32), vec(any::<u8>(), 48), bytes(70)];
    let texts = (any::<String>(), any::<String>());
    prop_oneof![
        4 => hash.prop_map(FromNetwork::Sign),
        2 => (any::<String>(), any::<bool>())
            .prop_map(|(local, met_next)| FromNetwork::Linked { local, met_next }),
        1 => texts.prop_map(|(text, note)| FromNetwork::Failed { text, note }),
        1 => any::<u32>().prop_map(|landlock| FromNetwork::Confined { landlock }),
        1 => any::<String>().prop_map(FromNetwork::NotConfined),
        1 => Just(FromNetwork::Addresses(Vec::new())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_values_within_their_bounds_or_an_error(input in left(), kinds in bytes(12)) {
        form::run((input, kinds));
    }

    #[test]
    fn what_is_handed_over_is_read_and_what_was_cut_is_not(
        values in vec((any::<u8>(), any::<u64>(), bytes(30)), 0..12), cut in any::<u16>(),
    ) {
        form_round::run((values, cut));
    }

    #[test]
    fn any_text_is_a_configuration_within_its_bounds(text in prop_oneof![any::<String>(), nearly(CONFIG)]) {
        config::run(&text);
    }

    #[test]
    fn a_setting_means_the_same_in_a_file_and_in_the_environment(
        settings in vec((any::<u8>(), prop_oneof![any::<String>(), "[0-9]{1,6}[smhd]?", "/[a-z]*", "true|false|none"]), 0..8),
    ) {
        settings::run(settings);
    }

    #[test]
    fn a_proxy_gives_a_tunnel_or_a_reason(
        input in prop_oneof![bytes(60), prop::sample::select(ANSWERS).prop_flat_map(nearly).prop_map(String::into_bytes)],
    ) {
        proxy::run(&input);
    }

    #[test]
    fn a_network_process_gets_one_signature_and_one_link(
        messages in vec(prop_oneof![said().prop_map(|it| encode(&it).unwrap()), bytes(60)], 0..8),
    ) {
        network::run(messages);
    }
}
