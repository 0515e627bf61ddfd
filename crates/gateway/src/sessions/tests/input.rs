//! A session whose input is to be recorded: what the device is asked, what goes onto the tape, and
//! what does not.

use towline_archive::Tape;
use towline_wire::echo::{Echo, Echoed};

use super::*;

/// A session that runs on a device that can report echo, or cannot, with a client attached at
/// position 0, and its tape.
fn recorded(
    input: bool,
    tells_echo: bool,
) -> (Arc<Session>, Arc<Scripted>, Arc<ClientQueue>, Arc<Tape>) {
    let (session, _opened) = Session::opening(Meta { input, ..meta() });
    let (link, tape) = (Scripted::new(tells_echo), Tape::detached("ann-1", session.on_taken()));
    session.record(Arc::clone(&tape));
    up(&session, &link);
    session.ask_for_echo(); // as the opening does, behind the order
    session.record_lost_input();
    session.opened();
    let client = attach(&session, None);
    session.attached(1, Lanes::new(0, 0), 0, 50);
    (session, link, client, tape)
}

fn told() -> Echoed {
    Echoed { session: "ann-1".into(), from: 0, until: 3, output: 7, echo: Echo::Terminal }
}

#[test]
fn a_device_is_asked_for_the_echo_on_each_of_its_links_and_input_waits_on_the_tape() {
    let (session, first, client, tape) = recorded(true, true);
    let asked = "TellEcho";
    assert_eq!(sent(&first), [asked, "attach 1 None [100, 0]"]);
    assert!(session.input(&client, 0, b"ls\r"));
    session.echoed(&told());
    assert_eq!(tape.taken_as_text(), ["input 0+3", "said 0..3 at 7 Terminal"]);
    assert!(!down(&session, &first));
    let second = link();
    up(&session, &second);
    assert_eq!(sent(&second), [asked, "attach 2 Some([0, 0]) [100, 0]"]);
}

#[test]
fn an_older_agent_is_not_asked_and_the_recording_says_why_there_is_no_input() {
    let (session, link, client, tape) = recorded(true, false);
    assert_eq!(sent(&link), ["attach 1 None [100, 0]"]);
    assert!(session.input(&client, 0, b"ls\r"));
    assert_eq!(sent(&link), ["data 0+3"], "the session works");
    let words = tape.taken_as_text();
    assert!(matches!(&words[..], [word] if word.starts_with("input: not recorded")), "{words:?}");
}

#[test]
fn where_nobody_wants_input_none_is_on_the_tape_and_an_answer_that_was_not_asked_for_means_nothing()
{
    let (session, link, client, tape) = recorded(false, true);
    assert_eq!(sent(&link), ["attach 1 None [100, 0]"]);
    assert!(session.input(&client, 0, b"ls\r"));
    session.echoed(&told());
    assert!(tape.taken_as_text().is_empty());
}
