//! A data plane for tests of rights: sessions open at once, each request for a seat is granted, and
//! what is told of lost rights is noted.
//!
//! # Not here
//! - Devices, channels and anything that runs.
#![allow(dead_code)] // each test program uses its own part of this
#![allow(clippy::unwrap_used)] // a test that cannot set its scene has failed

use std::future::ready;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use towline_gateway::plane::{
    AccessEnd, Commands, Dropped, Found, LiveState, OutputName, OutputPiece, Resumed, RotateError,
    SeatError, SessionStart, SessionStarted, Sessions, Sitter, StartError, WatchError, WatchGrant,
    Watcher, Watching,
};
use towline_gateway::unattached::Unattached;
use towline_ssm::ids::{DeviceId, SessionId};
use towline_store::{NewSession, Store};
use towline_wire::lane::Lanes;

/// The data plane.
pub(crate) struct PlaneOfNotes {
    store: Store,
    sitters: Mutex<Vec<Sitter>>,
    cancelled: Mutex<Vec<String>>,
    terminated: Mutex<Vec<String>>,
    /// A user and a key of hers that is switched off while her session is opened.
    switched_off: Mutex<Option<(String, String)>>,
    forgets_facts: Mutex<bool>,
    viewer: Arc<Viewer>,
}

impl PlaneOfNotes {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            sitters: Mutex::default(),
            cancelled: Mutex::default(),
            terminated: Mutex::default(),
            switched_off: Mutex::default(),
            forgets_facts: Mutex::default(),
            viewer: Arc::new(Viewer(watch::channel(String::new()).0)),
        }
    }

    /// A person or principal of this id has a seat from now on.
    pub(crate) fn sits(&self, id: &str) {
        self.sits_in(id, "");
    }

    /// A person has a seat in this role.
    pub(crate) fn sits_in(&self, person: &str, role: &str) {
        let (person_id, principal_id) = (person.to_owned(), role.to_owned());
        let sitter = Sitter { arn: String::new(), person_id, principal_id };
        self.sitters.lock().unwrap().push(sitter);
    }

    /// Who has a seat.
    pub(crate) fn sitters(&self) -> Vec<String> {
        self.sitters.lock().unwrap().iter().map(|sitter| sitter.person_id.clone()).collect()
    }

    /// Commands that were cancelled.
    pub(crate) fn cancelled(&self) -> Vec<String> {
        self.cancelled.lock().unwrap().clone()
    }

    /// Sessions that were ended.
    pub(crate) fn terminated(&self) -> Vec<String> {
        self.terminated.lock().unwrap().clone()
    }

    /// While the next session opens, this key of a user is switched off.
    pub(crate) fn switches_off_while_it_opens(&self, user: &str, key: &str) {
        *self.switched_off.lock().unwrap() = Some((user.to_owned(), key.to_owned()));
    }

    /// Sessions are stored as by an older gateway from now on.
    pub(crate) fn forget_facts(&self) {
        *self.forgets_facts.lock().unwrap() = true;
    }

    /// Waits for the end of the viewer; why it ended.
    pub(crate) async fn viewer_ends(&self) -> String {
        let mut told = self.viewer.0.subscribe();
        told.wait_for(|why| !why.is_empty()).await.unwrap().clone()
    }
}

struct Viewer(watch::Sender<String>);

impl Watching for Viewer {
    fn is_over(&self) -> bool {
        !self.0.borrow().is_empty()
    }
    fn end(&self, why: &str) {
        self.0.send_replace(why.to_owned());
    }
}

