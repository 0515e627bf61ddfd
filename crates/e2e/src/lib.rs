//! Nothing: this package only exists for its tests.
//!
//! - `tests/tidy`: the rules of the tree that a compiler does not check.
//! - `../../tests/e2e`: the real agent, gateway and command line against each other, as separate
//!   processes.
#![forbid(unsafe_code)]
