//! A recording of any events, and one change of its lines: the untouched recording holds, and each
//! change is a fault. The second input steers the change.
//!
//! Run by the fuzzer (`fuzz_targets/tampering.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_evidence::cast::{Facts, Header};
use towline_evidence::digest::Digest;
use towline_evidence::recording::{Lane, Recording, Resuming};
use towline_evidence::verify::{Fault, RecordingVerifier, Sealed};

type Lines = Vec<Vec<u8>>;

/// One run.
pub(crate) fn run(input: (Vec<(u8, u16, Vec<u8>)>, [u16; 3])) {
    let (events, change) = input;
    let whole = record(&events);
    let sealed = verify(&whole, Vec::new());
    let sealed = sealed.unwrap_or_else(|fault| unreachable!("untouched, and yet: {fault}"));
    assert_eq!((sealed.lines, sealed.unsealed), (whole.len() as u64, 0));
    let signed = vec![(sealed.lines, sealed.head)];
    assert_eq!(verify(&whole, signed.clone()), Ok(sealed.clone()));
    let mut resuming = Resuming::new("ann-1");
    whole.iter().for_each(|line| resuming.line(line));
    let resumed = resuming.finish();
    assert!(resumed.is_ok_and(|recording| recording.state() == (sealed.lines, sealed.head)));

    let mut changed = whole.clone();
    tamper(&mut changed, change);
    let _ = verify(&changed, Vec::new());
    let found = verify(&changed, signed);
    // Lines behind the signed head are for the caller to compare: it knows how many there are.
    let noticed = !found.as_ref().is_ok_and(|found| found.lines == sealed.lines);
    assert!(noticed || changed == whole, "a change was not noticed: {found:?}");
}

fn record(events: &[(u8, u16, Vec<u8>)]) -> Lines {
    let towline = Some(Facts { session: "ann-1".into(), ..Facts::default() });
    let (title, env) = (String::new(), Default::default());
    let header = Header { version: 2, width: 80, height: 24, timestamp: 1, title, env, towline };
    let mut recording = Recording::start("ann-1", &header);
    let mut bytes = Vec::new();
    for (at, (kind, number, data)) in events.iter().enumerate() {
        let (at, number) = (at as u64, *number);
        let text = String::from_utf8_lossy(data);
        let lane = if kind & 0x80 == 0 { Lane::Io } else { Lane::Err };
        let next = recording.position(lane);
        match kind % 8 {
            0 | 1 => recording.output(at, lane, next, data, ""),
            2 => recording.output(at, lane, next + u64::from(number), data, "a hole"),
            3 => recording.output(at, lane, next.saturating_sub(number.into()), data, ""),
            4 => recording.resize(at, number, number),
            5 => recording.marker(at, &text),
            6 => recording.input(at, &text),
            _ => bytes.extend(recording.take(at)),
        }
    }
    if events.len().is_multiple_of(2) {
        recording.end(events.len() as u64, "the program ended");
    }
    bytes.extend(recording.take(events.len() as u64));
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

fn tamper(lines: &mut Lines, [kind, first, second]: [u16; 3]) {
    let (at, other) = (usize::from(first) % lines.len(), usize::from(second) % lines.len());
    match kind % 6 {
        0 => {
            let place = usize::from(second) % lines[at].len();
            lines[at][place] ^= (kind >> 8) as u8;
        }
        1 => drop(lines.remove(at)),
        2 => lines.insert(at, lines[other].clone()),
        3 => lines.swap(at, other),
        4 => lines.truncate(at),
        _ => {
            let line = lines.remove(at);
            lines.insert(other, line);
        }
    }
}

fn verify(lines: &Lines, signed: Vec<(u64, Digest)>) -> Result<Sealed, Fault> {
    let mut verifier = RecordingVerifier::new(Some("ann-1"), signed);
    lines.iter().try_for_each(|line| verifier.line(line))?;
    verifier.finish()
}
