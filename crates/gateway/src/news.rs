//! What running sessions learn of the rest of the gateway: that their recording fails, and that the
//! gateway stops.
//!
//! # Not here
//! - What they do then: the sessions.

use std::sync::Arc;

use tokio::sync::watch;
use towline_archive::{RecordingEvent, RecordingEvents};
use towline_evidence::layout::part_of;
use towline_ssm::ids::SessionId;
use towline_store::Store;

use crate::plane::Sessions;

/// Tells operators that the gateway stops, when it does.
pub(crate) async fn announce_end(sessions: Arc<dyn Sessions>, mut stop: watch::Receiver<bool>) {
    crate::listener::stopped(&mut stop).await;
    sessions.going_away();
}

/// Ends sessions whose recording is demanded and fails, and keeps how large recordings have become.
pub(crate) async fn handle(sessions: Arc<dyn Sessions>, store: Store, mut news: RecordingEvents) {
    while let Some(told) = news.recv().await {
        match told {
            RecordingEvent::Failed { session, why } => {
                let id = SessionId::try_from(part_of(&session).0.to_owned());
                let Ok(id) = id else { continue };
                let text = format!("ended: recording is required, and the recording failed: {why}");
                sessions.terminate(&id, &text).await;
            }
            RecordingEvent::Finished { session, bytes } => {
                if let Err(error) =
                    store.sessions().add_recording_bytes(part_of(&session).0, bytes).await
                {
                    tracing::warn!(session, %error, "the size of a recording could not be stored");
                }
            }
        }
    }
}
