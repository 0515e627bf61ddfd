//! Whether an order to open a session is obeyed: the grant first, then the device's policy.
//!
//! # Invariants
//! - Nothing of an order is used before the authority's signature was verified.
//! - Each refusal is logged with its session, and answered.

use crate::clock::AuthorityClock;
use crate::config::Config;
use crate::handover::form::{Reader, Writer, contradiction};
use crate::policy::forwards::Forward;
use crate::policy::{Closed, Forbidden};
use crate::state::journal::Doubt;
use crate::sys::account::{Account, AccountError, own_name};
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::io;
use std::time::Duration;
use towline_wire::canonical::{self, HostFault, PathFault};
use towline_wire::epoch::BootNonce;
use towline_wire::grant::{Expected, Grant, GrantError, SeenNonces, SignedTime};
use towline_wire::message::{Launch, MAX_PROFILE_BYTES, MessageError, Open, RefusalCode, decode};
use towline_wire::pin::SignedPin;

/// Why a session is not opened.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The grant is not good.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// There is no signed time yet on this link.
    #[error("the gateway has not sent a signed time on this link yet")]
    NoTime,
    /// What is to be started cannot be read.
    #[error("unknown kind of session ({0}): the agent may be too old")]
    Unknown(#[from] MessageError),
    /// The order contradicts itself.
    #[error("the request is incomplete: {0}")]
    Incomplete(&'static str),
    /// The account cannot be used.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The device's policy.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The device's administrator has closed the account.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// There are enough.
    #[error("this device has {0} sessions, its maximum (sessions.max)")]
    TooMany(usize),
    /// What it would execute could not be put on record.
    #[error(
        "the command log is full; this device opens no session until the gateway has stored it \
         (audit.when_full)"
    )]
    LogFull,
    /// The path is not in its one spelling.
    #[error("the path of the order {0}")]
    Path(#[from] PathFault),
    /// The host is not in its one spelling.
    #[error("the host of the order {0}")]
    Host(#[from] HostFault),
    /// It cannot be started.
    #[error("{0}")]
    Spawn(String),
    /// It was started before, or may have been.
    #[error(transparent)]
    Doubt(#[from] Doubt),
}

impl Refusal {
    /// The class the gateway is told. No `_` arm: a new refusal must decide.
    #[must_use]
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::Grant(_) | Self::NoTime => RefusalCode::Grant,
            Self::Unknown(_) | Self::Incomplete(_) | Self::Path(_) | Self::Host(_) => {
                RefusalCode::Unsupported
            }
            Self::Account(_) | Self::Closed(_) => RefusalCode::RunAs,
            Self::Forbidden(_) => RefusalCode::DevicePolicy,
            // It passes when the gateway has stored some.
            Self::LogFull => RefusalCode::RateLimited,
            Self::TooMany(_) => RefusalCode::TooManySessions,
            Self::Spawn(_) => RefusalCode::Spawn,
            Self::Doubt(_) => RefusalCode::AlreadyStarted,
        }
    }
}

/// An order that passed.
#[derive(Debug)]
pub struct Passed {
    /// What to start.
    pub launch: Launch,
    /// The account it runs as. A tunnel runs no program: the agent's account.
    pub account: Account,
    /// Where a tunnel may lead.
    pub forwards: Vec<Forward>,
    /// The grant, with the principal for the log.
    pub grant: Grant,
}

/// What grants are checked against.
#[derive(Debug)]
pub struct Gate {
    device: String,
    authority: [u8; 32],
    boot: BootNonce,
    seen: SeenNonces,
    time: Option<AuthorityClock>,
}

impl Gate {
    /// For this device, this authority and this start of the agent.
    #[must_use]
    pub fn new(device: String, authority: [u8; 32], boot: BootNonce) -> Self {
        Self { device, authority, boot, seen: SeenNonces::default(), time: None }
    }

    /// The grants that were used, for a successor.
    ///
    /// # Errors
    /// No memory.
    pub fn hand_over(&self, to: &mut Writer<'_>) -> io::Result<()> {
        // The others are of the enrollment, of the agent, and of the link.
        let Self { device: _, authority: _, boot: _, seen, time: _ } = self;
        to.count(seen.list().len())?;
        for (nonce, not_after) in seen.list() {
            to.bytes(nonce)?;
            to.number(*not_after)?;
        }
        Ok(())
    }

