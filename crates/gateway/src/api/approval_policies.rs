//! Which approvals a request for access needs: the documents of types `AutoApprovalPolicy` and
//! `ManualApprovalPolicy`, compared with the requester and with the tags of the devices.
//!
//! Data flow: targets of a request -> the devices' tags -> forbid, permit, manual, in this order ->
//! [`Needs`], which is stored with the request.
//!
//! # Invariants
//! - A rule of `forbid` and a device that no rule permits lead to approval by people, not to a
//!   refusal.
//! - A policy with tags goes before one for all devices. Two of them for one device refuse the
//!   request, and so do devices of different policies: nothing is chosen by chance.
//! - What a request needs is what the policies say when it is made. A later change of them changes
//!   no request.
//! - A target of a tag is judged by each device that has the tag now, and by the tag alone.

use std::collections::BTreeMap;

use towline_host::clock::UnixMillis;
use towline_policy::fold;
use towline_ssm::api::access::Target;
use towline_ssm::documents::approval::{AUTO_MINUTES, AutoApproval, ManualApproval, Node, Rule};
use towline_ssm::documents::content::{Content, Kind};
use towline_ssm::error::ApiError;
use towline_store::{Document, TagKind, Terms};

use super::approver_names::Names;
use super::call::Call;
use super::documents::format_of;
use super::internal::{OrInternal as _, internal};
use super::service::Api;
use super::windows::{closes, open_until};

/// What a new request needs.
pub(super) struct Needs {
    /// As it is stored.
    pub(super) stored: Terms,
    /// Until when access is given at once, if it is.
    pub(super) opens: Option<UnixMillis>,
    /// ARN of the policy that gives it.
    pub(super) opens_by: String,
}

/// Tags of a device, keys folded.
type Tags = BTreeMap<String, String>;

/// A manual policy, and `NAME:VERSION` of its document.
struct Manual {
    label: String,
    policy: ManualApproval,
}

impl Api {
    /// What a request of this caller for these devices needs.
    ///
    /// # Errors
    /// `ValidationException` when policies do not agree, or give no access at this time.
    pub(super) async fn terms_of(&self, call: &Call, asked: &[Target]) -> Result<Needs, ApiError> {
        let automatic = self.approval_documents(Kind::AutoApproval).await?;
        let manual = self.manual_policies().await?;
        if automatic.is_empty() && manual.is_empty() {
            return Ok(by_people(Terms::default()));
        }
        let nodes = self.nodes(asked).await?;
        let names = self.names_of(call).await?;
        for (document, content) in automatic {
            let policy = AutoApproval::read(&content)?;
            if is_automatic(&policy, &names, &nodes, call.now) {
                return Ok(Needs {
                    stored: Terms {
                        kind: "Auto".to_owned(),
                        policy: label(&document),
                        most_minutes: AUTO_MINUTES,
                        ..Terms::default()
                    },
                    opens: Some(call.now.plus(std::time::Duration::from_secs(60 * 60))),
                    opens_by: self.realm().document_arn(&document.name),
                });
            }
        }
        let Some(found) = manual_of(&manual, &nodes)? else {
            return Ok(by_people(Terms::default()));
        };
        open_until(&found.policy.windows, call.now)?;
        let windows = serde_json::to_string(&found.policy.windows)
            .map_err(|error| internal("windows cannot be written", &error))?;
        Ok(by_people(Terms {
            policy: found.label.clone(),
            levels: found.policy.approval_levels.clone(),
            windows,
            most_minutes: i64::from(found.policy.hours) * 60,
            ..Terms::default()
        }))
    }

    async fn manual_policies(&self) -> Result<Vec<Manual>, ApiError> {
        let documents = self.approval_documents(Kind::ManualApproval).await?;
        let read = |(document, content): (Document, Content)| {
            Ok(Manual { label: label(&document), policy: ManualApproval::read(&content)? })
        };
        documents.into_iter().map(read).collect()
    }

    async fn approval_documents(&self, kind: Kind) -> Result<Vec<(Document, Content)>, ApiError> {
        let rows = self.store().documents().of_kind(kind.as_str()).await;
        let rows = rows.or_internal("cannot read approval policies")?;
        let read = |row: Document| {
            let format = format_of(Some(&row.text.format));
            let content = Content::outline(kind, format, &row.text.content)?;
            Ok((row, content))
        };
        rows.into_iter().map(read).collect()
    }

    /// The tags of each device that a request names.
    async fn nodes(&self, asked: &[Target]) -> Result<Vec<Tags>, ApiError> {
        let mut nodes = Vec::new();
        let tags = self.store().tags();
        for target in asked {
            let Some(key) = target.key.strip_prefix("tag:") else {
                for id in &target.values {
                    let of = tags.of(TagKind::Device, id).await.or_internal("cannot read tags")?;
                    nodes.push(of.into_iter().map(|(key, value)| (fold(&key), value)).collect());
                }
                continue;
            };
            nodes.extend(target.values.iter().map(|v| Tags::from([(fold(key), v.clone())])));
            let rows = tags.of_devices_with(key, &target.values).await;
            let mut by_device: BTreeMap<String, Tags> = BTreeMap::new();
            for (id, key, value) in rows.or_internal("cannot read tags")? {
                by_device.entry(id).or_default().insert(key, value);
            }
            nodes.extend(by_device.into_values());
        }
        Ok(nodes)
    }
}

