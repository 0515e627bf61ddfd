#!/usr/bin/env python3
"""Temporary credentials, roles, groups, boundaries, access with approval, and questions to the policies, with real boto3.

Needs the environment of towline_client and TOWLINE_DEVICE, which is connected and tagged Environment=dev.
"""
import base64
import datetime
import hmac
import json
import struct
import time

from botocore.credentials import Credentials

from checks import DEVICE, allow, check, new_user, run, wants
from towline_client import ADMIN, boto, raw, towline

ACCOUNT = boto("sts").get_caller_identity()["Account"]


def role_arn(name):
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def trust(principal, action="sts:AssumeRole", **condition):
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action}
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def new_role(name, trust_policy, *policies, **more):
    towline("CreatePrincipal", {"PrincipalName": name, "PrincipalType": "Role", "TrustPolicyDocument": trust_policy} | more)
    for number, policy in enumerate(policies):
        towline("PutPrincipalPolicy", {"PrincipalName": name, "PrincipalType": "Role", "PolicyName": f"p{number}",
                                       "PolicyDocument": json.dumps(policy)})


def drop(*users, roles=(), groups=()):
    for kind, names in [("User", users), ("Role", roles), ("Group", groups)]:
        for name in names:
            towline("DeletePrincipal", {"PrincipalName": name, "PrincipalType": kind})


