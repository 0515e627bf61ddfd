//! `towline-gateway nodes` and `drain`: the gateways that work on one store together.
//!
//! Data flow: the settings of a directory -> the database -> a table, or JSON. An order to the
//! gateway that runs in a directory -> what is left of its devices and sessions, until it has
//! ended.
//!
//! # Not here
//! - Joining: `join_commands`; then `serve`, with the section `[cluster]` of gateway.toml.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use towline_gateway::config::Config;
use towline_gateway::local::{self, Answer, Order};
use towline_store::{Node, NodeApproval, Store};

use crate::Failure;
use crate::args::{Decide, Drain, Named, Nodes};

/// Pause between two looks at what is left.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Lists them, or decides about one.
pub(crate) async fn nodes(options: &Nodes) -> Result<(), Failure> {
    let (named, may_work) = match (&options.decide, &options.dir) {
        (Some(Decide::Approve(named)), _) => (named, true),
        (Some(Decide::Remove(named)), _) => (named, false),
        (None, Some(dir)) => return list(dir, options.json).await,
        (None, None) => return Err("name a directory: --dir DIR".into()),
    };
    let Named { name, dir } = named;
    match local::ask(dir, Order::Decide(name.clone(), may_work)).await {
        Ok(Answer::Done) => Ok(()),
        Ok(Answer::Failed(why)) => Err(why.into()),
        Ok(_) => Err("the gateway answered something else: is it of another version?".into()),
        Err(error) => Err(format!("no gateway answers in {}: {error}", dir.display()).into()),
    }
}

async fn list(dir: &Path, json: bool) -> Result<(), Failure> {
    let config = Config::load(dir)?;
    let Ok(server) = config.store.server() else {
        return Err(
            "this gateway works alone, on a store in a file: there are no others to list".into()
        );
    };
    let store = Store::look_at(server).await?;
    let nodes = store.nodes().list().await?;
    let chores = store.settings().get(towline_gateway::cluster::membership::CHORES).await?;
    store.close().await;
    let mut out = std::io::stdout();
    if json {
        for node in &nodes {
            writeln!(out, "{}", as_json(node, chores.as_deref()))?;
        }
        return Ok(());
    }
    if nodes.is_empty() {
        writeln!(out, "no gateway has the section [cluster]: one works, others wait")?;
        return Ok(());
    }
    writeln!(
        out,
        "{:<20} {:<7} {:>7} {:>8}  {:<24} VERSION",
        "NODE", "STATE", "DEVICES", "SESSIONS", "ADDRESS"
    )?;
    for node in &nodes {
        let state = match (node.approval, node.lives, node.draining) {
            (NodeApproval::Waits, ..) => "waits",
            (NodeApproval::Removed, ..) => "removed",
            (NodeApproval::Approved, true, false) => "alive",
            (NodeApproval::Approved, true, true) => "drains",
            (NodeApproval::Approved, false, _) => "over",
        };
        let Node { name, devices, sessions, address, version, .. } = node;
        let chores = if chores.as_deref() == Some(name) { ", does the chores" } else { "" };
        writeln!(
            out,
            "{name:<20} {state:<7} {devices:>7} {sessions:>8}  {address:<24} {version}{chores}"
        )?;
    }
    Ok(())
}

fn as_json(node: &Node, chores: Option<&str>) -> serde_json::Value {
    serde_json::json!({
        "Node": node.name,
        "Alive": node.lives,
        "Approved": node.approval == NodeApproval::Approved,
        "Draining": node.lives && node.draining,
        "Devices": node.devices,
        "Sessions": node.sessions,
        "Address": node.address,
        "Version": node.version,
        "Schema": node.knows,
        "Generation": node.generation,
        "DoesChores": chores == Some(&node.name),
    })
}

/// Orders a drain, and returns when the gateway has ended.
pub(crate) async fn drain(options: &Drain) -> Result<(), Failure> {
    let Drain { dir, within } = options;
    let none = |error| format!("no gateway answers in {}: {error}", dir.display());
    let mut answer = local::ask(dir, Order::Drain(*within)).await.map_err(none)?;
    let (mut out, mut said, mut own) = (std::io::stdout(), None, None);
    loop {
        let (devices, sessions, process) = match answer {
            Answer::Left { devices, sessions, process } => (devices, sessions, process),
            Answer::Failed(why) => return Err(why.into()),
            _ => {
                return Err("the gateway answered something else: is it of another version?".into());
            }
        };
        if *own.get_or_insert(process) != process {
            break; // that is one which was started since
        }
        if said != Some((devices, sessions)) {
            writeln!(out, "{devices} devices and {sessions} sessions are left")?;
            said = Some((devices, sessions));
        }
        answer = tokio::select! {
            () = has_ended(process) => break,
            answer = next_look(dir) => answer,
        };
    }
    writeln!(out, "the gateway has ended")?;
    Ok(())
}

/// What is left a moment later. A gateway that is at its end answers no more: the wait for that
/// goes on.
async fn next_look(dir: &Path) -> Answer {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        if let Ok(answer) = local::ask(dir, Order::DrainLeft).await {
            return answer;
        }
    }
}

/// Returns when there is no such process, or only its exit code is left for its parent.
async fn has_ended(process: u32) {
    let runs = || {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let (_, state) = stat.rsplit_once(')')?;
        (!state.trim_start().starts_with(['Z', 'X'])).then_some(())
    };
    while runs().is_some() {
        tokio::time::sleep(LOOK_AGAIN / 10).await;
    }
}
