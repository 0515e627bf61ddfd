//! What a browser must not be tricked into, and what it may lack; and the headers of each page.

use towline_testkit::lab::Lab;
use towline_testkit::lab::programs::workspace;
use towline_testkit::{Outcome, Trouble};

use super::{browser, perform, serve_console_at};

#[test]
fn a_browser_is_not_tricked_and_works_with_little() -> Outcome {
    let mut lab = Lab::start()?;
    let origin = format!("https://{}", lab.gateway.address());
    serve_console_at(&mut lab, &origin)?;
    let device = lab.device()?;
    let mut command = browser(&lab)?;
    command.arg(workspace().join("tests/e2e/console/story_safety.js"));
    command.env("TOWLINE_ORIGIN", &origin).env("TOWLINE_DEVICE", device.id());
    perform(command, |what| Err(Trouble::new(format!("the browser asks for {what}"))))
}
