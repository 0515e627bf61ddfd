//! Shells, prompts and programs as they look from the gateway: what is typed, what the device says,
//! what comes back.
#![allow(clippy::unwrap_used)]

use super::input::STRETCHES;
use super::*;

/// A session: positions are counted here, so that the tests read like what happens at a screen.
#[derive(Default)]
struct Session {
    typed: Typed,
    input: u64,
    output: u64,
}

impl Session {
    /// Keys that the device takes while its terminal stands so.
    fn keys(&mut self, echo: Echo, keys: &str) -> &mut Self {
        let from = self.input;
        self.typed.input(from, keys.as_bytes());
        self.input += keys.len() as u64;
        self.typed.said(Said { from, until: self.input, output: self.output, echo });
        self
    }

    fn shows(&mut self, text: &str) -> &mut Self {
        self.typed.output(self.output, text.as_bytes());
        self.output += text.len() as u64;
        self
    }

    /// Keys that come back one by one, as an editor of lines or a terminal gives them back.
    fn echoed(&mut self, echo: Echo, keys: &str) -> &mut Self {
        for key in keys.chars() {
            self.keys(echo, &key.to_string());
            match key {
                '\r' => self.shows("\r\n"),
                key if key.is_control() => self,
                key => self.shows(&key.to_string()),
            };
        }
        self
    }

    fn unseen(&mut self, echo: Echo, keys: &str) -> &mut Self {
        keys.chars().fold(self, |session, key| session.keys(echo, &key.to_string()))
    }

    /// What is in the recording of it, with `<hidden>` and `<missing>` for the markers.
    fn recorded(&mut self) -> String {
        self.typed.finish();
        let word = |found: Found| match found {
            Found::Input(text) => text,
            Found::Hidden => "<hidden>".to_owned(),
            Found::Missing(_) => "<missing>".to_owned(),
        };
        self.typed.take().into_iter().map(word).collect()
    }
}

use Echo::{Hidden, Program, Terminal};

#[test]
fn what_a_terminal_or_a_line_editor_echoes_is_input() {
    for echo in [Terminal, Program] {
        let mut session = Session::default();
        session.shows("dev$ ").echoed(echo, "échø 1\r").shows("1\r\ndev$ ").echoed(echo, "exit\r");
        assert_eq!(session.recorded(), "échø 1\rexit\r", "{echo:?}");
    }
}

#[test]
fn a_password_in_line_mode_is_not_input_whatever_is_shown_meanwhile() {
    let mut session = Session::default();
    session
        .shows("$ ")
        .echoed(Terminal, "read -s x\r")
        .unseen(Hidden, "hunter2\r")
        .shows("hunter2\r\n$ ");
    session.echoed(Terminal, "ls\r");
    assert_eq!(session.recorded(), "read -s x\r<hidden>ls\r");
}

#[test]
fn a_password_that_a_program_reads_key_by_key_is_not_input() {
    let silent = |s: &mut Session| {
        s.unseen(Program, "hunter2\r").shows("\r\nhunter, welcome 2\r\n$ ");
    };
    let stars = |s: &mut Session| {
        for _ in 0.."hunter2".len() {
            s.keys(Program, "h").shows("*");
        }
        s.keys(Program, "\r").shows("\r\n$ ");
    };
    let late = |s: &mut Session| {
        s.keys(Program, "hunter2\r").shows("Sorry, h\r\n$ ");
    };
    for program in [&silent as &dyn Fn(&mut Session), &stars, &late] {
        let mut session = Session::default();
        session.shows("Password: ");
        program(&mut session);
        session.echoed(Program, "ls\r");
        assert_eq!(session.recorded(), "<hidden>ls\r");
    }
}

#[test]
fn a_password_typed_ahead_with_its_command_is_not_input() {
    let mut session = Session::default();
    session
        .shows("$ ")
        .keys(Program, "read -s x\rhunter2\r")
        .shows("read -s x\r\n$ ")
        .echoed(Program, "ls\r");
    assert_eq!(session.recorded(), "read -s x\r<hidden>ls\r");
}

