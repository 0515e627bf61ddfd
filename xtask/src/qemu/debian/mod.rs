//! `cargo xtask qemu debian [SUITE]`: a whole Debian with systemd in a machine, and the life of the
//! deb on it: installed, waiting, enrolled by an order, upgraded and downgraded under an open
//! shell, killed, removed, installed again, purged. And its cgroups.

mod cgroups;
mod installed;

use installed::{Debian, UNIT};
pub(super) use installed::{NEEDS, download};
pub(crate) use installed::{SUITE, tell};
