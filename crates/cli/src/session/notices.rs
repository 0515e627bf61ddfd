//! What the operator is told outside of the session's bytes: who watches, messages, requests for
//! the keyboard. Texts of other users lose their control characters.

use super::begin::Manner;
use crate::terminal::printable;

/// Why this program does not stop itself.
pub(super) const fn no_suspend(manner: Manner) -> &'static str {
    match manner.guest {
        true => "towline: cannot suspend: the program that started this one would keep running",
        false => "towline: cannot suspend: this system has no job control",
    }
}

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

/// What the operator must know of the time without a connection: output that is missing, and input
/// that was dropped since another client typed.
pub(super) fn returned(missed: u64, dropped: Option<u64>) -> Vec<String> {
    let lost = (missed > 0).then(|| format!("towline: {missed} bytes of output were lost"));
    let dropped = dropped.map(|bytes| {
        format!(
            "towline: another client typed in this session meanwhile; {bytes} bytes of your input \
             were dropped"
        )
    });
    lost.into_iter().chain(dropped).collect()
}

/// Another client took the session over while this one was away, and so much was typed here.
pub(super) fn taken_over(by: &str, typed: usize) -> String {
    match typed {
        0 => by.to_owned(),
        bytes => format!("{by}; {bytes} bytes of your input were dropped"),
    }
}

/// The access that permits the session ends in so many seconds; 0: it has ended.
pub(super) fn access_ends(request: &str, seconds: u32, ends_session: bool) -> Vec<String> {
    let session = if ends_session { "this session ends with it" } else { "this session goes on" };
    let when = match seconds {
        0 => "has ended".to_owned(),
        seconds => format!("ends in {} min", seconds.div_ceil(60)),
    };
    vec![printable(&format!("towline: granted access {when}, {session} ({request})"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_access_is_one_line_in_whole_minutes() {
        let said = |seconds, ends| access_ends("oi-1", seconds, ends).concat();
        assert_eq!(
            said(899, true),
            "towline: granted access ends in 15 min, this session ends with it (oi-1)"
        );
        assert_eq!(
            said(0, false),
            "towline: granted access has ended, this session goes on (oi-1)"
        );
    }

    #[test]
    fn texts_of_others_steer_no_terminal() {
        let all =
            [watched(&["a\x1b[2J".into()]), message("a", "b\x1bc"), seat_asked("a\x07", b'~')];
        assert!(!all.concat().concat().contains(['\x1b', '\x07']));
    }
}
