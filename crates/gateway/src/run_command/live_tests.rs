//! Stories of commands: who gets them when, what is counted, and how they end.

use towline_host::clock::UnixMillis;
use towline_ssm::api::command::CommandStatus;
use towline_ssm::command_document::{After, Interpreter, Plan, PlannedStep};
use towline_store::{InvocationChange, InvocationRow, NewCommand, SentCommand};
use towline_wire::message::{AND_LATER, ExitStatus};

use super::live::{Facts, Live};
use super::step::{End, StepState};

const BOOT: [u8; 16] = [1; 16];
const NOW: UnixMillis = UnixMillis(1_000);
const DELIVER_BY: UnixMillis = UnixMillis(10_000);
const EXPIRES_AT: UnixMillis = UnixMillis(20_000);

fn plan(steps: usize) -> Plan {
    let step = |at: usize| PlannedStep {
        skipped: None,
        interpreter: Interpreter::Shell,
        only_on: None,
        name: format!("step{at}"),
        folder: format!("awsrunShellScript/step{at}"),
        script: "true\n".into(),
        working_directory: String::new(),
        timeout: 10,
        on_success: After::Continue,
        on_failure: After::Exit,
        finally: false,
    };
    Plan { steps: (0..steps).map(step).collect() }
}

fn row(concurrency: &str, errors: &str) -> SentCommand {
    SentCommand {
        new: NewCommand {
            id: "c".into(),
            document: "D".into(),
            document_version: "1".into(),
            comment: String::new(),
            parameters: "{}".into(),
            instance_ids: "[]".into(),
            targets: "[]".into(),
            principal_arn: "arn".into(),
            person_id: String::new(),
            run_as: String::new(),
            max_concurrency: concurrency.into(),
            max_errors: errors.into(),
            plan: String::new(),
            output: String::new(),
            timeout_s: 9,
            requested_at: NOW,
            deliver_by: DELIVER_BY,
            expires_at: EXPIRES_AT,
        },
        status: "Pending".into(),
        details: "Pending".into(),
        targets: 0,
        completed: 0,
        errors: 0,
        undelivered: 0,
    }
}

fn invocation(device: &str, steps: usize) -> InvocationRow {
    InvocationRow {
        command: "c".into(),
        device: device.into(),
        requested_at: NOW,
        status: "Pending".into(),
        details: "Pending".into(),
        reason: String::new(),
        step: 0,
        given_to: vec![],
        steps: serde_json::to_string(&vec![StepState::default(); steps]).unwrap(),
        node: String::new(),
        active: false,
        cancelled: false,
        doubted: false,
        ended: false,
    }
}

fn live(devices: usize, concurrency: &str, errors: &str, steps: usize) -> Live {
    let facts = Facts {
        id: "c".into(),
        plan: plan(steps),
        principal: "arn".into(),
        document: "D".into(),
        run_as: None,
        prefix: String::new(),
        log_group: None,
        deliver_by: DELIVER_BY,
        expires_at: EXPIRES_AT,
    };
    let rows = (0..devices).map(|n| invocation(&format!("mi-{n:02}"), steps)).collect();
    Live::new(&row(concurrency, errors), facts, rows, None)
}

/// Gives the command to as many as may have it now.
fn give(live: &mut Live) -> Vec<String> {
    let mut given = Vec::new();
    for _ in 0..live.room() {
        let Some(device) = live.next(|_| true) else { break };
        assert!(live.give(&device, BOOT, NOW).is_some());
        given.push(device);
    }
    given
}

fn end(live: &mut Live, device: &str, code: u8) -> (InvocationChange, bool) {
    let (change, follows) = live.ended(
        device,
        &End::Exited(ExitStatus::Code(code)),
        towline_wire::lane::Lanes::default(),
        None,
        NOW,
    );
    (change.unwrap(), follows)
}

fn standing(live: &Live) -> (String, String) {
    let standing = live.standing();
    (standing.status, standing.details)
}

#[track_caller]
fn is(live: &Live, status: &str, details: &str) {
    assert_eq!(standing(live), (status.to_owned(), details.to_owned()));
}

#[test]
fn at_most_so_many_devices_have_it_at_once() {
    let mut live = live(20, "10%", "0", 1);
    is(&live, "Pending", "Pending");
    assert_eq!(give(&mut live).len(), 2);
    assert!(give(&mut live).is_empty());
    is(&live, "InProgress", "InProgress");
    end(&mut live, "mi-00", 0);
    assert_eq!(give(&mut live), ["mi-02"]);
}

