//! The command line of `forward`, `proxy` and `cp`.

use super::value::parse_user;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;

/// `forward`.
#[derive(Debug, Args)]
pub(crate) struct ForwardArgs {
    /// Device: id, name, or tag:KEY=VALUE if exactly one device matches
    pub device: String,
    /// [BIND:]LOCAL:HOST:REMOTE or LOCAL:REMOTE; LOCAL 0 chooses a free port and prints it; the
    /// device resolves HOST
    #[arg(value_name = "LOCAL:HOST:REMOTE", value_parser = parse_forward)]
    pub route: Route,
    /// Reason, for the audit trail
    #[arg(long)]
    pub reason: Option<String>,
}

/// `proxy`.
#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// Device: id, name, or tag:KEY=VALUE if exactly one device matches
    pub device: String,
    /// TCP port of the device
    #[arg(default_value_t = 22, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Reason, for the audit trail
    #[arg(long)]
    pub reason: Option<String>,
}

/// `cp`.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// Source: a path, or DEVICE:PATH; a FIFO or /dev/stdin is copied as a stream
    pub source: String,
    /// Destination: a path or DEVICE:PATH (relative to the user's home, also ~/PATH); if it is a
    /// directory, the source is copied into it; /dev/stdout is a stream
    pub destination: String,
    /// Copy directories with their contents
    #[arg(short, long)]
    pub recursive: bool,
    /// Follow symbolic links on the device, and in directories that are copied; without it a link
    /// is refused or skipped
    #[arg(long)]
    pub follow: bool,
    /// Print no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// User on the device [file: user; default: set by the device's administrator]
    #[arg(long, value_parser = parse_user)]
    pub user: Option<String>,
    /// Reason, for the audit trail
    #[arg(long)]
    pub reason: Option<String>,
}

/// The two ends of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// Local address.
    pub local: SocketAddr,
    /// Remote host; none is the device itself.
    pub host: Option<String>,
    /// Remote port.
    pub port: u16,
}

/// Reads a route.
pub(crate) fn parse_forward(text: &str) -> Result<Route, String> {
    let bad = || {
        format!(
            "expected LOCAL:HOST:REMOTE or LOCAL:REMOTE, for example 5432:db.lan:5432 or 0:80, \
             with IPv6 addresses in brackets; got `{text}`"
        )
    };
    let port = |text: &str| text.parse::<u16>().map_err(|_| bad());
    let parts = parts(text).ok_or_else(bad)?;
    let (bind, local, host, remote) = match parts.as_slice() {
        [local, remote] => (None, local, None, remote),
        [local, host, remote] => (None, local, Some(host), remote),
        [bind, local, host, remote] => (Some(bind), local, Some(host), remote),
        _ => return Err(bad()),
    };
    let bind = match bind.map(String::as_str) {
        None | Some("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some("*") => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Some(address) => address.parse().map_err(|_| bad())?,
    };
    let host = host.filter(|host| *host != "localhost").cloned();
    let remote = port(remote)?;
    if remote == 0 || host.as_deref().is_some_and(str::is_empty) {
        return Err(bad());
    }
    Ok(Route { local: SocketAddr::new(bind, port(local)?), host, port: remote })
}

/// Splits at the colons outside of brackets, and removes the brackets.
fn parts(text: &str) -> Option<Vec<String>> {
    let (mut parts, mut inside) = (vec![String::new()], false);
    for c in text.chars() {
        match c {
            '[' if !inside => inside = true,
            ']' if inside => inside = false,
            '[' | ']' => return None,
            ':' if !inside => parts.push(String::new()),
            c => parts.last_mut()?.push(c),
        }
    }
    (!inside).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, local: &str, host: Option<&str>, port: u16) {
        let route = Route { local: local.parse().unwrap(), host: host.map(str::to_owned), port };
        assert_eq!(parse_forward(text), Ok(route), "{text}");
    }

    #[test]
    fn a_route_is_written_as_for_ssh() {
        check("8080:80", "127.0.0.1:8080", None, 80);
        check("0:localhost:80", "127.0.0.1:0", None, 80);
        check("5432:db.lan:5433", "127.0.0.1:5432", Some("db.lan"), 5433);
        check("[::1]:1:[fd00::2]:2", "[::1]:1", Some("fd00::2"), 2);
        check("*:1:h:2", "0.0.0.0:1", Some("h"), 2);
    }

    #[test]
    fn another_one_is_told_how() {
        for text in
            ["", "80", "a:b", "1:h:0", "1::2", "1:2:3:4:5", "1:[::1:2", "x:1:h:2", "70000:1"]
        {
            assert!(parse_forward(text).unwrap_err().contains("LOCAL:HOST:REMOTE"), "{text}");
        }
    }
}
