//! The command line of `towline-gateway`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Parser, Subcommand};
use towline_gateway::init::{self, Made, Options};

const EXIT_CODES: &str = "Exit codes: 0 success, 1 failure (config check: a gateway would not \
                          start), 2 the command line is invalid";

/// The Towline gateway.
#[derive(Parser)]
#[command(version, about, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Log at debug level. RUST_LOG, when set, takes its place.
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create a gateway directory: keys, certificate, store and the first administrator.
    Init(Box<Init>),
    /// Run the gateway of a directory that `init` created.
    Serve(Serve),
    /// Make a new administrator with a new key, for root on the server; other keys stay valid.
    AdminKey(AdminKey),
    /// Write a backup of the gateway to one file; a gateway may be running.
    ///
    /// It has the store, the configuration, the signed chain and what has not reached the sink. It
    /// has no recordings that are in the sink, and keys only with --with-keys.
    Backup(Backup),
    /// Make a gateway's directory from a backup.
    ///
    /// What may have been used, ended or revoked since the backup is ended: activations, access
    /// requests, temporary credentials, sessions, commands. Users and devices to check are listed.
    Restore(Restore),
    /// Tell devices the server's next key, before it changes.
    #[command(subcommand)]
    Pin(Pin),
    /// Make a link that signs a browser in to the web console, once, within five minutes.
    ///
    /// A gateway must be running in the directory. The link stands for an active access key of its
    /// user, and the sign-in that it makes ends when that key ends.
    SignInLink(Link),
    /// Make an index for each recording in the sink that has none; a gateway has to be running.
    ///
    /// The console's player needs it for recordings of more than 1 MiB. A gateway makes one when a
    /// session ends; recordings of older versions have none. It works in the background: the log
    /// names each index.
    IndexRecordings {
        /// The directory that `init` made.
        #[arg(long)]
        dir: PathBuf,
    },
    /// List the gateways that work on one store together.
    ///
    /// `approve` and `remove` decide which may work: a gateway that joined with a token waits.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Nodes(Nodes),
    /// Make a token with which one further gateway joins, once, within 15 minutes.
    ///
    /// A gateway with the section [cluster] must be running in the directory. The new gateway gets
    /// the keys that all gateways share after `nodes approve`.
    JoinToken(JoinToken),
    /// Make the directory of a further gateway, with what another one gives for a token.
    ///
    /// It waits until somebody has approved the new one: `towline-gateway nodes approve NAME` at
    /// the other one. Then it gets keys, certificate and settings of that; name and addresses are
    /// its own.
    Join(Join),
    /// Certificates for gateways that do not have the key of the private CA.
    #[command(subcommand)]
    Cert(Cert),
    /// Give the devices and sessions of the gateway that runs in a directory to the other gateways,
    /// and end it.
    ///
    /// Only where several gateways work together. The gateway takes nothing new, /readyz says so,
    /// and its devices go to the others at the pace at which those let them in; open sessions go
    /// with them. It ends when none is left, or when the time is over. A gateway that is told to
    /// stop (SIGTERM) does the same within 60 s; a second signal stops it at once.
    Drain(Drain),
    /// Work with the configuration.
    #[command(subcommand)]
    Config(Config),
    /// Remove one tag from the store of a gateway that does not run.
    ///
    /// For tags that keep this version from starting; `config check` and `serve` list them. Ask a
    /// running gateway by its API.
    RemoveTag(RemoveTag),
    /// Move the store of a gateway that does not run from its file to a PostgreSQL database.
    ///
    /// All rows are copied in one transaction, read again at the server and compared. Then
    /// gateway.toml names the server, and the file is kept as towline.db.moved.
    MigrateStore(MigrateStore),
}

