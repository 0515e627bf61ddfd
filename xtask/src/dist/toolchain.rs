//! Which compiler builds for a triple on this machine, and how it gets there.
//!
//! | found | then |
//! |---|---|
//! | rustup carries std for the triple | rustup's cargo, with zig as linker |
//! | Debian's `rustc-web` and `rust-web-src` | std from that source, by that compiler: always the pair, never mixed |
//! | neither, but root on Debian | the pair is installed |
//! | neither | the lines to type |
//!
//! # Invariants
//! - Zig and cargo-zigbuild have one fixed version each and are installed in the cache directory,
//!   not in the tree.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, Trouble};

use super::class::{Class, Program};
use crate::{console, run, setup};

/// Debian's current compiler and its source, beside the old one.
const PAIR: &[(&str, &str)] = &[
    ("rustc-web", "/usr/bin/rustc"),
    ("cargo-web", "/usr/bin/cargo"),
    ("rust-web-src", "/usr/lib/rustlib/src/rust/library/std/Cargo.toml"),
    ("libstd-rust-web-dev", "/usr/lib/rustlib"),
];

/// Both from the Python index; they were measured together.
const ZIG: &str = "ziglang==0.17.1";
const ZIGBUILD: &str = "cargo-zigbuild==0.24.0";

/// Where the compiler of a build comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Std {
    /// rustup has std for the triple.
    Rustup,
    /// std is compiled with the program.
    Source,
}

/// All that a build needs.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    /// Where std comes from.
    pub(crate) std: Std,
    /// In a sentence, for people.
    pub(crate) said: String,
    zig: PathBuf,
}

impl Toolchain {
    /// The best one for a class, installed if that is needed and allowed.
    ///
    /// # Errors
    /// There is none; what to type.
    pub(crate) fn find(class: &Class) -> Outcome<Self> {
        let zig = zig()?;
        if rustup_has(&class.triple) {
            let said = format!("{}: std of rustup, linked by zig", class.triple);
            return Ok(Self { std: Std::Rustup, said, zig });
        }
        install_pair()?;
        let said = format!(
            "{}: std from source, by {}, linked by zig",
            class.triple,
            version(Path::new(PAIR[0].1))
        );
        Ok(Self { std: Std::Source, said, zig })
    }

    /// `cargo zigbuild` for a program of a class, with everything that makes the bytes the same
    /// each time.
    ///
    /// # Errors
    /// Git knows no commit.
    pub(crate) fn command(
        &self,
        class: &Class,
        program: Program,
        target_dir: &Path,
    ) -> Outcome<Command> {
        let bin = self.zig.join("bin");
        let mut command = Command::new(bin.join("cargo-zigbuild"));
        command.current_dir(workspace()).args([
            "zigbuild",
            "--locked",
            "--profile",
            program.profile(),
        ]);
        command.args([
            "--package",
            program.file(),
            "--bin",
            program.file(),
            "--target",
            &class.triple,
        ]);
        command.arg("--target-dir").arg(target_dir);
        for name in
            ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION", "CARGO_MANIFEST_PATH"]
        {
            command.env_remove(name);
        }
        let mut flags = class.rustflags.clone();
        flags.extend(remaps());
        if program == Program::Agent {
            // A panic aborts it: nothing reads the tables for unwinding, a tenth of the binary. The
            // linker leaves out those of C code. A relative path, so that each tree gives the same
            // bytes.
            flags.push("-Cforce-unwind-tables=no".into());
            flags.push("-Clink-arg=-Wl,-T,targets/no-unwind-tables.ld".into());
        }
        if self.std == Std::Source {
            // What std needs to say when it cannot go on, and no more: the binaries are stripped,
            // so the machinery that prints a backtrace could only print addresses.
            let crates = if program == Program::Agent {
                "std,panic_abort"
            } else {
                "std,panic_unwind,panic_abort"
            };
            let features =
                if program == Program::Agent { "optimize_for_size" } else { "panic-unwind" };
            command
                .arg(format!("-Zbuild-std={crates}"))
                .arg(format!("-Zbuild-std-features={features}"));
            command.env("RUSTC", PAIR[0].1).env("CARGO", PAIR[1].1).env("RUSTC_BOOTSTRAP", "1");
            command.env_remove("RUSTUP_TOOLCHAIN");
            // Without it the link asks for start files that rustup would have brought.
            flags.push("-Clink-self-contained=no".into());
        }
        command.env("RUSTFLAGS", flags.join(" ")).env_remove("CARGO_ENCODED_RUSTFLAGS");
        command.env("CARGO_ZIGBUILD_ZIG_PATH", bin.join("python-zig"));
        command.env("SOURCE_DATE_EPOCH", super::build::commit_time()?.to_string());
        if self.std == Std::Source {
            // Its cargo before rustup's, for build scripts that ask for `rustc` by name.
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:/usr/bin:/bin:{path}", bin.display()));
        }
        Ok(command)
    }
}

