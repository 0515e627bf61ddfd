//! Identity providers, and the people and jobs that they vouched for.
//!
//! # Invariants
//! - A person is (provider, subject), under an id that is never given again.
//! - A provider that was stopped lets nobody in. What was given before the stop stays over when the
//!   provider is let in again: it may have been the reason.
//! - A provider comes to the redirect address that is shared only while no other one is there.
//! - What a person was given before it was blocked stays over when it is let in again.
//! - People go with their provider. When there are too many, the one that was away longest goes, of
//!   the provider that has most, unless it is blocked or may still hold credentials.
//!
//! # Not here
//! - Stops and blocks: [`crate::stopped_people`].
//! - What settings mean, and the secret's seal: the gateway's.

use std::time::Duration;

use towline_host::clock::UnixMillis;

use crate::engine::{self, Row, Tx};
use crate::error::StoreError;
use crate::identity::{IdKind, new_id};
use crate::limits;
use crate::store::{Store, no_alike};

/// A provider as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityProvider {
    /// Its name here.
    pub name: String,
    /// Its id; a provider that is created again under the same name gets a new one.
    pub unique_id: String,
    /// Its issuer.
    pub issuer: String,
    /// Its settings, as JSON.
    pub settings: String,
    /// The client's secret, sealed.
    pub secret: Option<Vec<u8>>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub changed_at: UnixMillis,
    /// An administrator has stopped it: it vouches for nobody.
    pub is_disabled: bool,
    /// Since when what hangs on it holds: what was given before it was last stopped is over.
    pub holds_since: UnixMillis,
    /// Its answers come to an address of its own, not to the one that providers share.
    pub own_redirect: bool,
}

/// A person or job that a provider vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederatedPerson {
    /// Its id.
    pub id: String,
    /// Id of the provider.
    pub provider_id: String,
    /// Its subject there.
    pub subject: String,
    /// What it is called here: no other one is called so.
    pub name: String,
    /// Whether it is let in no more.
    pub is_blocked: bool,
    /// When it came first.
    pub created_at: UnixMillis,
    /// When it last got credentials.
    pub used_at: UnixMillis,
    /// Since when what it was given holds: what it got before it was last blocked is over.
    pub holds_since: UnixMillis,
}

/// Operations on identity providers and their people.
pub struct IdentityProviders<'a> {
    pub(crate) store: &'a Store,
}

impl Store {
    /// Identity providers and their people.
    #[must_use]
    pub const fn identity_providers(&self) -> IdentityProviders<'_> {
        IdentityProviders { store: self }
    }
}

/// SQL: whether this id is that of a person who is let in, not blocked, of a provider that was not
/// stopped.
macro_rules! person_is_let_in {
    ($id:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM federated_people f JOIN identity_providers i ",
            "ON i.unique_id = f.provider_id WHERE f.id = ",
            $id,
            " AND f.blocked = 0 AND i.disabled = 0)"
        )
    };
}
pub(crate) use person_is_let_in;

const PROVIDER: &str = "SELECT name, unique_id, issuer, settings, secret, created_at, changed_at, \
                        disabled, holds_since, own_redirect FROM identity_providers";
const PERSON: &str = "SELECT id, provider_id, subject, name, blocked, created_at, used_at, \
                      holds_since FROM federated_people";

/// The people of a provider that was removed or stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemovedPeople {
    /// Sessions of them that have not ended.
    pub sessions: Vec<String>,
    /// Their ids.
    pub people: Vec<String>,
}

pub(crate) const PEOPLE: &str = "SELECT id FROM federated_people WHERE provider_id = ? ORDER BY id";
/// Sessions of the people of a provider that have not ended.
pub(crate) const LIVE: &str = "SELECT s.id FROM sessions s \
     JOIN federated_people p ON p.id = s.person_id \
     WHERE s.ended_at IS NULL AND p.provider_id = ? ORDER BY s.id";

