//! Mail to configured addresses, by a configured server.
//!
//! Data flow: a [`Mail`] -> its text ([`letter`]) -> the server's addresses, judged as those of any
//! request are -> TLS -> one conversation ([`conversation`]) -> taken or refused.
//!
//! # Invariants
//! - A server gets nothing before TLS but EHLO and STARTTLS, and its certificate is checked.
//! - A mail has one sender and one receiver, and each is a [`Mailbox`]: nothing in an address can
//!   become a command or a header.
//! - What users wrote stands in the body alone, in base64.
//! - Time and size of a conversation are bounded.
//!
//! # Not here
//! - Messages, their receivers, and what follows a refusal: [`crate::notifications`].

mod conversation;
mod letter;
mod mailbox;
mod server;
#[cfg(test)]
mod tests;

pub use letter::Mail;
pub use mailbox::Mailbox;
pub use server::{LogIn, MailError, MailServer, ServerAddress};
