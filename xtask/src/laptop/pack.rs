//! Archives of the command line for Windows and macOS, and what their package managers want to
//! know.
//!
//! | system | archive | managers |
//! |---|---|---|
//! | Windows | zip | Scoop (`towline.json`), winget (a folder of three files) |
//! | macOS | tar.gz | Homebrew (`towline.rb`), for both processors |
//!
//! # Invariants
//! - A file of a manager names the archive by its SHA-256. Where archives are published is for the
//!   publisher to write: the address is a placeholder.

use std::path::Path;

use towline_testkit::lab::programs::workspace;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, files};

use super::system::{ALL, System};
use super::zip::{self, Member};
use crate::console;
use crate::dist::class::Program;
use crate::dist::{build, digest, sbom};
use crate::package::archive::{Style, gzip, tree};
use crate::package::{Entry, folder};

/// Beside the program in each archive.
const TEXTS: &[&str] = &["LICENSE-APACHE", "LICENSE-MIT"];
/// What package managers are told, by this system's folder in `packaging/laptop`.
const SCOOP: &str = "towline.json";
const WINGET: &[&str] =
    &["winget/towline.yaml", "winget/towline.installer.yaml", "winget/towline.locale.en-US.yaml"];
const HOMEBREW: &str = "towline.rb";

/// Packs the program of a system.
///
/// # Errors
/// A file is not there.
pub(crate) fn archive(system: System, program: &Path, version: &str) -> Outcome {
    let place = folder().join("laptop");
    std::fs::create_dir_all(&place)?;
    let stem = format!("towline-{version}-{}", system.name());
    let materials = place.join(format!("{stem}.cdx.json"));
    sbom::write(system.triple(), Program::Cli, program, &materials)?;
    let time = build::commit_time()?;
    let members = members(system, program, &materials, &stem)?;
    let (name, bytes) = match system {
        System::Windows => (format!("{stem}.zip"), zip::write(&members, time)?),
        System::MacIntel | System::MacArm => {
            let entries: Vec<Entry> = members.into_iter().map(entry).collect();
            (format!("{stem}.tar.gz"), gzip(&tree(&entries, Style::Plain, time)?)?)
        }
    };
    files::write(&place.join(&name), &bytes)?;
    console::step(&format!("laptop/{name}: {} bytes", bytes.len()));
    let managers: Vec<&str> = match system {
        System::Windows => [&[SCOOP], WINGET].concat(),
        // One file names both archives: it is written once both are there.
        System::MacIntel => Vec::new(),
        System::MacArm => vec![HOMEBREW],
    };
    managers.iter().try_for_each(|file| tell(file, &place, version))
}

fn members(system: System, program: &Path, materials: &Path, stem: &str) -> Outcome<Vec<Member>> {
    let member = |name: &str, mode: u16, path: &Path| -> Outcome<Member> {
        Ok(Member { name: format!("{stem}/{name}"), mode, bytes: std::fs::read(path)? })
    };
    let mut members = vec![member(system.file(), 0o755, program)?];
    for text in TEXTS {
        members.push(member(text, 0o644, &workspace().join(text))?);
    }
    members.push(member("towline.cdx.json", 0o644, materials)?);
    Ok(members)
}

fn entry(member: Member) -> Entry {
    let mode = member.mode.into();
    Entry { path: member.name, mode, bytes: Some(member.bytes), config: false }
}

/// Writes a package manager's file with version and digests.
fn tell(file: &str, place: &Path, version: &str) -> Outcome {
    let mut text = std::fs::read_to_string(workspace().join("packaging/laptop").join(file))?;
    text = text.replace("@VERSION@", version);
    for system in ALL {
        let mark = format!("@SHA256-{}@", system.name());
        if text.contains(&mark) {
            let ending = if *system == System::Windows { "zip" } else { "tar.gz" };
            let archive = place.join(format!("towline-{version}-{}.{ending}", system.name()));
            text = text.replace(&mark, &digest::sha256(&std::fs::read(archive)?));
        }
    }
    ensure(!text.contains("@VERSION@") && !text.contains("@SHA256"), || {
        format!("{file} has a mark that no archive fills in")
    })?;
    let path = place.join(file);
    std::fs::create_dir_all(path.parent().unwrap_or(place))?;
    files::write(&path, text)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Python's reader is the other end.
    #[test]
    fn the_program_may_be_run_from_the_archive_of_each_system_and_texts_may_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["program", "materials"] {
            files::write(&at(name), name).unwrap();
        }
        let entries = |system: System| -> Vec<Entry> {
            let members = members(system, &at("program"), &at("materials"), "towline-1").unwrap();
            members.into_iter().map(entry).collect()
        };
        let archive = at("a.tar.gz");
        let tar = gzip(&tree(&entries(System::MacArm), Style::Plain, 0).unwrap()).unwrap();
        files::write(&archive, tar).unwrap();
        let script = "import sys, tarfile\nprint(sorted((m.name, oct(m.mode)) for m in \
                      tarfile.open(sys.argv[1]) if m.isfile()))";
        let out = Command::new("python3").args(["-c", script]).arg(&archive).output().unwrap();
        let expected = "[('towline-1/LICENSE-APACHE', '0o644'), ('towline-1/LICENSE-MIT', \
                        '0o644'), \
                        ('towline-1/towline', '0o755'), ('towline-1/towline.cdx.json', '0o644')]\n";
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert_eq!(said, expected, "{}", String::from_utf8_lossy(&out.stderr));
        let program = |entry: &&Entry| entry.path == "towline-1/towline.exe" && entry.mode == 0o755;
        assert!(entries(System::Windows).iter().any(|entry| program(&entry)));
    }
}
