//! The audit trail: one line for every request and for what devices do; refusals within a budget.

mod event;
mod log;
mod owed;
mod refusals;

pub use event::Event;
pub use log::AuditLog;
pub(crate) use log::close_left;
pub use refusals::Who;
