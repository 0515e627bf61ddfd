#!/usr/bin/env python3
"""Names are given again, identities are not; and a role hides nobody. With real boto3, as an attacker would try it.

Needs the environment of towline_client and TOWLINE_DEVICE, which is connected.
"""
import concurrent.futures
import json

from botocore.exceptions import ClientError
from botocore.credentials import Credentials

from checks import DEVICE, allow, check, new_user, run, wants
from towline_client import ADMIN, boto, raw, towline

ACCOUNT = boto("sts").get_caller_identity()["Account"]
ASKS = allow(["ssm:StartAccessRequest", "ssm:GetAccessToken"])
DECIDES = allow("towline:ApproveAccessRequest")
ASSUMES = allow("sts:AssumeRole")
# The pattern of AWS's documents for one's own sessions.
OWN = allow(["ssm:TerminateSession", "ssm:ResumeSession"],
            ["arn:aws:ssm:*:*:session/${aws:username}-*", "arn:aws:ssm:*:*:session/ann-*"],
            StringLike={"ssm:resourceTag/aws:ssmmessages:session-id": ["${aws:userid}", "${aws:username}"]})
TARGET = {"Reason": "pump 7 leaks", "Targets": [{"Key": "InstanceIds", "Values": [DEVICE]}]}


def user_arn(name):
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


def trust(*principals):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": "sts:AssumeRole"}]})


def new_role(name, trust_policy, *policies):
    towline("CreatePrincipal", {"PrincipalName": name, "PrincipalType": "Role", "TrustPolicyDocument": trust_policy})
    for number, policy in enumerate(policies):
        towline("PutPrincipalPolicy", {"PrincipalName": name, "PrincipalType": "Role", "PolicyName": f"p{number}",
                                       "PolicyDocument": json.dumps(policy)})


def assume(who, role, session):
    made = boto("sts", who).assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName=session)["Credentials"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def drop(*names, kind="User"):
    return [towline("DeletePrincipal", {"PrincipalName": name, "PrincipalType": kind}) for name in names]


def key_of(name):
    return towline("ListAccessKeys", {"PrincipalName": name})["AccessKeys"][0]["AccessKeyId"]


@check
def nobody_approves_her_own_request_in_a_role():
    ann, bob = new_user("ann", ASKS, ASSUMES), new_user("bob", ASSUMES)
    new_role("approver", trust("*"), DECIDES, ASSUMES)
    new_role("second", trust("*"), DECIDES)
    request = boto("ssm", ann).start_access_request(**TARGET)["AccessRequestId"]
    hidden = assume(ann, "approver", "bob")
    for who in [hidden, assume(hidden, "second", "carl")]:
        for decision in ["Approve", "Reject"]:
            answer = towline("ApproveAccessRequest", {"AccessRequestId": request, "Decision": decision}, credentials=who,
                             expect="ValidationException")
            assert "her own request" in answer["message"], answer
    towline("ApproveAccessRequest", {"AccessRequestId": request}, credentials=assume(bob, "approver", "ann"))
    assert boto("ssm", ann).get_access_token(AccessRequestId=request)["AccessRequestStatus"] == "Approved"
    found = raw("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents",
                {"LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": "bob"}]}, service="cloudtrail").body["Events"]
    approvals = [json.loads(event["CloudTrailEvent"]) for event in found if event["EventName"] == "ApproveAccessRequest"]
    assert any(event["userIdentity"]["onBehalfOf"]["arn"] == user_arn("bob") for event in approvals), found
    drop("ann", "bob")
    drop("approver", "second", kind="Role")


@check
def two_persons_in_one_role_share_no_session():
    ann, eve = new_user("ann", ASSUMES), new_user("eve", ASSUMES)
    new_role("ops", trust("*"), allow("ssm:StartSession"), OWN)
    hers, its = assume(ann, "ops", "ann"), assume(eve, "ops", "ann")
    session = boto("ssm", hers).start_session(Target=DEVICE)["SessionId"]
    for call in [boto("ssm", its).resume_session, boto("ssm", its).terminate_session]:
        wants("AccessDeniedException", call, SessionId=session)
    boto("ssm", assume(ann, "ops", "ann")).terminate_session(SessionId=session)
    drop("ann", "eve")
    drop("ops", kind="Role")


