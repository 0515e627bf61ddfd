//! `towline-gateway join-token` and `join`: a further gateway for a cluster.
//!
//! Data flow: a token of the gateway that runs in a directory -> carried by a person -> a new
//! directory with a node key of its own -> the first gateway, by the key that the token names ->
//! approved by a person -> its keys, certificate and settings, with this gateway's own name and
//! addresses.
//!
//! # Invariants
//! - Nothing that exists is overwritten. `gateway.toml` is written last: a directory that was left
//!   half-made does not start.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use towline_gateway::cluster::{Files, NODE_KEY, NodeKey, Token, Wanted, join as ask};
use towline_gateway::config::{Config, FILE};
use towline_gateway::local::{self, Answer, Order};
use towline_host::files;

use crate::Failure;
use crate::args::{Join, JoinToken};

/// Pause between two questions whether this gateway is approved.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Bytes of a token's file.
const MAX_TOKEN: u64 = 4096;

/// Makes a token and writes it to standard output.
pub(crate) async fn token(options: &JoinToken) -> Result<(), Failure> {
    let JoinToken { dir, with_ca_key } = options;
    match local::ask(dir, Order::Invite(*with_ca_key)).await {
        Ok(Answer::JoinToken(token)) => Ok(writeln!(std::io::stdout(), "{token}")?),
        Ok(Answer::Failed(why)) => Err(why.into()),
        Ok(_) => Err("the gateway answered something else: is it of another version?".into()),
        Err(error) => Err(format!("no gateway answers in {}: {error}", dir.display()).into()),
    }
}

/// Makes the directory of a further gateway.
pub(crate) async fn join(options: &Join) -> Result<(), Failure> {
    let Join { dir, node, address, .. } = options;
    let token = Token::parse(&read_token(&options.token_file)?)?;
    files::private_dir(dir)?;
    let holds = |entry: &std::fs::DirEntry| entry.file_name() != NODE_KEY;
    if std::fs::read_dir(dir)?.flatten().any(|entry| holds(&entry)) {
        return Err(format!("{} holds something: choose an empty one", dir.display()).into());
    }
    let key = NodeKey::in_directory(dir)?;
    let wanted = Wanted { node: node.clone(), address: address.clone() };
    let Some(given) = approved(&key, &token, &wanted, options.no_wait).await? else {
        return Ok(());
    };
    let mut settings = None;
    for (name, content) in given {
        if name == FILE {
            settings = Some(own_settings(&String::from_utf8(content)?, options)?);
        } else {
            files::create_private(&dir.join(name), &content)?;
        }
    }
    let settings = settings.ok_or("the other gateway gave no gateway.toml")?;
    files::create_private(&dir.join(FILE), settings.as_bytes())?;
    let mut out = std::io::stdout();
    writeln!(out, "The gateway {node} was made in {}.", dir.display())?;
    if let Err(error) = Config::load(dir) {
        writeln!(out, "gateway.toml names what is not here yet: {error}")?;
    }
    writeln!(
        out,
        "Certificate and key are those of the other gateway. For a name of this one's own:\n\
         \x20 here: towline-gateway cert request --dir {0} --hostname NAME --out FILE\n\
         \x20 where the CA's key is: towline-gateway cert sign --dir DIR --request FILE --out FILE\n\
         \x20 here: towline-gateway cert install --dir {0} --certificate FILE\n\
         Start it: towline-gateway serve --dir {0}",
        dir.display()
    )?;
    Ok(())
}

/// What the other gateway gives once somebody has approved this one. `None`: nobody waits for that.
async fn approved(
    key: &NodeKey,
    token: &Token,
    wanted: &Wanted,
    no_wait: bool,
) -> Result<Option<Files>, Failure> {
    let mut is_told = false;
    loop {
        if let Some(given) = ask(key, token, wanted.clone()).await? {
            return Ok(Some(given));
        }
        if !is_told {
            let mut out = std::io::stdout();
            let node = &wanted.node;
            writeln!(out, "At the other gateway: towline-gateway nodes approve {node} --dir DIR")?;
            is_told = true;
        }
        if no_wait {
            return Ok(None);
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

fn read_token(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().take(MAX_TOKEN).read_to_string(&mut text)?;
        return Ok(text);
    }
    Ok(String::from_utf8(files::read(path, MAX_TOKEN)?)?)
}

/// The other gateway's settings, with this one's name and addresses.
fn own_settings(text: &str, options: &Join) -> Result<String, Failure> {
    let mut all: toml::Table = toml::from_str(text)?;
    let mut set = |section: &str, key: &str, value: Option<&String>| {
        let table = all.entry(section).or_insert_with(|| toml::Table::new().into());
        let Some(table) = table.as_table_mut() else { return };
        match value {
            Some(value) => drop(table.insert(key.to_owned(), value.clone().into())),
            None => drop(table.remove(key)),
        }
    };
    set("evidence", "node", Some(&options.node));
    set("cluster", "address", Some(&options.address));
    set("cluster", "device_address", options.device_address.as_ref());
    all.remove("stream_url_host"); // it may name the other gateway
    if let Some(listen) = &options.listen {
        all.insert("listen".to_owned(), listen.clone().into());
    }
    Ok(toml::to_string(&all)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_other_gateway_keep_all_but_name_and_addresses() {
        let options = Join {
            dir: "b".into(),
            token_file: "-".into(),
            node: "b".into(),
            address: "10.0.0.2:8443".into(),
            device_address: None,
            listen: Some("[::]:9443".into()),
            no_wait: false,
        };
        let text = "listen = \"[::]:8443\"\nregion = \"x\"\nstream_url_host = \"a.example\"\n\
                    [evidence]\nnode = \"a\"\ndirectory = \"s\"\n\
                    [cluster]\naddress = \"10.0.0.1:8443\"\ndevice_address = \"a.example:8443\"\n";
        let all: toml::Table = toml::from_str(&own_settings(text, &options).unwrap()).unwrap();
        let expected = "listen = \"[::]:9443\"\nregion = \"x\"\n\
                        [evidence]\nnode = \"b\"\ndirectory = \"s\"\n\
                        [cluster]\naddress = \"10.0.0.2:8443\"\n";
        assert_eq!(all, toml::from_str::<toml::Table>(expected).unwrap());
    }
}