def of(answer):
    made = answer["Credentials"]
    expires = made.get("Expiration") or made["ExpirationTime"]
    assert expires > datetime.datetime.now(datetime.timezone.utc), made
    assert made["AccessKeyId"].startswith("ASIA"), made["AccessKeyId"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


@check
def a_token_of_an_unknown_provider_gives_nothing():
    asked = dict(RoleArn=role_arn("job"), RoleSessionName="job", WebIdentityToken="header.claims.signature")
    wants("InvalidIdentityToken", boto("sts").assume_role_with_web_identity, **asked)


@check
def a_recording_that_is_not_there_is_missed():
    towline("GetRecording", {"SessionId": "admin-0123456789abcdefg"}, expect="DoesNotExistException")
    towline("WatchSession", {"SessionId": "admin-0123456789abcdefg"}, expect="DoesNotExistException")
    towline("WatchSession", {"SessionId": ""}, expect="ValidationException")
    towline("JoinSession", {"SessionId": "admin-0123456789abcdefg"}, expect="DoesNotExistException")
    message = {"SessionId": "admin-0123456789abcdefg", "Message": "hello"}
    towline("SendSessionMessage", message, expect="DoesNotExistException")
    towline("SendSessionMessage", {**message, "Message": "two\nlines"}, expect="ValidationException")
    unknown = {"SessionId": "admin-0123456789abcdefg"}
    towline("VerifyRecording", unknown, expect="DoesNotExistException")
    assert "Commands" in towline("SearchSessionCommands", {"Query": "no such program"})
    towline("SearchSessionCommands", {"Query": ""}, expect="ValidationException")
    towline("GetRecordingIndex", unknown, expect="DoesNotExistException")
    towline("GetRecording", {**unknown, "Length": 0}, expect="ValidationException")
    towline("ListSessionCommands", unknown, expect="DoesNotExistException")
    towline("GetRecording", {"SessionId": "../x"}, expect="DoesNotExistException")


@check
def a_session_token_is_its_user_for_a_time():
    ann = new_user("ann", allow("ssm:StartSession"))
    key = towline("ListAccessKeys", {"PrincipalName": "ann"})["AccessKeys"][0]["AccessKeyId"]
    temporary = of(boto("sts", ann).get_session_token(DurationSeconds=900))
    assert boto("sts", temporary).get_caller_identity()["Arn"].endswith(":user/ann")
    boto("ssm", temporary).start_session(Target=DEVICE)
    wants("AccessDenied", boto("sts", temporary).get_session_token)
    wants("AccessDenied", boto("sts", ann).get_session_token, SerialNumber="arn:aws:iam::1:mfa/x", TokenCode="123456")
    wants("ValidationError", boto("sts", ann).get_session_token, DurationSeconds=899)
    without = Credentials(temporary.access_key, temporary.secret_key)
    swapped = Credentials(ann.access_key, ann.secret_key, temporary.token)
    spoiled = Credentials(temporary.access_key, temporary.secret_key, "A" + temporary.token[1:])
    for wrong in [without, swapped, spoiled]:
        wants("InvalidClientTokenId", boto("sts", wrong).get_caller_identity)
        wants("UnrecognizedClientException", boto("ssm", wrong).start_session, Target=DEVICE)
    wants("SignatureDoesNotMatch", boto("sts", Credentials(temporary.access_key, "x" * 40, temporary.token)).get_caller_identity)
    towline("UpdateAccessKey", {"PrincipalName": "ann", "AccessKeyId": key, "Status": "Inactive"})
    wants("UnrecognizedClientException", boto("ssm", temporary).start_session, Target=DEVICE)
    drop("ann")


@check
def a_role_is_assumed_by_whom_it_trusts_and_nobody_else():
    may = allow("sts:AssumeRole", role_arn("ops"))
    ann, bob, eve = new_user("ann", may), new_user("bob", may), new_user("eve")
    new_role("ops", trust([f"arn:aws:iam::{ACCOUNT}:user/ann", f"arn:aws:iam::{ACCOUNT}:user/eve"]), allow("ssm:StartSession"))
    new_role("all", trust(f"arn:aws:iam::{ACCOUNT}:root"), allow("ssm:StartSession"))

    def assume(who, role="ops", **more):
        return boto("sts", who).assume_role(RoleArn=role_arn(role), RoleSessionName="shift-1", **more)

    answer = assume(ann)
    temporary = of(answer)
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/shift-1"
    assert answer["AssumedRoleUser"]["Arn"] == arn, answer
    identity = boto("sts", temporary).get_caller_identity()
    assert identity["Arn"] == arn and identity["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"], identity
    session = boto("ssm", temporary).start_session(Target=DEVICE)["SessionId"]
    assert session.startswith("shift-1-"), session
    wants("AccessDeniedException", boto("ssm", temporary).describe_sessions, State="Active")
    assume(eve)  # a trust policy that names the user is enough
    wants("AccessDenied", assume, bob)
    wants("AccessDenied", assume, bob, role="all")  # the account alone leaves it to bob's own policies
    wants("AccessDenied", assume, ann, role="none")
    wants("ValidationError", assume, ann, DurationSeconds=3601)
    wants("ValidationError", assume, ann, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/X"}])
    towline("UpdateRole", {"PrincipalName": "ops", "MaxSessionDuration": 7200})
    assume(ann, DurationSeconds=7200)
    towline("UpdateRole", {"PrincipalName": "ops", "TrustPolicyDocument": "{}"}, expect="MalformedPolicyDocument")
    listed = towline("ListPrincipals", {"PrincipalType": "Role"})["Principals"]
    assert [(p["PrincipalName"], p["MaxSessionDuration"]) for p in listed] == [("all", 3600), ("ops", 7200)], listed
    drop("ann", "bob", "eve", roles=["ops", "all"])
    wants("UnrecognizedClientException", boto("ssm", temporary).start_session, Target=DEVICE)
    new_role("ops", trust("*"), allow("ssm:*"))
    wants("UnrecognizedClientException", boto("ssm", temporary).start_session, Target=DEVICE)
    drop(roles=["ops"])


@check
def a_session_policy_narrows_and_tags_and_words_are_asked_for():
    ann = new_user("ann", allow(["sts:AssumeRole", "sts:TagSession"]))
    words = {"StringEquals": {"sts:ExternalId": "secret-word"}}
    new_role("narrow", trust(f"arn:aws:iam::{ACCOUNT}:user/ann", ["sts:AssumeRole", "sts:TagSession"], **words),
             allow(["ssm:StartSession", "ssm:DescribeSessions"], StringEquals={"aws:PrincipalTag/Team": "edge"}))

    def assume(**more):
        return boto("sts", ann).assume_role(RoleArn=role_arn("narrow"), RoleSessionName="ann", **more)

    wants("AccessDenied", assume)
    wants("AccessDenied", assume, ExternalId="other")
    untagged = boto("ssm", of(assume(ExternalId="secret-word")))
    wants("AccessDeniedException", untagged.describe_sessions, State="Active")
    tags = {"Tags": [{"Key": "Team", "Value": "edge"}], "ExternalId": "secret-word"}
    tagged = boto("ssm", of(assume(**tags)))
    tagged.describe_sessions(State="Active")
    tagged.start_session(Target=DEVICE)
    narrow = boto("ssm", of(assume(**tags, Policy=json.dumps(allow(["ssm:StartSession", "ssm:CreateActivation"])))))
    narrow.start_session(Target=DEVICE)
    wants("AccessDeniedException", narrow.describe_sessions, State="Active")
    wants("AccessDeniedException", narrow.create_activation, IamRole="x")
    wants("MalformedPolicyDocument", assume, **tags, Policy="{}")
    drop("ann", roles=["narrow"])


@check
def who_holds_a_role_under_a_users_name_does_not_own_her_sessions():
    own = allow(["ssm:TerminateSession"], ["arn:aws:ssm:*:*:session/${aws:username}-*", "arn:aws:ssm:*:*:session/ann-*"],
                StringLike={"ssm:resourceTag/aws:ssmmessages:session-id": "${aws:userid}"})
    ann = new_user("ann", allow("ssm:StartSession"), own)
    new_role("ops", trust("*"), allow("ssm:StartSession"), own)
    holder = of(boto("sts", ann).assume_role(RoleArn=role_arn("ops"), RoleSessionName="ann"))
    hers = boto("ssm", ann).start_session(Target=DEVICE)["SessionId"]
    its = boto("ssm", holder).start_session(Target=DEVICE)["SessionId"]
    assert hers.startswith("ann-") and its.startswith("ann-")
    wants("AccessDeniedException", boto("ssm", holder).terminate_session, SessionId=hers)
    wants("AccessDeniedException", boto("ssm", ann).terminate_session, SessionId=its)
    boto("ssm", holder).terminate_session(SessionId=its)
    boto("ssm", ann).terminate_session(SessionId=hers)
    drop("ann", roles=["ops"])


@check
def a_group_gives_its_policies_to_its_members():
    towline("CreatePrincipal", {"PrincipalName": "edge", "PrincipalType": "Group"})
    policy = {"PrincipalName": "edge", "PrincipalType": "Group", "PolicyName": "p", "PolicyDocument": json.dumps(allow("ssm:StartSession"))}
    towline("PutPrincipalPolicy", policy)
    assert towline("GetPrincipalPolicy", {k: policy[k] for k in ["PrincipalName", "PrincipalType", "PolicyName"]}) == policy
    ann = new_user("ann")
    ssm = boto("ssm", ann)
    wants("AccessDeniedException", ssm.start_session, Target=DEVICE)
    towline("AddGroupMember", {"GroupName": "edge", "PrincipalName": "ann"})
    ssm.start_session(Target=DEVICE)
    listed = towline("ListPrincipals", {"PrincipalType": "Group"})["Principals"]
    assert [(p["PrincipalName"], p["Members"]) for p in listed] == [("edge", ["ann"])], listed
    towline("RemoveGroupMember", {"GroupName": "edge", "PrincipalName": "ann"})
    wants("AccessDeniedException", ssm.start_session, Target=DEVICE)
    towline("RemoveGroupMember", {"GroupName": "edge", "PrincipalName": "ann"}, expect="ResourceNotFoundException")
    towline("AddGroupMember", {"GroupName": "edge", "PrincipalName": "nobody"}, expect="ResourceNotFoundException")
    towline("CreateAccessKey", {"PrincipalName": "edge", "PrincipalType": "Group"}, expect="ValidationException")
    drop("ann", groups=["edge"])


@check
def a_boundary_limits_what_policies_give_and_gives_nothing():
    ann = new_user("ann", allow("ssm:*"))
    ssm = boto("ssm", ann)
    boundary = {"PrincipalName": "ann", "PolicyDocument": json.dumps(allow("ssm:StartSession"))}
    towline("PutPrincipalBoundary", boundary)
    assert towline("GetPrincipalBoundary", {"PrincipalName": "ann"}) == boundary
    ssm.start_session(Target=DEVICE)
    wants("AccessDeniedException", ssm.describe_sessions, State="Active")
    assert [p["HasBoundary"] for p in towline("ListPrincipals", {})["Principals"] if p["PrincipalName"] == "ann"] == [True]
    towline("DeletePrincipalPolicy", {"PrincipalName": "ann", "PolicyName": "p0"})
    wants("AccessDeniedException", ssm.start_session, Target=DEVICE)
    towline("PutPrincipalBoundary", boundary | {"PolicyDocument": "{}"}, expect="MalformedPolicyDocument")
    towline("DeletePrincipalBoundary", {"PrincipalName": "ann"})
    towline("GetPrincipalBoundary", {"PrincipalName": "ann"}, expect="ResourceNotFoundException")
    drop("ann")


@check
def the_time_of_a_token_is_told_to_policy():
    deny_old = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ssm:StartSession", "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"DateLessThan": {"aws:TokenIssueTime": "2099-01-01T00:00:00Z"}}}]}
    ann = new_user("ann", deny_old)
    boto("ssm", ann).start_session(Target=DEVICE)  # a long-lived key has no such time
    temporary = of(boto("sts", ann).get_session_token())
    wants("AccessDeniedException", boto("ssm", temporary).start_session, Target=DEVICE)
    drop("ann")


