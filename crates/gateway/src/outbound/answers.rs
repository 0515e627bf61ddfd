//! Answers of any form to one request: of providers, of receivers of webhooks, of any other
//! listener.
//!
//! Data flow: a good answer with some bytes changed, or any bytes -> the client over a pipe in
//! memory.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::client::{Ask, OutboundError, request};
use super::url::Target;

const MOST: usize = 512;
const GOOD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
const CHUNKED: &str =
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
const ELSEWHERE: &str =
    "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n";

/// The text, with up to six bytes changed, and so many bytes behind it.
fn nearly(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (edits, vec(any::<u8>(), 0..40)).prop_map(move |(edits, more)| {
        let mut one = text.as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(one.len());
            one[at] = byte;
        }
        [one, more].concat()
    })
}

/// What the client makes of these bytes, after which the other end is closed.
async fn answered(bytes: &[u8], any_success: bool) -> Result<bytes::Bytes, OutboundError> {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let target = Target::parse("https://hook.example/x").unwrap();
    let ask = Ask { url: "https://hook.example/x", most: MOST, any_success, ..Ask::default() };
    let other_end = async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(far.read_u8().await.unwrap());
        }
        let _ = far.write_all(bytes).await; // the client may be gone
        let _ = far.shutdown().await;
        far
    };
    let (answer, _far) = tokio::join!(request(near, &target, ask), other_end);
    answer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_a_bounded_answer_or_a_refusal(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..200), nearly(GOOD), nearly(CHUNKED), nearly(ELSEWHERE),
        ],
        any_success: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async {
            timeout(Duration::from_secs(10), answered(&bytes, any_success)).await
        });
        match answer.expect("an end") {
            Ok(body) => prop_assert!(body.len() <= MOST),
            Err(OutboundError::Status { status, body, .. }) => {
                prop_assert!(body.len() <= MOST && (status != 200 || !any_success));
            }
            Err(error) => prop_assert!(error.to_string().contains("hook.example"), "{error}"),
        }
    }
}

#[tokio::test]
async fn an_answer_is_taken_a_redirect_is_not_followed_and_a_long_one_is_refused() {
    assert_eq!(answered(GOOD.as_bytes(), false).await.unwrap(), "{}");
    let elsewhere = answered(ELSEWHERE.as_bytes(), true).await;
    assert!(matches!(elsewhere, Err(OutboundError::Status { status: 302, .. })), "{elsewhere:?}");
    for head in ["Content-Length: 2000000", "Transfer-Encoding: chunked"] {
        let text = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nffff\r\n{}", "x".repeat(60_000));
        let long = answered(text.as_bytes(), true).await;
        assert!(matches!(long, Err(OutboundError::TooLarge { most: MOST, .. })), "{long:?}");
    }
}
