//! The history of the schema, compiled in: `migrations/NNNN_name.sql` for SQLite,
//! `migrations/postgres/NNNN_name.sql` for PostgreSQL. Each is applied once and never edited
//! afterwards.
//!
//! # Invariants
//! - Both end in the same schema under the same last number (a test compares them).
//! - A step adds what programs of before do without: tables, columns with a default, indices. Then
//!   nodes of both versions work side by side. Another step begins its name with [`BREAKS`], and is
//!   applied when no older node lives ([`crate::schema`]); what a version no longer needs is taken
//!   away by the version after it.
//! - A step may have a lower number than one that was applied before it: it is applied all the
//!   same. One that breaks must not: a node tells the newest step that it knows, and is taken to
//!   know each step below it.

use std::borrow::Cow;

use futures_util::future::BoxFuture;
use sqlx::error::BoxDynError;
use sqlx::migrate::{MigrateError, Migration, MigrationSource, MigrationType, Migrator};

/// Begins the name of a step beside which programs that do not know it cannot work. The name is
/// stored, so that they learn it.
pub(super) const BREAKS: &str = "breaks: ";

/// Number, name and text of each step, in order. Append only: the database holds a digest of each
/// text.
const STEPS: &[Step] = &[
    (1, "first", include_str!("../migrations/0001_first.sql")),
    (2, "documents", include_str!("../migrations/0002_documents.sql")),
    (3, "identity", include_str!("../migrations/0003_identity.sql")),
    (4, "command log", include_str!("../migrations/0004_command_log.sql")),
    (5, "run commands", include_str!("../migrations/0005_commands.sql")),
    (6, "where logs lie", include_str!("../migrations/0006_where_logs_lie.sql")),
    (9, "target", include_str!("../migrations/0009_target.sql")),
    (10, "what a session left", include_str!("../migrations/0010_what_a_session_left.sql")),
    (11, "recorded input", include_str!("../migrations/0011_recorded_input.sql")),
    (12, "tag keys", include_str!("../migrations/0012_tag_keys.sql")),
    (13, "identities", include_str!("../migrations/0013_identities.sql")),
    (15, "bounds by source", include_str!("../migrations/0015_bounds_by_source.sql")),
    (16, "seen requests", include_str!("../migrations/0016_seen_requests.sql")),
    (21, "next pin", include_str!("../migrations/0021_next_pin.sql")),
    (23, "executables", include_str!("../migrations/0023_executables.sql")),
    (24, "sign-ins", include_str!("../migrations/0024_sign_ins.sql")),
    (25, "approvals", include_str!("../migrations/0025_approvals.sql")),
    (26, "notifications", include_str!("../migrations/0026_notifications.sql")),
    (27, "second factors", include_str!("../migrations/0027_second_factors.sql")),
    (31, "identity providers", include_str!("../migrations/0031_identity_providers.sql")),
    (32, "sign-ins by token", include_str!("../migrations/0032_sign_ins_by_token.sql")),
    (33, "renewals", include_str!("../migrations/0033_renewals.sql")),
    (35, "agent kind", include_str!("../migrations/0035_agent_kind.sql")),
    (38, "device search", include_str!("../migrations/0038_device_search.sql")),
    (40, "nodes", include_str!("../migrations/0040_nodes.sql")),
    (46, "end of access", include_str!("../migrations/0046_end_of_access.sql")),
    (47, "sign-in requests", include_str!("../migrations/0047_sign_in_requests.sql")),
    (50, "breaks: command nodes", include_str!("../migrations/0050_command_nodes.sql")),
    (51, "recording parts", include_str!("../migrations/0051_recording_parts.sql")),
    (55, "draining", include_str!("../migrations/0055_draining.sql")),
    (56, "device address", include_str!("../migrations/0056_device_address.sql")),
    (57, "invitations", include_str!("../migrations/0057_invitations.sql")),
    (66, "begun requests", include_str!("../migrations/0066_begun_requests.sql")),
    (69, "what nodes know", include_str!("../migrations/0069_what_nodes_know.sql")),
    (74, "wanted keys", include_str!("../migrations/0074_wanted_keys.sql")),
    (76, "command persons", include_str!("../migrations/0076_command_persons.sql")),
    (82, "failures", include_str!("../migrations/0082_failures.sql")),
    (83, "doubted invocations", include_str!("../migrations/0083_doubted_invocations.sql")),
    (84, "what waits", include_str!("../migrations/0084_what_waits.sql")),
    (85, "rights on record", include_str!("../migrations/0085_rights_on_record.sql")),
    (86, "sign-ins everywhere", include_str!("../migrations/0086_sign_ins_everywhere.sql")),
    (88, "wanted ends", include_str!("../migrations/0088_wanted_ends.sql")),
    (89, "own redirect", include_str!("../migrations/0089_own_redirect.sql")),
    (90, "held since", include_str!("../migrations/0090_held_since.sql")),
    (91, "ends of links", include_str!("../migrations/0091_ends_of_links.sql")),
    (92, "sign-in links", include_str!("../migrations/0092_sign_in_links.sql")),
    (93, "seats", include_str!("../migrations/0093_seats.sql")),
    (98, "end codes", include_str!("../migrations/0098_end_codes.sql")),
    (99, "shares of the trail", include_str!("../migrations/0099_shares_of_the_trail.sql")),
    (103, "starts of agents", include_str!("../migrations/0103_starts_of_agents.sql")),
];

