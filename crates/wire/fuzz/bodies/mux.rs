//! A hostile peer against a mux that an application uses: the second input steers the application.
//!
//! Run by the fuzzer (`fuzz_targets/mux.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_wire::frame::Frame;
use towline_wire::mux::{Incoming, Mux};
use towline_wire::stream::{Receiver, Sender};

const BUDGET: usize = 32 * 1024;

/// One run.
pub(crate) fn run(input: (Vec<Vec<u8>>, Vec<u8>)) {
    let (frames, steps) = input;
    let mut mux = Mux::new(4, BUDGET);
    for id in 0..4 {
        let _ = mux.add(id, Sender::new(16 * 1024), Receiver::new(512));
    }
    let mut steps = steps.iter().cycle();
    for body in &frames {
        if let Ok(frame) = Frame::decode(body)
            && let Ok(Incoming::Data(id, bytes)) = mux.on_frame(frame)
            && let Some((stream, _)) = mux.stream(id)
        {
            let n = bytes.len();
            stream.rx.consumed(n);
        }
        let step = *steps.next().unwrap_or(&0);
        if let Some((stream, budget)) = mux.stream(u32::from(step & 3)) {
            match step >> 2 & 7 {
                0 => drop(stream.tx.attach(None, u32::from(step), budget)),
                1 => stream.tx.finish(),
                2 => stream.tx.detach(),
                _ => drop(stream.tx.push(&[step; 300], budget)),
            }
        }
        mux.next_frame(usize::from(step) + 1, |_| ());
        assert!(mux.memory() <= BUDGET + 4 * 8 * 1024);
    }
}
