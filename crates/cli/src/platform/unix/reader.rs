//! Whether the reader of an output is still there.
//!
//! The kernel reports a closed pipe on a write, or on request. A proxy whose connection is silent
//! or lost does not write, and would outlive the program that started it.
//!
//! # Invariants
//! - It has its own descriptor: waiting here takes no readiness from the writer.
//! - A peer that shuts down only its writing still reads.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

/// Urgent bytes, which never come: what is always reported besides is what is waited for.
#[cfg(target_os = "linux")]
const WATCHED: Interest = Interest::PRIORITY;
/// Elsewhere an end is reported with the room for a write.
#[cfg(not(target_os = "linux"))]
const WATCHED: Interest = Interest::WRITABLE;

fn is_over(ready: Ready) -> bool {
    let closed =
        if cfg!(target_os = "linux") { ready.is_read_closed() } else { ready.is_write_closed() };
    closed || ready.is_error()
}

/// The other end of an output.
#[derive(Debug)]
pub(crate) struct Reader(Option<AsyncFd<OwnedFd>>);

impl Reader {
    /// Of this pipe, socket or terminal. Of anything else, a file for example, it is never gone.
    /// Must be called within the runtime.
    #[must_use]
    pub(crate) fn of(output: impl AsFd) -> Self {
        // Deprecated because a type could lend its descriptor and close it meanwhile; `OwnedFd` is
        // what cannot.
        #[allow(deprecated)]
        let registered = output
            .as_fd()
            .try_clone_to_owned()
            .and_then(|own| AsyncFd::with_interest(own, WATCHED));
        Self(registered.ok())
    }

    /// Returns once nobody reads any more. May be dropped and called again.
    pub(crate) async fn gone(&self) {
        let Some(fd) = &self.0 else { return std::future::pending().await };
        while let Ok(mut ready) = fd.ready(WATCHED | Interest::ERROR).await {
            if is_over(ready.ready()) {
                return;
            }
            ready.clear_ready();
        }
        // The runtime ends.
        std::future::pending().await
    }
}

/// Whether a write failed because nobody reads any more.
#[must_use]
pub(crate) fn is_reader_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::future::Future;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap().block_on(test)
    }

    #[test]
    fn the_reader_of_a_pipe_is_gone_when_its_last_end_is_closed() {
        run(async {
            let (read, write) = std::io::pipe().unwrap();
            let again = read.try_clone().unwrap();
            let reader = Reader::of(write.as_fd());
            drop(read);
            assert!(reader.gone().now_or_never().is_none());
            drop(again);
            reader.gone().await;
            reader.gone().await;
        });
    }

    #[test]
    fn the_reader_of_a_socket_is_there_until_it_is_closed_also_when_it_writes_no_more() {
        run(async {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            let reader = Reader::of(ours.as_fd());
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
            tokio::task::yield_now().await;
            assert!(reader.gone().now_or_never().is_none());
            drop(theirs);
            reader.gone().await;
        });
    }

    #[test]
    fn a_file_and_null_have_no_reader_that_could_go() {
        run(async {
            for name in ["/dev/null", "/proc/self/exe"] {
                let file = std::fs::File::open(name).unwrap();
                assert!(Reader::of(file.as_fd()).gone().now_or_never().is_none());
            }
        });
    }
}
