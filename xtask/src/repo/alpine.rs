//! An index for apk (Alpine; OpenWrt from 25 on): `APKINDEX.tar.gz`, signed as abuild-sign does it.
//!
//! Data flow: the first gzip stream of each package holds what it says of itself -> a line for each
//! field -> a tar -> another gzip stream before it, with the signature over it.
//!
//! The signature is RSA over SHA-1 because every apk-tools in the field takes that; it covers
//! digests of the packages.
//!
//! # Not here
//! - The key: `openssl genrsa`; devices have its public half under [`key_name`] in `/etc/apk/keys`.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::bufread::GzDecoder;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, files};

use super::readable;
use crate::dist::{build, digest};
use crate::package::archive::{control, gzip, without_end};
use crate::run;

/// Fields of `.PKGINFO` and their letters in an index.
const FIELDS: &[(&str, char)] = &[
    ("pkgname", 'P'),
    ("pkgver", 'V'),
    ("arch", 'A'),
    ("size", 'I'),
    ("pkgdesc", 'T'),
    ("url", 'U'),
    ("license", 'L'),
    ("origin", 'o'),
    ("packager", 'm'),
    ("builddate", 't'),
];

/// Puts packages into a folder, with their index; signed, if there is a key.
///
/// # Errors
/// What is there is no package, or openssl does not take the key.
pub(super) fn publish(folder: &Path, packages: &[PathBuf], key: Option<&Path>) -> Outcome {
    std::fs::create_dir_all(folder)?;
    let mut index = String::new();
    for path in packages {
        let bytes = std::fs::read(path)?;
        index.push_str(
            &paragraph(&bytes).map_err(|e| Trouble::new(format!("{}: {e}", path.display())))?,
        );
        files::write(&folder.join(path.file_name().unwrap_or_default()), bytes)?;
    }
    let time = build::commit_time()?;
    let parts = [
        ("DESCRIPTION".into(), 0o644, b"towline".to_vec()),
        ("APKINDEX".into(), 0o644, index.into_bytes()),
    ];
    let unsigned = gzip(&control(&parts, false, time)?)?;
    let place = folder.join("APKINDEX.tar.gz");
    files::write(&place, &unsigned)?;
    if let Some(key) = key {
        let signature = [(format!(".SIGN.RSA.{}", key_name(key)), 0o644, signature(&place, key)?)];
        let mut whole = gzip(&without_end(control(&signature, false, time)?))?;
        whole.extend_from_slice(&unsigned);
        files::write(&place, whole)?;
    }
    readable(folder)
}

/// What devices call the public half of a key.
pub(super) fn key_name(key: &Path) -> String {
    format!("{}.rsa.pub", key.file_stem().unwrap_or_default().to_string_lossy())
}

fn signature(file: &Path, key: &Path) -> Outcome<Vec<u8>> {
    let mut sign = Command::new(run::find("openssl").unwrap_or_else(|| "openssl".into()));
    let out = sign.args(["dgst", "-sha1", "-sign"]).arg(key).arg(file).output()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(out.status.success(), || {
        format!("openssl signs nothing with {}: {said}", key.display())
    })?;
    Ok(out.stdout)
}

/// What an index says of one package.
fn paragraph(package: &[u8]) -> Outcome<String> {
    let (of_itself, length) = first_stream(package)?;
    let info = info(&of_itself)?;
    let head = package.get(..length).unwrap_or_default();
    let mut text = format!("C:Q1{}\nS:{}\n", digest::sha1_base64(head), package.len());
    for (name, letter) in FIELDS {
        let line =
            info.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix("= "));
        writeln!(
            text,
            "{letter}:{}",
            line.ok_or_else(|| Trouble::new(format!("it says no {name}")))?
        )?;
    }
    text.push('\n');
    Ok(text)
}

/// The first of several gzip streams, unpacked; and how many bytes it takes packed.
pub(super) fn first_stream(bytes: &[u8]) -> Outcome<(Vec<u8>, usize)> {
    let mut decoder = GzDecoder::new(bytes);
    let mut unpacked = Vec::new();
    decoder.read_to_end(&mut unpacked)?;
    Ok((unpacked, bytes.len() - decoder.into_inner().len()))
}

fn info(control: &[u8]) -> Outcome<String> {
    for entry in tar::Archive::new(control).entries()? {
        let mut entry = entry?;
        if entry.path()?.as_os_str() == ".PKGINFO" {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            return Ok(text);
        }
    }
    Err(Trouble::new("it says nothing of itself"))
}