impl Sessions for PlaneOfNotes {
    fn start(&self, start: SessionStart) -> BoxFuture<'_, Result<SessionStarted, StartError>> {
        let forgets = *self.forgets_facts.lock().unwrap();
        let row = NewSession {
            id: start.session.to_string(),
            device_id: start.device.to_string(),
            principal_arn: start.principal_arn,
            principal_name: start.principal_name,
            principal_id: start.principal_id,
            person_id: start.person.id,
            document: start.document,
            reason: String::new(),
            run_as: start.run_as.unwrap_or_default(),
            source_ip: String::new(),
            just_in_time: false,
            access_request: String::new(),
            session_type: start.plan.session_type().to_owned(),
            output_url: String::new(),
            input_recorded: false,
            idle: start.idle_timeout,
            max: start.max_duration,
            start_facts: if forgets { String::new() } else { start.facts },
        };
        let switched_off = self.switched_off.lock().unwrap().take();
        Box::pin(async move {
            if let Some((user, key)) = switched_off {
                let user = self.store.principals().get(&user).await.unwrap().unwrap();
                let mut change = self.store.change_of(&user).await.unwrap();
                assert!(
                    change
                        .set_key_active(&user.name, &key, false, crate::still_api::NOW)
                        .await
                        .unwrap()
                );
                change.commit().await.unwrap();
            }
            self.store.sessions().insert(&row, super::still_api::NOW).await.unwrap();
            Ok(SessionStarted { token: "a-token".into(), not_recorded: None })
        })
    }
    fn resume(
        &self,
        _: &SessionId,
        _: Option<Sitter>,
        _: Option<&str>,
    ) -> BoxFuture<'_, Found<Resumed>> {
        Box::pin(ready(Found::Nowhere))
    }
    fn join(
        &self,
        _: &SessionId,
        _: Sitter,
        _: bool,
        _: Option<String>,
    ) -> BoxFuture<'_, Found<Result<Resumed, SeatError>>> {
        Box::pin(ready(Found::Here(Ok(Resumed::Token("a-token".to_owned())))))
    }
    fn leave_seats(&self, ids: &[String], end: bool) -> BoxFuture<'_, u64> {
        let mut sitters = self.sitters.lock().unwrap();
        let found = sitters.iter().filter(|sitter| sitter.is_of(ids)).count();
        if end {
            sitters.retain(|sitter| !sitter.is_of(ids));
        }
        Box::pin(ready(u64::try_from(found).unwrap()))
    }
    fn message(&self, _: &SessionId, _: &str, _: &str) -> BoxFuture<'_, Found<bool>> {
        Box::pin(ready(Found::Here(true)))
    }
    fn access_ends(&self, _: &SessionId, _: AccessEnd) -> BoxFuture<'_, Found> {
        Box::pin(ready(Found::Nowhere))
    }
    fn watch(
        &self,
        _: &SessionId,
        _: Watcher,
    ) -> BoxFuture<'_, Found<Result<WatchGrant, WatchError>>> {
        let viewer: Arc<dyn Watching> = self.viewer.clone();
        let watching = Arc::downgrade(&viewer);
        Box::pin(ready(Found::Here(Ok(WatchGrant { token: "a-token".into(), watching }))))
    }
    fn terminate(&self, id: &SessionId, _: &str) -> BoxFuture<'_, Found> {
        self.terminated.lock().unwrap().push(id.to_string());
        Box::pin(ready(Found::Nowhere))
    }
    fn live(&self, _: &SessionId) -> BoxFuture<'_, Found<LiveState>> {
        Box::pin(ready(Found::Nowhere))
    }
    fn drop_device(&self, _: &DeviceId, _: &str) -> BoxFuture<'_, Found<Dropped>> {
        Box::pin(ready(Found::Nowhere))
    }
    fn rotate_key(&self, _: &DeviceId) -> BoxFuture<'_, Result<String, RotateError>> {
        Box::pin(ready(Err(RotateError::NotConnected)))
    }
    fn going_away(&self) {}
}

impl Commands for PlaneOfNotes {
    fn sent(&self, _: &str) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
    fn cancel(&self, id: &str, _: Option<Vec<String>>) -> BoxFuture<'_, ()> {
        self.cancelled.lock().unwrap().push(id.to_owned());
        Box::pin(ready(()))
    }
    fn look(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
    fn device_removed(&self, _: &DeviceId) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
    fn running_output(
        &self,
        _: &str,
        _: &str,
        _: &str,
        _: Lanes<u64>,
    ) -> BoxFuture<'_, Lanes<Vec<u8>>> {
        Box::pin(ready(Lanes::default()))
    }
    fn local_output(
        &self,
        _: OutputName,
        _: u64,
        _: u64,
    ) -> BoxFuture<'_, std::io::Result<Option<OutputPiece>>> {
        Box::pin(ready(Ok(None)))
    }
    fn accepts_bucket(&self, bucket: &str) -> Result<(), String> {
        Unattached.accepts_bucket(bucket)
    }
    fn accepts_logs(&self) -> Result<(), String> {
        Unattached.accepts_logs()
    }
    fn url(&self, object: &str) -> String {
        object.to_owned()
    }
    fn outputs_prefix(&self) -> String {
        String::new()
    }
}
