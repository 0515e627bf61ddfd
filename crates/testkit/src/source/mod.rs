//! Reads Rust source as a graph: which file of a crate names which other file, and where files name
//! each other in a circle.
//!
//! Data flow: the files below `src/` -> [`lexer`] -> [`parse`] (modules, `use` items, paths) ->
//! [`graph`] (paths resolved to files) -> [`circles`] (strongly connected components);
//! [`figures`] counts files and functions.
//!
//! # Invariants
//! - Test modules (`#[cfg(test)]`) are neither nodes nor edges.
//! - A re-export is followed to the file that defines the name, so a `mod.rs` that only re-exports
//!   is part of no circle.
//!
//! # Not here
//! - Type inference: a file that calls a method without naming the type has no edge.
//! - The rules themselves: `crates/e2e/tests/tidy`.

pub mod circles;
pub mod figures;
pub mod graph;
pub mod lexer;
pub mod parse;

pub use graph::{Edge, Graph};
