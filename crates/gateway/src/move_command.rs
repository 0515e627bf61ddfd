//! `migrate-store`: the store of a gateway that does not run goes from its file to a database
//! server.
//!
//! Data flow: the lock on the directory -> all rows in one transaction, counted and digested on
//! both sides -> `gateway.toml` names the server -> the file gets another name.
//!
//! # Invariants
//! - Until `gateway.toml` is replaced, the gateway starts with the file, as before. A database in
//!   which the copy did not end holds no store, and is refused.
//! - The old file stays, under a name that no gateway opens.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use towline_gateway::config::{self, Config, StorePlace};
use towline_gateway::limits::MAX_CONFIG_FILE;
use towline_host::files;
use towline_host::lock::{DirLock, LockError};
use towline_store::copy_to_server;

use crate::Failure;
use crate::args::MigrateStore;

/// What the file is called afterwards.
const MOVED: &str = "towline.db.moved";

/// Moves the store.
pub(crate) async fn run(options: &MigrateStore) -> Result<(), Failure> {
    let MigrateStore { dir, to, store_password_file } = options;
    let _lock = DirLock::take(dir).map_err(|error| match error {
        LockError::Held(_) => {
            let dir = dir.display();
            Failure::from(format!("a gateway works in {dir}: stop it, then move its store"))
        }
        other => other.into(),
    })?;
    let place = Config::load(dir)?.store;
    let StorePlace::File(file) = &place else {
        return Err("the store is on a server already (gateway.toml names it)".into());
    };
    let kept = dir.join(MOVED);
    if crate::taken(&kept) {
        return Err(format!("{} is there already: move it elsewhere", kept.display()).into());
    }
    let password = store_password_file.as_deref().map(std::path::absolute).transpose()?;
    let target = StorePlace::read(dir, Some(to), password.as_deref())?;
    let StorePlace::Server(address) = &target else {
        return Err("--to names no server".into());
    };
    let before = config_text(dir)?;
    let after = config::on_server(&before, to, password.as_deref());
    let copied = copy_to_server(file, address).await?;
    config::replace(&dir.join(config::FILE), &after)?;
    fs::rename(file, &kept)?;
    let mut text = String::new();
    for table in copied.iter().filter(|table| table.rows > 0) {
        text.push_str(&format!("{:>9} {:<20} {}\n", table.rows, table.table, table.digest));
    }
    let rows: u64 = copied.iter().map(|table| table.rows).sum();
    writeln!(
        std::io::stdout(),
        "{text}{rows} rows in {} tables were copied; read again at the server, all are the same.\n\
         gateway.toml names the server. The file is kept as {}: remove it when the gateway works.",
        copied.len(),
        kept.display()
    )?;
    Ok(())
}

fn config_text(dir: &Path) -> Result<String, Failure> {
    Ok(String::from_utf8(files::read(&dir.join(config::FILE), MAX_CONFIG_FILE)?)?)
}
