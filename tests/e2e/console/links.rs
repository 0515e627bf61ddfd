//! What nobody has asked for is not done: by a link, by old output, by letters that came early or a
//! ninth terminal.

use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::{Outcome, Trouble};

use super::{browser, perform, serve_console_at};

#[test]
fn a_link_and_old_output_do_nothing_by_themselves() -> Outcome {
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let shared = lab.directory().join("shared");
    std::fs::create_dir_all(&shared)?;
    let setup = DeviceSetup {
        name: Some("pump".into()),
        config: "sessions.max = 40".into(),
        ..DeviceSetup::default()
    };
    let device = lab.device_with(&setup)?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_links.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    command.env("TOWLINE_SHARED", &shared);
    perform(command, |what| Err(Trouble::new(format!("the browser asks for {what}"))))
}