@check
def access_is_asked_for_approved_used_and_taken_back():
    ask = allow(["ssm:StartAccessRequest", "ssm:GetAccessToken"])
    ann, boss = new_user("ann", ask), new_user("boss", allow("towline:ApproveAccessRequest"), ask)
    ssm = boto("ssm", ann)
    target = {"Reason": "pump 7 leaks", "Targets": [{"Key": "InstanceIds", "Values": [DEVICE]}]}
    wants("AccessDeniedException", ssm.start_session, Target=DEVICE)
    first = ssm.start_access_request(**target)["AccessRequestId"]
    assert ssm.get_access_token(AccessRequestId=first)["AccessRequestStatus"] == "Pending"
    wants("ResourceNotFoundException", boto("ssm", boss).get_access_token, AccessRequestId=first)
    towline("ApproveAccessRequest", {"AccessRequestId": first}, credentials=ann, expect="AccessDeniedException")
    towline("ApproveAccessRequest", {"AccessRequestId": first, "Minutes": 15}, credentials=boss)
    towline("ApproveAccessRequest", {"AccessRequestId": first, "Decision": "Reject"}, credentials=boss, expect="ValidationException")
    given = ssm.get_access_token(AccessRequestId=first)
    assert given["AccessRequestStatus"] == "Approved", given
    temporary = boto("ssm", of(given))
    session = temporary.start_session(Target=DEVICE)["SessionId"]
    shown = boto("ssm").describe_sessions(State="Active", Filters=[{"key": "AccessType", "value": "JustInTime"}])["Sessions"]
    assert [(s["SessionId"], s["AccessType"]) for s in shown] == [(session, "JustInTime")], shown
    temporary.terminate_session(SessionId=session)
    wants("AccessDeniedException", temporary.describe_instance_information)
    wants("AccessDeniedException", ssm.start_session, Target=DEVICE)
    towline("ApproveAccessRequest", {"AccessRequestId": first, "Decision": "Revoke"}, credentials=boss)
    wants("ExpiredTokenException", temporary.start_session, Target=DEVICE)
    assert ssm.get_access_token(AccessRequestId=first)["AccessRequestStatus"] == "Revoked"

    by_tag = {"Reason": "r", "Targets": [{"Key": "tag:Environment", "Values": ["dev"]}]}
    second = ssm.start_access_request(**by_tag)["AccessRequestId"]
    towline("ApproveAccessRequest", {"AccessRequestId": second}, credentials=boss)
    boto("ssm", of(ssm.get_access_token(AccessRequestId=second))).start_session(Target=DEVICE)
    own = boto("ssm", boss).start_access_request(**target)["AccessRequestId"]
    towline("ApproveAccessRequest", {"AccessRequestId": own}, credentials=boss, expect="ValidationException")
    listed = towline("ListAccessRequests", {})["AccessRequests"]
    assert [r["Status"] for r in listed] == ["Pending", "Approved", "Revoked"], listed
    page = towline("ListAccessRequests", {"MaxResults": 2})
    rest = towline("ListAccessRequests", {"MaxResults": 2, "NextToken": page["NextToken"]})
    assert [r["AccessRequestId"] for r in page["AccessRequests"] + rest["AccessRequests"]] == [own, second, first]
    wants("ValidationException", ssm.start_access_request, Reason="r", Targets=[{"Key": "InstanceIds", "Values": ["x"]}])
    wants("ResourceNotFoundException", ssm.get_access_token, AccessRequestId="oi-000000000000")
    again = ssm.start_access_request(**target)["AccessRequestId"]
    wants("ResourceAlreadyExistsException", ssm.start_access_request, **target)  # one at a time for a device
    towline("ApproveAccessRequest", {"AccessRequestId": again, "Decision": "Reject"}, credentials=boss)

    def of_site(number):
        return {"Reason": "r", "Targets": [{"Key": "tag:Site", "Values": [f"s{number}"]}]}

    for number in range(10):
        ssm.start_access_request(**of_site(number))
    wants("ServiceQuotaExceededException", ssm.start_access_request, **of_site(10))
    drop("ann", "boss")


