//! `cargo xtask fleet-upgrade [DEVICES]`: a fleet is rolled from one version to the next by its own
//! package manager, from a signed repository, while somebody works in a shell on every device. No
//! shell may notice.

mod device;
mod hub;
mod upgrade;

use upgrade::{block, same};
pub(crate) use upgrade::{command, in_tests};
