//! Enrollment: an unknown key shows an activation, and becomes a device.
//!
//! Data flow: agents' link -> [`Enrollment::enroll`] -> one transaction in the store -> the
//! device's id, active or pending.
//!
//! # Invariants
//! - A wrong id, a wrong code and a removed activation are told apart nowhere: guessing ids gains
//!   nothing.
//! - The code is compared in constant time, as its hash; failures are counted per source, wrong
//!   codes per activation, too: guesses from many addresses are slowed down.
//! - A key that is known is answered with its device and takes no use: an agent whose answer was
//!   lost may ask again.
//! - A device brings only tags whose keys its activation permits, and none that the activation
//!   sets: it cannot put itself into another group. What it brings obeys the rules of the API for
//!   tags.
//!
//! # Not here
//! - Proof that the peer holds the key: the TLS handshake gave it.

use std::net::IpAddr;
use std::sync::Arc;

use ring::digest;
use subtle::ConstantTimeEq;
use towline_host::clock::UnixMillis;
use towline_host::entropy;
use towline_policy::{first_clash, fold};
use towline_ssm::api::activation::{cidr_contains, is_uuid, parse_cidr};
use towline_ssm::api::tags;
use towline_ssm::ids::{DeviceId, hex_lower};
use towline_store::limits::MAX_TAGS;
use towline_store::{
    Activation, AgentKind, DeviceReport, DeviceStatus, KeyStatus, NewDevice, Store, StoreError,
    Tag, fingerprint,
};
use towline_wire::text::is_plain_text;

use crate::audit::{AuditLog, Event, Who};
use crate::limits;
use crate::limits::{MAX_DEVICE_NAME, MAX_DEVICE_REPORT};
use crate::metrics::Metrics;
use crate::throttle::{Shared, Throttle};

/// What an agent shows. Nothing in it is proven.
#[derive(Clone, Default)]
pub struct EnrollmentRequest {
    /// Id of the activation.
    pub activation_id: String,
    /// Its code. Secret.
    pub code: String,
    /// Name that the device asks for; empty: none.
    pub name: String,
    /// Tags that the device asks for.
    pub tags: Vec<Tag>,
    /// What the device says about itself.
    pub report: DeviceReport,
    /// The agent that asks.
    pub agent_kind: AgentKind,
    /// What amazon-ssm-agent calls the machine; empty for another agent.
    pub machine: String,
}

impl std::fmt::Debug for EnrollmentRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrollmentRequest")
            .field("activation_id", &self.activation_id)
            .finish_non_exhaustive()
    }
}

/// The device that a key has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentOutcome {
    /// Its id.
    pub device_id: DeviceId,
    /// Whether it waits for approval.
    pub pending: bool,
}

/// Why a key did not become a device. The sentences are for the device's owner and give nothing
/// away.
#[derive(Debug, thiserror::Error)]
pub enum EnrollmentError {
    /// No such activation, or the wrong code.
    #[error("the activation id or code is not valid")]
    NotValid,
    /// Right code, too late.
    #[error("the activation has expired: create a new one")]
    Expired,
    /// Right code, but all uses are taken.
    #[error("the activation has no uses left: create a new one")]
    UsedUp,
    /// Right code, from the wrong place.
    #[error("this activation is not valid from address {0}")]
    WrongSource(IpAddr),
    /// Right code, but a tag that the activation does not permit.
    #[error(
        "the activation does not permit the device to bring the tag {0:?}: leave the tag out, or \
         make an activation with --device-tags {0:?}"
    )]
    TagNotPermitted(String),
    /// Right code, but the activation has two tags that are one.
    #[error("the activation has two tags that differ in letter case only: ask for a new one")]
    ContradictoryTags,
    /// The key was revoked.
    #[error("this device's key was revoked: make a new one to enroll again")]
    KeyRevoked,
    /// Name, tags or report break a limit.
    #[error("{0}")]
    Malformed(String),
    /// Too many failures from this source, or with this activation.
    #[error(
        "too many failed enrollments from this address or with this activation: try again later"
    )]
    Throttled,
    /// Ours.
    #[error("the gateway cannot enroll now: {0}")]
    Internal(String),
}

impl EnrollmentError {
    /// Whether the same request may succeed later without anybody doing anything.
    #[must_use]
    pub const fn may_heal(&self) -> bool {
        match self {
            Self::Throttled | Self::Internal(_) => true,
            Self::NotValid
            | Self::Expired
            | Self::UsedUp
            | Self::WrongSource(_)
            | Self::TagNotPermitted(_)
            | Self::ContradictoryTags
            | Self::KeyRevoked
            | Self::Malformed(_) => false,
        }
    }
}

impl From<StoreError> for EnrollmentError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(_) => Self::UsedUp,
            other => Self::Internal(other.to_string()),
        }
    }
}

