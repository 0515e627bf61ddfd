//! Tags of devices and documents.
//!
//! # Invariants
//! - A change is authorised with both the tags the thing has and those of the request, so that a
//!   policy can say who may move a thing from one group to another. The store compares the former
//!   again when it writes.

use std::collections::BTreeMap;

use towline_ssm::api::Empty;
use towline_ssm::api::tags::{
    AddTagsToResourceRequest, ListTagsForResourceRequest, ListTagsForResourceResult,
    RemoveTagsFromResourceRequest, Tag, TaggedResource, resource_of,
};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::{AgentKind, Device, StoreError, TagKind, Version};

use super::authz::Question;
use super::call::Call;
use super::internal::OrInternal as _;
use super::service::Api;

/// How often a change is judged, when others change the same tags.
const ATTEMPTS: usize = 8;
/// The condition key for the agent of a device: `towline` or `vendor`.
const AGENT_KIND: &str = "towline:AgentKind";
/// Condition keys that nobody knows of a device of which nothing is on record.
pub(super) const OF_DEVICES: &[&str] = &["aws:ResourceTag/", "ssm:resourceTag/", AGENT_KIND];
/// The condition key for the keys of all tags that a request brings or removes.
pub(super) const TAG_KEYS: &str = "aws:TagKeys";

/// What a request about tags is about: authorised, and there.
struct Tagged {
    kind: TagKind,
    id: String,
    /// The tags that it was judged by.
    tags: BTreeMap<String, String>,
}

impl Api {
    pub(super) async fn add_tags(
        &self,
        call: &Call,
        request: AddTagsToResourceRequest,
    ) -> Result<Empty, ApiError> {
        let facts: Vec<_> = request_tags(&request.tags).collect();
        let tags: Vec<_> = request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        let about = (&*request.resource_type, &*request.resource_id);
        self.change_tags(call, about, &facts, (&[], &tags)).await
    }

    pub(super) async fn remove_tags(
        &self,
        call: &Call,
        request: RemoveTagsFromResourceRequest,
    ) -> Result<Empty, ApiError> {
        let facts = [(TAG_KEYS.to_owned(), request.tag_keys.clone())];
        let about = (&*request.resource_type, &*request.resource_id);
        self.change_tags(call, about, &facts, (&request.tag_keys, &[])).await
    }

    /// Removes tags by key and sets others. When the tags by which the request was judged are
    /// others at the write, it is judged anew.
    async fn change_tags(
        &self,
        call: &Call,
        (resource_type, resource_id): (&str, &str),
        facts: &[(String, Vec<String>)],
        change: (&[String], &[towline_store::Tag]),
    ) -> Result<Empty, ApiError> {
        for _ in 1..ATTEMPTS {
            let tagged = self.tagged(call, resource_type, resource_id, facts.to_vec()).await?;
            let tags = self.store().tags();
            match tags.change(tagged.kind, &tagged.id, &tagged.tags, change).await {
                Err(StoreError::Changed(_)) => {}
                Err(error @ StoreError::Full { .. }) => {
                    return Err(ApiError::new(ErrorCode::TooManyTagsError, error.to_string()));
                }
                other => return other.or_internal("cannot change tags").map(|()| Empty {}),
            }
        }
        let message = "the tags of this resource are being changed by others: try again";
        Err(ApiError::new(ErrorCode::TooManyUpdates, message))
    }

    pub(super) async fn list_tags(
        &self,
        call: &Call,
        request: ListTagsForResourceRequest,
    ) -> Result<ListTagsForResourceResult, ApiError> {
        let tagged =
            self.tagged(call, &request.resource_type, &request.resource_id, vec![]).await?;
        let tags = self
            .store()
            .tags()
            .of(tagged.kind, &tagged.id)
            .await
            .or_internal("cannot read tags")?;
        Ok(ListTagsForResourceResult {
            tag_list: tags.into_iter().map(|(key, value)| Tag { key, value }).collect(),
        })
    }

