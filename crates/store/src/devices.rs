//! Devices: registered by an activation, updated by their links, listed by the API.
//!
//! # Invariants
//! - A device, its first key, its tags and one use of its activation are one transaction: no use is
//!   lost or counted twice.
//! - Policy never reads columns that the device reports (versions, host name).

use std::collections::HashMap;

use towline_policy::fold;

use crate::device_texts;
use crate::engine::{self, QueryBuilder, Row, Tx};
use crate::error::StoreError;
use crate::keys::fingerprint;
use crate::limits;
use crate::presence;
use crate::removed_devices;
use crate::store::{Store, one_of, within};
use crate::tags::{Tag, TagKind, put_all};
use towline_host::clock::UnixMillis;

/// What a device may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceStatus {
    /// Sessions may be opened.
    Active,
    /// Waits for approval.
    Pending,
    /// Its key was seen on two live links; waits for an operator.
    Quarantined,
    /// Its last key was revoked.
    Revoked,
}

impl DeviceStatus {
    /// Its name in the store and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Quarantined => "quarantined",
            Self::Revoked => "revoked",
        }
    }

    fn parse(text: &str) -> Result<Self, sqlx::Error> {
        [Self::Active, Self::Pending, Self::Quarantined, Self::Revoked]
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or_else(|| sqlx::Error::Decode(format!("device status {text:?}").into()))
    }
}

/// Which agent a device runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AgentKind {
    /// Towline's own.
    #[default]
    Towline,
    /// amazon-ssm-agent.
    Vendor,
}

impl AgentKind {
    /// Its name in the store, in policies and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Towline => "towline",
            Self::Vendor => "vendor",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, sqlx::Error> {
        [Self::Towline, Self::Vendor]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| sqlx::Error::Decode(format!("agent kind {text:?}").into()))
    }
}

/// A device as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// `mi-…`.
    pub id: String,
    /// Display name; not unique.
    pub name: String,
    /// What it may do.
    pub status: DeviceStatus,
    /// Why it has that status, for users; empty when active from the start.
    pub status_reason: String,
    /// Which agent it runs.
    pub agent_kind: AgentKind,
    /// What the device last reported about itself.
    pub report: DeviceReport,
    /// Address its link last came from.
    pub ip: String,
    /// The activation it registered with.
    pub activation_id: String,
    /// The role named in that activation.
    pub iam_role: String,
    /// When it was registered.
    pub registered_at: UnixMillis,
    /// When it was last connected.
    pub last_ping: UnixMillis,
    /// It is asked for a new key of its own until it has made one (amazon-ssm-agent).
    pub key_wanted: bool,
}

/// What a device reports about itself, unverified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceReport {
    /// Agent version, four dotted numbers.
    pub agent_version: String,
    /// Operating system's name.
    pub platform_name: String,
    /// Operating system's version.
    pub platform_version: String,
    /// Host name.
    pub hostname: String,
    /// Target triple of its agent.
    pub target: String,
    /// `Linux`, `MacOS` or `Windows`; empty counts as `Linux`.
    pub platform_type: String,
}

impl DeviceReport {
    pub(crate) fn platform_type(&self) -> &str {
        if self.platform_type.is_empty() { "Linux" } else { &self.platform_type }
    }

    /// The system that the device has said it runs; none before it has said anything, when its row
    /// has `Linux` as well.
    #[must_use]
    pub fn said_system(&self) -> Option<&str> {
        let system = self.platform_type();
        (system != "Linux" || !self.agent_version.is_empty()).then_some(system)
    }
}

/// A device about to be registered.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// `mi-…`, fresh.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Active or pending.
    pub status: DeviceStatus,
    /// Which agent it runs.
    pub agent_kind: AgentKind,
    /// What amazon-ssm-agent calls the machine; empty for another agent.
    pub machine: String,
    /// Its first key.
    pub spki: Vec<u8>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its report.
    pub report: DeviceReport,
    /// Address of its request.
    pub ip: String,
    /// The activation, of which one use is taken.
    pub activation_id: String,
    /// The role named in it.
    pub iam_role: String,
}

