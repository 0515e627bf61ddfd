//! `cargo xtask flood [MB]`: memory, CPU and disk of both sides while a session writes two
//! gigabytes of text and of noise.

use towline_testkit::flood::{Flood, run as flood};
use towline_testkit::lab::{GatewaySetup, Lab};
use towline_testkit::{Outcome, Trouble};

use crate::{console, programs};

/// Megabytes unless the command line gives another number.
pub(crate) const MEGABYTES: u64 = 2_000;
/// Largest recording in this run, MiB.
const LIMIT: u64 = 64;

/// Builds, floods, prints. A recording beyond its limit, or one that does not verify, is an error.
///
/// # Errors
/// See above.
pub(crate) fn report(megabytes: u64) -> Outcome {
    programs::shipped()?;
    let config =
        format!("[evidence]\nmax_session_recording_mib = {LIMIT}\nfree_space_floor_mib = 1\n");
    let mut lab = Lab::with(&GatewaySetup { config, ..GatewaySetup::default() })?;
    let device = lab.device()?;
    let head = [
        "",
        "bytes",
        "s",
        "agent grew, KiB",
        "gateway grew, KiB",
        "agent CPU, s",
        "gateway CPU, s",
        "recording, bytes",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, source) in [("text (yes)", "yes"), ("noise (/dev/urandom)", "cat /dev/urandom")] {
        console::step(&format!("{megabytes} MB of {name}"));
        let flood = flood(&mut lab, &device, &format!("{source} | head -c {megabytes}000000"))?;
        if flood.bytes != megabytes * 1_000_000 || flood.recorded > (LIMIT + 1) << 20 {
            return Err(Trouble::new(format!("not what was asked for: {flood:?}")));
        }
        lab.admin().text(&["export", &flood.session, "--format", "txt"])?;
        rows.push(row(name, &flood));
    }
    console::table(&rows);
    Ok(())
}

fn row(name: &str, flood: &Flood) -> Vec<String> {
    let seconds = |duration: std::time::Duration| format!("{:.1}", duration.as_secs_f64());
    vec![
        name.to_owned(),
        flood.bytes.to_string(),
        seconds(flood.lasted),
        flood.agent_grew.to_string(),
        flood.gateway_grew.to_string(),
        seconds(flood.agent_cpu),
        seconds(flood.gateway_cpu),
        flood.recorded.to_string(),
    ]
}
