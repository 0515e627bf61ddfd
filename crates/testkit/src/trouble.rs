//! The error type of the kit: a sentence for the person who reads a failed test. And
//! [`eventually`], the one way to wait for a fact.

use std::fmt::{self, Debug, Display};
use std::time::{Duration, Instant};

use crate::interrupt;

/// An error in a test, as a sentence. Prints the same in `Debug`, because that is what a failed
/// test shows.
pub struct Trouble(String);

/// What most functions of the kit, and most tests, return.
pub type Outcome<T = ()> = Result<T, Trouble>;

impl Trouble {
    /// A trouble in these words.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// Not `std::error::Error` itself: then any error can be taken in by `?`.
impl<E: std::error::Error> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Fails with `text` unless `fact` holds.
///
/// # Errors
/// [`Trouble`] with `text`.
pub fn ensure(fact: bool, text: impl FnOnce() -> String) -> Outcome {
    if fact { Ok(()) } else { Err(Trouble::new(text())) }
}

/// How often a fact that nobody announces is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until `look` gives something; for facts without an event to wait for, such as a line in
/// /proc.
///
/// # Errors
/// What was awaited and for how long, when it did not come.
pub fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Outcome<T> {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        interrupt::check()?;
        if Instant::now() >= end {
            return Err(Trouble::new(format!("{what}: not within {within:?}")));
        }
        pause(LOOK_AGAIN);
    }
}

/// Lets time pass, for measurements over a span of time. A test that waits for something uses
/// [`eventually`].
pub fn pause(span: Duration) {
    let end = Instant::now() + span;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        std::thread::park_timeout(left);
    }
}