/// The same for PostgreSQL, which begins with the schema of step 38.
const POSTGRES: &[Step] = &[
    (38, "schema", include_str!("../migrations/postgres/0038_schema.sql")),
    (40, "nodes", include_str!("../migrations/postgres/0040_nodes.sql")),
    (46, "end of access", include_str!("../migrations/postgres/0046_end_of_access.sql")),
    (47, "sign-in requests", include_str!("../migrations/postgres/0047_sign_in_requests.sql")),
    (50, "breaks: command nodes", include_str!("../migrations/postgres/0050_command_nodes.sql")),
    (51, "recording parts", include_str!("../migrations/postgres/0051_recording_parts.sql")),
    (55, "draining", include_str!("../migrations/postgres/0055_draining.sql")),
    (56, "device address", include_str!("../migrations/postgres/0056_device_address.sql")),
    (57, "invitations", include_str!("../migrations/postgres/0057_invitations.sql")),
    (66, "begun requests", include_str!("../migrations/postgres/0066_begun_requests.sql")),
    (69, "what nodes know", include_str!("../migrations/postgres/0069_what_nodes_know.sql")),
    (74, "wanted keys", include_str!("../migrations/postgres/0074_wanted_keys.sql")),
    (76, "command persons", include_str!("../migrations/postgres/0076_command_persons.sql")),
    (82, "failures", include_str!("../migrations/postgres/0082_failures.sql")),
    (
        83,
        "doubted invocations",
        include_str!("../migrations/postgres/0083_doubted_invocations.sql"),
    ),
    (84, "what waits", include_str!("../migrations/postgres/0084_what_waits.sql")),
    (85, "rights on record", include_str!("../migrations/postgres/0085_rights_on_record.sql")),
    (
        86,
        "sign-ins everywhere",
        include_str!("../migrations/postgres/0086_sign_ins_everywhere.sql"),
    ),
    (88, "wanted ends", include_str!("../migrations/postgres/0088_wanted_ends.sql")),
    (89, "own redirect", include_str!("../migrations/postgres/0089_own_redirect.sql")),
    (90, "held since", include_str!("../migrations/postgres/0090_held_since.sql")),
    (91, "ends of links", include_str!("../migrations/postgres/0091_ends_of_links.sql")),
    (92, "sign-in links", include_str!("../migrations/postgres/0092_sign_in_links.sql")),
    (93, "seats", include_str!("../migrations/postgres/0093_seats.sql")),
    (98, "end codes", include_str!("../migrations/postgres/0098_end_codes.sql")),
    (
        99,
        "shares of the trail",
        include_str!("../migrations/postgres/0099_shares_of_the_trail.sql"),
    ),
    (103, "starts of agents", include_str!("../migrations/postgres/0103_starts_of_agents.sql")),
];

/// Number, name and text of a step.
type Step = (i64, &'static str, &'static str);

/// The steps with lower numbers than one, without some.
#[derive(Debug)]
struct Chosen {
    all: &'static [Step],
    before: i64,
    without: &'static [i64],
}

impl Chosen {
    const fn all(all: &'static [Step]) -> Self {
        Self { all, before: i64::MAX, without: &[] }
    }
}

