//! The running commands, as the API sees them: it starts the scheduler and passes events to it.
//!
//! Data flow: API -> [`Commands`] -> `scheduler`, through one bounded channel.

use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use towline_archive::Recorder;
use towline_host::clock::{Clock, UnixMillis};
use towline_ssm::command_document::Plan;
use towline_ssm::ids::DeviceId;
use towline_store::{Store, StoreError};
use towline_wire::lane::Lanes;

use super::event::Event;
use super::output;
use super::scheduler::Scheduler;
use super::shared::Shared;
use crate::changes::Changes;
use crate::limits::COMMAND_EVENTS;
use crate::plane;
use crate::sessions::{Hub, StepsCome};

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
        changes: Changes,
    ) -> Result<Arc<Self>, StoreError> {
        let shared = Arc::new(Shared { hub, recorder, store, clock, changes });
        let (events, inbox) = mpsc::channel(COMMAND_EVENTS);
        let mut scheduler = Scheduler::new(Arc::clone(&shared), events.clone());
        shared.hub.steps_come_to(Box::new(Newcomers(events.clone())));
        scheduler.restore().await?;
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

/// Takes over what a device holds that has come from another node.
struct Newcomers(mpsc::Sender<Event>);

impl StepsCome for Newcomers {
    fn come(&self, device: &str, commands: Vec<String>) -> BoxFuture<'_, ()> {
        let device = device.to_owned();
        Box::pin(async move {
            let (done, told) = oneshot::channel();
            if self.0.send(Event::Come { device, commands, done }).await.is_ok() {
                let _ = told.await; // gone: the gateway stops
            }
        })
    }
}

/// The handle of the plane's interface.
impl plane::Commands for Commands {
    fn sent(&self, id: &str) -> BoxFuture<'_, ()> {
        let id = id.to_owned();
        Box::pin(self.tell(|done| Event::Sent { id, done }))
    }

    fn cancel(&self, id: &str, devices: Option<Vec<String>>) -> BoxFuture<'_, ()> {
        let id = id.to_owned();
        Box::pin(self.tell(|done| Event::Cancel { id, devices, done }))
    }

    fn look(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.tell(|done| Event::Look { done }))
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
        most: Lanes<u64>,
    ) -> BoxFuture<'_, Lanes<Vec<u8>>> {
        let folder = self.shared.folder(id, device, folder);
        Box::pin(async move {
            tokio::task::spawn_blocking(move || output::heads(&folder, most))
                .await
                .unwrap_or_default()
        })
    }

    fn local_output(
        &self,
        what: plane::OutputName,
        offset: u64,
        most: u64,
    ) -> BoxFuture<'_, io::Result<Option<plane::OutputPiece>>> {
        let folder = self.shared.folder(&what.command, &what.device, &what.folder);
        // In the order in which a file moves on: whatever moves meanwhile is found further on.
        let [outbox, quarantine] = self.shared.recorder.unsent(&what.object);
        let places = [folder.join(output::NAMES[what.lane]), outbox, quarantine];
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || {
                for place in places {
                    if let Some((bytes, length)) = output::piece(&place, offset, most)? {
                        return Ok(Some(plane::OutputPiece { bytes, length }));
                    }
                }
                Ok(None)
            });
            read.await.map_err(io::Error::other)?
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
        let why = "this gateway has no CloudWatch Logs ([evidence.cloudwatch] in gateway.toml): \
                   leave CloudWatchOutputEnabled out";
        if self.shared.recorder.has_cloudwatch() { Ok(()) } else { Err(why.to_owned()) }
    }

    fn url(&self, object: &str) -> String {
        self.shared.recorder.url_of(object)
    }

    fn outputs_prefix(&self) -> String {
        self.shared.recorder.outputs_prefix()
    }
}

/// Where a command's times end: begun by, and over by.
#[must_use]
pub fn times(now: UnixMillis, timeout: u64, plan: &Plan) -> (UnixMillis, UnixMillis) {
    let deliver_by = now.plus(std::time::Duration::from_secs(timeout));
    (deliver_by, deliver_by.plus(std::time::Duration::from_secs(plan.timeout())))
}
