//! `cargo xtask qemu [CLASS…|machine CLASS|debian [SUITE]|servers CLASS|--tests|--table]`: the
//! packaged agent on machines like those it is meant for.
//!
//! Data flow: `target/dist/out/<class>/towline-agent` (built when missing) -> [`fetch`] a kernel ->
//! [`machine`] -> [`story`]; classes without a machine run under qemu's user mode: [`user`].
//! `machine CLASS`: the program of such a class in the machine of another one.
//!
//! # Invariants
//! - Downloads are kept in the cache directory; the tree stays clean.
//! - Without qemu the error names the packages; as root they are installed.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, interrupt};

use super::turn::{self, Limit};
use super::{debian, fetch, machine, servers, story, table, user};
use crate::dist::build::{self, Built};
use crate::dist::class::{Class, Program};
use crate::{console, setup};

/// What is needed of the distribution.
pub(crate) const NEEDS: &[(&str, &str)] = &[
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-arm-static", "qemu-user-static"),
    ("mke2fs", "e2fsprogs"),
    ("setsid", "util-linux"),
];

/// The class whose deb is installed on a whole Debian.
const DEBIAN: &str = "x86_64";

/// What becomes of the figures that a story measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Facts {
    /// They are kept for the table in docs/devices.md.
    Kept,
    /// Something else runs beside, so times are too high for a table.
    Dropped,
}

/// `cargo xtask qemu WORDS…`.
///
/// # Errors
/// The first step that failed on the first class that failed.
pub(crate) fn command(words: &[&str]) -> Outcome {
    if words == ["--table"] {
        return table::write();
    }
    setup::programs(NEEDS)?;
    match words {
        ["debian"] => return debian(debian::SUITE),
        ["debian", suite] => return debian(suite),
        _ => {}
    }
    if words == ["--tests"] {
        return in_tests(&Limit::none(), || Ok(()), || Ok(()));
    }
    if let ["machine", class] = words {
        let (model, class) = (machine::Model::that_runs(class)?, Class::read(class)?);
        return story::tell(&model, &class, &agent(&class)?, Facts::Dropped);
    }
    if let ["servers", class] = words {
        return servers::tell(&Class::read(class)?);
    }
    let classes = match words {
        [] => Class::named("all")?,
        names => names.iter().map(|name| Class::read(name)).collect::<Outcome<_>>()?,
    };
    classes.iter().try_for_each(|class| tell(class, &agent(class)?, Facts::Kept))?;
    if words.is_empty() { debian(debian::SUITE) } else { Ok(()) }
}

fn tell(class: &Class, agent: &Path, facts: Facts) -> Outcome {
    interrupt::check()?;
    match machine::Model::of(&class.name) {
        Ok(model) => story::tell(&model, class, agent, facts),
        Err(_) => user::tell(class, agent),
    }
}

/// Fetches kernels and userlands of all machines, and the Debian that the deb is installed on.
///
/// # Errors
/// A download failed.
pub(crate) fn download() -> Outcome {
    setup::programs(debian::NEEDS)?;
    for class in Class::named("all")? {
        if let Ok(model) = machine::Model::of(&class.name) {
            fetch::guest(model.debian.0, model.debian.1)?;
        }
    }
    debian::download(debian::SUITE).map(drop)
}

/// The part that `cargo xtask test` runs: the classes for which `limit` leaves time, and the life
/// of the deb on a whole Debian. A virtual machine keeps one processor busy and waits a lot, so the
/// agents of the next classes are compiled meanwhile. `meanwhile` runs while the first agent is
/// compiled, `last` after the last build (it may start cargo, too).
///
/// # Errors
/// The first step that failed.
pub(crate) fn in_tests(
    limit: &Limit,
    meanwhile: impl FnOnce() -> Outcome,
    last: impl FnOnce() -> Outcome + Send,
) -> Outcome {
    setup::programs(NEEDS)?;
    let classes = turn::order(Class::named("all")?, build::commit_time()?);
    let (send, made) = std::sync::mpsc::sync_channel(classes.len());
    std::thread::scope(|scope| {
        let builds = scope.spawn(|| -> Outcome {
            build_all(&classes, limit, &send)?;
            drop(send);
            last()
        });
        let told = meanwhile().and_then(|()| tell_all(&made));
        // The builder stops at its next class when nobody waits for it any more.
        drop(made);
        let built = builds.join().map_err(|_| Trouble::new("the builds panicked"))?;
        told.and(built)
    })
}

/// Builds agents anew: one that was built for an earlier commit proves nothing about this one.
fn build_all(classes: &[Class], limit: &Limit, made: &SyncSender<(Class, Built)>) -> Outcome {
    let start = Instant::now();
    for (built, class) in classes.iter().enumerate() {
        interrupt::check()?;
        if !limit.permits(built, Instant::now()) {
            let names: Vec<&str> = classes.iter().skip(built).map(|class| &*class.name).collect();
            console::line(&format!("  {}", turn::left_out(&names)));
            break;
        }
        let built = build::build(class, Program::Agent)?;
        let (name, most) = (&class.name, class.most_bytes()?);
        console::line(&format!("  {name}: {} bytes, at most {most}", built.bytes));
        ensure(built.bytes <= most, || {
            format!("the agent for {name} has {} bytes, its budget is {most}", built.bytes)
        })?;
        if made.send((class.clone(), built)).is_err() {
            return Ok(());
        }
    }
    console::line(&format!("  agents: built in {} s", start.elapsed().as_secs()));
    Ok(())
}

/// Runs the story of each class as soon as its agent is there. The one of the deb, which takes
/// longest, begins while the agents of the next classes are compiled.
fn tell_all(made: &Receiver<(Class, Built)>) -> Outcome {
    for (class, built) in made {
        let start = Instant::now();
        tell(&class, &built.path, Facts::Dropped)?;
        console::line(&format!("  {}: {} s", class.name, start.elapsed().as_secs()));
        if class.name == DEBIAN {
            debian::tell(debian::SUITE, &class, &built.path)?;
        }
    }
    Ok(())
}

fn debian(suite: &str) -> Outcome {
    let class = Class::read(DEBIAN)?;
    debian::tell(suite, &class, &agent(&class)?)
}

fn agent(class: &Class) -> Outcome<PathBuf> {
    build::made(class, Program::Agent)
        .map_or_else(|| Ok(build::build(class, Program::Agent)?.path), Ok)
}