    /// What a request about tags names: authorised first, then looked up.
    async fn tagged(
        &self,
        call: &Call,
        resource_type: &str,
        resource_id: &str,
        facts: Vec<(String, Vec<String>)>,
    ) -> Result<Tagged, ApiError> {
        let missing = |message: &str| ApiError::new(ErrorCode::InvalidResourceId, message);
        match resource_of(resource_type, resource_id)? {
            TaggedResource::Device(device) => {
                call.note("deviceId", device.as_str());
                let mut question = self.about_device(device.as_str()).await?;
                question.facts.extend(facts);
                self.authorize(call, &question).await?;
                let row = self
                    .store()
                    .devices()
                    .get(device.as_str())
                    .await
                    .or_internal("cannot read a device")?;
                row.ok_or_else(|| missing(&format!("no device has the id {}", device.as_str())))?;
                Ok(Tagged { kind: TagKind::Device, id: device.into(), tags: question.tags })
            }
            TaggedResource::Document(name) => {
                call.note("documentName", &*name);
                let mut question = self.about_document(&name).await?;
                question.facts.extend(facts);
                self.authorize(call, &question).await?;
                let row = self.store().documents().get(&name, &Version::Default).await;
                row.or_internal("cannot read a document")?.ok_or_else(|| {
                    missing(&format!(
                        "no own document has the name {name}; built-in ones have no tags"
                    ))
                })?;
                Ok(Tagged { kind: TagKind::Document, id: name, tags: question.tags })
            }
        }
    }

    /// The question about a device: both of its names, its tags, its agent.
    pub(super) async fn about_device(&self, id: &str) -> Result<Question, ApiError> {
        Ok(self.about_device_on_record(id).await?.0)
    }

    /// The same, and whether anything is known of the device. One that was removed has the tags and
    /// the agent that it had, as long as anything of it is on record. Of one that is not known, a
    /// Deny for its tags cannot be told from none: who gives away what is on record refuses.
    pub(super) async fn about_device_on_record(
        &self,
        id: &str,
    ) -> Result<(Question, bool), ApiError> {
        // Tags first: of a device that is removed meanwhile, they are complete or looked for again.
        let tags =
            self.store().tags().of(TagKind::Device, id).await.or_internal("cannot read tags")?;
        let ids = [id.to_owned()];
        let kinds = self.store().devices().agent_kinds(&ids).await;
        if let Some(kind) = kinds.or_internal("cannot read a device")?.remove(id) {
            return Ok((self.about_tagged(id, tags, Some(kind)), true));
        }
        let removed = self.store().devices().removed(id).await;
        Ok(match removed.or_internal("cannot read a removed device")? {
            Some((tags, kind)) => (self.about_tagged(id, tags, Some(kind)), true),
            None => (self.about_tagged(id, tags, None), false),
        })
    }

    /// A device that a session is asked for, with what policy is asked about it: read once.
    pub(super) async fn target(&self, id: &str) -> Result<Target, ApiError> {
        // Tags first, as above.
        let tags = self.store().tags().of(TagKind::Device, id).await;
        let tags = tags.or_internal("cannot read tags")?;
        let device = self.store().devices().get(id).await.or_internal("cannot read a device")?;
        let about = match &device {
            Some(device) => self.about_tagged(id, tags, Some(device.agent_kind)),
            None => self.about_device(id).await?,
        };
        Ok(Target { about, device })
    }

    /// What policy is asked about a device with these tags and this agent.
    pub(super) fn about_tagged(
        &self,
        id: &str,
        tags: BTreeMap<String, String>,
        kind: Option<AgentKind>,
    ) -> Question {
        let realm = self.realm();
        let kind = kind.map(|kind| (AGENT_KIND.to_owned(), vec![kind.as_str().to_owned()]));
        Question {
            names: towline_policy::device_aliases(&realm.region, &realm.account, id),
            tags,
            facts: kind.into_iter().collect(),
            unknown: &[],
        }
    }
}

/// A device that a session is asked for.
pub(super) struct Target {
    /// What policy is asked about it.
    pub(super) about: Question,
    /// Its row, if there is one.
    pub(super) device: Option<Device>,
}

/// The condition keys for the tags that a request brings: each value, and all keys.
pub(super) fn request_tags(tags: &[Tag]) -> impl Iterator<Item = (String, Vec<String>)> {
    let keys = tags.iter().map(|tag| tag.key.clone()).collect();
    tag_values(tags).chain([(TAG_KEYS.to_owned(), keys)])
}

/// The same for a request whose keys are more than those of its tags: the caller names them all.
pub(super) fn tag_values(tags: &[Tag]) -> impl Iterator<Item = (String, Vec<String>)> {
    tags.iter().map(|tag| (format!("aws:RequestTag/{}", tag.key), vec![tag.value.clone()]))
}