#[test]
fn a_device_that_is_lost_keeps_nobody_else_waiting() {
    let mut live = live(3, "1", "0", 1);
    assert_eq!(give(&mut live), ["mi-00"]);
    let change = live.set_active("mi-00", false).unwrap();
    assert_eq!(change.status, "Delayed", "nobody knows whether it began");
    assert_eq!(give(&mut live), ["mi-01"]);
    let change = live.set_active("mi-00", true).unwrap();
    assert_eq!(change.status, "InProgress");
    assert!(
        live.set_active("mi-00", false).is_none(),
        "it runs: that its link is lost again changes nothing to be seen"
    );
}

#[test]
fn devices_that_are_away_get_it_when_they_come() {
    let mut live = live(2, "50", "0", 1);
    assert_eq!(live.next(|device| device == "mi-01").as_deref(), Some("mi-01"));
    live.give("mi-01", BOOT, NOW).unwrap();
    assert_eq!(live.next(|_| true), None);
    assert!(live.arrived("mi-00") && !live.arrived("mi-01"));
    assert_eq!(live.next(|_| true).as_deref(), Some("mi-00"));
}

#[test]
fn more_errors_than_allowed_stop_it_for_those_who_wait() {
    let mut live = live(5, "2", "1", 1);
    give(&mut live);
    end(&mut live, "mi-00", 1);
    assert_eq!(give(&mut live), ["mi-02"], "one error is allowed");
    end(&mut live, "mi-01", 1);
    assert!(give(&mut live).is_empty());
    let given_up = live.overdue(NOW);
    assert_eq!(given_up.len(), 2);
    assert!(
        given_up
            .iter()
            .all(|change| change.status == "Cancelled" && change.details == "Terminated")
    );
    end(&mut live, "mi-02", 0);
    is(&live, "Failed", "Failed");
    assert_eq!((live.standing().completed, live.standing().errors), (5, 2));
}

#[test]
fn a_device_that_was_not_there_in_time_is_told_apart_from_failures() {
    let mut live = live(2, "50", "1", 1);
    assert_eq!(give(&mut live).len(), 2);
    end(&mut live, "mi-00", 0);
    live.back_to_queue("mi-01", true).unwrap();
    assert!(live.overdue(UnixMillis(DELIVER_BY.0 - 1)).is_empty());
    let late = live.overdue(DELIVER_BY).remove(0);
    assert_eq!((late.status.as_str(), late.details.as_str()), ("TimedOut", "DeliveryTimedOut"));
    assert!(late.reason.contains("may have begun"), "{}", late.reason);
    is(&live, "Failed", "Incomplete");
    assert_eq!(
        (live.standing().errors, live.standing().undelivered, live.standing().ended),
        (0, 1, true)
    );
}

#[test]
fn a_cancelled_command_ends_at_once_where_it_waits_and_by_its_task_where_it_runs() {
    let mut live = live(2, "1", "0", 1);
    give(&mut live);
    live.cancel_all();
    is(&live, "Cancelling", "Cancelling");
    let (waited, running) = live.cancel("mi-01").unwrap();
    assert_eq!((waited.status.as_str(), running), ("Cancelled", false));
    let (runs, running) = live.cancel("mi-00").unwrap();
    assert_eq!((runs.status.as_str(), running), ("Cancelling", true));
    live.ended("mi-00", &End::Cancelled, towline_wire::lane::Lanes::default(), None, NOW);
    is(&live, "Cancelled", "Cancelled");
    assert!(live.cancel("mi-00").is_none());
}

#[test]
fn steps_follow_each_other_on_a_device_and_a_failed_one_ends_the_document() {
    let mut live = live(1, "1", "0", 2);
    give(&mut live);
    let (change, follows) = end(&mut live, "mi-00", 0);
    assert!(
        follows && change.step == 1 && change.status == "InProgress" && change.given_to.is_empty()
    );
    assert_eq!(give(&mut live), ["mi-00"]);
    let (change, follows) = end(&mut live, "mi-00", 3);
    assert!(!follows && change.ended && change.status == "Failed");
    is(&live, "Failed", "Failed");
}

#[test]
fn all_that_is_stored_is_taken_up_again_after_a_restart() {
    let mut first = live(3, "1", "0", 1);
    give(&mut first);
    let given = first.set_active("mi-00", false).unwrap();
    let mut rows: Vec<_> = (0..3).map(|n| invocation(&format!("mi-{n:02}"), 1)).collect();
    (rows[0].status, rows[0].given_to) = (given.status, given.given_to);
    (rows[1].status, rows[1].ended) = ("Success".into(), true);
    let facts = Facts { id: "c".into(), ..facts_like(&first) };
    let mut second = Live::new(&row("1", "0"), facts, rows, None);
    assert_eq!(second.invocations["mi-00"].given_to, [BOOT]);
    second.awaited("mi-00");
    assert_eq!(
        give(&mut second),
        ["mi-02"],
        "what is awaited takes nobody's place, and is given to nobody"
    );
    end(&mut second, "mi-00", 0);
    end(&mut second, "mi-02", 0);
    is(&second, CommandStatus::Success.as_str(), "Success");
}

