//! `health`: the state of the gateway itself.

use towline_ssm::Operation;
use towline_ssm::api::health::{Counted, GetHealthRequest, GetHealthResult};

use super::context::{Context, time_text};
use crate::exit::Failure;
use crate::output::{Cell, Output};

/// Asks for it and shows it.
pub(super) async fn show(context: &mut Context) -> Result<(), Failure> {
    let health: GetHealthResult =
        context.call(Operation::GetHealth, &GetHealthRequest::default()).await?;
    context.output.answer(&health, |output| table(output, &health))
}

fn table(output: Output, health: &GetHealthResult) -> String {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut row = |name: &str, value: String| {
        rows.push(vec![name.to_owned().into(), value.into()]);
    };
    row("ready", if health.ready { "yes" } else { "no" }.to_owned());
    for complaint in &health.complaints {
        row("to do", complaint.clone());
    }
    for node in &health.nodes {
        let since = time_text(Some(node.started_date));
        let (name, version, links) = (&node.name, &node.version, node.links);
        row("node", format!("{name}: version {version}, since {since}, {links} links of agents"));
    }
    row("devices", counted(&health.devices));
    row("agents", versions(&health.agent_versions));
    row("open sessions", counted(&health.sessions));
    row("open invocations", counted(&health.invocations));
    row("certificate", format!("until {}", time_text(Some(health.certificate.not_after))));
    if let Some(free) = health.disk.free_bytes {
        let floor = health.disk.floor_bytes >> 20;
        row("disk", format!("{} MiB free, recording pauses below {floor} MiB", free >> 20));
    }
    let sink = &health.sink;
    let oldest = sink.oldest_date.map(|at| format!(", the oldest since {}", time_text(Some(at))));
    row(
        "waiting for the sink",
        format!(
            "{}{} files, {} MiB{}; {} in quarantine",
            if sink.more { "more than " } else { "" },
            sink.waiting_files,
            sink.waiting_bytes >> 20,
            oldest.unwrap_or_default(),
            sink.quarantined_files
        ),
    );
    output.table(&["WHAT", "STATE"], &rows)
}

fn counted(groups: &[Counted]) -> String {
    if groups.is_empty() {
        return "none".to_owned();
    }
    let one = |group: &Counted| format!("{} {}", group.count, printable(&group.name));
    groups.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// How many agents have each version.
fn versions(groups: &[Counted]) -> String {
    if groups.is_empty() {
        return "none".to_owned();
    }
    let one = |group: &Counted| format!("{} of version {}", group.count, printable(&group.name));
    groups.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// An agent that names no version is counted, too.
fn printable(name: &str) -> &str {
    if name.is_empty() { "unknown" } else { name }
}
