//! `agent-config`: the file with which amazon-ssm-agent finds the gateway.
//!
//! Data flow: settings -> [`content`] -> standard output.
//!
//! # Invariants
//! - It holds no secret.
//! - All endpoints are URLs: the agent finds no host in another form.

use serde_json::{Value, json};

use crate::args::Global;
use crate::config::{Environment, Flags, Settings};
use crate::exit::Failure;
use crate::output::Output;

/// Prints the file.
pub(super) fn run(global: &Global, env: &Environment, output: Output) -> Result<(), Failure> {
    let flags = Flags { profile: None, ..global.flags() };
    let settings = Settings::resolve_keyless(&flags, env)?;
    let endpoint = format!("https://{}", settings.endpoint.authority());
    output.text(&format!("{:#}\n", content(&endpoint, &settings.region)))
}

fn content(endpoint: &str, region: &str) -> Value {
    json!({
        "Profile": { "ShareCreds": true },
        "Ssm": { "Endpoint": endpoint },
        "Mds": { "Endpoint": endpoint },
        "Mgs": { "Endpoint": endpoint, "Region": region },
        "Agent": { "Region": region },
        "Identity": { "ConsumptionOrder": ["OnPrem"] },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_a_url_and_every_region_the_gateways() {
        let made = content("https://gateway.example:8443", "xx-towline-1");
        for part in ["Ssm", "Mds", "Mgs"] {
            assert_eq!(made[part]["Endpoint"], "https://gateway.example:8443");
        }
        assert_eq!(made["Mgs"]["Region"], "xx-towline-1");
        assert_eq!(made["Agent"]["Region"], "xx-towline-1");
        assert_eq!(made["Profile"]["ShareCreds"], true);
    }
}
