//! A fleet: many simulated devices, each with a key, a TLS link and the real wire, take one command
//! of the real gateway.
//!
//! And a larger one, without enrollment, that returns after the gateway was killed. Thousands:
//! `cargo xtask fleet`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use towline_testkit::fleet;
use towline_testkit::lab::{Activation, Lab};
use towline_testkit::trouble::{ensure, pause};
use towline_testkit::{Outcome, Trouble, eventually};
use towline_wire::frame::Frame;
use towline_wire::lane::Lanes;
use towline_wire::message::{ExitStatus, FromAgent, Launch, Open, ToAgent, decode, encode};

use crate::peers::agent::{self, AgentLine};
use crate::peers::line::Heard;

/// Devices that enroll.
const FEW: usize = 40;
/// Devices that return.
const MANY: usize = 300;
/// How long they may take.
const RETURN: Duration = Duration::from_secs(90);
/// How long a device takes for the script.
const WORK: Duration = Duration::from_millis(20);
/// What each prints.
const OUTPUT: &[u8] = b"Linux simulated 6.1.0 #1 SMP PREEMPT armv7l GNU/Linux\n";

/// What the devices know together.
#[derive(Default)]
struct Ledger {
    starts: Mutex<HashMap<String, usize>>,
    running: AtomicUsize,
    most: AtomicUsize,
    stop: AtomicBool,
}

fn say(line: &mut AgentLine, message: &FromAgent) -> Outcome {
    line.send(&Frame::Control(&encode(message)?))
}

/// Enrolls a device and greets with it; gives its line and its id.
fn join(lab: &Lab, activation: &Activation) -> Outcome<(AgentLine, String)> {
    let key = agent::fresh_key()?;
    let mut line = agent::connect(lab, &key, None)?;
    agent::ask_to_enroll(&mut line, activation)?;
    let ToAgent::Enrolled { device, .. } = agent::answer(&mut line)? else {
        return Err(Trouble::new("not enrolled"));
    };
    let mut line = agent::connect(lab, &key, None)?;
    agent::say_hello(&mut line, &device)?;
    let ToAgent::Welcome(_) = agent::answer(&mut line)? else {
        return Err(Trouble::new("not welcome"));
    };
    say(&mut line, &FromAgent::HeldEnd)?;
    Ok((line, device))
}

/// Does what an agent does with scripts, one at a time.
fn serve(mut line: AgentLine, device: &str, ledger: &Ledger) -> Outcome {
    let mut order: Option<(Open, usize)> = None;
    while !ledger.stop.load(Ordering::Relaxed) {
        let heard = match line.hear() {
            Ok(Heard::End) => return Ok(()),
            Ok(heard) => heard,
            Err(_) => continue, // nothing said for a while
        };
        match heard {
            Heard::Control(body) => match decode(&body)? {
                ToAgent::Open(open) => {
                    let Launch::Script(script) = decode(&open.launch)? else {
                        return Err(Trouble::new("not a script"));
                    };
                    order = Some((open, script.length as usize));
                }
                ToAgent::Attach { session, attachment, .. } => {
                    let (input, room) = (0, 0);
                    say(
                        &mut line,
                        &FromAgent::Attached {
                            session,
                            attachment,
                            output: Lanes::default(),
                            input,
                            room,
                        },
                    )?;
                    if let Some((open, _)) = order.take() {
                        work(&mut line, &open, ledger)?;
                    }
                }
                _ => {}
            },
            Heard::Data(bytes) => {
                if let Some((open, left)) = order.as_mut() {
                    *left = left.saturating_sub(bytes.len());
                    if *left == 0 {
                        let mut starts =
                            ledger.starts.lock().unwrap_or_else(PoisonError::into_inner);
                        *starts.entry(device.to_owned()).or_default() += 1;
                        drop(starts);
                        let running = ledger.running.fetch_add(1, Ordering::SeqCst) + 1;
                        ledger.most.fetch_max(running, Ordering::SeqCst);
                        let session = open.session.clone();
                        say(&mut line, &FromAgent::Opened { session })?;
                    }
                }
            }
            Heard::Version(..) | Heard::Pong | Heard::Other | Heard::End => {}
        }
    }
    Ok(())
}

