#!/usr/bin/env python3
"""Every operation of the API with real boto3, and every class of error.

Needs the environment of towline_client, and two devices: TOWLINE_DEVICE is connected and tagged Environment=dev,
TOWLINE_OTHER is not connected and tagged Environment=prod. TOWLINE_OTHER is deregistered at the end.
Prints a line for each check; exits non-zero when one fails.
"""
import datetime
import json
import pathlib
import time

from botocore.credentials import Credentials

from checks import DEVICE, OTHER, UNKNOWN, allow, check, new_user, run, wants
from towline_client import ADMIN, ENDPOINT, REGION, boto, host_of, raw, towline


# ---- commands; what they do on devices is in run_command.py

@check
def every_operation_about_commands_answers():
    ssm = boto("ssm")
    sent = ssm.send_command(DocumentName="AWS-RunShellScript", InstanceIds=[DEVICE], Parameters={"commands": ["true"]})
    command = sent["Command"]["CommandId"]
    assert [c["CommandId"] for c in ssm.list_commands(CommandId=command)["Commands"]] == [command]
    assert ssm.list_command_invocations(CommandId=command)["CommandInvocations"][0]["InstanceId"] == DEVICE
    assert ssm.get_command_invocation(CommandId=command, InstanceId=DEVICE)["PluginName"] == "aws:runShellScript"
    # On a device that never answers there is no output yet; what was asked is on record.
    output = towline("GetCommandOutput", {"CommandId": command, "InstanceId": DEVICE})
    assert output["PluginNames"] == ["aws:runShellScript"] and output["Data"] == "", output
    ssm.cancel_command(CommandId=command)


# ---- sessions

@check
def a_session_is_started_described_resumed_and_terminated():
    ssm = boto("ssm")
    started = ssm.start_session(Target=DEVICE, Reason="smoke")
    session = started["SessionId"]
    assert session.startswith("admin-") and started["TokenValue"], started
    assert started["StreamUrl"].startswith(f"wss://{host_of(ENDPOINT)}/v1/data-channel/{session}"), started
    active = ssm.describe_sessions(State="Active", Filters=[{"key": "SessionId", "value": session}])["Sessions"]
    assert [s["SessionId"] for s in active] == [session] and active[0]["Reason"] == "smoke", active
    assert active[0]["Target"] == DEVICE and active[0]["DocumentName"] == "SSM-SessionManagerRunShell", active
    assert ssm.resume_session(SessionId=session)["TokenValue"]
    assert ssm.terminate_session(SessionId=session)["SessionId"] == session
    ended = ssm.describe_sessions(State="History", Filters=[{"key": "SessionId", "value": session}])["Sessions"]
    assert ended[0]["Status"] == "Terminated" and "admin" in ended[0]["Details"] and ended[0]["EndDate"], ended
    assert ssm.resume_session(SessionId=session)["TokenValue"] == "", "an ended session has no token"


@check
def sessions_are_paged_and_filtered():
    ssm = boto("ssm")
    started = {ssm.start_session(Target=DEVICE)["SessionId"] for _ in range(5)}
    seen = []
    for page in ssm.get_paginator("describe_sessions").paginate(State="Active", PaginationConfig={"PageSize": 2}):
        assert len(page["Sessions"]) <= 2
        seen += [s["SessionId"] for s in page["Sessions"]]
    assert started <= set(seen) and len(seen) == len(set(seen)), (started, seen)
    by_document = [{"key": "TowlineDocument", "value": "no-such-document"}]
    assert ssm.describe_sessions(State="Active", Filters=by_document)["Sessions"] == []
    by_owner = ssm.describe_sessions(State="Active", Filters=[{"key": "Owner", "value": "nobody"}])["Sessions"]
    assert by_owner == []
    for session in started:
        ssm.terminate_session(SessionId=session)
    wants("InvalidNextToken", ssm.describe_sessions, State="Active", NextToken="made-up")
    wants("ValidationException", ssm.describe_sessions, State="Sometimes")