@check
def an_empty_run_as_tag_makes_nobody_the_user_of_the_agent():
    rights = allow(["ssm:StartSession", "ssm:SendCommand"])
    towline("CreatePrincipal", {"PrincipalName": "tagged", "Tags": [{"Key": "SSMSessionRunAs", "Value": ""}]})
    towline("PutPrincipalPolicy", {"PrincipalName": "tagged", "PolicyName": "p", "PolicyDocument": json.dumps(rights)})
    key = towline("CreateAccessKey", {"PrincipalName": "tagged"})["AccessKey"]
    ssm = boto("ssm", Credentials(key["AccessKeyId"], key["SecretAccessKey"]))
    wants("AccessDeniedException", ssm.start_session, Target=DEVICE)
    wants("AccessDeniedException", ssm.send_command, InstanceIds=[DEVICE], DocumentName="AWS-RunShellScript",
          Parameters={"commands": ["id"]})
    drop("tagged")


@check
def access_for_a_tag_is_judged_on_each_device_that_has_it():
    ask = allow("towline:BreakGlass")
    deny = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Action": "towline:BreakGlass", "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/Critical": "yes"}}}]}
    ann = new_user("ann", ask, deny)
    request = {"Reason": "line stands still", "Targets": [{"Key": "tag:Environment", "Values": ["dev"]}]}
    towline("BreakGlass", request, credentials=ann)
    tag = {"ResourceType": "ManagedInstance", "ResourceId": DEVICE}
    boto("ssm").add_tags_to_resource(Tags=[{"Key": "Critical", "Value": "yes"}], **tag)
    towline("BreakGlass", request, credentials=ann, expect="AccessDeniedException")
    boto("ssm").remove_tags_from_resource(TagKeys=["Critical"], **tag)
    drop("ann")