fn work(line: &mut AgentLine, open: &Open, ledger: &Ledger) -> Outcome {
    pause(WORK);
    let (io, err) = (open.io, open.err.unwrap_or(0));
    line.send(&Frame::Data { stream: io, offset: 0, data: OUTPUT })?;
    line.send(&Frame::Fin { stream: io, length: OUTPUT.len() as u64 })?;
    line.send(&Frame::Fin { stream: err, length: 0 })?;
    ledger.running.fetch_sub(1, Ordering::SeqCst);
    say(line, &FromAgent::Exited { session: open.session.clone(), status: ExitStatus::Code(0) })
}

/// Resident memory of the gateway, KiB.
fn resident(lab: &mut Lab) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", lab.gateway.process().pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
    number.ok_or_else(|| Trouble::new("no VmRSS"))
}

fn connect_all(
    lab: &Lab,
    devices: usize,
    ledger: &Arc<Ledger>,
) -> Outcome<Vec<thread::JoinHandle<()>>> {
    let mut serving = Vec::with_capacity(devices);
    // An activation lets in 1000 devices at most.
    let activations =
        (0..devices.div_ceil(1000)).map(|_| lab.activation(1000)).collect::<Outcome<Vec<_>>>()?;
    for n in 0..devices {
        let (line, id) = join(lab, &activations[n / 1000])?;
        let ledger = Arc::clone(ledger);
        let serve = move || {
            if let Err(trouble) = serve(line, &id, &ledger) {
                eprintln!("device {id}: {trouble}");
            }
        };
        serving.push(thread::Builder::new().stack_size(512 * 1024).spawn(serve)?);
    }
    Ok(serving)
}