    /// The grants that a predecessor used are used up.
    ///
    /// # Errors
    /// See [`Reader`].
    pub fn take_over(&mut self, from: &mut Reader<'_>) -> io::Result<()> {
        for _ in 0..from.count()? {
            let (nonce, not_after) = (from.array()?, from.number()?);
            if !self.seen.remember(nonce, not_after) {
                return Err(contradiction("too many grants at once"));
            }
        }
        Ok(())
    }

    fn verify(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.authority).verify(bytes, signature).is_ok()
    }

    /// Whether the authority signed this pin.
    #[must_use]
    pub fn is_signed(&self, said: &SignedPin) -> bool {
        let bytes = SignedPin::signed_bytes(said.pin.as_ref(), said.issued);
        self.verify(&bytes, &said.signature)
    }

    /// Takes the authority's time for this challenge, which the device has drawn; false if the
    /// authority did not sign it. `now`: since boot.
    #[must_use]
    pub fn learn_time(&mut self, time: &SignedTime, challenge: &[u8; 16], now: Duration) -> bool {
        let genuine =
            self.verify(&SignedTime::signed_bytes(challenge, time.unix_ms), &time.signature);
        if genuine {
            self.time = Some(AuthorityClock::new(time.unix_ms, now));
        }
        genuine
    }

    /// The authority's time, once it was heard.
    #[must_use]
    pub fn time(&self) -> Option<AuthorityClock> {
        self.time
    }

    /// Checks an order. `now`: since boot; `reserved`: it may use the place for a repair.
    ///
    /// # Errors
    /// [`Refusal`]; the grant is used up only if it was genuine.
    pub fn pass(
        &mut self,
        open: &Open,
        config: &Config,
        now: Duration,
        reserved: bool,
    ) -> Result<Passed, Refusal> {
        let launch_digest: [u8; 32] = digest(&SHA256, &open.launch)
            .as_ref()
            .try_into()
            .map_err(|_| Refusal::Incomplete("digest"))?;
        let now = self.time.ok_or(Refusal::NoTime)?.at(now);
        let mut seen = std::mem::take(&mut self.seen);
        let expected = Expected {
            device: &self.device,
            session: &open.session,
            launch: &launch_digest,
            boot: &self.boot,
            now,
            reserved,
        };
        let accepted = open
            .grant
            .accept(&expected, &mut seen, |bytes, signature| self.verify(bytes, signature));
        self.seen = seen;
        let grant = accepted?;
        let launch: Launch = decode(&open.launch)?;
        if launch.wants_terminal() && open.terminal.is_none() {
            return Err(Refusal::Incomplete("the size of the terminal is missing"));
        }
        if matches!(&launch, Launch::ShellWithProfile { profile } if profile.len() > MAX_PROFILE_BYTES)
        {
            return Err(Refusal::Incomplete("the shell profile is too long"));
        }
        if launch.wants_err() && open.err.is_none() {
            return Err(Refusal::Incomplete("a stream for standard error is missing"));
        }
        if reserved && !launch.wants_terminal() {
            return Err(Refusal::Incomplete("the place for a repair is for terminals"));
        }
        check_spelling(&launch)?;
        if let Launch::Tunnel(to) = &launch {
            if to.port == 0 {
                return Err(Refusal::Incomplete("the port of the tunnel is missing"));
            }
            config.policy.permit_tunnel(to.host.as_deref(), to.port, &grant.document)?;
            if let Some(user) = &grant.run_as {
                config.policy.permit_login(&Account::find(user)?, now)?;
            }
            let (account, forwards) =
                (Account::find(&own_name())?, config.policy.allowed_forwards.clone());
            return Ok(Passed { launch, account, forwards, grant });
        }
        let user =
            grant.run_as.clone().or_else(|| config.default_user.clone()).unwrap_or_else(own_name);
        let account = Account::find(&user)?;
        config.policy.permit(&account, &grant.document)?;
        if matches!(launch, Launch::Detached { .. }) {
            config.policy.permit_detach()?;
        }
        config.policy.permit_login(&account, now)?;
        Ok(Passed { launch, account, forwards: Vec::new(), grant })
    }
}

