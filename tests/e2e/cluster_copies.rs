//! A directory of one of several gateways, with its key, on a second machine.

use std::path::Path;
use std::process::Command;

use towline_testkit::Outcome;
use towline_testkit::ports::free;
use towline_testkit::process::finish;
use towline_testkit::trouble::ensure;

use crate::cluster::{PATIENCE, Pair, exec, serve};

fn copy(from: &Path, to: &Path) -> Outcome {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[test]
fn a_copied_gateway_is_not_started_while_the_first_one_works() -> Outcome {
    let mut pair = Pair::start()?;
    let device = pair.device_at(&[pair.b_address])?;
    let home = pair.lab.directory().join("copy");
    copy(&pair.b_home, &home)?;
    let address = free()?;
    for _ in 0..2 {
        let mut second = Command::new(pair.lab.gateway.program());
        second.arg("serve").arg("--dir").arg(&home).args(["--listen", &address.to_string()]);
        let out = finish(second, PATIENCE)?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure(!out.status.success(), || "the copy works".into())?;
        ensure(said.contains("node.key") && said.contains("copied"), || said.clone())?;
        exec(&pair.admin_at(pair.b_address), &device, "goes on")?;
    }
    ensure(pair.node("b")?["Generation"] == 1, || format!("{:?}", pair.node("b")))?;
    // The first one is gone for good: the copy takes its place at once.
    pair.b.kill()?;
    pair.b = serve(&pair.lab, &home, pair.b_address)?;
    device.wait_online(&pair.admin_at(pair.b_address))?;
    exec(&pair.admin_at(pair.b_address), &device, "at the copy")
}
