//! The table of a run.

use towline_testkit::Outcome;

use super::campaign::Campaign;
use crate::figures::{self, grouped};

/// Its rows, the heading first.
pub(crate) fn rows(campaigns: &[Campaign<'_>]) -> Vec<Vec<String>> {
    let heading = ["target", "executions", "a second", "corpus", "features", "crashes"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(campaigns.iter().map(row));
    rows
}

fn row(campaign: &Campaign<'_>) -> Vec<String> {
    let Campaign { target, executions, corpus, features, crash, .. } = campaign;
    vec![
        target.to_string(),
        grouped(*executions),
        grouped(campaign.rate()),
        grouped(*corpus),
        grouped(*features),
        u8::from(crash.is_some()).to_string(),
    ]
}

/// Puts the rows into `docs/figures.md`.
///
/// # Errors
/// The document has no place for them.
pub(crate) fn write(rows: &[Vec<String>]) -> Outcome {
    figures::write("fuzz", &figures::markdown(rows))
}
