#!/usr/bin/env python3
"""The real AWS CLI against the gateway: its own parsing, paging, output and exit codes, operation by operation.

Needs the environment of towline_client, TOWLINE_DEVICE (connected) and AWS_CA_BUNDLE. The CLI runs in this process, by its own
entry: starting Python for each of some thirty commands would take a minute.
"""
import contextlib
import io
import json
import os
import sys
import tempfile

os.environ.update(AWS_ENDPOINT_URL=os.environ["TOWLINE_ENDPOINT"], AWS_CA_BUNDLE=os.environ["TOWLINE_CA"],
                  AWS_EC2_METADATA_DISABLED="true", AWS_MAX_ATTEMPTS="1", AWS_PAGER="",
                  AWS_DEFAULT_REGION=os.environ["AWS_REGION"], AWS_CONFIG_FILE=os.devnull,
                  AWS_SHARED_CREDENTIALS_FILE=os.devnull)

from awscli.clidriver import create_clidriver

from checks import DEVICE, check, run
from towline_client import towline

FOLDER = tempfile.mkdtemp()


def cli(*words):
    """Exit code, standard output and standard error of `aws` with these words."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = create_clidriver().main(list(words))
        except SystemExit as exit:
            code = exit.code
    return code, out.getvalue(), err.getvalue()


def aws(*words):
    """The answer of a command that must succeed."""
    code, out, err = cli(*words)
    assert code == 0, (words, code, err)
    return json.loads(out) if out.strip() else None


def fails(error, *words):
    code, out, err = cli(*words)
    assert code not in (0, None) and error in err, (words, code, out, err)


def file(name, content):
    path = os.path.join(FOLDER, name)
    with open(path, "w") as out:
        out.write(content if isinstance(content, str) else json.dumps(content))
    return "file://" + path


@check
def devices_tags_and_activations():
    listed = aws("ssm", "describe-instance-information", "--page-size", "5")["InstanceInformationList"]
    assert DEVICE in [d["InstanceId"] for d in listed], listed
    assert aws("ssm", "get-connection-status", "--target", DEVICE)["Status"] == "connected"
    of = ["--resource-type", "ManagedInstance", "--resource-id", DEVICE]
    aws("ssm", "add-tags-to-resource", *of, "--tags", "Key=Site,Value=a")
    assert {"Key": "Site", "Value": "a"} in aws("ssm", "list-tags-for-resource", *of)["TagList"]
    aws("ssm", "remove-tags-from-resource", *of, "--tag-keys", "Site")
    made = aws("ssm", "create-activation", "--iam-role", "x", "--registration-limit", "2")["ActivationId"]
    shown = aws("ssm", "describe-activations", "--filters", f"FilterKey=ActivationIds,FilterValues={made}")
    assert shown["ActivationList"][0]["RegistrationLimit"] == 2, shown
    aws("ssm", "delete-activation", "--activation-id", made)
    fails("InvalidActivation", "ssm", "delete-activation", "--activation-id", made)
    fails("InvalidInstanceId", "ssm", "deregister-managed-instance", "--instance-id", "mi-" + "0" * 17)


@check
def sessions_without_their_terminal():
    assert aws("ssm", "describe-sessions", "--state", "Active", "--max-items", "1")["Sessions"] == []
    session = "admin-0123456789abcdefg"
    assert aws("ssm", "terminate-session", "--session-id", session)["SessionId"] == session
    fails("DoesNotExistException", "ssm", "resume-session", "--session-id", session)


@check
def documents_from_files():
    text = {"schemaVersion": "1.0", "sessionType": "InteractiveCommands", "properties": {"linux": {"commands": "uptime"}}}
    name = ["--name", "Up-Time"]
    aws("ssm", "create-document", *name, "--document-type", "Session", "--content", file("d.json", text))
    yaml = "schemaVersion: '1.0'\nsessionType: InteractiveCommands\nproperties: {linux: {commands: w}}\n"
    aws("ssm", "update-document", *name, "--document-version", "$LATEST", "--document-format", "YAML",
        "--content", file("d.yaml", yaml))
    aws("ssm", "update-document-default-version", *name, "--document-version", "2")
    assert aws("ssm", "get-document", *name, "--document-format", "YAML")["Content"] == yaml
    assert json.loads(aws("ssm", "get-document", *name)["Content"])["sessionType"] == "InteractiveCommands"
    assert json.loads(aws("ssm", "get-document", *name, "--document-version", "1")["Content"]) == text
    assert aws("ssm", "describe-document", *name)["Document"]["LatestVersion"] == "2"
    assert len(aws("ssm", "list-document-versions", *name, "--page-size", "1")["DocumentVersions"]) == 2
    listed = aws("ssm", "list-documents", "--filters", "Key=Owner,Values=Self", "--page-size", "1")["DocumentIdentifiers"]
    assert [d["Name"] for d in listed] == ["Up-Time"], listed
    aws("ssm", "delete-document", *name)
    fails("InvalidDocument", "ssm", "get-document", *name)


@check
def temporary_credentials_from_the_environment():
    me = aws("sts", "get-caller-identity")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": me["Account"]}, "Action": "sts:AssumeRole"}]}
    towline("CreatePrincipal", {"PrincipalName": "cli", "PrincipalType": "Role", "TrustPolicyDocument": json.dumps(trust)})
    arn = f"arn:aws:iam::{me['Account']}:role/cli"
    made = aws("sts", "assume-role", "--role-arn", arn, "--role-session-name", "shift")["Credentials"]
    before = dict(os.environ)
    os.environ.update(AWS_ACCESS_KEY_ID=made["AccessKeyId"], AWS_SECRET_ACCESS_KEY=made["SecretAccessKey"],
                      AWS_SESSION_TOKEN=made["SessionToken"])
    try:
        assert aws("sts", "get-caller-identity")["Arn"].endswith("assumed-role/cli/shift")
        fails("AccessDeniedException", "ssm", "describe-sessions", "--state", "Active")
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert aws("sts", "get-session-token", "--duration-seconds", "900")["Credentials"]["SessionToken"]
    towline("DeletePrincipal", {"PrincipalName": "cli", "PrincipalType": "Role"})


@check
def access_requests_and_the_trail():
    asked = aws("ssm", "start-access-request", "--reason", "r", "--targets", f"Key=InstanceIds,Values={DEVICE}")
    assert aws("ssm", "get-access-token", "--access-request-id", asked["AccessRequestId"])["AccessRequestStatus"] == "Pending"
    assert aws("cloudtrail", "lookup-events", "--max-items", "1")["Events"]


@check
def what_is_not_served_is_an_error_and_no_hang():
    fails("UnknownOperationException", "ssm", "get-parameter", "--name", "x")
    fails("UnknownOperationException", "ssm", "describe-maintenance-windows")
    fails("InvalidAction", "sts", "get-federation-token", "--name", "ab")


if __name__ == "__main__":
    run()
