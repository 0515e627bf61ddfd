//! Run Command: commands for many devices, carried to each at most once.
//!
//! Way: the API stores a command and its invocations, and says [`seam::Commands::sent`] ->
//! `scheduler` (one task: who gets it when, what is stored) -> `carry` (one task a device and step:
//! order, output, end) over [`crate::sessions`] -> `output` (files) -> [`crate::evidence`]. What is
//! decided is decided in `live` and `step`, which do no I/O.
//!
//! # Invariants
//! - That a step is given to a device stands in the store before the order leaves; how it ended
//!   before the device may forget it.
//! - Whether a device has begun a step that it does not hold is known to its journal alone: the
//!   order names every start of the agent that may have begun it, and the device refuses when one
//!   of them has.
//! - Memory: some 300 bytes for each device that is not over, and for each that runs what may be on
//!   its way.
//!
//! # Not here
//! - Who may send what where: the API asks policy before anything is stored.

mod carry;
mod live;
#[cfg(test)]
mod live_tests;
mod output;
mod scheduler;
mod step;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, oneshot};
use towline_evidence::layout;
use towline_ssm::command_document::Plan;
use towline_ssm::ids::DeviceId;

pub use step::StepState;

use crate::clock::{Clock, UnixMillis};
use crate::evidence::{OutputNote, Recorder};
use crate::seam;
use crate::sessions::Hub;
use crate::store::{SentCommand, Store, StoreError};
use live::Facts;
use scheduler::{Event, Scheduler};

/// Events that wait for the scheduler; who has more waits.
const EVENTS: usize = 1024;

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
    hub: Arc<Hub>,
    recorder: Arc<Recorder>,
    store: Store,
    clock: Clock,
    /// Devices that have come and are not looked at yet: at most as many as there are.
    arrived: Mutex<HashSet<String>>,
    news: Notify,
}

impl Shared {
    /// Folder of a step's output while it comes.
    fn folder(&self, command: &str, device: &str, folder: &str) -> PathBuf {
        self.recorder.outputs().join(command).join(device).join(folder)
    }

    /// Moves a step's output to where it is sent from. Nobody waits for it.
    fn hand_over(&self, facts: &Arc<Facts>, device: &str, folder: &str) {
        let path = self.folder(&facts.id, device, folder);
        let (recorder, facts, device, folder) =
            (Arc::clone(&self.recorder), Arc::clone(facts), device.to_owned(), folder.to_owned());
        let now = self.clock.now();
        tokio::task::spawn_blocking(move || {
            hand_over(&recorder, &facts, &device, &folder, &path, now)
        });
    }
}

fn hand_over(
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
                .log_output(path, &OutputNote::new(group, command, device, step, &name, now))?;
        }
        recorder.note_output(key, path)
    };
    if let Err(error) = output::hand_over(path, &recorder.outbox(), key, sent) {
        tracing::error!(command, device, %error, "output waits here: it cannot be handed over; the next start tries again");
        return;
    }
    recorder.output_is_there();
    output::tidy(path, &recorder.outputs());
}

/// The name of a step's session: no other device of the command, and no other step, has the same.
/// At most 61 characters.
fn session_name(command: &str, device: &str, step: usize) -> String {
    format!("cmd-{command}-{}-{step}", device.trim_start_matches("mi-"))
}

/// Command and device of a step's session; `None` for the name of any other session.
pub(crate) fn of_step(session: &str) -> Option<(String, String)> {
    let (command, rest) = session.strip_prefix("cmd-")?.split_at_checked(36)?;
    let (device, step) = rest.strip_prefix('-')?.rsplit_once('-')?;
    let uuid = command.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    let number = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
    let device: DeviceId = format!("mi-{device}").parse().ok()?;
    (uuid && number).then(|| (command.to_owned(), device.to_string()))
}

/// The running commands.
pub struct Commands {
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
}

