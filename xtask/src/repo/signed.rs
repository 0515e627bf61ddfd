//! Tests of the signed indexes for opkg and apk: keys are made, a repository is signed, and the
//! public key verifies each signature; with one changed byte it does not.
//!
//! # Not here
//! - apt's: a fleet of twenty installs from it, `cargo xtask fleet-upgrade`.

use std::path::{Path, PathBuf};
use std::process::Command;

use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, files};

use super::{alpine, opkg};
use crate::{console, run, setup};

/// Signs these packages and checks the signatures.
///
/// # Errors
/// A right signature is refused, or a wrong one taken.
pub(crate) fn tried(ipk: &Path, apk: &Path) -> Outcome {
    setup::programs(&[opkg::SIGNIFY, ("openssl", "openssl")])?;
    let scratch = tempfile::Builder::new().prefix("towline-signed-").tempdir()?;
    for_opkg(scratch.path(), ipk)?;
    for_apk(scratch.path(), apk)?;
    console::line(
        "  repositories: the indexes for opkg and apk are signed, and a changed byte is noticed",
    );
    Ok(())
}

fn for_opkg(scratch: &Path, ipk: &Path) -> Outcome {
    let (public, secret) = (scratch.join("opkg.pub"), scratch.join("opkg.sec"));
    let signify = || Command::new(opkg::SIGNIFY.0);
    let mut generate = signify();
    generate.args(["-G", "-n", "-p"]).arg(&public).arg("-s").arg(&secret);
    run::checked(generate)?;
    let folder = scratch.join("opkg");
    opkg::publish(&folder, ipk, "x86_64", Some(&secret))?;
    let index = folder.join("Packages");
    let holds = || -> Outcome<bool> {
        let mut verify = signify();
        verify
            .args(["-V", "-q", "-p"])
            .arg(&public)
            .arg("-m")
            .arg(&index)
            .arg("-x")
            .arg(folder.join("Packages.sig"));
        Ok(verify.output()?.status.success())
    };
    twice("opkg", &index, holds)
}

fn for_apk(scratch: &Path, apk: &Path) -> Outcome {
    let (secret, public) =
        (scratch.join("fleet.pem"), scratch.join(alpine::key_name(Path::new("fleet.pem"))));
    run::checked(openssl(&["genrsa", "-out"], &[&secret, Path::new("2048")]))?;
    run::checked(openssl(&["rsa", "-pubout", "-in"], &[&secret, Path::new("-out"), &public]))?;
    let folder = scratch.join("apk");
    alpine::publish(&folder, &[apk.to_owned()], Some(&secret))?;
    let index = folder.join("APKINDEX.tar.gz");
    let parts = scratch.join("parts");
    std::fs::create_dir_all(&parts)?;
    let holds = || -> Outcome<bool> {
        let whole = std::fs::read(&index)?;
        let (_, length) = alpine::first_stream(&whole)?;
        files::write(&parts.join("signed"), whole.get(length..).unwrap_or_default())?;
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--gzip", "--file"]).arg(&index).arg("--directory").arg(&parts);
        if !tar.output()?.status.success() {
            return Ok(false);
        }
        let signature = parts.join(".SIGN.RSA.fleet.rsa.pub");
        let words: [&Path; 4] =
            [&public, Path::new("-signature"), &signature, &parts.join("signed")];
        Ok(openssl(&["dgst", "-sha1", "-verify"], &words).output()?.status.success())
    };
    ensure(holds()?, || "openssl does not take the signature of the index for apk".into())?;
    let text = std::fs::read_to_string(parts.join("APKINDEX"))?;
    ensure(text.starts_with("C:Q1") && text.contains("\nP:towline-agent\n"), || text.clone())?;
    twice("apk", &index, holds)
}

fn openssl(words: &[&str], paths: &[&Path]) -> Command {
    let mut openssl =
        Command::new(run::find("openssl").unwrap_or_else(|| PathBuf::from("openssl")));
    openssl.args(words).args(paths);
    openssl
}

/// A signature holds; and no longer, once the last byte of what it covers is another.
fn twice(what: &str, file: &Path, holds: impl Fn() -> Outcome<bool>) -> Outcome {
    ensure(holds()?, || format!("{what}: a right signature is refused"))?;
    let mut bytes = std::fs::read(file)?;
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    files::write(file, bytes)?;
    ensure(!holds()?, || format!("{what}: a changed index is taken"))
}
