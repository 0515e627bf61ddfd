//! A gateway, its devices and its operators in a scratch directory on loopback: the real programs,
//! as separate processes.

pub mod device;
pub mod gateway;
mod lab;
pub mod operator;
pub mod programs;

pub use device::{Device, DeviceSetup};
pub use gateway::{Gateway, GatewaySetup};
pub use lab::{Activation, Lab};
pub use operator::{Keys, Operator};
pub use programs::Programs;
