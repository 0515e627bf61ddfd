//! Golden bytes, and what is no message.

use super::*;
use crate::lane::Lanes;
use alloc::string::String;
use proptest::prelude::*;

#[test]
fn each_reason_of_an_end_is_a_code_that_says_it() {
    for bytes in 0..=9 {
        let found = (0..=255_u8).flat_map(|status| {
            let text = [bytes, 0, status];
            let whole = (1..=text.len()).filter_map(|len| decode(&text[..len]).ok());
            whole.collect::<alloc::vec::Vec<EndReason>>()
        });
        for reason in found.chain([EndReason::Exited(ExitStatus::Signal(9))]) {
            assert_eq!(EndReason::of_code(&reason.to_code()), Some(reason));
        }
    }
    assert_eq!(EndReason::Exited(ExitStatus::Code(3)).to_code(), "Exited:3");
    for later in ["", "Exited", "Exited:", "Exited:256", "Killed:x", "terminated"] {
        assert_eq!(EndReason::of_code(later), None, "{later}");
    }
}

#[test]
fn golden_bytes_of_messages() {
    let cases: [(ToAgent, &[u8]); 4] = [
        (
            ToAgent::Resize { session: "a".into(), size: Size { rows: 24, cols: 300 } },
            &[6, 1, b'a', 24, 0xac, 2],
        ),
        (ToAgent::Close { session: "a".into(), reason: EndReason::IdleTimeout }, &[8, 1, b'a', 1]),
        (
            ToAgent::Attach {
                session: "a".into(),
                attachment: 1,
                received: Some(Lanes::new(2, 0)),
                room: Lanes::new(9, 0),
            },
            &[4, 1, b'a', 1, 1, 2, 0, 9, 0],
        ),
        (ToAgent::GoAway { retry_after: 5 }, &[10, 5]),
    ];
    for (message, bytes) in cases {
        assert_eq!(encode(&message).unwrap(), bytes, "{message:?}");
        assert_eq!(decode::<ToAgent>(bytes).unwrap(), message);
    }
    let exited = FromAgent::Exited { session: "a".into(), status: ExitStatus::Signal(9) };
    assert_eq!(encode(&exited).unwrap(), [7, 1, b'a', 1, 9]);
}

#[test]
fn golden_bytes_of_a_tunnel() {
    let to = |host: Option<&str>, framing| {
        Launch::Tunnel(Destination { host: host.map(Into::into), port: 300, framing })
    };
    assert_eq!(encode(&to(None, Framing::Single)).unwrap(), [4, 0, 0xac, 2, 0]);
    assert_eq!(encode(&to(Some("db"), Framing::Smux)).unwrap(), [4, 1, 2, b'd', b'b', 0xac, 2, 1]);
    let failed = FromAgent::NotConnected { session: "a".into(), text: "no".into() };
    assert_eq!(encode(&failed).unwrap(), [11, 1, b'a', 2, b'n', b'o']);
}

#[test]
fn trailing_bytes_are_refused() {
    assert_eq!(decode::<ToAgent>(&[10, 5, 0]), Err(MessageError::Trailing(1)));
}

#[test]
fn versions_agree_on_the_highest_that_both_speak() {
    let v = |min, max| Version { min, max };
    assert_eq!(v(1, 3).agree(v(2, 5)), Some(3));
    assert_eq!(v(1, 1).agree(v(1, 1)), Some(1));
    assert_eq!(v(1, 2).agree(v(3, 4)), None);
    assert_eq!(v(3, 4).agree(v(1, 2)), None);
}

#[test]
fn an_activation_code_is_not_printed() {
    let enroll = Enroll {
        activation_id: "id".into(),
        activation_code: "TOPSECRET".into(),
        name: String::new(),
        tags: Vec::new(),
        platform: Platform::default(),
    };
    assert!(!alloc::format!("{enroll:?}").contains("TOPSECRET"));
}

proptest! {
    #[test]
    fn any_bytes_decode_to_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        if let Ok(message) = decode::<ToAgent>(&bytes) {
            prop_assert_eq!(decode::<ToAgent>(&encode(&message).unwrap()).unwrap(), message);
        }
        if let Ok(message) = decode::<FromAgent>(&bytes) {
            prop_assert_eq!(decode::<FromAgent>(&encode(&message).unwrap()).unwrap(), message);
        }
    }
}
