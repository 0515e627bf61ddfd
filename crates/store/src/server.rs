//! A store on a PostgreSQL server: its address, connected, its schema brought up to date.
//!
//! # Invariants
//! - A password is never part of the address: addresses stand in files and on command lines.
//! - Over a network the server proves itself by its certificate (`sslmode=verify-full`); without
//!   TLS only the machine itself is talked to.
//! - A standby, another encoding and a schema that does not fit are refused before anything is
//!   written ([`crate::schema`]).

use std::path::Path;
use std::sync::{Arc, Mutex};

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use towline_host::files;

use crate::engine::guard::WriteGuard;
use crate::engine::member::{Member, NodeIdentity, NotJoined};
use crate::engine::postgres::{PostgresPool, reason};
use crate::engine::{self, Place, Pool};
use crate::error::StoreError;
use crate::limits::{
    SEARCH_CONNECTIONS, SERVER_CONNECTIONS, SERVER_PATIENCE, SERVER_SEARCH_PATIENCE, SERVER_UPGRADE,
};
use crate::schema::{Beside, look, newer, upgrade};
use crate::store::Store;

/// Bytes of a file with a password.
const MAX_PASSWORD_FILE: u64 = 4096;

/// Where a server is, and how it is talked to.
#[derive(Clone)]
pub struct ServerAddress {
    pub(crate) options: PgConnectOptions,
}

impl std::fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerAddress")
            .field("host", &self.options.get_host())
            .field("port", &self.options.get_port())
            .finish_non_exhaustive()
    }
}

impl ServerAddress {
    /// Reads `postgres://USER@HOST[:PORT]/DATABASE[?sslrootcert=FILE]`. The password comes from
    /// `password_file`, else from the environment (`PGPASSWORD`), else from `.pgpass`.
    ///
    /// # Errors
    /// [`StoreError::Address`] says what is wrong with it.
    pub fn parse(url: &str, password_file: Option<&Path>) -> Result<Self, StoreError> {
        let wrong = |why: &str| StoreError::Address(why.to_owned());
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| wrong("it begins with postgres:// or postgresql://"))?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let user = place.split('/').next().unwrap_or("").rsplit_once('@').map(|(user, _)| user);
        let parameter =
            |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        if user.is_some_and(|user| user.contains(':')) || parameter("password") {
            return Err(wrong(
                "it holds a password, which others can read: name a file with it, or use \
                 PGPASSWORD \
                 or ~/.pgpass",
            ));
        }
        let mut options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| {
            StoreError::Address(format!("it cannot be read: {error}"))
        })?;
        if options.get_database().is_none() {
            return Err(wrong("it names no database: postgres://USER@HOST/DATABASE"));
        }
        if let Some(path) = password_file {
            let bytes = files::read(path, MAX_PASSWORD_FILE)
                .map_err(|error| StoreError::Address(format!("the password: {error}")))?;
            let text = String::from_utf8(bytes)
                .map_err(|_| StoreError::Address("the password is not UTF-8".to_owned()))?;
            options = options.password(text.trim_end_matches(['\n', '\r']));
        }
        let host = options.get_host().trim_start_matches('[').trim_end_matches(']');
        let is_near = options.get_socket().is_some()
            || host.starts_with('/')
            || host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        options = match (parameter("sslmode") || parameter("ssl-mode"), options.get_ssl_mode()) {
            (true, PgSslMode::VerifyFull) => options,
            (true, PgSslMode::VerifyCa | PgSslMode::Disable) if is_near => options,
            (true, _) => {
                return Err(wrong(
                    "its sslmode proves nothing about the server: leave it out, or say \
                     verify-full; \
                     disable and verify-ca are for a server on this machine",
                ));
            }
            (false, _) if is_near => options.ssl_mode(PgSslMode::Disable),
            (false, _) => options.ssl_mode(PgSslMode::VerifyFull),
        };
        Ok(Self { options: options.application_name("towline-gateway") })
    }
}

impl ServerAddress {
    /// Whether a store is there that this version can open, as one of several nodes or alone.
    /// Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Server`] when the database cannot be used, or holds none.
    pub async fn check(&self, as_node: bool) -> Result<(), StoreError> {
        let one = one_connection(self).await?;
        let found = look(&one).await;
        one.close().await;
        let found = found?;
        found.holds_one()?;
        found.suits(if as_node { Beside::Nodes } else { Beside::Nobody })
    }
}

