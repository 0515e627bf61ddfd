//! Several shells in one page of the console: tabs and splits, each a session, that a reload and a
//! cut return to by position.

use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::relay::Relay;
use towline_testkit::{Outcome, Trouble};

use super::{browser, perform, serve_console_at};

#[test]
fn shells_in_tabs_and_splits_return_by_position_after_a_reload() -> Outcome {
    let mut lab = Lab::start()?;
    let relay = Relay::to(lab.gateway.address())?;
    let origin = format!("https://{}", relay.address());
    serve_console_at(&mut lab, &origin)?;
    let device = lab.device()?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_tabs.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    perform(command, |what| match what {
        "cut" => {
            relay.cut();
            Ok(())
        }
        other => Err(Trouble::new(format!("the browser asks for {other}"))),
    })
}
