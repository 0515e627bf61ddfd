//! Which folder of the gateway may use which.
//!
//! Data flow: the graph of `crates/gateway/src` -> edges between folders -> [`MAY_SEE`] ->
//! offences.
//!
//! # Invariants
//! - A folder is a module of the crate's root: a directory, or a file beside `lib.rs`. A re-export
//!   counts for the folder that defines the name.
//! - The table is exact: an entry that nothing needs is an offence as well.

use std::collections::{BTreeMap, BTreeSet};

use towline_testkit::Outcome;
use towline_testkit::lab::programs::workspace as root;
use towline_testkit::source::Graph;

use super::report;

/// A folder, and the folders that it may use. What is not named may use none.
type Table<'a> = &'a [(&'a str, &'a [&'a str])];

/// The gateway's folders; ARCHITECTURE.md has the picture.
const MAY_SEE: Table<'_> = &[
    (
        "api",
        &[
            "audit",
            "changes",
            "devices",
            "error_response",
            "exports",
            "federation",
            "limits",
            "lock",
            "log_queue",
            "metrics",
            "notifications",
            "origins",
            "outbound",
            "plane",
            "program_file",
            "readiness",
            "run_command",
            "sessions",
            "sign_in_links",
            "throttle",
            "vault",
        ],
    ),
    ("audit", &["changes", "limits", "throttle"]),
    ("backup", &["audit", "config", "run_command"]),
    ("backup_commands", &["args", "lib"]),
    ("capacity", &["limits"]),
    ("cert_commands", &["args", "lib", "offline"]),
    ("certificate", &["audit", "config", "init", "limits", "listener"]),
    ("channels", &["error_response", "limits", "origins", "plane", "sessions"]),
    ("checkup", &["authority", "certificate", "config", "listener", "vault"]),
    (
        "cluster",
        &[
            "audit",
            "authority",
            "error_response",
            "limits",
            "listener",
            "lock",
            "origins",
            "pace",
            "plane",
            "sessions",
            "throttle",
            "transport",
        ],
    ),
    ("config", &["limits", "listener", "origins", "outbound"]),
    (
        "devices",
        &[
            "audit",
            "authority",
            "error_response",
            "limits",
            "link_tls",
            "lock",
            "metrics",
            "plane",
            "program_file",
            "server_pins",
            "sessions",
            "throttle",
            "vault",
        ],
    ),
    ("exports", &["audit", "limits", "program_file"]),
    ("federation", &["limits", "lock", "metrics", "outbound"]),
    ("init", &["authority", "config", "limits", "listener", "vault"]),
    (
        "listener",
        &[
            "authority",
            "limits",
            "link_tls",
            "metrics",
            "pace",
            "plane",
            "readiness",
            "throttle",
            "transport",
        ],
    ),
    ("news", &["listener", "plane"]),
    ("notifications", &["limits", "metrics", "outbound", "vault"]),
    ("plane", &["link_tls", "transport"]),
    (
        "local",
        &[
            "audit",
            "authority",
            "backup",
            "certificate",
            "cluster",
            "limits",
            "listener",
            "origins",
            "plane",
            "rescue",
            "server_pins",
            "sign_in_links",
            "vault",
        ],
    ),
    ("link_command", &["args", "lib"]),
    ("link_tls", &["limits", "transport"]),
    ("move_command", &["args", "lib"]),
    ("logging", &["log_queue"]),
    ("join_commands", &["args", "lib"]),
    ("node_commands", &["args", "lib"]),
    ("offline", &["args", "lib"]),
    ("pace", &["limits"]),
    ("pin_commands", &["args", "lib", "offline"]),
    ("outbound", &["limits"]),
    ("presence", &["plane", "sessions"]),
    ("readiness", &["certificate", "log_queue"]),
    ("rescue", &["audit", "init", "vault"]),
    ("routes", &["error_response"]),
    ("run_command", &["changes", "limits", "plane", "sessions"]),
    ("server_pins", &["audit", "authority", "lock", "plane"]),
    ("sessions", &["audit", "changes", "limits", "lock", "pace", "plane"]),
    ("sign_in_links", &["audit", "origins"]),
    ("starting", &["authority", "cluster", "config", "limits", "listener", "outbound", "vault"]),
    ("throttle", &["limits"]),
    ("unattached", &["plane"]),
    (
        "wiring",
        &[
            "api",
            "audit",
            "authority",
            "backup",
            "capacity",
            "certificate",
            "channels",
            "cluster",
            "config",
            "console",
            "devices",
            "exports",
            "federation",
            "limits",
            "listener",
            "local",
            "metrics",
            "news",
            "notifications",
            "origins",
            "pace",
            "plane",
            "presence",
            "readiness",
            "routes",
            "run_command",
            "server_pins",
            "sessions",
            "starting",
            "throttle",
            "vault",
        ],
    ),
];

#[test]
fn no_folder_of_the_gateway_uses_what_the_table_forbids() -> Outcome {
    report(&offences(&Graph::read(&root().join("crates/gateway/src"))?, MAY_SEE));
    Ok(())
}

/// Uses that the table forbids, and entries of the table that nothing needs.
fn offences(graph: &Graph, table: Table<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for edge in &graph.edges {
        let (from, to) = (graph.folder(edge.from), graph.folder(edge.to));
        // The root only declares modules, and every folder may name what it defines itself.
        if from == to || from == "lib" {
            continue;
        }
        used.entry(from).or_default().insert(to);
        let allowed =
            table.iter().find(|(folder, _)| *folder == from).map_or(&[][..], |(_, to)| to);
        if !allowed.contains(&to) {
            let (file, path) = (&graph.names[edge.from], &edge.path);
            found.push(format!("{file}:{}: {from} may not use {to} (`{path}`)", edge.line));
        }
    }
    for (from, allowed) in table {
        let uses = used.get(from);
        let needless = allowed.iter().filter(|to| !uses.is_some_and(|uses| uses.contains(*to)));
        found.extend(needless.map(|to| format!("MAY_SEE: {from} no longer uses {to}: drop it")));
    }
    if !found.is_empty() {
        found.push("what the folders use now, as a table:".to_owned());
        let row = |(from, to): (&&str, &BTreeSet<&str>)| {
            format!("    (\"{from}\", &{:?}),", to.iter().collect::<Vec<_>>())
        };
        found.extend(used.iter().map(row));
    }
    found
}

#[test]
fn a_seeded_offence_and_a_needless_entry_are_found() {
    let own = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
    let files = [
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a/mod.rs", "mod inner;"),
        ("a/inner.rs", "use crate::b::B;\nfn f() { crate::c::g() }"),
        ("b.rs", "pub struct B;"),
        ("c.rs", "pub fn g() {}"),
    ];
    let graph = Graph::of(&files.map(own));
    assert!(offences(&graph, &[("a", &["b", "c"])]).is_empty());
    let found = offences(&graph, &[("a", &["b"]), ("b", &["c"])]).join("\n");
    assert!(found.contains("a/inner.rs:2: a may not use c (`crate::c::g`)"), "{found}");
    assert!(found.contains("b no longer uses c"), "{found}");
}
