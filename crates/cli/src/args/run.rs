//! `towline run`.

use clap::Args;

use super::value::parse_tag;

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Whom: an id, a name, tag:KEY=VALUE, tag-key:KEY, or `all`; may be repeated (values of one
    /// tag: any of them; several tags: all of them)
    #[arg(short, long = "target", required = true, value_name = "TARGET")]
    pub target: Vec<String>,
    /// How many devices at once: a number or a percentage
    #[arg(long, default_value = "50", value_name = "N|N%")]
    pub concurrency: String,
    /// Stop giving it to further devices after more errors than this: a number or a percentage
    #[arg(long, default_value = "0", value_name = "N|N%")]
    pub max_errors: String,
    /// Run this document instead of a command
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "command",
        conflicts_with = "command"
    )]
    pub document: Option<String>,
    /// A parameter of the document; repeated for each further value of a list
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_tag)]
    pub param: Vec<(String, String)>,
    /// Devices that are away get it when they are back within so many seconds
    #[arg(long, default_value_t = 3600, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(30..=2_592_000))]
    pub deliver_within: u32,
    /// The device ends it after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=172_800))]
    pub timeout: Option<u32>,
    /// Where it runs on the device
    #[arg(long, value_name = "FOLDER")]
    pub directory: Option<String>,
    /// For people, shown in lists
    #[arg(long)]
    pub comment: Option<String>,
    /// Show the output of this device as it comes
    #[arg(long, value_name = "DEVICE", conflicts_with = "detach")]
    pub watch: Option<String>,
    /// Print the command's id and do not wait for it
    #[arg(long)]
    pub detach: bool,
    /// One argument: a line for the shell. Several: a program and its arguments, as they are
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
