//! Ctrl-C, SIGTERM and SIGHUP end the waits of the test kit, so that xtask removes everything that
//! it started.
//!
//! Handlers, not a blocked mask: a mask would be inherited by the programs that we start.

use std::task::Poll;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use towline_testkit::{Outcome, interrupt};

/// Watches from a thread of its own, until the process ends.
///
/// # Errors
/// The handlers cannot be set.
pub(crate) fn watch() -> Outcome {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let signals = {
        let _inside = runtime.enter();
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal)
    };
    let mut signals = signals.into_iter().collect::<Result<Vec<Signal>, _>>()?;
    std::thread::spawn(move || {
        runtime.block_on(any(&mut signals));
        interrupt::request();
    });
    Ok(())
}

/// Ends when one of them came.
async fn any(signals: &mut [Signal]) {
    std::future::poll_fn(|context| {
        let came = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if came { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