@check
def a_user_of_the_same_name_inherits_nothing():
    boss = new_user("boss", DECIDES)
    ann = new_user("ann", ASKS, allow("ssm:StartSession"), OWN)
    ssm = boto("ssm", ann)
    approved = ssm.start_access_request(**TARGET)["AccessRequestId"]
    towline("ApproveAccessRequest", {"AccessRequestId": approved}, credentials=boss)
    pending = ssm.start_access_request(**TARGET)["AccessRequestId"]
    given = ssm.get_access_token(AccessRequestId=approved)["Credentials"]
    session = ssm.start_session(Target=DEVICE)["SessionId"]
    drop("ann")
    towline("ApproveAccessRequest", {"AccessRequestId": pending}, credentials=boss, expect="ValidationException")
    again = new_user("ann", ASKS, OWN)
    ssm = boto("ssm", again)
    for request in [approved, pending]:
        wants("ResourceNotFoundException", ssm.get_access_token, AccessRequestId=request)
        towline("ApproveAccessRequest", {"AccessRequestId": request}, credentials=boss, expect="ValidationException")
    old = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    wants("UnrecognizedClientException", boto("ssm", old).start_session, Target=DEVICE)
    for call in [ssm.resume_session, ssm.terminate_session]:
        wants("AccessDeniedException", call, SessionId=session)
    listed = {r["AccessRequestId"]: r["Status"] for r in towline("ListAccessRequests", {})["AccessRequests"]}
    assert (listed[approved], listed[pending]) == ("Revoked", "Rejected"), listed
    boto("ssm").terminate_session(SessionId=session)
    drop("ann", "boss")


