//! `cargo xtask endure [KILLS]` and `cargo xtask endure cuts [N]`.
//!
//! The first: link, agent and gateway are killed at random while a device
//! executes programs; what the command log says afterwards, as a table. The second: links are cut
//! at both ends of running shells, and every byte is compared.

use std::time::Instant;

use towline_testkit::cuts::{SHELLS, run as cut};
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

/// Cuts unless the command line gives another number.
pub(crate) const CUTS: u64 = 10_000;

/// Builds, cuts, prints. A byte that is lost, doubled or changed is an error.
///
/// # Errors
/// See above; or a link does not come back.
pub(crate) fn cuts(number: u64) -> Outcome {
    programs::shipped()?;
    let lab = Lab::start()?;
    console::step(&format!("{number} cuts in {SHELLS} shells"));
    let start = Instant::now();
    let cuts = cut(&lab, number)?;
    let rows = [
        ("cuts of devices' links", cuts.of_devices),
        ("cuts of operators' connections", cuts.of_operators),
        ("links and connections made again", cuts.made_again),
        ("bytes compared, none lost, doubled or changed", cuts.bytes),
    ];
    console::table(&rows.map(|(what, number)| vec![what.to_owned(), number.to_string()]));
    console::line(&format!("in {:.0} s", start.elapsed().as_secs_f64()));
    if cuts.made_again < number / 2 {
        return Err(Trouble::new(
            "fewer links were made again than were cut: the cuts did not cut",
        ));
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
