//! `ssh-config`: the lines with which plain ssh, scp, sftp, rsync and editors over ssh reach
//! devices.
//!
//! # Invariants
//! - Only names that can stand in a pattern of ssh_config(5) are written, and only those that one
//!   device has.
//! - No key, and no path of one.

use std::collections::BTreeMap;

use super::context::Context;
use super::target;
use crate::args::Global;
use crate::exit::Failure;

/// Prints the block.
pub(super) async fn run(
    context: &mut Context,
    global: &Global,
    only_ids: bool,
) -> Result<(), Failure> {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    if !only_ids {
        for device in target::all(&mut context.client, Vec::new()).await? {
            if let Some(name) = device.name.or(device.computer_name).filter(|name| is_plain(name)) {
                *count.entry(name).or_default() += 1;
            }
        }
    }
    let names: Vec<String> =
        count.into_iter().filter(|(_, devices)| *devices == 1).map(|(name, _)| name).collect();
    let program = std::env::current_exe()
        .map_or_else(|_| "towline".to_owned(), |path| path.display().to_string());
    context.output.text(&block(&program, global, &names))
}

fn block(program: &str, global: &Global, names: &[String]) -> String {
    let mut words = vec![quoted(program)];
    for (flag, value) in [
        ("--endpoint", global.endpoint.clone()),
        (
            "--ca",
            global.ca.as_ref().map(|path| {
                std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
            }),
        ),
        ("--region", global.region.clone()),
        ("--profile", global.profile.clone()),
    ] {
        words.extend(value.map(|value| [flag.to_owned(), quoted(&value)]).into_iter().flatten());
    }
    let hosts = std::iter::once("mi-*")
        .chain(names.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(" ");
    format!(
        "# Put this into ~/.ssh/config, or into a file that is included there. Made by `towline ssh-config`.\n\
         Host {hosts}\n    ProxyCommand {} proxy %h %p\n    ServerAliveInterval 30\n    ConnectTimeout 60\n",
        words.join(" ")
    )
}

/// For the shell that runs the command, and for ssh, which takes `%` for its own.
fn quoted(word: &str) -> String {
    let plain = !word.is_empty()
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-:=,@+".contains(&b));
    let doubled = word.replace('%', "%%");
    if plain { doubled } else { format!("'{}'", doubled.replace('\'', "'\\''")) }
}

fn is_plain(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !name.is_empty() && !name.starts_with(['-', '.']) && name.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn the_block_names_ids_and_plain_names_and_the_same_gateway() {
        let global = Global {
            endpoint: Some("https://gw:8443".into()),
            ca: Some("/etc/a b.pem".into()),
            region: None,
            profile: None,
            output: Format::Table,
        };
        let text = block("/usr/bin/towline", &global, &["pi".into()]);
        assert!(text.contains("\nHost mi-* pi\n"), "{text}");
        let line = "    ProxyCommand /usr/bin/towline --endpoint https://gw:8443 --ca '/etc/a b.pem' proxy %h %p\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn names_that_mean_something_to_ssh_are_left_out() {
        assert!(is_plain("pi-4.lan") && is_plain("a_b"));
        for name in ["", "*", "a b", "!x", "-o", "a?", "\"x\"", "é"] {
            assert!(!is_plain(name), "{name}");
        }
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("50%"), "'50%%'");
    }
}