/// `cargo WORD` for an operator's machine, with std of rustup, which gets it if it can.
///
/// # Errors
/// There is no std for the triple: what to type.
pub(crate) fn with_rustup(triple: &str, mut cargo: Command, word: &str) -> Outcome<Command> {
    if !rustup_has(triple) {
        let mut add = Command::new("rustup");
        add.current_dir(workspace()).args(["target", "add", triple]);
        run::checked(add)?;
    }
    cargo.arg(word).env("RUSTFLAGS", remaps().join(" ")).env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo.env("SOURCE_DATE_EPOCH", super::build::commit_time()?.to_string());
    Ok(cargo)
}

/// `cargo zigbuild` for a Mac, with std of rustup. What it builds is to be [`stripped`].
///
/// # Errors
/// There is no std for the triple, or no zig.
pub(crate) fn with_zig(triple: &str) -> Outcome<Command> {
    let bin = zig()?.join("bin");
    let mut cargo = Command::new(bin.join("cargo-zigbuild"));
    cargo.current_dir(workspace()).env("CARGO_ZIGBUILD_ZIG_PATH", bin.join("python-zig"));
    let mut command = with_rustup(triple, cargo, "zigbuild")?;
    // Cargo would call a program that this machine has for its own format, and for no other.
    command.env("CARGO_PROFILE_SERVER_STRIP", "false");
    Ok(command)
}

/// A Mach-O program without its names, beside the whole one. Rust's own tool signs it anew, ad hoc.
///
/// # Errors
/// The tool is not there, or what it says.
pub(crate) fn stripped(program: &Path) -> Outcome<PathBuf> {
    let out = Command::new("rustc").args(["--print", "sysroot"]).current_dir(workspace()).output();
    let sysroot = PathBuf::from(String::from_utf8_lossy(&out?.stdout).trim());
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let place = program.with_file_name("stripped");
    std::fs::create_dir_all(&place)?;
    let name = program.file_name().ok_or_else(|| Trouble::new("a program without a name"))?;
    let stripped = place.join(name);
    let mut strip = Command::new(sysroot.join("lib/rustlib").join(host).join("bin/rust-objcopy"));
    strip.env("LD_LIBRARY_PATH", sysroot.join("lib"));
    strip.arg("--strip-all").arg(program).arg(&stripped);
    run::checked(strip)?;
    Ok(stripped)
}

/// Paths of the machine that builds, by what they are called inside the binary.
fn remaps() -> Vec<String> {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let source = std::fs::canonicalize("/usr/lib/rustlib/src/rust")
        .unwrap_or_else(|_| "/usr/lib/rustlib/src/rust".into());
    [
        (workspace(), "/towline"),
        (cargo, "/cargo"),
        (source, "/rust"),
        ("/usr/lib/rustlib/src/rust".into(), "/rust"),
    ]
    .into_iter()
    .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
    .collect()
}

fn rustup_has(triple: &str) -> bool {
    let listed = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .stderr(Stdio::null())
        .output();
    listed.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).lines().any(|line| line == triple))
}

fn version(rustc: &Path) -> String {
    let out = Command::new(rustc).arg("--version").output();
    out.map_or_else(
        |_| "rustc".into(),
        |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
    )
}

fn install_pair() -> Outcome {
    if PAIR.iter().all(|(_, file)| Path::new(file).exists()) {
        return Ok(());
    }
    let packages: Vec<&str> = PAIR.iter().map(|(package, _)| *package).collect();
    setup::install(&packages).map_err(|e| {
        Trouble::new(format!(
            "no std for this target: rustup target add it (and cargo xtask dist again), or: {e}"
        ))
    })
}

/// A Python environment that holds zig and cargo-zigbuild.
fn zig() -> Outcome<PathBuf> {
    let place = setup::cache().join("zig");
    if place.join("bin/cargo-zigbuild").is_file() && place.join("bin/python-zig").is_file() {
        return Ok(place);
    }
    console::step(&format!("zig as linker, in {}", place.display()));
    std::fs::create_dir_all(setup::cache())?;
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(&place);
    run::checked(venv)?;
    let mut pip = Command::new(place.join("bin/python3"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ZIG, ZIGBUILD]);
    run::checked(pip)?;
    Ok(place)
}
