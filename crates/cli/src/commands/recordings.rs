//! `logs`, `play`, `export` and `audit` of what the gateway has.
//!
//! # Invariants
//! - A recording is fetched into an unnamed file, piece by piece: memory is one piece, and nothing
//!   is left behind.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use towline_ssm::Operation;
use towline_ssm::api::evidence::{
    Event, GetRecordingRequest, GetRecordingResponse, LookupAttribute, LookupEventsRequest,
    LookupEventsResponse,
};
use towline_ssm::api::session::{
    DescribeSessionsRequest, DescribeSessionsResponse, Session, SessionFilter,
};
use towline_ssm::clock::EpochSeconds;

use super::cast_file::Lines;
use super::context::{Context, time_text};
use super::{export as exporter, play as player, sessions, verify as verifier};
use crate::args::evidence::{AuditArgs, ExportArgs, LogsArgs, PlayArgs, Since, VerifyArgs};
use crate::args::session::SessionsArgs;
use crate::exit::Failure;
use crate::limits::{FOLLOW_POLL, FOLLOW_REMEMBERED, PAGE};
use crate::output::{Cell, Output, complain};

/// `play` of a session.
pub(super) async fn play(context: &mut Context, args: &PlayArgs) -> Result<(), Failure> {
    let lines = fetch(context, &args.recording).await?;
    player::play(lines, args, context.output).await
}

/// `export` of a session.
pub(super) async fn export(context: &mut Context, args: &ExportArgs) -> Result<(), Failure> {
    let lines = fetch(context, &args.recording).await?;
    exporter::export(lines, args, context.output)
}

/// `verify` of a session: what the gateway hands out, by its own seals, part by part.
pub(super) async fn verify(context: &mut Context, args: &VerifyArgs) -> Result<(), Failure> {
    let session = args.path.to_string_lossy();
    let (mut name, mut parts) = (session.to_string(), Vec::new());
    loop {
        let mut file = unnamed(&session)?;
        let (next, bytes) = fetch_part(context, &name, &mut file).await?;
        if bytes > 0 {
            parts.push((name.clone(), rewound(file, &name)?));
        } else {
            parts.push((name.clone(), Lines::of(std::io::empty(), name.clone())?));
        }
        match next {
            Some(next) => name = next,
            None => break,
        }
    }
    let open = is_active(context, &session).await;
    verifier::session(parts, open, context.output)
}

/// Whether the gateway lists the session as active. Where the caller may not list sessions, it
/// counts as ended.
async fn is_active(context: &mut Context, session: &str) -> bool {
    let filters = Some(vec![SessionFilter { key: "SessionId".into(), value: session.into() }]);
    let request = DescribeSessionsRequest {
        state: "Active".to_owned(),
        max_results: Some(1),
        next_token: None,
        filters,
    };
    let answer: Result<DescribeSessionsResponse, _> =
        context.call(Operation::DescribeSessions, &request).await;
    answer.is_ok_and(|answer| answer.sessions.iter().any(|one| one.session_id == session))
}

