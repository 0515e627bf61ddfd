//! The command line of what is on record: `play`, `export`, `verify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `play`.
#[derive(Debug, Args)]
pub(crate) struct PlayArgs {
    /// A session's id, or a file (.cast or .cast.gz)
    pub recording: String,
    /// So many times as fast
    #[arg(long, default_value_t = 1.0, value_parser = parse_speed)]
    pub speed: f64,
    /// No pause is longer than so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = parse_seconds)]
    pub idle_limit: f64,
    /// Begin so many seconds after the start: what was before is shown at once
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = parse_seconds)]
    pub from: f64,
}

/// `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A session's id, or a file (.cast or .cast.gz)
    pub recording: String,
    /// As what
    #[arg(long, value_enum, default_value_t = ExportFormat::Cast)]
    pub format: ExportFormat,
    /// With svg: the moment to draw, seconds after the start [default: the end]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub at: Option<f64>,
}

/// Forms of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// asciicast v2, as it was recorded.
    Cast,
    /// Text, without colours and movements.
    Txt,
    /// Its facts, and one object for each event.
    Json,
    /// A picture of the terminal at one moment.
    Svg,
}

/// `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A recording (.cast or .cast.gz), or a folder: everything in a sink. Or the id of a session,
    /// to be fetched from the gateway
    pub path: PathBuf,
    /// The public key, as hex digits or as a file that holds them (evidence.pub of the gateway);
    /// for a folder
    #[arg(long)]
    pub key: Option<String>,
    /// A checkpoint that was seen before, as verify printed it: the chain must still hold it
    #[arg(long, value_name = "NUMBER:HEAD")]
    pub checkpoint: Option<String>,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|speed| (0.05..=1000.0).contains(speed))
        .ok_or_else(|| "0.05 to 1000".to_owned())
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|s| (0.0..=1e9).contains(s))
        .ok_or_else(|| "seconds, 0 or more".to_owned())
}

/// `audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only what this user did
    #[arg(long)]
    pub user: Option<String>,
    /// Only what was about this device (its id)
    #[arg(long)]
    pub device: Option<String>,
    /// Only since then: 90s, 15m, 2h, 7d ago, or a time such as 2026-11-25T17:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub since: Option<Since>,
    /// At most so many events, the newest
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// Go on with what happens from now on, oldest first, until interrupted
    #[arg(long)]
    pub follow: bool,
}

/// A point in time, as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// So many seconds ago.
    Ago(u64),
    /// Seconds since the epoch.
    At(i64),
}

fn parse_since(text: &str) -> Result<Since, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => {
            return towline_ssm::clock::parse_iso8601(text).map(Since::At).ok_or_else(|| {
                "a span like 90s, 15m, 2h, 7d, or a time like 2026-11-25T17:00:00Z".to_owned()
            });
        }
    };
    let number: u64 = digits.parse().map_err(|_| "a whole number before the unit".to_owned())?;
    Ok(Since::Ago(number.saturating_mul(unit)))
}

/// `logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Only sessions of this user (its ARN)
    #[arg(long)]
    pub owner: Option<String>,
    /// Only sessions on this device: id, name, or tag:KEY=VALUE when one device matches
    #[arg(long)]
    pub device: Option<String>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
}

/// `commands`.
#[derive(Debug, Args)]
pub(crate) struct CommandsArgs {
    /// The session's id, or that of a command (`towline run`)
    pub session: String,
    /// On this device, when a command was for several: id, or a name as `towline devices` has it
    #[arg(long)]
    pub device: Option<String>,
    /// At most so many, the first
    #[arg(long, default_value_t = 100_000)]
    pub limit: u32,
}
