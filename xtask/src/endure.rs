//! `cargo xtask endure [KILLS]`: link, agent and gateway are killed at random while a device
//! executes programs; what the command log says afterwards, as a table.

use std::time::Instant;

use towline_testkit::endure::{Balance, run as endure};
use towline_testkit::lab::Lab;
use towline_testkit::{Outcome, Trouble};

use crate::{console, programs, setup};

/// Kills unless the command line gives another number.
pub(crate) const KILLS: usize = 200;

/// Builds, kills, prints. A record that is twice in the store, or missing without a gap, is an
/// error.
///
/// # Errors
/// See above; or something does not come back.
pub(crate) fn report(kills: usize) -> Outcome {
    let python = setup::python()?;
    programs::shipped()?;
    let mut lab = Lab::start()?;
    let mut device = lab.device()?;
    console::step(&format!("{kills} kills"));
    let start = Instant::now();
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let balance = endure(&mut lab, &mut device, kills, &python, seed)?;
    console::table(&rows(&balance));
    console::line(&format!("in {:.0} s, seed {seed}", start.elapsed().as_secs_f64()));
    if balance.nowhere + balance.doubled + balance.holes > 0 {
        return Err(Trouble::new("a record was lost without a gap, or stored twice"));
    }
    Ok(())
}

fn rows(balance: &Balance) -> Vec<Vec<String>> {
    [
        ("kills of the link", balance.kills[0]),
        ("kills of the agent", balance.kills[1]),
        ("kills of the gateway", balance.kills[2]),
        ("sessions", balance.sessions),
        ("programs executed to their end", balance.programs),
        ("... on record, once", balance.on_record),
        ("... in a gap behind a killed agent's last record", balance.in_gaps),
        ("records of programs without arguments", balance.unread),
        ("... nowhere", balance.nowhere),
        ("... on record twice", balance.doubled),
        ("rows of the store", balance.rows),
        ("... of these gaps", balance.gaps),
        ("numbers that no row covers", balance.holes),
    ]
    .map(|(what, number)| vec![what.to_owned(), number.to_string()])
    .to_vec()
}
