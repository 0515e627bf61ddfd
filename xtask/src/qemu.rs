//! `cargo xtask qemu [CLASS…|debian [SUITE]|servers CLASS|--tests|--table]`: the packaged agent on
//! machines like those it is meant for.
//!
//! Way: `target/dist/out/<class>/towline-agent` (built when missing) -> [`fetch`] a kernel ->
//! [`machine`] -> [`story`]; classes without a machine run under qemu's user mode: [`user`].
//!
//! # Invariants
//! - Downloads are kept in the cache directory; the tree stays clean.
//! - A machine without qemu is told what to install; root has it installed.

mod debian;
mod device;
mod fetch;
mod initramfs;
mod machine;
mod modules;
mod servers;
mod story;
pub(crate) mod table;
mod user;

use std::path::PathBuf;

use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, interrupt};

use crate::dist::build;
use crate::dist::class::{Class, Program};
use crate::{say, setup};
pub(crate) use fetch::busybox;

/// What is needed of the distribution.
const NEEDS: &[(&str, &str)] = &[
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-arm-static", "qemu-user-static"),
    ("mke2fs", "e2fsprogs"),
    ("setsid", "util-linux"),
];

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
        return in_tests();
    }
    if let ["servers", class] = words {
        return servers::tell(&Class::read(class)?);
    }
    let classes = match words {
        [] => Class::named("all")?,
        names => names.iter().map(|name| Class::read(name)).collect::<Outcome<_>>()?,
    };
    classes.iter().try_for_each(tell)?;
    if words.is_empty() { debian(debian::SUITE) } else { Ok(()) }
}

fn tell(class: &Class) -> Outcome {
    interrupt::check()?;
    let agent = agent(class)?;
    match machine::Model::of(&class.name) {
        Ok(model) => story::tell(&model, class, &agent),
        Err(_) => user::tell(class, &agent),
    }
}

/// The part that `cargo xtask test` runs: every class, and the life of the deb on a whole Debian.
///
/// # Errors
/// The first step that failed.
pub(crate) fn in_tests() -> Outcome {
    setup::programs(NEEDS)?;
    let start = std::time::Instant::now();
    let mut over = Vec::new();
    for class in Class::named("all")? {
        // Built anew: what was built for an earlier commit proves nothing about this one.
        let built = build::build(&class, Program::Agent)?;
        say::line(&format!(
            "  {}: {} bytes, at most {} are promised",
            class.name,
            built.bytes,
            class.most_bytes()?
        ));
        over.extend((built.bytes > class.most_bytes()?).then(|| class.name.clone()));
        tell(&class)?;
        say::line(&format!("  virtual devices: {} s so far", start.elapsed().as_secs()));
    }
    debian(debian::SUITE)?;
    say::line(&format!("  virtual devices: {} s", start.elapsed().as_secs()));
    ensure(over.is_empty(), || format!("the agent is larger than promised: {}", over.join(", ")))
}

fn debian(suite: &str) -> Outcome {
    let class = Class::read("x86_64")?;
    debian::tell(suite, &class, &agent(&class)?)
}

fn agent(class: &Class) -> Outcome<PathBuf> {
    build::made(class, Program::Agent)
        .map_or_else(|| Ok(build::build(class, Program::Agent)?.path), Ok)
}