def approval_policy(name, kind, **content):
    return boto("ssm").create_document(Name=name, DocumentType=kind, DocumentFormat="JSON",
                                       Content=json.dumps({"schemaVersion": "1.0"} | content))


@check
def an_approval_policy_says_how_many_must_agree_and_in_which_order():
    ask = allow(["ssm:StartAccessRequest", "ssm:GetAccessToken"])
    decide = allow("towline:ApproveAccessRequest")
    ann, bob, cid, dan = (new_user(name, policy) for name, policy in
                          [("ann", ask), ("bob", decide), ("cid", decide), ("dan", decide)])
    ssm = boto("ssm", ann)
    target = {"Reason": "pump 7 leaks", "Targets": [{"Key": "InstanceIds", "Values": [DEVICE]}]}

    def decides(who, request, expect=None, **more):
        return towline("ApproveAccessRequest", {"AccessRequestId": request} | more, credentials=who, **({"expect": expect} if expect else {}))

    dev = [{"key": "tag:Environment", "values": ["dev"]}]
    two_levels = [{"minRequiredApprovals": 2}, {"approvers": ["user/dan"]}]
    approval_policy("Dev-Devices", "ManualApprovalPolicy", accessDurationHours=1, targets=dev, approvalLevels=two_levels)
    wants("InvalidDocumentContent", approval_policy, "Wrong", "ManualApprovalPolicy", accessDurationHours=1, approvalLevels=[])
    first = ssm.start_access_request(**target)["AccessRequestId"]
    decides(bob, first)
    decides(bob, first, expect="ValidationException")  # one person counts once
    assert ssm.get_access_token(AccessRequestId=first)["AccessRequestStatus"] == "Pending"
    decides(cid, first, Minutes=30)
    listed = next(r for r in towline("ListAccessRequests", {})["AccessRequests"] if r["AccessRequestId"] == first)
    assert listed["Policy"] == "Dev-Devices:1", listed
    shown = [(len(level["ApprovedBy"]), level["MinRequiredApprovals"], level["Approvers"]) for level in listed["Levels"]]
    assert shown == [(2, 2, []), (0, 1, ["user/dan"])], shown
    fourth = new_user("eve", decide)
    decides(fourth, first, expect="ValidationException")  # the level is dan's
    decides(dan, first, Decision="Extend", expect="ValidationException")
    assert decides(dan, first)["AccessRequestStatus"] == "Approved"
    given = ssm.get_access_token(AccessRequestId=first)
    left = (given["Credentials"]["ExpirationTime"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert 25 * 60 < left <= 30 * 60, left  # the least that an approver gave
    boto("ssm", of(given)).start_session(Target=DEVICE)

    approval_policy("All-Dev", "AutoApprovalPolicy", permit=[{"principals": ["user/ann"], "targets": dev}])
    wants("DocumentLimitExceeded", approval_policy, "Second-Auto", "AutoApprovalPolicy", permit=[])
    second = ssm.start_access_request(**target)["AccessRequestId"]
    given = ssm.get_access_token(AccessRequestId=second)
    assert given["AccessRequestStatus"] == "Approved", given
    left = (given["Credentials"]["ExpirationTime"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert 55 * 60 < left <= 60 * 60, left
    forbid = json.dumps({"schemaVersion": "1.0", "forbid": [{"targets": dev}], "permit": [{}]})
    boto("ssm").update_document(Name="All-Dev", Content=forbid, DocumentVersion="$LATEST")
    boto("ssm").update_document_default_version(Name="All-Dev", DocumentVersion="2")
    third = ssm.start_access_request(**target)["AccessRequestId"]
    assert ssm.get_access_token(AccessRequestId=third)["AccessRequestStatus"] == "Pending"

    approval_policy("Other", "ManualApprovalPolicy", accessDurationHours=1, targets=dev, approvalLevels=[{}])
    wants("ValidationException", ssm.start_access_request, **target)  # two policies for one device
    for levels in [[{"approvers": ["user/nobody"]}], [{"approvers": ["arn:aws:iam::111111111111:user/dan"]}]]:
        wants("InvalidDocumentContent", approval_policy, "Wrong", "ManualApprovalPolicy", accessDurationHours=1,
              approvalLevels=levels)
    drop("dan")
    new_dan = {"PrincipalName": "dan"}
    refused = towline("CreatePrincipal", new_dan, expect="ValidationException")  # a later dan is no approver
    assert "Dev-Devices" in str(refused), refused
    boto("ssm").delete_document(Name="Dev-Devices")
    towline("CreatePrincipal", new_dan, expect="ValidationException")  # the first request may still be extended
    decides(cid, first, Decision="Revoke")
    decides(cid, third, Decision="Reject")
    new_user("dan", decide)
    for name in ["All-Dev", "Other"]:
        boto("ssm").delete_document(Name=name)
    drop("ann", "bob", "cid", "dan", "eve")


@check
def access_is_extended_before_its_end_by_who_decides():
    ask = allow(["ssm:StartAccessRequest", "ssm:GetAccessToken"])
    ann, bob = new_user("ann", ask), new_user("bob", allow("towline:ApproveAccessRequest"))
    ssm = boto("ssm", ann)
    target = {"Reason": "pump 7 leaks", "Targets": [{"Key": "InstanceIds", "Values": [DEVICE]}]}
    request = ssm.start_access_request(**target)["AccessRequestId"]
    extend = {"AccessRequestId": request, "Decision": "Extend", "Minutes": 120}
    towline("ApproveAccessRequest", extend, credentials=bob, expect="ValidationException")  # nothing is approved yet
    towline("ApproveAccessRequest", {"AccessRequestId": request, "Minutes": 15}, credentials=bob)
    towline("ApproveAccessRequest", extend, credentials=ann, expect="AccessDeniedException")
    towline("ApproveAccessRequest", extend, credentials=bob)
    towline("ApproveAccessRequest", extend | {"Minutes": 15}, credentials=bob, expect="ValidationException")  # no shortening
    given = ssm.get_access_token(AccessRequestId=request)
    left = (given["Credentials"]["ExpirationTime"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert 115 * 60 < left <= 120 * 60, left
    drop("ann", "bob")


@check
def who_asks_in_a_role_gets_the_access_in_that_role_and_no_other_person_in_it_does():
    ask = allow(["ssm:StartAccessRequest", "ssm:GetAccessToken"])
    ann, bob = new_user("ann", allow("sts:AssumeRole")), new_user("bob", allow("sts:AssumeRole"))
    both = [f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in ["ann", "bob"]]
    new_role("asking", trust(both), ask)
    asked = {"RoleArn": role_arn("asking"), "RoleSessionName": "same"}
    hers, his = (of(boto("sts", who).assume_role(**asked)) for who in [ann, bob])
    target = {"Reason": "pump 7 leaks", "Targets": [{"Key": "InstanceIds", "Values": [DEVICE]}]}
    request = boto("ssm", hers).start_access_request(**target)["AccessRequestId"]
    towline("ApproveAccessRequest", {"AccessRequestId": request})
    wants("ResourceNotFoundException", boto("ssm", his).get_access_token, AccessRequestId=request)
    wants("AccessDeniedException", boto("ssm", hers).start_session, Target=DEVICE)
    given = boto("ssm", hers).get_access_token(AccessRequestId=request)["Credentials"]
    granted = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    session = boto("ssm", granted).start_session(Target=DEVICE)["SessionId"]
    assert session.startswith("same-"), session
    boto("ssm", granted).terminate_session(SessionId=session)
    wants("ValidationException", boto("ssm", granted).start_access_request, **target)  # no access by access
    towline("ApproveAccessRequest", {"AccessRequestId": request, "Decision": "Revoke"})
    wants("ExpiredTokenException", boto("ssm", granted).start_session, Target=DEVICE)
    drop("ann", "bob", roles=["asking"])


@check
def access_of_two_approvals_is_extended_by_two():
    ask = allow(["ssm:StartAccessRequest", "ssm:GetAccessToken"])
    decide = allow(["towline:ApproveAccessRequest", "towline:ListAccessRequests"])
    ann, bob, cid = new_user("ann", ask), new_user("bob", decide), new_user("cid", decide)
    approval_policy("Two", "ManualApprovalPolicy", accessDurationHours=1, approvalLevels=[{"minRequiredApprovals": 2}])
    target = {"Reason": "pump 7 leaks", "Targets": [{"Key": "InstanceIds", "Values": [DEVICE]}]}
    request = boto("ssm", ann).start_access_request(**target)["AccessRequestId"]
    decided = {"AccessRequestId": request, "Minutes": 15}
    for who, status in [(bob, "Pending"), (cid, "Approved")]:
        answer = towline("ApproveAccessRequest", decided, credentials=who)
        assert answer["AccessRequestStatus"] == status, answer
    ends = lambda: towline("ListAccessRequests", {}, credentials=bob)["AccessRequests"][0]["ExpiresDate"]
    extend, before = decided | {"Decision": "Extend", "Minutes": 60}, ends()
    answer = towline("ApproveAccessRequest", extend, credentials=bob)
    assert answer["MoreApprovalsNeeded"] and ends() == before, answer
    towline("ApproveAccessRequest", extend, credentials=bob, expect="ValidationException")  # one person counts once
    answer = towline("ApproveAccessRequest", extend | {"Minutes": 30}, credentials=cid)
    assert not answer["MoreApprovalsNeeded"], answer
    assert 14 * 60 < ends() - before < 16 * 60, (before, ends())  # the least that was given
    boto("ssm").delete_document(Name="Two")
    drop("ann", "bob", "cid")


@check
def an_emergency_opens_access_at_once_and_is_told_although_the_receiver_is_down():
    ann = new_user("ann", allow("towline:BreakGlass"))
    eve = new_user("eve", allow("ssm:StartAccessRequest"))
    made = towline("CreateWebhook", {"WebhookName": "down", "Url": "https://hooks.invalid/secret-path"})
    assert made["Secret"].startswith("whsec_"), made
    target = {"Reason": "line stands still", "Targets": [{"Key": "InstanceIds", "Values": [DEVICE]}]}
    towline("BreakGlass", target, credentials=eve, expect="AccessDeniedException")
    towline("BreakGlass", target | {"Reason": ""}, credentials=ann, expect="ValidationException")
    towline("BreakGlass", target | {"Minutes": 241}, credentials=ann, expect="ValidationException")
    opened = towline("BreakGlass", target, credentials=ann)
    given = opened["Credentials"]
    temporary = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    boto("ssm", temporary).start_session(Target=DEVICE)
    waiting = towline("ListWebhooks", {})["Webhooks"]
    assert [(w["WebhookName"], w["Host"], w["Waiting"]) for w in waiting] == [("down", "hooks.invalid", 1)], waiting
    assert "secret-path" not in json.dumps(waiting)
    shown = towline("ListAccessRequests", {})["AccessRequests"][0]
    assert (shown["AccessRequestId"], shown["Kind"]) == (opened["AccessRequestId"], "BreakGlass"), shown
    towline("ApproveAccessRequest", {"AccessRequestId": opened["AccessRequestId"], "Decision": "Revoke"})
    wants("ExpiredTokenException", boto("ssm", temporary).start_session, Target=DEVICE)
    assert towline("ListDeadLetters", {"WebhookName": "down"}) == {"DeadLetters": []}
    assert towline("ResendDeadLetters", {"WebhookName": "down"}) == {"Resent": 0}
    towline("ListDeadLetters", {"WebhookName": "none"}, expect="ResourceNotFoundException")
    towline("CreateWebhook", {"WebhookName": "bad", "Url": "ftp://x/"}, expect="ValidationException")
    towline("DeleteWebhook", {"WebhookName": "down"})
    drop("ann", "eve")


def code_of(secret, steps=0):
    step = int(time.time()) // 30 + steps
    mac = hmac.new(base64.b32decode(secret), struct.pack(">Q", step), "sha1").digest()
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1000000:06d}"


@check
def a_second_factor_is_proved_once_and_seen_by_policies():
    own = allow(["towline:CreateSecondFactor", "towline:EnableSecondFactor", "towline:DeleteSecondFactor"],
                f"arn:aws:iam::{ACCOUNT}:user/ann")
    strict = allow("ssm:StartSession", Bool={"aws:MultiFactorAuthPresent": "true"},
                   NumericLessThan={"aws:MultiFactorAuthAge": "600"})
    ann = new_user("ann", own, strict)
    name = {"PrincipalName": "ann"}
    made = towline("CreateSecondFactor", name, credentials=ann)
    serial = made["SerialNumber"]
    assert serial == f"arn:aws:iam::{ACCOUNT}:mfa/ann" and made["Secret"] in made["Uri"], made
    towline("CreateSecondFactor", name, expect="ValidationException")  # not even by an administrator

    def session(code):
        return boto("sts", ann).get_session_token(SerialNumber=serial, TokenCode=code)

    wants("AccessDenied", session, code_of(made["Secret"]))  # not enabled yet
    towline("EnableSecondFactor", name | {"TokenCode": code_of(made["Secret"], -1)}, credentials=ann)
    towline("CreateSecondFactor", name, credentials=ann, expect="ResourceAlreadyExistsException")
    wants("AccessDenied", session, code_of(made["Secret"], -1))  # used
    wants("AccessDenied", boto("sts", ann).get_session_token, SerialNumber=serial)
    code = code_of(made["Secret"])
    temporary = of(session(code))
    wants("AccessDenied", session, code)
    wants("AccessDeniedException", boto("ssm", ann).start_session, Target=DEVICE)
    wants("AccessDeniedException", boto("ssm", of(boto("sts", ann).get_session_token())).start_session, Target=DEVICE)
    boto("ssm", temporary).start_session(Target=DEVICE)
    towline("DeleteSecondFactor", name, credentials=ann, expect="AccessDeniedException")  # an access key is one factor
    for _ in range(5):
        wants("AccessDenied", session, "000000")
    blocked = code_of(made["Secret"], 1)
    wants("AccessDenied", session, blocked)  # right, and yet: too many wrong ones came before
    towline("DeleteSecondFactor", name)  # recovery
    wants("AccessDeniedException", boto("ssm", temporary).start_session, Target=DEVICE)  # it proves nothing any more
    drop("ann")


@check
def a_role_can_want_a_second_factor():
    own = allow(["towline:CreateSecondFactor", "towline:EnableSecondFactor"], f"arn:aws:iam::{ACCOUNT}:user/ann")
    ann = new_user("ann", own, allow("sts:AssumeRole"))
    present = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    new_role("careful", trust(f"arn:aws:iam::{ACCOUNT}:user/ann", **present), allow("ssm:StartSession"))
    made = towline("CreateSecondFactor", {"PrincipalName": "ann"}, credentials=ann)
    towline("EnableSecondFactor", {"PrincipalName": "ann", "TokenCode": code_of(made["Secret"], -1)}, credentials=ann)
    asked = {"RoleArn": role_arn("careful"), "RoleSessionName": "ann"}
    wants("AccessDenied", boto("sts", ann).assume_role, **asked)
    of(boto("sts", ann).assume_role(**asked, SerialNumber=made["SerialNumber"], TokenCode=code_of(made["Secret"])))
    drop("ann", roles=["careful"])


@check
def who_may_make_documents_may_not_decide_which_approvals_are_needed():
    ann = new_user("ann", allow("ssm:CreateDocument"))
    content = json.dumps({"schemaVersion": "1.0", "permit": [{}]})
    wants("AccessDeniedException", boto("ssm", ann).create_document, Name="Mine", DocumentType="AutoApprovalPolicy", Content=content)
    drop("ann")


@check
def the_stored_policies_are_explained():
    new_user("ann", allow("ssm:StartSession", "*", StringEquals={"ssm:resourceTag/Environment": "dev"},
                          IpAddress={"aws:SourceIp": "10.0.0.0/8"}), allow("ssm:GetConnectionStatus"))
    question = {"Principal": "ann", "Action": "ssm:StartSession", "Resource": DEVICE}
    said = towline("ExplainAccess", question)
    assert said["Decision"] == "ImplicitlyDenied" and "aws:SourceIp" in said["Statements"][0], said
    said = towline("ExplainAccess", question | {"Context": {"aws:SourceIp": ["10.1.2.3"]}})
    assert said["Decision"] == "Allowed" and "p0" in said["Reason"], said
    towline("ExplainAccess", question | {"Principal": "nobody"}, expect="ResourceNotFoundException")
    new_role("ops", trust("*"), allow("ssm:StartSession", "arn:aws:ssm:*:*:managed-instance/*"),
             allow("ssm:StartSession", "arn:aws:ssm:*::document/AWS-StartSSHSession"))
    access = {a["Principal"].split(":", 5)[5]: a for a in towline("ListDeviceAccess", {"InstanceId": DEVICE})["Access"]}
    assert access["user/ann"]["Actions"] == ["ssm:GetConnectionStatus"], access
    assert access["user/ann"]["Conditional"] == ["ssm:StartSession"], access
    assert access["role/ops"]["Actions"] == ["ssm:StartSession"], access
    assert access["role/ops"]["Documents"] == ["AWS-StartSSHSession"], access
    assert "ssm:DeregisterManagedInstance" in access["user/admin"]["Actions"], access
    towline("ListDeviceAccess", {"InstanceId": "mi-00000000000000000"}, expect="InvalidInstanceId")
    drop("ann", roles=["ops"])


@check
def what_sts_does_not_serve_is_an_invalid_action():
    wants("InvalidAction", boto("sts").get_federation_token, Name="x")
    wants("InvalidAction", boto("sts").decode_authorization_message, EncodedMessage="x")
    assert raw("AmazonSSM.PutParameter", {}).code == "UnknownOperationException"


if __name__ == "__main__":
    run()
