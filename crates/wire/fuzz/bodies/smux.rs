//! A hostile client of a tunnel against an agent's end that an application uses: the second input
//! steers the application.
//!
//! Run by the fuzzer (`fuzz_targets/smux.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_wire::smux::{Event, MAX_CONTROL, Rule, Streams};

/// One run.
pub(crate) fn run(input: (Vec<u8>, Vec<u8>)) {
    let (bytes, steps) = input;
    let rule = Rule { most: 8, first: 16 * 1024, widest: 64 * 1024, capacity: 256 * 1024 };
    let mut end = Streams::server(rule);
    let (mut frame, mut steps) = ([0; MAX_CONTROL], steps.iter().cycle());
    for piece in bytes.chunks(97) {
        let mut rest = piece;
        loop {
            let step = steps.next().copied().unwrap_or(0);
            match end.on_bytes(&mut rest) {
                Ok(Some(Event::Data(id, data))) => {
                    let n = data.len();
                    if step & 1 == 0 {
                        end.consumed(id, n);
                    }
                }
                Ok(Some(Event::Opened(id))) if step & 2 == 0 => end.reset(id, "no"),
                Ok(Some(Event::Opened(id) | Event::Room(id))) => {
                    let n = end.quota(id).min(usize::from(step));
                    if n > 0 {
                        let _ = end.data_header(id, n);
                    }
                }
                Ok(Some(Event::Ended(id))) => end.finish(id),
                Ok(Some(Event::Refused(_) | Event::Reset(..))) => {}
                Ok(None) => break,
                Err(_) => return,
            }
            assert!(end.len() <= rule.most);
            if step & 4 == 0 {
                while end.has_control() {
                    assert!(end.next_control(&mut frame) > 0);
                }
            }
        }
    }
}
