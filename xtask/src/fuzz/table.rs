//! The table of a run.
//!
//! # Invariants
//! - A run of some targets writes their rows alone: the others keep the row of their own run, with
//!   its time and its commit.

use std::process::Command;

use towline_testkit::Outcome;
use towline_testkit::lab::programs::workspace;

use super::campaign::Campaign;
use crate::figures::{self, grouped};

/// The table's name in `docs/figures.md`.
const NAME: &str = "fuzz";

/// Its rows, the heading first. `commit` is what was tried.
pub(crate) fn rows(campaigns: &[Campaign<'_>], commit: &str) -> Vec<Vec<String>> {
    let heading =
        ["target", "minutes", "executions", "a second", "corpus", "features", "crashes", "commit"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(campaigns.iter().map(|campaign| row(campaign, commit)));
    rows
}

fn row(campaign: &Campaign<'_>, commit: &str) -> Vec<String> {
    let Campaign { target, executions, time, corpus, features, crash } = campaign;
    vec![
        target.to_string(),
        format!("{:.2}", time.as_secs_f64() / 60.0),
        grouped(*executions),
        grouped(campaign.rate()),
        grouped(*corpus),
        grouped(*features),
        u8::from(crash.is_some()).to_string(),
        commit.to_owned(),
    ]
}

/// The commit that is tried, shortened; a dash where git does not know it.
pub(crate) fn commit() -> String {
    let mut git = Command::new("git");
    git.current_dir(workspace()).args(["rev-parse", "--short=8", "HEAD"]);
    let said = git.output().ok().filter(|said| said.status.success());
    said.map_or_else(|| "-".into(), |said| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// Puts the rows into `docs/figures.md`, in place of those of the same targets.
///
/// # Errors
/// The document has no place for them.
pub(crate) fn write(rows: &[Vec<String>]) -> Outcome {
    let before = figures::read(NAME)?;
    figures::write(NAME, &figures::markdown(&merged(&before, rows)))
}

/// The rows of `new`, with those of `before` whose target `new` has not, in the order of `before`.
fn merged(before: &[Vec<String>], new: &[Vec<String>]) -> Vec<Vec<String>> {
    let Some((heading, tried)) = new.split_first() else {
        return before.to_vec();
    };
    let old = before.iter().skip(1).filter(|row| row.len() == heading.len());
    let mut rows = vec![heading.clone()];
    rows.extend(old.map(|row| of_target(tried, row).unwrap_or(row).clone()));
    let added: Vec<_> =
        tried.iter().filter(|row| of_target(&rows, row).is_none()).cloned().collect();
    rows.extend(added);
    rows
}

/// The row with the target of `like`.
fn of_target<'r>(rows: &'r [Vec<String>], like: &[String]) -> Option<&'r Vec<String>> {
    rows.iter().find(|row| row.first() == like.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 2]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect()
    }

    #[test]
    fn a_run_of_some_targets_keeps_the_rows_of_the_others() {
        let before = table(&[["target", "minutes"], ["wire/frame", "1"], ["ssm/yaml", "1"]]);
        let new = table(&[["target", "minutes"], ["ssm/yaml", "15"], ["oidc/token", "15"]]);
        let all =
            [["target", "minutes"], ["wire/frame", "1"], ["ssm/yaml", "15"], ["oidc/token", "15"]];
        assert_eq!(merged(&before, &new), table(&all));
    }

    #[test]
    fn rows_of_another_form_are_left_behind() {
        let before = vec![vec!["target".to_owned()], vec!["wire/frame".to_owned()]];
        let new = table(&[["target", "minutes"], ["ssm/yaml", "15"]]);
        assert_eq!(merged(&before, &new), new);
    }
}
