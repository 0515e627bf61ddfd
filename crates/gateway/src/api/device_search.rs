//! SearchDevices: a page of the devices that match, and how many there are.
//!
//! Data flow: the store's ids that match -> those in the state that is asked for -> one page -> its
//! rows and tags, read at once.
//!
//! # Invariants
//! - A page without a token reads the ids of all matches and counts them; it may begin anywhere.
//!   The number travels in the token: later pages read no more ids than they need.

use std::collections::BTreeMap;

use towline_ssm::api::device::InstanceInformation;
use towline_ssm::api::device_search::{SearchDevicesRequest, SearchDevicesResult};
use towline_ssm::error::ApiError;
use towline_ssm::ids::DeviceId;
use towline_store::limits::MAX_DEVICES;
use towline_store::{DeviceFilter, DeviceStatus};

use super::authz::Question;
use super::call::Call;
use super::internal::OrInternal as _;
use super::service::Api;

/// Page size when none is asked for.
const PAGE: i64 = 50;
/// Pages of ids that a later page reads at once, when some of them are in another state.
const IDS_AT_ONCE: i64 = 4;

/// Whether devices must be connected here, or must not be; `None`: either.
type Connected = Option<bool>;

impl Api {
    pub(super) async fn search_devices(
        &self,
        call: &Call,
        request: SearchDevicesRequest,
    ) -> Result<SearchDevicesResult, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let cursor = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let (filter, connected) = wanted(&request);
        let size = request.max_results.unwrap_or(PAGE);
        let room = usize::try_from(size).unwrap_or(usize::MAX);
        let (mut ids, total) = match cursor.split_once(' ') {
            None => {
                let mut ids = self.ids_in(&filter, connected, "", MAX_DEVICES).await?.0;
                let total = ids.len();
                let before = usize::try_from(request.skip.unwrap_or(0)).unwrap_or(usize::MAX);
                ids.drain(..before.min(total));
                (ids, total)
            }
            Some((total, after)) => {
                let ids = self.ids_behind(&filter, connected, after, size).await?;
                (ids, total.parse().unwrap_or_default())
            }
        };
        let more = ids.len() > room;
        ids.truncate(room);
        let next_token = ids
            .last()
            .filter(|_| more)
            .map(|last| self.pages.token(call.operation, &format!("{total} {last}")));
        Ok(SearchDevicesResult {
            instance_information_list: self.shown_all(&ids).await?,
            total_count: i64::try_from(total).unwrap_or(i64::MAX),
            next_token,
        })
    }

    /// The ids behind `after`: a page and at least one more, unless the list ends.
    async fn ids_behind(
        &self,
        filter: &DeviceFilter,
        connected: Connected,
        after: &str,
        size: i64,
    ) -> Result<Vec<String>, ApiError> {
        let at_once = if connected.is_some() { size * IDS_AT_ONCE } else { size + 1 };
        let room = usize::try_from(size).unwrap_or(usize::MAX);
        let (mut all, mut after) = (Vec::new(), after.to_owned());
        while all.len() <= room {
            let (ids, last) = self.ids_in(filter, connected, &after, at_once).await?;
            all.extend(ids);
            match last {
                Some(last) => after = last,
                None => break,
            }
        }
        Ok(all)
    }

    /// Up to `most` ids that match, without those in another state, and the last that was looked
    /// at.
    async fn ids_in(
        &self,
        filter: &DeviceFilter,
        connected: Connected,
        after: &str,
        most: i64,
    ) -> Result<(Vec<String>, Option<String>), ApiError> {
        let found = self.store().devices().ids(filter, after, most).await;
        let ids = found.or_internal("cannot search devices")?;
        let last = ids.last().cloned();
        let Some(wanted) = connected else { return Ok((ids, last)) };
        let mut kept = Vec::new();
        for id in ids {
            let is = match id.parse::<DeviceId>() {
                Ok(device) => self.is_connected(&device).await,
                Err(_) => false,
            };
            if is == wanted {
                kept.push(id);
            }
        }
        Ok((kept, last))
    }

    /// The devices of these ids as clients see them.
    async fn shown_all(&self, ids: &[String]) -> Result<Vec<InstanceInformation>, ApiError> {
        let rows = self.store().devices().by_ids(ids).await.or_internal("cannot list devices")?;
        let mut tags = self.store().tags().of_devices(ids).await.or_internal("cannot read tags")?;
        let mut shown = Vec::with_capacity(rows.len());
        for device in rows {
            let ping = self.ping(&device).await;
            let tags: BTreeMap<_, _> = tags.remove(&device.id).unwrap_or_default();
            shown.push(self.shown_with(device, ping, tags));
        }
        Ok(shown)
    }
}

/// What the store filters, and what only the gateway knows.
fn wanted(request: &SearchDevicesRequest) -> (DeviceFilter, Connected) {
    let tags = request.tag_filters.iter().flatten();
    let words = request.query.as_deref().unwrap_or_default().split_whitespace();
    let mut filter = DeviceFilter {
        tags: tags.map(|tag| (tag.key.clone(), tag.values.clone())).collect(),
        name: request.name.clone(),
        words: words.map(str::to_owned).collect(),
        ..DeviceFilter::default()
    };
    let connected = match request.state.as_deref() {
        Some("online") => Some(true),
        Some("offline") => Some(false),
        state => {
            filter.statuses.extend(match state {
                Some("pending") => Some(DeviceStatus::Pending),
                Some("quarantined") => Some(DeviceStatus::Quarantined),
                Some("revoked") => Some(DeviceStatus::Revoked),
                _ => None,
            });
            None
        }
    };
    (filter, connected)
}
