//! The command line of recordings and logs: `play`, `export`, `verify`, `logs`, `commands`,
//! `audit`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `play`.
#[derive(Debug, Args)]
pub(crate) struct PlayArgs {
    /// Session id or file (.cast or .cast.gz)
    pub recording: String,
    /// Playback speed, 1 = original
    #[arg(long, default_value_t = 1.0, value_parser = parse_speed)]
    pub speed: f64,
    /// Maximum pause between events, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = parse_seconds)]
    pub idle_limit: f64,
    /// Start position in seconds; earlier output is shown at once
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = parse_seconds)]
    pub from: f64,
}

/// `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Session id or file (.cast or .cast.gz)
    pub recording: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = ExportFormat::Cast)]
    pub format: ExportFormat,
    /// With --format svg: time to draw, seconds after the start [default: the end]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub at: Option<f64>,
}

/// Forms of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// asciicast v2, as it was recorded.
    Cast,
    /// Text without colours and cursor movements.
    Txt,
    /// The facts, then one object per event.
    Json,
    /// A picture of the terminal at one moment.
    Svg,
}

/// `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Recording (.cast or .cast.gz), sink directory, or session id to fetch from the gateway
    pub path: PathBuf,
    /// Public key as hex digits or file (the gateway's evidence.pub); required for a directory
    #[arg(long)]
    pub key: Option<String>,
    /// Checkpoint from an earlier verify that one of the chains must still contain; may be repeated
    #[arg(long, value_name = "NUMBER:HEAD")]
    pub checkpoint: Vec<String>,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|speed| (0.05..=1000.0).contains(speed))
        .ok_or_else(|| "expected 0.05 to 1000".to_owned())
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|s| (0.0..=1e9).contains(s))
        .ok_or_else(|| "expected seconds, 0 or more".to_owned())
}

/// `audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only events of this user
    #[arg(long)]
    pub user: Option<String>,
    /// Only events about this device (id)
    #[arg(long)]
    pub device: Option<String>,
    /// Only events since: 90s, 15m, 2h, 7d ago, or a time such as 2026-11-25T17:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub since: Option<Since>,
    /// Maximum number of events, newest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Keep printing new events, oldest first, until interrupted
    #[arg(long)]
    pub follow: bool,
}

/// A point in time, as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// Seconds ago.
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
                "expected a duration such as 90s, 15m, 2h, 7d, or a time such as \
                 2026-11-25T17:00:00Z"
                    .to_owned()
            });
        }
    };
    let number: u64 =
        digits.parse().map_err(|_| "expected a whole number before the unit".to_owned())?;
    Ok(Since::Ago(number.saturating_mul(unit)))
}

/// `logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Only sessions of this user (ARN)
    #[arg(long)]
    pub owner: Option<String>,
    /// Only sessions on this device: id, name, or tag:KEY=VALUE if exactly one device matches
    #[arg(long)]
    pub device: Option<String>,
    /// Maximum number of sessions, newest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// `commands`.
#[derive(Debug, Args)]
pub(crate) struct CommandsArgs {
    /// Session id, or command id of `towline run`
    pub session: String,
    /// Device, if the command ran on several: id or name, as listed by `towline devices`
    #[arg(long)]
    pub device: Option<String>,
    /// Maximum number of commands, oldest first
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}
