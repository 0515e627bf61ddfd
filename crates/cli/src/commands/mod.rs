//! What each command does: a request, an answer, a table.
//!
//! # Invariants
//! - Lists of the API are read completely, page by page, within a bound.

mod access;
mod activation;
mod admin;
mod agent_config;
mod audit;
mod aws_config;
mod cast_file;
mod command_log;
mod context;
mod copy;
mod devices;
mod dispatch;
mod drawn;
mod export;
mod health;
mod identity;
mod login;
mod login_listener;
mod login_renewal;
mod login_request;
mod mfa;
mod offline;
mod play;
mod policy;
mod provider;
mod recordings;
mod refused_login;
mod run;
mod sessions;
mod shell;
mod ssh_config;
mod step_up;
mod target;
mod tunnel;
mod verify;
mod watch;
mod webhook;

pub(crate) use dispatch::dispatch;
