//! Events of the audit trail, for those who may see them.
//!
//! # Invariants
//! - A search looks at a bounded number of lines for a bounded time, and then gives a token to go
//!   on, found or not. Searches have connections to the store of their own.

use std::sync::Arc;

use tokio::time::Instant;
use towline_host::clock::UnixMillis;
use towline_ssm::api::evidence::{
    Event, EventResource, LookupAttribute, LookupEventsRequest, LookupEventsResponse, MAX_EVENTS,
};
use towline_ssm::clock::EpochSeconds;
use towline_ssm::error::ApiError;
use towline_ssm::ids::Realm;

use super::authz::Question;
use super::call::Call;
use super::internal::{OrInternal as _, internal};
use super::service::Api;
use crate::exports::trail;
use crate::limits::{EVENTS_PER_READ, MAX_SEARCHED_EVENTS, SEARCH_TIME};

impl Api {
    pub(super) async fn lookup_events(
        &self,
        call: &Call,
        request: LookupEventsRequest,
    ) -> Result<LookupEventsResponse, ApiError> {
        self.authorize(call, &Question::anything()).await?;
        let cursor = self.pages.cursor(call.operation, request.next_token.as_deref())?;
        let most = usize::try_from(request.max_results.unwrap_or(MAX_EVENTS)).unwrap_or(1);
        let millis =
            |time: Option<EpochSeconds>, none| time.map_or(none, |t| t.secs().saturating_mul(1000));
        let from = UnixMillis(millis(request.start_time, i64::MIN));
        let to = UnixMillis(millis(request.end_time, i64::MAX - 1000).saturating_add(1000));
        let mut before = place(&cursor).unwrap_or((to, i64::MIN));
        let _turn = self.searches.turn(call).await?;
        let until = Instant::now() + SEARCH_TIME;
        let wanted = Arc::new((self.realm().clone(), request.lookup_attributes));
        let (mut events, mut looked) = (Vec::new(), 0);
        while looked < MAX_SEARCHED_EVENTS && Instant::now() < until {
            let lines = self
                .store()
                .audit()
                .newest(before, from, EVENTS_PER_READ)
                .await
                .or_internal("cannot read the trail")?;
            let read = lines.len();
            looked += read;
            let (room, wanted) = (most - events.len(), Arc::clone(&wanted));
            // Reading so many lines takes milliseconds: not on a thread that carries sessions.
            let search = move || find(lines, room, &wanted.0, &wanted.1);
            let (found, last) = tokio::task::spawn_blocking(search)
                .await
                .map_err(|error| internal("a search ended", &error))?;
            events.extend(found);
            before = last.unwrap_or(before);
            if events.len() == most {
                break;
            }
            if i64::try_from(read).unwrap_or(EVENTS_PER_READ) < EVENTS_PER_READ {
                return Ok(LookupEventsResponse { events, next_token: None });
            }
        }
        let next = format!("{}:{}", before.0.0, before.1);
        let next_token = Some(self.pages.token(call.operation, &next));
        Ok(LookupEventsResponse { events, next_token })
    }
}

/// Time and number of a line: where a search goes on.
type Place = (UnixMillis, i64);

fn place(cursor: &str) -> Option<Place> {
    let (at, id) = cursor.split_once(':')?;
    Some((UnixMillis(at.parse().ok()?), id.parse().ok()?))
}

/// The events among these lines that are wanted, at most `room`; and the last line looked at.
fn find(
    lines: Vec<(i64, i64, String)>,
    room: usize,
    realm: &Realm,
    wanted: &[LookupAttribute],
) -> (Vec<Event>, Option<Place>) {
    let (mut found, mut last) = (Vec::new(), None);
    for (id, at, line) in lines {
        last = Some((UnixMillis(at), id));
        let event = shown(&line, at, realm);
        let event = event.filter(|(event, behind)| matches(event, behind, wanted));
        found.extend(event.map(|(event, _)| event));
        if found.len() == room {
            break;
        }
    }
    (found, last)
}

/// The event of a line, and the ARN of the user behind it where that is another.
fn shown(line: &str, at: i64, realm: &Realm) -> Option<(Event, String)> {
    let mut event = trail::event(line, realm)?;
    let text = trail::text(&event);
    let behind = event.user_identity.on_behalf_of.take().map_or_else(String::new, |user| user.arn);
    let resources = event.resources.iter().map(|resource| EventResource {
        resource_type: resource.kind.clone(),
        resource_name: resource.arn.clone(),
    });
    let event = Event {
        resources: resources.collect(),
        cloud_trail_event: text,
        event_time: EpochSeconds::from_secs(at.div_euclid(1000)),
        read_only: event.read_only.to_string(),
        access_key_id: event.user_identity.access_key_id,
        username: event.user_identity.user_name,
        event_id: event.event_id,
        event_name: event.event_name,
        event_source: event.event_source,
    };
    Some((event, behind))
}

fn matches(event: &Event, behind: &str, attributes: &[LookupAttribute]) -> bool {
    attributes.iter().all(|attribute| {
        let value = attribute.attribute_value.as_str();
        match attribute.attribute_key.as_str() {
            "EventId" => event.event_id == value,
            "EventName" => event.event_name == value,
            "ReadOnly" => event.read_only == value,
            // What a user did in a role is hers as well.
            "Username" => event.username == value || behind.rsplit('/').next() == Some(value),
            "EventSource" => event.event_source == value,
            "AccessKeyId" => event.access_key_id == value,
            "ResourceType" => {
                event.resources.iter().any(|resource| resource.resource_type == value)
            }
            // CloudTrail's names are ARNs for some types and bare names for others: both are found
            // here.
            "ResourceName" => event.resources.iter().any(|resource| {
                resource.resource_name == value
                    || resource.resource_name.rsplit(['/', ':']).next() == Some(value)
            }),
            _ => false,
        }
    })
}
