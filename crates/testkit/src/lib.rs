//! The kit for end-to-end tests: the real programs as separate processes, a scripted terminal, a
//! bad network.
//!
//! - [`lab`]: a gateway, its devices and its operators in a scratch directory on loopback.
//!   Dropping a value stops the process that it represents.
//! - [`terminal`]: a program on a pseudo-terminal, driven by what it prints.
//! - [`relay`]: a TCP relay that cuts, holds and counts. [`connect_proxy`]: an HTTP proxy.
//!   [`netns`]: a network of one's own. [`blackhole`]: an address that answers nobody.
//! - [`another_version`]: the same program, newer. [`https`]: one signed request at a time.
//!   [`facts`]: what the kernel says of a process. [`moto`]: S3 and CloudWatch Logs. [`machine`]:
//!   what a test must not take from where it runs. [`source`]: Rust source as a graph of files.
//!   [`cluster`]: several gateways on one database, and a run of faults.
//!   [`browser`]: Chromium, driven by a story. [`fleet`]: thousands of simulated devices.
//!
//! # Invariants
//! - Free ports only ([`ports`] keeps those that are named before a program listens), scratch
//!   directories only; no step waits for time where it can wait for an
//!   event.
//! - Every wait has a deadline, and says at its end what it saw in the meantime.
//!
//! # Not here
//! - Tests: `tests/e2e`. The products' code: programs are run, not linked.
#![forbid(unsafe_code)]

pub mod another_version;
pub mod blackhole;
pub mod browser;
pub mod cluster;
pub mod connect_proxy;
pub mod cuts;
pub mod endure;
pub mod facts;
pub mod files;
pub mod fleet;
pub mod flood;
pub mod https;
pub mod interrupt;
pub mod lab;
pub mod machine;
pub mod moto;
pub mod mount;
pub mod netns;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod recall;
pub mod relay;
pub mod source;
pub mod strangers;
pub mod terminal;
pub mod text;
pub mod trouble;

pub use trouble::{Outcome, Trouble, eventually};
