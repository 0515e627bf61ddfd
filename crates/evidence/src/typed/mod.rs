//! Input for a recording: of what was typed, that which the screen has shown.
//!
//! Data flow: bytes on their way to the device ([`Typed::input`]) wait -> the device says how its
//! terminal stood when it took them ([`Typed::said`]) -> what was typed is put to what came back
//! ([`Typed::output`]), line by line ([`mod@line`]) -> [`Found`].
//!
//! # Invariants
//! - Nothing is given out that the device did not speak of, and nothing typed while it said
//!   [`Echo::Hidden`] (a terminal in its line mode that does not echo: a password).
//! - Of a line, all is given out or nothing: all, when each character came back as the next thing
//!   that was shown after it was typed. So no text stands in a recording as input that does not
//!   stand there as output.
//! - At most [`MOST`] bytes wait for the device's word, and as many for their echo. What does not
//!   fit is not recorded, and a marker says so.
//! - What is left out is marked without its length: a length is a hint at a password.
//!
//! # Not here
//! - Files, time, and who wants input recorded at all.
//!
//! # Known limits (each has a test of the same name below)
//! - `keys_that_draw_something_else`: editors, pagers, menus, searches in the history: the line is
//!   left out.
//! - `lines_typed_ahead_of_a_prompt`: what is typed before the prompt is drawn comes back behind
//!   it: the line is left out.
//! - `stars_for_a_password_of_stars`: a program that shows `*` for each key shows what was typed,
//!   if that was `*`.

mod input;
mod line;
mod screen;
#[cfg(test)]
mod tests;

pub use input::{Found, HIDDEN, MOST, Said, Typed};
pub use towline_wire::echo::Echo;
