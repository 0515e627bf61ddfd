//! A model of several nodes, against the store's own statements: whatever the order in which
//! devices come, links break, nodes stand still, are declared dead and come back, a device's
//! sessions are at the node that holds its link, and none is forgotten.
//!
//! Data flow: steps drawn by proptest -> the store's functions, each on the store of one node ->
//! invariants, after each step.
//!
//! # Not here
//! - The comparison of leases in each write: it needs PostgreSQL (`nodes.rs`). Here a node without
//!   a lease does nothing.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use towline_host::clock::UnixMillis;

use crate::engine;
use crate::sessions::tests::new;
use crate::testing::scratch_file;
use crate::{Arrival, Connection, Known, Store};

const NODES: usize = 3;
const DEVICES: usize = 2;
const NOW: UnixMillis = UnixMillis(1);
const DEAD: Known = Known { other_is_dead: true, answer_was_lost: false };
/// A lease, and longer than one.
const LEASE: i64 = 8_000;
const LONG: i64 = 20_000;

#[derive(Debug, Clone)]
enum Step {
    /// The agent dials a node; after a restart, or not.
    Arrive(usize, usize, bool),
    /// An earlier link of the agent comes late to a node.
    ArriveLate(usize, usize),
    /// The link breaks; the node has stored it, or not.
    Break(usize, bool),
    /// A session is opened where the device is.
    Open(usize),
    /// A node stands still for longer than its lease.
    StandStill(usize),
    /// It goes on.
    GoOn(usize),
    /// A node looks which others are dead.
    Judge(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (device, node) = (0..DEVICES, 0..NODES);
    prop_oneof![
        4 => (device.clone(), node.clone(), any::<bool>()).prop_map(|(d, n, b)| Step::Arrive(d, n, b)),
        1 => (device.clone(), node.clone()).prop_map(|(d, n)| Step::ArriveLate(d, n)),
        2 => (device.clone(), any::<bool>()).prop_map(|(d, stored)| Step::Break(d, stored)),
        2 => device.prop_map(Step::Open),
        1 => node.clone().prop_map(Step::StandStill),
        2 => node.clone().prop_map(Step::GoOn),
        2 => node.prop_map(Step::Judge),
    ]
}

/// An agent, as it is.
#[derive(Debug, Default, Clone, Copy)]
struct Agent {
    boot: u8,
    number: i64,
    /// The node at which its link is.
    at: Option<usize>,
}

struct World {
    stores: Vec<Store>,
    stands_still: [bool; NODES],
    agents: [Agent; DEVICES],
    time: i64,
    opened: usize,
}

fn name(node: usize) -> String {
    format!("node{node}")
}

fn device(number: usize) -> String {
    format!("mi-{number}")
}

impl World {
    async fn new(store: &Store) -> Self {
        for table in ["nodes", "presence", "sessions"] {
            let clear = format!("DELETE FROM {table}");
            engine::query(&clear).execute(&store.pool).await.unwrap();
        }
        let stores = (0..NODES).map(|n| Store { node: Arc::from(name(n)), ..store.clone() });
        let agents = [Agent::default(); DEVICES];
        let stands_still = [false; NODES];
        let world = Self { stores: stores.collect(), stands_still, agents, time: 0, opened: 0 };
        for node in 0..NODES {
            let made = "INSERT INTO nodes (name, generation, expires_at, spki, address, version, \
                        joined_at) VALUES (?, 1, ?, ?, '', '', 0)";
            engine::query(made)
                .bind(name(node))
                .bind(LEASE)
                .bind(name(node).into_bytes())
                .execute(&store.pool)
                .await
                .unwrap();
        }
        world
    }

    fn link(&self, number: usize) -> Connection {
        let Agent { boot, number, .. } = self.agents[number];
        Connection { boot: [boot; 16], number }
    }

    async fn run(&self, statement: &str, node: usize) {
        let store = &self.stores[node];
        engine::query(statement).bind(name(node)).execute(&store.pool).await.unwrap();
    }

    /// All nodes that do not stand still have renewed their leases.
    async fn renew(&self) {
        let until = self.time + LEASE;
        for node in (0..NODES).filter(|node| !self.stands_still[*node]) {
            self.run(&format!("UPDATE nodes SET expires_at = {until} WHERE name = ?"), node).await;
        }
    }

    /// As `devices::arrival::claim` of the gateway.
    async fn arrive(&mut self, number: usize, node: usize) -> Result<(), TestCaseError> {
        let (store, link) = (self.stores[node].clone(), self.link(number));
        let presences = store.presences();
        let mut arrival =
            presences.arrive(&device(number), link, Known::default(), NOW).await.unwrap();
        if let Arrival::OtherStart(other) = &arrival {
            let other = (0..NODES).find(|node| name(*node) == *other).unwrap();
            prop_assert!(self.agents[number].at != Some(other), "a live link is not another start");
            if self.stands_still[other] {
                return Ok(()); // it does not answer: the device tries again later
            }
            arrival = presences.arrive(&device(number), link, DEAD, NOW).await.unwrap();
        }
        prop_assert!(matches!(arrival, Arrival::Here { .. }), "{arrival:?}");
        self.agents[number].at = Some(node);
        Ok(())
    }

