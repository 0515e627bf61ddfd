//! `towline-gateway init`: everything a gateway needs, made once in a directory of its own.
//!
//! Data flow: check that nothing is there -> certificates, authority key, store key,
//! `gateway.toml`, the store -> at last the first administrator, in one transaction: a store
//! without a user is none, so `serve` does not start in what a killed `init` left. One that fails
//! removes what it made.
//!
//! # Invariants
//! - Nothing that exists is overwritten; a second `init` is refused before it has changed anything.
//! - Nothing can fail behind the administrator: what failed left no user in a database on a server,
//!   and the next try takes its tables as they are.
//! - The administrator's secret is returned once and stored sealed.

use std::path::{Path, PathBuf};

use serde::Serialize;
use time::OffsetDateTime;
use towline_host::clock::UnixMillis;
use towline_host::entropy::{self, NoRandom};
use towline_host::files::{self, FileError};
use towline_host::lock::{DirLock, LockError};
use towline_ssm::ids::{AccessKeyId, SecretAccessKey};
use towline_store::{Store, StoreError};

use super::certs::{self, CertError};
use crate::authority::{Authority, AuthorityError};
use crate::config::{self, Config, ConfigError, StorePlace, raw::RawConfig};
use crate::listener::tls::{TlsConfigs, TlsError};
use crate::vault::{Vault, VaultError};

/// Region when none is given. `xx` is a code that ISO 3166 leaves to its users, so no AWS region
/// will ever be called so.
pub const DEFAULT_REGION: &str = "xx-towline-1";
/// Account when none is given: no AWS account has this number.
pub const DEFAULT_ACCOUNT: &str = "000000000000";
/// Name of the first administrator.
const ADMIN: &str = "admin";
/// Name of her policy.
pub(crate) const ADMIN_POLICY: &str = "everything";
/// Her policy.
pub(crate) const ADMIN_DOCUMENT: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [{ "Sid": "Everything", "Effect": "Allow", "Action": "*", "Resource": "*" }]
}"#;

const CHAIN: &str = "server.pem";

/// What to make.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory; made if it is not there.
    pub dir: PathBuf,
    /// Names under which clients and agents reach the gateway.
    pub hostnames: Vec<String>,
    /// A certificate chain and its key instead of a private authority's.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Where the private authority's key goes instead of the directory.
    pub ca_key_out: Option<PathBuf>,
    /// More domains and address ranges (`10.0.0.0/8`) that the private authority may certify.
    pub ca_permit: Vec<String>,
    /// Address of the TLS port.
    pub listen: String,
    /// Region in ARNs and signatures.
    pub region: String,
    /// Account in ARNs.
    pub account_id: String,
    /// Host of the `StreamUrl`, if not the one that clients use.
    pub stream_url_host: Option<String>,
    /// Address of a database for the store, instead of a file.
    pub store: Option<String>,
    /// File with the password for it.
    pub store_password_file: Option<PathBuf>,
}

impl Options {
    /// What `init --dir DIR` makes without other options, with the port on `listen`.
    #[must_use]
    pub fn new(dir: PathBuf, listen: &str) -> Self {
        Self {
            dir,
            hostnames: Vec::new(),
            tls: None,
            ca_key_out: None,
            ca_permit: Vec::new(),
            listen: listen.to_owned(),
            region: DEFAULT_REGION.to_owned(),
            account_id: DEFAULT_ACCOUNT.to_owned(),
            stream_url_host: None,
            store: None,
            store_password_file: None,
        }
    }
}

/// What was made, and how to use it. Holds the one copy of the administrator's secret.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Made {
    /// The administrator's access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The CA that clients must trust; absent when a certificate was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Region for clients.
    pub region: String,
    /// Account in ARNs.
    pub account_id: String,
    /// URL for clients.
    pub endpoint: String,
    /// For `towline-agent enroll --pin`, in place of a CA file: see [`TlsConfigs::pin`].
    pub pin: String,
}

