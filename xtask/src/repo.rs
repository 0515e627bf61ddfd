//! `cargo xtask repo CHANNEL KEY`: signed package repositories from `target/dist/packages`, for fleets that are rolled out
//! by their own package managers. A channel (stable, canary) is a directory; a device follows the one it is pointed at.
//!
//! | below `target/dist/repo/CHANNEL/` | for | signed by |
//! |---|---|---|
//! | `apt/`, `apt-armv6/` | apt, as a flat repository | gpg, the key named KEY: `InRelease` |
//! | `opkg/<arch>/` | OpenWrt up to 24.10 | nothing here: sign `Packages` with usign where its key is |
//!
//! # Invariants
//! - Only a whole repository is put in place: it is made beside and renamed, so no client sees half of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use towline_testkit::{Outcome, Trouble, files};

use crate::dist::{build, class::Class, digest};
use crate::package::{self, archive};
use crate::{run, say};

/// How `repo` is called.
const USAGE: &str = "usage: cargo xtask repo CHANNEL KEY (a secret key that gpg knows, by its fingerprint or address)";

/// `cargo xtask repo WORDS…`.
///
/// # Errors
/// Nothing is packed, or gpg does not sign.
pub(crate) fn command(words: &[&str]) -> Outcome {
    let [channel, key] = words else { return Err(Trouble::new(USAGE)) };
    let place = build::folder().join("repo").join(channel);
    let beside = place.with_extension("partial");
    // Left over from a run that was broken off.
    let _ = std::fs::remove_dir_all(&beside);
    let signer = Signer { key: (*key).to_owned(), home: None };
    let debs = digest::all_files(&package::folder().join("deb"))?;
    let (armv6, others): (Vec<_>, Vec<_>) =
        debs.into_iter().partition(|path| path.to_string_lossy().contains("_armv6"));
    apt(&beside.join("apt"), &signer, &others)?;
    apt(&beside.join("apt-armv6"), &signer, &armv6)?;
    opkg(&beside.join("opkg"))?;
    let _ = std::fs::remove_dir_all(&place);
    std::fs::rename(&beside, &place)?;
    say::line(&format!("{}: ready to be served", place.display()));
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
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
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

fn write_index(place: &Path, index: &str) -> Outcome {
    files::write(&place.join("Packages"), index)?;
    files::write(&place.join("Packages.gz"), archive::gzip(index.as_bytes())?)?;
    readable(place)
}

/// The list of the lists, signed.
fn release(place: &Path, signer: &Signer) -> Outcome {
    let date =
        Command::new("date").args(["--utc", "--rfc-email", &format!("--date=@{}", build::commit_time()?)]).output()?;
    let mut text = format!("Origin: Towline\nLabel: Towline\nDate: {}SHA256:\n", String::from_utf8(date.stdout)?);
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

/// An index for each of OpenWrt's architectures.
fn opkg(place: &Path) -> Outcome {
    for class in Class::named("all")? {
        for arch in &class.packages.ipk {
            let name = format!("towline-agent_{}-1_{arch}.ipk", package::version());
            let path = package::folder().join("openwrt-ipk").join(&name);
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let folder = place.join(arch);
            std::fs::create_dir_all(&folder)?;
            let version = package::version();
            let index = format!(
                "Package: towline-agent\nVersion: {version}-1\nArchitecture: {arch}\nFilename: {name}\nSize: {}\nSHA256sum: {}\n\n",
                bytes.len(),
                digest::sha256(&bytes)
            );
            files::write(&folder.join(&name), bytes)?;
            write_index(&folder, &index)?;
        }
    }
    Ok(())
}

/// A repository is there to be read by everybody.
fn readable(folder: &Path) -> Outcome {
    for path in digest::all_files(folder)? {
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    }
    Ok(())
}
