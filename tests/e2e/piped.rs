//! Shells and commands with pipes and files in place of a person: where input ends, and what an
//! exit code says.

use std::io::Write;
use std::process::{Output, Stdio};
use std::time::Duration;

use towline_testkit::lab::{Device, Lab};
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, Trouble, eventually};

/// `towline shell` with this input from a pipe, to its end.
fn shell(lab: &Lab, device: &Device, input: &str) -> Outcome<Output> {
    let mut command = lab.admin().towline(&["shell", device.id()]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| Trouble::new("no stdin"))?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let ended = eventually("the shell ends with its input", Duration::from_secs(60), || {
        child.try_wait().ok().flatten()
    });
    if ended.is_err() {
        child.kill()?;
    }
    let out = child.wait_with_output()?;
    ended.map_err(|trouble| {
        Trouble::new(format!("{trouble}; {}", String::from_utf8_lossy(&out.stdout)))
    })?;
    Ok(out)
}

#[test]
fn a_shell_whose_input_has_ended_before_it_began_ends() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    for _ in 0..3 {
        let out = shell(&lab, &device, "")?;
        ensure(out.status.success(), || format!("{out:?}"))?;
    }
    Ok(())
}

#[test]
fn the_end_of_input_reaches_each_program_that_reads() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let out = shell(&lab, &device, "echo sum-$((6 * 7)); wc -c; sh -c 'cat; exit 5'\n")?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure(said.contains("sum-42") && out.status.code() == Some(5), || {
        format!("{}: {said}", out.status)
    })
}

#[test]
fn a_program_that_is_not_there_or_cannot_be_run_has_the_exit_code_of_a_shell() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    for (program, wanted) in [("/no/such/program", 127), ("/etc", 126)] {
        let out = lab.admin().run(&["exec", device.id(), "--", program])?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure(out.status.code() == Some(wanted), || format!("{program}: {}: {said}", out.status))?;
        ensure(said.contains(program), || said.clone())?;
    }
    Ok(())
}
