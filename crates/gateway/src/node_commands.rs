//! `towline-gateway nodes`: the gateways that work on one store together.
//!
//! Data flow: the settings of a directory -> the database -> a table, or JSON.
//!
//! # Not here
//! - Joining: `serve` does it, with the section `[cluster]` of gateway.toml.

use std::io::Write as _;
use std::path::Path;

use towline_gateway::config::Config;
use towline_store::{Node, Store};

use crate::Failure;

/// Lists them.
pub(crate) async fn list(dir: &Path, json: bool) -> Result<(), Failure> {
    let config = Config::load(dir)?;
    let store = Store::look_at(config.store.server()?).await?;
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
        "{:<20} {:<6} {:>7} {:>8}  {:<24} VERSION",
        "NODE", "STATE", "DEVICES", "SESSIONS", "ADDRESS"
    )?;
    for node in &nodes {
        let state = if node.lives { "alive" } else { "over" };
        let Node { name, devices, sessions, address, version, .. } = node;
        let chores = if chores.as_deref() == Some(name) { ", does the chores" } else { "" };
        writeln!(
            out,
            "{name:<20} {state:<6} {devices:>7} {sessions:>8}  {address:<24} {version}{chores}"
        )?;
    }
    Ok(())
}

fn as_json(node: &Node, chores: Option<&str>) -> serde_json::Value {
    serde_json::json!({
        "Node": node.name,
        "Alive": node.lives,
        "Devices": node.devices,
        "Sessions": node.sessions,
        "Address": node.address,
        "Version": node.version,
        "Generation": node.generation,
        "DoesChores": chores == Some(&node.name),
    })
}