@check
def a_role_trusts_a_user_and_not_her_name():
    new_user("ann", ASSUMES)
    bob = new_user("bob", ASSUMES)
    new_role("ops", trust(user_arn("ann"), user_arn("bob")), allow("ssm:StartSession"))
    assume(bob, "ops", "shift")
    drop("ann")
    again = new_user("ann", ASSUMES)
    wants("AccessDenied", boto("sts", again).assume_role, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/ops", RoleSessionName="shift")
    assume(bob, "ops", "shift")
    [role] = towline("ListPrincipals", {"PrincipalType": "Role"})["Principals"]
    first, second = json.loads(role["TrustPolicyDocument"])["Statement"][0]["Principal"]["AWS"]
    assert first.startswith("AIDA") and second == user_arn("bob"), role
    # What is shown can be stored again; a name must be of a principal that exists.
    towline("UpdateRole", {"PrincipalName": "ops", "TrustPolicyDocument": role["TrustPolicyDocument"]})
    words = towline("UpdateRole", {"PrincipalName": "ops", "TrustPolicyDocument": trust(user_arn("nobody"))},
                    expect="MalformedPolicyDocument")
    assert "user/nobody" in words["message"], words
    towline("UpdateRole", {"PrincipalName": "ops", "TrustPolicyDocument": trust(user_arn("ann"))})
    assume(again, "ops", "shift")
    drop("ann", "bob")
    drop("ops", kind="Role")


def at_once(number, call):
    """The answers of parallel calls: `None` for done, else the error's code."""
    def one(n):
        try:
            call(n)
        except ClientError as error:
            return error.response["Error"]["Code"]
    with concurrent.futures.ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


@check
def of_parallel_updates_of_one_version_exactly_one_is_made():
    def content(word):
        step = {"action": "aws:runShellScript", "name": "s", "inputs": {"runCommand": [f"echo {word}"]}}
        return json.dumps({"schemaVersion": "2.2", "description": word, "mainSteps": [step]})
    boto("ssm").create_document(Name="Mine", Content=content("first"), DocumentType="Command")
    for version in ["1", "2", "3"]:
        clients = [boto("ssm") for _ in range(8)]
        codes = at_once(8, lambda n: clients[n].update_document(
            Name="Mine", Content=content(f"v{version}-{n}"), DocumentVersion=version))
        assert codes.count(None) == 1, codes
        assert set(codes) == {None, "InvalidDocumentVersion"}, codes
    boto("ssm").delete_document(Name="Mine")
    shell = json.dumps({"schemaVersion": "1.0", "description": "", "sessionType": "Standard_Stream", "inputs": {"idleSessionTimeout": "%s"}})
    clients = [boto("ssm") for _ in range(8)]
    codes = at_once(8, lambda n: clients[n].update_document(
        Name="SSM-SessionManagerRunShell", Content=shell % (10 + n), DocumentVersion="1"))
    assert codes.count(None) == 1, codes
    boto("ssm").delete_document(Name="SSM-SessionManagerRunShell")


@check
def of_parallel_decisions_about_a_request_exactly_one_is_made():
    bosses = [new_user(f"boss{n}", DECIDES) for n in range(6)]
    ann = new_user("ann", ASKS)
    request = boto("ssm", ann).start_access_request(**TARGET)["AccessRequestId"]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        words = ["Approve", "Reject"] * 3
        answers = list(pool.map(lambda pair: raw("Towline.ApproveAccessRequest", {"AccessRequestId": request, "Decision": pair[1]},
                                                 credentials=pair[0], service="towline").status, zip(bosses, words)))
    assert answers.count(200) == 1, answers
    drop("ann", *[f"boss{n}" for n in range(6)])


@check
def roles_give_nobody_a_second_share_of_a_device():
    ann, eve = new_user("ann", ASSUMES, allow("ssm:StartSession")), new_user("eve", allow("ssm:StartSession"))
    new_role("ops", trust(user_arn("ann")), allow("ssm:StartSession"))

    def started(clients):
        sessions = []
        for client in clients:
            try:
                sessions.append(client.start_session(Target=DEVICE)["SessionId"])
            except ClientError as error:
                assert error.response["Error"]["Code"] == "ServiceQuotaExceededException", error
        return sessions

    alone = started([boto("ssm", ann)] * 16)
    assert 1 <= len(alone) < 16, alone
    for session in alone:
        boto("ssm").terminate_session(SessionId=session)
    hopping = started([boto("ssm", ann)] + [boto("ssm", assume(ann, "ops", f"shift-{n}")) for n in range(16)])
    assert len(hopping) <= len(alone), (alone, hopping)
    for session in hopping + [boto("ssm", eve).start_session(Target=DEVICE)["SessionId"]]:
        boto("ssm").terminate_session(SessionId=session)
    drop("ann", "eve")
    drop("ops", kind="Role")


@check
def the_last_way_in_is_kept():
    everything = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    mine = {"PrincipalName": "admin", "AccessKeyId": key_of("admin")}
    little = json.dumps(allow("ssm:*"))
    towline("CreatePrincipal", {"PrincipalName": "locked", "PrincipalType": "Group"})
    towline("PutPrincipalPolicy", {"PrincipalName": "locked", "PrincipalType": "Group", "PolicyName": "no", "PolicyDocument": everything})

    def tries(name):
        [policy] = towline("ListPrincipalPolicies", {"PrincipalName": name})["PolicyNames"]
        of = {"PrincipalName": name}
        key = of | {"AccessKeyId": key_of(name)}
        return [
            ("UpdateAccessKey", key | {"Status": "Inactive"}),
            ("DeleteAccessKey", key),
            ("DeletePrincipal", of),
            ("PutPrincipalPolicy", of | {"PolicyName": "no", "PolicyDocument": everything}),
            ("PutPrincipalPolicy", of | {"PolicyName": policy, "PolicyDocument": little}),
            ("DeletePrincipalPolicy", of | {"PolicyName": policy}),
            ("PutPrincipalBoundary", of | {"PolicyDocument": little}),
            ("AddGroupMember", of | {"GroupName": "locked"}),
        ]

    def all_refused(who=ADMIN, name="admin"):
        for operation, body in tries(name):
            answer = towline(operation, body, credentials=who, expect="ValidationException")
            assert "administrator" in answer["message"], answer

    all_refused()
    # A helper who may switch keys is no way in, and does not switch off the last one.
    helper = new_user("helper", allow(["towline:UpdateAccessKey", "towline:DeleteAccessKey", "towline:DeletePrincipal"]))
    for operation, body in tries("admin")[:3]:
        towline(operation, body, credentials=helper, expect="ValidationException")
    # With a second administrator nobody locks herself out, and one of the two can go.
    second = new_user("second", allow("*"))
    all_refused()
    all_refused(second, "second")
    # A second key, and the first can go.
    key = towline("CreateAccessKey", {"PrincipalName": "second"})["AccessKey"]
    towline("DeleteAccessKey", {"PrincipalName": "second", "AccessKeyId": key["AccessKeyId"]}, credentials=second)
    # Two who switch each other off at once: one stays.
    both = [(second, mine), (ADMIN, {"PrincipalName": "second", "AccessKeyId": key_of("second")})]
    for _ in range(10):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda pair: raw("Towline.UpdateAccessKey", pair[1] | {"Status": "Inactive"}, credentials=pair[0],
                                                  service="towline").status, both))
        assert done.count(200) == 1, done
        winner, switched_off = both[done.index(200)]
        towline("UpdateAccessKey", switched_off | {"Status": "Active"}, credentials=winner)
    drop("second", "helper")
    all_refused()
    # An administrator in a role is one.
    carl = new_user("carl", ASSUMES)
    new_role("root", trust(user_arn("carl")), allow("*"))
    all_refused()
    in_role = assume(carl, "root", "carl")
    towline("DeletePrincipal", {"PrincipalName": "carl"}, credentials=in_role, expect="ValidationException")
    towline("DeletePrincipal", {"PrincipalName": "root", "PrincipalType": "Role"}, credentials=in_role, expect="ValidationException")
    drop("carl")
    drop("root", kind="Role")
    drop("locked", kind="Group")
    boto("ssm").describe_sessions(State="Active")


if __name__ == "__main__":
    run()