/// Why nothing, or not everything, was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The directory is in use.
    #[error("{} exists already: the directory holds a gateway, or part of one; choose another directory, or empty this one", .0.display())]
    Exists(PathBuf),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process makes or runs a gateway there.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// An option cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration could not be written as TOML.
    #[error("cannot write the configuration: {0}")]
    Toml(#[from] toml::ser::Error),
    /// Certificates.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// The given certificate and key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The authority's key.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The store's key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandom),
    /// The system's folder cannot be named.
    #[error("cannot find the current folder: {0}")]
    Folder(std::io::Error),
}

/// Makes a gateway.
///
/// # Errors
/// [`InitError`]; what was made until then is removed, so that a second try can succeed.
pub async fn run(options: &Options) -> Result<Made, InitError> {
    let raw = raw_config(options)?;
    let config = Config::new(&options.dir, raw.clone())?;
    refuse_existing(&options.dir)?;
    let fresh = match &options.tls {
        Some((chain, key)) => {
            TlsConfigs::load(chain, key)?;
            None
        }
        None => Some(certs::make(&options.hostnames, &options.ca_permit)?),
    };
    files::private_dir(&options.dir)?;
    let _lock = DirLock::take(&options.dir)?;
    refuse_existing(&options.dir)?; // another one may have been faster
    let made = fill(options, config, &raw, fresh).await;
    if made.is_err() {
        undo(options);
    }
    made
}

/// Makes the files and the store. Nothing of ours is in the directory before.
async fn fill(
    options: &Options,
    config: Config,
    raw: &RawConfig,
    fresh: Option<certs::Fresh>,
) -> Result<Made, InitError> {
    let at = |name: &str| options.dir.join(name);
    match (&options.tls, &fresh) {
        (Some((chain, key)), _) => {
            files::create_private(
                &at(CHAIN),
                &files::read(chain, crate::limits::MAX_CONFIG_FILE)?,
            )?;
            files::create_private(
                &at(config::SERVER_KEY),
                &files::read(key, crate::limits::MAX_CONFIG_FILE)?,
            )?;
        }
        (None, Some(fresh)) => {
            files::create_private(&at(config::CA), fresh.ca_pem.as_bytes())?;
            let ca_key = options.ca_key_out.clone().unwrap_or_else(|| at(config::CA_KEY));
            files::create_private(&ca_key, fresh.ca_key_pem.as_bytes())?;
            files::create_private(&at(CHAIN), fresh.chain_pem.as_bytes())?;
            files::create_private(&at(config::SERVER_KEY), fresh.key_pem.as_bytes())?;
        }
        (None, None) => {}
    }
    files::create_private(&at(config::AUTHORITY_KEY), &Authority::generate()?)?;
    let store_key = Vault::generate_key()?;
    files::create_private(&at(config::STORE_KEY), store_key.as_slice())?;
    files::create_private(&at(config::FILE), toml::to_string_pretty(raw)?.as_bytes())?;
    let ca_file = fresh
        .map(|_| std::path::absolute(at(config::CA)))
        .transpose()
        .map_err(InitError::Folder)?;
    let pin = TlsConfigs::pin(&at(CHAIN))?;
    let (access_key, secret) =
        first_administrator(&config.store, &Vault::new(store_key.as_slice())?).await?;
    Ok(Made {
        access_key_id: access_key.to_string(),
        secret_access_key: secret.expose().to_owned(),
        ca_file,
        region: config.region,
        account_id: config.account_id,
        endpoint: raw.endpoint.clone(),
        pin,
    })
}

fn raw_config(options: &Options) -> Result<RawConfig, InitError> {
    let host = options.hostnames.first().map_or("localhost", String::as_str);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let port = options.listen.rsplit_once(':').map_or("8443", |(_, port)| port);
    // Whole, because a path in the file is relative to the file.
    let password_file = options.store_password_file.as_deref().map(std::path::absolute);
    Ok(RawConfig {
        cluster: None,
        evidence: None,
        proxy_protocol_from: Vec::new(),
        max_connections: None,
        session_grace_minutes: None,
        session_idle_minutes: None,
        session_max_minutes: None,
        removal_ends_sessions: None,
        access_ends_sessions: None,
        region: options.region.clone(),
        account_id: options.account_id.clone(),
        endpoint: if port == "443" {
            format!("https://{host}")
        } else {
            format!("https://{host}:{port}")
        },
        listen: options.listen.clone(),
        stream_url_host: options.stream_url_host.clone(),
        metrics: None,
        console: None,
        outbound: None,
        mail: None,
        store: options.store.clone(),
        store_password_file: password_file.transpose().map_err(InitError::Folder)?,
        tls_certificate: CHAIN.to_owned(),
        tls_key: config::SERVER_KEY.to_owned(),
    })
}

