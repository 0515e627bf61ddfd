//! `audit`: events of the gateway's trail, once or as they come.
//!
//! Data flow of `--follow`: LookupEvents since the newest event that was seen, page by page ->
//! events that were not printed yet -> standard output, oldest first.
//!
//! # Invariants
//! - Only the first look has the limit of the command line: what happens later is printed whole.
//! - Times are those of the gateway; this machine's clock says only how far back `--since 1h` goes.
//! - A lost connection, or a gateway that is busy or restarted, is told once and outlived. A reader
//!   of standard output that is gone ends the program.

use std::collections::BTreeSet;

use towline_ssm::Operation;
use towline_ssm::api::evidence::{
    Event, LookupAttribute, LookupEventsRequest, LookupEventsResponse,
};
use towline_ssm::clock::EpochSeconds;

use super::context::{Context, time_text};
use super::recordings::now;
use crate::args::evidence::{AuditArgs, Since};
use crate::exit::Failure;
use crate::limits::{FOLLOW_AGAIN, FOLLOW_MOST, FOLLOW_POLL, FOLLOW_REMEMBERED, PAGE};
use crate::output::{Cell, Output, complain, one_line, while_read};

/// `audit`.
pub(super) async fn audit(context: &mut Context, args: AuditArgs) -> Result<(), Failure> {
    let since = args.since.map(|since| match since {
        Since::Ago(seconds) => now().saturating_sub(i64::try_from(seconds).unwrap_or(i64::MAX)),
        Since::At(at) => at,
    });
    if args.follow {
        return while_read(follow(context, &args, since)).await;
    }
    let events = search(context, &args, since, args.limit as usize).await?.events;
    let answer = LookupEventsResponse { events, next_token: None };
    context.output.answer(&answer, |output| table(output, &answer.events))
}

/// What a search found.
struct Found {
    /// Newest first.
    events: Vec<Event>,
    /// There are older ones than these.
    more: bool,
}