fn provider(row: &Row) -> Result<IdentityProvider, sqlx::Error> {
    Ok(IdentityProvider {
        name: row.try_get("name")?,
        unique_id: row.try_get("unique_id")?,
        issuer: row.try_get("issuer")?,
        settings: row.try_get("settings")?,
        secret: row.try_get("secret")?,
        created_at: UnixMillis(row.try_get("created_at")?),
        changed_at: UnixMillis(row.try_get("changed_at")?),
        is_disabled: row.try_get::<i64, _>("disabled")? != 0,
        holds_since: UnixMillis(row.try_get("holds_since")?),
        own_redirect: row.try_get::<i64, _>("own_redirect")? != 0,
    })
}

fn person(row: &Row) -> Result<FederatedPerson, sqlx::Error> {
    Ok(FederatedPerson {
        id: row.try_get("id")?,
        provider_id: row.try_get("provider_id")?,
        subject: row.try_get("subject")?,
        name: row.try_get("name")?,
        is_blocked: row.try_get::<i64, _>("blocked")? != 0,
        created_at: UnixMillis(row.try_get("created_at")?),
        used_at: UnixMillis(row.try_get("used_at")?),
        holds_since: UnixMillis(row.try_get("holds_since")?),
    })
}

impl IdentityProviders<'_> {
    /// Stores a new provider. Returns its id.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when name, issuer or the shared redirect address is taken;
    /// [`StoreError::Full`].
    pub async fn create(&self, new: &IdentityProvider) -> Result<String, StoreError> {
        let mut tx = self.store.writing().await?;
        let count: i64 = engine::query_scalar("SELECT COUNT(*) FROM identity_providers")
            .fetch_one(&mut *tx)
            .await?;
        if count >= limits::MAX_IDENTITY_PROVIDERS {
            return Err(StoreError::Full {
                what: "identity providers",
                limit: limits::MAX_IDENTITY_PROVIDERS,
            });
        }
        // Its ARN leaves the scheme out: the same address by the other scheme would be trusted as
        // this one.
        let other_scheme = match new.issuer.split_once("://") {
            Some(("https", rest)) => format!("http://{rest}"),
            Some((_, rest)) => format!("https://{rest}"),
            None => String::new(),
        };
        let alike: i64 =
            engine::query_scalar("SELECT COUNT(*) FROM identity_providers WHERE issuer = ?")
                .bind(&other_scheme)
                .fetch_one(&mut *tx)
                .await?;
        if alike > 0 {
            return Err(StoreError::Exists("identity provider with this ARN"));
        }
        // Keys of conditions begin with the issuer, and have no letter case.
        let what = "identity provider of this name or issuer, letter case aside,";
        let alike = "SELECT COUNT(*) FROM identity_providers WHERE LOWER(name) = ? AND name <> ?";
        no_alike(&mut tx, alike, &new.name, what).await?;
        let alike =
            "SELECT COUNT(*) FROM identity_providers WHERE LOWER(issuer) = ? AND issuer <> ?";
        no_alike(&mut tx, alike, &new.issuer, what).await?;
        if !new.own_redirect {
            may_be_shared(&mut tx, "").await?;
        }
        let id = new_id(IdKind::Provider)?;
        engine::query(
            "INSERT INTO identity_providers (name, unique_id, issuer, settings, secret, \
             created_at, changed_at, own_redirect) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&new.name)
        .bind(&id)
        .bind(&new.issuer)
        .bind(&new.settings)
        .bind(&new.secret)
        .bind(new.created_at.0)
        .bind(new.changed_at.0)
        .bind(i64::from(new.own_redirect))
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_insert("identity provider of this name or issuer"))?;
        tx.commit().await?;
        Ok(id)
    }

    /// The provider of this name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(&self, name: &str) -> Result<Option<IdentityProvider>, StoreError> {
        self.one("name", name).await
    }

    /// The provider of this issuer.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn of_issuer(&self, issuer: &str) -> Result<Option<IdentityProvider>, StoreError> {
        self.one("issuer", issuer).await
    }

    /// The provider of this id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn of_id(&self, id: &str) -> Result<Option<IdentityProvider>, StoreError> {
        self.one("unique_id", id).await
    }

    async fn one(&self, column: &str, is: &str) -> Result<Option<IdentityProvider>, StoreError> {
        let row = engine::query(&format!("{PROVIDER} WHERE {column} = ?"))
            .bind(is)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.as_ref().map(provider).transpose()?)
    }

    /// All providers, by name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn list(&self) -> Result<Vec<IdentityProvider>, StoreError> {
        let rows =
            engine::query(&format!("{PROVIDER} ORDER BY name")).fetch_all(&self.store.pool).await?;
        Ok(rows.iter().map(provider).collect::<Result<_, _>>()?)
    }

    /// Stores changed settings of the provider with this id, and its secret if there is a new one.
    /// Its redirect address stays. `false`: there is no such provider.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn update(&self, changed: &IdentityProvider) -> Result<bool, StoreError> {
        let done = engine::query(
            "UPDATE identity_providers SET settings = ?, secret = COALESCE(?, secret), changed_at \
             = ? \
             WHERE unique_id = ?",
        )
        .bind(&changed.settings)
        .bind(&changed.secret)
        .bind(changed.changed_at.0)
        .bind(&changed.unique_id)
        .execute(&self.store.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Gives a provider a redirect address of its own, or the shared one; all else stays. `false`:
    /// there is no such provider.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when another provider is at the shared address.
    pub async fn move_redirect(
        &self,
        id: &str,
        own: bool,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.store.writing().await?;
        if !own {
            may_be_shared(&mut tx, id).await?;
        }
        let done = engine::query(
            "UPDATE identity_providers SET own_redirect = ?, changed_at = ? WHERE unique_id = ?",
        )
        .bind(i64::from(own))
        .bind(now.0)
        .bind(id)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Sessions of the people of a provider that have not ended.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn live_sessions(&self, id: &str) -> Result<Vec<String>, StoreError> {
        Ok(engine::query_scalar(LIVE).bind(id).fetch_all(&self.store.pool).await?)
    }

    /// Those of them that are in this role, by its id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn live_sessions_in(&self, id: &str, role: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT s.id FROM sessions s JOIN federated_people p ON p.id = s.person_id \
                   WHERE s.ended_at IS NULL AND p.provider_id = ? AND s.principal_id = ? \
                   ORDER BY s.id";
        Ok(engine::query_scalar(sql).bind(id).bind(role).fetch_all(&self.store.pool).await?)
    }

    /// Ids of the people of a provider.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn people_ids(&self, id: &str) -> Result<Vec<String>, StoreError> {
        Ok(engine::query_scalar(PEOPLE).bind(id).fetch_all(&self.store.pool).await?)
    }

    /// Removes a provider with its people. `None`: there was none; else what its people leave.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove(&self, id: &str) -> Result<Option<RemovedPeople>, StoreError> {
        let mut tx = self.store.writing().await?;
        let sessions: Vec<String> = engine::query_scalar(LIVE).bind(id).fetch_all(&mut *tx).await?;
        let people: Vec<String> = engine::query_scalar(PEOPLE).bind(id).fetch_all(&mut *tx).await?;
        let done = engine::query("DELETE FROM identity_providers WHERE unique_id = ?")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok((done.rows_affected() > 0).then_some(RemovedPeople { sessions, people }))
    }

    /// The person with this id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn person(&self, id: &str) -> Result<Option<FederatedPerson>, StoreError> {
        let row = engine::query(&format!("{PERSON} WHERE id = ?"))
            .bind(id)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.as_ref().map(person).transpose()?)
    }

    /// The person behind a subject.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn person_of(
        &self,
        provider_id: &str,
        subject: &str,
    ) -> Result<Option<FederatedPerson>, StoreError> {
        let row = engine::query(&format!("{PERSON} WHERE provider_id = ? AND subject = ?"))
            .bind(provider_id)
            .bind(subject)
            .fetch_optional(&self.store.pool)
            .await?;
        Ok(row.as_ref().map(person).transpose()?)
    }

    /// Notes that a subject was let in, under the name that it wants unless another one has it, in
    /// whatever letter case:
    /// then with a part of its id behind it. Who has a name keeps it. Returns its row, which may be
    /// blocked.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the provider is gone, or was stopped; [`StoreError::Full`].
    pub async fn let_in(
        &self,
        provider_id: &str,
        subject: &str,
        wanted: &str,
        now: UnixMillis,
    ) -> Result<FederatedPerson, StoreError> {
        let mut tx = self.store.writing().await?;
        may_vouch(&mut tx, provider_id).await?;
        let known: Option<(String, String)> = engine::query_as(
            "SELECT id, name FROM federated_people WHERE provider_id = ? AND subject = ?",
        )
        .bind(provider_id)
        .bind(subject)
        .fetch_optional(&mut *tx)
        .await?;
        let (id, before) = match known {
            Some((id, name)) => (id, Some(name)),
            None => (new_id(IdKind::Federated)?, None),
        };
        let name = name_of(&mut tx, wanted, &id, before.as_deref()).await?;
        if before.is_some() {
            engine::query("UPDATE federated_people SET used_at = ?, name = ? WHERE id = ?")
                .bind(now.0)
                .bind(&name)
                .bind(&id)
                .execute(&mut *tx)
                .await?;
        } else {
            make_room(&mut tx, provider_id, now).await?;
            engine::query(
                "INSERT INTO federated_people (id, provider_id, subject, name, blocked, \
                 created_at, used_at) VALUES (?, ?, ?, ?, 0, ?, ?)",
            )
            .bind(&id)
            .bind(provider_id)
            .bind(subject)
            .bind(&name)
            .bind(now.0)
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
        }
        let row = engine::query(&format!("{PERSON} WHERE provider_id = ? AND subject = ?"))
            .bind(provider_id)
            .bind(subject)
            .fetch_one(&mut *tx)
            .await?;
        let found = person(&row)?;
        tx.commit().await?;
        Ok(found)
    }

    /// People of a provider, by id, after `after`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn people(
        &self,
        provider_id: &str,
        after: &str,
        most: i64,
    ) -> Result<Vec<FederatedPerson>, StoreError> {
        let sql = format!("{PERSON} WHERE provider_id = ? AND id > ? ORDER BY id LIMIT ?");
        let rows = engine::query(&sql)
            .bind(provider_id)
            .bind(after)
            .bind(most)
            .fetch_all(&self.store.pool)
            .await?;
        Ok(rows.iter().map(person).collect::<Result<_, _>>()?)
    }
}