/// A file without a name: it is gone with this process.
fn unnamed(session: &str) -> Result<File, Failure> {
    let path = std::env::temp_dir().join(format!("towline-{}-{session}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
    let file = file.map_err(local)?;
    std::fs::remove_file(&path).map_err(local)?;
    Ok(file)
}

fn local(why: std::io::Error) -> Failure {
    Failure::Local { what: "cannot create a temporary file for the recording".to_owned(), why }
}

fn rewound(mut file: File, name: &str) -> Result<Lines, Failure> {
    file.seek(SeekFrom::Start(0)).map_err(local)?;
    Lines::of(file, name.to_owned())
}

/// All parts of a recording, one after the other.
async fn fetch(context: &mut Context, session: &str) -> Result<Lines, Failure> {
    let (mut file, mut name) = (unnamed(session)?, session.to_owned());
    loop {
        let (next, bytes) = fetch_part(context, &name, &mut file).await?;
        let Some(next) = next else { break };
        if bytes == 0 {
            complain(&format!("{name} is at a gateway that does not answer: it is left out"));
        }
        name = next;
    }
    rewound(file, session)
}

/// Adds a part of a recording to the file; the name of the next part, and the bytes of this one.
async fn fetch_part(
    context: &mut Context,
    name: &str,
    file: &mut File,
) -> Result<(Option<String>, u64), Failure> {
    let mut request = GetRecordingRequest { session_id: name.to_owned(), ..Default::default() };
    let mut all = 0;
    loop {
        let piece: GetRecordingResponse = context.call(Operation::GetRecording, &request).await?;
        let bytes = STANDARD
            .decode(&piece.data)
            .map_err(|e| Failure::BadDocument(format!("invalid answer of the gateway: {e}")))?;
        file.write_all(&bytes).map_err(local)?;
        all += bytes.len() as u64;
        match piece.next_offset.filter(|next| *next > request.offset) {
            Some(next) => request.offset = next,
            None => {
                if !piece.silent_gateways.is_empty() {
                    let silent = piece.silent_gateways.join(", ");
                    complain(&format!(
                        "a part after {name} may be missing: no answer from the gateways {silent}"
                    ));
                }
                return Ok((piece.next_part.filter(|next| next != name), all));
            }
        }
    }
}

/// `logs`.
pub(super) async fn logs(context: &mut Context, args: LogsArgs) -> Result<(), Failure> {
    // What goes on is on record as well, as far as it has come.
    let asked = |history, limit| SessionsArgs {
        detached: false,
        history,
        owner: args.owner.clone(),
        device: args.device.clone(),
        limit,
    };
    let mut sessions = sessions::fetch(context, asked(false, args.limit)).await?;
    let left = args.limit.saturating_sub(u32::try_from(sessions.len()).unwrap_or(u32::MAX));
    if left > 0 {
        sessions.extend(sessions::fetch(context, asked(true, left)).await?);
    }
    let answer = DescribeSessionsResponse { sessions, next_token: None };
    context.output.answer(&answer, |output| {
        let rows: Vec<Vec<Cell>> = answer.sessions.iter().map(log_row).collect();
        let head = [
            "SESSION",
            "USER",
            "DEVICE",
            "STARTED",
            "LASTED",
            "COMMANDS",
            "SIZE",
            "INPUT",
            "ENDED",
            "RECORDING",
        ];
        output.table(&head, &rows)
    })
}

/// Bytes for people: at most four digits and a unit.
fn size(bytes: i64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let Some((unit, one)) = units.into_iter().find(|(_, one)| bytes >= *one) else {
        return format!("{bytes} B");
    };
    let tenths = bytes.saturating_mul(10) / one;
    if tenths < 100 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", tenths / 10)
    }
}

fn log_row(session: &Session) -> Vec<Cell> {
    let lasted = session
        .end_date
        .map_or_else(now, EpochSeconds::secs)
        .saturating_sub(session.start_date.secs())
        .max(0);
    let goes_on = session.end_date.is_none().then(|| "active".to_owned());
    let unknown = || "-".to_owned();
    let place = session.output_url.as_ref().and_then(|url| url.s3_output_url.as_deref());
    vec![
        session.session_id.clone().into(),
        session.owner.rsplit('/').next().unwrap_or_default().into(),
        session.target.clone().into(),
        time_text(Some(session.start_date)).into(),
        format!("{}:{:02}:{:02}", lasted / 3600, lasted / 60 % 60, lasted % 60).into(),
        session.towline_commands.map_or_else(unknown, |number| number.to_string()).into(),
        session.towline_recording_bytes.map_or_else(unknown, size).into(),
        if session.towline_input_recorded == Some(true) { "yes" } else { "" }.into(),
        goes_on.or_else(|| session.details.clone()).into(),
        place.and_then(|url| url.rsplit('/').next()).unwrap_or_default().into(),
    ]
}

/// `audit`.
pub(super) async fn audit(context: &mut Context, args: AuditArgs) -> Result<(), Failure> {
    let since = args.since.map(|since| match since {
        Since::Ago(seconds) => now().saturating_sub(i64::try_from(seconds).unwrap_or(i64::MAX)),
        Since::At(at) => at,
    });
    let events = search(context, &args, since).await?;
    if !args.follow {
        let answer = LookupEventsResponse { events, next_token: None };
        return context.output.answer(&answer, |output| table(output, &answer.events));
    }
    follow(context, &args, events).await
}

fn now() -> i64 {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Events since then, newest first, within the limit.
async fn search(
    context: &mut Context,
    args: &AuditArgs,
    since: Option<i64>,
) -> Result<Vec<Event>, Failure> {
    let condition = |key: &str, value: &str| LookupAttribute {
        attribute_key: key.to_owned(),
        attribute_value: value.to_owned(),
    };
    // The API takes one condition; a second one is applied here.
    let chosen = args.device.as_deref().map(|device| condition("ResourceName", device));
    let chosen = chosen.or(args.user.as_deref().map(|user| condition("Username", user)));
    let mut request = LookupEventsRequest {
        lookup_attributes: chosen.into_iter().collect(),
        start_time: since.map(EpochSeconds::from_secs),
        max_results: Some(PAGE),
        ..LookupEventsRequest::default()
    };
    let by_user = |event: &Event| args.user.as_ref().is_none_or(|user| event.username == *user);
    let mut events = Vec::new();
    // A page may be empty and still have a token: the gateway searches a bounded number of lines at
    // once.
    while events.len() < args.limit as usize {
        let page: LookupEventsResponse = context.call(Operation::LookupEvents, &request).await?;
        events.extend(page.events.into_iter().filter(by_user));
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    events.truncate(args.limit as usize);
    Ok(events)
}

/// Prints these events, oldest first, and then what happens, until somebody interrupts. As JSON:
/// one object a line.
async fn follow(
    context: &mut Context,
    args: &AuditArgs,
    mut events: Vec<Event>,
) -> Result<(), Failure> {
    let mut shown: VecDeque<String> = VecDeque::new();
    // Everything that comes within the second of the last event is looked at again: times are whole
    // seconds.
    let mut since = now();
    loop {
        events.retain(|event| !shown.contains(&event.event_id));
        events.reverse();
        for event in &events {
            shown.push_back(event.event_id.clone());
            since = since.max(event.event_time.secs());
        }
        while shown.len() > FOLLOW_REMEMBERED {
            shown.pop_front();
        }
        if context.output.is_json() {
            for event in &events {
                context.output.text(&format!("{}\n", event.cloud_trail_event))?;
            }
        } else if !events.is_empty() {
            let text = table(context.output, &events);
            let rows = text.split_once('\n').map_or("", |(_, rows)| rows);
            context.output.text(rows)?;
        }
        tokio::time::sleep(FOLLOW_POLL).await;
        events = search(context, args, Some(since - 1)).await?;
    }
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
    use super::size;

    #[test]
    fn a_size_has_at_most_four_digits_and_a_unit() {
        let sizes = [0, 1023, 1024, 10_200, 10_240, 1_047_552, 1_048_576, 5 << 30].map(size);
        assert_eq!(
            sizes,
            ["0 B", "1023 B", "1.0 KiB", "9.9 KiB", "10 KiB", "1023 KiB", "1.0 MiB", "5.0 GiB"]
        );
    }
}
