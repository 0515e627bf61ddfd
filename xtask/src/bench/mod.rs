//! `cargo xtask bench`: Towline compared with an SSH reverse tunnel: `ssh -> sshd <- ssh -R ->
//! dropbear`.

mod command;
mod copy;
mod counted;
mod delay;
mod page;
mod peer;
mod processes;
mod rig;
mod sample;
mod stats;
pub(crate) mod tunnel;

pub(crate) use command::command;
