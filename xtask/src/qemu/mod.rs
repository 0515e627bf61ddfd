//! `cargo xtask qemu [CLASS…|debian [SUITE]|servers CLASS|--tests|--table]`: the packaged agent on
//! machines like those it is meant for.

mod command;
mod debian;
mod device;
mod fetch;
mod initramfs;
mod machine;
mod modules;
mod servers;
mod story;
pub(crate) mod table;
mod turn;
mod user;

use command::Facts;
pub(crate) use command::{NEEDS, command, download, in_tests};
pub(crate) use fetch::busybox;
pub(crate) use turn::Limit;
