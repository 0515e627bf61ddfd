//! `cargo xtask fuzz [MINUTES] [TARGET...] [--write]`: every fuzz target of the tree, each for some
//! minutes of processor time.
//!
//! Data flow: manifests of the `fuzz` folders -> [`target`] -> built by cargo-fuzz with coverage,
//! on the stable compiler -> [`super::campaign`] runs each, one at a time -> [`super::table`] on
//! the terminal, and with `--write` in `docs/figures.md`.
//!
//! # Invariants
//! - Programs, corpora and crashing inputs are in the cache directory, not in the tree. The corpus
//!   of a target grows from run to run.
//! - `--write` with names writes the rows of these targets, so that a long run can be had in parts.
//! - A crash ends its target, not the run; the run then fails and says how to repeat each.
//!
//! # Not here
//! - AddressSanitizer: the crates that are fuzzed forbid `unsafe`, and the one file of the agent
//!   that has it is behind none of the targets.

use std::time::Duration;

use towline_testkit::{Outcome, Trouble};

use super::campaign::Campaign;
use super::target::Target;
use super::{table, target};
use crate::console;

/// Processor time of each target unless told otherwise.
const MINUTES: f64 = 1.0;
/// Longest time of one target that is taken: a week.
const MOST_MINUTES: f64 = 10_080.0;

/// Runs the words behind `fuzz`.
///
/// # Errors
/// A target that is none, a build that failed, a crash.
pub(crate) fn command(words: &[&str]) -> Outcome {
    let order = Order::parse(words)?;
    let all = target::all()?;
    let chosen = order.choose(&all)?;
    target::build(&chosen)?;
    let mut campaigns = Vec::new();
    for target in chosen {
        console::step(&format!("fuzz {target}, {} minutes of processor time", order.minutes));
        campaigns.push(Campaign::run(target, order.time())?);
    }
    let rows = table::rows(&campaigns, &table::commit());
    console::table(&rows);
    if order.write {
        table::write(&rows)?;
    }
    judge(&campaigns)
}

/// What was asked for.
#[derive(Debug, PartialEq)]
struct Order {
    minutes: f64,
    names: Vec<String>,
    write: bool,
}

impl Order {
    fn parse(words: &[&str]) -> Outcome<Self> {
        let mut order = Self { minutes: MINUTES, names: Vec::new(), write: false };
        for word in words {
            match (*word, word.parse::<f64>()) {
                ("--write", _) => order.write = true,
                (_, Ok(minutes)) if minutes > 0.0 && minutes <= MOST_MINUTES => {
                    order.minutes = minutes;
                }
                (_, Ok(_)) => {
                    let text = format!("minutes must be more than 0 and at most {MOST_MINUTES}");
                    return Err(Trouble::new(text));
                }
                (name, Err(_)) => order.names.push(name.to_owned()),
            }
        }
        Ok(order)
    }

    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }

    /// The targets of these names, `TARGET` or `CRATE/TARGET`; all, if none was named.
    fn choose<'t>(&self, all: &'t [Target]) -> Outcome<Vec<&'t Target>> {
        if self.names.is_empty() {
            return Ok(all.iter().collect());
        }
        let mut chosen = Vec::new();
        for name in &self.names {
            let before = chosen.len();
            chosen.extend(all.iter().filter(|target| target.is_called(name)));
            if chosen.len() == before {
                let known: Vec<String> = all.iter().map(ToString::to_string).collect();
                let known = known.join(", ");
                return Err(Trouble::new(format!("no fuzz target {name}; there are: {known}")));
            }
        }
        Ok(chosen)
    }
}

/// Fails if any target crashed, with the way to repeat each crash.
fn judge(campaigns: &[Campaign<'_>]) -> Outcome {
    let crashed: Vec<String> = campaigns.iter().filter_map(Campaign::repeated).collect();
    if crashed.is_empty() {
        return Ok(());
    }
    Err(Trouble::new(format!("{} targets crashed:\n{}", crashed.len(), crashed.join("\n"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_targets_and_the_option_come_in_any_order() {
        let order = Order::parse(&["yaml", "--write", "0.5", "wire/frame"]).unwrap();
        let names = vec!["yaml".to_owned(), "wire/frame".to_owned()];
        assert_eq!(order, Order { minutes: 0.5, names, write: true });
        assert_eq!(order.time(), Duration::from_secs(30));
        assert!(Order::parse(&["0"]).is_err() && Order::parse(&["-1"]).is_err());
    }

    #[test]
    fn every_parser_that_strangers_reach_has_a_target() {
        let all = target::all().unwrap();
        for name in [
            "agent/config",
            "agent/form",
            "agent/proxy",
            "evidence/recording",
            "evidence/sanitise",
            "evidence/trail",
            "evidence/typed",
            "policy/canonical",
            "oidc/answer",
            "oidc/discovery",
            "oidc/groups",
            "oidc/key_set",
            "oidc/token",
            "oidc/userinfo",
            "policy/document",
            "ssm/message",
            "ssm/signature",
            "ssm/yaml",
            "wire/copy",
            "wire/frame",
            "wire/smux_parser",
        ] {
            let order = Order { minutes: 1.0, names: vec![name.to_owned()], write: false };
            assert_eq!(order.choose(&all).unwrap().len(), 1, "{name}");
        }
        let order = Order { minutes: 1.0, names: vec!["nothing".into()], write: false };
        assert!(order.choose(&all).unwrap_err().to_string().contains("wire/frame"));
    }
}
