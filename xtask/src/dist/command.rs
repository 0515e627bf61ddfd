//! `cargo xtask dist`: the files of a release. Static programs for each class of devices, packages
//! of them, digests and bills of materials.
//!
//! Data flow: `targets/<class>/` -> [`build`] with the toolchain that [`toolchain`] finds ->
//! `target/dist/out/<class>/` -> [`crate::package`] -> `target/dist/packages/` -> SHA256SUMS.
//!
//! # Invariants
//! - The same commit gives the same bytes: paths are remapped, the time is the commit's. `dist
//!   --twice` shows it.
//! - An agent over its budget is an error.
//! - Everything is made below `target/dist`; downloads are kept in the cache directory.

use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, interrupt};

use super::build::Built;
use super::class::{Class, Program};
use super::{build, cross, digest, sbom, size, toolchain};
use crate::{console, package, web};

/// How `dist` is called.
const USAGE: &str = "usage: cargo xtask dist [--target CLASS|all] [--agent-only] \
                     [--package-version V] | --pack CLASS | --twice CLASS | --check-cross | \
                     --sizes CLASS";

/// `cargo xtask dist WORDS…`.
///
/// # Errors
/// What failed first.
pub(crate) fn command(words: &[&str]) -> Outcome {
    match words {
        ["--twice", class] => build::same_again(&Class::read(class)?),
        ["--check-cross"] => cross::check(),
        ["--pack", class] => package::all(&Class::read(class)?, &package::version()),
        ["--sizes", class] => size::write(&Class::read(class)?),
        _ => all(&Wanted::read(words)?),
    }
}

/// Fetches what builds for other machines need: linker, compiler, source of std.
///
/// # Errors
/// One cannot be had.
pub(crate) fn download() -> Outcome {
    Class::named("all")?.iter().try_for_each(|class| toolchain::Toolchain::find(class).map(drop))
}

/// What a command line asks for.
struct Wanted {
    classes: Vec<Class>,
    agent_only: bool,
    version: String,
}

impl Wanted {
    fn read(words: &[&str]) -> Outcome<Self> {
        let mut wanted =
            Self { classes: Vec::new(), agent_only: false, version: package::version() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words.next().ok_or_else(|| Trouble::new(format!("{word} needs a value; {USAGE}")))
            };
            match *word {
                "--target" => wanted.classes = Class::named(value()?)?,
                "--package-version" => (*value()?).clone_into(&mut wanted.version),
                "--agent-only" => wanted.agent_only = true,
                _ => return Err(Trouble::new(USAGE)),
            }
        }
        if wanted.classes.is_empty() {
            wanted.classes = Class::named("all")?;
        }
        Ok(wanted)
    }
}

fn all(wanted: &Wanted) -> Outcome {
    if !wanted.agent_only {
        web::embed();
    }
    let mut rows =
        vec![["class", "program", "bytes", "promised", "std"].map(str::to_owned).to_vec()];
    let mut over = Vec::new();
    for class in &wanted.classes {
        let programs =
            class.programs.iter().filter(|p| !wanted.agent_only || **p == Program::Agent);
        for program in programs {
            interrupt::check()?;
            let built = build::build(class, *program)?;
            let sbom = build::out(class).join(format!("{}.cdx.json", program.file()));
            sbom::write(&class.triple, *program, &built.path, &sbom)?;
            let most = if *program == Program::Agent { Some(class.most_bytes()?) } else { None };
            if most.is_some_and(|most| built.bytes > most) {
                over.push(class.name.clone());
            }
            rows.push(row(class, &built, most));
        }
        package::all(class, &wanted.version)?;
    }
    digest::write_sums(&build::folder().join("out"))?;
    digest::write_sums(&package::folder())?;
    console::table(&rows);
    ensure(over.is_empty(), || format!("the agent is larger than promised: {}", over.join(", ")))
}

fn row(class: &Class, built: &Built, most: Option<u64>) -> Vec<String> {
    let std = if built.std == toolchain::Std::Rustup { "rustup" } else { "source" };
    let most = most.map_or_else(|| "-".to_owned(), |most| most.to_string());
    vec![class.name.clone(), built.program.file().into(), built.bytes.to_string(), most, std.into()]
}
