//! What the operator is told outside of the session's bytes: who watches, messages, requests for the
//! keyboard. Texts of other users lose their control characters.

use crate::terminal::printable;

/// These users watch the session now.
pub(super) fn watched(by: &[String]) -> Vec<String> {
    vec![match by {
        [] => "towline: nobody watches this session any more".to_owned(),
        by => printable(&format!("towline: this session is watched by {}", by.join(", "))),
    }]
}

/// A message of another user.
pub(super) fn message(from: &str, text: &str) -> Vec<String> {
    vec![printable(&format!("towline: message from {from}: {text}"))]
}

/// Another user asks for the keyboard; `escape`: the escape character.
pub(super) fn seat_asked(by: &str, escape: u8) -> Vec<String> {
    let c = char::from(escape);
    vec![
        printable(&format!("towline: {by} asks to type into this session in your place")),
        format!("towline: type {c}y after a newline to hand it over, {c}n to keep it"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_steer_no_terminal() {
        let all =
            [watched(&["a\x1b[2J".into()]), message("a", "b\x1bc"), seat_asked("a\x07", b'~')];
        assert!(!all.concat().concat().contains(['\x1b', '\x07']));
    }
}
