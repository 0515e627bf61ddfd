//! The agent's side as its source writes it, and what must not be read as anything.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::calls::{GetMessages, Health, IssuedKeys, Register};
use super::control::{
    JobAck, JobReply, JobVerdict, OpenControlChannel, TaskComplete, cancel_command, channel_opened,
    interactive_shell, job_id, send_command, task_acknowledge,
};
use super::*;
use crate::Operation;
use crate::documents::SessionPlan;

#[test]
fn a_device_has_six_operations_and_none_of_an_operator() {
    assert_eq!(DeviceOperation::ALL.len(), 6);
    for operation in DeviceOperation::ALL {
        assert_eq!(DeviceOperation::parse(operation.target()), Some(*operation));
        assert!(Operation::parse(operation.target()).is_err(), "{operation:?}");
    }
    for operation in Operation::ALL {
        let target = operation.target().unwrap_or_default();
        assert_eq!(DeviceOperation::parse(&target), None, "{operation:?}");
    }
    let messages = DeviceOperation::parse("EC2WindowsMessageDeliveryService.GetMessages").unwrap();
    assert_eq!(messages.signing_name(), "ec2messages");
    let token = DeviceOperation::RequestManagedInstanceRoleToken;
    assert_eq!((token.proof(), token.signing_name()), (DeviceProof::OwnKey, "ssm"));
    assert_eq!(DeviceOperation::parse("AmazonSSM.PutInventory"), None);
}