/// Goes on only if no other provider is at the redirect address that is shared, or the one with
/// this id is.
async fn may_be_shared(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    let others: i64 = engine::query_scalar(
        "SELECT COUNT(*) FROM identity_providers WHERE own_redirect = 0 AND NOT EXISTS \
         (SELECT 1 FROM identity_providers WHERE unique_id = ? AND own_redirect = 0)",
    )
    .bind(id)
    .fetch_one(&mut **tx)
    .await?;
    match others {
        0 => Ok(()),
        _ => Err(StoreError::Exists("identity provider with the shared redirect address")),
    }
}

/// Goes on only if the provider is there, and was not stopped.
async fn may_vouch(tx: &mut Tx, provider_id: &str) -> Result<(), StoreError> {
    let disabled: Option<i64> =
        engine::query_scalar("SELECT disabled FROM identity_providers WHERE unique_id = ?")
            .bind(provider_id)
            .fetch_optional(&mut **tx)
            .await?;
    match disabled {
        Some(0) => Ok(()),
        Some(_) => Err(StoreError::Missing("identity provider: it was disabled")),
        None => Err(StoreError::Missing("identity provider: it was removed")),
    }
}

/// Longest life of temporary credentials: who was away for longer holds none.
const HOLDS_CREDENTIALS: Duration = Duration::from_secs(129_600);