const fn by_people(stored: Terms) -> Needs {
    Needs { stored, opens: None, opens_by: String::new() }
}

fn label(document: &Document) -> String {
    format!("{}:{}", document.name, document.version)
}

/// Whether a device has one of these tags.
fn has(targets: &[Node], node: &Tags) -> bool {
    targets.iter().any(|target| {
        let key = target.key.strip_prefix("tag:").unwrap_or_default();
        node.get(&fold(key)).is_some_and(|value| target.values.contains(value))
    })
}

fn applies(rule: &Rule, names: &Names, node: &Tags, now: UnixMillis) -> bool {
    let who = rule.principals.is_empty() || rule.principals.iter().any(|name| names.has(name));
    let what = rule.targets.is_empty() || has(&rule.targets, node);
    let when =
        rule.windows.is_empty() || rule.windows.iter().any(|window| closes(window, now).is_some());
    who && what && when
}

/// Whether nobody has to approve: no device is forbidden, and each is permitted.
fn is_automatic(policy: &AutoApproval, names: &Names, nodes: &[Tags], now: UnixMillis) -> bool {
    let any = |rules: &[Rule], node| rules.iter().any(|rule| applies(rule, names, node, now));
    nodes.iter().all(|node| !any(&policy.forbid, node) && any(&policy.permit, node))
}

/// The manual policy for all these devices, if there is one.
fn manual_of<'p>(policies: &'p [Manual], nodes: &[Tags]) -> Result<Option<&'p Manual>, ApiError> {
    let mut found: Option<Option<&Manual>> = None;
    for node in nodes {
        let of_node = of_node(policies, node)?;
        let label = |policy: Option<&Manual>| {
            policy.map_or_else(|| "no approval policy".to_owned(), |policy| policy.label.clone())
        };
        if let Some(before) = found.filter(|before| label(*before) != label(of_node)) {
            return Err(ApiError::validation(format!(
                "these devices need different approvals ({} and {}): ask for each group apart",
                label(before),
                label(of_node)
            )));
        }
        found = Some(of_node);
    }
    Ok(found.flatten())
}

/// The policy of one device: one with a tag of it, else one for all devices.
fn of_node<'p>(policies: &'p [Manual], node: &Tags) -> Result<Option<&'p Manual>, ApiError> {
    let tagged: Vec<_> =
        policies.iter().filter(|policy| has(&policy.policy.targets, node)).collect();
    let all: Vec<_> = policies.iter().filter(|policy| policy.policy.targets.is_empty()).collect();
    match if tagged.is_empty() { all } else { tagged }.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        [first, second, ..] => Err(ApiError::validation(format!(
            "a device has the tags of two approval policies, {} and {}: an administrator must \
             change \
             the tags or the policies",
            first.label, second.label
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manual(name: &str, key: &str, value: &str) -> Manual {
        let targets = if key.is_empty() {
            json!([])
        } else {
            json!([{ "key": format!("tag:{key}"), "values": [value] }])
        };
        let policy =
            json!({ "accessDurationHours": 1, "targets": targets, "approvalLevels": [{}] });
        Manual { label: name.to_owned(), policy: serde_json::from_value(policy).unwrap() }
    }

    fn node(tags: &[(&str, &str)]) -> Tags {
        tags.iter().map(|(key, value)| (fold(key), (*value).to_owned())).collect()
    }

    #[test]
    fn a_policy_with_a_tag_goes_before_one_for_all_devices() {
        let all = [manual("all", "", ""), manual("prod", "Environment", "prod")];
        let of = |tags: &[(&str, &str)]| {
            manual_of(&all, &[node(tags)]).unwrap().map(|policy| policy.label.clone())
        };
        assert_eq!(of(&[("environment", "prod")]).as_deref(), Some("prod"));
        assert_eq!(of(&[("Environment", "dev")]).as_deref(), Some("all"));
        let only = [manual("prod", "Environment", "prod")];
        assert!(manual_of(&only, &[node(&[])]).unwrap().is_none());
    }

    #[test]
    fn two_policies_of_different_tags_on_one_device_fail_the_request() {
        let two = [manual("prod", "Environment", "prod"), manual("db", "Tier", "db")];
        let both = node(&[("Environment", "prod"), ("Tier", "db")]);
        assert!(manual_of(&two, &[both]).is_err());
        // And so do two devices of one request that need different approvals.
        let apart = [node(&[("Environment", "prod")]), node(&[])];
        assert!(manual_of(&two, &apart).is_err());
    }

    #[test]
    fn what_is_forbidden_needs_a_person_although_it_is_permitted() {
        let policy: AutoApproval = serde_json::from_value(json!({
            "forbid": [{ "targets": [{ "key": "tag:Environment", "values": ["prod"] }] }],
            "permit": [{ "principals": ["group/oncall"] }],
        }))
        .unwrap();
        let names = Names::of(&["user/ann", "group/oncall"]);
        let automatic =
            |names: &Names, nodes: &[Tags]| is_automatic(&policy, names, nodes, UnixMillis(0));
        assert!(automatic(&names, &[node(&[("Environment", "dev")])]));
        let mixed = [node(&[("Environment", "dev")]), node(&[("Environment", "prod")])];
        assert!(!automatic(&names, &mixed));
        let other = Names::of(&["user/bob"]);
        assert!(!automatic(&other, &[node(&[("Environment", "dev")])]));
    }
}
