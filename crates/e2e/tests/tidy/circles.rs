//! No circle of more than three files: files that need each other can only be read, tested and
//! changed together.
//!
//! Data flow: `src/` of each crate -> a graph of the names that files use -> the largest circle ->
//! one failure that names its files and the shortest way round.
//!
//! # Invariants
//! - A crate that is not in [`LARGER`] has the limit [`MOST`]. Limits only shrink: a limit above
//!   the largest circle is a failure as well.

use towline_testkit::Outcome;
use towline_testkit::lab::programs::workspace as root;
use towline_testkit::source::Graph;
use towline_testkit::source::circles::{components, shortest};
use towline_testkit::source::figures::crates;

use super::report;

/// Most files that may name each other in a circle.
const MOST: usize = 3;
/// Crates whose circles are being untied, with the size of the largest that is left: none.
const LARGER: &[(&str, usize)] = &[];

#[test]
fn files_do_not_name_each_other_in_a_circle() -> Outcome {
    let mut offences = Vec::new();
    for (name, src) in crates(&root())? {
        let limit = LARGER.iter().find(|(of, _)| *of == name).map_or(MOST, |(_, most)| *most);
        offences.extend(too_large(&name, &Graph::read(&src)?, limit));
    }
    report(&offences);
    Ok(())
}

/// Says what is wrong with the largest circle of a crate, if anything is.
fn too_large(name: &str, graph: &Graph, limit: usize) -> Option<String> {
    let found = components(graph);
    let largest = found.first().map_or(&[][..], Vec::as_slice);
    if limit > MOST && largest.len() < limit {
        return Some(format!(
            "{name}: the largest circle is {} files, its limit is {limit}: lower or drop it",
            largest.len()
        ));
    }
    let files: Vec<&str> = largest.iter().map(|file| graph.names[*file].as_str()).collect();
    (files.len() > limit).then(|| {
        format!(
            "{name}: {} files name each other in a circle, at most {limit} may: {}\n  the \
             shortest way round:\n    {}",
            files.len(),
            files.join(", "),
            shortest(graph, largest).join("\n    ")
        )
    })
}

#[test]
fn a_seeded_circle_is_found_and_named() {
    let file = |name: &str, uses: &str| {
        (format!("{name}.rs"), format!("{uses}\npub struct {};", name.to_uppercase()))
    };
    let chain = [
        ("lib.rs".to_owned(), "mod a; mod b; mod c; mod d;".to_owned()),
        file("a", "use crate::{b::{B}};"),
        file("b", "fn f() { super::c::C; }"),
        file("c", "use self::super::d as named; fn f(_: named::D) {}"),
    ];
    let untied = [&chain[..], &[file("d", "")]].concat();
    assert_eq!(too_large("x", &Graph::of(&untied), MOST), None);
    let tied = [&chain[..], &[file("d", "pub use crate::a::A;")]].concat();
    let offence = too_large("x", &Graph::of(&tied), MOST).unwrap_or_default();
    for part in ["4 files", "a.rs, b.rs, c.rs, d.rs", "d.rs:1 names a.rs (`crate::a::A`)"] {
        assert!(offence.contains(part), "{offence}");
    }
}

#[test]
fn a_limit_that_is_no_longer_needed_is_found() {
    let offence = too_large("x", &Graph::of(&[]), 9).unwrap_or_default();
    assert!(offence.contains("lower or drop it"), "{offence}");
}
