//! `logs`, `play`, `export` and `verify` of what the gateway has.
//!
//! # Invariants
//! - A recording is fetched into an unnamed file, piece by piece: memory is one piece, and nothing
//!   is left behind.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use towline_ssm::Operation;
use towline_ssm::api::evidence::{GetRecordingRequest, GetRecordingResponse};
use towline_ssm::api::session::{
    DescribeSessionsRequest, DescribeSessionsResponse, Session, SessionFilter,
};
use towline_ssm::clock::EpochSeconds;

use super::cast_file::Lines;
use super::context::{Context, time_text};
use super::{export as exporter, play as player, sessions, verify as verifier};
use crate::args::evidence::{ExportArgs, LogsArgs, PlayArgs, VerifyArgs};
use crate::args::session::SessionsArgs;
use crate::exit::Failure;
use crate::output::{Cell, complain};
use crate::platform::create_private;

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
        let mut file = unnamed()?;
        let (next, bytes) = fetch_part(context, &name, &mut file).await?;
        if bytes > 0 {
            parts.push((name.clone(), rewound(file, &name)?));
        } else {
            parts.push((name.clone(), Lines::of(io::empty(), name.clone())?));
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

/// A file without a name, which nobody else can open: it is gone with this process.
fn unnamed() -> Result<File, Failure> {
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| local(io::Error::other("no randomness")))?;
    let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = std::env::temp_dir().join(format!("towline-{name}"));
    let file = create_private(&path).map_err(local)?;
    std::fs::remove_file(&path).map_err(local)?;
    Ok(file)
}

fn local(why: io::Error) -> Failure {
    Failure::Local { what: "cannot create a temporary file for the recording".to_owned(), why }
}

fn rewound(mut file: File, name: &str) -> Result<Lines, Failure> {
    file.seek(SeekFrom::Start(0)).map_err(local)?;
    Lines::of(file, name.to_owned())
}

/// All parts of a recording, one after the other.
async fn fetch(context: &mut Context, session: &str) -> Result<Lines, Failure> {
    let (mut file, mut name) = (unnamed()?, session.to_owned());
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

/// The time of this machine, seconds since 1970.
pub(super) fn now() -> i64 {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
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
