//! `towline cp`: files and folders, whole or not at all, gone on with after a break, and nowhere
//! else than asked for.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use towline_testkit::lab::{Device, Lab};
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, Trouble, eventually, files};

use super::{PATIENCE, pattern};

fn cp(lab: &Lab, words: &[&str]) -> Outcome<std::process::Output> {
    lab.admin().run(&[&["cp"], words].concat())
}

fn cp_well(lab: &Lab, words: &[&str]) -> Outcome {
    let out = cp(lab, words)?;
    ensure(out.status.success(), || format!("cp {words:?}: {out:?}"))
}

fn on(device: &Device, path: &Path) -> String {
    format!("{}:{}", device.id(), path.display())
}

fn same(a: &Path, b: &Path) -> Outcome {
    let same = Command::new("diff").arg("-r").args([a, b]).output()?;
    ensure(same.status.success(), || String::from_utf8_lossy(&same.stdout).into_owned())
}

#[test]
fn a_file_goes_there_and_back_with_its_content_and_its_mode() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let at = |name: &str| lab.directory().join(name);
    for (n, size) in [0, 1, 70_000, 5_000_000].into_iter().enumerate() {
        let (here, there, back) =
            (at(&format!("here-{n}")), at(&format!("there-{n}")), at(&format!("back-{n}")));
        files::write(&here, pattern(11, size))?;
        std::fs::set_permissions(&here, std::fs::Permissions::from_mode(0o751))?;
        cp_well(&lab, &[&here.display().to_string(), &on(&device, &there)])?;
        cp_well(&lab, &[&on(&device, &there), &back.display().to_string()])?;
        same(&here, &there)?;
        same(&here, &back)?;
        let mode = std::fs::metadata(&back)?.permissions().mode() & 0o777;
        ensure(mode == 0o751, || format!("{mode:o}"))?;
    }
    let left: Vec<_> =
        std::fs::read_dir(lab.directory())?.flatten().map(|entry| entry.file_name()).collect();
    ensure(!left.iter().any(|name| name.to_string_lossy().contains("part")), || {
        format!("{left:?}")
    })?;
    let trail = lab.admin().text(&["-o", "json", "audit"])?;
    ensure(trail.contains("writes") && trail.contains(&at("there-1").display().to_string()), || {
        trail
    })
}

#[test]
fn a_folder_goes_there_and_back_and_what_is_no_file_is_left_out_with_a_word() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let tree = lab.directory().join("tree");
    std::fs::create_dir_all(tree.join("a/b c/ü"))?;
    for n in 0..30 {
        files::write(&tree.join(format!("a/b c/ü/file {n}")), pattern(n, 3_000))?;
    }
    let (there, back) = (lab.directory().join("there"), lab.directory().join("back"));
    let source = tree.display().to_string();
    let out = cp(&lab, &[&source, &on(&device, &there)])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(out.status.code() == Some(252) && said.contains("--recursive"), || format!("{out:?}"))?;
    cp_well(&lab, &["-r", &source, &on(&device, &there)])?;
    same(&tree, &there)?;
    // A second time it goes into the folder, under its own name.
    cp_well(&lab, &["-r", &source, &on(&device, &there)])?;
    same(&tree, &there.join("tree"))?;
    std::os::unix::fs::symlink("/etc/passwd", there.join("link"))?;
    let out = cp(&lab, &["-r", &on(&device, &there), &back.display().to_string()])?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure(
        out.status.code() == Some(249) && said.contains("link: not a file or directory"),
        || format!("{out:?}"),
    )?;
    ensure(!back.join("link").exists(), || "a link was followed".into())?;
    same(&tree, &back.join("tree"))
}