/// Removes what [`fill`] has made. The server's certificate comes after the key of the CA: where it
/// is, that key is of this try, too.
fn undo(options: &Options) {
    let at = |name: &str| options.dir.join(name);
    let ca_key = options.ca_key_out.clone().filter(|_| at(CHAIN).exists());
    let of_the_store = ["-wal", "-shm"].map(|end| at(&format!("{}{end}", config::STORE)));
    for path in OURS.map(at).into_iter().chain(of_the_store).chain(ca_key) {
        let _ = std::fs::remove_file(path);
    }
}

/// All files that are made in the directory.
const OURS: [&str; 8] = [
    config::FILE,
    config::AUTHORITY_KEY,
    config::STORE_KEY,
    config::STORE,
    config::CA,
    config::CA_KEY,
    CHAIN,
    config::SERVER_KEY,
];

fn refuse_existing(dir: &Path) -> Result<(), InitError> {
    OURS.iter()
        .map(|name| dir.join(name))
        .find(|path| path.exists())
        .map_or(Ok(()), |path| Err(InitError::Exists(path)))
}

async fn first_administrator(
    place: &StorePlace,
    vault: &Vault,
) -> Result<(AccessKeyId, SecretAccessKey), InitError> {
    // The store's file would be made with the mode of the process; made empty first, it has ours.
    if let StorePlace::File(path) = place {
        files::create_private(path, b"")?;
    }
    let store = place.create().await?;
    let now = UnixMillis::from(OffsetDateTime::now_utc());
    let id = AccessKeyId::from_random(entropy::random()?);
    let secret = SecretAccessKey::from_random(entropy::random()?);
    let sealed = vault.seal(id.as_str(), secret.expose().as_bytes())?;
    let made = administrator(&store, id.as_str(), &sealed, now).await;
    store.close().await;
    made.map(|()| (id, secret))
}

