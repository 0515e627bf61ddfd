//! A list of thousands of devices in the console.

use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, Trouble, fleet};

use super::{browser, perform, serve_console_at};

const DEVICES: usize = 6000;

#[test]
fn a_list_of_thousands_of_devices_is_shown_from_any_place() -> Outcome {
    let mut lab = Lab::start()?;
    lab.gateway.process().stop()?;
    fleet::store(&lab.gateway.directory().join("towline.db"), DEVICES)?;
    lab.gateway.start_again()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_lists.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICES", DEVICES.to_string());
    perform(command, |what| Err(Trouble::new(format!("the browser asks for {what}"))))
}
