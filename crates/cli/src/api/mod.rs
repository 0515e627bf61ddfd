//! Requests to the gateway: signed, one after the other, on one connection.
//!
//! Data flow: a shape of `towline-ssm` -> [`Client::call`] ([`client`]) -> signature -> HTTP/1.1
//! over TLS ([`dial`], [`tls`]) -> answer or [`CallError`]. Lists are read page by page
//! ([`pages`]).

mod client;
mod dial;
mod error;
mod pages;
mod tls;

pub(crate) use client::{Client, Dialect, Socket};
pub(crate) use error::{CallError, Sort};
pub(crate) use pages::Paged;
