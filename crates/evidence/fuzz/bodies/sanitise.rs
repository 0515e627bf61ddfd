//! Any text as output of a terminal, cut anywhere: what a player draws holds nothing that acts on
//! the viewer's terminal, and what a transcript shows is text.
//!
//! Run by the fuzzer (`fuzz_targets/sanitise.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_evidence::sanitise::Sanitiser;

/// One run.
pub(crate) fn run(input: (String, u16)) {
    let (text, cut) = input;
    let drawn = sanitised(&Sanitiser::drawing(), &text, cut);
    let shown = sanitised(&Sanitiser::text_only(), &text, cut);
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{shown:?}");
    assert!(is_harmless(&drawn), "{drawn:?}");
    assert_eq!(Sanitiser::drawing().push(&drawn), drawn, "sanitised twice");
    assert_eq!(Sanitiser::text_only().push(&drawn), shown, "a transcript of what was drawn");
}

/// The text in one piece, and in two: both must come out the same.
fn sanitised(sanitiser: &Sanitiser, text: &str, cut: u16) -> String {
    let at = (0..=usize::from(cut) % (text.len() + 1)).rev().find(|at| text.is_char_boundary(*at));
    let (front, back) = text.split_at(at.unwrap_or(0));
    let (mut one, mut two) = (sanitiser.clone(), sanitiser.clone());
    let whole = one.push(text);
    assert_eq!(two.push(front) + &two.push(back), whole, "cut at {at:?}");
    whole
}

/// A reader of its own: escape sequences that only draw, and line control.
fn is_harmless(drawn: &str) -> bool {
    let mut rest = drawn.chars();
    while let Some(c) = rest.next() {
        let fine = match c {
            '\u{1b}' => match rest.next() {
                Some('7' | '8' | 'D' | 'E' | 'M') => true,
                Some('[') => {
                    let sequence: String =
                        rest.by_ref().take_while(|c| !('@'..='~').contains(c)).collect();
                    sequence.chars().all(|c| c.is_ascii_digit() || ";:?".contains(c))
                }
                _ => false,
            },
            '\n' | '\t' | '\r' | '\u{8}' | '\u{e}' | '\u{f}' => true,
            c => !c.is_control(),
        };
        if !fine {
            return false;
        }
    }
    true
}
