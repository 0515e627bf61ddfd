//! Builds one program for one class, and compares two builds of one commit byte by byte.

use std::path::{Path, PathBuf};
use std::process::Command;

use towline_testkit::lab::programs::{target_directory, workspace};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble};

use super::class::{Class, Program};
use super::digest;
use super::toolchain::{Std, Toolchain};
use crate::{console, run};

/// What a build gave.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    /// The program.
    pub(crate) program: Program,
    /// Where it stands now.
    pub(crate) path: PathBuf,
    /// How large it is, bytes.
    pub(crate) bytes: u64,
    /// Where its std came from.
    pub(crate) std: Std,
}

/// Everything that `dist` makes: apart from what a programmer builds, whose cargo is then not kept
/// waiting.
pub(crate) fn folder() -> PathBuf {
    target_directory().join("dist")
}

/// Where the programs of a class are put.
pub(crate) fn out(class: &Class) -> PathBuf {
    folder().join("out").join(&class.name)
}

/// Builds a program and puts it into [`out`].
///
/// # Errors
/// No toolchain, the build failed, or the program is not static.
pub(crate) fn build(class: &Class, program: Program) -> Outcome<Built> {
    let toolchain = Toolchain::find(class)?;
    console::step(&toolchain.said);
    let made = compile(&toolchain, class, program, &folder().join("build"))?;
    let bytes = std::fs::read(&made)?;
    ensure(is_static(&bytes), || {
        format!("{} is not static: it needs a dynamic linker", made.display())
    })?;
    let place = out(class);
    std::fs::create_dir_all(&place)?;
    let path = place.join(program.file());
    std::fs::copy(&made, &path)?;
    Ok(Built { program, path, bytes: u64::try_from(bytes.len())?, std: toolchain.std })
}

/// What `out` holds already of a program.
pub(crate) fn made(class: &Class, program: Program) -> Option<PathBuf> {
    Some(out(class).join(program.file())).filter(|path| path.is_file())
}

/// Builds the agent again, in another directory and from nothing, and compares the bytes.
///
/// # Errors
/// They differ: the digests.
pub(crate) fn same_again(class: &Class) -> Outcome {
    let toolchain = Toolchain::find(class)?;
    let first = build(class, Program::Agent)?;
    let elsewhere = folder().join("again");
    // Left over from a run that was broken off.
    let _ = std::fs::remove_dir_all(&elsewhere);
    let second = compile(&toolchain, class, Program::Agent, &elsewhere)?;
    let (one, two) = (std::fs::read(&first.path)?, std::fs::read(&second)?);
    std::fs::remove_dir_all(&elsewhere)?;
    let (one, two) = (digest::sha256(&one), digest::sha256(&two));
    ensure(one == two, || format!("two builds of one commit differ: {one} and {two}"))?;
    console::line(&format!("{}: two builds, the same bytes: {one}", class.triple));
    Ok(())
}

fn compile(
    toolchain: &Toolchain,
    class: &Class,
    program: Program,
    target_dir: &Path,
) -> Outcome<PathBuf> {
    run::checked(toolchain.command(class, program, target_dir)?)?;
    Ok(target_dir.join(&class.triple).join(program.profile()).join(program.file()))
}

/// When this commit was made: the time that is stamped into what is built. `SOURCE_DATE_EPOCH`
/// wins.
///
/// # Errors
/// Neither is there.
pub(crate) fn commit_time() -> Outcome<u64> {
    if let Some(text) = std::env::var("SOURCE_DATE_EPOCH").ok().filter(|text| !text.is_empty()) {
        return Ok(text.parse()?);
    }
    let mut git = Command::new("git");
    let out = git.current_dir(workspace()).args(["log", "-1", "--format=%ct"]).output()?;
    String::from_utf8_lossy(&out.stdout).trim().parse().map_err(|_| {
        Trouble::new("git knows no commit here: set SOURCE_DATE_EPOCH to seconds since 1970")
    })
}

/// Whether an ELF program asks for no interpreter. A static PIE has a dynamic section, but no
/// `PT_INTERP`.
fn is_static(elf: &[u8]) -> bool {
    let wide = elf.get(4) == Some(&2);
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = elf.get(at..at + size)?;
        bytes
            .iter()
            .rev()
            .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))
    };
    let header = if wide {
        (number(32, 8), number(54, 2), number(56, 2))
    } else {
        (number(28, 4), number(42, 2), number(44, 2))
    };
    let (Some(at), Some(size), Some(count)) = header else { return false };
    const INTERPRETER: usize = 3;
    elf.starts_with(b"\x7fELF") && (0..count).all(|i| number(at + i * size, 4) != Some(INTERPRETER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_this_distribution_is_not_static() {
        assert!(!is_static(&std::fs::read("/bin/sh").unwrap()));
    }

    #[test]
    fn what_is_no_program_is_not_static() {
        assert!(!is_static(b"#!/bin/sh"));
    }
}
