#!/usr/bin/env python3
"""Run Command with real boto3: what it answers, how it pages and filters, and every refusal.

Needs the environment of towline_client, and three devices: TOWLINE_DEVICE and TOWLINE_SECOND are connected, tagged
Environment=dev and, the second, Role=db; TOWLINE_OTHER is not connected and tagged Environment=prod.
Prints a line for each check; exits non-zero when one fails.
"""
import json
import os
import time
import uuid

from botocore.exceptions import WaiterError

from checks import allow, check, new_user, run, wants
from towline_client import boto, raw

DEVICE, SECOND, OTHER = (os.environ[name] for name in ("TOWLINE_DEVICE", "TOWLINE_SECOND", "TOWLINE_OTHER"))
DOCUMENT = "AWS-RunShellScript"
LARGEST = 65_536


def send(ssm, *lines, ids=(DEVICE,), **more):
    parameters = {"commands": list(lines), **more.pop("parameters", {})}
    target = {} if "Targets" in more else {"InstanceIds": list(ids)}
    return ssm.send_command(DocumentName=DOCUMENT, Parameters=parameters, **target, **more)["Command"]


def ended(ssm, command, device=DEVICE, patience=30):
    until = time.monotonic() + patience
    while time.monotonic() < until:
        one = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=device)
        if one["Status"] not in ("Pending", "InProgress", "Delayed", "Cancelling"):
            return one
        time.sleep(0.1)
    raise AssertionError(f"not over within {patience} s: {one}")


def whole(ssm, command, patience=30):
    until = time.monotonic() + patience
    while time.monotonic() < until:
        one = ssm.list_commands(CommandId=command["CommandId"])["Commands"][0]
        if one["Status"] not in ("Pending", "InProgress", "Cancelling"):
            return one
        time.sleep(0.1)
    raise AssertionError(f"not over within {patience} s: {one}")


@check
def a_command_runs_and_answers_as_at_aws():
    ssm = boto("ssm")
    command = send(ssm, "echo out", "echo err >&2", "exit 3", Comment="smoke", TimeoutSeconds=60)
    assert command["Status"] in ("Pending", "InProgress", "Failed") and command["TargetCount"] == 1, command
    assert command["DocumentName"] == DOCUMENT and command["Comment"] == "smoke", command
    assert command["MaxConcurrency"] == "50" and command["MaxErrors"] == "0" and command["TimeoutSeconds"] == 60
    assert command["ExpiresAfter"] > command["RequestedDateTime"], command
    one = ended(ssm, command)
    assert (one["Status"], one["StatusDetails"], one["ResponseCode"]) == ("Failed", "Failed", 3), one
    assert (one["StandardOutputContent"], one["StandardErrorContent"]) == ("out\n", "err\n"), one
    assert one["PluginName"] == "aws:runShellScript" and one["StandardOutputUrl"].endswith("/stdout"), one
    assert one["ExecutionStartDateTime"].endswith("Z") and one["ExecutionElapsedTime"].startswith("PT"), one
    total = whole(ssm, command)
    counts = [total[name] for name in ("TargetCount", "CompletedCount", "ErrorCount", "DeliveryTimedOutCount")]
    assert (total["Status"], total["StatusDetails"], counts) == ("Failed", "Failed", [1, 1, 1, 0]), total
    listed = ssm.list_command_invocations(CommandId=command["CommandId"], Details=True)["CommandInvocations"][0]
    plugin = listed["CommandPlugins"][0]
    assert plugin["Output"] == "out\n\n----------ERROR-------\nerr\n" and plugin["ResponseCode"] == 3, plugin
    assert plugin["ResponseFinishDateTime"] >= plugin["ResponseStartDateTime"], plugin


@check
def a_device_is_in_the_inventory_and_its_agent_is_the_latest():
    ssm = boto("ssm")
    entity = next(e for e in ssm.get_inventory()["Entities"] if e["Id"] == DEVICE)
    own = entity["Data"]["AWS:InstanceInformation"]["Content"][0]
    assert own["ComputerName"] and own["AgentVersion"] and own["PlatformName"], own
    shown = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [DEVICE]}])["InstanceInformationList"][0]
    assert shown["IsLatestVersion"] is True and shown["ComputerName"] == own["ComputerName"], shown


