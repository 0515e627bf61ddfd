//! Scripts that are still arriving: their bytes are collected until the script is complete.
//!
//! Data flow: an order that passed the gate -> [`Gathering`] -> all bytes, with the granted
//! digest -> the journal -> a process.
//!
//! # Invariants
//! - No part of a script starts before all of it has come and matches the grant.
//! - A script that is incomplete when the link is lost is dropped. It was not started, and the
//!   gateway sends it again.

use super::gate::{Passed, Refusal};
use crate::limits;
use ring::digest::{SHA256, digest};
use towline_wire::message::{Open, Script};

/// A script that is not whole yet.
#[derive(Debug)]
pub struct Gathering {
    /// The order.
    pub open: Open,
    /// What the gate found.
    pub passed: Passed,
    /// What the order says of it.
    pub script: Script,
    bytes: Vec<u8>,
}

impl Gathering {
    /// Nothing has come yet.
    ///
    /// # Errors
    /// [`Refusal::Incomplete`] when there is no room for it.
    pub fn new(open: Open, passed: Passed, script: Script) -> Result<Self, Refusal> {
        if script.length == 0 || script.length > limits::SCRIPT {
            return Err(Refusal::Incomplete("a script has 1 byte to 64 KiB"));
        }
        Ok(Self { open, passed, script, bytes: Vec::new() })
    }

    /// Takes what has come. True when it is whole.
    pub fn take(&mut self, bytes: &[u8]) -> bool {
        // The receiver's credit bounds what comes; the length bounds what is kept.
        let room = (self.script.length as usize).saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.bytes.len() == self.script.length as usize
    }

    /// The script, if it is the one that was granted.
    ///
    /// # Errors
    /// [`Refusal::Incomplete`].
    pub fn whole(&mut self) -> Result<Vec<u8>, Refusal> {
        if digest(&SHA256, &self.bytes).as_ref() != self.script.sha256 {
            return Err(Refusal::Incomplete("the script is not the one that was granted"));
        }
        Ok(std::mem::take(&mut self.bytes))
    }
}