@check
def a_session_that_cannot_be_is_refused_with_its_reason():
    ssm = boto("ssm")
    wants("TargetNotConnected", ssm.start_session, Target=OTHER)
    wants("TargetNotConnected", ssm.start_session, Target=UNKNOWN)
    wants("TargetNotConnected", ssm.start_session, Target="i-0123456789abcdef0")
    wants("InvalidDocument", ssm.start_session, Target=DEVICE, DocumentName="No-Such-Document")
    wants("InvalidParameters", ssm.start_session, Target=DEVICE, DocumentName="AWS-StartInteractiveCommand")
    port = {"portNumber": ["0"]}
    wants("InvalidParameters", ssm.start_session, Target=DEVICE, DocumentName="AWS-StartSSHSession", Parameters=port)
    wants("DoesNotExistException", ssm.resume_session, SessionId="admin-0123456789abcdefg")
    assert ssm.terminate_session(SessionId="admin-0123456789abcdefg"), "an unknown id is no error, as at AWS"


@check
def connection_status_is_told_for_any_target():
    ssm = boto("ssm")
    for target, status in [(DEVICE, "connected"), (OTHER, "notconnected"), (UNKNOWN, "notconnected"), ("x", "notconnected")]:
        assert ssm.get_connection_status(Target=target)["Status"] == status, target


# ---- devices and tags

@check
def devices_are_listed_with_filters_and_pages():
    ssm = boto("ssm")

    def ids(**filters):
        pages = ssm.get_paginator("describe_instance_information").paginate(PaginationConfig={"PageSize": 5}, **filters)
        return [d["InstanceId"] for page in pages for d in page["InstanceInformationList"]]

    assert {DEVICE, OTHER} <= set(ids())
    assert ids(Filters=[{"Key": "tag:Environment", "Values": ["dev"]}]) == [DEVICE]
    assert set(ids(Filters=[{"Key": "tag-key", "Values": ["Environment"]}])) == {DEVICE, OTHER}
    assert ids(Filters=[{"Key": "PingStatus", "Values": ["Online"]}]) == [DEVICE]
    assert ids(InstanceInformationFilterList=[{"key": "InstanceIds", "valueSet": [OTHER]}]) == [OTHER]
    assert ids(Filters=[{"Key": "PlatformTypes", "Values": ["Windows"]}]) == []
    one = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [DEVICE]}])["InstanceInformationList"][0]
    assert one["PingStatus"] == "Online" and one["ResourceType"] == "ManagedInstance" and one["LastPingDateTime"], one
    wants("InvalidFilterKey", ssm.describe_instance_information, Filters=[{"Key": "Colour", "Values": ["red"]}])
    wants("InvalidInstanceId", ssm.describe_instance_information, Filters=[{"Key": "InstanceIds", "Values": ["x"]}])
    wants("InvalidInstanceInformationFilterValue", ssm.describe_instance_information,
          Filters=[{"Key": "PingStatus", "Values": ["Sleepy"]}])
    wants("InvalidNextToken", ssm.describe_instance_information, NextToken="made-up")


@check
def devices_are_searched_by_text_name_tag_and_state():
    def search(expect=None, **body):
        return towline("SearchDevices", body, expect=expect) if expect else towline("SearchDevices", body)

    def ids(**body):
        return [d["InstanceId"] for d in search(**body)["InstanceInformationList"]]

    assert ids(TagFilters=[{"Key": "environment", "Values": ["dev"]}]) == [DEVICE]
    assert ids(Query="ENVIRONMENT=prod") == [OTHER] and ids(Query=f"{DEVICE} dev") == [DEVICE]
    assert ids(Query="100%") == [] and ids(Name="no such name") == []
    online = search(State="online")
    assert [d["InstanceId"] for d in online["InstanceInformationList"]] == [DEVICE] and online["TotalCount"] == 1, online
    assert OTHER in ids(State="offline") and DEVICE not in ids(State="offline")
    tagged = {"TagFilters": [{"Key": "Environment"}], "MaxResults": 1}
    first = search(**tagged)
    second = search(**tagged, NextToken=first["NextToken"])
    pages = [d["InstanceId"] for page in (first, second) for d in page["InstanceInformationList"]]
    assert pages == sorted([DEVICE, OTHER]) and "NextToken" not in second, (first, second)
    assert first["TotalCount"] == second["TotalCount"] == 2, (first, second)
    behind = search(TagFilters=[{"Key": "Environment"}], Skip=1)
    assert [d["InstanceId"] for d in behind["InstanceInformationList"]] == pages[1:] and behind["TotalCount"] == 2, behind
    assert search(TagFilters=[{"Key": "Environment"}], Skip=9)["InstanceInformationList"] == []
    search(Skip=1, NextToken=first["NextToken"], expect="ValidationException")
    search(State="sleepy", expect="ValidationException")
    search(NextToken="made-up", expect="InvalidNextToken")


