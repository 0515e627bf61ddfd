//! The device's own policy. It can only deny what a grant permits.
//!
//! It is applied after a grant was found genuine. Patterns may end in `*`.

mod device;
pub mod forwards;
mod login;

pub use device::{DevicePolicy, Forbidden};
pub use login::Closed;
