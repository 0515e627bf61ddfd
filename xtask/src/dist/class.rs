//! A class of devices, as `targets/<class>/target.toml` says it: what to build, for what, and what
//! packages call it.
//!
//! # Not here
//! - What it may cost: `budget.toml` beside it, read by [`super::size`] and by the tests in virtual
//!   machines.

use std::path::PathBuf;

use serde::Deserialize;
use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, Trouble};

/// All classes, in the order in which they are built and listed: the most common first.
pub(crate) const ALL: &[&str] =
    &["x86_64", "aarch64", "armv7", "armv6", "armel", "i686", "riscv64"];

/// One of our programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Program {
    /// Runs on the device.
    Agent,
    /// Runs on the server.
    Gateway,
    /// Runs on a laptop.
    Cli,
}

impl Program {
    /// Cargo's name of its package, and the name of its file.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Agent => "towline-agent",
            Self::Gateway => "towline-gateway",
            Self::Cli => "towline",
        }
    }

    /// The profile it ships in: the agent small, the others fast.
    pub(crate) const fn profile(self) -> &'static str {
        match self {
            Self::Agent => "release",
            Self::Gateway | Self::Cli => "server",
        }
    }
}

/// A class of devices. Unknown keys are mistakes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Class {
    /// The folder's name.
    #[serde(skip)]
    pub(crate) name: String,
    /// Rust's name of it.
    pub(crate) triple: String,
    /// What the compiler may take for granted of the CPU.
    pub(crate) rustflags: Vec<String>,
    /// Oldest kernel on which it starts.
    pub(crate) kernel: String,
    /// What it needs of a C library.
    pub(crate) libc: String,
    /// Boards of this class, for people.
    pub(crate) device: String,
    /// What is built for it.
    pub(crate) programs: Vec<Program>,
    /// Its names in package formats.
    pub(crate) packages: Names,
    /// How it runs elsewhere.
    pub(crate) emulation: Emulation,
}

/// Names of the architecture in each package format; absent: no such package.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Names {
    /// Debian and its children.
    pub(crate) deb: String,
    /// Keeps two files apart whose architecture Debian calls the same.
    pub(crate) variant: Option<String>,
    /// Red Hat, SUSE and their children.
    pub(crate) rpm: Option<String>,
    /// Alpine.
    pub(crate) apk: String,
    /// OpenWrt, which has a name for each CPU.
    pub(crate) ipk: Vec<String>,
}

/// How a binary of the class runs on another machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Emulation {
    /// The program of qemu's user mode.
    pub(crate) user: String,
    /// The oldest CPU it is meant for, if the emulator's default is newer.
    pub(crate) cpu: Option<String>,
}

impl Class {
    /// Reads one class.
    ///
    /// # Errors
    /// There is none of this name, or its file has a mistake.
    pub(crate) fn read(name: &str) -> Outcome<Self> {
        let path = folder(name).join("target.toml");
        let text = std::fs::read_to_string(&path).map_err(|_| {
            Trouble::new(format!("no class `{name}`; there are {}, and all", ALL.join(", ")))
        })?;
        let mut class: Self =
            toml::from_str(&text).map_err(|e| Trouble::new(format!("{}: {e}", path.display())))?;
        name.clone_into(&mut class.name);
        Ok(class)
    }

    /// The classes that a command line means: one name, or `all`.
    ///
    /// # Errors
    /// As [`Class::read`].
    pub(crate) fn named(name: &str) -> Outcome<Vec<Self>> {
        if name == "all" {
            ALL.iter().map(|name| Self::read(name)).collect()
        } else {
            Ok(vec![Self::read(name)?])
        }
    }

    /// The largest agent that was promised for it, bytes.
    ///
    /// # Errors
    /// Its `budget.toml` has a mistake.
    pub(crate) fn most_bytes(&self) -> Outcome<u64> {
        Ok(self.budget()?.agent.binary_bytes)
    }

    /// What the agent may cost on it.
    ///
    /// # Errors
    /// Its `budget.toml` has a mistake.
    pub(crate) fn budget(&self) -> Outcome<Budget> {
        let path = folder(&self.name).join("budget.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|e| Trouble::new(format!("{}: {e}", path.display())))?;
        toml::from_str(&text).map_err(|e| Trouble::new(format!("{}: {e}", path.display())))
    }
}

/// `budget.toml` of a device class.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// The agent's part; a device runs nothing else of ours.
    pub(crate) agent: AgentBudget,
}

/// Upper bounds for the agent on a device class.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentBudget {
    /// Stripped static binary, bytes.
    pub(crate) binary_bytes: u64,
    /// Resident memory when idle with the link up, KiB.
    pub(crate) idle_rss_kib: u64,
    /// Of these without a file behind them, KiB.
    pub(crate) idle_anonymous_kib: u64,
    /// Growth with an open shell, KiB; its replay ring comes on top.
    pub(crate) per_shell_kib: u64,
    /// Threads.
    pub(crate) threads: u64,
}

fn folder(name: &str) -> PathBuf {
    workspace().join("targets").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_read_with_its_budget() {
        for class in Class::named("all").unwrap() {
            assert!(class.budget().unwrap().agent.binary_bytes > 0, "{}", class.name);
            assert!(
                class.triple.contains("-linux-musl"),
                "{}: {} is not static",
                class.name,
                class.triple
            );
            assert!(class.programs.contains(&Program::Agent), "{} has no agent", class.name);
        }
    }

    #[test]
    fn cross_knows_every_triple_that_it_has_an_image_for_and_no_other() {
        let text = std::fs::read_to_string(workspace().join("Cross.toml")).unwrap();
        let cross: toml::Table = toml::from_str(&text).unwrap();
        let mut named: Vec<String> = cross["target"].as_table().unwrap().keys().cloned().collect();
        let classes = Class::named("all").unwrap().into_iter();
        let known = classes
            .filter(|class| !super::super::cross::WITHOUT_IMAGE.contains(&class.name.as_str()));
        let mut ours: Vec<String> = known.map(|class| class.triple).collect();
        named.sort();
        ours.sort();
        assert_eq!(named, ours);
    }

    #[test]
    fn no_two_packages_have_the_same_file_name() {
        let mut names: Vec<String> = Class::named("all")
            .unwrap()
            .into_iter()
            .map(|class| {
                format!("{}{}", class.packages.deb, class.packages.variant.unwrap_or_default())
            })
            .collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn an_unknown_class_is_told_which_there_are() {
        assert!(Class::read("vax").unwrap_err().to_string().contains("armv6"));
    }
}
