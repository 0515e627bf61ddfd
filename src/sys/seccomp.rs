//! Filters of system calls (seccomp(2)), as the kernel's classic BPF programs.
//!
//! Data flow: a list of calls -> instructions -> the kernel, for this process and until its end.
//!
//! # Invariants
//! - A filter is never taken back; a second one only takes away more.
//! - A call of another architecture ends the process: numbers mean something else there.
//!
//! # Not here
//! - Which calls a process needs: [`crate::separation`].

use super::calls;
use nix::libc::{self, c_long};

/// What a call needs to be let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// It is let through.
    Any(c_long),
    /// It is refused.
    Never(c_long),
    /// Its first argument is one of these two.
    First(c_long, [u32; 2]),
    /// Its third argument has none of these bits.
    ThirdWithout(c_long, u32),
}

/// What happens to all other calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// They fail with EPERM.
    Refused,
    /// They pass.
    Passes,
}

/// `AUDIT_ARCH_*` of linux/audit.h.
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xc000_003e)
} else if cfg!(target_arch = "aarch64") {
    Some(0xc000_00b7)
} else if cfg!(target_arch = "arm") {
    Some(0x4000_0028)
} else if cfg!(target_arch = "x86") {
    Some(0x4000_0003)
} else if cfg!(target_arch = "riscv64") {
    Some(0xc000_00f3)
} else {
    None
};

/// Places in `struct seccomp_data`: number, architecture, lower half of the arguments.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST: u32 = 16;
const THIRD: u32 = 32;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

const PASS: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

/// Installs a filter: what `rules` name passes under its conditions, `deadly` calls end the process, and
/// `rest` says what happens to all others. The process needs "no new privileges".
///
/// # Errors
/// The kernel has no such filters, or this architecture none of ours.
pub(crate) fn install(rules: &[Rule], deadly: &[c_long], rest: Rest) -> nix::Result<()> {
    let architecture = ARCHITECTURE.ok_or(nix::errno::Errno::ENOSYS)?;
    calls::filter_calls(&mut program(architecture, rules, deadly, rest))
}

fn program(
    architecture: u32,
    rules: &[Rule],
    deadly: &[c_long],
    rest: Rest,
) -> Vec<libc::sock_filter> {
    let step =
        |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let number = |call: c_long| u32::try_from(call).unwrap_or(u32::MAX);
    let mut steps = vec![
        step(LOAD, 0, 0, ARCH),
        step(EQUAL, 1, 0, architecture),
        step(RETURN, 0, 0, KILL),
        step(LOAD, 0, 0, NUMBER),
    ];
    for call in deadly {
        steps.extend([step(EQUAL, 0, 1, number(*call)), step(RETURN, 0, 0, KILL)]);
    }
    for rule in rules {
        match *rule {
            Rule::Any(call) => {
                steps.extend([step(EQUAL, 0, 1, number(call)), step(RETURN, 0, 0, PASS)]);
            }
            Rule::Never(call) => {
                steps.extend([step(EQUAL, 0, 1, number(call)), step(RETURN, 0, 0, REFUSE)]);
            }
            Rule::First(call, [one, other]) => steps.extend([
                step(EQUAL, 0, 5, number(call)),
                step(LOAD, 0, 0, FIRST),
                step(EQUAL, 1, 0, one),
                step(EQUAL, 0, 1, other),
                step(RETURN, 0, 0, PASS),
                step(RETURN, 0, 0, REFUSE),
            ]),
            Rule::ThirdWithout(call, bits) => steps.extend([
                step(EQUAL, 0, 4, number(call)),
                step(LOAD, 0, 0, THIRD),
                step(ANY_BIT, 1, 0, bits),
                step(RETURN, 0, 0, PASS),
                step(RETURN, 0, 0, REFUSE),
            ]),
        }
    }
    let last = match rest {
        Rest::Refused => REFUSE,
        Rest::Passes => PASS,
    };
    steps.push(step(RETURN, 0, 0, last));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: u32 = 7;

    /// What the program says of a call: a small machine for the instructions that are used.
    fn answer(program: &[libc::sock_filter], arch: u32, number: u32, arguments: [u32; 3]) -> u32 {
        let load = |at| match at {
            ARCH => arch,
            NUMBER => number,
            FIRST => arguments[0],
            THIRD => arguments[2],
            other => panic!("a load of {other}"),
        };
        let (mut at, mut held) = (0, 0);
        loop {
            let step = program[at];
            let jump = |yes: bool| usize::from(if yes { step.jt } else { step.jf });
            at += 1 + match u32::from(step.code) {
                LOAD => {
                    held = load(step.k);
                    0
                }
                EQUAL => jump(held == step.k),
                ANY_BIT => jump(held & step.k != 0),
                RETURN => return step.k,
                other => panic!("an instruction {other}"),
            };
        }
    }

    fn check(rest: Rest, call: u32, arguments: [u32; 3], expected: u32) {
        let rules = [
            Rule::Any(10),
            Rule::First(20, [2, 10]),
            Rule::ThirdWithout(30, 4),
            Rule::Any(40),
            Rule::Never(60),
        ];
        let program = program(HERE, &rules, &[50], rest);
        assert_eq!(answer(&program, HERE, call, arguments), expected, "{call} {arguments:?}");
        assert_eq!(answer(&program, HERE + 1, call, arguments), KILL, "another architecture");
    }

    #[test]
    fn each_rule_passes_its_own_call_under_its_condition_alone() {
        for (call, arguments, expected) in [
            (10, [0, 0, 0], PASS),
            (11, [0, 0, 0], REFUSE),
            (20, [2, 0, 0], PASS),
            (20, [10, 0, 0], PASS),
            (20, [1, 0, 0], REFUSE),
            (30, [0, 0, 3], PASS),
            (30, [0, 0, 7], REFUSE),
            (40, [9, 9, 9], PASS),
            (50, [0, 0, 0], KILL),
        ] {
            check(Rest::Refused, call, arguments, expected);
        }
        check(Rest::Passes, 11, [0, 0, 0], PASS);
        check(Rest::Passes, 60, [0, 0, 0], REFUSE);
        check(Rest::Passes, 50, [0, 0, 0], KILL);
        check(Rest::Passes, 20, [1, 0, 0], REFUSE);
    }
}
