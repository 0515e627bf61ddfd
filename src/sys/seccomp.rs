//! Filters of system calls (seccomp(2)), as the kernel's classic BPF programs.
//!
//! Data flow: a list of calls -> instructions -> the kernel, for this process and until its end.
//!
//! # Invariants
//! - A filter is never taken back; a second one only takes away more.
//! - A call of another architecture ends the process: numbers mean something else there. So does a
//!   call of x86_64's second table (x32), whose numbers no rule names.
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
    /// It is let through where all of these hold, else refused.
    When(c_long, &'static [Condition]),
}

/// What an argument of a call has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Which argument; 0 is the first. Its lower half counts, as for the kernel, where it is an
    /// `int`.
    pub(crate) argument: u32,
    /// Only these bits of it count.
    pub(crate) bits: u32,
    /// They are one of these.
    pub(crate) among: &'static [u32],
}

impl Condition {
    /// The whole argument is one of these.
    pub(crate) const fn is(argument: u32, among: &'static [u32]) -> Self {
        Self { argument, bits: u32::MAX, among }
    }
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

/// Places in `struct seccomp_data`: number, architecture, and the lower half of the first of the
/// arguments, which have eight bytes each. All architectures of [`ARCHITECTURE`] are little-endian.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Numbers from here on are of the table x32, which some kernels for x86_64 have as well.
const X32: u32 = 0x4000_0000;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const KEEP_BITS: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

const PASS: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

/// Installs a filter: what `rules` name passes under its conditions, `deadly` calls end the
/// process, and `rest` says what happens to all others. The process needs "no new privileges".
///
/// # Errors
/// The kernel has no such filters, or this architecture none of ours.
pub(crate) fn install(rules: &[Rule], deadly: &[c_long], rest: Rest) -> nix::Result<()> {
    let architecture = ARCHITECTURE.ok_or(nix::errno::Errno::ENOSYS)?;
    calls::filter_calls(&mut program(architecture, rules, deadly, rest))
}

fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

fn program(
    architecture: u32,
    rules: &[Rule],
    deadly: &[c_long],
    rest: Rest,
) -> Vec<libc::sock_filter> {
    let mut steps = vec![
        step(LOAD, 0, 0, ARCH),
        step(EQUAL, 1, 0, architecture),
        step(RETURN, 0, 0, KILL),
        step(LOAD, 0, 0, NUMBER),
    ];
    if cfg!(target_arch = "x86_64") {
        steps.extend([step(AT_LEAST, 0, 1, X32), step(RETURN, 0, 0, KILL)]);
    }
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
            Rule::When(call, conditions) => {
                let judged = judged(conditions);
                steps.push(step(EQUAL, 0, judged.len() as u8, number(call)));
                steps.extend(judged);
            }
        }
    }
    let last = match rest {
        Rest::Refused => REFUSE,
        Rest::Passes => PASS,
    };
    steps.push(step(RETURN, 0, 0, last));
    steps
}

/// One call under its conditions, which are few: a jump reaches over all of them.
fn judged(conditions: &[Condition]) -> Vec<libc::sock_filter> {
    let mut steps = Vec::new();
    for Condition { argument, bits, among } in conditions {
        steps.extend([step(LOAD, 0, 0, ARGUMENTS + 8 * argument), step(KEEP_BITS, 0, 0, *bits)]);
        for (at, value) in among.iter().enumerate() {
            // Over the other values, and the refusal behind them.
            steps.push(step(EQUAL, (among.len() - at) as u8, 0, *value));
        }
        steps.push(step(RETURN, 0, 0, REFUSE));
    }
    steps.push(step(RETURN, 0, 0, PASS));
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
            ARGUMENTS => arguments[0],
            24 => arguments[1],
            32 => arguments[2],
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
                AT_LEAST => jump(held >= step.k),
                KEEP_BITS => {
                    held &= step.k;
                    0
                }
                RETURN => return step.k,
                other => panic!("an instruction {other}"),
            };
        }
    }

    const TCP: &[Condition] = &[
        Condition::is(0, &[2, 10]),
        Condition { argument: 1, bits: 0xf, among: &[1] },
        Condition::is(2, &[0, 6]),
    ];

    fn check(rest: Rest, call: u32, arguments: [u32; 3], expected: u32) {
        let rules = [
            Rule::Any(10),
            Rule::When(20, const { &[Condition::is(0, &[2, 10])] }),
            Rule::When(30, &[Condition { argument: 2, bits: 4, among: &[0] }]),
            Rule::When(35, TCP),
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
            (35, [2, 0x8_0001, 6], PASS),
            (35, [10, 1, 0], PASS),
            (35, [1, 1, 0], REFUSE),
            (35, [2, 2, 0], REFUSE),
            (35, [2, 1, 132], REFUSE),
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

    /// Behind a filter that lets all but some calls pass, their x32 numbers would be a way around
    /// it.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_call_by_its_number_of_x32_ends_the_process() {
        for rest in [Rest::Refused, Rest::Passes] {
            check(rest, X32 + 10, [0; 3], KILL);
            check(rest, X32 + 520, [0; 3], KILL);
        }
    }
}