/// Events since then, at most so many.
async fn search(
    context: &mut Context,
    args: &AuditArgs,
    since: Option<i64>,
    most: usize,
) -> Result<Found, Failure> {
    let mut request = LookupEventsRequest {
        lookup_attributes: condition(args).into_iter().collect(),
        start_time: since.map(EpochSeconds::from_secs),
        max_results: Some(PAGE),
        ..LookupEventsRequest::default()
    };
    let mut events = Vec::new();
    // A page may be empty and still have a token: the gateway searches a bounded number of lines at
    // once.
    while events.len() < most {
        let page: LookupEventsResponse = context.call(Operation::LookupEvents, &request).await?;
        events.extend(page.events.into_iter().filter(|event| is_wanted(event, args)));
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    let more = events.len() > most || request.next_token.is_some();
    events.truncate(most);
    Ok(Found { events, more })
}

/// The condition for the gateway: the API takes one.
fn condition(args: &AuditArgs) -> Option<LookupAttribute> {
    let (key, value) = match (&args.device, &args.user) {
        (Some(device), _) => ("ResourceName", device),
        (None, Some(user)) => ("Username", user),
        (None, None) => return None,
    };
    Some(LookupAttribute { attribute_key: key.to_owned(), attribute_value: value.clone() })
}

/// The condition that the gateway was not asked. What a person did in a role is hers as well.
fn is_wanted(event: &Event, args: &AuditArgs) -> bool {
    let (Some(user), Some(_)) = (&args.user, &args.device) else { return true };
    let whole: serde_json::Value =
        serde_json::from_str(&event.cloud_trail_event).unwrap_or_default();
    let behind = whole["userIdentity"]["onBehalfOf"]["arn"].as_str().unwrap_or_default();
    event.username == *user || behind.rsplit('/').next() == Some(user)
}

/// Prints the events so far, oldest first, and then what happens, until somebody interrupts. As
/// JSON: one object a line.
async fn follow(
    context: &mut Context,
    args: &AuditArgs,
    since: Option<i64>,
) -> Result<(), Failure> {
    let newest = newest(context).await?;
    let first = search(context, args, since, args.limit as usize).await?;
    let mut shown = Shown { newest, printed: BTreeSet::new() };
    print(context.output, &shown.fresh(first.events))?;
    let mut told = false;
    loop {
        tokio::time::sleep(FOLLOW_POLL).await;
        match search(context, args, shown.since(), FOLLOW_MOST).await {
            Ok(found) => {
                told = false;
                if found.more {
                    complain(&format!(
                        "more than {FOLLOW_MOST} events came at once: older ones are left out"
                    ));
                }
                print(context.output, &shown.fresh(found.events))?;
            }
            Err(error) if error.may_heal() => {
                if !std::mem::replace(&mut told, true) {
                    complain(&format!("{error}; trying again until it works"));
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// When the newest event of all happened: the gateway's clock as far as it matters here.
async fn newest(context: &mut Context) -> Result<Option<i64>, Failure> {
    let request = LookupEventsRequest { max_results: Some(1), ..LookupEventsRequest::default() };
    let page: LookupEventsResponse = context.call(Operation::LookupEvents, &request).await?;
    Ok(page.events.first().map(|event| event.event_time.secs()))
}

/// Which events were printed.
struct Shown {
    /// When the newest one happened.
    newest: Option<i64>,
    /// Time and id of those that may be found again.
    printed: BTreeSet<(i64, String)>,
}

impl Shown {
    /// From when on to look again; from the beginning when nothing happened yet.
    fn since(&self) -> Option<i64> {
        self.newest.map(|newest| newest.saturating_sub(FOLLOW_AGAIN))
    }

    /// Those of these events that are new, oldest first.
    fn fresh(&mut self, mut events: Vec<Event>) -> Vec<Event> {
        let name = |event: &Event| (event.event_time.secs(), event.event_id.clone());
        events.retain(|event| self.printed.insert(name(event)));
        events.reverse();
        self.newest = self.newest.max(events.iter().map(|event| event.event_time.secs()).max());
        let since = self.since().unwrap_or(i64::MIN);
        self.printed = self.printed.split_off(&(since, String::new()));
        while self.printed.len() > FOLLOW_REMEMBERED {
            self.printed.pop_first();
        }
        events
    }
}

fn print(output: Output, events: &[Event]) -> Result<(), Failure> {
    if output.is_json() {
        return events
            .iter()
            .try_for_each(|event| output.stream(&one_line(&event.cloud_trail_event)));
    }
    if events.is_empty() {
        return Ok(());
    }
    let text = table(output, events);
    output.stream(text.split_once('\n').map_or("", |(_, rows)| rows))
}

fn table(output: Output, events: &[Event]) -> String {
    let row = |event: &Event| -> Vec<Cell> {
        let whole: serde_json::Value =
            serde_json::from_str(&event.cloud_trail_event).unwrap_or_default();
        let error = whole["errorCode"].as_str().unwrap_or_default().to_owned();
        vec![
            time_text(Some(event.event_time)).into(),
            event.username.clone().into(),
            event.event_name.clone().into(),
            event.resources.first().map(|resource| resource.resource_name.clone()).into(),
            whole["sourceIPAddress"].as_str().unwrap_or_default().into(),
            if error.is_empty() { Cell::Plain(error) } else { Cell::Bad(error) },
        ]
    };
    let rows: Vec<Vec<Cell>> = events.iter().map(row).collect();
    output.table(&["TIME", "USER", "EVENT", "RESOURCE", "FROM", "ERROR"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(user: Option<&str>, device: Option<&str>) -> AuditArgs {
        let [user, device] = [user, device].map(|text| text.map(str::to_owned));
        AuditArgs { user, device, since: None, limit: 50, follow: false }
    }

    fn event(id: &str, at: i64) -> Event {
        Event {
            event_id: id.to_owned(),
            event_name: "StartSession".to_owned(),
            read_only: "false".to_owned(),
            access_key_id: String::new(),
            event_time: EpochSeconds::from_secs(at),
            event_source: "ssm.amazonaws.com".to_owned(),
            username: "ann".to_owned(),
            resources: Vec::new(),
            cloud_trail_event: "{}".to_owned(),
        }
    }

    #[test]
    fn what_a_person_did_in_a_role_is_found_by_the_persons_name() {
        let behind = "arn:aws:iam::000000000000:user/eve";
        let mut event = event("a", 1);
        event.cloud_trail_event =
            format!(r#"{{"userIdentity":{{"onBehalfOf":{{"arn":"{behind}"}}}}}}"#);
        let asked = condition(&args(Some("eve"), None)).unwrap();
        assert_eq!((&*asked.attribute_key, &*asked.attribute_value), ("Username", "eve"));
        for (user, device, wanted) in [
            (Some("eve"), None, true),
            (Some("eve"), Some("mi-1"), true),
            (Some("ann"), Some("mi-1"), true),
            (Some("bob"), Some("mi-1"), false),
            // The gateway was asked for him, and knows better.
            (Some("bob"), None, true),
            (None, Some("mi-1"), true),
        ] {
            assert_eq!(is_wanted(&event, &args(user, device)), wanted, "{user:?} {device:?}");
        }
    }

    #[test]
    fn each_event_is_printed_once_oldest_first_whichever_look_finds_it() {
        let mut shown = Shown { newest: Some(100), printed: BTreeSet::new() };
        assert_eq!(shown.since(), Some(100 - FOLLOW_AGAIN));
        let ids = |events: Vec<Event>| events.into_iter().map(|e| e.event_id).collect::<Vec<_>>();
        assert_eq!(ids(shown.fresh(vec![event("b", 102), event("a", 101)])), ["a", "b"]);
        // One of the same second, and one that was stored late.
        let again = vec![event("c", 102), event("b", 102), event("late", 98), event("a", 101)];
        assert_eq!(ids(shown.fresh(again)), ["late", "c"]);
        assert_eq!(shown.since(), Some(102 - FOLLOW_AGAIN));
        assert!(shown.fresh(vec![]).is_empty());
        drop(shown.fresh(vec![event("d", 200)]));
        assert_eq!(shown.printed.len(), 1, "what cannot be found again is forgotten");
    }
}
