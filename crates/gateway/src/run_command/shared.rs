//! What the scheduler and the tasks of all steps share: hub, recorder, store, clock, and the way of
//! a step's output to where it is sent from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use towline_archive::{OutputNote, Recorder};
use towline_evidence::layout;
use towline_host::clock::{Clock, UnixMillis};
use towline_ssm::command_document::Plan;
use towline_store::{SentCommand, Store};

use super::live::Facts;
use super::output;
use crate::changes::Changes;
use crate::sessions::Hub;

/// What a command's row says of its output.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// What the keys of its objects begin with.
    pub prefix: String,
    /// The request's own words, for the answers.
    pub bucket: Option<String>,
    /// See `bucket`.
    pub key_prefix: Option<String>,
    /// See `bucket`.
    pub region: Option<String>,
    /// See `bucket`.
    pub log_group: Option<String>,
    /// See `bucket`.
    pub log_enabled: Option<bool>,
}

/// What all tasks share.
pub(crate) struct Shared {
    pub(super) hub: Arc<Hub>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) store: Store,
    pub(super) clock: Clock,
    /// For pages that show commands.
    pub(super) changes: Changes,
}

impl Shared {
    /// Folder of a step's output while it comes.
    pub(super) fn folder(&self, command: &str, device: &str, folder: &str) -> PathBuf {
        self.recorder.outputs_folder().join(command).join(device).join(folder)
    }

    /// Moves a step's output to where it is sent from. Nobody waits for it.
    pub(super) fn hand_over(&self, facts: &Arc<Facts>, device: &str, folder: &str) {
        let path = self.folder(&facts.id, device, folder);
        let (recorder, facts, device, folder) =
            (Arc::clone(&self.recorder), Arc::clone(facts), device.to_owned(), folder.to_owned());
        let now = self.clock.now();
        tokio::task::spawn_blocking(move || {
            hand_over(&recorder, &facts, &device, &folder, &path, now)
        });
    }
}

pub(super) fn hand_over(
    recorder: &Recorder,
    facts: &Facts,
    device: &str,
    folder: &str,
    path: &Path,
    now: UnixMillis,
) {
    let command = &facts.id;
    let key = |name: &str| layout::output(&facts.prefix, command, device, folder, name);
    let step = facts
        .plan
        .steps
        .iter()
        .find(|step| step.folder == folder)
        .map_or(folder, |step| step.name.as_str());
    let sent = |key: &str, path: &Path| {
        if let Some(group) = &facts.log_group {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            recorder
                .queue_output(path, &OutputNote::new(group, command, device, step, &name, now))?;
        }
        recorder.record_output(key, path)
    };
    if let Err(error) = output::hand_over(path, &recorder.outbox_folder(), key, sent) {
        tracing::error!(
            command, device, %error,
            "output waits here: it cannot be handed over; the next start tries again"
        );
        return;
    }
    recorder.wake_outbox();
    output::tidy(path, &recorder.outputs_folder());
}

/// A command's unchanging facts, from its row.
pub(super) fn facts_of(row: &SentCommand) -> Result<Facts, serde_json::Error> {
    let plan: Plan = serde_json::from_str(&row.new.plan)?;
    let place: Place = serde_json::from_str(&row.new.output)?;
    Ok(Facts {
        id: row.new.id.clone(),
        plan,
        principal: row.new.principal_arn.clone(),
        document: row.new.document.clone(),
        run_as: Some(row.new.run_as.clone()).filter(|user| !user.is_empty()),
        log_group: place.log_group.filter(|_| place.log_enabled == Some(true)),
        prefix: place.prefix,
        deliver_by: row.new.deliver_by,
        expires_at: row.new.expires_at,
    })
}