#[derive(ClapArgs)]
pub(crate) struct MigrateStore {
    /// The directory that `init` made.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The database, which must hold nothing. No password in the address: see
    /// --store-password-file.
    #[arg(long, value_name = "postgres://USER@HOST/DATABASE")]
    pub(crate) to: String,
    /// File with the password for it; default: PGPASSWORD, else ~/.pgpass.
    #[arg(long, value_name = "FILE")]
    pub(crate) store_password_file: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct RemoveTag {
    /// The directory that `init` made.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// What has the tag.
    #[arg(value_parser = ["device", "principal", "document"])]
    pub(crate) kind: String,
    /// Its id or name, as listed.
    pub(crate) id: String,
    /// The key of the tag, in its exact letters.
    pub(crate) key: String,
}

#[derive(ClapArgs)]
pub(crate) struct AdminKey {
    /// The directory that `init` made. A gateway may be running in it.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Write the key to this new file (mode 0600) as JSON. Without it, it is shown on a terminal.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct Link {
    /// The directory that `init` made.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The user that it signs in.
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub(crate) user: String,
    /// Print the link as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Nodes {
    #[command(subcommand)]
    pub(crate) decide: Option<Decide>,
    /// The directory of one of them. A gateway may be running in it.
    #[arg(long, required = true)]
    pub(crate) dir: Option<PathBuf>,
    /// Print one JSON object for each.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Decide {
    /// Permit a gateway to work that has joined with a token, or was removed.
    Approve(Named),
    /// Remove a gateway: it ends, and its devices and sessions go to the others.
    Remove(Named),
}

#[derive(ClapArgs)]
pub(crate) struct Named {
    /// Its name, as `nodes` lists it.
    pub(crate) name: String,
    /// The directory of a gateway that runs.
    #[arg(long)]
    pub(crate) dir: PathBuf,
}

#[derive(ClapArgs)]
pub(crate) struct JoinToken {
    /// The directory that `init` made.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Give the key of the private CA, too: the new gateway can then certify any name of the CA.
    #[arg(long)]
    pub(crate) with_ca_key: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Join {
    /// The directory to make; it must be empty or absent.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The file with the token; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: PathBuf,
    /// Name of this gateway among the others.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: String,
    /// Where the others reach this gateway's port.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) address: String,
    /// Where devices reach it, for gateways that send them away.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) device_address: Option<String>,
    /// Address to listen on; default: the other gateway's.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Do not wait for the approval: the same command goes on after it.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Subcommand)]
pub(crate) enum Cert {
    /// Write a request for a certificate, for names of this gateway's own.
    ///
    /// It asks for the names given, for those in gateway.toml by which the gateway is reached, and
    /// for localhost. Carry the request to where the key of the CA is: `cert sign`.
    Request {
        /// The directory of the gateway.
        #[arg(long)]
        dir: PathBuf,
        /// Name or address at which clients and devices reach this gateway; repeatable.
        #[arg(long = "hostname", value_name = "H")]
        hostnames: Vec<String>,
        /// Make a new key for it, which is used from `cert install` on. Without this the gateway
        /// keeps its key. Devices that were enrolled with --pin refuse another key.
        #[arg(long)]
        new_key: bool,
        /// Write the request to this new file instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Sign the request of another gateway with the key of the private CA.
    ///
    /// Two certificates over one key: until 2049 for devices, whose clocks may be years off, and of
    /// 397 days for everybody else. Names that the CA may not certify are refused. It is written
    /// into the audit trail before anything is given out.
    Sign {
        /// The directory of a gateway with the audit trail, and with ca.pem and ca.key.pem unless
        /// the next two name others. A gateway may be running in it.
        #[arg(long)]
        dir: PathBuf,
        /// The request; - for standard input.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// Certificate of the CA (PEM); default: ca.pem in the directory.
        #[arg(long, value_name = "FILE", requires = "ca_key")]
        ca: Option<PathBuf>,
        /// Key of the CA (PEM); default: ca.key.pem in the directory.
        #[arg(long, value_name = "FILE")]
        ca_key: Option<PathBuf>,
        /// Write the certificates to this new file instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Put signed certificates in the place of those that this gateway serves with.
    ///
    /// They are checked first. A gateway that runs takes them within five seconds; open connections
    /// go on.
    Install {
        /// The directory of the gateway. A gateway may be running in it.
        #[arg(long)]
        dir: PathBuf,
        /// What `cert sign` wrote.
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
    },
}

#[derive(ClapArgs)]
pub(crate) struct Drain {
    /// The directory that `init` made.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// End after so many seconds at the latest, whatever is left.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(..=3600)
    )]
    pub(crate) within: u64,
}

#[derive(ClapArgs)]
pub(crate) struct Backup {
    /// The directory that `init` made. A gateway may be running in it.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Write the backup to this new file (mode 0600).
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Add the gateway's keys. Who reads the file then owns the fleet.
    #[arg(long)]
    pub(crate) with_keys: bool,
    /// Encrypt the backup with this key file: at least 32 random bytes.
    #[arg(long, value_name = "KEYFILE")]
    pub(crate) encrypt_to: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct Restore {
    /// The directory to make; it must be empty or absent.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The file that `backup` wrote.
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// The key file that the backup was encrypted with.
    #[arg(long, value_name = "KEYFILE")]
    pub(crate) decrypt_with: Option<PathBuf>,
    /// Folder with the keys that the backup does not have: store.key, authority.key, evidence.key,
    /// server.key.pem.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) keys: Option<PathBuf>,
    /// Restore the store into this database, which must hold nothing, or into a file; default:
    /// where the gateway.toml of the backup says.
    #[arg(long, value_name = "postgres://USER@HOST/DATABASE|file")]
    pub(crate) store: Option<String>,
    /// File with the password for --store; default: PGPASSWORD, else ~/.pgpass.
    #[arg(long, value_name = "FILE", requires = "store")]
    pub(crate) store_password_file: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum Pin {
    /// Give the pin of the next key to all devices; they accept it beside the key in use.
    Add {
        /// The directory that `init` made. A gateway may be running in it.
        #[arg(long)]
        dir: PathBuf,
        /// SHA-256 of the key's SubjectPublicKeyInfo, 64 hex digits.
        #[arg(required_unless_present = "certificate")]
        pin: Option<String>,
        /// Take the pin of this certificate (PEM).
        #[arg(long, value_name = "FILE", conflicts_with = "pin")]
        certificate: Option<PathBuf>,
    },
    /// Take the last pin back, unless a device has met its key already.
    Remove {
        /// The directory that `init` made. A gateway may be running in it.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Show the next pin, and how many devices have it.
    List {
        /// The directory that `init` made. A gateway may be running in it.
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum Config {
    /// Say whether a gateway would start, and what clients would complain about. Changes nothing.
    Check {
        /// The directory that `init` made. A gateway may be running in it.
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(ClapArgs)]
pub(crate) struct Init {
    /// The directory to create.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Name or address at which clients and agents reach the gateway; repeatable.
    #[arg(long = "hostname", value_name = "H")]
    hostnames: Vec<String>,
    /// Use this certificate chain (PEM) instead of a private CA.
    #[arg(long, value_name = "F", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM) of that certificate.
    #[arg(long, value_name = "F", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Write the key of the private CA to this new file instead of the directory, to be kept off
    /// the server.
    #[arg(long, value_name = "FILE", conflicts_with = "tls_cert")]
    ca_key_out: Option<PathBuf>,
    /// A domain or address range that the private CA may certify besides the hostnames; may be
    /// given more than once.
    #[arg(long, value_name = "NAME", conflicts_with = "tls_cert")]
    ca_permit: Vec<String>,
    /// Address to listen on.
    #[arg(long, default_value = "[::]:8443", value_name = "ADDR")]
    listen: String,
    /// Region name in ARNs and signatures.
    #[arg(long, default_value = init::DEFAULT_REGION)]
    region: String,
    /// Account id in ARNs, twelve digits.
    #[arg(long, default_value = init::DEFAULT_ACCOUNT)]
    account_id: String,
    /// HOST or HOST:PORT in StreamUrl; default: the host that each client used.
    #[arg(long, value_name = "H")]
    stream_url_host: Option<String>,
    /// Keep the store in this PostgreSQL database, which holds none yet, instead of a file. No
    /// password in the address: see --store-password-file.
    #[arg(long, value_name = "postgres://USER@HOST/DATABASE")]
    store: Option<String>,
    /// File with the password for --store; default: PGPASSWORD, else ~/.pgpass.
    #[arg(long, value_name = "FILE", requires = "store")]
    store_password_file: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the JSON object to this new file (mode 0600) instead of standard output.
    #[arg(long, value_name = "FILE", requires = "json")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct Serve {
    /// The directory that `init` created.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Listen on this address instead of the configured one; port 0 takes any free port.
    #[arg(long, value_name = "ADDR", value_parser = socket_address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Serve /healthz, /readyz and /metrics on this address, plain HTTP.
    #[arg(long, value_name = "ADDR", value_parser = socket_address)]
    pub(crate) metrics: Option<SocketAddr>,
    /// Start with a towline.db that looks copied without its log, because it is known to be the
    /// newest.
    #[arg(long)]
    pub(crate) accept_store: bool,
}

/// An address with its port.
fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let wrong = "expected an address with a port, such as [::]:8443 or 127.0.0.1:8443";
    text.parse().map_err(|_| wrong.to_owned())
}

impl Init {
    pub(crate) fn to_options(&self) -> Options {
        Options {
            dir: self.dir.clone(),
            hostnames: self.hostnames.clone(),
            tls: self.tls_cert.clone().zip(self.tls_key.clone()),
            ca_key_out: self.ca_key_out.clone(),
            ca_permit: self.ca_permit.clone(),
            listen: self.listen.clone(),
            region: self.region.clone(),
            account_id: self.account_id.clone(),
            stream_url_host: self.stream_url_host.clone(),
            store: self.store.clone(),
            store_password_file: self.store_password_file.clone(),
        }
    }
}

/// The result of `init` for people: credentials and the next steps.
pub(crate) fn for_people(made: &Made, dir: &Path) -> String {
    let mut text = format!(
        "The gateway was created in {}.\n\nAccess key of the first administrator (it is not shown \
         again):\n\n\
         export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\nexport AWS_REGION={}\n\
         export AWS_ENDPOINT_URL={}\nexport TOWLINE_ENDPOINT={}\n",
        dir.display(),
        made.access_key_id,
        made.secret_access_key,
        made.region,
        made.endpoint,
        made.endpoint
    );
    if let Some(ca) = &made.ca_file {
        let ca = ca.display();
        text.push_str(&format!("export AWS_CA_BUNDLE={ca}\nexport TOWLINE_CA={ca}\n"));
    }
    text.push_str(&format!(
        "\nAgents can pin the key instead of using the CA file: towline-agent enroll … --pin {}\n",
        made.pin
    ));
    text.push_str(&format!("\nStart the gateway: towline-gateway serve --dir {}", dir.display()));
    text
}
