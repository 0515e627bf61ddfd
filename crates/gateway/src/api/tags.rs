//! Tags of devices and documents.
//!
//! # Invariants
//! - A change is authorised with both the tags the thing has and those of the request, so that a
//!   policy can say who may move a thing from one group to another.

use towline_ssm::api::Empty;
use towline_ssm::api::tags::{
    AddTagsToResourceRequest, ListTagsForResourceRequest, ListTagsForResourceResult,
    RemoveTagsFromResourceRequest, Tag, TaggedResource, resource_of,
};
use towline_ssm::error::{ApiError, ErrorCode};
use towline_store::{StoreError, TagKind, Version};

use super::authz::Question;
use super::call::Call;
use super::internal::OrInternal as _;
use super::service::Api;

/// What a request about tags is about: authorised, and there.
struct Tagged {
    kind: TagKind,
    id: String,
}

impl Api {
    pub(super) async fn add_tags(
        &self,
        call: &Call,
        request: AddTagsToResourceRequest,
    ) -> Result<Empty, ApiError> {
        let keys = request.tags.iter().map(|tag| tag.key.clone());
        let mut facts = vec![("aws:TagKeys".to_owned(), keys.collect())];
        facts.extend(request_tags(&request.tags));
        let tagged = self.tagged(call, &request.resource_type, &request.resource_id, facts).await?;
        let tags: Vec<_> = request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        match self.store().tags().put(tagged.kind, &tagged.id, &tags).await {
            Err(error @ StoreError::Full { .. }) => {
                Err(ApiError::new(ErrorCode::TooManyTagsError, error.to_string()))
            }
            other => other.or_internal("cannot set tags").map(|()| Empty {}),
        }
    }

    pub(super) async fn remove_tags(
        &self,
        call: &Call,
        request: RemoveTagsFromResourceRequest,
    ) -> Result<Empty, ApiError> {
        let facts = vec![("aws:TagKeys".to_owned(), request.tag_keys.clone())];
        let tagged = self.tagged(call, &request.resource_type, &request.resource_id, facts).await?;
        let done = self.store().tags().remove(tagged.kind, &tagged.id, &request.tag_keys).await;
        done.or_internal("cannot remove tags").map(|()| Empty {})
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
                question.facts = facts;
                self.authorize(call, &question).await?;
                let row = self
                    .store()
                    .devices()
                    .get(device.as_str())
                    .await
                    .or_internal("cannot read a device")?;
                row.ok_or_else(|| missing("no device has this id"))?;
                Ok(Tagged { kind: TagKind::Device, id: device.into() })
            }
            TaggedResource::Document(name) => {
                call.note("documentName", &*name);
                let mut question = self.about_document(&name).await?;
                question.facts.extend(facts);
                self.authorize(call, &question).await?;
                let row = self.store().documents().get(&name, &Version::Default).await;
                row.or_internal("cannot read a document")?.ok_or_else(|| {
                    missing("no own document has this name; built-in ones have no tags")
                })?;
                Ok(Tagged { kind: TagKind::Document, id: name })
            }
        }
    }

    /// The question about a device: both of its names, and its tags.
    pub(super) async fn about_device(&self, id: &str) -> Result<Question, ApiError> {
        let realm = self.realm();
        let tags =
            self.store().tags().of(TagKind::Device, id).await.or_internal("cannot read tags")?;
        Ok(Question {
            names: towline_policy::device_aliases(&realm.region, &realm.account, id),
            tags,
            facts: vec![],
        })
    }
}

/// The condition keys for the tags that a request brings.
pub(super) fn request_tags(tags: &[Tag]) -> impl Iterator<Item = (String, Vec<String>)> {
    tags.iter().map(|tag| (format!("aws:RequestTag/{}", tag.key), vec![tag.value.clone()]))
}
