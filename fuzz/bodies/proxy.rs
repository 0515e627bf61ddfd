//! Any bytes as a proxy's answer, its URL and its exemptions: a tunnel or a reason, and not a byte
//! of what follows the answer is taken.
//!
//! Run by the fuzzer (`fuzz_targets/proxy.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use towline_agent::limits;
use towline_agent::link::proxy::{Proxy, ProxyError, answer, is_exempt};

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    let mut rest = bytes;
    let said = answered(&mut rest);
    let taken = bytes.len() - rest.len();
    assert!(taken <= limits::PROXY_HEAD);
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
    if head == Some(taken) {
        let status = bytes.starts_with(b"HTTP/1.");
        assert!(said.is_err() || status, "a tunnel, and no answer of HTTP");
    } else {
        assert!(said.is_err(), "a tunnel, and no end of the answer");
    }
    if let Err(error) = said {
        assert!(error.to_string().chars().all(|c| !c.is_control()), "{error}");
    }
    if let Ok(text) = core::str::from_utf8(bytes) {
        url(text);
        let (list, host) = text.split_once('\n').unwrap_or((text, "gw.example"));
        assert!(is_exempt("*", host));
        let _ = is_exempt(list, host);
    }
}

/// A slice is always ready, so one poll is all it takes.
fn answered(rest: &mut &[u8]) -> Result<(), ProxyError> {
    let mut asked = pin!(answer(rest));
    match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(said) => said,
        Poll::Pending => unreachable!("a slice is always ready"),
    }
}

fn url(text: &str) {
    match Proxy::parse(text) {
        Ok(proxy) => assert!(!proxy.address.host.is_empty() && proxy.address.port > 0),
        Err(why) => {
            // A URL may hold a password: nothing of it but the name of a scheme is repeated.
            let same = Proxy::parse("@://").is_err_and(|always| always == why);
            let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
            let is_name = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let why = if is_name { why.replace(scheme, "") } else { why };
            let repeats = |part: &str| part.len() > 12 && why.contains(part);
            assert!(same || !(repeats(rest) || !is_name && repeats(scheme)), "{why}");
        }
    }
}
