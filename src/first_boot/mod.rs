//! A device without an enrollment: it waits, or enrolls by an order.
//!
//! Data flow: [`until_enrolled`] looks for an enrollment (made by `enroll` in another process),
//! then for an [`order`] (a file in the image or on mounted media, variables, the kernel's
//! command line). The device follows the order until the gateway accepts or refuses it, and
//! removes its file.
//!
//! # Invariants
//! - The agent reports ready to the service manager while it waits, so nothing restarts it in a
//!   loop.
//! - An enrolled device does not read orders.
//! - Root obeys no file that another user could have written: [`trusted`].
//! - The activation code is used once. An order on media that cannot be written is logged.

pub mod order;
mod trusted;
mod waiting;

pub use waiting::until_enrolled;