#[cfg(any(test, feature = "testing"))]
impl NewDevice {
    /// One with nothing special about it.
    pub fn for_tests(id: &str, spki: &[u8], activation_id: &str) -> Self {
        Self {
            id: id.into(),
            name: String::new(),
            status: DeviceStatus::Active,
            agent_kind: AgentKind::Towline,
            machine: String::new(),
            spki: spki.into(),
            tags: vec![],
            report: DeviceReport::default(),
            ip: "192.0.2.1".into(),
            activation_id: activation_id.into(),
            iam_role: "towline".into(),
        }
    }
}

/// Which devices to list. An empty list of a member means: any.
#[derive(Debug, Clone, Default)]
pub struct DeviceFilter {
    /// Ids.
    pub ids: Vec<String>,
    /// Activations they registered with.
    pub activation_ids: Vec<String>,
    /// Roles named in those activations.
    pub iam_roles: Vec<String>,
    /// Agent versions.
    pub agent_versions: Vec<String>,
    /// Platform types.
    pub platform_types: Vec<String>,
    /// Statuses.
    pub statuses: Vec<DeviceStatus>,
    /// For each key, one of the values; no value: the key is there.
    pub tags: Vec<(String, Vec<String>)>,
    /// The name, or the host name of a device without a name.
    pub name: Option<String>,
    /// Texts that all stand in what a device is found by, whatever their letter case. Only
    /// [`Devices::ids`] looks at them.
    pub words: Vec<String>,
}

impl DeviceFilter {
    /// Adds its conditions, but those of the words and of the first `done` tags.
    pub(crate) fn push(&self, query: &mut QueryBuilder, done: usize) {
        let statuses: Vec<String> = self.statuses.iter().map(|s| s.as_str().to_owned()).collect();
        one_of(query, "d.id", &self.ids);
        one_of(query, "activation_id", &self.activation_ids);
        one_of(query, "iam_role", &self.iam_roles);
        one_of(query, "agent_version", &self.agent_versions);
        one_of(query, "platform_type", &self.platform_types);
        one_of(query, "status", &statuses);
        if let Some(name) = &self.name {
            query.push(" AND (d.name = ").push_bind(name.clone());
            query.push(" OR (d.name = '' AND d.hostname = ").push_bind(name.clone()).push("))");
        }
        for (key, values) in self.tags.iter().skip(done) {
            query.push(" AND EXISTS (SELECT 1 FROM tags t WHERE t.kind = 'device' AND t.id = d.id AND t.key_folded = ");
            query.push_bind(fold(key));
            one_of(query, "t.value", values);
            query.push(")");
        }
    }
}

/// Operations on devices.
pub struct Devices<'a> {
    pub(crate) store: &'a Store,
}

impl Store {
    /// Devices.
    #[must_use]
    pub const fn devices(&self) -> Devices<'_> {
        Devices { store: self }
    }
}

pub(crate) const COLUMNS: &str = "SELECT id, name, status, status_reason, agent_kind, \
                                  agent_version, platform_type, \
     platform_name, platform_version, hostname, target, ip, activation_id, iam_role, \
     registered_at, last_ping, key_wanted FROM devices d";

pub(crate) fn device(row: &Row) -> Result<Device, sqlx::Error> {
    Ok(Device {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        status: DeviceStatus::parse(row.try_get("status")?)?,
        status_reason: row.try_get("status_reason")?,
        agent_kind: AgentKind::parse(row.try_get("agent_kind")?)?,
        report: DeviceReport {
            agent_version: row.try_get("agent_version")?,
            platform_name: row.try_get("platform_name")?,
            platform_version: row.try_get("platform_version")?,
            hostname: row.try_get("hostname")?,
            target: row.try_get("target")?,
            platform_type: row.try_get("platform_type")?,
        },
        ip: row.try_get("ip")?,
        activation_id: row.try_get("activation_id")?,
        iam_role: row.try_get("iam_role")?,
        registered_at: UnixMillis(row.try_get("registered_at")?),
        last_ping: UnixMillis(row.try_get("last_ping")?),
        key_wanted: row.try_get::<i64, _>("key_wanted")? != 0,
    })
}

