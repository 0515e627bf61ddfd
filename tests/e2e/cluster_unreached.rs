//! What has to end at a gateway that the one which says so cannot reach, or did not ask: both reach
//! the database.

use serde_json::json;
use towline_testkit::lab::{Device, DeviceSetup, Operator};
use towline_testkit::relay::Relay;
use towline_testkit::terminal::Terminal;
use towline_testkit::text::Text;
use towline_testkit::trouble::ensure;
use towline_testkit::{Outcome, eventually};

use crate::cluster::{PATIENCE, Pair, exec};
use crate::echo::{echo, round_trip};

const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

/// Two gateways, a device at `b`, and the way on which `a` calls `b`.
struct Scene {
    pair: Pair,
    device: Device,
    way: Relay,
}

impl Scene {
    fn new() -> Outcome<Self> {
        let pair = Pair::start()?;
        let device = pair.device_at(&[pair.b_address])?;
        let way = Relay::to(pair.b_address)?;
        let lead = format!("update nodes set address = '{}' where name = 'b'", way.address());
        pair.server.psql("towline", &lead)?;
        eventually("a calls b on this way", PATIENCE, || {
            exec(&pair.admin_at(pair.a_address()), &device, "called").ok()?;
            (way.count().connections > 0).then_some(())
        })?;
        Ok(Self { pair, device, way })
    }

    fn user_at_b(&self, name: &str) -> Outcome<Operator> {
        let user = self.pair.lab.user(name, Some(ALL))?;
        Ok(user.at(format!("https://{}", self.pair.b_address)))
    }

    /// A shell at `b` that works.
    fn shell(&self, user: &Operator) -> Outcome<Terminal> {
        let mut shell = echo(user, &self.device)?;
        round_trip(&mut shell, &Text::new(88).take_bytes(1000), "before")?;
        Ok(shell)
    }

    /// The one session that the administrator has open.
    fn session(&self) -> Outcome<String> {
        let sql = "select id from sessions where ended_at is null and principal_name = 'admin'";
        eventually("one session is open", PATIENCE, || {
            let ids = self.pair.server.psql("towline", sql).ok()?;
            (!ids.is_empty() && !ids.contains('\n')).then_some(ids)
        })
    }
}

#[test]
fn a_removed_user_has_no_shell_left_at_a_gateway_that_does_not_answer() -> Outcome {
    let scene = Scene::new()?;
    let mut shell = scene.shell(&scene.user_at_b("ann")?)?;
    scene.way.hold(true);
    let body = json!({ "PrincipalName": "ann", "EndSessions": true });
    let removed = scene.pair.lab.admin().api("Towline.DeletePrincipal", &body)?;
    ensure(removed["EndedSessions"] == 1 && removed["LiveSessions"] == 0, || removed.to_string())?;
    shell.finish(PATIENCE).map(drop)?;
    scene.pair.nobody_lost_anything(0)
}

#[test]
fn a_removed_user_leaves_the_seats_at_another_gateway_also_when_it_hears_late() -> Outcome {
    let scene = Scene::new()?;
    let at_b = scene.pair.admin_at(scene.pair.b_address);
    for (name, is_held) in [("ann", false), ("bob", true)] {
        let user = scene.user_at_b(name)?;
        let mut owner = scene.shell(&at_b)?;
        let mut joiner = user.terminal(&["join", &scene.session()?])?;
        joiner.expect_within("this session is watched by", PATIENCE)?; // by its former user
        scene.way.hold(is_held);
        let body = json!({ "PrincipalName": name, "EndSessions": true });
        let removed = scene.pair.lab.admin().api("Towline.DeletePrincipal", &body)?;
        let seats = u64::from(!is_held); // those that were heard of
        ensure(removed["EndedSessions"] == seats, || format!("{name}: {removed}"))?;
        scene.way.hold(false);
        joiner.expect_within("your rights to this session were removed", PATIENCE)?;
        let open = scene.session()?;
        at_b.api("AmazonSSM.TerminateSession", &json!({ "SessionId": open }))?;
        owner.finish(PATIENCE).map(drop)?;
    }
    Ok(())
}

#[test]
fn a_removed_device_has_no_shell_left_at_a_gateway_that_does_not_answer() -> Outcome {
    let scene = Scene::new()?;
    let mut shell = scene.shell(&scene.pair.admin_at(scene.pair.b_address))?;
    scene.way.hold(true);
    let body = json!({ "InstanceId": scene.device.id() });
    let removed = scene.pair.lab.admin().api("AmazonSSM.DeregisterManagedInstance", &body)?;
    // By now b may have heard of it by the store.
    let left = removed["TowlineSessionsNotReached"].as_u64();
    ensure(left.is_some_and(|left| left <= 1), || removed.to_string())?;
    shell.finish(PATIENCE).map(drop)?;
    eventually("its link is over", PATIENCE, || {
        let links = scene.pair.server.psql("towline", "select count(*) from presence").ok()?;
        (links == "0").then_some(())
    })
}

#[test]
fn a_device_whose_key_is_revoked_has_no_shell_left_at_a_gateway_that_does_not_answer() -> Outcome {
    let scene = Scene::new()?;
    let mut shell = scene.shell(&scene.pair.admin_at(scene.pair.b_address))?;
    scene.way.hold(true);
    let body = json!({ "InstanceId": scene.device.id() });
    scene.pair.lab.admin().api("Towline.RevokeDeviceKey", &body)?;
    shell.finish(PATIENCE)?;
    eventually("its link is over", PATIENCE, || {
        let links = scene.pair.server.psql("towline", "select count(*) from presence").ok()?;
        (links == "0").then_some(())
    })
}

#[test]
fn a_device_whose_copy_comes_to_another_gateway_is_locked_out_at_its_own() -> Outcome {
    let scene = Scene::new()?;
    let mut shell = scene.shell(&scene.pair.admin_at(scene.pair.b_address))?;
    let config = format!("gateway.address = [\"{}\"]", scene.pair.a_address());
    let mut copy = scene.pair.lab.enrolled(&DeviceSetup { config, ..DeviceSetup::default() })?;
    for file in std::fs::read_dir(scene.device.state())? {
        let file = file?;
        std::fs::copy(file.path(), copy.state().join(file.file_name()))?;
    }
    copy.start()?;
    let states = "select count(*) from devices where status = 'quarantined'";
    eventually("the device is quarantined", PATIENCE, || {
        (scene.pair.server.psql("towline", states).ok()? == "1").then_some(())
    })?;
    shell.finish(PATIENCE).map(drop)
}
