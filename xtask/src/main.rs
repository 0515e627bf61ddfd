//! `cargo xtask …`: the commands that README and CI call. A person and CI call the same ones.
//!
//! Data flow: the words of the command line -> [`command`] -> one module for each command. Without
//! words, [`COMMANDS`] is printed.
//!
//! # Not here
//! - No product code: everything goes through the built programs.
#![forbid(unsafe_code)]

mod bench;
mod budget;
mod cluster;
mod console;
mod demo;
mod dist;
mod endure;
mod figures;
mod fleet;
mod flood;
mod flood_strangers;
mod fuzz;
mod laptop;
mod package;
mod pictures;
mod programs;
mod qemu;
mod real_fleet;
mod recall;
mod repo;
mod run;
mod setup;
mod signals;
mod store_cost;
mod stored_fleet;
mod stored_trail;
mod structure;
mod suite;
mod vendor_fleet;
mod web;

use std::process::ExitCode;

use towline_testkit::{Outcome, Trouble};

/// Every command, and what it does.
const COMMANDS: &[(&str, &str)] = &[
    ("demo [--check]", "gateway and agent on this machine, and a shell through both"),
    ("check", "format, lints, rules of the tree: what a commit must pass"),
    ("try NAME", "the tests called NAME, and nothing else built; programs in profile dev"),
    ("test [--dev]", "everything that CI runs; --dev: gateway and CLI unoptimised, no budget"),
    ("test FILTER", "all test programs built, tests whose names contain FILTER run"),
    ("console", "the web console, which the next build of the gateway embeds"),
    ("pictures", "pictures of the web console's pages for its documentation"),
    ("build", "the three programs, each in the profile it ships in"),
    ("budget [--write]", "sizes, memory, wake-ups and idle bytes against targets/*/budget.toml"),
    (
        "structure [--dir DIR | --write [COMMIT]]",
        "files, functions, circles and log calls by crate",
    ),
    ("bench [ROUNDS] [--write]", "keystroke, session start, bulk output against ssh -R"),
    ("bench only SAMPLE [ROUNDS]", "one of its samples: keys, typed, starts, bulk"),
    ("bench tunnel [near]", "forwards against ssh -L, files against scp; near: loopback only"),
    (
        "bench console [DEVICES] [--quick] [--write]",
        "the web console in Chromium beside a plain page; --quick: no recording of 1 GiB",
    ),
    ("endure [KILLS]", "link, agent and gateway killed at random: what the command log keeps"),
    ("endure cuts [N]", "links cut at both ends of running shells: every byte compared"),
    (
        "cluster [ROUNDS] [SEED]",
        "three gateways on one PostgreSQL, a fault in each round under open shells",
    ),
    ("recall", "share of executed programs on record, and its cost"),
    ("flood [MB]", "two gigabytes of output: memory, CPU and disk on both sides"),
    (
        "flood-strangers [STARTS] [--write]",
        "session starts while one address floods: silent, idle, refused, stalled",
    ),
    ("fuzz [MINUTES] [TARGET...] [--write]", "every fuzz target for MINUTES of processor time"),
    (
        "fleet [DEVICES] [--write]",
        "1,000 simulated devices: memory, one command, return after a kill",
    ),
    ("fleet links [LINKS]", "100,000 links over pipes in one process: memory, and their return"),
    (
        "fleet vendor [DEVICES] [--write]",
        "1,000 devices that play amazon-ssm-agent: memory of each, and their coming",
    ),
    (
        "fleet store [DEVICES] [--write]",
        "lists, names and searches with a store of 100,000 devices",
    ),
    (
        "store-cost [STARTS] [--write]",
        "StartSession with the store in a file and on PostgreSQL, one client and eight",
    ),
    ("trail [EVENTS] [--write]", "searches of an audit trail of 1,000,000 events"),
    ("fleet-upgrade [DEVICES]", "devices upgraded from a repository while shells are open"),
    ("dist [--target CLASS] ...", "static programs for devices, and packages of them"),
    ("dist --laptops", "archives of the command line for Windows and macOS"),
    (
        "windows [--build]",
        "the command line for Windows, and the end-to-end suite with it under Wine",
    ),
    ("macos", "the command line for macOS, its load commands checked; it is not run"),
    (
        "qemu [CLASS... | machine CLASS | debian [SUITE] | --table]",
        "the packaged agent on virtual devices",
    ),
    ("qemu servers CLASS", "static gateway and CLI of another class under emulation"),
    ("packages", "rpm, apk, ipk and tarball installed in root file systems"),
    ("repo CHANNEL KEY", "signed package repositories from what dist packed"),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Err(trouble) = signals::watch() {
        console::error(&trouble.to_string());
    }
    match command(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            console::error(&trouble.to_string());
            ExitCode::FAILURE
        }
    }
}

