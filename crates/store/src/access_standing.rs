//! Which approvals still count: those of persons who could still give them.
//!
//! Data flow: the approvals of a request that is not decided, or of an extension -> the person
//! behind each, and the names that she still has -> those that count.
//!
//! # Invariants
//! - The approval of a user who was removed, of a person of a provider who was removed or blocked,
//!   and of a role that was removed counts no more.
//! - Where a level names its approvers, an approval counts while one of the names is still the
//!   person's: also her groups are looked at again.
//!
//! # Not here
//! - The right to decide, which policies give, and how the person came: the gateway judges both
//!   again, and names the approvals that have fallen.

use crate::access::{AccessRequest, Approval, Terms};
use crate::engine;
use crate::engine::Tx;
use crate::error::StoreError;
use crate::identity_providers::person_is_let_in;

/// Where approvals are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Table {
    /// Of requests.
    Approvals,
    /// Of extensions.
    Extensions,
}

/// The approvals that count; `fallen` do not. The others are removed: their persons can approve
/// again when they may.
pub(crate) async fn settle(
    tx: &mut Tx,
    table: Table,
    of: &AccessRequest,
    all: Vec<Approval>,
    fallen: &[Approval],
) -> Result<Vec<Approval>, StoreError> {
    let mut counted = standing(tx, &of.terms, all.clone()).await?;
    counted.retain(|approval| !fallen.contains(approval));
    let remove = match table {
        Table::Approvals => "DELETE FROM access_approvals WHERE request_id = ? AND person_id = ?",
        Table::Extensions => "DELETE FROM access_extensions WHERE request_id = ? AND person_id = ?",
    };
    for approval in all.iter().filter(|approval| !counted.contains(approval)) {
        engine::query(remove).bind(&of.id).bind(&approval.person_id).execute(&mut **tx).await?;
    }
    Ok(counted)
}

/// The approvals that count, in their order.
pub(crate) async fn standing(
    tx: &mut Tx,
    terms: &Terms,
    approvals: Vec<Approval>,
) -> Result<Vec<Approval>, StoreError> {
    let mut counted = Vec::new();
    for approval in approvals {
        let Some(names) = names_of(tx, &approval).await? else { continue };
        let level = terms.level(approval.level);
        let is_named = |approvers: &[String]| {
            approvers.is_empty()
                || approvers.iter().any(|name| names.iter().any(|n| n == bare(name)))
        };
        if level.is_some_and(|level| is_named(&level.approvers)) {
            counted.push(approval);
        }
    }
    Ok(counted)
}

/// `user/NAME`, `group/NAME` or `role/NAME` of a name or an ARN.
fn bare(name: &str) -> &str {
    name.splitn(6, ':').nth(5).unwrap_or(name)
}

/// The names that an approver has by now; nothing when she is gone.
async fn names_of(tx: &mut Tx, approval: &Approval) -> Result<Option<Vec<String>>, StoreError> {
    let mut names = Vec::new();
    if let Some(role) = role_of(&approval.arn) {
        let role = format!("role/{role}");
        let known: i64 = engine::query_scalar("SELECT COUNT(*) FROM principals WHERE name = ?")
            .bind(&role)
            .fetch_one(&mut **tx)
            .await?;
        if known == 0 {
            return Ok(None);
        }
        names.push(role);
    }
    let user: Option<String> =
        engine::query_scalar("SELECT name FROM principals WHERE unique_id = ?")
            .bind(&approval.person_id)
            .fetch_optional(&mut **tx)
            .await?;
    let Some(user) = user else {
        let people = concat!(
            "SELECT COUNT(*) FROM federated_people p WHERE p.id = ? AND ",
            person_is_let_in!("p.id")
        );
        let known: i64 =
            engine::query_scalar(people).bind(&approval.person_id).fetch_one(&mut **tx).await?;
        return Ok((known > 0).then_some(names));
    };
    let groups = "SELECT group_name FROM group_members WHERE member = ?";
    let groups: Vec<String> = engine::query_scalar(groups).bind(&user).fetch_all(&mut **tx).await?;
    names.push(format!("user/{user}"));
    names.extend(groups);
    Ok(Some(names))
}

/// The role of an ARN `…:assumed-role/ROLE/SESSION`.
fn role_of(arn: &str) -> Option<&str> {
    bare(arn).strip_prefix("assumed-role/")?.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_with_and_without_its_arn() {
        assert_eq!(bare("group/ops"), "group/ops");
        assert_eq!(bare("arn:aws:iam::000000000000:group/ops"), "group/ops");
        assert_eq!(role_of("arn:aws:sts::000000000000:assumed-role/shift/ann"), Some("shift"));
        assert_eq!(role_of("arn:aws:iam::000000000000:user/ann"), None);
    }
}