@check
def tags_are_set_listed_and_removed():
    ssm = boto("ssm")
    of = {"ResourceType": "ManagedInstance", "ResourceId": DEVICE}
    ssm.add_tags_to_resource(**of, Tags=[{"Key": "Site", "Value": "a"}, {"Key": "Rack", "Value": ""}])
    ssm.add_tags_to_resource(**of, Tags=[{"Key": "Site", "Value": "b"}])
    tags = {t["Key"]: t["Value"] for t in ssm.list_tags_for_resource(**of)["TagList"]}
    assert tags == {"Environment": "dev", "Rack": "", "Site": "b"}, tags
    ssm.remove_tags_from_resource(**of, TagKeys=["Site", "Rack", "Never"])
    assert len(ssm.list_tags_for_resource(**of)["TagList"]) == 1
    many = [{"Key": f"k{n}", "Value": ""} for n in range(50)]
    wants("TooManyTagsError", ssm.add_tags_to_resource, **of, Tags=many)
    wants("InvalidResourceType", ssm.list_tags_for_resource, ResourceType="Parameter", ResourceId="x")
    wants("InvalidResourceId", ssm.list_tags_for_resource, ResourceType="ManagedInstance", ResourceId="x")
    wants("InvalidResourceId", ssm.add_tags_to_resource, ResourceType="ManagedInstance", ResourceId=UNKNOWN, Tags=[])
    wants("ValidationException", ssm.add_tags_to_resource, **of, Tags=[{"Key": "aws:x", "Value": ""}])


@check
def keys_of_a_device_are_listed_and_rotation_needs_a_link():
    keys = towline("ListDeviceKeys", {"InstanceId": OTHER})["DeviceKeys"]
    assert len(keys) == 1 and keys[0]["Status"] == "Active" and len(keys[0]["KeyFingerprint"]) == 64, keys
    towline("RotateDeviceKey", {"InstanceId": OTHER}, expect="TargetNotConnected")
    towline("ListDeviceKeys", {"InstanceId": UNKNOWN}, expect="InvalidInstanceId")
    towline("ApproveDevice", {"InstanceId": OTHER})
    towline("RenameDevice", {"InstanceId": OTHER, "Name": "x" * 257}, expect="ValidationException")
    towline("RenameDevice", {"InstanceId": OTHER, "Name": "renamed"})
    only = [{"Key": "InstanceIds", "Values": [OTHER]}]
    [other] = boto("ssm").describe_instance_information(Filters=only)["InstanceInformationList"]
    assert other["Name"] == "renamed", other
    wrong = {"InstanceId": OTHER, "KeyFingerprint": "0" * 64}
    towline("RevokeDeviceKey", wrong, expect="ResourceNotFoundException")


# ---- activations

@check
def an_activation_is_made_listed_and_deleted():
    ssm = boto("ssm")
    made = ssm.create_activation(
        IamRole="smoke", Description="for the test", DefaultInstanceName="box", RegistrationLimit=3,
        Tags=[{"Key": "Environment", "Value": "dev"}])
    activation = made["ActivationId"]
    assert len(made["ActivationCode"]) >= 20
    one = ssm.describe_activations(Filters=[{"FilterKey": "ActivationIds", "FilterValues": [activation]}])["ActivationList"]
    assert len(one) == 1 and one[0]["RegistrationLimit"] == 3 and one[0]["RegistrationsCount"] == 0, one
    assert one[0]["Tags"] == [{"Key": "Environment", "Value": "dev"}] and not one[0]["Expired"], one
    assert made["ActivationCode"] not in json.dumps(one, default=str)
    more = [ssm.create_activation(IamRole="paging")["ActivationId"] for _ in range(3)]
    pages = ssm.get_paginator("describe_activations").paginate(
        Filters=[{"FilterKey": "IamRole", "FilterValues": ["paging"]}], PaginationConfig={"PageSize": 1})
    assert sorted(a["ActivationId"] for p in pages for a in p["ActivationList"]) == sorted(more)
    for each in [activation, *more]:
        ssm.delete_activation(ActivationId=each)
    wants("InvalidActivation", ssm.delete_activation, ActivationId=activation)
    wants("ValidationException", ssm.delete_activation, ActivationId="x")
    wants("InvalidParameters", ssm.create_activation, IamRole="x", ExpirationDate=1)
    wants("ValidationException", ssm.create_activation, IamRole="x", RegistrationLimit=1001)
    extended = {"IamRole": "x", "TowlineRequireApproval": True, "TowlineSourceCidr": "10.0.0.0/8"}
    answer = raw("AmazonSSM.CreateActivation", extended)
    assert answer.status == 200, answer.body
    ssm.delete_activation(ActivationId=answer.body["ActivationId"])
    assert raw("AmazonSSM.CreateActivation", extended | {"TowlineSourceCidr": "10.0.0.0/99"}).code == "ValidationException"


