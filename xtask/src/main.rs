//! `cargo xtask …`: the commands that README and CI call. A person and CI call the same ones.
//!
//! | command | what it does |
//! |---|---|
//! | `demo [--check]` | gateway and agent as separate processes in a scratch directory, and a shell on the device |
//! | `test [FILTER]` | everything: set-up, format, lints, builds, tests, budget; with a filter only the tests named so |
//! | `build` | the three programs, each in the profile it ships in |
//! | `budget` | sizes, memory, wake-ups and idle bytes against `targets/*/budget.toml` |
//! | `bench [ROUNDS]` | keystroke, session start and bulk output against an `ssh -R` reverse tunnel |
//! | `bench only SAMPLE [ROUNDS]` | one of its samples: `keys`, `typed`, `starts`, `bulk` |
//! | `bench tunnel [near]` | forwards against `ssh -L`, files against scp: throughput (`near`: on loopback only), connections a second, keystrokes beside bulk |
//! | `endure [KILLS]` | link, agent and gateway killed at random while programs run: what the command log says then |
//! | `recall` | how much of what a session executes is on record, and its cost |
//! | `flood [MB]` | a session that writes two gigabytes: memory, processor time and disk on both sides |
//! | `fleet [DEVICES]` | one command for 1,000 simulated devices: time, memory of the gateway, nothing lost |
//! | `dist [--target CLASS]` | static programs for devices, and packages of them |
//! | `qemu [CLASS...]` | the packaged agent on virtual devices |
//! | `qemu servers CLASS` | the class's static gateway and command line under user emulation |
//! | `fleet-upgrade [DEVICES]` | devices in namespaces, rolled to the next version from a repository with shells open |
//! | `packages` | rpm, apk, ipk and tarball, each installed in a root file system of its kind; the Yocto recipe, parsed |
//! | `repo CHANNEL KEY` | signed package repositories of what `dist` packed |
//!
//! # Not here
//! - No product code: everything goes through the built programs.
#![forbid(unsafe_code)]

mod bench;
mod budget;
mod demo;
mod dist;
mod endure;
mod fleet;
mod flood;
mod package;
mod qemu;
mod recall;
mod repo;
mod run;
mod say;
mod setup;
mod signals;
mod suite;

use std::process::ExitCode;

use towline_testkit::{Outcome, Trouble};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Err(trouble) = signals::watch() {
        say::error(&trouble.to_string());
    }
    match command(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            say::error(&trouble.to_string());
            ExitCode::FAILURE
        }
    }
}

fn command(words: &[&str]) -> Outcome {
    match words {
        ["demo"] => demo::by_hand(),
        ["demo", "--check"] => demo::unattended(),
        ["test"] => suite::all(),
        ["test", filter] => suite::filtered(filter),
        ["build"] => run::build_programs(),
        ["budget"] => budget::check(),
        ["fleet"] => suite::fleet(1000),
        ["fleet", devices] => suite::fleet(devices.parse()?),
        ["bench"] => bench::compare(bench::ROUNDS),
        ["bench", "tunnel"] => bench::tunnel::compare(false),
        ["bench", "tunnel", "near"] => bench::tunnel::compare(true),
        ["bench", "only", sample] => bench::compare_one(sample, bench::ROUNDS),
        ["bench", "only", sample, rounds] => bench::compare_one(sample, rounds.parse()?),
        ["bench", rounds] => bench::compare(rounds.parse()?),
        ["endure"] => endure::report(endure::KILLS),
        ["endure", kills] => endure::report(kills.parse()?),
        ["recall"] => recall::report(),
        ["flood"] => flood::report(flood::MEGABYTES),
        ["flood", megabytes] => flood::report(megabytes.parse()?),
        ["dist", more @ ..] => dist::command(more),
        ["qemu", more @ ..] => qemu::command(more),
        ["fleet-upgrade", more @ ..] => fleet::command(more),
        ["packages"] => package::rooted::try_all(),
        ["repo", more @ ..] => repo::command(more),
        _ => Err(Trouble::new(
            "usage: cargo xtask demo [--check] | test [FILTER] | build | budget | bench [ROUNDS | only SAMPLE [ROUNDS] | tunnel [near]] | fleet [DEVICES] | recall | endure [KILLS] | flood [MB] | dist [...] | qemu [CLASS...] | fleet-upgrade [DEVICES] | packages | repo CHANNEL KEY",
        )),
    }
}
