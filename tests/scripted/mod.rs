//! A scripted gateway: the other end of the wire, driven line by line by a test, against the
//! agent's real binary.
//!
//! It is gateway, authority and operator's client in one: it signs grants, and it keeps the
//! operator's end of the streams across links, so that a test can compare every byte.
#![allow(dead_code, unused_imports)] // each test file uses its part

mod gateway;

pub(crate) use gateway::*;
