//! An index for opkg (OpenWrt up to 24.10): `Packages`, and `Packages.sig` in the form of usign,
//! which is signify's.
//!
//! # Not here
//! - The key: `usign -G` or `signify -G -n` makes it, and devices have its public half in
//!   `/etc/opkg/keys`.

use std::path::Path;
use std::process::Command;

use towline_testkit::{Outcome, files};

use super::{readable, write_index};
use crate::dist::digest;
use crate::package::{self, ipk};
use crate::{run, setup};

/// Who signs in signify's form.
pub(super) const SIGNIFY: (&str, &str) = ("signify-openbsd", "signify-openbsd");

/// Puts one package for one of OpenWrt's architectures into a folder, with its index; signed, if
/// there is a key.
///
/// # Errors
/// The signer does not take the key.
pub(super) fn publish(folder: &Path, package: &Path, arch: &str, key: Option<&Path>) -> Outcome {
    std::fs::create_dir_all(folder)?;
    let bytes = std::fs::read(package)?;
    let name =
        package.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let index = format!(
        "{}Filename: {name}\nSize: {}\nSHA256sum: {}\n\n",
        ipk::identity("towline-agent", &package::version(), arch),
        bytes.len(),
        digest::sha256(&bytes)
    );
    files::write(&folder.join(&name), bytes)?;
    write_index(folder, &index)?;
    if let Some(key) = key {
        setup::programs(&[SIGNIFY])?;
        let mut sign = Command::new(SIGNIFY.0);
        sign.arg("-S").arg("-s").arg(key).arg("-m").arg(folder.join("Packages"));
        sign.arg("-x").arg(folder.join("Packages.sig"));
        run::checked(sign)?;
    }
    readable(folder)
}
