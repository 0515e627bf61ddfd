//! Linux, macOS and other systems of the unix kind: directories are opened, and everything is done
//! in them.

mod errno;
mod incoming;
mod partial;
mod place;
mod replace;
mod room;

pub use incoming::Incoming;
pub use partial::partial_name;
pub use place::{Kind, Place, Seen};
