//! `cargo xtask qemu --table`: docs/devices.md from what was built, packed and measured.

use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, files};

use super::device::{Facts, facts_file};
use crate::dist::build;
use crate::dist::class::{Class, Program};
use crate::{package, say};

/// What stands above the table.
const HEAD: &str = "# Devices

Made by `cargo xtask qemu --table` from `cargo xtask dist` and `cargo xtask qemu`. Binary: static, stripped. Package: the
deb. RSS is read inside the guest (`VmRSS`; in brackets the part without a file behind it). Connected: from power-on to
the gateway's word that the device is there, emulated in software, so a real board is quicker. `-`: not measured.

| class | for example | kernel from, libc | binary, bytes | deb, bytes | RSS idle, KiB | with one shell | connected, s | shown by |
|---|---|---|---|---|---|---|---|---|
";

/// Writes the file, and prints the table.
///
/// # Errors
/// A class has a mistake.
pub(crate) fn write() -> Outcome {
    let rows = Class::named("all")?.iter().map(row).collect::<Outcome<Vec<_>>>()?;
    let path = workspace().join("docs/devices.md");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    // What people wrote below the table stays.
    let below = old.split_once("\n## ").map(|(_, below)| format!("\n## {below}")).unwrap_or_default();
    let text = format!("{HEAD}{}", rows.concat());
    say::line(&text);
    files::write(&path, format!("{text}{below}"))
}

fn row(class: &Class) -> Outcome<String> {
    let dash = || "-".to_owned();
    let size = |path: Option<std::path::PathBuf>| {
        path.and_then(|path| std::fs::metadata(path).ok()).map_or_else(dash, |meta| meta.len().to_string())
    };
    let variant = class.packages.variant.as_ref().map(|v| format!("_{v}")).unwrap_or_default();
    let deb = format!("towline-agent_{}_{}{variant}.deb", package::version(), class.packages.deb);
    let binary = size(build::made(class, Program::Agent));
    let package = size(Some(package::folder().join("deb").join(deb)));
    let facts = std::fs::read_to_string(facts_file(&class.name)).ok();
    let facts: Option<Facts> = facts.map(|text| serde_json::from_str(&text)).transpose()?;
    let idle = facts.as_ref().map_or_else(dash, |f| format!("{} ({})", f.idle_kib, f.anonymous_kib));
    let shell = facts.as_ref().map_or_else(dash, |f| f.shell_kib.to_string());
    let boot = facts.as_ref().map_or_else(dash, |f| format!("{}.{}", f.boot_ms / 1000, f.boot_ms % 1000 / 100));
    let shown = facts.as_ref().map_or_else(
        || format!("`cargo xtask qemu {}`, user emulation", class.name),
        |f| format!("`cargo xtask qemu {}`, a machine with {} MB", class.name, f.machine_mb),
    );
    Ok(format!(
        "| {} | {} | {}, {} | {binary} | {package} | {idle} | {shell} | {boot} | {shown} |\n",
        class.name, class.device, class.kernel, class.libc
    ))
}