fn command(words: &[&str]) -> Outcome {
    match words {
        [] | ["help" | "--help" | "-h"] => list(),
        ["demo"] => demo::by_hand(),
        ["demo", "--check"] => demo::unattended(),
        ["check"] => suite::check(),
        ["try", name] => suite::one(name),
        ["test"] => suite::all(true),
        ["test", "--dev"] => suite::all(false),
        ["test", filter] => suite::filtered(filter),
        ["console"] => web::build(),
        ["pictures"] => pictures::command(),
        ["build"] => programs::shipped(),
        ["budget"] => budget::command(false),
        ["budget", "--write"] => budget::command(true),
        ["structure", more @ ..] => structure::command(more),
        ["bench", more @ ..] => bench::command(more),
        ["cluster", more @ ..] => cluster::command(more),
        ["fleet", "store", more @ ..] => stored_fleet::command(more),
        ["fleet", "vendor", more @ ..] => vendor_fleet::command(more),
        ["fleet", more @ ..] => real_fleet::command(more),
        ["endure"] => endure::report(endure::KILLS),
        ["endure", "cuts"] => endure::cuts(endure::CUTS),
        ["endure", "cuts", number] => endure::cuts(number.parse()?),
        ["endure", kills] => endure::report(kills.parse()?),
        ["recall"] => recall::report(),
        ["flood"] => flood::report(flood::MEGABYTES),
        ["flood", megabytes] => flood::report(megabytes.parse()?),
        ["store-cost", more @ ..] => store_cost::command(more),
        ["trail", more @ ..] => stored_trail::command(more),
        ["flood-strangers", more @ ..] => flood_strangers::command(more),
        ["fuzz", more @ ..] => fuzz::command(more),
        ["dist", "--laptops"] => laptop::archives(&package::version()),
        ["dist", more @ ..] => dist::command(more),
        ["windows", more @ ..] => laptop::windows(more),
        ["macos"] => laptop::macos(),
        ["qemu", more @ ..] => qemu::command(more),
        ["fleet-upgrade", more @ ..] => fleet::command(more),
        ["packages"] => package::rooted::try_all(),
        ["repo", more @ ..] => repo::command(more),
        _ => Err(Trouble::new(format!(
            "no such command: {}; cargo xtask alone lists all",
            words.join(" ")
        ))),
    }
}

/// Prints the table of commands.
fn list() -> Outcome {
    console::line("cargo xtask COMMAND\n");
    let rows = COMMANDS.iter().map(|(words, does)| vec![(*words).to_owned(), (*does).to_owned()]);
    console::table(&rows.collect::<Vec<_>>());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_commands_names_each_command() {
        let text = include_str!("main.rs");
        let arms = text.split("fn command(").nth(1).unwrap().split("\n}").next().unwrap();
        for arm in arms.lines().filter_map(|line| line.trim().strip_prefix("[\"")) {
            let name = arm.split('"').next().unwrap();
            let listed = COMMANDS.iter().any(|(words, _)| words.split(' ').next() == Some(name));
            assert!(listed, "{name} is not in the table");
        }
    }

    #[test]
    fn an_unknown_command_is_named() {
        assert!(command(&["dance"]).unwrap_err().to_string().contains("dance"));
    }
}