# ---- principals

@check
def principals_keys_and_policies_are_administered():
    towline("CreatePrincipal", {"PrincipalName": "ann", "Tags": [{"Key": "Team", "Value": "edge"}]})
    towline("CreatePrincipal", {"PrincipalName": "ann"}, expect="ResourceAlreadyExistsException")
    assert "ann" in [p["PrincipalName"] for p in towline("ListPrincipals", {})["Principals"]]
    page = towline("ListPrincipals", {"MaxResults": 1})
    assert len(page["Principals"]) == 1 and page["NextToken"]

    key = towline("CreateAccessKey", {"PrincipalName": "ann"})["AccessKey"]
    ann = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    assert boto("sts", ann).get_caller_identity()["Arn"].endswith(":user/ann")
    listed = towline("ListAccessKeys", {"PrincipalName": "ann"})["AccessKeys"]
    assert listed[0]["LastUsedDate"] and "SecretAccessKey" not in listed[0], listed
    towline("CreateAccessKey", {"PrincipalName": "ann"})
    towline("CreateAccessKey", {"PrincipalName": "ann"}, expect="ServiceQuotaExceededException")

    towline("UpdateAccessKey", {"PrincipalName": "ann", "AccessKeyId": ann.access_key, "Status": "Inactive"})
    wants("InvalidClientTokenId", boto("sts", ann).get_caller_identity)
    towline("UpdateAccessKey", {"PrincipalName": "ann", "AccessKeyId": ann.access_key, "Status": "Active"})
    boto("sts", ann).get_caller_identity()
    towline("DeleteAccessKey", {"PrincipalName": "ann", "AccessKeyId": ann.access_key})
    wants("InvalidClientTokenId", boto("sts", ann).get_caller_identity)

    policy = {"PrincipalName": "ann", "PolicyName": "p", "PolicyDocument": json.dumps(allow("ssm:*"))}
    towline("PutPrincipalPolicy", policy)
    assert towline("GetPrincipalPolicy", {"PrincipalName": "ann", "PolicyName": "p"}) == policy
    assert towline("ListPrincipalPolicies", {"PrincipalName": "ann"})["PolicyNames"] == ["p"]
    bad = policy | {"PolicyDocument": '{"Version": "2012-10-17", "Statement": [{"Effect": "Maybe"}]}'}
    towline("PutPrincipalPolicy", bad, expect="MalformedPolicyDocument")
    typo = policy | {"PolicyDocument": json.dumps(allow("ssm:*", StringEquals={"ssm:resorceTag/x": "y"}))}
    towline("PutPrincipalPolicy", typo, expect="MalformedPolicyDocument")
    towline("DeletePrincipalPolicy", {"PrincipalName": "ann", "PolicyName": "p"})
    towline("DeletePrincipalPolicy", {"PrincipalName": "ann", "PolicyName": "p"}, expect="ResourceNotFoundException")
    towline("DeletePrincipal", {"PrincipalName": "admin"}, expect="ValidationException")
    towline("DeletePrincipal", {"PrincipalName": "ann"})
    towline("DeletePrincipal", {"PrincipalName": "ann"}, expect="ResourceNotFoundException")


# ---- policy

@check
def the_published_policy_for_one_environment_works_verbatim():
    folder = pathlib.Path(__file__).resolve().parents[3]
    text = (folder / "crates/policy/tests/fixtures/environment-dev.json").read_text()
    dev = new_user("developer", text)
    ssm = boto("ssm", dev)
    session = ssm.start_session(Target=DEVICE)["SessionId"]
    assert session.startswith("developer-")
    ssm.terminate_session(SessionId=session)
    message = wants("AccessDeniedException", ssm.start_session, Target=OTHER)
    for part in ["user/developer", "ssm:StartSession", OTHER]:
        assert part in message, message
    wants("AccessDeniedException", ssm.start_session, Target=UNKNOWN)
    wants("AccessDeniedException", ssm.describe_instance_information)
    wants("AccessDeniedException", ssm.start_session, Target=DEVICE, DocumentName="SSM-SessionManagerRunShell")
    of = {"ResourceType": "ManagedInstance", "ResourceId": OTHER}
    wants("AccessDeniedException", ssm.add_tags_to_resource, **of, Tags=[{"Key": "Environment", "Value": "dev"}])
    towline("CreatePrincipal", {"PrincipalName": "x"}, credentials=dev, expect="AccessDeniedException")
    towline("DeletePrincipal", {"PrincipalName": "developer"})