/// Lets devices in.
#[derive(Debug)]
pub struct Enrollment {
    store: Store,
    audit: AuditLog,
    metrics: Arc<Metrics>,
    /// Failures by address.
    failures: Arc<Throttle<IpAddr>>,
    /// Wrong codes by activation.
    guesses: Arc<Throttle<String>>,
}

impl Enrollment {
    /// Over this store, with events to this log.
    #[must_use]
    pub fn new(store: Store, audit: AuditLog, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            audit,
            metrics,
            failures: Arc::default(),
            guesses: Arc::new(Throttle::of(limits::MAX_GUESSES)),
        }
    }

    /// Failures that count at several gateways together.
    #[must_use]
    pub fn throttles(&self) -> Vec<(&'static str, Arc<dyn Shared>)> {
        let (failures, guesses): (Arc<dyn Shared>, Arc<dyn Shared>) =
            (self.failures.clone(), self.guesses.clone());
        vec![("enrollments", failures), ("activations", guesses)]
    }

    /// Makes the key `spki` a device, if the activation holds. A device that hangs up meanwhile
    /// changes nothing: the enrollment goes on, and is on record.
    ///
    /// # Errors
    /// [`EnrollmentError`]; tell the agent its sentence and [`EnrollmentError::may_heal`].
    pub async fn enroll(
        self: &Arc<Self>,
        spki: &[u8],
        request: EnrollmentRequest,
        source: IpAddr,
        now: UnixMillis,
    ) -> Result<EnrollmentOutcome, EnrollmentError> {
        let (own, spki) = (Arc::clone(self), spki.to_vec());
        tokio::spawn(async move { own.on_record(&spki, request, source, now).await })
            .await
            .unwrap_or_else(|error| Err(EnrollmentError::Internal(error.to_string())))
    }

    async fn on_record(
        &self,
        spki: &[u8],
        request: EnrollmentRequest,
        source: IpAddr,
        now: UnixMillis,
    ) -> Result<EnrollmentOutcome, EnrollmentError> {
        let activation_id = request.activation_id.clone();
        // A guess is not answered with more than its source, or its activation, may have: a right
        // code is refused, too.
        let blocked =
            self.failures.blocks(source, now) || self.guesses.blocks(guess(&activation_id), now);
        let outcome = if blocked {
            self.metrics.throttled.add(1);
            Err(EnrollmentError::Throttled)
        } else {
            self.decide(spki, request, source, now).await
        };
        let mut event = Event {
            source: "towline",
            name: "EnrolDevice".into(),
            source_ip: source.to_string(),
            facts: vec![
                ("activationId", noted_id(&activation_id, &outcome)),
                ("keyFingerprint", fingerprint(spki)),
            ],
            ..Event::default()
        };
        match &outcome {
            Ok(done) => {
                event.facts.push(("deviceId", done.device_id.to_string()));
                event.facts.push(("pending", done.pending.to_string()));
            }
            Err(error) => {
                self.metrics.enrollments_refused.add(1);
                if matches!(error, EnrollmentError::NotValid)
                    && activation_id.len() <= limits::MAX_ACTIVATION_ID
                {
                    self.guesses.failed(guess(&activation_id), now);
                }
                event.error = Some(("EnrolmentRefused".into(), error.to_string()));
                if !error.may_heal() && self.failures.failed(source, now) {
                    event.facts.push((
                        "sourceBlockedSeconds",
                        limits::FAILURE_WINDOW.as_secs().to_string(),
                    ));
                }
            }
        }
        match &outcome {
            Ok(_) => self.audit.write(event).await,
            Err(_) => self.audit.write_within(&Who::Stranger(source), event).await,
        }
        outcome
    }

    async fn decide(
        &self,
        spki: &[u8],
        request: EnrollmentRequest,
        source: IpAddr,
        now: UnixMillis,
    ) -> Result<EnrollmentOutcome, EnrollmentError> {
        check(&request)?;
        let activation = self.store.activations().get(&request.activation_id).await?;
        let activation = prove(activation, &request.code)?;
        if let Some(known) = self.known(spki).await? {
            return Ok(known);
        }
        if activation.new.expires_at <= now {
            return Err(EnrollmentError::Expired);
        }
        let range = &activation.new.source_cidr;
        // A range that cannot be read was never stored by this version: nobody is in it.
        if !range.is_empty() && !parse_cidr(range).is_some_and(|range| cidr_contains(range, source))
        {
            return Err(EnrollmentError::WrongSource(source));
        }
        let id = DeviceId::from_random(
            entropy::random().map_err(|e| EnrollmentError::Internal(e.to_string()))?,
        );
        let device = new_device(&id, spki, request, &activation, source)?;
        // A machine that is known and comes with another key may be a copy: the store lets it wait.
        let status = self.store.devices().register(&device, now).await?;
        Ok(EnrollmentOutcome { device_id: id, pending: status == DeviceStatus::Pending })
    }

    /// The device that this key is already, if it is one.
    async fn known(&self, spki: &[u8]) -> Result<Option<EnrollmentOutcome>, EnrollmentError> {
        let Some(key) = self.store.device_keys().get(spki).await? else { return Ok(None) };
        if key.status != KeyStatus::Active {
            return Err(EnrollmentError::KeyRevoked);
        }
        let device =
            self.store.devices().get(&key.device_id).await?.ok_or(EnrollmentError::KeyRevoked)?;
        let device_id = device
            .id
            .parse()
            .map_err(|_| EnrollmentError::Internal("a stored device id".into()))?;
        Ok(Some(EnrollmentOutcome { device_id, pending: device.status == DeviceStatus::Pending }))
    }
}