/// Longest name that has a part of an id behind it, bytes: names of sessions have 64.
const NAME_BEFORE_ID: usize = 47;
/// Characters of an id behind a name.
const ID_BEHIND_NAME: usize = 16;

/// What the person with this id is called from now on.
async fn name_of(
    tx: &mut Tx,
    wanted: &str,
    id: &str,
    before: Option<&str>,
) -> Result<String, StoreError> {
    // `Ann` beside `ann` would be taken for her.
    let others = "SELECT COUNT(*) FROM federated_people WHERE LOWER(name) = ? AND id <> ?";
    let others: i64 = engine::query_scalar(others)
        .bind(wanted.to_ascii_lowercase())
        .bind(id)
        .fetch_one(&mut **tx)
        .await?;
    if others == 0 || before == Some(wanted) {
        return Ok(wanted.to_owned());
    }
    let end = wanted.floor_char_boundary(NAME_BEFORE_ID);
    let tail = id.len().saturating_sub(ID_BEHIND_NAME);
    Ok(format!("{}-{}", &wanted[..end], &id[tail..]))
}

/// Removes those that were away longest, when there are too many people: of this provider beyond
/// its share, else of the one that has most. So jobs with subjects of their own displace no people
/// of another provider.
async fn make_room(tx: &mut Tx, provider_id: &str, now: UnixMillis) -> Result<(), StoreError> {
    let share = limits::MAX_PEOPLE_OF_PROVIDER;
    let own = "SELECT COUNT(*) FROM federated_people WHERE provider_id = ?";
    let own: i64 = engine::query_scalar(own).bind(provider_id).fetch_one(&mut **tx).await?;
    if own >= share && remove_away(tx, provider_id, own - share + 1, now).await? == 0 {
        return Err(StoreError::Full { what: "people of this identity provider", limit: share });
    }
    let most = limits::MAX_FEDERATED_PEOPLE;
    let count: i64 =
        engine::query_scalar("SELECT COUNT(*) FROM federated_people").fetch_one(&mut **tx).await?;
    if count >= most && remove_of_most(tx, count - most + 1, now).await? == 0 {
        return Err(StoreError::Full { what: "people of identity providers", limit: most });
    }
    Ok(())
}

