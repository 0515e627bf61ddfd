//! Linux, macOS and other systems of the unix kind: directories are opened, and everything is done in
//! them.

mod incoming;
mod partial;
mod place;
mod replace;
mod room;

pub use incoming::Incoming;
pub use partial::partial_name;
pub use place::{Kind, Place, Seen};
use rustix::io::Errno;

use crate::fault::Fault;

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}