impl MigrationSource<'static> for Chosen {
    fn resolve(self) -> BoxFuture<'static, Result<Vec<Migration>, BoxDynError>> {
        let step = |&(version, name, sql): &Step| {
            Migration::new(
                version,
                Cow::Borrowed(name),
                MigrationType::Simple,
                Cow::Borrowed(sql),
                false,
            )
        };
        Box::pin(async move {
            let is_chosen = |step: &&Step| step.0 < self.before && !self.without.contains(&step.0);
            Ok(self.all.iter().filter(is_chosen).map(step).collect())
        })
    }
}

/// All steps, ready to be run.
pub(super) async fn migrator() -> Result<Migrator, MigrateError> {
    Migrator::new(Chosen::all(STEPS)).await
}

/// All steps of PostgreSQL. `beside_newer`: steps of a newer version may have been applied.
pub(super) async fn postgres(beside_newer: bool) -> Result<Migrator, MigrateError> {
    let mut all = Migrator::new(Chosen::all(POSTGRES)).await?;
    all.set_ignore_missing(beside_newer);
    Ok(all)
}

/// The numbers of PostgreSQL's steps.
pub(super) fn numbers() -> impl Iterator<Item = i64> {
    POSTGRES.iter().map(|step| step.0)
}

/// Whether this version has such a step.
pub(super) fn knows(number: i64) -> bool {
    numbers().any(|known| known == number)
}

/// Whether older programs cannot work beside a step of this version.
pub(super) fn breaks(number: i64) -> bool {
    POSTGRES.iter().any(|step| step.0 == number && step.1.starts_with(BREAKS))
}

/// The number of the newest step: the schema that this version knows.
pub(super) fn newest() -> i64 {
    STEPS.last().map_or(0, |step| step.0)
}

/// The steps before one of them: for tests of what a store of an older version becomes.
#[cfg(test)]
pub(super) async fn migrator_before(before: i64) -> Result<Migrator, MigrateError> {
    Migrator::new(Chosen { all: STEPS, before, without: &[] }).await
}

/// The same with the steps of PostgreSQL, or those of SQLite, and without some of them.
#[cfg(test)]
pub(super) async fn some(
    of_postgres: bool,
    before: i64,
    without: &'static [i64],
) -> Result<Migrator, MigrateError> {
    let all = if of_postgres { POSTGRES } else { STEPS };
    Migrator::new(Chosen { all, before, without }).await
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

    use super::{BREAKS, POSTGRES, STEPS};
    use crate::{Store, Version};

    /// Steps that break, and were the newest ones when they landed. A step is added here together
    /// with the one that comes after it.
    const WERE_THE_NEWEST: [i64; 1] = [50];

    #[test]
    fn a_step_that_breaks_is_the_newest_one_when_it_lands() {
        for steps in [STEPS, POSTGRES] {
            let newest = steps.last().unwrap().0;
            assert!(steps.is_sorted_by_key(|step| step.0), "steps stand in their order");
            for (number, name, _) in steps.iter().filter(|step| step.1.starts_with(BREAKS)) {
                assert!(
                    *number == newest || WERE_THE_NEWEST.contains(number),
                    "step {number} ({name}) must have a higher number than {newest}: a node that \
                     knows {newest} counts as one that knows {number}"
                );
            }
        }
        let breaks = |steps: &[super::Step]| -> Vec<i64> {
            steps.iter().filter(|step| step.1.starts_with(BREAKS)).map(|step| step.0).collect()
        };
        assert_eq!(breaks(STEPS), breaks(POSTGRES), "both engines say the same of a step");
    }

    #[tokio::test]
    async fn documents_of_an_older_store_keep_their_versions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("towline.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = SqlitePool::connect_with(options.foreign_keys(true)).await.unwrap();
        super::migrator_before(25).await.unwrap().run(&pool).await.unwrap();
        for statement in [
            "INSERT INTO documents (name, kind, default_version, numbers_given) VALUES ('d', \
             'Session', 1, 1)",
            "INSERT INTO document_versions (name, version, format, content, hash, schema_version, \
             created_at) \
             VALUES ('d', 1, 'JSON', '{}', 'h', '1.0', 1)",
        ] {
            sqlx::query(statement).execute(&pool).await.unwrap();
        }
        pool.close().await;
        let store = Store::open(&path).await.unwrap();
        let document = store.documents().get("d", &Version::Default).await.unwrap().unwrap();
        assert_eq!(document.text.content, "{}");
    }
}