    async fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Arrive(number, node, restarted) => {
                let agent = &mut self.agents[number];
                agent.at = None;
                match restarted {
                    true => (agent.boot, agent.number) = (agent.boot + 1, 1),
                    false => agent.number += 1,
                }
                if !self.stands_still[node] {
                    self.arrive(number, node).await?;
                }
            }
            Step::ArriveLate(number, node) => {
                let Agent { at, number: latest, .. } = self.agents[number];
                if at.is_some() && latest > 1 && !self.stands_still[node] {
                    let late = Connection { number: latest - 1, ..self.link(number) };
                    let presences = self.stores[node].presences();
                    let arrival = presences
                        .arrive(&device(number), late, Known::default(), NOW)
                        .await
                        .unwrap();
                    // Unless its node was declared dead: then nobody knows of the latest link.
                    let known = presences.holder(&device(number)).await.unwrap();
                    let taken = matches!(arrival, Arrival::Here { .. });
                    prop_assert!(!taken || known == Some(name(node)), "{arrival:?}");
                    if taken {
                        self.agents[number].at = None; // and that node knows better by now
                    }
                }
            }
            Step::Break(number, is_stored) => {
                let link = self.link(number);
                if let Some(node) = self.agents[number].at.take()
                    && is_stored
                    && !self.stands_still[node]
                {
                    let presences = self.stores[node].presences();
                    presences.leave(&device(number), link).await.unwrap();
                }
            }
            Step::Open(number) => {
                if let Some(node) = self.agents[number].at.filter(|at| !self.stands_still[*at]) {
                    self.opened += 1;
                    let session = new(&format!("ann-{}", self.opened), &device(number));
                    self.stores[node].sessions().insert(&session, NOW).await.unwrap();
                }
            }
            Step::StandStill(node) => {
                self.stands_still[node] = true;
                self.time += LONG;
                self.renew().await;
            }
            Step::GoOn(node) => self.go_on(node).await,
            Step::Judge(node) if !self.stands_still[node] => {
                self.stores[node].nodes().judge_now().await.unwrap();
            }
            Step::Judge(_) => {}
        }
        self.holds().await
    }

    /// A node that was declared dead joins anew (`engine::member::enter`); what it had is gone.
    async fn go_on(&mut self, node: usize) {
        let over: i64 = engine::query_scalar("SELECT expires_at FROM nodes WHERE name = ?")
            .bind(name(node))
            .fetch_one(&self.stores[node].pool)
            .await
            .unwrap();
        if std::mem::take(&mut self.stands_still[node]) && over == 0 {
            self.run("UPDATE nodes SET generation = generation + 1 WHERE name = ?", node).await;
            self.run("DELETE FROM presence WHERE node = ?", node).await;
            for agent in self.agents.iter_mut().filter(|agent| agent.at == Some(node)) {
                agent.at = None;
            }
        }
        self.renew().await;
    }

    async fn holds(&self) -> Result<(), TestCaseError> {
        let store = &self.stores[0];
        let rows: Vec<(String, String)> =
            engine::query_as("SELECT device_id, node FROM sessions WHERE ended_at IS NULL")
                .fetch_all(&store.pool)
                .await
                .unwrap();
        prop_assert!(rows.len() == self.opened, "{} of {} sessions", rows.len(), self.opened);
        let dead: Vec<String> = engine::query_scalar("SELECT name FROM nodes WHERE expires_at = 0")
            .fetch_all(&store.pool)
            .await
            .unwrap();
        let dead: HashSet<String> = dead.into_iter().collect();
        for (device, node) in rows {
            prop_assert!(!dead.contains(&node), "a session of {device} is a dead node's");
            if let Some(holder) = store.presences().holder(&device).await.unwrap() {
                prop_assert!(node == holder, "{device} is at {holder}, its session at {node}");
            }
        }
        Ok(())
    }
}

#[test]
fn sessions_are_where_their_device_is_and_none_is_forgotten_in_any_order_of_events() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (store, _dir) = runtime.block_on(async {
        let (store, dir) = scratch_file().await;
        store.principals().create("ann", &[], NOW).await.unwrap();
        (store, dir)
    });
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let stories = prop::collection::vec(step(), 1..40);
    let told = runner.run(&stories, |steps| {
        runtime.block_on(async {
            let mut world = World::new(&store).await;
            for step in steps {
                world.take(step).await?;
            }
            Ok(())
        })
    });
    if let Err(failure) = told {
        panic!("{failure}");
    }
}