#[test]
fn keys_that_edit_go_with_their_line() {
    let mut session = Session::default();
    session
        .shows("$ ")
        .echoed(Program, "lx")
        .keys(Program, "\u{7f}")
        .shows("\u{8} \u{8}")
        .echoed(Program, "s");
    session
        .keys(Program, "\u{1b}[D")
        .shows("\u{8}")
        .keys(Program, "\u{1b}[C")
        .shows("s")
        .echoed(Program, "\r");
    session.shows("$ ").keys(Program, "\u{1b}[A").shows("ls").echoed(Program, "\r");
    assert_eq!(session.recorded(), "lx\u{7f}s\u{1b}[D\u{1b}[C\r\u{1b}[A\r");
}

#[test]
fn a_paste_with_a_correction_comes_back_in_one() {
    let mut session = Session::default();
    session.keys(Terminal, "helo\u{7f}lo\rnext\r").shows("helo\u{8} \u{8}lo\r\nnext\r\n");
    assert_eq!(session.recorded(), "helo\u{7f}lo\rnext\r");
}

#[test]
fn a_stretch_that_waits_for_late_output_is_decided_by_it() {
    let mut session = Session::default();
    session.keys(Terminal, "one\r").keys(Terminal, "two\r");
    assert!(session.typed.take().is_empty(), "nothing is known yet");
    session.shows("one\r\ntwo\r\n");
    assert_eq!(session.recorded(), "one\rtwo\r");
}

#[test]
fn an_echo_cannot_come_before_its_key() {
    let mut session = Session::default();
    session.typed.input(0, b"a\r");
    session.typed.said(Said { from: 0, until: 2, output: 3, echo: Program });
    session.shows("aaa").shows("b\r\n");
    assert_eq!(session.recorded(), "<hidden>");
}

#[test]
fn repetitions_are_trimmed_and_holes_are_named() {
    let mut session = Session::default();
    session.echoed(Terminal, "ab\r");
    session.typed.input(0, b"ab\r");
    session.typed.said(Said { from: 0, until: 3, output: 0, echo: Terminal });
    session.typed.output(0, b"ab\r\n");
    // The link is lost with the device's word, and the next word begins behind it.
    session.typed.input(3, b"lost\rmore\r");
    session.typed.said(Said { from: 8, until: 13, output: session.output, echo: Terminal });
    session.shows("more\r\n");
    assert_eq!(session.recorded(), "ab\r<missing>more\r");
}

#[test]
fn a_recorder_that_begins_in_the_middle_goes_by_the_device_s_word() {
    let mut typed = Typed::default();
    typed.said(Said { from: 900, until: 900, output: 5000, echo: Program });
    typed.input(900, b"ls\r");
    typed.said(Said { from: 900, until: 903, output: 5000, echo: Program });
    typed.output(4990, b"late dev$ ls\r\n");
    typed.finish();
    assert_eq!(typed.take(), [Found::Input("ls\r".to_owned())]);
}

#[test]
fn what_the_device_never_spoke_of_is_missing_and_not_recorded() {
    let mut session = Session::default();
    session.typed.input(0, b"secret\r");
    session.shows("secret\r\n");
    assert_eq!(session.recorded(), "<missing>");
}

#[test]
fn a_device_that_is_silent_costs_no_more_than_the_bound() {
    let mut session = Session::default();
    for n in 0..100_u64 {
        session.typed.input(n * 4096, &[b'x'; 4096]);
        assert!(session.typed.waiting.len() <= MOST);
    }
    for n in 0..2 * STRETCHES as u64 {
        let from = 100 * 4096 + 2 * n;
        session.typed.input(from, b"x\r");
        session.typed.said(Said { from, until: from + 2, output: 0, echo: Terminal });
        assert!(session.typed.stretches.len() <= STRETCHES && session.typed.held <= MOST);
    }
    assert!(!session.recorded().contains('x'));
}

