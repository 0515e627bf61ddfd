#!/usr/bin/env python3
"""Two spellings of one key in every map of a request, with real boto3: refused, whatever the caller's rights.

Needs the environment of towline_client and TOWLINE_DEVICE.
"""
import json

from checks import DEVICE, allow, check, new_user, run, wants
from towline_client import boto, raw, towline

ssm, sts = boto("ssm"), boto("sts")
BOTH = [{"Key": "Environment", "Value": "prod"}, {"Key": "environment", "Value": "dev"}]
REFUSED = "ValidationException"


def says_letter_case(message):
    assert "letter case" in message, message


@check
def tags_of_a_device():
    for tags in (BOTH, BOTH[::-1]):
        says_letter_case(wants(REFUSED, ssm.add_tags_to_resource, ResourceType="ManagedInstance", ResourceId=DEVICE, Tags=tags))
    says_letter_case(wants(REFUSED, ssm.remove_tags_from_resource, ResourceType="ManagedInstance", ResourceId=DEVICE, TagKeys=["a", "A"]))


@check
def tags_of_an_activation():
    says_letter_case(wants(REFUSED, ssm.create_activation, IamRole="towline", Tags=BOTH))
    answer = raw("AmazonSSM.CreateActivation", {"IamRole": "towline", "Tags": BOTH[:1], "TowlineDeviceTagKeys": ["environment"]})
    assert answer.code == REFUSED, answer.body


@check
def tags_of_a_document():
    content = json.dumps({"schemaVersion": "1.0", "sessionType": "Standard_Stream"})
    says_letter_case(wants(REFUSED, ssm.create_document, Name="Mine", Content=content, DocumentType="Session", Tags=BOTH))


@check
def tags_of_a_principal():
    says_letter_case(towline("CreatePrincipal", {"PrincipalName": "ann", "Tags": BOTH}, expect=REFUSED)["message"])


@check
def session_tags():
    account = sts.get_caller_identity()["Account"]
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": account},
                                                     "Action": ["sts:AssumeRole", "sts:TagSession"]}]}
    towline("CreatePrincipal", {"PrincipalName": "ops", "PrincipalType": "Role", "TrustPolicyDocument": json.dumps(trust)})
    ann = boto("sts", new_user("ann", allow(["sts:AssumeRole", "sts:TagSession"])))
    role = f"arn:aws:iam::{account}:role/ops"
    wants("ValidationError", ann.assume_role, RoleArn=role, RoleSessionName="ann-at-work", Tags=BOTH)
    one = ann.assume_role(RoleArn=role, RoleSessionName="ann-at-work", Tags=BOTH[:1])
    assert one["Credentials"]["SessionToken"]
    wants("ValidationError", ann.assume_role, RoleArn=role, RoleSessionName="ann-at-work", Tags=BOTH[:1],
          TransitiveTagKeys=["Environment", "environment"])


@check
def tags_of_an_access_request():
    says_letter_case(wants(REFUSED, ssm.start_access_request, Reason="r",
                           Targets=[{"Key": "InstanceIds", "Values": [DEVICE]}], Tags=BOTH))


@check
def parameters_of_documents():
    says_letter_case(wants(REFUSED, ssm.start_session, Target=DEVICE, DocumentName="AWS-StartPortForwardingSession",
                           Parameters={"portNumber": ["22"], "PortNumber": ["23"]}))
    says_letter_case(wants(REFUSED, ssm.send_command, InstanceIds=[DEVICE], DocumentName="AWS-RunShellScript",
                           Parameters={"commands": ["id"], "Commands": ["uptime"]}))


@check
def parameters_that_a_document_defines():
    parameter = {"type": "String"}
    content = json.dumps({"schemaVersion": "1.0", "sessionType": "InteractiveCommands",
                          "parameters": {"unit": parameter, "Unit": parameter},
                          "properties": {"linux": {"commands": "systemctl status {{ unit }}"}}})
    says_letter_case(wants("InvalidDocumentContent", ssm.create_document, Name="Twice", Content=content, DocumentType="Session"))


@check
def a_tag_in_other_letters_is_replaced():
    for key, value in (("Site", "a"), ("SITE", "b")):
        ssm.add_tags_to_resource(ResourceType="ManagedInstance", ResourceId=DEVICE, Tags=[{"Key": key, "Value": value}])
    tags = ssm.list_tags_for_resource(ResourceType="ManagedInstance", ResourceId=DEVICE)["TagList"]
    assert [tag for tag in tags if tag["Key"].lower() == "site"] == [{"Key": "SITE", "Value": "b"}], tags


run()