impl Devices<'_> {
    /// Registers a device with its key and tags, and takes one use of its activation, in one
    /// transaction. Its status: a machine from which a device was registered before waits for a
    /// person.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the activation has no use left at `now`; [`StoreError::Exists`]
    /// for a key that is known; [`StoreError::Full`] beyond [`limits::MAX_DEVICES`].
    pub async fn register(
        &self,
        new: &NewDevice,
        now: UnixMillis,
    ) -> Result<DeviceStatus, StoreError> {
        let mut tx = self.store.writing().await?;
        let is_known = knows_machine(&mut tx, &new.machine).await?;
        let status = if is_known { DeviceStatus::Pending } else { new.status };
        let count = "SELECT COUNT(*) FROM devices WHERE id <> ?";
        within(&mut tx, count, &new.id, "devices", limits::MAX_DEVICES).await?;
        let used = engine::query(
            "UPDATE activations SET uses = uses + 1 WHERE id = ? AND uses < uses_allowed AND \
             expires_at > ?",
        )
        .bind(&new.activation_id)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        if used.rows_affected() == 0 {
            return Err(StoreError::Missing("activation with a use left"));
        }
        engine::query(
            "INSERT INTO devices (id, name, status, agent_kind, machine, agent_version, \
             platform_type, \
             platform_name, platform_version, hostname, target, ip, activation_id, iam_role, \
             registered_at, last_ping) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&new.id)
        .bind(&new.name)
        .bind(status.as_str())
        .bind(new.agent_kind.as_str())
        .bind(&new.machine)
        .bind(&new.report.agent_version)
        .bind(new.report.platform_type())
        .bind(&new.report.platform_name)
        .bind(&new.report.platform_version)
        .bind(&new.report.hostname)
        .bind(&new.report.target)
        .bind(&new.ip)
        .bind(&new.activation_id)
        .bind(&new.iam_role)
        .bind(now.0)
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("device"))?;
        engine::query(
            "INSERT INTO device_keys (fingerprint, spki, device_id, status, created_at) VALUES \
             (?, ?, ?, 'active', ?)",
        )
        .bind(fingerprint(&new.spki))
        .bind(&new.spki)
        .bind(&new.id)
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("device key"))?;
        put_all(&mut tx, TagKind::Device, &new.id, &new.tags).await?;
        device_texts::note(&mut tx, &new.id).await?;
        tx.commit().await?;
        Ok(status)
    }

    /// The device with this id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, id: &str) -> Result<Option<Device>, StoreError> {
        let row = engine::query(&format!("{COLUMNS} WHERE id = ?"))
            .bind(id)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.as_ref().map(device).transpose()?)
    }

    /// The agents of these devices, of those that there are.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn agent_kinds(
        &self,
        ids: &[String],
    ) -> Result<HashMap<String, AgentKind>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut query: QueryBuilder =
            QueryBuilder::new("SELECT d.id, d.agent_kind FROM devices d WHERE 1 = 1");
        one_of(&mut query, "d.id", ids);
        let rows = query.build().fetch_all(&self.store.pool).await?;
        let kind =
            |row: &Row| Ok((row.try_get("id")?, AgentKind::parse(row.try_get("agent_kind")?)?));
        Ok(rows.iter().map(kind).collect::<Result<_, sqlx::Error>>()?)
    }

    /// The agents and systems (`platform_type`) of these devices.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Row`].
    pub async fn systems(
        &self,
        ids: &[String],
    ) -> Result<HashMap<String, (AgentKind, String)>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut query: QueryBuilder = QueryBuilder::new(
            "SELECT d.id, d.agent_kind, d.platform_type FROM devices d WHERE 1 = 1",
        );
        one_of(&mut query, "d.id", ids);
        let rows = query.build().fetch_all(&self.store.pool).await?;
        let system = |row: &Row| {
            let kind = AgentKind::parse(row.try_get("agent_kind")?)?;
            Ok((row.try_get("id")?, (kind, row.try_get("platform_type")?)))
        };
        Ok(rows.iter().map(system).collect::<Result<_, sqlx::Error>>()?)
    }

    /// Stores the system that a device has said it runs.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn set_platform_type(&self, id: &str, name: &str) -> Result<(), StoreError> {
        engine::query("UPDATE devices SET platform_type = ? WHERE id = ?")
            .bind(name)
            .bind(id)
            .execute(&self.store.pool)
            .await?;
        Ok(())
    }

    /// The device that has this active key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn by_spki(&self, spki: &[u8]) -> Result<Option<Device>, StoreError> {
        let sql = format!(
            "{COLUMNS} WHERE id = (SELECT device_id FROM device_keys WHERE spki = ? AND status = \
             'active')"
        );
        let row = engine::query(&sql).bind(spki).fetch_optional(&self.store.pool).await?;
        Ok(row.as_ref().map(device).transpose()?)
    }

    /// Up to `limit` devices that match, with ids after `after`, by id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list(
        &self,
        filter: &DeviceFilter,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Device>, StoreError> {
        let mut query: QueryBuilder = QueryBuilder::new(COLUMNS);
        query.push(" WHERE d.id > ").push_bind(after);
        filter.push(&mut query, 0);
        query.push(" ORDER BY d.id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.store.pool).await?;
        Ok(rows.iter().map(device).collect::<Result<_, _>>()?)
    }

    /// Changes the status of a device, and wants its link ended where it may have none any more.
    /// `false`: there is no such device.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn set_status(
        &self,
        id: &str,
        status: DeviceStatus,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.writing().await?;
        let done = engine::query("UPDATE devices SET status = ?, status_reason = ? WHERE id = ?")
            .bind(status.as_str())
            .bind(reason)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        if matches!(status, DeviceStatus::Quarantined | DeviceStatus::Revoked) {
            presence::want_end(&mut tx, id).await?;
        }
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Lets a device in whose status is still the one that was read. `false`: it is another one, or
    /// there is no such device.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn approve(&self, id: &str, read: DeviceStatus) -> Result<bool, StoreError> {
        let done = engine::query(
            "UPDATE devices SET status = ?, status_reason = '' WHERE id = ? AND status = ?",
        )
        .bind(DeviceStatus::Active.as_str())
        .bind(id)
        .bind(read.as_str())
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Gives a device another name. `false`: there is no such device.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn rename(&self, id: &str, name: &str) -> Result<bool, StoreError> {
        let mut tx = self.store.writing().await?;
        let done = engine::query("UPDATE devices SET name = ? WHERE id = ?")
            .bind(name)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        device_texts::note(&mut tx, id).await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Removes a device and its tags; what policy asks about it is kept for its commands and its
    /// log ([`Devices::removed`]). Its keys stay, revoked, so that they are never accepted again.
    /// `false`: there is no such device.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove(&self, id: &str, now: UnixMillis) -> Result<bool, StoreError> {
        let mut tx = self.store.writing().await?;
        removed_devices::keep(&mut tx, id, now).await?;
        let gone =
            engine::query("DELETE FROM devices WHERE id = ?").bind(id).execute(&mut *tx).await?;
        presence::want_end(&mut tx, id).await?;
        engine::query("DELETE FROM device_search WHERE id = ?").bind(id).execute(&mut *tx).await?;
        engine::query("DELETE FROM tags WHERE kind = 'device' AND id = ?")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        engine::query(
            "UPDATE device_keys SET status = 'revoked', ended_at = ?, reason = 'device \
             deregistered' \
             WHERE device_id = ? AND status <> 'revoked'",
        )
        .bind(now.0)
        .bind(id)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(gone.rows_affected() > 0)
    }

    /// Number of devices by status, for the metrics.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn count_by_status(&self) -> Result<Vec<(String, i64)>, StoreError> {
        Ok(engine::query_as("SELECT status, COUNT(*) FROM devices GROUP BY status")
            .fetch_all(&self.store.pool)
            .await?)
    }
}
/// Whether a device of amazon-ssm-agent was registered from the machine of this fingerprint.
async fn knows_machine(tx: &mut Tx, machine: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM devices WHERE machine = ? AND machine <> '' LIMIT 1";
    let found: Option<i64> =
        engine::query_scalar(sql).bind(machine).fetch_optional(&mut **tx).await?;
    Ok(found.is_some())
}