#[test]
fn while_nothing_is_recorded_nothing_is_kept() {
    let mut session = Session::default();
    session.shows("$ ").keys(Program, "half");
    session.typed.forget();
    session.shows("half\r\n$ ").echoed(Program, "ls\r");
    assert_eq!(session.recorded(), "ls\r");
}

#[test]
fn half_a_character_before_a_whole_one_is_not_input() {
    let mut session = Session::default();
    session.typed.input(0, b"\x80\xc2\x80\r");
    session.typed.said(Said { from: 0, until: 4, output: 0, echo: Program });
    session.typed.output(0, b"\x80\xc2\x80\r\n");
    assert_eq!(session.recorded(), "<hidden>");
}

#[test]
fn half_a_character_is_not_completed_behind_another_one() {
    let mut session = Session::default();
    session.keys(Program, "é\r");
    let output = b"\xc3\x1b[m\xa9\r\n";
    session.typed.output(session.output, output);
    assert_eq!(session.recorded(), "<hidden>");
}

#[test]
fn positions_at_the_end_of_all_numbers_stay_there() {
    let mut session = Session { input: u64::MAX - 1, output: u64::MAX - 1, ..Session::default() };
    session.typed.input(u64::MAX - 1, b"ls\r");
    let said = Said { from: u64::MAX - 1, until: u64::MAX, output: session.output, echo: Program };
    session.typed.said(said);
    session.typed.output(session.output, b"ls\r\n");
    assert_eq!(session.recorded(), "l<missing>");
}

// ---- known limits
// ---------------------------------------------------------------------------------------------

#[test]
fn keys_that_draw_something_else() {
    let mut session = Session::default();
    session
        .shows("\u{1b}[?1049h\u{1b}[H")
        .keys(Program, "j")
        .shows("a new last line")
        .keys(Program, "q");
    session.shows("\r\u{1b}[K\u{1b}[?1049l$ ").echoed(Program, "ls\r");
    assert_eq!(session.recorded(), "<hidden>ls\r");
    let mut search = Session::default();
    search.shows("$ ").keys(Program, "\u{12}").shows("\r(reverse-i-search)`': ").keys(Program, "l");
    search.shows("\r(reverse-i-search)`l': ls").keys(Program, "\r").shows("\r\n");
    assert_eq!(search.recorded(), "<hidden>");
}

#[test]
fn lines_typed_ahead_of_a_prompt() {
    let mut session = Session::default();
    session.keys(Program, "ls\r").shows("$ ls\r\n");
    assert_eq!(session.recorded(), "<hidden>");
}

#[test]
fn stars_for_a_password_of_stars() {
    let mut session = Session::default();
    session.shows("Password: ");
    session.echoed(Program, "***");
    session.keys(Program, "\r").shows("\r\n");
    assert_eq!(session.recorded(), "***\r");
}

proptest::proptest! {
    #[test]
    fn what_is_input_was_shown_in_the_same_order(
        keys in "[a-c\r\u{7f}é ]{0,40}", output in "[a-c\r\n\u{8}é ]{0,60}", cut in 1_usize..7, echo in 0_usize..3
    ) {
        let mut session = Session::default();
        let echo = [Terminal, Program, Hidden][echo];
        let pieces = |text: &str| -> Vec<String> {
            text.chars().collect::<Vec<_>>().chunks(cut).map(|piece| piece.iter().collect()).collect()
        };
        let (keys, shown) = (pieces(&keys), pieces(&output));
        for at in 0..keys.len().max(shown.len()) {
            session.keys(echo, keys.get(at).map_or("", String::as_str)).shows(shown.get(at).map_or("", String::as_str));
        }
        let recorded = session.recorded().replace("<hidden>", "").replace("<missing>", "");
        proptest::prop_assert!(echo != Hidden || recorded.is_empty(), "{:?}", recorded);
        let mut shown = output.chars();
        for letter in recorded.chars().filter(|letter| !letter.is_control()) {
            proptest::prop_assert!(shown.any(|character| character == letter), "{:?}", recorded);
        }
    }
}