#[test]
fn a_copy_that_was_broken_off_is_gone_on_with() -> Outcome {
    const SIZE: usize = 12_000_000;
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (here, there) = (lab.directory().join("here"), lab.directory().join("there"));
    files::write(&here, pattern(12, SIZE))?;
    let (source, target) = (here.display().to_string(), on(&device, &there));
    let part = || -> Option<u64> {
        let all = std::fs::read_dir(lab.directory()).ok()?.flatten();
        all.filter(|entry| entry.file_name().to_string_lossy().ends_with("part"))
            .find_map(|e| Some(e.metadata().ok()?.len()))
    };
    let start = |words: [&str; 3]| lab.admin().towline(&words).stdin(Stdio::null()).spawn();
    for words in [["cp", &source, &target], ["cp", &target, &source]] {
        // The second time from the device: what was here is gone.
        if words[1] == target {
            std::fs::remove_file(&here)?;
        }
        device.relay.delay(std::time::Duration::from_millis(20));
        let mut broken = start(words)?;
        let begun =
            eventually("the copy has begun", PATIENCE, || part().filter(|&size| size > 1_000_000));
        broken.kill()?;
        broken.wait()?;
        begun?;
        device.relay.delay(std::time::Duration::ZERO);
        pause(std::time::Duration::from_millis(50));
        let have = part().ok_or_else(|| Trouble::new("nothing is left of the broken copy"))?;
        ensure(have < SIZE as u64, || "it was not broken off".into())?;
        let before = moved(&device)?;
        cp_well(&lab, &words[1..])?;
        let moved = moved(&device)? - before;
        ensure(moved < SIZE as u64 - have / 2, || {
            format!("{have} bytes were there, and {moved} moved")
        })?;
        ensure(part().is_none(), || "a part is left".into())?;
    }
    ensure(std::fs::read(&here)? == pattern(12, SIZE), || "it came back as something else".into())
}

/// Bytes through the device's relay so far, both ways.
fn moved(device: &Device) -> Outcome<u64> {
    let count = device.relay.count();
    Ok(count.up + count.down)
}

#[test]
fn a_link_that_is_cut_in_the_middle_is_no_break() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let (here, there) = (lab.directory().join("here"), lab.directory().join("there"));
    files::write(&here, pattern(13, 20_000_000))?;
    device.relay.cut_after(4_000_000);
    cp_well(&lab, &[&here.display().to_string(), &on(&device, &there)])?;
    same(&here, &there)
}

#[test]
fn what_cannot_be_copied_is_reported_and_nothing_is_left() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let here = lab.directory().join("here");
    files::write(&here, "content")?;
    let source = here.display().to_string();
    for (words, code, word) in [
        ([source.as_str(), "no/such/device/./x"], 252, "DEVICE:PATH"),
        (["/no/such/file", &format!("{}:/tmp/x", device.id())], 249, "No such file"),
        ([&source, &format!("{}:/no/such/folder/x", device.id())], 250, "No such file"),
        ([&format!("{}:/no/such/file", device.id()), "x"], 250, "no such file"),
        ([&format!("{}:/etc", device.id()), "x"], 250, "--recursive"),
        ([&format!("{}:/dev/null", device.id()), "x"], 250, "not a file or directory"),
        ([&source, &format!("{}:/proc/cpuinfo", device.id())], 250, "on the device"),
    ] {
        let out = cp(&lab, &words)?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure(out.status.code() == Some(code) && said.contains(word), || {
            format!("{words:?}: {out:?}")
        })?;
    }
    Ok(())
}

#[test]
fn a_copy_touches_nothing_but_the_place_that_was_granted() -> Outcome {
    let lab = Lab::start()?;
    let device = lab.device()?;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ssm:StartSession",
        "Resource":["arn:aws:ssm:*:*:managed-instance/*","arn:aws:ssm:*:*:document/AWS-StartSSHSession"]}]}"#;
    let ann = lab.user("ann", Some(policy))?;
    let out = ann.run(&["cp", &format!("{}:/etc/passwd", device.id()), "x"])?;
    ensure(out.status.code() == Some(254), || format!("a copy is a right of its own: {out:?}"))?;
    // The device's end itself, as a hostile operator's program would use it.
    let mut end = Command::new(&lab.programs.agent);
    let mut end = end
        .args(["serve-copy", "get", "--", "/etc"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let asked = [
        towline_wire::copy::Ask::Look("/etc/../root".into()),
        towline_wire::copy::Ask::Read { path: "/etcetera".into(), offset: 0 },
        towline_wire::copy::Ask::Write { path: "/etc/x".into(), mode: 0, size: 0, mark: [0; 8] },
    ];
    let mut bytes = Vec::new();
    for ask in &asked {
        let body = towline_wire::message::encode(ask)?;
        towline_wire::frame::Frame::Control(&body).encode(&mut bytes)?;
    }
    std::io::Write::write_all(
        &mut end.stdin.take().ok_or_else(|| Trouble::new("no stdin"))?,
        &bytes,
    )?;
    let out = end.wait_with_output()?;
    let refused = String::from_utf8_lossy(&out.stdout)
        .matches("the grant of this session does not cover this")
        .count();
    ensure(refused == asked.len(), || format!("{refused} of {} were refused", asked.len()))
}
