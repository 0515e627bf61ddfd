//! Any bytes in any cuts as frames of a tunnel: the same pieces as when they come in one, or the
//! same error.
//!
//! Run by the fuzzer (`fuzz_targets/smux_parser.rs`), and as a property test with the others
//! (`tests/fuzz_bodies.rs`).

use towline_wire::smux::Broken;
use towline_wire::smux::parser::{Parser, Piece};

/// Kind and stream of a piece, and its bytes; data of one stream joined.
type Told = (u8, u32, Vec<u8>);

/// One run.
pub(crate) fn run(input: (Vec<u8>, Vec<u8>)) {
    let (bytes, cuts) = input;
    let whole = parse([&bytes[..]].into_iter());
    let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
    let pieces = std::iter::from_fn(|| {
        let bite = usize::from(*cuts.next().unwrap_or(&255)) + 1;
        let (piece, more) = rest.split_at(bite.min(rest.len()));
        rest = more;
        (!piece.is_empty()).then_some(piece)
    });
    assert_eq!(parse(pieces), whole);
}

fn parse<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Told>, Option<Broken>) {
    let mut parser = Parser::default();
    let mut all: Vec<Told> = Vec::new();
    for mut input in pieces {
        loop {
            let before = input.len();
            match parser.next(&mut input) {
                Ok(Some(Piece::Data(id, data))) => match all.last_mut() {
                    Some((2, last, held)) if *last == id => held.extend(data),
                    _ => all.push((2, id, data.to_vec())),
                },
                Ok(Some(Piece::Syn(id))) => all.push((0, id, Vec::new())),
                Ok(Some(Piece::Fin(id))) => all.push((1, id, Vec::new())),
                Ok(Some(Piece::Window { stream, consumed, window })) => {
                    let numbers = [consumed.to_le_bytes(), window.to_le_bytes()];
                    all.push((4, stream, numbers.concat()));
                }
                Ok(Some(Piece::Reset(id, text))) => all.push((5, id, text.into_bytes())),
                Ok(None) => break,
                Err(broken) => return (all, Some(broken)),
            }
            assert!(input.len() < before, "a piece of nothing");
        }
        assert!(input.is_empty());
    }
    (all, None)
}
