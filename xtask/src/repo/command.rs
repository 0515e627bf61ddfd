//! `cargo xtask repo CHANNEL KEY`: signed package repositories from `target/dist/packages`, for
//! fleets that are rolled out by their own package managers. A channel (stable, canary) is a
//! directory; a device follows the one it is pointed at.
//!
//! | below `target/dist/repo/CHANNEL/` | for | signed by |
//! |---|---|---|
//! | `apt/`, `apt-armv6/` | apt, as a flat repository | gpg, the key named KEY: `InRelease` |
//! | `opkg/<arch>/` | OpenWrt up to 24.10 | the key of `--opkg-key`, in usign's form: `Packages.sig` |
//! | `alpine/<arch>/`, `openwrt-apk/<arch>/` | Alpine; OpenWrt from 25 on | the key of `--apk-key`, RSA |
//!
//! Without a key the index is written without a signature, with a line that says so.
//!
//! # Invariants
//! - Only a whole repository is put in place: it is made beside and renamed, so no client sees half
//!   of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use towline_testkit::{Outcome, Trouble, files};

use super::{alpine, opkg};
use crate::dist::{build, class::Class, digest};
use crate::package::{self, archive};
use crate::{console, run};

/// How `repo` is called.
const USAGE: &str = "usage: cargo xtask repo CHANNEL KEY [--opkg-key FILE] [--apk-key FILE] (KEY: \
                     a secret key that gpg knows, by its fingerprint or address; the files: \
                     usign's or signify's secret key, a PEM file)";

/// Keys that are files.
#[derive(Debug, Default)]
struct Keys {
    opkg: Option<PathBuf>,
    apk: Option<PathBuf>,
}

impl Keys {
    fn read(words: &[&str]) -> Outcome<Self> {
        let mut keys = Self::default();
        for pair in words.chunks(2) {
            match pair {
                ["--opkg-key", file] => keys.opkg = Some(PathBuf::from(file)),
                ["--apk-key", file] => keys.apk = Some(PathBuf::from(file)),
                _ => return Err(Trouble::new(USAGE)),
            }
        }
        for (key, what) in [(&keys.opkg, "opkg"), (&keys.apk, "apk")] {
            if key.is_none() {
                console::line(&format!("no --{what}-key: the indexes for {what} are not signed"));
            }
        }
        Ok(keys)
    }
}

/// `cargo xtask repo WORDS…`.
///
/// # Errors
/// Nothing is packed, or gpg does not sign.
pub(crate) fn command(words: &[&str]) -> Outcome {
    let [channel, key, more @ ..] = words else { return Err(Trouble::new(USAGE)) };
    let keys = Keys::read(more)?;
    let place = build::folder().join("repo").join(channel);
    let beside = place.with_extension("partial");
    // Left over from a run that was broken off.
    let _ = std::fs::remove_dir_all(&beside);
    let signer = Signer { key: (*key).to_owned(), home: None };
    let debs = digest::all_files(&package::folder().join("deb"))?;
    let (armv6, usual): (Vec<_>, Vec<_>) =
        debs.into_iter().partition(|path| path.to_string_lossy().contains("_armv6"));
    apt(&beside.join("apt"), &signer, &usual)?;
    apt(&beside.join("apt-armv6"), &signer, &armv6)?;
    others(&beside, &keys)?;
    let _ = std::fs::remove_dir_all(&place);
    std::fs::rename(&beside, &place)?;
    console::line(&format!("{}: ready to be served", place.display()));
    Ok(())
}

/// Who signs.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    /// What gpg calls the key.
    pub(crate) key: String,
    /// Where gpg keeps it, if not in the usual place.
    pub(crate) home: Option<PathBuf>,
}

/// A flat repository of these debs.
///
/// # Errors
/// dpkg-deb does not read one, or gpg does not sign.
pub(crate) fn apt(place: &Path, signer: &Signer, debs: &[PathBuf]) -> Outcome {
    std::fs::create_dir_all(place)?;
    let mut index = String::new();
    for path in debs {
        let name =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = std::fs::read(path)?;
        let mut fields = Command::new("dpkg-deb");
        let out = fields.arg("--field").arg(path).output()?;
        if !out.status.success() {
            return Err(Trouble::new(format!("dpkg-deb --field {}", path.display())));
        }
        let fields = String::from_utf8(out.stdout)?;
        write!(
            index,
            "{}\nFilename: ./{name}\nSize: {}\nSHA256: {}\n\n",
            fields.trim_end(),
            bytes.len(),
            digest::sha256(&bytes)
        )?;
        files::write(&place.join(&name), bytes)?;
    }
    write_index(place, &index)?;
    release(place, signer)
}

pub(super) fn write_index(place: &Path, index: &str) -> Outcome {
    files::write(&place.join("Packages"), index)?;
    files::write(&place.join("Packages.gz"), archive::gzip(index.as_bytes())?)?;
    readable(place)
}

/// The list of the lists, signed.
fn release(place: &Path, signer: &Signer) -> Outcome {
    let date = Command::new("date")
        .args(["--utc", "--rfc-email", &format!("--date=@{}", build::commit_time()?)])
        .output()?;
    let mut text = format!(
        "Origin: Towline\nLabel: Towline\nDate: {}SHA256:\n",
        String::from_utf8(date.stdout)?
    );
    for name in ["Packages", "Packages.gz"] {
        let bytes = std::fs::read(place.join(name))?;
        writeln!(text, " {} {} {name}", digest::sha256(&bytes), bytes.len())?;
    }
    files::write(&place.join("Release"), text)?;
    let mut gpg = Command::new("gpg");
    gpg.args(["--batch", "--yes", "--local-user", &signer.key, "--clearsign", "--output"]);
    gpg.envs(signer.home.as_ref().map(|home| ("GNUPGHOME", home)));
    gpg.arg(place.join("InRelease")).arg(place.join("Release"));
    run::checked(gpg)?;
    readable(place)
}

/// An index for each architecture of OpenWrt and of Alpine.
fn others(place: &Path, keys: &Keys) -> Outcome {
    for class in Class::named("all")? {
        for arch in &class.packages.ipk {
            let name = format!("towline-agent_{}-1_{arch}.ipk", package::version());
            let path = package::folder().join("openwrt-ipk").join(&name);
            if path.is_file() {
                opkg::publish(&place.join("opkg").join(arch), &path, arch, keys.opkg.as_deref())?;
            }
        }
        let of_class = std::iter::once(("alpine", &class.packages.apk));
        for (family, arch) in
            of_class.chain(class.packages.ipk.iter().map(|arch| ("openwrt-apk", arch)))
        {
            let folder = package::folder().join(family).join(arch);
            if folder.is_dir() {
                alpine::publish(
                    &place.join(family).join(arch),
                    &digest::all_files(&folder)?,
                    keys.apk.as_deref(),
                )?;
            }
        }
    }
    Ok(())
}

/// A repository is there to be read by everybody.
pub(super) fn readable(folder: &Path) -> Outcome {
    for path in digest::all_files(folder)? {
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    }
    Ok(())
}