/// An activation's id as it is noted. A text that is none is not: people who mix the two up send
/// the code in its place.
fn noted_id(told: &str, outcome: &Result<EnrollmentOutcome, EnrollmentError>) -> String {
    use EnrollmentError::{Internal, Malformed, NotValid, Throttled};
    let is_known = !matches!(outcome, Err(Internal(_) | Malformed(_) | NotValid | Throttled));
    let text = if is_known || is_uuid(told) { told } else { "not of the form of an activation id" };
    text.to_owned()
}

/// What wrong codes of an activation are counted by, here and in the store: no text of a stranger.
fn guess(activation_id: &str) -> String {
    hex_lower(&hash_code(activation_id))
}

/// The activation, if the code is its own. Takes the same time whether or not there is one.
fn prove(activation: Option<Activation>, code: &str) -> Result<Activation, EnrollmentError> {
    let shown = hash_code(code);
    let stored = activation.as_ref().map_or(&[0; 32][..], |a| &a.new.code_hash);
    let same: bool = shown.as_slice().ct_eq(stored).into();
    activation.filter(|_| same).ok_or(EnrollmentError::NotValid)
}

/// What is stored of a code.
#[must_use]
pub fn hash_code(code: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, code.as_bytes()).as_ref().to_vec()
}

fn check(request: &EnrollmentRequest) -> Result<(), EnrollmentError> {
    let report = &request.report;
    let texts = [
        &report.agent_version,
        &report.platform_name,
        &report.platform_version,
        &report.hostname,
        &report.target,
        &request.machine,
    ];
    if !texts.into_iter().all(|text| is_plain_text(text, MAX_DEVICE_REPORT)) {
        return Err(EnrollmentError::Malformed(
            "what the device says about itself is too long or has control characters".to_owned(),
        ));
    }
    if !is_plain_text(&request.name, MAX_DEVICE_NAME) {
        return Err(EnrollmentError::Malformed(
            "the device's name is too long or has control characters".to_owned(),
        ));
    }
    let tags = request.tags.iter();
    let tags: Vec<_> =
        tags.map(|(key, value)| tags::Tag { key: key.clone(), value: value.clone() }).collect();
    tags::check_foreign_tags(&tags).map_err(|error| {
        EnrollmentError::Malformed(format!("the tags of the device: {}", error.message))
    })
}

/// The tags of the device: those of its activation, and those it brings under keys that the
/// activation permits.
fn permitted_tags(brought: Vec<Tag>, activation: &Activation) -> Result<Vec<Tag>, EnrollmentError> {
    let permitted: Vec<String> = activation.new.device_tag_keys.iter().map(|k| fold(k)).collect();
    let mut tags = activation.new.tags.clone();
    for (key, value) in brought {
        if !permitted.contains(&fold(&key)) {
            return Err(EnrollmentError::TagNotPermitted(key));
        }
        tags.push((key, value));
    }
    if first_clash(tags.iter().map(|(key, _)| key.as_str())).is_some() {
        return Err(EnrollmentError::ContradictoryTags);
    }
    Ok(tags)
}

fn new_device(
    id: &DeviceId,
    spki: &[u8],
    request: EnrollmentRequest,
    activation: &Activation,
    source: IpAddr,
) -> Result<NewDevice, EnrollmentError> {
    let tags = permitted_tags(request.tags, activation)?;
    if tags.len() > MAX_TAGS {
        return Err(EnrollmentError::Malformed(
            "the device and its activation have too many tags together".to_owned(),
        ));
    }
    let names =
        [request.name, activation.new.default_name.clone(), request.report.hostname.clone()];
    let name = names.into_iter().find(|name| !name.is_empty());
    // amazon-ssm-agent tells its host name later: a device without a name is shown by it.
    let name = match request.agent_kind {
        AgentKind::Towline => name.unwrap_or_else(|| id.to_string()),
        AgentKind::Vendor => name.unwrap_or_default(),
    };
    let status =
        if activation.new.require_approval { DeviceStatus::Pending } else { DeviceStatus::Active };
    Ok(NewDevice {
        id: id.to_string(),
        name,
        status,
        agent_kind: request.agent_kind,
        machine: request.machine,
        spki: spki.to_vec(),
        tags,
        report: request.report,
        ip: source.to_string(),
        activation_id: activation.new.id.clone(),
        iam_role: activation.new.iam_role.clone(),
    })
}

#[cfg(test)]
mod tests;
