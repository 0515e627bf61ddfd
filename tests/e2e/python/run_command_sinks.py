#!/usr/bin/env python3
"""Output of commands in S3 and in CloudWatch Logs, with real boto3 on both sides.

Needs the environment of towline_client, a connected device TOWLINE_DEVICE, and a server of both services at MOTO_ENDPOINT to
which the gateway writes: its bucket is `outputs`.
"""
import os
import time

import boto3
from botocore.exceptions import ClientError

from checks import check, run, wants
from towline_client import boto

DEVICE = os.environ["TOWLINE_DEVICE"]
ENDPOINT = os.environ["MOTO_ENDPOINT"]
DOCUMENT = "AWS-RunShellScript"


def moto(service):
    return boto3.client(service, endpoint_url=ENDPOINT, region_name="us-east-1",
                        aws_access_key_id="AKIATEST", aws_secret_access_key="secret")


def patiently(what, patience=60):
    """What `what` gives, once it gives something."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            found = what()
            if found:
                return found
        except ClientError as error:
            found = error
        time.sleep(0.2)
    raise AssertionError(f"not there within {patience} s: {found}")


def ended(ssm, command):
    running = ("Pending", "InProgress", "Delayed", "Cancelling")
    look = lambda: ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=DEVICE)
    patiently(lambda: look()["Status"] not in running)
    return look()


def send(ssm, *lines, **more):
    return ssm.send_command(DocumentName=DOCUMENT, InstanceIds=[DEVICE], Parameters={"commands": list(lines)}, **more)["Command"]


def messages(group, stream):
    """All messages of a stream, oldest first, and how many there are."""
    logs, token, found = moto("logs"), None, []
    while True:
        more = {"nextToken": token} if token else {}
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
        found += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token or not page["events"]:
            return found
        token = page["nextForwardToken"]


@check
def output_lies_in_the_bucket_under_the_prefix_that_was_asked_for():
    ssm = boto("ssm")
    command = send(ssm, "seq 1 50000", "echo bad >&2", OutputS3BucketName="outputs", OutputS3KeyPrefix="ops/today",
                   OutputS3Region="us-east-1")
    assert (command["OutputS3BucketName"], command["OutputS3KeyPrefix"]) == ("outputs", "ops/today"), command
    one = ended(ssm, command)
    folder = f"ops/today/{command['CommandId']}/{DEVICE}/awsrunShellScript/0.awsrunShellScript"
    assert one["StandardOutputUrl"] == f"{ENDPOINT}/outputs/{folder}/stdout", one
    assert one["StandardErrorUrl"] == f"{ENDPOINT}/outputs/{folder}/stderr", one
    read = lambda name: moto("s3").get_object(Bucket="outputs", Key=f"{folder}/{name}")["Body"].read()
    assert patiently(lambda: read("stdout")) == "".join(f"{n}\n" for n in range(1, 50001)).encode()
    assert patiently(lambda: read("stderr")) == b"bad\n"
    plugin = ssm.list_command_invocations(CommandId=command["CommandId"], Details=True)["CommandInvocations"][0]["CommandPlugins"][0]
    assert (plugin["OutputS3BucketName"], plugin["OutputS3KeyPrefix"]) == ("outputs", "ops/today"), plugin
    assert plugin["StandardOutputUrl"] == one["StandardOutputUrl"], plugin
    message = wants("InvalidOutputFolder", send, ssm, "true", OutputS3BucketName="somebody-elses")
    assert "outputs" in message, message


@check
def output_without_a_bucket_of_its_own_lies_in_the_bucket_all_the_same():
    ssm = boto("ssm")
    one = ended(ssm, send(ssm, "echo kept"))
    key = one["StandardOutputUrl"].removeprefix(f"{ENDPOINT}/outputs/")
    read = lambda: moto("s3").get_object(Bucket="outputs", Key=key)["Body"].read()
    assert patiently(read) == b"kept\n", key
    assert one["StandardErrorUrl"] == "", "a stream without bytes has no object"


@check
def output_lies_in_the_log_group_of_the_document_or_in_the_one_that_was_named():
    ssm = boto("ssm")
    script = ["printf 'one\\n\\n  two\\n'", "printf 'no end' >&2"]
    for config, group in (
        ({"CloudWatchOutputEnabled": True}, f"/aws/ssm/{DOCUMENT}"),
        ({"CloudWatchOutputEnabled": True, "CloudWatchLogGroupName": "/ops/commands"}, "/ops/commands"),
    ):
        command = send(ssm, *script, CloudWatchOutputConfig=config)
        shown = command["CloudWatchOutputConfig"]
        assert (shown["CloudWatchOutputEnabled"], shown["CloudWatchLogGroupName"]) == (True, group), command
        one = ended(ssm, command)
        assert one["CloudWatchOutputConfig"] == shown and one["StandardOutputUrl"], one
        stream = f"{command['CommandId']}/{DEVICE}/aws-runShellScript"
        assert patiently(lambda: messages(group, f"{stream}/stdout")) == ["one\n\n  two"]
        assert patiently(lambda: messages(group, f"{stream}/stderr")) == ["no end"]


@check
def output_of_megabytes_is_whole_in_the_log_and_no_line_is_torn():
    ssm = boto("ssm")
    command = send(ssm, "seq -f 'line %.0f of a command that has much to say' 1 60000",
                   CloudWatchOutputConfig={"CloudWatchOutputEnabled": True, "CloudWatchLogGroupName": "/ops/large"})
    ended(ssm, command)
    stream = f"{command['CommandId']}/{DEVICE}/aws-runShellScript/stdout"
    expected = [f"line {n} of a command that has much to say" for n in range(1, 60001)]
    found = patiently(lambda: [line for message in messages("/ops/large", stream) for line in message.split("\n")][59999:]
                      and messages("/ops/large", stream))
    assert [line for message in found for line in message.split("\n")] == expected
    assert max(len(message) for message in found) <= 200_000 and len(found) > 5, len(found)


@check
def output_that_nobody_wants_in_the_log_does_not_go_there():
    ssm = boto("ssm")
    command = send(ssm, "echo quiet", CloudWatchOutputConfig={"CloudWatchOutputEnabled": False, "CloudWatchLogGroupName": "/ops/quiet"})
    ended(ssm, command)
    # What is wanted goes after it, and is there first.
    later = send(ssm, "echo loud", CloudWatchOutputConfig={"CloudWatchOutputEnabled": True, "CloudWatchLogGroupName": "/ops/loud"})
    ended(ssm, later)
    patiently(lambda: messages("/ops/loud", f"{later['CommandId']}/{DEVICE}/aws-runShellScript/stdout"))
    groups = [group["logGroupName"] for group in moto("logs").describe_log_groups()["logGroups"]]
    assert "/ops/quiet" not in groups, groups


if __name__ == "__main__":
    run()