impl Store {
    /// Makes a store in a database that holds none.
    ///
    /// # Errors
    /// [`StoreError::Server`] when the database cannot be used, or holds a store.
    pub async fn create_on(address: &ServerAddress) -> Result<Self, StoreError> {
        let one = one_connection(address).await?;
        let found = look(&one).await?;
        // A try that ended early may have left the list of steps, without one.
        let foreign = "SELECT COUNT(*) FROM pg_tables WHERE schemaname = CURRENT_SCHEMA() \
                       AND tablename <> '_sqlx_migrations'";
        let tables: i64 = sqlx::query_scalar(foreign).fetch_one(&one).await?;
        if found.is_bare() && tables > 0 {
            return Err(StoreError::Server(format!(
                "holds {tables} tables of something else: make a database of its own for the store"
            )));
        }
        if found.users > 0 {
            return Err(StoreError::Server(
                "holds a store already: choose another database, or drop this one".to_owned(),
            ));
        }
        found.suits(Beside::Nobody)?;
        upgrade(one, Beside::Nobody).await?;
        Self::pools(address, None).await
    }

    /// Opens the store of a database that must hold one, as one of several nodes.
    ///
    /// # Errors
    /// [`StoreError::Server`] when the database cannot be used, or holds none, or the name is
    /// another node's; [`StoreError::Held`] when a gateway that works alone has it.
    pub async fn join(address: &ServerAddress, node: &NodeIdentity) -> Result<Self, StoreError> {
        let one = one_connection(address).await?;
        let found = look(&one).await?;
        found.holds_one()?;
        found.suits(Beside::Nodes)?;
        upgrade(one, Beside::Nodes).await?;
        let (member, guard) = Member::join(&address.options, node).await.map_err(not_joined)?;
        let mut store = Self::pools(address, Some(&guard)).await?;
        drop(store.writing().await?); // what another timeline puts in doubt, before it is read
        store.node = Arc::clone(&member.name);
        store.member = Some(Arc::new(member));
        Ok(store)
    }

    /// Opens the store of a database that must hold one, and takes the place of the gateway that
    /// works with it.
    ///
    /// # Errors
    /// [`StoreError::Server`] when the database cannot be used, or holds none; [`StoreError::Held`]
    /// when another gateway works with it.
    pub async fn connect(address: &ServerAddress) -> Result<Self, StoreError> {
        let one = one_connection(address).await?;
        let found = look(&one).await?;
        found.holds_one()?;
        found.suits(Beside::Nobody)?;
        let (place, guard) = Place::take(&address.options).await?.ok_or(StoreError::Held)?;
        upgrade(one, Beside::Nobody).await?;
        let mut store = Self::pools(address, Some(&guard)).await?;
        store.place = Some(Arc::new(place));
        // Of nodes that worked before: alone, this gateway carries all.
        engine::query("UPDATE sessions SET node = '' WHERE node <> '' AND ended_at IS NULL")
            .execute(&store.pool)
            .await?;
        Ok(store)
    }

    /// Opens a store that must be there and of this version, without the place of the gateway that
    /// works with it: for reading all of it.
    ///
    /// # Errors
    /// [`StoreError::Server`] when the database cannot be used, or holds none of this version.
    pub async fn read_whole(address: &ServerAddress) -> Result<Self, StoreError> {
        let one = one_connection(address).await?;
        let found = look(&one).await;
        one.close().await;
        let found = found?;
        found.holds_one()?;
        found.is_of_this_version()?;
        Self::pools(address, None).await
    }

    /// The same for a look at some of it: the schema may be a newer one that a node of this version
    /// works with.
    ///
    /// # Errors
    /// As [`Store::read_whole`].
    pub async fn look_at(address: &ServerAddress) -> Result<Self, StoreError> {
        let one = one_connection(address).await?;
        let found = look(&one).await;
        one.close().await;
        let found = found?;
        found.holds_one()?;
        found.suits(Beside::Nodes)?;
        found.has_all_of_this_version()?;
        Self::pools(address, None).await
    }