#[test]
fn a_fleet_takes_one_command_a_tenth_at_a_time_and_no_invocation_is_lost_or_doubled() -> Outcome {
    let devices = FEW;
    let mut lab = Lab::start()?;
    let empty = resident(&mut lab)?;
    let ledger = Arc::new(Ledger::default());
    let begin = Instant::now();
    let serving = connect_all(&lab, devices, &ledger)?;
    let (connected, idle) = (begin.elapsed(), resident(&mut lab)?);
    let body = json!({
        "DocumentName": "AWS-RunShellScript",
        "Targets": [{ "Key": "InstanceIds", "Values": ["*"] }],
        "Parameters": { "commands": ["uname -a"] },
        "MaxConcurrency": "10%",
    });
    let begin = Instant::now();
    let sent = lab.admin().api("AmazonSSM.SendCommand", &body)?;
    let id = sent["Command"]["CommandId"].as_str().unwrap_or_default().to_owned();
    let (mut peak, mut last) = (idle, Value::Null);
    let over = eventually("every device has run it", Duration::from_secs(120), || {
        let listed = lab.admin().api("AmazonSSM.ListCommands", &json!({ "CommandId": id })).ok()?;
        peak = peak.max(resident(&mut lab).ok()?);
        let command = listed["Commands"][0].clone();
        last = command.clone();
        (!["Pending", "InProgress"].contains(&command["Status"].as_str()?)).then_some(command)
    });
    if over.is_err() {
        let open = json!({ "CommandId": id, "Details": true, "Filters": [{ "key": "Status", "value": "InProgress" }] });
        let listed = lab.admin().api("AmazonSSM.ListCommandInvocations", &open)?;
        eprintln!("still open: {listed}\nstarted: {:?}", ledger.starts.lock());
    }
    let command = over.map_err(|error| Trouble::new(format!("{error}; it stands at {last}")))?;
    let took = begin.elapsed();
    ledger.stop.store(true, Ordering::Relaxed);
    let most = ledger.most.load(Ordering::SeqCst);
    println!(
        "devices | connected in | command took | at once | gateway RSS: empty | all connected | \
         most"
    );
    println!(
        "{devices} | {:.1} s | {:.1} s | {most} | {:.1} MB | {:.1} MB | {:.1} MB",
        connected.as_secs_f64(),
        took.as_secs_f64(),
        mb(empty),
        mb(idle),
        mb(peak)
    );
    check(&lab, &command, &id, devices, &ledger)?;
    ensure(most <= (devices / 10).max(1), || format!("{most} devices had it at once"))?;
    drop(lab); // hangs up on the devices
    for device in serving {
        let _ = device.join();
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss)] // megabytes
fn mb(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

fn check(lab: &Lab, command: &Value, id: &str, devices: usize, ledger: &Ledger) -> Outcome {
    let all = i64::try_from(devices)?;
    ensure(command["Status"] == "Success" && command["CompletedCount"] == all, || {
        format!("{command}")
    })?;
    let starts = ledger.starts.lock().unwrap_or_else(PoisonError::into_inner);
    ensure(starts.len() == devices && starts.values().all(|n| *n == 1), || {
        format!("{} devices started it, {} times", starts.len(), starts.values().sum::<usize>())
    })?;
    let (mut seen, mut token) = (0, Value::Null);
    loop {
        let body = json!({ "CommandId": id, "Details": true, "NextToken": token });
        let page = lab.admin().api("AmazonSSM.ListCommandInvocations", &body)?;
        for one in page["CommandInvocations"].as_array().into_iter().flatten() {
            let output = one["CommandPlugins"][0]["Output"].as_str().unwrap_or_default();
            ensure(one["Status"] == "Success" && output.as_bytes() == OUTPUT, || format!("{one}"))?;
            seen += 1;
        }
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    ensure(seen == devices, || format!("{seen} invocations are listed"))
}

#[test]
fn a_fleet_returns_to_a_gateway_that_was_killed_and_each_coming_is_on_record() -> Outcome {
    let mut lab = Lab::start()?;
    lab.gateway.process().stop()?;
    fleet::store(&lab.gateway.directory().join("towline.db"), MANY)?;
    lab.gateway.start_again()?;
    let (gateway, ca) = (lab.gateway.address(), lab.gateway.ca().to_owned());
    let gateway = fleet::Way::Tcp(gateway);
    let plan = fleet::Plan { gateway, ca, first: 0, count: MANY, work: WORK };
    let seen = Mutex::new(fleet::Counts::default());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let simulated = scope.spawn(|| {
            fleet::run(&plan, |counts| {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = counts;
                !stop.load(Ordering::Relaxed)
            })
        });
        let told = || *seen.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = fleet::until(RETURN, told, |counts| counts.linked == MANY)
            .and_then(|_| lab.gateway.kill())
            .and_then(|()| lab.gateway.start_again())
            .and_then(|()| {
                fleet::until(RETURN, told, |counts| {
                    counts.linked == MANY && counts.welcomes >= 2 * MANY
                })
            })
            .and_then(|_| check_return(&lab));
        stop.store(true, Ordering::Relaxed);
        simulated.join().map_err(|_| Trouble::new("the simulated devices panicked"))??;
        outcome
    })
}

/// The service's name in requests, as in its model.
const CLOUD_TRAIL: &str = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101";

fn check_return(lab: &Lab) -> Outcome {
    let online = json!({ "State": "online", "MaxResults": 1 });
    let listed = lab.admin().api("Towline.SearchDevices", &online)?;
    ensure(listed["TotalCount"] == MANY, || format!("{listed}"))?;
    let (mut comings, mut token) = (HashMap::new(), Value::Null);
    loop {
        let event = [json!({ "AttributeKey": "EventName", "AttributeValue": "DeviceConnected" })];
        let body = json!({ "LookupAttributes": event, "MaxResults": 50, "NextToken": token });
        let page = lab.admin().api(&format!("{CLOUD_TRAIL}.LookupEvents"), &body)?;
        for one in page["Events"].as_array().into_iter().flatten() {
            let text = one["CloudTrailEvent"].as_str().unwrap_or_default();
            let device = text.split("\"deviceId\":\"").nth(1).and_then(|rest| rest.get(..20));
            let device =
                device.ok_or_else(|| Trouble::new(format!("of no device: {text}")))?.to_owned();
            *comings.entry(device).or_insert(0) += 1;
        }
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    ensure(comings.len() == MANY && comings.values().all(|times| *times >= 2), || {
        format!("comings of {} devices are on record: {comings:?}", comings.len())
    })
}
