//! Retention: what is too old, or too much, leaves the sink; and the node's chain says so.
//!
//! # Invariants
//! - The record of a removal is written before the object is removed: an absence is never
//!   unexplained.
//! - Only recordings and audit files are removed; the node's chain itself stays.
//!
//! # Not here
//! - Objects under Object Lock: the server refuses, and they are tried again another day.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use towline_evidence::layout;
use towline_evidence::node::What;

use crate::delivery::sink::Sink;
use crate::recorder::recorder::Recorder;
use towline_host::clock::Clock;

/// How often.
const EVERY: Duration = Duration::from_secs(3600);
/// Objects looked at in one go, oldest names first as the store lists them. About 200 bytes each.
const MOST: usize = 200_000;

/// Applies the rules for ever.
pub(crate) async fn keep(recorder: Arc<Recorder>, sink: Sink, clock: Clock) {
    loop {
        tokio::time::sleep(EVERY).await;
        apply(&recorder, &sink, &clock).await;
    }
}

/// Applies the rules once; the number of objects removed.
pub(crate) async fn apply(recorder: &Recorder, sink: &Sink, clock: &Clock) -> usize {
    let settings = &recorder.settings;
    if settings.retention.is_none() && settings.retention_bytes.is_none() {
        return 0;
    }
    let mut objects: Vec<ObjectMeta> = Vec::new();
    let mut listed = sink.store().list(None).take(MOST);
    while let Some(object) = listed.next().await {
        match object {
            Ok(object) if is_ours(object.location.as_ref()) => objects.push(object),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "retention waits: the sink cannot be listed");
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
            break; // sorted by age: what follows is younger, and no longer too much
        }
        let key = object.location.to_string();
        let why = if old { "older than the retention time" } else { "beyond the retention size" };
        if let Err(error) =
            recorder.record(What::Removed { object: key.clone(), why: why.to_owned() })
        {
            tracing::error!(%error, "retention waits: the node's chain cannot be written");
            break;
        }
        match sink.store().delete(&object.location).await {
            Ok(()) => {
                removed += 1;
                total = total.saturating_sub(object.size);
            }
            Err(error) => tracing::warn!(key, %error, "cannot be removed by retention"),
        }
    }
    removed
}

fn is_ours(key: &str) -> bool {
    layout::session_of(key).is_some()
        || layout::is_commands(key)
        || layout::is_output(key)
        || (key.contains("AWSLogs/") && key.ends_with(".json.gz"))
}
