//! What a person typed or began in a form: it stays when her sign-in ends, goes with her, and means
//! the same when it is sent again.

use towline_testkit::lab::programs::workspace;
use towline_testkit::lab::{DeviceSetup, Lab};
use towline_testkit::relay::Relay;
use towline_testkit::{Outcome, Trouble, files};

use super::{browser, perform, serve_console_at};

/// Bytes of a file whose download takes a while.
const LARGE: usize = 96_000_000;

#[test]
fn what_was_typed_or_begun_is_neither_lost_nor_left_to_others() -> Outcome {
    let mut lab = Lab::start()?;
    let relay = Relay::to(lab.gateway.address())?;
    let origin = format!("https://{}", relay.address());
    serve_console_at(&mut lab, &origin)?;
    let device =
        lab.device_with(&DeviceSetup { name: Some("pump".into()), ..DeviceSetup::default() })?;
    let shared = lab.directory().join("shared");
    std::fs::create_dir_all(shared.join("blank "))?;
    std::fs::create_dir_all(shared.join("blank"))?;
    files::write(&shared.join("blank /behind"), "x")?;
    files::write(&shared.join("large.bin"), vec![7_u8; LARGE])?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_forms.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    command.env("TOWLINE_SHARED", &shared);
    perform(command, |what| match what {
        "cut" => {
            relay.cut();
            Ok(())
        }
        other => Err(Trouble::new(format!("the browser asks for {other}"))),
    })
}