#[test]
fn a_registration_is_read_and_hides_its_code() {
    let body = r#"{"ActivationCode":"hush","ActivationId":"a","Fingerprint":"f","PublicKey":"MII","PublicKeyType":"Rsa"}"#;
    let register: Register = serde_json::from_str(body).unwrap();
    assert_eq!((&*register.activation_id, &*register.activation_code), ("a", "hush"));
    assert!(!format!("{register:?}").contains("hush"));
    assert!(serde_json::from_str::<Register>(r#"{"ActivationId":"a"}"#).is_err());
}

#[test]
fn issued_keys_have_the_five_members_that_the_agent_needs_and_hide_their_secrets() {
    let keys = IssuedKeys {
        access_key_id: "ASIA1".into(),
        secret_access_key: "hush".into(),
        session_token: "quiet".into(),
        token_expiration_date: 7,
        update_key_pair: false,
    };
    let expected = json!({ "AccessKeyId": "ASIA1", "SecretAccessKey": "hush", "SessionToken": "quiet",
        "TokenExpirationDate": 7, "UpdateKeyPair": false });
    assert_eq!(serde_json::to_value(&keys).unwrap(), expected);
    let shown = format!("{keys:?}");
    assert!(!shown.contains("hush") && !shown.contains("quiet"), "{shown}");
}

#[test]
fn the_first_health_report_is_bare_and_the_next_one_whole() {
    let bare = r#"{"AgentName":"amazon-ssm-agent","AgentVersion":"3.3.0.0","InstanceId":"mi-1","PlatformType":"Windows"}"#;
    let health: Health = serde_json::from_str(bare).unwrap();
    assert_eq!((&*health.platform_type, &*health.computer_name), ("Windows", ""));
    let whole = r#"{"AgentVersion":"3.3.0.0","AgentStatus":"Active","AvailabilityZone":"","ComputerName":"box","IPAddress":"192.0.2.7","InstanceId":"mi-1","PlatformName":"Debian GNU/Linux","PlatformType":"Linux","PlatformVersion":"12","SSMConnectionChannel":""}"#;
    let health: Health = serde_json::from_str(whole).unwrap();
    assert_eq!((&*health.ip_address, &*health.platform_version), ("192.0.2.7", "12"));
}

#[test]
fn an_empty_poll_answers_with_the_request_s_own_id() {
    let body = r#"{"Destination":"mi-1","MessagesRequestId":"r","VisibilityTimeoutInSeconds":10}"#;
    let poll: GetMessages = serde_json::from_str(body).unwrap();
    let expected = json!({ "Destination": "mi-1", "Messages": [], "MessagesRequestId": "r" });
    assert_eq!(poll.nothing(), expected);
}

#[test]
fn a_control_channel_opens_with_xml_and_a_text_frame_that_hides_its_token() {
    let answer = channel_opened("dG9rZW4=");
    assert!(answer.contains("<MessageSchemaVersion>1.0</MessageSchemaVersion>"), "{answer}");
    assert!(answer.contains("<TokenValue>dG9rZW4=</TokenValue>"), "{answer}");
    let frame = r#"{"Cookie":null,"MessageSchemaVersion":"1.0","RequestId":"r","TokenValue":"hush","AgentVersion":"3.3.0.0","PlatformType":"linux"}"#;
    let open: OpenControlChannel = serde_json::from_str(frame).unwrap();
    assert_eq!((&*open.token_value, &*open.platform_type), ("hush", "linux"));
    assert!(!format!("{open:?}").contains("hush"));
}

fn content(plan: &SessionPlan, run_as: Option<&str>) -> Result<Value, &'static str> {
    let document = "SSM-SessionManagerRunShell";
    let profile = Some("cd /");
    session_content(&SessionOrder {
        session: "ann-1",
        document,
        plan,
        run_as,
        owner: "arn:ann",
        profile,
    })
}

#[test]
fn a_shell_names_its_user_and_ssm_user_is_left_to_the_agent() {
    let plan = SessionPlan::Shell { run_as: None };
    let named = content(&plan, Some("operator")).unwrap();
    assert_eq!(named["RunAsUser"], "operator");
    assert_eq!(named["DocumentContent"]["inputs"]["runAsEnabled"], true);
    assert_eq!(named["DocumentContent"]["sessionType"], "Standard_Stream");
    for own in [None, Some("ssm-user")] {
        let own = content(&plan, own).unwrap();
        assert_eq!(own["DocumentContent"]["inputs"]["runAsEnabled"], false);
        assert_eq!(own["RunAsUser"], "");
    }
    let profile = &named["DocumentContent"]["inputs"]["shellProfile"];
    assert_eq!(profile, &json!({ "linux": "cd /", "windows": "cd /" }));
    let payload = interactive_shell("ann-1", &named);
    let read: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((&read["TaskId"], &read["Topic"]), (&json!("ann-1"), &json!("interactive_shell")));
    let inner: Value = serde_json::from_str(read["Content"].as_str().unwrap()).unwrap();
    assert_eq!(inner, named, "content is JSON in a text");
}

#[test]
fn a_program_runs_with_its_outputs_apart_and_its_arguments_quoted_on_each_platform() {
    let argv = ["echo", "a b"].map(str::to_owned).to_vec();
    let plan = SessionPlan::Exec { argv, run_as: None, terminal: false, detach: false };
    let content = content(&plan, None).unwrap();
    let properties = &content["DocumentContent"]["properties"];
    for platform in ["linux", "macos"] {
        assert_eq!(properties[platform]["commands"], "echo 'a b'");
    }
    for platform in ["linux", "macos", "windows"] {
        assert_eq!(properties[platform]["separateOutputStream"], true, "{platform}");
    }
    // PowerShell runs a quoted name by its call operator alone.
    assert_eq!(properties["windows"]["commands"], "& 'echo' 'a b'");
    assert_eq!(properties["separateOutputStream"], Value::Null, "the agent reads the branch only");
}

#[test]
fn a_command_document_without_a_terminal_is_read_by_a_shell_as_everywhere() {
    let plan = SessionPlan::NonInteractiveCommand {
        command: "echo a; exit 3".into(),
        separate_output: false,
        stdout_prefix: String::new(),
        stderr_prefix: String::new(),
    };
    let content = content(&plan, None).unwrap();
    let properties = &content["DocumentContent"]["properties"];
    assert_eq!(properties["linux"]["commands"], "sh -c 'echo a; exit 3'");
    assert_eq!(properties["windows"]["commands"], "echo a; exit 3");
    assert_eq!(properties["linux"]["separateOutputStream"], false);
    let inputs = &content["DocumentContent"]["inputs"];
    assert_eq!(inputs["shellProfile"], Value::Null, "a command has no profile");
}

#[test]
fn a_port_has_the_properties_of_the_handshake() {
    let plan = SessionPlan::Port { host: Some("db".into()), port: 5432, local_port: 0 };
    let port = content(&plan, None).unwrap();
    let properties = &port["DocumentContent"]["properties"];
    assert_eq!(properties["portNumber"], "5432");
    assert_eq!(
        (&properties["type"], &properties["host"]),
        (&json!("LocalPortForwarding"), &json!("db"))
    );
    let ssh = content(&SessionPlan::Ssh { port: 22 }, None).unwrap();
    assert_eq!(ssh["DocumentContent"]["properties"], json!({ "portNumber": "22" }));
}

#[test]
fn what_the_agent_cannot_do_is_refused_in_words() {
    let copy = SessionPlan::Copy { path: "/x".into(), put: false, follow: false, run_as: None };
    assert!(content(&copy, None).unwrap_err().contains("towline proxy"));
    let argv = vec!["true".to_owned()];
    let detached = SessionPlan::Exec { argv, run_as: None, terminal: false, detach: true };
    assert!(content(&detached, None).unwrap_err().contains("--detach"));
}

#[test]
fn a_command_and_its_stop_are_jobs_with_names_of_their_own() {
    let sent: Value =
        serde_json::from_slice(&send_command("c1", "mi-1", "AWS-RunShellScript", &json!({})))
            .unwrap();
    assert_eq!(sent["JobId"], "aws.ssm.c1.mi-1");
    let stop: Value = serde_json::from_slice(&cancel_command("c2", "c1", "mi-1")).unwrap();
    assert_eq!(stop["JobId"], job_id("c2", "mi-1"));
    assert!(stop["Topic"].as_str().unwrap().starts_with("aws.ssm.cancelCommand"));
    let content: Value = serde_json::from_str(stop["Content"].as_str().unwrap()).unwrap();
    assert_eq!(content, json!({ "CancelMessageId": "aws.ssm.c1.mi-1" }));
}

#[test]
fn acknowledgements_of_jobs_tell_a_duplicate_from_a_refusal() {
    for (code, verdict) in [
        ("200", JobVerdict::Taken),
        ("51405", JobVerdict::Known),
        ("51402", JobVerdict::Busy),
        ("51406", JobVerdict::Refused),
        ("", JobVerdict::Refused),
    ] {
        let text = json!({ "jobId": "j", "statusCode": code, "errorMessage": "" }).to_string();
        assert_eq!(serde_json::from_str::<JobAck>(&text).unwrap().verdict(), verdict, "{code}");
    }
}

#[test]
fn a_reply_has_each_step_with_its_code_and_outputs() {
    let content = json!({ "additionalInfo": {}, "documentStatus": "Failed", "documentTraceOutput": "",
        "runtimeStatus": { "step": { "status": "Failed", "code": 3, "name": "aws:runShellScript",
            "standardOutput": "o\n", "standardError": "failed to run commands: exit status 3" } } });
    let text =
        json!({ "schemaVersion": 1, "jobId": "j", "topic": "t", "content": content.to_string() });
    let reply: JobReply = serde_json::from_str(&text.to_string()).unwrap();
    let read = reply.parsed().unwrap();
    assert_eq!((&*read.document_status, read.runtime_status["step"].code), ("Failed", 3));
    assert_eq!(read.runtime_status["step"].standard_output, "o\n");
}

#[test]
fn the_end_of_a_session_is_read_and_acknowledged_by_its_message() {
    let body = r#"{"SchemaVersion":1,"TaskId":"ann-1","Topic":"agent_task_complete","FinalTaskStatus":"Failed","Output":"no such user","RetryNumber":1}"#;
    let complete: TaskComplete = serde_json::from_str(body).unwrap();
    assert_eq!((&*complete.task_id, &*complete.output), ("ann-1", "no such user"));
    let ack: Value = serde_json::from_slice(&task_acknowledge("m", "ann-1")).unwrap();
    assert_eq!((&ack["MessageId"], &ack["TaskId"]), (&json!("m"), &json!("ann-1")));
}

proptest! {
    #[test]
    fn no_text_of_an_agent_breaks_a_reader(text in ".{0,200}") {
        let _ = serde_json::from_str::<Register>(&text);
        let _ = serde_json::from_str::<OpenControlChannel>(&text);
        let _ = serde_json::from_str::<TaskComplete>(&text);
        let _ = JobReply { job_id: String::new(), content: text.clone() }.parsed();
        prop_assert_eq!(DeviceOperation::parse(&text), None);
    }
}
