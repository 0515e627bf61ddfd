//! Packages: deb, rpm, apk, ipk and a tarball, from one description for each program
//! (`packaging/*.toml`).
//!
//! Data flow: description -> [`Content`] (every file with its bytes, for one format) -> the writer
//! of the format -> `target/dist/packages/<format>/`.
//!
//! # Invariants
//! - Same input, same bytes: times are the commit's, owners are root, entries are sorted as
//!   described.
//! - What a script does is in `packaging/scripts`, and is shell that one can read.
//!
//! # Not here
//! - Signatures: a repository is signed as a whole: `cargo xtask repo`.

use std::path::PathBuf;

use towline_testkit::{Outcome, files};

use super::description::{Content, Description};
use super::format::Format;
use super::{apk, deb, ipk, made, rpm, tarball};
use crate::console;
use crate::dist::build;
use crate::dist::class::Class;

/// What packages are called unless told otherwise: the version of the workspace.
pub(crate) fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Where all packages are put.
pub(crate) fn folder() -> PathBuf {
    build::folder().join("packages")
}

/// Packs every program of a class that is built, in every format that knows the class.
///
/// # Errors
/// A description has a mistake, or names a file that is not there.
pub(crate) fn all(class: &Class, version: &str) -> Outcome {
    for name in ["agent", "gateway", "cli"] {
        let description = Description::read(name)?;
        if let Some(program) = build::made(class, description.program) {
            let program = std::fs::read(program)?;
            for format in description.formats.clone() {
                let mut content = description.content(format, &program, version)?;
                content.add(made::entries(&description, format)?);
                pack(class, format, &content)?;
            }
        }
    }
    Ok(())
}

/// A deb of the agent in this version, for a test that installs it.
///
/// # Errors
/// The description has a mistake.
pub(crate) fn deb_of_agent(class: &Class, program: &[u8], version: &str) -> Outcome<Vec<u8>> {
    let content = Description::read("agent")?.content(Format::Deb, program, version)?;
    deb::write(&content, &class.packages.deb)
}

fn pack(class: &Class, format: Format, content: &Content) -> Outcome {
    let (name, version, names) = (&content.name, &content.version, &class.packages);
    match format {
        Format::Deb => {
            let variant =
                names.variant.as_ref().map(|variant| format!("_{variant}")).unwrap_or_default();
            put(
                "deb",
                &format!("{name}_{version}_{}{variant}.deb", names.deb),
                &deb::write(content, &names.deb)?,
            )
        }
        Format::Rpm => names.rpm.as_ref().map_or(Ok(()), |arch| {
            put("rpm", &format!("{name}-{version}-1.{arch}.rpm"), &rpm::write(content, arch)?)
        }),
        Format::Apk => {
            let file = format!("{name}-{version}-r0.apk");
            put(&format!("alpine/{}", names.apk), &file, &apk::write(content, &names.apk, "r0")?)
        }
        Format::Ipk => names.ipk.iter().try_for_each(|arch| {
            put(
                "openwrt-ipk",
                &format!("{name}_{version}-1_{arch}.ipk"),
                &ipk::write(content, arch)?,
            )?;
            let file = format!("{name}-{version}-r1.apk");
            put(&format!("openwrt-apk/{arch}"), &file, &apk::write(content, arch, "r1")?)
        }),
        Format::Tarball => {
            let stem = format!("{name}-{version}-{}", class.name);
            put("tarball", &format!("{stem}.tar.gz"), &tarball::write(content, &stem)?)
        }
    }
}

fn put(below: &str, name: &str, bytes: &[u8]) -> Outcome {
    let place = folder().join(below);
    std::fs::create_dir_all(&place)?;
    let path = place.join(name);
    files::write(&path, bytes)?;
    // A package is there to be read by others.
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    console::step(&format!("{below}/{name}: {} bytes", bytes.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use towline_testkit::lab::programs::workspace;

    /// Exposure as `systemd-analyze security` counts it, times ten: 0 is closed, 100 is open.
    const MOST_EXPOSED: &str = "20";

    #[test]
    fn the_gateways_unit_is_all_but_closed() {
        let mut analyze = Command::new("systemd-analyze");
        analyze.current_dir(workspace()).args([
            "security",
            "--offline=true",
            "--no-pager",
            "--threshold",
            MOST_EXPOSED,
        ]);
        let out = analyze.arg("systemd/towline-gateway.service").output();
        let out = out
            .expect("this test wants systemd-analyze (Debian: package systemd; it need not run)");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    }

    #[test]
    fn every_script_is_shell() {
        for entry in std::fs::read_dir(workspace().join("packaging/scripts")).unwrap() {
            let path = entry.unwrap().path();
            let status = Command::new("sh").arg("-n").arg(&path).status().unwrap();
            assert!(status.success(), "{}", path.display());
        }
    }
}