@check
def a_document_for_two_systems_runs_its_linux_step_and_shows_the_other_as_skipped():
    ssm = boto("ssm")

    def step(name, action, platform, *lines):
        return {"action": action, "name": name, "precondition": {"StringEquals": ["platformType", platform]},
                "inputs": {"runCommand": list(lines), "onFailure": "exit"}}

    steps = [step("onWindows", "aws:runPowerShellScript", "Windows", "Get-Date"), step("onLinux", "aws:runShellScript", "Linux", "echo here")]
    ssm.create_document(Name="Both", Content=json.dumps({"schemaVersion": "2.2", "mainSteps": steps}))
    command = ssm.send_command(DocumentName="Both", InstanceIds=[DEVICE])["Command"]
    one = ended(ssm, command)
    assert (one["PluginName"], one["Status"], one["StandardOutputContent"]) == ("onLinux", "Success", "here\n"), one
    listed = ssm.list_command_invocations(CommandId=command["CommandId"], Details=True)["CommandInvocations"][0]
    plugins = [(p["Name"], p["Status"], p["ResponseCode"], p["Output"]) for p in listed["CommandPlugins"]]
    words = "Step execution skipped due to unsatisfied preconditions: '\"StringEquals\": [platformType, Windows]'. Step name: onWindows"
    assert plugins == [("onWindows", "Success", 0, words), ("onLinux", "Success", 0, "here\n")], plugins
    other = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=DEVICE, PluginName="onWindows")
    assert (other["Status"], other["StandardOutputContent"], other["StandardErrorContent"]) == ("Success", words, ""), other
    ssm.delete_document(Name="Both")


@check
def the_waiter_command_executed_succeeds_and_fails_as_the_command_does():
    ssm = boto("ssm")
    quick = {"Delay": 1, "MaxAttempts": 20}
    good, bad = send(ssm, "true"), send(ssm, "false")
    waiter = ssm.get_waiter("command_executed")
    waiter.wait(CommandId=good["CommandId"], InstanceId=DEVICE, WaiterConfig=quick)
    try:
        waiter.wait(CommandId=bad["CommandId"], InstanceId=DEVICE, WaiterConfig=quick)
    except WaiterError as error:
        assert error.last_response["Status"] == "Failed", error.last_response
    else:
        raise AssertionError("the waiter was content with a command that failed")


