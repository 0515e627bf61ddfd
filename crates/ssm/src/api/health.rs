//! The state of the gateway itself (`Towline.GetHealth`).
//!
//! Way: as of [`super`]; an operation of ours, with an empty request.

use serde::{Deserialize, Serialize};

use super::check::Violations;
use super::codec::Request;
use crate::clock::EpochSeconds;

/// Asks for the state of the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetHealthRequest {}

impl Request for GetHealthRequest {
    fn check(&self, _: &mut Violations) {}
}

/// How many of something there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Counted {
    /// What is counted: a state, a version, a counter.
    pub name: String,
    /// How many.
    pub count: u64,
}

/// The server's certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CertificateHealth {
    /// From when it is valid.
    pub not_before: EpochSeconds,
    /// Until when.
    pub not_after: EpochSeconds,
}

/// The disk with recordings and audit files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DiskHealth {
    /// Bytes that the gateway may still write; absent: the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Bytes below which recording pauses.
    pub floor_bytes: u64,
    /// Why recording is paused; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_paused: Option<String>,
}

/// Files on their way to the sink.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SinkHealth {
    /// Finished files that wait.
    pub waiting_files: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// When the oldest of them was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_date: Option<EpochSeconds>,
    /// Files that the sink refused repeatedly.
    pub quarantined_files: u64,
    /// Whether there are more files than were counted.
    pub more: bool,
}

/// One process of the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeHealth {
    /// Its name in the signed chain.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_date: EpochSeconds,
    /// Agents' links that it holds.
    pub links: u64,
}

/// The state of the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetHealthResult {
    /// Whether it takes new work.
    pub ready: bool,
    /// Everything that an administrator should see to.
    pub complaints: Vec<String>,
    /// The gateway's processes.
    pub nodes: Vec<NodeHealth>,
    /// Devices by status.
    pub devices: Vec<Counted>,
    /// Registered devices by version of their agent, the most frequent first.
    pub agent_versions: Vec<Counted>,
    /// Sessions that have not ended, by state.
    pub sessions: Vec<Counted>,
    /// Invocations of commands that have not ended, by status.
    pub invocations: Vec<Counted>,
    /// The server's certificate.
    pub certificate: CertificateHealth,
    /// The disk.
    pub disk: DiskHealth,
    /// Files on their way to the sink.
    pub sink: SinkHealth,
    /// Counters since the start, by the names that `/metrics` has.
    pub counters: Vec<Counted>,
}
