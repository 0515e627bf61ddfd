//! `cargo xtask qemu --table`: the table in docs/devices.md and the shorter one in
//! docs/figures.md.
//!
//! Data flow: programs and packages below `target/dist` and facts of the virtual devices -> a row
//! for each class -> both documents.

use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, files};

use super::device::{Facts, facts_file};
use super::machine::Model;
use crate::dist::build;
use crate::dist::class::{Class, Program};
use crate::figures::{self, grouped};
use crate::{console, package};

/// What stands above the table.
const HEAD: &str = "# Devices

Made by `cargo xtask qemu --table` from `cargo xtask dist` and `cargo xtask qemu`. Binary: \
static, stripped. Package: the
deb. RSS is read inside the guest (`smaps_rollup`; in brackets the part without a file behind \
it). Connected: from a
reboot to the answer to a command through the gateway, emulated in software, so a real board is \
quicker. `-`: not measured.

| class | for example | kernel from, libc | binary, bytes | deb, bytes | RSS idle, KiB | with one \
shell | connected, s | shown by |
|---|---|---|---|---|---|---|---|---|
";

/// Columns of the short table, and a row for amazon-ssm-agent with figures that were given to us.
const SHORT_HEAD: &str = "\
| `cargo xtask dist`, `cargo xtask qemu` | binary, bytes | deb, bytes | RSS idle (anonymous), KiB \
| with one shell, KiB | boot to connected, s | shown by |
|---|---|---|---|---|---|---|
";
const PEER: &str = "\
| amazon-ssm-agent 3.3.0.0, x86_64 | 99,821,125 in five | - | 48,900 in two processes | 76,400 in \
three | - | not taken by us, see below |
";

/// Writes both files, and prints the table.
///
/// # Errors
/// A class has a mistake.
pub(crate) fn write() -> Outcome {
    let seen = Class::named("all")?.into_iter().map(Seen::of).collect::<Outcome<Vec<_>>>()?;
    let short: String = seen.iter().map(Seen::short).collect();
    figures::write("devices", &format!("{SHORT_HEAD}{short}{PEER}"))?;
    let rows: Vec<String> = seen.iter().map(Seen::row).collect();
    let path = workspace().join("docs/devices.md");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    // What people wrote below the table stays.
    let below =
        old.split_once("\n## ").map(|(_, below)| format!("\n## {below}")).unwrap_or_default();
    let text = format!("{HEAD}{}", rows.concat());
    console::line(&text);
    files::write(&path, format!("{text}{below}"))
}

/// What is known of a class, in words for a table; a dash for what was not made or measured here.
struct Seen {
    class: Class,
    binary: String,
    package: String,
    idle: String,
    shell: String,
    boot: String,
    shown: String,
}

impl Seen {
    fn of(class: Class) -> Outcome<Self> {
        let dash = || "-".to_owned();
        let size = |path: Option<std::path::PathBuf>| {
            path.and_then(|path| std::fs::metadata(path).ok())
                .map_or_else(dash, |meta| grouped(meta.len()))
        };
        let variant = class.packages.variant.as_ref().map(|v| format!("_{v}")).unwrap_or_default();
        let deb =
            format!("towline-agent_{}_{}{variant}.deb", package::version(), class.packages.deb);
        let facts = std::fs::read_to_string(facts_file(&class.name)).ok();
        let facts: Option<Facts> = facts.map(|text| serde_json::from_str(&text)).transpose()?;
        let facts = facts.as_ref();
        let machine = |m: Model| {
            format!("`cargo xtask qemu {}`, a machine with {} MB", class.name, m.memory())
        };
        let emulated = |_| format!("`cargo xtask qemu {}`, user emulation", class.name);
        Ok(Self {
            binary: size(build::made(&class, Program::Agent)),
            package: size(Some(package::folder().join("deb").join(deb))),
            idle: facts.map_or_else(dash, |f| format!("{} ({})", f.idle_kib, f.anonymous_kib)),
            shell: facts.map_or_else(dash, |f| f.shell_kib.to_string()),
            boot: facts
                .map_or_else(dash, |f| format!("{}.{}", f.boot_ms / 1000, f.boot_ms % 1000 / 100)),
            shown: Model::of(&class.name).map_or_else(emulated, machine),
            class,
        })
    }

    fn row(&self) -> String {
        let Self { class, binary, package, idle, shell, boot, shown } = self;
        let Class { name, device, kernel, libc, .. } = class;
        format!(
            "| {name} | {device} | {kernel}, {libc} | {binary} | {package} | {idle} | {shell} | \
             {boot} | {shown} |\n"
        )
    }

    fn short(&self) -> String {
        let Self { class, binary, package, idle, shell, boot, shown } = self;
        format!("| {} | {binary} | {package} | {idle} | {shell} | {boot} | {shown} |\n", class.name)
    }
}