@check
def a_named_document_needs_a_right_of_its_own():
    device = allow("ssm:StartSession", f"arn:aws:ssm:*:*:managed-instance/{DEVICE}")
    document = allow("ssm:StartSession", "arn:aws:ssm:*:*:document/Towline-Exec")
    exec_only = {"Target": DEVICE, "DocumentName": "Towline-Exec", "Parameters": {"argv": ["true"]}}
    without, with_document = new_user("nodoc", device), new_user("withdoc", device, document)
    wants("AccessDeniedException", boto("ssm", without).start_session, **exec_only)
    boto("ssm", with_document).start_session(**exec_only)
    boto("ssm", without).start_session(Target=DEVICE)
    checked = allow("ssm:StartSession", f"arn:aws:ssm:*:*:managed-instance/{DEVICE}",
                    BoolIfExists={"ssm:SessionDocumentAccessCheck": "true"})
    strict = new_user("strict", checked)
    wants("AccessDeniedException", boto("ssm", strict).start_session, Target=DEVICE)
    for name in ["nodoc", "withdoc", "strict"]:
        towline("DeletePrincipal", {"PrincipalName": name})


@check
def a_user_ends_her_own_sessions_and_no_others():
    own = allow(["ssm:TerminateSession", "ssm:ResumeSession"], "arn:aws:ssm:*:*:session/${aws:username}-*")
    eve = new_user("eve", own, allow("ssm:StartSession"))
    ssm = boto("ssm", eve)
    mine = ssm.start_session(Target=DEVICE)["SessionId"]
    theirs = boto("ssm").start_session(Target=DEVICE)["SessionId"]
    wants("AccessDeniedException", ssm.terminate_session, SessionId=theirs)
    wants("AccessDeniedException", ssm.resume_session, SessionId=theirs)
    ssm.terminate_session(SessionId=mine)
    boto("ssm").terminate_session(SessionId=theirs)
    towline("DeletePrincipal", {"PrincipalName": "eve"})


@check
def a_user_whose_name_begins_anothers_does_not_own_her_sessions():
    own = allow(["ssm:TerminateSession", "ssm:ResumeSession"],
                ["arn:aws:ssm:*:*:session/${aws:username}-*", "arn:aws:ssm:*:*:session/${aws:userid}-*"])
    short, long = new_user("ann", own), new_user("ann-lee", own, allow("ssm:StartSession"))
    session = boto("ssm", long).start_session(Target=DEVICE)["SessionId"]
    wants("AccessDeniedException", boto("ssm", short).terminate_session, SessionId=session)
    boto("ssm", long).terminate_session(SessionId=session)
    for name in ["ann", "ann-lee"]:
        towline("DeletePrincipal", {"PrincipalName": name})


