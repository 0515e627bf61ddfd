//! An error of the kernel as a fault of a file.

use rustix::io::Errno;

use crate::fault::Fault;

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}
