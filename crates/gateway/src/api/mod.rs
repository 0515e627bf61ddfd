//! The API: AWS JSON 1.1 at `POST /`, and the query protocol of STS at the same place.
//!
//! Data flow: [`http`] (bounded body) -> [`authn`] (whose is it? signature or cookie) ->
//! [`dispatch`] (one exhaustive match) -> an operation's file, which asks [`authz`] before it does
//! anything -> answer -> one audit line -> the client.
//!
//! # Invariants
//! - No operation without a valid signature or a sign-in; none answers with success without having
//!   asked policy: dispatch checks.
//! - Every request that was read leaves one audit line before its answer leaves.
//! - What a request refers to is authorised first and looked up second: a stranger learns nothing
//!   about what exists.
//!
//! # Not here
//! - Shapes, limits and codes of AWS: `towline_ssm`. The running sessions:
//!   [`crate::plane::Sessions`].

mod access;
mod access_decisions;
mod access_end;
mod access_letters;
mod access_policy;
mod activations;
mod approval_policies;
mod approver_names;
mod approver_standing;
mod authn;
mod authz;
mod bodies;
mod call;
mod command_log;
mod command_search;
mod device_keys;
mod device_search;
mod devices;
mod dispatch;
mod document_list;
mod documents;
mod elsewhere;
mod events;
mod evidence;
mod explain;
mod explain_federated;
mod health;
mod http;
mod internal;
mod inventory;
mod joining;
mod last_used;
mod mapping;
mod named;
mod ownership;
mod paging;
mod policy_cache;
mod principals;
mod provider_sign_in;
mod providers;
mod recordings;
mod removal;
mod replay;
mod resolution;
mod roles;
mod root;
mod run_commands;
mod searches;
mod second_factors;
mod service;
mod sessions;
mod sign_in;
mod sign_in_requests;
mod start_facts;
mod streams;
mod sts;
mod tags;
mod token;
mod tokens;
mod totp;
mod trust;
mod watches;
mod watching;
mod way_in;
mod web_identity;
mod webhooks;
mod windows;

pub use events::routes as event_routes;
pub use http::routes;
pub use service::{Api, Parts};
pub use sign_in::SignInSettings;