    async fn pools(
        address: &ServerAddress,
        guard: Option<&WriteGuard>,
    ) -> Result<Self, StoreError> {
        let options = &address.options;
        let pool =
            PostgresPool::connect(options, SERVER_CONNECTIONS, SERVER_PATIENCE, guard).await?;
        let search =
            PostgresPool::connect(options, SEARCH_CONNECTIONS, SERVER_SEARCH_PATIENCE, guard)
                .await?;
        Ok(Self {
            pool: Pool::Postgres(pool),
            search: Pool::Postgres(search),
            keeper: Arc::new(Mutex::new(None)),
            place: None,
            member: None,
            node: Arc::from(""),
            unreadable: Arc::default(),
        })
    }
}

fn not_joined(why: NotJoined) -> StoreError {
    let server = |text: &str| StoreError::Server(text.to_owned());
    match why {
        NotJoined::Alone => StoreError::Held,
        NotJoined::NameTaken => server(
            "has a node of this name with another key, and it is alive: give each gateway a `node` \
             of its own in the section [evidence] of gateway.toml",
        ),
        NotJoined::KeyTaken => server(
            "has a node of another name with this key: node.key was copied; remove it here, and a \
             new \
             one is made",
        ),
        NotJoined::Twice => server(
            "has another process at work with the name and the key of this node: was its directory \
             or its machine copied? It goes on; this one is not started. Give the copy a `node` of \
             its own in the section [evidence] of gateway.toml and remove its node.key, or stop \
             the other one",
        ),
        NotJoined::Waits => StoreError::WaitsForApproval,
        NotJoined::Removed => server(
            "has this gateway among the removed nodes: `towline-gateway nodes approve` at another \
             one \
             takes it back",
        ),
        NotJoined::Schema(schema) => StoreError::Server(newer(schema)),
        NotJoined::Full => server("has as many nodes as there may be: remove some first"),
        NotJoined::Database(error) => error.into(),
    }
}

/// A connection for the upgrade, which may take its time.
async fn one_connection(address: &ServerAddress) -> Result<PgPool, StoreError> {
    let millis = SERVER_UPGRADE.as_millis().to_string();
    let options = address.options.clone().options([("statement_timeout", millis)]);
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(SERVER_PATIENCE);
    match pool.connect_with(options.clone()).await {
        Ok(pool) => Ok(pool),
        Err(error) => Err(reason(&options, error).await.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<PgSslMode, String> {
        let address = ServerAddress::parse(url, None).map_err(|error| error.to_string())?;
        Ok(address.options.get_ssl_mode())
    }

    #[test]
    fn a_server_over_a_network_proves_itself_and_one_on_this_machine_need_not() {
        let far = "postgres://towline@db.example/towline";
        assert!(matches!(parsed(far), Ok(PgSslMode::VerifyFull)));
        let root = format!("{far}?sslrootcert=/etc/ca.pem");
        assert!(matches!(parsed(&root), Ok(PgSslMode::VerifyFull)));
        for weak in ["disable", "prefer", "require", "allow", "verify-ca"] {
            let refused = parsed(&format!("{far}?sslmode={weak}")).unwrap_err();
            assert!(refused.contains("verify-full"), "{weak}: {refused}");
        }
        for near in ["127.0.0.1:5433", "localhost", "[::1]", "%2Frun%2Fpostgresql"] {
            let mode = parsed(&format!("postgres://towline@{near}/towline"));
            assert!(matches!(mode, Ok(PgSslMode::Disable)), "{near}: {mode:?}");
        }
    }

    #[test]
    fn an_address_holds_no_password_and_names_a_database() {
        for (url, word) in [
            ("postgres://towline:secret@db.example/towline", "password"),
            ("postgres://towline@db.example/towline?password=secret", "password"),
            ("mysql://towline@db.example/towline", "postgres://"),
        ] {
            let refused = parsed(url).unwrap_err();
            assert!(refused.contains(word) && !refused.contains("secret"), "{refused}");
        }
        let address = ServerAddress::parse("postgres://towline@db.example/towline", None).unwrap();
        assert!(format!("{address:?}").contains("db.example"));
    }
}
