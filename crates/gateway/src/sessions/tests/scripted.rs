//! A device that writes down what it is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use towline_wire::lane::{Lane, Lanes};

use crate::plane::{RotateError, StartError};
use crate::sessions::device::Device;
use crate::sessions::device_end::{ConnectionId, Control, DeviceEnd};
use crate::sessions::order::Order;
use crate::sessions::session::Session;

pub(super) const DEVICE: &str = "mi-0123456789abcdef0";

/// One connection of a device.
pub(super) struct Scripted {
    connection: ConnectionId,
    tells_echo: bool,
    told: Mutex<Vec<String>>,
    sessions: Mutex<Vec<Arc<Session>>>,
    pub(super) closed: AtomicBool,
    /// It refuses orders before it sends anything.
    pub(super) refuses: AtomicBool,
}

impl Scripted {
    pub(super) fn new(tells_echo: bool) -> Arc<Self> {
        Arc::new(Self {
            connection: ConnectionId::fresh(),
            tells_echo,
            told: Mutex::default(),
            sessions: Mutex::default(),
            closed: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
        })
    }

    /// Takes what it was told since the last call.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    fn write(&self, text: String) {
        self.told.lock().unwrap().push(text);
    }

    /// Drops what waits for the session's streams, as a link does.
    fn clear(&self, kinds: &[&str]) {
        self.told.lock().unwrap().retain(|told| !kinds.iter().any(|kind| told.starts_with(kind)));
    }
}

impl DeviceEnd for Scripted {
    fn connection(&self) -> ConnectionId {
        self.connection
    }
    fn separates_err(&self) -> bool {
        false
    }
    fn tells_echo(&self) -> bool {
        self.tells_echo
    }
    fn attach(&self, attachment: u32, received: Option<Lanes<u64>>, room: Lanes<u32>) {
        self.clear(&["data", "credit"]);
        let received = received.map(<[u64; 2]>::from);
        self.write(format!("attach {attachment} {received:?} {:?}", <[u32; 2]>::from(room)));
    }
    fn input(&self, offset: u64, data: &[u8]) {
        self.write(format!("data {offset}+{}", data.len()));
    }
    fn input_end(&self, length: u64) {
        self.write(format!("fin {length}"));
    }
    fn credit(&self, _: Lane, acked: u64, limit: u64) {
        self.write(format!("credit {acked} {limit}"));
    }
    fn control(&self, control: Control) {
        self.write(format!("{control:?}"));
    }
    fn offer(&self, control: Control) -> bool {
        self.write(format!("{control:?}"));
        true
    }
    fn release(&self) {
        self.clear(&["data", "credit"]);
    }
    fn violated(&self, _: &str) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl Device for Scripted {
    fn id(&self) -> &str {
        DEVICE
    }
    fn connection(&self) -> ConnectionId {
        self.connection
    }
    fn most_sessions(&self) -> Option<u32> {
        None
    }
    fn boot(&self) -> [u8; 16] {
        [1; 16]
    }
    fn separation(&self) -> Option<String> {
        None
    }
    fn open(self: Arc<Self>, order: &Order<'_>, session: &Arc<Session>) -> Result<(), StartError> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(StartError::Internal("the order does not fit".into()));
        }
        self.sessions.lock().unwrap().push(Arc::clone(session));
        session.device_up(Arc::clone(&self) as Arc<dyn DeviceEnd>);
        self.write(format!("open {}", order.session));
        Ok(())
    }
    fn take_sessions(&self) -> Vec<Arc<Session>> {
        std::mem::take(&mut *self.sessions.lock().unwrap())
    }
    fn rotate_key(&self) -> BoxFuture<'_, Result<String, RotateError>> {
        Box::pin(async { Err(RotateError::Busy) })
    }
    fn go_away(&self, retry_after: u32, _: &[String]) {
        self.write(format!("go away {retry_after}"));
    }
    fn close(&self, _: &str) {
        self.closed.store(true, Ordering::Relaxed);
    }
    fn has_heard(&self, _: Duration) -> BoxFuture<'_, bool> {
        Box::pin(async { true })
    }
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}