/// A policy has judged paths and hosts by their letters, so they have the one spelling that they
/// can be judged by.
fn check_spelling(launch: &Launch) -> Result<(), Refusal> {
    match launch {
        Launch::Copy { path, .. } | Launch::CopyFollowing { path, .. } => {
            canonical::check_relative(path)?;
        }
        Launch::Script(script) if !script.working_directory.is_empty() => {
            canonical::check_path(&script.working_directory)?;
        }
        Launch::Tunnel(to) => {
            if let Some(host) = &to.host {
                canonical::check_host(host)?;
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    use towline_wire::grant::SignedGrant;
    use towline_wire::message::{Destination, Framing, Script, Size, Terminal, encode};

    const NOW_MS: u64 = 1_800_000_000_000;
    const BOOT: BootNonce = [3; 16];
    const CHALLENGE: [u8; 16] = [4; 16];

    /// An authority, and a gate that was enrolled with it and knows its time.
    struct World {
        authority: Ed25519KeyPair,
        gate: Gate,
        config: Config,
        start: Duration,
    }

    fn new_authority() -> Ed25519KeyPair {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()
    }

    fn sign(authority: &Ed25519KeyPair, bytes: &[u8]) -> [u8; 64] {
        authority.sign(bytes).as_ref().try_into().unwrap()
    }

    fn world() -> World {
        let authority = new_authority();
        let key = authority.public_key().as_ref().try_into().unwrap();
        let mut gate = Gate::new("mi-1".into(), key, BOOT);
        let start = Duration::from_secs(1_000);
        let signature = sign(&authority, &SignedTime::signed_bytes(&CHALLENGE, NOW_MS)).to_vec();
        assert!(gate.learn_time(&SignedTime { unix_ms: NOW_MS, signature }, &CHALLENGE, start));
        World { authority, gate, config: Config::default(), start }
    }

    #[test]
    fn a_pin_of_the_next_key_counts_only_as_the_authority_signed_it() {
        let world = world();
        let said = |signer: &Ed25519KeyPair, issued| {
            let signature = sign(signer, &SignedPin::signed_bytes(Some(&[9; 32]), 300)).to_vec();
            SignedPin { pin: Some([9; 32]), issued, signature }
        };
        assert!(world.gate.is_signed(&said(&world.authority, 300)));
        assert!(!world.gate.is_signed(&said(&new_authority(), 300)));
        assert!(!world.gate.is_signed(&said(&world.authority, 301)));
        let other = SignedPin { pin: Some([8; 32]), ..said(&world.authority, 300) };
        assert!(!world.gate.is_signed(&other));
    }

    impl World {
        fn open(&self, change: impl FnOnce(&mut Grant)) -> Open {
            let launch = encode(&Launch::Shell).unwrap();
            let mut grant = Grant {
                device: "mi-1".into(),
                session: "ann-1".into(),
                principal: "arn:aws:iam::1:user/ann".into(),
                document: "SSM-SessionManagerRunShell".into(),
                launch: digest(&SHA256, &launch).as_ref().try_into().unwrap(),
                run_as: None,
                boot: BOOT,
                nonce: [5; 16],
                issued_at: NOW_MS,
                not_after: NOW_MS + 60_000,
            };
            change(&mut grant);
            let grant = SignedGrant::sign(&grant, |bytes| sign(&self.authority, bytes)).unwrap();
            let terminal =
                Some(Terminal { term: "xterm".into(), size: Size { rows: 24, cols: 80 } });
            Open { session: "ann-1".into(), grant, launch, terminal, io: 1, err: None }
        }

        #[track_caller]
        fn refuses(&mut self, open: &Open, text: &str, code: RefusalCode) {
            let refusal = self.gate.pass(open, &self.config, self.start, false).unwrap_err();
            assert!(refusal.to_string().contains(text), "{refusal}");
            assert_eq!(refusal.code(), code);
        }
    }

    #[test]
    fn a_genuine_grant_passes_once() {
        let mut world = world();
        let open = world.open(|_| ());
        let passed = world.gate.pass(&open, &world.config, world.start, false).unwrap();
        assert_eq!((passed.account.name, passed.launch), (own_name(), Launch::Shell));
        world.refuses(&open, "used before", RefusalCode::Grant);
    }

    #[test]
    fn a_grant_of_another_authority_is_refused() {
        let mut world = world();
        world.authority = new_authority();
        let open = world.open(|_| ());
        world.refuses(&open, "not signed by the authority", RefusalCode::Grant);
    }

    #[test]
    fn an_altered_order_is_refused() {
        let mut world = world();
        let mut open = world.open(|_| ());
        open.launch = encode(&Launch::Interactive { command: "rm -rf /".into() }).unwrap();
        world.refuses(&open, "not what the grant was given for", RefusalCode::Grant);
        let mut open = world.open(|_| ());
        open.session = "bob-1".into();
        world.refuses(&open, "the grant is for session ann-1", RefusalCode::Grant);
    }

    #[test]
    fn a_grant_that_is_late_for_another_device_or_another_boot_is_refused() {
        let mut world = world();
        let open =
            world.open(|grant| (grant.issued_at, grant.not_after) = (NOW_MS - 9_000, NOW_MS - 1));
        world.refuses(&open, "expired", RefusalCode::Grant);
        let open = world.open(|grant| grant.device = "mi-2".into());
        world.refuses(&open, "device mi-2", RefusalCode::Grant);
        let open = world.open(|grant| grant.boot = [0; 16]);
        world.refuses(&open, "earlier start", RefusalCode::Grant);
    }

    #[test]
    fn a_time_that_the_authority_did_not_sign_for_this_link_is_not_learnt() {
        let mut world = world();
        let signature =
            sign(&world.authority, &SignedTime::signed_bytes(&[9; 16], NOW_MS)).to_vec();
        assert!(!world.gate.learn_time(
            &SignedTime { unix_ms: NOW_MS, signature },
            &CHALLENGE,
            world.start
        ));
    }

    impl World {
        /// The authority says that it is `unix_ms`; the device hears it at `now`.
        fn tells(&mut self, unix_ms: u64, now: Duration) {
            let signature =
                sign(&self.authority, &SignedTime::signed_bytes(&CHALLENGE, unix_ms)).to_vec();
            assert!(self.gate.learn_time(&SignedTime { unix_ms, signature }, &CHALLENGE, now));
        }

        /// What becomes of a grant that is issued at `unix_ms` and judged at `now`.
        fn judges(&mut self, unix_ms: u64, now: Duration) -> Result<(), Refusal> {
            let mut nonce = [0; 16];
            nonce[..8].copy_from_slice(&unix_ms.to_be_bytes());
            let open = self.open(|grant| {
                grant.nonce = nonce;
                (grant.issued_at, grant.not_after) = (unix_ms, unix_ms + 60_000);
            });
            self.gate.pass(&open, &self.config, now, false).map(drop)
        }
    }

    #[test]
    fn a_device_that_was_suspended_takes_new_grants() {
        let mut world = world();
        for slept in [61, 3_600, 86_400 * 30] {
            let slept = Duration::from_secs(slept);
            let unix_ms = NOW_MS + u64::try_from(slept.as_millis()).unwrap();
            world.judges(unix_ms, world.start + slept).unwrap();
        }
    }

    #[test]
    fn after_a_step_of_the_gateways_clock_one_more_time_is_enough() {
        for step in [40_000_i64, -65_000, 86_400_000, -86_400_000] {
            let mut world = world();
            let (now, at) = (world.start + Duration::from_secs(600), NOW_MS + 600_000);
            world.judges(at, now).unwrap();
            let stepped = at.saturating_add_signed(step);
            let refused = world.judges(stepped, now).unwrap_err();
            assert!(matches!(refused, Refusal::Grant(GrantError::Time { .. })), "{refused}");
            world.tells(stepped, now);
            world.judges(stepped, now).unwrap();
        }
    }

    #[test]
    fn a_month_of_drift_by_50_ppm_is_harmless_when_the_time_is_asked_for_each_hour() {
        let mut world = world();
        let mut quiet = self::world();
        let month = 30 * 24;
        for hour in 1..=month {
            let passed = Duration::from_secs(3_600 * hour);
            let at = NOW_MS + u64::try_from(passed.as_millis()).unwrap();
            // The device's clock is slow: of each second it misses 50 microseconds.
            let now = world.start + passed - passed / 20_000;
            world.judges(at, now).unwrap();
            world.tells(at, now);
            if hour == month {
                assert!(quiet.judges(at, now).is_err(), "the drift is large enough to matter");
            }
        }
    }

    #[test]
    fn the_device_s_own_policy_has_the_last_word() {
        let mut world = world();
        world.config.policy.allowed_documents = vec!["Other".into()];
        let open = world.open(|_| ());
        world.refuses(&open, "policy.allowed_documents", RefusalCode::DevicePolicy);
    }

    #[test]
    fn a_tunnel_leads_where_the_device_allows_for_any_user() {
        let mut world = world();
        world.config.policy.allowed_users = vec![];
        let tunnel = |world: &World, nonce, host: Option<&str>| {
            let to = Destination { host: host.map(Into::into), port: 22, framing: Framing::Smux };
            let launch = encode(&Launch::Tunnel(to)).unwrap();
            let digest = digest(&SHA256, &launch).as_ref().try_into().unwrap();
            let mut open = world.open(|grant| (grant.launch, grant.nonce) = (digest, [nonce; 16]));
            (open.launch, open.terminal) = (launch, None);
            open
        };
        let open = tunnel(&world, 1, None);
        assert!(world.gate.pass(&open, &world.config, world.start, false).is_ok());
        let open = tunnel(&world, 2, Some("169.254.169.254"));
        world.refuses(
            &open,
            "169.254.169.254:22 (policy.allowed_forwards)",
            RefusalCode::DevicePolicy,
        );
        let mut open = tunnel(&world, 3, None);
        open.launch = tunnel(&world, 3, Some("127.0.0.1")).launch;
        world.refuses(&open, "not what the grant was given for", RefusalCode::Grant);
    }

    #[test]
    fn a_place_that_is_not_in_its_one_spelling_is_refused() {
        let mut world = world();
        let tunnel = |host: &str| {
            let (host, framing) = (Some(host.to_owned()), Framing::Smux);
            Launch::Tunnel(Destination { host, port: 22, framing })
        };
        let copy = |path: &str| Launch::Copy { path: path.into(), put: false };
        let script = |directory: &str| {
            let (working_directory, given_to) = (directory.to_owned(), vec![]);
            Launch::Script(Script {
                length: 0,
                sha256: [0; 32],
                working_directory,
                timeout: 1,
                given_to,
            })
        };
        for (nonce, launch, text) in [
            (1, tunnel("0x7f000001"), "is a number"),
            (2, tunnel("LOCALHOST"), "lower case"),
            (3, tunnel("::ffff:127.0.0.1"), "its one spelling"),
            (4, copy("/var/log/../../etc/shadow"), ". or .."),
            (5, copy("/a//b"), "two slashes"),
            (6, script("/srv/../root"), ". or .."),
            (7, script("srv"), "its one spelling"),
        ] {
            let launch = encode(&launch).unwrap();
            let digest = digest(&SHA256, &launch).as_ref().try_into().unwrap();
            let mut open = world.open(|grant| (grant.launch, grant.nonce) = (digest, [nonce; 16]));
            (open.launch, open.terminal, open.err) = (launch, None, Some(2));
            world.refuses(&open, text, RefusalCode::Unsupported);
        }
    }

    #[test]
    fn an_account_that_is_not_there_is_refused_by_name() {
        let mut world = world();
        let open = world.open(|grant| grant.run_as = Some("no-such-account".into()));
        world.refuses(&open, "no-such-account", RefusalCode::RunAs);
    }

    #[test]
    fn an_empty_name_of_an_account_is_not_the_default_one() {
        let mut world = world();
        let open = world.open(|grant| grant.run_as = Some(String::new()));
        world.refuses(&open, "no account \"\"", RefusalCode::RunAs);
    }

    #[test]
    fn a_shell_without_a_terminal_is_refused() {
        let mut world = world();
        let mut open = world.open(|_| ());
        open.terminal = None;
        world.refuses(&open, "size of the terminal is missing", RefusalCode::Unsupported);
    }
}
