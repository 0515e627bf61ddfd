//! The whole output of a command (our own operation): AWS's answers hold its first characters only.
//!
//! Data flow: as in [`super::super`].

use serde::{Deserialize, Serialize};

use super::super::{Request, Violations};
use crate::ids::DeviceId;

/// One of a step's two streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputStream {
    /// Standard output.
    #[default]
    #[serde(rename = "stdout")]
    Stdout,
    /// Standard error.
    #[serde(rename = "stderr")]
    Stderr,
}

/// Asks for a piece of the output of one step on one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetCommandOutputRequest {
    /// The command.
    pub command_id: String,
    /// The device.
    pub instance_id: String,
    /// The step; the first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_name: Option<String>,
    /// The stream; standard output when absent.
    #[serde(default)]
    pub stream: OutputStream,
    /// Where the piece begins, bytes; 0 when absent.
    #[serde(default)]
    pub offset: u64,
}

impl Request for GetCommandOutputRequest {
    fn check(&self, v: &mut Violations) {
        v.length("CommandId", &self.command_id, 36, 36);
        let good = self.instance_id.parse::<DeviceId>();
        v.require(good.is_ok(), "InstanceId", "be `mi-` and 17 lower-case hex digits");
        v.optional_length("PluginName", self.plugin_name.as_ref(), 4, 500);
    }
}

/// A piece of a step's output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetCommandOutputResult {
    /// The piece, base64.
    pub data: String,
    /// Where the next one begins; absent when this was the last that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<u64>,
    /// Bytes of the stream that are there.
    pub length: u64,
    /// Whether the step has ended; if not, more may come.
    pub finished: bool,
    /// The step.
    pub plugin_name: String,
    /// All steps of the command, in their order.
    pub plugin_names: Vec<String>,
}
