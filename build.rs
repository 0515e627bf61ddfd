//! Tells the agent when and for what it was built, and leaves out of builds with glibc what nobody
//! reads.
//!
//! The time is the floor of the device's clock when certificates are checked, so a device that
//! believes in 1970 can still tell that a certificate is valid.
//!
//! # Invariants
//! - Relocations are packed (`DT_RELR`, 70 KB less), and tables for unwinding left out (252 KB
//!   less), only where a program that was linked so runs on the machine that builds: linkers before
//!   binutils 2.38 and glibc before 2.36 do not know the first.
//! - Tables for unwinding stay in profiles that do not ship, where a panic unwinds. Device builds
//!   have none from the start (decision 158); the std of a distribution brings its own.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The optimisation of the profile that ships. A panic aborts in it, which a build script is not
/// told.
const SHIPPED: &str = "z";

/// Makes the linker pack relative relocations.
const PACKED: &str = "-Wl,-z,pack-relative-relocs";

/// Makes the linker leave the tables for unwinding out.
const NO_TABLES: &str = "targets/no-unwind-tables.ld";

fn main() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=Cargo.toml");
    // Reproducible builds set the variable; others take the clock of the machine that builds.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let time =
        std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok()).unwrap_or(now);
    println!("cargo:rustc-env=TOWLINE_BUILD_TIME={time}");
    println!("cargo:rustc-env=TOWLINE_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    if variable("TARGET") != variable("HOST") || variable("CARGO_CFG_TARGET_ENV") != "gnu" {
        return;
    }
    if runs_with(PACKED) {
        println!("cargo:rustc-link-arg-bins={PACKED}");
    }
    let script = Path::new(&variable("CARGO_MANIFEST_DIR")).join(NO_TABLES);
    println!("cargo:rerun-if-changed={NO_TABLES}");
    let no_tables = format!("-Wl,-T,{}", script.display());
    if variable("OPT_LEVEL") == SHIPPED && runs_with(&no_tables) {
        println!("cargo:rustc-link-arg-bins={no_tables}");
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Whether a program that is linked with this argument runs here.
fn runs_with(argument: &str) -> bool {
    let folder = variable("OUT_DIR");
    let (source, program) = (Path::new(&folder).join("probe.rs"), Path::new(&folder).join("probe"));
    let written = File::create(&source).and_then(|mut file| file.write_all(b"fn main() {}"));
    if written.is_err() {
        return false;
    }
    let mut compiler = Command::new(variable("RUSTC"));
    compiler.args(["-Cpanic=abort", "-o"]).arg(&program).arg(&source);
    compiler.arg(format!("-Clink-arg={argument}"));
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        compiler.arg(format!("-Clinker={linker}"));
    }
    succeeds(&mut compiler) && succeeds(&mut Command::new(&program))
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
