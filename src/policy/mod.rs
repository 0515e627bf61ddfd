//! The device's own policy: the last word, whatever was granted.
//!
//! Asked after a grant was found genuine. It can only take away. Patterns may end in `*`.

mod device;
pub mod forwards;

pub use device::{DevicePolicy, Forbidden};