@check
def parameters_do_what_the_document_says():
    ssm = boto("ssm")
    shebang = ended(ssm, send(ssm, "#!/usr/bin/env python3", "import os; print(os.getcwd())",
                              parameters={"workingDirectory": ["/tmp"]}))
    assert shebang["StandardOutputContent"] == "/tmp\n", shebang
    nowhere = ended(ssm, send(ssm, "true", parameters={"workingDirectory": ["/no/such/folder"]}))
    assert nowhere["Status"] == "Failed" and "working directory" in nowhere["StandardErrorContent"], nowhere
    late = ended(ssm, send(ssm, "echo begun; sleep 60", parameters={"executionTimeout": ["1"]}))
    assert (late["Status"], late["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut"), late
    assert late["StandardOutputContent"] == "begun\n" and "time-out" in late["StandardErrorContent"], late
    quiet = ended(ssm, send(ssm, "cat; ps -o args= -p $$ | grep -c secret || true", "# secret"))
    assert quiet["StandardOutputContent"] == "0\n", f"a script has no input, and stands in nobody's list: {quiet}"


@check
def targets_by_tags_mean_every_device_that_matches_all_of_them():
    ssm = boto("ssm")
    by = lambda *targets: [{"Key": key, "Values": values} for key, values in targets]
    for targets, expected in (
        (by(("tag:Environment", ["dev"])), {DEVICE, SECOND}),
        (by(("tag:Environment", ["dev", "prod"]), ("tag:Role", ["db"])), {SECOND}),
        (by(("tag-key", ["Role", "Nothing"])), {SECOND}),
        (by(("InstanceIds", [DEVICE, SECOND])), {DEVICE, SECOND}),
        (by(("InstanceIds", ["*"])), {DEVICE, SECOND, OTHER}),
    ):
        command = send(ssm, "true", Targets=targets, TimeoutSeconds=30)
        found = ssm.list_command_invocations(CommandId=command["CommandId"])["CommandInvocations"]
        assert {one["InstanceId"] for one in found} == expected, (targets, found)
        assert command["Targets"] == targets and command["InstanceIds"] == [], command
        ssm.cancel_command(CommandId=command["CommandId"])


@check
def lists_are_paged_and_filtered():
    ssm = boto("ssm")
    sent = [send(ssm, f"echo {n}")["CommandId"] for n in range(5)]
    [ended(ssm, {"CommandId": one}) for one in sent]
    pages = ssm.get_paginator("list_commands").paginate(InstanceId=DEVICE, PaginationConfig={"PageSize": 2})
    listed = [command["CommandId"] for page in pages for command in page["Commands"]]
    assert len(listed) == len(set(listed)) and set(sent) <= set(listed), listed
    pages = ssm.get_paginator("list_command_invocations").paginate(InstanceId=DEVICE, PaginationConfig={"PageSize": 3})
    listed = [one["CommandId"] for page in pages for one in page["CommandInvocations"]]
    assert len(listed) == len(set(listed)) and set(sent) <= set(listed), listed
    only = lambda key, value: {"Filters": [{"key": key, "value": value}]}
    complete = ssm.list_commands(**only("ExecutionStage", "Complete"))["Commands"]
    assert set(sent) <= {command["CommandId"] for command in complete}
    assert all(command["Status"] == "Success" for command in ssm.list_commands(**only("Status", "Success"))["Commands"])
    assert ssm.list_commands(**only("DocumentName", "Other-Document"))["Commands"] == []
    assert ssm.list_command_invocations(**only("InvokedBefore", "2020-01-01T00:00:00Z"))["CommandInvocations"] == []
    wants("InvalidFilterKey", ssm.list_command_invocations, **only("ExecutionStage", "Complete"))
    wants("InvalidNextToken", ssm.list_commands, NextToken="x")
    wants("InvalidInstanceId", ssm.list_commands, InstanceId="i-1")


@check
def what_cannot_be_done_as_asked_is_refused_and_nothing_is_sent():
    ssm = boto("ssm")
    before = len(ssm.list_commands(MaxResults=50)["Commands"])
    base = {"DocumentName": DOCUMENT, "InstanceIds": [DEVICE], "Parameters": {"commands": ["true"]}}
    for code, change in (
        ("InvalidDocument", {"DocumentName": "No-Such-Document"}),
        ("InvalidDocumentVersion", {"DocumentVersion": "7"}),
        ("InvalidDocumentVersion", {"DocumentHash": "00", "DocumentHashType": "Sha256"}),
        ("InvalidParameters", {"Parameters": {}}),
        ("InvalidParameters", {"Parameters": {"commands": ["true"], "comands": ["x"]}}),
        ("InvalidParameters", {"Parameters": {"commands": ["true"], "executionTimeout": ["soon"]}}),
        ("InvalidParameters", {"Parameters": {"commands": ["x" * LARGEST]}}),
        ("InvalidInstanceId", {"InstanceIds": ["mi-00000000000000000"]}),
        ("InvalidInstanceId", {"InstanceIds": [DEVICE, "i-1234"]}),
        ("DuplicateInstanceId", {"InstanceIds": [DEVICE, DEVICE]}),
        ("InvalidInstanceId", {"InstanceIds": [], "Targets": [{"Key": "tag:Environment", "Values": ["none"]}]}),
        ("ValidationException", {"InstanceIds": [], "Targets": [{"Key": "resource-groups:Name", "Values": ["x"]}]}),
        ("ValidationException", {"Targets": [{"Key": "tag:a", "Values": ["b"]}]}),
        ("ValidationException", {"MaxConcurrency": "0"}),
        ("ValidationException", {"MaxErrors": "many"}),
        ("ValidationException", {"TimeoutSeconds": 2_592_001}),
        ("InvalidOutputFolder", {"OutputS3BucketName": "somebody-elses"}),
        ("InvalidOutputFolder", {"CloudWatchOutputConfig": {"CloudWatchOutputEnabled": True}}),
        ("InvalidNotificationConfig", {"NotificationConfig": {"NotificationArn": "arn:aws:sns:x:1:t"}}),
    ):
        message = wants(code, ssm.send_command, **{**base, **change})
        assert len(message) > 20, message
    for wrong in ("true", [7], {"a": "b"}):
        answer = raw("AmazonSSM.SendCommand", {**base, "Parameters": {"commands": wrong}})
        assert answer.status == 400 and answer.code in ("SerializationException", "ValidationException"), (wrong, answer.body)
    assert len(ssm.list_commands(MaxResults=50)["Commands"]) == before, "something was sent after all"
    unknown = str(uuid.uuid4())
    wants("InvocationDoesNotExist", ssm.get_command_invocation, CommandId=unknown, InstanceId=DEVICE)
    wants("InvalidCommandId", ssm.cancel_command, CommandId=unknown)
    command = send(ssm, "true")
    wants("InvalidInstanceId", ssm.cancel_command, CommandId=command["CommandId"], InstanceIds=[OTHER])
    wants("InvalidPluginName", ssm.get_command_invocation, CommandId=command["CommandId"], InstanceId=DEVICE,
          PluginName="no:such")


@check
def the_largest_script_runs_and_its_output_is_cut_in_the_answer_only():
    ssm = boto("ssm")
    head, tail = "head -c 100000 /dev/zero | tr '\\0' x\n#", "\necho; echo the end >&2"
    one = ended(ssm, send(ssm, head + "y" * (LARGEST - len(head) - len(tail) - 1) + tail))
    assert one["Status"] == "Success" and one["StandardOutputContent"] == "x" * 23_980 + "--output truncated--", one["Status"]
    assert one["StandardErrorContent"] == "the end\n", one["StandardErrorContent"]
    path = one["StandardOutputUrl"].removeprefix("file://")
    until = time.monotonic() + 20
    while not os.path.exists(path) and time.monotonic() < until:
        time.sleep(0.1)
    assert os.path.getsize(path) == 100_001, path


@check
def a_command_is_cancelled_where_it_runs_and_where_it_waits():
    ssm = boto("ssm")
    mark = f"/tmp/towline-cancel-{uuid.uuid4()}"
    command = send(ssm, f"touch {mark}; sleep 600", ids=[DEVICE, OTHER])
    until = time.monotonic() + 20
    while not os.path.exists(mark) and time.monotonic() < until:
        time.sleep(0.1)
    ssm.cancel_command(CommandId=command["CommandId"])
    for device in (DEVICE, OTHER):
        assert ended(ssm, command, device)["Status"] == "Cancelled"
    assert whole(ssm, command)["StatusDetails"] == "Cancelled"
    os.remove(mark)


@check
def who_may_run_what_where_is_said_per_device_per_document_and_per_line():
    dev = {"StringEquals": {"ssm:resourceTag/Environment": "dev"}}
    lines = {"ForAllValues:StringLike": {"towline:DocumentParameter/commands": ["uptime", "echo *"]}}
    document = f"arn:aws:ssm:*:*:document/{DOCUMENT}"
    devices = "arn:aws:ssm:*:*:managed-instance/*"
    ssm = boto("ssm", new_user(
        "runner", allow("ssm:SendCommand", document, **lines), allow("ssm:SendCommand", devices, **dev),
        allow("ssm:GetCommandInvocation", devices, **dev)))
    assert ended(ssm, send(ssm, "echo mine"))["StandardOutputContent"] == "mine\n"
    wants("AccessDeniedException", send, ssm, "reboot")
    refusal = wants("AccessDeniedException", send, ssm, "uptime", ids=[DEVICE, OTHER])
    assert OTHER in refusal and "ssm:SendCommand" in refusal, refusal
    everywhere = [{"Key": "tag-key", "Values": ["Environment"]}]
    refusal = wants("AccessDeniedException", send, ssm, "uptime", Targets=everywhere)
    assert "some of the devices" in refusal and OTHER not in refusal, refusal
    only_dev = [{"Key": "tag:Environment", "Values": ["dev"]}]
    assert send(ssm, "uptime", Targets=only_dev)["TargetCount"] == 2
    wants("AccessDeniedException", ssm.list_commands)
    other_document = boto("ssm", new_user("nobody", allow("ssm:SendCommand", devices)))
    wants("AccessDeniedException", send, other_document, "uptime")


@check
def an_own_document_has_steps_and_guards_its_parameters():
    ssm = boto("ssm")
    step = lambda name, *lines, **inputs: {
        "action": "aws:runShellScript", "name": name, "inputs": {"runCommand": list(lines), **inputs}}
    content = {"schemaVersion": "2.2", "description": "Two steps.", "parameters": {
        "word": {"type": "String", "allowedPattern": "[a-z]{1,8}", "default": "hello"},
        "how": {"type": "String", "allowedValues": ["well", "badly"]}},
        "mainSteps": [step("greet", "echo '{{ word }}'; test {{ how }} = well", onFailure="exit"), step("after", "echo after")]}
    name = f"Greet-{uuid.uuid4().hex[:8]}"
    ssm.create_document(Name=name, Content=json.dumps(content), DocumentType="Command")
    run_it = lambda **given: ssm.send_command(
        DocumentName=name, InstanceIds=[DEVICE], Parameters={key: [value] for key, value in given.items()})["Command"]
    command = run_it(word="hi", how="well")
    total = whole(ssm, command)
    assert (total["Status"], total["DocumentName"], total["DocumentVersion"]) == ("Success", name, "1"), total
    get = lambda command, plugin: ssm.get_command_invocation(
        CommandId=command["CommandId"], InstanceId=DEVICE, PluginName=plugin)
    assert get(command, "greet")["StandardOutputContent"] == "hi\n"
    assert get(command, "after")["StandardOutputContent"] == "after\n"
    wants("InvalidPluginName", ssm.get_command_invocation, CommandId=command["CommandId"], InstanceId=DEVICE)
    stopped = run_it(how="badly")
    assert whole(ssm, stopped)["Status"] == "Failed"
    assert get(stopped, "greet")["StandardOutputContent"] == "hello\n" and get(stopped, "greet")["ResponseCode"] == 1
    assert get(stopped, "after")["StatusDetails"] == "Skipped", get(stopped, "after")
    wants("InvalidParameters", run_it, word="hi'; reboot; '", how="well")
    wants("InvalidParameters", run_it, word="hi", how="somehow")
    wants("InvalidParameters", run_it, word="hi")
    wants("InvalidDocument", ssm.send_command, DocumentName="AWS-StartSSHSession", InstanceIds=[DEVICE])
    ssm.delete_document(Name=name)


if __name__ == "__main__":
    run()
