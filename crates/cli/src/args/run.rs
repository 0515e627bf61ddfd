//! `towline run` and `towline outputs`.

use clap::{ArgGroup, Args, ValueEnum};

use super::value::parse_tag;

/// `run`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["document", "command"]))]
pub(crate) struct RunArgs {
    /// Target: id, name, tag:KEY=VALUE, tag-key:KEY or `all`; repeatable (same tag: any value
    /// matches; different tags: all must match)
    #[arg(short, long = "target", required = true, value_name = "TARGET")]
    pub target: Vec<String>,
    /// Maximum number or percentage of devices at a time
    #[arg(long, default_value = "50", value_name = "N|N%")]
    pub concurrency: String,
    /// Stop sending after more errors than this number or percentage
    #[arg(long, default_value = "0", value_name = "N|N%")]
    pub max_errors: String,
    /// Run this document instead of a command
    #[arg(long, value_name = "NAME")]
    pub document: Option<String>,
    /// Parameter of the document; repeat it to add a value
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_tag)]
    pub param: Vec<(String, String)>,
    /// Time in which offline devices can still receive the command, seconds
    #[arg(long, default_value_t = 3600, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(30..=2_592_000))]
    pub deliver_within: u32,
    /// Execution time limit on the device, seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=172_800))]
    pub timeout: Option<u32>,
    /// Working directory on the device
    #[arg(long, value_name = "FOLDER")]
    pub directory: Option<String>,
    /// Comment, shown in lists
    #[arg(long)]
    pub comment: Option<String>,
    /// Show the live output of this device
    #[arg(long, value_name = "DEVICE", conflicts_with = "detach")]
    pub watch: Option<String>,
    /// Print the command id and do not wait
    #[arg(long)]
    pub detach: bool,
    /// One argument: a shell command line. Several: a program and its arguments, passed unchanged
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `outputs`.
#[derive(Debug, Args)]
pub(crate) struct OutputsArgs {
    /// Command id, as printed by `towline run`
    pub command: String,
    /// Device: id or name; without it, all devices that received the command
    pub device: Option<String>,
    /// Only this step of the document
    #[arg(long, value_name = "NAME")]
    pub step: Option<String>,
    /// Only this stream
    #[arg(long, value_enum, value_name = "STREAM")]
    pub stream: Option<StreamName>,
}

/// A stream of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamName {
    /// Standard output
    Stdout,
    /// Standard error
    Stderr,
}
