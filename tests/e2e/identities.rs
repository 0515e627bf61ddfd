//! Who somebody is: persons behind roles, names that are given again, changes at the same time, and
//! the last administrator. The attacks are in `python/identities.py`, with real boto3.

use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::machine::SCRIPT;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, process};

#[test]
fn identities_are_not_names() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let mut command = lab.admin().python();
    command
        .arg(workspace().join("tests/e2e/python/identities.py"))
        .env("TOWLINE_DEVICE", device.id());
    let out = process::finish(command, SCRIPT)?;
    let said = String::from_utf8_lossy(&out.stdout);
    ensure(out.status.success(), || format!("{said}\n{}", String::from_utf8_lossy(&out.stderr)))
}
