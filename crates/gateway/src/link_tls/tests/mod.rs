//! TLS of links, against the library's own client and against a device that keeps to no rule.

mod device;
mod records;
mod stream;