impl Commands {
    /// Takes up what an earlier process left. To be called before devices are let in.
    ///
    /// # Errors
    /// The store's.
    pub async fn start(
        hub: Arc<Hub>,
        recorder: Arc<Recorder>,
        store: Store,
        clock: Clock,
    ) -> Result<Arc<Self>, StoreError> {
        let shared = Arc::new(Shared {
            hub,
            recorder,
            store,
            clock,
            arrived: Mutex::default(),
            news: Notify::new(),
        });
        let (events, inbox) = mpsc::channel(EVENTS);
        let mut scheduler = Scheduler::new(Arc::clone(&shared), events.clone());
        scheduler.restore().await?;
        let heard = Arc::clone(&shared);
        shared.hub.when_arrived(move |device| {
            heard.arrived.lock().unwrap_or_else(PoisonError::into_inner).insert(device.to_owned());
            heard.news.notify_one();
        });
        tokio::spawn(scheduler.run(inbox));
        Ok(Arc::new(Self { shared, events }))
    }

    async fn tell(&self, event: impl FnOnce(oneshot::Sender<()>) -> Event) {
        let (done, told) = oneshot::channel();
        if self.events.send(event(done)).await.is_ok() {
            let _ = told.await;
        }
    }
}

/// The seam's handle.
impl seam::Commands for Commands {
    fn sent(&self, id: &str) -> BoxFuture<'_, ()> {
        let id = id.to_owned();
        Box::pin(self.tell(|done| Event::Sent { id, done }))
    }

    fn cancel(&self, id: &str, devices: Option<Vec<String>>) -> BoxFuture<'_, ()> {
        let id = id.to_owned();
        Box::pin(self.tell(|done| Event::Cancel { id, devices, done }))
    }

    fn device_removed(&self, device: &DeviceId) -> BoxFuture<'_, ()> {
        let device = device.to_string();
        Box::pin(self.tell(|done| Event::Removed { device, done }))
    }

    fn running_output(
        &self,
        id: &str,
        device: &str,
        folder: &str,
        most: [u64; 2],
    ) -> BoxFuture<'_, [Vec<u8>; 2]> {
        let folder = self.shared.folder(id, device, folder);
        Box::pin(async move {
            tokio::task::spawn_blocking(move || output::heads(&folder, most))
                .await
                .unwrap_or_default()
        })
    }

    fn accepts_bucket(&self, bucket: &str) -> Result<(), String> {
        match self.shared.recorder.bucket() {
            Some(ours) if ours == bucket => Ok(()),
            Some(ours) => Err(format!("this gateway writes to the bucket {ours} and to no other")),
            None => {
                let kept = "output is kept in its evidence folder: leave OutputS3BucketName out";
                Err(format!("this gateway has no bucket ([evidence.s3] in gateway.toml); {kept}"))
            }
        }
    }

    fn accepts_logs(&self) -> Result<(), String> {
        let why = "this gateway has no CloudWatch Logs ([evidence.cloudwatch] in gateway.toml): leave CloudWatchOutputEnabled out";
        if self.shared.recorder.knows_cloudwatch() { Ok(()) } else { Err(why.to_owned()) }
    }

    fn url(&self, object: &str) -> String {
        self.shared.recorder.url_of(object)
    }

    fn outputs_prefix(&self) -> String {
        self.shared.recorder.outputs_prefix()
    }
}

/// A command's unchanging facts, from its row.
fn facts_of(row: &SentCommand) -> Result<Facts, serde_json::Error> {
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

/// Where a command's times end: begun by, and over by.
#[must_use]
pub fn times(now: UnixMillis, timeout: u64, plan: &Plan) -> (UnixMillis, UnixMillis) {
    let deliver_by = now.plus(std::time::Duration::from_secs(timeout));
    (deliver_by, deliver_by.plus(std::time::Duration::from_secs(plan.timeout())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steps_session_names_its_command_and_its_device_and_no_other_session_does() {
        let (command, device) = ("137dc699-d400-47fb-916e-01a2dc3e4c86", "mi-0123456789abcdef0");
        let name = session_name(command, device, 12);
        assert_eq!(of_step(&name), Some((command.to_owned(), device.to_owned())));
        for other in [
            "cmd-0123456789abcdefg",
            "ann-0123456789abcdefg",
            "cmd-",
            &name[1..],
            &name[..name.len() - 2],
        ] {
            assert_eq!(of_step(other), None, "{other}");
        }
    }
}
