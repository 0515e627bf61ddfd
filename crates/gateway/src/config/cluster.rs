//! The section `[cluster]` of `gateway.toml`: this gateway works together with others on one store.
//!
//! # Invariants
//! - Without the section a gateway works alone, or waits for its turn.
//! - The name of a node is the one of its evidence: both tell gateways apart.

use serde::{Deserialize, Serialize};

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawCluster {
    /// HOST:PORT at which the other gateways reach this one's port.
    pub address: String,
    /// HOST:PORT at which devices reach this gateway: another one that sends them away names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_address: Option<String>,
}

/// What it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// HOST:PORT for other gateways.
    pub address: String,
    /// HOST:PORT for devices.
    pub device_address: Option<String>,
    /// The name of this node.
    pub node: String,
}

impl RawCluster {
    /// Checks the section. `node`: the name in the section `[evidence]`; `is_shared`: the store is
    /// on a server.
    ///
    /// # Errors
    /// Key and value of the first one that cannot be, and what it should be.
    pub fn settings(
        self,
        node: Option<&str>,
        is_shared: bool,
    ) -> Result<Cluster, (&'static str, String, &'static str)> {
        let key = "cluster.address";
        if !is_address(&self.address) {
            return Err((key, self.address, "HOST:PORT, where other gateways reach this one"));
        }
        if let Some(address) = self.device_address.as_ref().filter(|address| !is_address(address)) {
            let want = "HOST:PORT, where devices reach this gateway";
            return Err(("cluster.device_address", address.clone(), want));
        }
        if !is_shared {
            let want = "only with a store on a server: set `store` to a postgres:// address";
            return Err((key, self.address, want));
        }
        let Some(node) = node else {
            let want = "only with a `node` in the section [evidence], another one for each gateway";
            return Err((key, self.address, want));
        };
        let Self { address, device_address } = self;
        Ok(Cluster { address, device_address, node: node.to_owned() })
    }
}

/// At most 262 bytes: the longest name of a host, and a port.
fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once(':').filter(|_| text.len() <= 262);
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_an_address_a_name_and_a_store_on_a_server() {
        let raw = |address: &str| RawCluster { address: address.to_owned(), device_address: None };
        let good = raw("10.0.0.1:8443").settings(Some("a"), true).unwrap();
        assert_eq!((&*good.address, &*good.node), ("10.0.0.1:8443", "a"));
        let named = RawCluster { device_address: Some("gw".into()), ..raw("10.0.0.1:8443") };
        let (key, ..) = named.settings(Some("a"), true).unwrap_err();
        assert_eq!(key, "cluster.device_address");
        for (address, node, is_shared, word) in [
            ("10.0.0.1", Some("a"), true, "HOST:PORT"),
            (":8443", Some("a"), true, "HOST:PORT"),
            ("10.0.0.1:8443", None, true, "[evidence]"),
            ("10.0.0.1:8443", Some("a"), false, "postgres://"),
        ] {
            let (_, _, want) = raw(address).settings(node, is_shared).unwrap_err();
            assert!(want.contains(word), "{want}");
        }
    }
}
