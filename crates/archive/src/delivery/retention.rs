//! Retention: objects that are too old, or too many, are removed from the sink, and the node's
//! chain records each removal.
//!
//! # Invariants
//! - The record is written before the object is removed: no object is missing without a record.
//! - Only recordings, their indexes, outputs and audit files are removed; the node's chain stays.
//!
//! # Not here
//! - Objects under Object Lock: the server refuses to remove them, and they are tried again later.

use std::sync::Arc;

use futures_util::StreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use towline_evidence::layout;
use towline_evidence::node::What;

use super::sink::Sink;
use crate::limits::{RETENTION_EVERY, RETENTION_OBJECTS};
use crate::recorder::Recorder;
use towline_host::clock::Clock;

/// Applies the rules as long as the process lives.
pub(crate) async fn keep(recorder: Arc<Recorder>, sink: Sink, clock: Clock) {
    loop {
        tokio::time::sleep(RETENTION_EVERY).await;
        apply(&recorder, &sink, &clock).await;
    }
}

/// Applies the rules once. Returns the number of objects removed.
pub(crate) async fn apply(recorder: &Recorder, sink: &Sink, clock: &Clock) -> usize {
    let settings = &recorder.settings;
    if settings.retention.is_none() && settings.retention_bytes.is_none() {
        return 0;
    }
    let mut objects: Vec<ObjectMeta> = Vec::new();
    let mut listed = sink.store().list(None).take(RETENTION_OBJECTS);
    while let Some(object) = listed.next().await {
        match object {
            Ok(object) if is_ours(object.location.as_ref()) => objects.push(object),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "retention cannot list the sink; retrying later");
                return 0;
            }
        }
    }
    objects.sort_by_key(|object| object.last_modified);
    let mut removed = 0;
    let mut total: u64 = objects.iter().map(|object| object.size).sum();
    let oldest = settings.retention.map(|age| clock.now().minus(age).0);
    for object in objects {
        let old = oldest.is_some_and(|oldest| object.last_modified.timestamp_millis() < oldest);
        let much = settings.retention_bytes.is_some_and(|most| total > most);
        if !(old || much) {
            break; // sorted by age: the rest is younger, and small enough
        }
        let key = object.location.to_string();
        let why = if old { "older than the retention time" } else { "beyond the retention size" };
        if let Err(error) =
            recorder.record(What::Removed { object: key.clone(), why: why.to_owned() })
        {
            tracing::error!(%error, "retention cannot write the node's chain; retrying later");
            break;
        }
        match sink.store().delete(&object.location).await {
            Ok(()) => {
                removed += 1;
                total = total.saturating_sub(object.size);
            }
            Err(error) => tracing::warn!(key, %error, "retention cannot remove an object"),
        }
    }
    removed
}

fn is_ours(key: &str) -> bool {
    layout::session_of(key).is_some()
        || layout::is_index(key)
        || layout::is_commands(key)
        || layout::is_output(key)
        || (key.contains("AWSLogs/") && key.ends_with(".json.gz"))
}
