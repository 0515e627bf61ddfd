//! The look-up of a name by the C library, which blocks: on a thread that lives for that time.
//!
//! # Invariants
//! - Where no further thread can be started the look-up fails, and the agent goes on.
//! - A look-up that nobody waits for any more keeps its place until the C library returns.
//!
//! # Not here
//! - Look-ups in a process without rights: [`crate::separation`].

use crate::limits;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Threads that look a name up.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// A place among these threads.
struct Place;

impl Place {
    fn take() -> io::Result<Self> {
        let place = Self;
        if UNDER_WAY.fetch_add(1, Ordering::Relaxed) < limits::LOOK_UPS {
            return Ok(place);
        }
        Err(io::Error::other("too many names are being looked up"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the thread and who waits for it share.
#[derive(Default)]
struct Asked {
    answer: Option<io::Result<Vec<SocketAddr>>>,
    waiter: Option<Waker>,
}

/// Looks a name up.
///
/// # Errors
/// The resolver's, or that there can be no thread for it.
pub async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (place, asked, host) = (Place::take()?, Arc::<Mutex<Asked>>::default(), host.to_owned());
    let shared = Arc::clone(&asked);
    std::thread::Builder::new().spawn(move || {
        let answer = (host, port).to_socket_addrs().map(Iterator::collect);
        drop(place);
        let mut asked = shared.lock().unwrap_or_else(PoisonError::into_inner);
        asked.answer = Some(answer);
        if let Some(waiter) = asked.waiter.take() {
            waiter.wake();
        }
    })?;
    poll_fn(|cx| {
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = asked.answer.take() {
            return Poll::Ready(answer);
        }
        asked.waiter = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_runtime<F: Future>(story: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story)
    }

    #[test]
    fn a_name_has_its_addresses_and_an_unknown_one_an_error() {
        with_runtime(async {
            let found = look_up("localhost", 7).await.unwrap();
            assert!(found.iter().all(|found| found.ip().is_loopback() && found.port() == 7));
            assert!(!found.is_empty());
            assert!(look_up("no-such-name.invalid", 7).await.is_err());
        });
    }

    #[test]
    fn more_look_ups_than_there_are_places_for_are_errors_until_one_ends() {
        // Beside the threads of other tests of this process, which take places as well.
        let mut places = Vec::new();
        let full = loop {
            match Place::take() {
                Ok(place) => places.push(place),
                Err(error) => break error,
            }
        };
        assert!(full.to_string().contains("too many"), "{full}");
        assert!(places.len() <= limits::LOOK_UPS);
        drop(places);
        assert!(with_runtime(look_up("127.0.0.1", 7)).is_ok());
    }
}
