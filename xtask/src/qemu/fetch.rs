//! Kernels, busybox and tc for virtual devices: Debian packages, downloaded once and unpacked in
//! the cache directory.
//!
//! # Invariants
//! - apt works in a state directory of its own: foreign architectures and lists stay out of the
//!   machine's.
//! - What is unpacked is complete: it is unpacked beside its place and then renamed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use towline_testkit::{Outcome, Trouble, files};

use crate::{console, run, setup};

/// The suite that kernels come from.
const SUITE: &str = "bookworm";
/// What is fetched beside the kernel: a userland for the initramfs, and tc with its libraries for
/// bad networks.
const USERLAND: &[&str] = &["busybox-static"];
const TC: &[&str] = &[
    "iproute2",
    "libc6",
    "libelf1",
    "libbpf1",
    "libmnl0",
    "libbsd0",
    "libcap2",
    "libxtables12",
    "libmd0",
    "zlib1g",
    "libgcc-s1",
];

/// Files of one Debian architecture.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    /// Unpacked kernel and busybox.
    pub(crate) root: PathBuf,
    /// Unpacked tc.
    pub(crate) tc: PathBuf,
}

/// Where everything for virtual devices is kept.
pub(crate) fn cache() -> PathBuf {
    setup::cache().join("qemu")
}

/// Kernel and userland for a Debian architecture; `meta` is the package that depends on the current
/// kernel.
///
/// # Errors
/// Nothing can be downloaded, and nothing was before.
pub(crate) fn guest(arch: &str, meta: &str) -> Outcome<Guest> {
    let guest = Guest { root: cache().join(arch).join("root"), tc: cache().join(arch).join("tc") };
    if !guest.root.is_dir() {
        let kernel = kernel(arch, meta)?;
        let mut packages = vec![kernel.as_str()];
        packages.extend(USERLAND);
        unpack(arch, &packages, &guest.root)?;
    }
    if !guest.tc.is_dir() {
        unpack(arch, TC, &guest.tc)?;
    }
    Ok(guest)
}

/// A static busybox for a Debian architecture.
///
/// # Errors
/// It cannot be downloaded, and was not before.
pub(crate) fn busybox(arch: &str) -> Outcome<PathBuf> {
    let root = cache().join(arch).join("busybox");
    if !root.is_dir() {
        unpack(arch, USERLAND, &root)?;
    }
    Ok(root.join("bin/busybox"))
}

/// The kernel's image.
///
/// # Errors
/// The package holds none.
pub(crate) fn image(guest: &Guest) -> Outcome<PathBuf> {
    let boot = guest.root.join("boot");
    let entries = std::fs::read_dir(&boot)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut images = entries.filter(|path| {
        path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz"))
    });
    images.next().ok_or_else(|| Trouble::new(format!("no kernel in {}", boot.display())))
}

/// What the meta package depends on now.
fn kernel(arch: &str, meta: &str) -> Outcome<String> {
    update()?;
    let out = apt("apt-cache").args(["depends", &format!("{meta}:{arch}")]).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image"));
    let name =
        line.ok_or_else(|| Trouble::new(format!("{meta}:{arch} is not in Debian's lists")))?;
    let name = name.split(':').next().unwrap_or(name);
    Ok(format!("linux-image{name}"))
}

/// Fetches the lists once; a mirror that is being updated fails now and then, so twice.
fn update() -> Outcome {
    let state = cache().join("apt");
    if state.join("done").is_file() {
        return Ok(());
    }
    for folder in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(state.join(folder))?;
    }
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let mirror = mirror()?;
    files::write(
        &state.join("sources.list"),
        format!("deb [signed-by={keyring}] {mirror} {SUITE} main\n"),
    )?;
    let mut first = apt("apt-get");
    first.args(["update", "--quiet"]).stdout(Stdio::null());
    if run::checked(first).is_err() {
        let mut again = apt("apt-get");
        again.args(["update", "--quiet"]).stdout(Stdio::null());
        run::checked(again)?;
    }
    files::write(&state.join("done"), "")
}

/// The mirror that this machine uses for itself.
fn mirror() -> Outcome<String> {
    let policy = Command::new("apt-cache").arg("policy").output();
    let text =
        policy.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    let line = text.lines().find(|line| line.contains(&format!("{SUITE}/main")));
    let found = line.and_then(|line| line.split_whitespace().find(|word| word.starts_with("http")));
    found.map(str::to_owned).ok_or_else(|| {
        Trouble::new(format!(
            "apt has no source for Debian {SUITE}, which kernels come from: add one to \
             /etc/apt/sources.list.d and run apt-get update"
        ))
    })
}

/// An apt command that knows only our state directory.
fn apt(program: &str) -> Command {
    let state = cache().join("apt");
    let mut command = Command::new(program);
    let set = [
        ("Dir::State::Lists", state.join("lists")),
        ("Dir::Cache", state.join("cache")),
        ("Dir::Etc::SourceList", state.join("sources.list")),
        ("Dir::Etc::SourceParts", PathBuf::from("/dev/null")),
    ];
    for (key, value) in set {
        command.arg("-o").arg(format!("{key}={}", value.display()));
    }
    for arch in ["amd64", "arm64", "armhf"] {
        command.arg("-o").arg(format!("APT::Architectures::={arch}"));
    }
    command.args([
        "-o",
        "Acquire::Languages=none",
        "-o",
        "APT::Sandbox::User=root",
        "-o",
        "APT::Update::Error-Mode=any",
    ]);
    command
}

/// Downloads packages and unpacks them into one directory.
fn unpack(arch: &str, packages: &[&str], to: &Path) -> Outcome {
    update()?;
    console::step(&format!("{}: {}", to.display(), packages.join(" ")));
    let debs = cache().join(arch).join("debs");
    let beside = to.with_extension("partial");
    for folder in [&debs, &beside] {
        // Left over from a run that was broken off.
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder)?;
    }
    let mut download = apt("apt-get");
    download.current_dir(&debs).args(["download", "--quiet"]);
    download.args(packages.iter().map(|package| format!("{package}:{arch}"))).stdout(Stdio::null());
    run::checked(download)?;
    for entry in std::fs::read_dir(&debs)? {
        let mut dpkg = Command::new("dpkg-deb");
        dpkg.arg("--extract").arg(entry?.path()).arg(&beside);
        run::checked(dpkg)?;
    }
    std::fs::remove_dir_all(&debs)?;
    Ok(std::fs::rename(&beside, to)?)
}