/// Removes people of the provider that has most, then of the next one, as [`remove_away`] does.
async fn remove_of_most(tx: &mut Tx, number: i64, now: UnixMillis) -> Result<i64, StoreError> {
    let providers: Vec<String> = engine::query_scalar(
        "SELECT provider_id FROM federated_people GROUP BY provider_id \
         ORDER BY COUNT(*) DESC, provider_id",
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut removed = 0;
    for provider_id in providers {
        if removed >= number {
            break;
        }
        removed += remove_away(tx, &provider_id, number - removed, now).await?;
    }
    Ok(removed)
}

/// Removes people of a provider who were away long enough to hold no credentials. Returns how many.
async fn remove_away(
    tx: &mut Tx,
    provider_id: &str,
    number: i64,
    now: UnixMillis,
) -> Result<i64, StoreError> {
    let done = engine::query(
        "DELETE FROM federated_people WHERE id IN (SELECT p.id FROM federated_people p \
         WHERE p.provider_id = ? AND p.blocked = 0 AND p.used_at < ? AND p.id NOT IN \
         (SELECT s.person_id FROM sessions s WHERE s.person_id <> '' AND s.ended_at IS NULL) \
         ORDER BY p.used_at, p.id LIMIT ?)",
    )
    .bind(provider_id)
    .bind(now.minus(HOLDS_CREDENTIALS).0)
    .bind(number)
    .execute(&mut **tx)
    .await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(number))
}

#[cfg(test)]
mod tests;
