//! `cargo xtask budget`: sizes, memory, wake-ups and idle bytes, compared with
//! `targets/*/budget.toml`.

mod command;
mod measure;

use command::{Figure, GatewayPromise, Promise};
pub(crate) use command::{check, command};
