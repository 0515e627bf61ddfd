//! The bodies of the fuzz targets, as property tests: they compile, and hold for as many inputs as
//! a test run has time for.
//!
//! The fuzzer searches for longer (`cargo xtask fuzz`, `fuzz/`). Beside any bytes this tries nearly
//! right ones: those get past the first check.
// the bodies take what the fuzzer gives
#![allow(missing_docs, clippy::needless_pass_by_value, clippy::type_complexity)]

#[path = "../fuzz/bodies/agent_channel.rs"]
mod agent_channel;
#[path = "../fuzz/bodies/client_channel.rs"]
mod client_channel;
#[path = "../fuzz/bodies/documents.rs"]
mod documents;
#[path = "../fuzz/bodies/message.rs"]
mod message;
#[path = "../fuzz/bodies/request.rs"]
mod request;
#[path = "../fuzz/bodies/signature.rs"]
mod signature;
#[path = "../fuzz/bodies/yaml.rs"]
mod yaml;

use proptest::collection::vec;
use proptest::prelude::*;
use towline_ssm::message::{AgentMessage, MessageId, MessageType, PayloadType};

/// What a stranger may send: a body of each kind, a header, a form.
const REQUESTS: &[&str] = &[
    r#"{"Target":"mi-0123456789abcdef0","DocumentName":"Towline-Exec","Parameters":{"argv":["ls","-l"]}}"#,
    r#"{"Target":"mi-0123456789abcdef0","TowlineTerminal":{"Term":"xterm","Rows":24,"Cols":80}}"#,
    r#"{"Filters":[{"Key":"tag:site","Values":["shed"]},{"Key":"PingStatus","Values":["Online"]}],"MaxResults":50}"#,
    r#"{"State":"History","MaxResults":200,"Filters":[{"key":"Owner","value":"arn:aws:iam::0:user/a"}]}"#,
    r#"{"IamRole":"r","RegistrationLimit":3,"ExpirationDate":1.7e9,"Tags":[{"Key":"a","Value":"b"}]}"#,
    r#"{"ResourceType":"ManagedInstance","ResourceId":"mi-0123456789abcdef0","Tags":[{"Key":"a","Value":"b"}]}"#,
    r#"{"PrincipalName":"ann","PolicyName":"p","PolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[]}"}"#,
    "AmazonSSM.StartSession",
    "AWS4-HMAC-SHA256 Credential=AKIA0000000000000000/20260101/eu-west-1/ssm/aws4_request, \
     SignedHeaders=host;x-amz-date, \
     Signature=0000000000000000000000000000000000000000000000000000000000000000",
    "192.0.2.0/24",
    "Action=GetCallerIdentity&Version=2011-06-15",
];

/// Documents of both kinds and formats.
const DOCUMENTS: &[&str] = &[
    include_str!("../fuzz/seeds/documents/command.yaml"),
    include_str!("../fuzz/seeds/documents/session.json"),
    include_str!("../fuzz/seeds/documents/preferences.json"),
    include_str!("../fuzz/seeds/documents/port.yaml"),
];

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

/// One of `right`, with up to four bytes changed and its end cut or grown.
fn nearly(right: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(right), edits, any::<prop::sample::Index>(), bytes(8)).prop_map(
        |(mut one, edits, cut, more)| {
            for (at, byte) in edits {
                let at = at.index(one.len());
                one[at] = byte;
            }
            one.truncate(cut.index(one.len() + 1).max(one.len() / 2));
            one.extend(more);
            one
        },
    )
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    nearly(REQUESTS.iter().map(|text| text.as_bytes().to_vec()).collect())
}

/// One of the documents, with up to four characters changed.
fn documents() -> impl Strategy<Value = String> {
    let edits = vec((any::<prop::sample::Index>(), any::<char>()), 0..4);
    (prop::sample::select(DOCUMENTS), edits).prop_map(|(text, edits)| {
        let mut one: Vec<char> = text.chars().collect();
        for (at, character) in edits {
            let at = at.index(one.len());
            one[at] = character;
        }
        one.into_iter().collect()
    })
}

fn messages() -> impl Strategy<Value = Vec<u8>> {
    let message = |kind: MessageType, payload: &[u8]| AgentMessage {
        message_type: kind,
        created: 1,
        sequence: 3,
        flags: 0,
        id: MessageId::from_random([2; 16]),
        payload_type: PayloadType::from(1),
        payload: payload.to_vec(),
    };
    let size = br#"{"cols":80,"rows":24}"#;
    let kinds = ["input_stream_data", "acknowledge", "channel_closed"].map(MessageType::from_name);
    nearly(
        kinds
            .into_iter()
            .flatten()
            .map(|kind| message(kind, size).encode())
            .chain([size.to_vec()])
            .collect(),
    )
}

/// Well framed messages of any kind, with numbers near each other, so that windows and gaps are
/// met.
fn conversation() -> impl Strategy<Value = Vec<(u8, i16, u8, Vec<u8>)>> {
    vec((any::<u8>(), -3_i16..40, any::<u8>(), bytes(200)), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_a_message_with_one_encoding_or_an_error(input in prop_oneof![bytes(300), messages()]) {
        message::run(&input);
    }

    #[test]
    fn what_a_stranger_sends_is_a_request_or_an_error(input in prop_oneof![bytes(300), requests()]) {
        request::run(&input);
    }

    #[test]
    fn any_text_is_a_tree_that_can_be_written_or_no_yaml(
        text in prop_oneof![any::<String>(), documents(), "[a-c:\\-\\[\\]{}, \"'|>&*!#%@~0-9.e\n]{0,40}"],
    ) {
        yaml::run(&text);
    }

    #[test]
    fn any_text_is_a_document_that_can_be_used_or_none(
        text in prop_oneof![any::<String>(), documents()], values in vec("[a-z0-9 /;]{0,8}", 0..4),
    ) {
        documents::run((text, values));
    }

    #[test]
    fn what_was_signed_is_verified_and_a_change_is_noticed(
        path in "[/a.%]{0,12}|\\PC{0,8}", query in "[&=a-c%+2]{0,16}|\\PC{0,8}",
        headers in vec(("[Xx]-[a-z]{1,3}|Content-Type|\\PC{0,4}", "[a-c ,]{0,8}|\\PC{0,6}"), 0..6), change in any::<u8>(),
    ) {
        signature::run((path, query, headers, change));
    }

    #[test]
    fn a_hostile_client_cannot_make_the_agents_half_grow(input in conversation(), steps in bytes(60)) {
        agent_channel::run((input, steps));
    }

    #[test]
    fn a_hostile_gateway_cannot_make_the_clients_half_grow(input in conversation(), steps in bytes(60)) {
        client_channel::run((input, steps));
    }
}
