//! Files of a package that its program writes itself: manual pages and completions, which so never
//! differ from it.
//!
//! Data flow: `[[made]]` in a description -> the program of this host's own class, as `dist` built
//! it -> [`Entry`].
//!
//! # Invariants
//! - What cannot run here is not run: for another class the program of this host's class speaks, of
//!   the same commit.

use std::path::PathBuf;
use std::process::Command;

use towline_testkit::lab::programs::workspace;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use super::description::MadeLine;
use super::{Description, Entry, Format};
use crate::dist::build;
use crate::dist::class::{Class, Program};

const READABLE: u32 = 0o644;

/// What a description wants to have made for a format.
///
/// # Errors
/// The program is not built for this host, or does not do it.
pub(super) fn entries(description: &Description, format: Format) -> Outcome<Vec<Entry>> {
    let wanted = |line: &&MadeLine| line.only.as_ref().is_none_or(|only| only.contains(&format));
    let mut entries = Vec::new();
    for line in description.made.iter().filter(wanted) {
        let program = of_this_host(description.program)?;
        entries.extend(if line.to.ends_with('/') {
            folder(&program, line)?
        } else {
            vec![printed(&program, line)?]
        });
    }
    Ok(entries)
}

fn of_this_host(program: Program) -> Outcome<PathBuf> {
    let class = Class::read(std::env::consts::ARCH)?;
    build::made(&class, program).ok_or_else(|| {
        let name = program.file();
        Trouble::new(format!(
            "pages of {name} are written by {name}: cargo xtask dist --target {} first",
            class.name
        ))
    })
}

fn printed(program: &PathBuf, line: &MadeLine) -> Outcome<Entry> {
    let bytes = output(Command::new(program).args(&line.run))?;
    ensure(!bytes.is_empty(), || {
        format!("{} {} printed nothing", program.display(), line.run.join(" "))
    })?;
    Ok(Entry { path: line.to.clone(), mode: READABLE, bytes: Some(bytes), config: false })
}

fn folder(program: &PathBuf, line: &MadeLine) -> Outcome<Vec<Entry>> {
    let place = tempfile::Builder::new().prefix("towline-pages-").tempdir()?;
    output(Command::new(program).args(&line.run).arg(place.path()))?;
    let mut entries = Vec::new();
    for file in std::fs::read_dir(place.path())? {
        let file = file?;
        let path = format!("{}{}", line.to, file.file_name().to_string_lossy());
        entries.push(Entry {
            path,
            mode: READABLE,
            bytes: Some(std::fs::read(file.path())?),
            config: false,
        });
    }
    ensure(!entries.is_empty(), || {
        format!("{} {} wrote nothing", program.display(), line.run.join(" "))
    })?;
    Ok(entries)
}

fn output(command: &mut Command) -> Outcome<Vec<u8>> {
    let out = command.current_dir(workspace()).output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure(out.status.success(), || format!("{command:?}: {}: {said}", out.status))?;
    Ok(out.stdout)
}