#[test]
fn a_device_whose_agent_dies_with_each_order_is_given_up() {
    let mut live = live(1, "1", "0", 1);
    for boot in 0..4 {
        assert_eq!(live.next(|_| true).as_deref(), Some("mi-00"));
        assert!(live.give("mi-00", [boot; 16], NOW).is_some());
        live.back_to_queue("mi-00", true).unwrap();
    }
    assert!(live.give("mi-00", [9; 16], NOW).is_none());
}

fn facts_like(live: &Live) -> Facts {
    Facts {
        id: live.facts.id.clone(),
        plan: live.facts.plan.clone(),
        principal: live.facts.principal.clone(),
        document: live.facts.document.clone(),
        run_as: None,
        prefix: String::new(),
        log_group: None,
        deliver_by: DELIVER_BY,
        expires_at: EXPIRES_AT,
    }
}

#[test]
fn a_doubted_step_is_given_to_no_device_and_goes_on_only_where_it_is_held() {
    let doubted = |device: &str| InvocationRow { doubted: true, ..invocation(device, 2) };
    let mut live = live(3, "50", "2", 2);
    live.remove("mi-00");
    live.remove("mi-01");
    live.insert(doubted("mi-00"), None);
    live.insert(InvocationRow { given_to: vec![BOOT], ..doubted("mi-01") }, None);
    live.awaited("mi-01");
    // One is not held anywhere, and its device comes.
    assert!(live.give("mi-00", [2; 16], NOW).is_none());
    let over = live.end_doubted();
    assert_eq!(over.len(), 1);
    assert!(over[0].device == "mi-00" && over[0].ended && over[0].status == "TimedOut");
    assert!(over[0].reason.contains("is not known"), "{}", over[0].reason);
    // The other one is held: its end is known, and so is what follows.
    let (change, goes_on) = end(&mut live, "mi-01", 0);
    assert!(goes_on && !change.doubted);
    assert!(live.give("mi-01", BOOT, NOW).is_some());
    assert!(live.end_doubted().is_empty());
}

#[test]
fn a_doubted_step_whose_device_does_not_hold_it_has_ended() {
    let mut live = live(2, "50", "2", 1);
    live.remove("mi-00");
    let row = InvocationRow { doubted: true, given_to: vec![BOOT], ..invocation("mi-00", 1) };
    live.insert(row, None);
    live.awaited("mi-00");
    assert!(live.end_doubted().is_empty(), "a task waits for what its device says");
    live.back_to_queue("mi-00", true);
    let over = live.end_doubted();
    assert!(over.len() == 1 && over[0].device == "mi-00" && over[0].ended, "{over:?}");
}

#[test]
fn a_step_that_nobody_had_as_far_as_is_known_is_given_with_the_question_to_the_journal() {
    let question = vec![BOOT, AND_LATER];
    let row = |device: &str| InvocationRow {
        doubted: true,
        given_to: question.clone(),
        ..invocation(device, 1)
    };
    let mut live = live(3, "50", "3", 1);
    for device in ["mi-00", "mi-01", "mi-02"] {
        live.remove(device);
        live.insert(row(device), None);
    }
    assert!(live.end_doubted().is_empty(), "their journals tell");
    let given = live.give("mi-00", BOOT, NOW).unwrap();
    assert!(!given.doubted && !given.ended);
    assert_eq!(given.given_to, [BOOT, AND_LATER, BOOT], "a second order asks the same");
    assert_eq!(end(&mut live, "mi-00", 0).0.status, "Success");
    live.give("mi-01", [2; 16], NOW).unwrap();
    let had = live.had_before("mi-01").unwrap();
    assert!(had.ended && had.status == "TimedOut" && had.reason.contains("is not known"));
    let late = live.overdue(DELIVER_BY);
    assert!(late.len() == 1 && late[0].device == "mi-02" && late[0].reason.contains("not known"));
}

#[test]
fn a_step_that_no_database_has_lost_is_not_taken_for_one_of_the_lost_time() {
    let mut live = live(1, "50", "2", 1);
    live.give("mi-00", BOOT, NOW).unwrap();
    assert!(live.had_before("mi-00").is_none());
}

#[test]
fn a_step_in_doubt_that_no_node_carries_waits_at_each_node_for_its_device() {
    let mut live = live(1, "50", "2", 1);
    live.remove("mi-00");
    let row =
        InvocationRow { doubted: true, given_to: vec![BOOT, AND_LATER], ..invocation("mi-00", 1) };
    live.insert(row.clone(), Some("a"));
    assert_eq!(live.next(|_| true).as_deref(), Some("mi-00"));
    live.claimed(InvocationRow { node: "a".into(), active: true, ..row }, "a");
    assert!(live.give("mi-00", [2; 16], NOW).is_some());
}