@check
def the_circumstances_of_a_request_are_told_to_policy():
    request = {"ResourceType": "ManagedInstance", "ResourceId": DEVICE, "Tags": [{"Key": "Site", "Value": "a"}]}
    towline("CreatePrincipal", {"PrincipalName": "cora", "Tags": [{"Key": "Team", "Value": "edge"}]})
    key = towline("CreateAccessKey", {"PrincipalName": "cora"})["AccessKey"]
    ssm = boto("ssm", Credentials(key["AccessKeyId"], key["SecretAccessKey"]))

    def decide(operator, name, value):
        policy = json.dumps(allow("ssm:AddTagsToResource", **{operator: {name: value}}))
        towline("PutPrincipalPolicy", {"PrincipalName": "cora", "PolicyName": "p", "PolicyDocument": policy})

    for operator, name, right, wrong in [
        ("IpAddress", "aws:SourceIp", ["127.0.0.0/8", "::1/128"], "192.0.2.0/24"),
        ("DateGreaterThan", "aws:CurrentTime", "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"),
        ("NumericGreaterThan", "aws:EpochTime", "1577836800", "4102444800"),
        ("Bool", "aws:SecureTransport", "true", "false"),
        ("StringLike", "aws:UserAgent", "*Boto3*", "*curl*"),
        ("StringEquals", "aws:PrincipalTag/Team", "edge", "core"),
        ("StringEquals", "aws:username", "cora", "dora"),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*", "arn:aws:iam::*:role/*"),
        ("StringEquals", "aws:RequestedRegion", REGION, "elsewhere"),
        ("ForAnyValue:StringEquals", "aws:TagKeys", "Site", "Environment"),
        ("StringEquals", "aws:RequestTag/Site", "a", "b"),
        ("StringEquals", "aws:ResourceTag/Environment", "dev", "prod"),
        ("StringEquals", "ssm:resourceTag/Environment", "dev", "prod"),
    ]:
        decide(operator, name, right)
        ssm.add_tags_to_resource(**request)
        decide(operator, name, wrong)
        wants("AccessDeniedException", ssm.add_tags_to_resource, **request)
    boto("ssm").remove_tags_from_resource(ResourceType="ManagedInstance", ResourceId=DEVICE, TagKeys=["Site"])
    towline("DeletePrincipal", {"PrincipalName": "cora"})


@check
def a_refusal_names_statements_only_to_those_who_may_read_their_policies():
    deny = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"},
        {"Sid": "NotThisOne", "Effect": "Deny", "Action": "ssm:StartSession", "Resource": "*"}]}
    blind, seeing = new_user("blind", deny), new_user("seeing", deny, allow("towline:GetPrincipalPolicy"))
    message = wants("AccessDeniedException", boto("ssm", blind).start_session, Target=DEVICE)
    assert "explicit deny" in message and "NotThisOne" not in message, message
    message = wants("AccessDeniedException", boto("ssm", seeing).start_session, Target=DEVICE)
    assert "NotThisOne" in message, message
    for name in ["blind", "seeing"]:
        towline("DeletePrincipal", {"PrincipalName": name})


# ---- identity providers; their tokens are in web_identity.py

@check
def identity_providers_are_made_shown_changed_and_removed():
    wanted = {"ProviderName": "smoke", "Issuer": "https://id.example/smoke", "Audiences": ["towline"],
              "ClientId": "gateway", "ClientSecret": "hush", "GroupsClaim": "realm_access.roles"}
    made = towline("CreateIdentityProvider", wanted)["IdentityProvider"]
    assert made["Arn"].endswith(":oidc-provider/id.example/smoke") and made["HasClientSecret"], made
    assert "hush" not in json.dumps(made), made
    assert made["RedirectAddress"] == "Own" and "OwnRedirectUri" not in made, made
    shared = {"ProviderName": "smoke", "RedirectAddress": "Shared"}
    moved = towline("UpdateIdentityProvider", shared)["IdentityProvider"]
    assert moved["RedirectAddress"] == "Shared" and moved["ClientId"] == "gateway", moved
    towline("CreateIdentityProvider", wanted | {"ProviderName": "next", "Issuer": "https://id.example/next"} | {
        "RedirectAddress": "Shared"}, expect="ResourceAlreadyExistsException")
    towline("UpdateIdentityProvider", shared | {"RedirectAddress": "Elsewhere"}, expect="ValidationException")
    towline("UpdateIdentityProvider", shared | {"RedirectAddress": "Own"})
    towline("CreateIdentityProvider", wanted, expect="ResourceAlreadyExistsException")
    towline("CreateIdentityProvider", wanted | {"Issuer": "file:///etc"}, expect="ValidationException")
    towline("CreateIdentityProvider", wanted | {"GroupsClaim": "a..b"}, expect="ValidationException")
    towline("CreateIdentityProvider", wanted | {"DefaultRole": "nobody"}, expect="ValidationException")
    assert "smoke" in [p["ProviderName"] for p in towline("ListIdentityProviders", {})["IdentityProviders"]]
    answer = towline("UpdateIdentityProvider", {"ProviderName": "smoke", "Audiences": ["other"]})
    assert (answer["LiveSessions"], answer["EndedSessions"]) == (0, 0), answer
    changed = answer["IdentityProvider"]
    assert changed["Audiences"] == ["other"] and changed["HasClientSecret"] and "ClientId" not in changed, changed
    assert towline("GetIdentityProvider", {"ProviderName": "smoke"})["IdentityProvider"] == changed
    assert towline("ListFederatedPeople", {"ProviderName": "smoke"})["People"] == []
    nobody = {"ProviderName": "smoke", "Subject": "nobody", "Status": "Blocked"}
    towline("UpdateFederatedPerson", nobody, expect="ResourceNotFoundException")
    assert changed["Status"] == "Enabled", changed
    for status in ["Disabled", "Enabled"]:
        answer = towline("UpdateIdentityProviderStatus", {"ProviderName": "smoke", "Status": status})
        assert (answer["LiveSessions"], answer["EndedSessions"]) == (0, 0), answer
        now = towline("GetIdentityProvider", {"ProviderName": "smoke"})["IdentityProvider"]
        assert now == changed | {"Status": status}, now
    towline("UpdateIdentityProviderStatus", {"ProviderName": "smoke", "Status": "Off"}, expect="ValidationException")
    towline("DeleteIdentityProvider", {"ProviderName": "smoke"})
    towline("UpdateIdentityProviderStatus", {"ProviderName": "smoke", "Status": "Disabled"},
            expect="ResourceNotFoundException")
    towline("GetIdentityProvider", {"ProviderName": "smoke"}, expect="ResourceNotFoundException")


# ---- errors of every class

@check
def a_browsers_sign_in_is_made_by_a_key_and_read_by_its_cookie_alone():
    made = towline("CreateSignIn", {})
    assert made["PrincipalName"] == "admin" and made["CsrfToken"], made
    towline("GetSignIn", {}, expect="ValidationException")
    towline("DeleteSignIn", {}, expect="ValidationException")
    link = {"PrincipalName": "admin", "Secret": "guessed"}
    towline("RedeemSignInLink", link, expect="ValidationException")
    towline("ProveSecondFactor", {"TokenCode": "123456"}, expect="ValidationException")
    code = {"UserCode": "BCDF-GHJK"}
    towline("GetSignInRequest", code, expect="ValidationException")
    towline("DecideSignInRequest", code | {"Decision": "Approve"}, expect="ValidationException")


@check
def the_state_of_the_gateway_is_shown():
    health = towline("GetHealth", {})
    assert health["Ready"] is True, health
    [node] = health["Nodes"]
    assert isinstance(node["Links"], int) and node["Version"], node
    assert health["Certificate"]["NotAfter"] > time.time(), health
    assert {"Name": "active"}.items() <= health["Devices"][0].items(), health


@check
def an_unsigned_request_is_refused():
    assert raw("AmazonSSM.DescribeSessions", {}, sign=False).code == "MissingAuthenticationTokenException"


@check
def a_wrong_secret_is_refused():
    wrong = Credentials(ADMIN.access_key, "x" * 40)
    wants("InvalidSignatureException", boto("ssm", wrong).describe_instance_information)
    wants("SignatureDoesNotMatch", boto("sts", wrong).get_caller_identity)


@check
def an_unknown_key_is_refused():
    nobody = Credentials("AKIA" + "A" * 16, "x" * 40)
    wants("UnrecognizedClientException", boto("ssm", nobody).describe_instance_information)
    temporary = Credentials(ADMIN.access_key, ADMIN.secret_key, token="made-up")
    assert raw("AmazonSSM.DescribeSessions", {"State": "Active"}, temporary).code == "UnrecognizedClientException"


@check
def a_skewed_clock_is_told():
    for offset in (-3600, 3600):
        answer = raw("AmazonSSM.DescribeSessions", {"State": "Active"}, clock_offset=offset)
        assert answer.code == "InvalidSignatureException" and "Signature" in answer.body["message"], answer.body
    assert raw("AmazonSSM.DescribeSessions", {"State": "Active"}, clock_offset=-240).status == 200


@check
def a_request_that_was_changed_on_its_way_is_refused():
    def retarget(headers):
        headers["X-Amz-Target"] = "AmazonSSM.DescribeActivations"

    assert raw("AmazonSSM.DescribeSessions", {"State": "Active"}, change=retarget).code == "InvalidSignatureException"

    def garble(headers):
        headers["Authorization"] = "AWS4-HMAC-SHA256 nonsense"

    assert raw("AmazonSSM.DescribeSessions", {}, change=garble).code == "IncompleteSignatureException"
    assert raw("AmazonSSM.DescribeSessions", {"State": "Active"}, service="sts").code == "InvalidSignatureException"


@check
def malformed_requests_have_the_codes_of_aws():
    target = "AmazonSSM.StartSession"
    assert raw(target, b"{not json").code == "SerializationException"
    assert raw(target, b'"text"').code == "SerializationException"
    assert raw(target, {"Target": 7}).code == "SerializationException"
    assert raw(target, {}).code == "ValidationException"
    assert raw(target, {"Target": "x" * 401}).code == "ValidationException"
    assert raw(target, {"Target": DEVICE, "Reason": "r" * 257}).code == "ValidationException"
    assert raw(target, {"Target": DEVICE, "Reason": "two\nlines"}).code == "ValidationException"
    assert raw(target, {"Target": DEVICE, "Unknown": 1, "DocumentName": "?"}).code == "ValidationException"
    assert raw("AmazonSSM.NoSuchOperation", {}).code == "UnknownOperationException"
    assert raw("Other.StartSession", {}).code == "UnknownOperationException"
    assert raw("AmazonSSM.DescribeSessions", b"{" + b" " * (1024 * 1024) + b"}").code == "SerializationException"
    elsewhere = raw("AmazonSSM.DescribeSessions", {}, path="/elsewhere")
    assert elsewhere.status == 404 and elsewhere.code == "UnknownOperationException", elsewhere.body


@check
def what_was_done_is_looked_up_in_the_form_of_cloudtrail():
    trail = boto("cloudtrail")
    events = trail.lookup_events(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "StartSession"}])["Events"]
    assert events and all(event["EventName"] == "StartSession" for event in events), events
    times = [event["EventTime"] for event in events]
    assert times == sorted(times, reverse=True), times
    whole = json.loads(events[0]["CloudTrailEvent"])
    assert whole["eventSource"] == "ssm.amazonaws.com" and whole["userIdentity"]["type"] in ("IAMUser", "Unknown"), whole
    assert whole["eventTime"].endswith("Z") and "." not in whole["eventTime"], whole
    pages = trail.get_paginator("lookup_events").paginate(PaginationConfig={"PageSize": 7, "MaxItems": 40})
    ids = [event["EventId"] for page in pages for event in page["Events"]]
    assert len(ids) == len(set(ids)) == 40, ids
    nobody = trail.lookup_events(LookupAttributes=[{"AttributeKey": "Username", "AttributeValue": "no-such-user"}])
    assert nobody["Events"] == [], nobody
    # One that policy was asked about; somebody without a signature has neither a name nor a resource.
    chosen, whole = next((e, w) for e in events if "resources" in (w := json.loads(e["CloudTrailEvent"])) and e.get("AccessKeyId"))
    resource = whole["resources"][0]
    found_by = {
        "EventId": whole["eventID"], "EventName": "StartSession", "EventSource": "ssm.amazonaws.com", "ReadOnly": "false",
        "Username": chosen["Username"], "AccessKeyId": chosen["AccessKeyId"],
        "ResourceType": resource["type"], "ResourceName": resource["ARN"].rsplit("/", 1)[-1],
    }
    for key, value in found_by.items():
        page = trail.lookup_events(LookupAttributes=[{"AttributeKey": key, "AttributeValue": value}])
        while whole["eventID"] not in [event["EventId"] for event in page["Events"]]:
            assert page.get("NextToken"), (key, value)
            page = trail.lookup_events(LookupAttributes=[{"AttributeKey": key, "AttributeValue": value}], NextToken=page["NextToken"])
    assert trail.lookup_events(EndTime=datetime.datetime(2001, 1, 1))["Events"] == []
    two = [{"AttributeKey": "Username", "AttributeValue": "a"}, {"AttributeKey": "EventName", "AttributeValue": "b"}]
    wants("ValidationException", trail.lookup_events, LookupAttributes=two)


@check
def a_forgotten_device_is_gone():
    ssm = boto("ssm")
    wants("InvalidInstanceId", ssm.deregister_managed_instance, InstanceId=UNKNOWN)
    wants("ValidationException", ssm.deregister_managed_instance, InstanceId="x")
    ssm.deregister_managed_instance(InstanceId=OTHER)
    wants("InvalidInstanceId", ssm.deregister_managed_instance, InstanceId=OTHER)
    listed = ssm.describe_instance_information()["InstanceInformationList"]
    assert OTHER not in [d["InstanceId"] for d in listed]


if __name__ == "__main__":
    run()