async fn administrator(
    store: &Store,
    key: &str,
    sealed: &[u8],
    now: UnixMillis,
) -> Result<(), InitError> {
    let mut change = store.change().await?;
    change.create(ADMIN, &[], now).await?;
    change.put_policy(ADMIN, ADMIN_POLICY, ADMIN_DOCUMENT, now).await?;
    change.add_key(ADMIN, key, sealed, now).await?;
    let Err(error) = change.commit().await else { return Ok(()) };
    // A server that has committed may be away before it says so.
    match store.principals().key(key).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) | Err(_) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use towline_testkit::postgres::Postgres;

    fn options(dir: &Path) -> Options {
        Options {
            hostnames: vec!["gateway.example".into()],
            ..Options::new(dir.to_owned(), "[::]:8443")
        }
    }

    #[tokio::test]
    async fn a_try_that_fails_leaves_nothing_and_the_next_one_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("gw");
        let kept = dir.path().join("ca.key");
        // Its port is kept, and nobody listens.
        let holder = tokio::net::TcpSocket::new_v4().unwrap();
        holder.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = holder.local_addr().unwrap().port();
        let on_a_server = Options {
            ca_key_out: Some(kept.clone()),
            store: Some(format!("postgres://a@127.0.0.1:{port}/b")),
            ..options(&home)
        };
        let told = run(&on_a_server).await.err().unwrap().to_string();
        assert!(told.contains("refused"), "{told}");
        assert!(!kept.exists(), "the key of the CA is removed, too");
        let nowhere = Options { ca_key_out: Some(dir.path().join("no/ca.key")), ..options(&home) };
        run(&nowhere).await.err().unwrap();
        assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0);
        run(&Options { ca_key_out: Some(kept), ..options(&home) }).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_try_that_fails_in_a_database_leaves_no_user_and_the_next_one_succeeds() {
        let server = Postgres::start(&["fsync = off"]).unwrap();
        server.psql("postgres", "create database towline").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("gw");
        let there = Options { store: Some(server.address("towline")), ..options(&home) };
        let config = Config::new(&home, raw_config(&there).unwrap()).unwrap();
        config.store.create().await.unwrap().close().await;
        server
            .psql(
                "towline",
                "create function no() returns trigger language plpgsql as \
                 $$ begin raise exception 'no room for a key'; end $$; \
                 create trigger no before insert on access_keys for each row execute function no()",
            )
            .unwrap();
        let told = run(&there).await.err().unwrap().to_string();
        assert!(told.contains("no room for a key"), "{told}");
        assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0, "no file is left");
        server.psql("towline", "drop trigger no on access_keys").unwrap();
        let made = run(&there).await.unwrap();
        let second = Options { dir: dir.path().join("second"), ..there };
        let told = run(&second).await.err().unwrap().to_string();
        assert!(told.contains("holds a store already"), "{told}");
        let store = config.store.open().await.unwrap();
        assert!(store.principals().key(&made.access_key_id).await.unwrap().is_some());
        store.close().await;
    }

    #[tokio::test]
    async fn what_init_makes_is_private_and_complete() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("gw");
        let made = run(&options(&home)).await.unwrap();
        assert_eq!(made.endpoint, "https://gateway.example:8443");
        for file in std::fs::read_dir(&home).unwrap() {
            let file = file.unwrap();
            assert_eq!(
                file.metadata().unwrap().permissions().mode() & 0o777,
                0o600,
                "{:?}",
                file.path()
            );
        }
        let config = Config::load(&home).unwrap();
        TlsConfigs::load(&config.tls_certificate, &config.tls_key).unwrap();
        assert!(
            made.pin.len() == 64 && made.pin == TlsConfigs::pin(&config.tls_certificate).unwrap()
        );
        let vault = Vault::new(&std::fs::read(home.join(config::STORE_KEY)).unwrap()).unwrap();
        let store = Store::open(&home.join(config::STORE)).await.unwrap();
        let key = store.principals().key(&made.access_key_id).await.unwrap().unwrap();
        assert_eq!(&**vault.open(&key.id, &key.sealed).unwrap(), made.secret_access_key.as_bytes());
        assert!(
            towline_policy::Policy::parse(&store.principals().policies(ADMIN).await.unwrap()[0].1)
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_second_init_is_refused_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        run(&options(dir.path())).await.unwrap();
        let before = std::fs::read(dir.path().join(config::AUTHORITY_KEY)).unwrap();
        assert!(matches!(run(&options(dir.path())).await, Err(InitError::Exists(_))));
        assert_eq!(std::fs::read(dir.path().join(config::AUTHORITY_KEY)).unwrap(), before);
    }

    #[tokio::test]
    async fn the_authoritys_key_can_be_kept_off_the_gateway() {
        let dir = tempfile::tempdir().unwrap();
        let (home, key) = (dir.path().join("gw"), dir.path().join("usb.key"));
        run(&Options { ca_key_out: Some(key.clone()), ..options(&home) }).await.unwrap();
        assert!(!home.join(config::CA_KEY).exists());
        assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn init_stays_out_of_a_directory_that_another_process_works_in() {
        let dir = tempfile::tempdir().unwrap();
        let _held = DirLock::take(dir.path()).unwrap();
        assert!(matches!(run(&options(dir.path())).await, Err(InitError::Lock(_))));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_given_certificate_is_taken_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let fresh = certs::make(&["own.example".into()], &[]).unwrap();
        let (chain, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        files::create_private(&chain, fresh.chain_pem.as_bytes()).unwrap();
        files::create_private(&key, fresh.key_pem.as_bytes()).unwrap();
        let home = dir.path().join("gw");
        let made =
            run(&Options { tls: Some((chain.clone(), key)), ..options(&home) }).await.unwrap();
        assert_eq!(made.ca_file, None);
        assert_eq!(std::fs::read(home.join(CHAIN)).unwrap(), fresh.chain_pem.as_bytes());

        let other = dir.path().join("other");
        let wrong = Options { tls: Some((chain.clone(), chain)), ..options(&other) };
        assert!(matches!(run(&wrong).await, Err(InitError::Tls(_))));
        assert!(!other.exists(), "a refused init leaves nothing");
    }
}
