#!/usr/bin/env python3
"""Documents with real boto3: own ones with their versions, the preferences of sessions, and "which command".

Needs the environment of towline_client and TOWLINE_DEVICE, which is connected and tagged Environment=dev.
"""
import hashlib
import json

from checks import DEVICE, allow, check, new_user, run, wants
from towline_client import REGION, boto, raw, towline

BUILT_IN = ["AWS-StartInteractiveCommand", "AWS-StartNonInteractiveCommand", "AWS-StartPortForwardingSession",
            "AWS-StartPortForwardingSessionToRemoteHost", "AWS-StartSSHSession", "SSM-SessionManagerRunShell"]
TAIL = {
    "schemaVersion": "1.0", "description": "shows a log", "sessionType": "InteractiveCommands",
    "parameters": {"logpath": {"type": "String", "default": "/var/log/syslog", "allowedPattern": "^/var/log/[a-z]+$"}},
    "properties": {"linux": {"commands": "tail -f {{ logpath }}", "runAsElevated": False}},
}
RUN = {
    "schemaVersion": "2.2", "description": "runs",
    "parameters": {"names": {"type": "StringList", "default": ["a"], "description": "who"}},
    "mainSteps": [{"action": "aws:runShellScript", "name": "one", "inputs": {"runCommand": ["echo {{ names }}"]}}],
}


def session(**members):
    return json.dumps(TAIL | members)


def preferences(**inputs):
    return json.dumps({"schemaVersion": "1.0", "description": "p", "sessionType": "Standard_Stream", "inputs": inputs})


@check
def built_in_documents_are_there_and_stay_as_they_are():
    ssm = boto("ssm")
    names = [d["Name"] for page in ssm.get_paginator("list_documents").paginate(PaginationConfig={"PageSize": 2})
             for d in page["DocumentIdentifiers"]]
    assert set(BUILT_IN) <= set(names) and names == sorted(names), names
    for name in BUILT_IN:
        got = ssm.get_document(Name=name)
        assert got["DocumentType"] == "Session" and json.loads(got["Content"])["schemaVersion"] == "1.0", got
        described = ssm.describe_document(Name=name)["Document"]
        assert described["Hash"] == hashlib.sha256(got["Content"].encode()).hexdigest(), described
        assert described["Owner"] == "Amazon" and described["Status"] == "Active", described
        wants("InvalidDocumentOperation", ssm.delete_document, Name=name)
    told = ssm.describe_document(Name="AWS-StartInteractiveCommand")["Document"]["Parameters"]
    assert told == [{"Name": "command", "Type": "String"}], told
    wants("InvalidDocumentOperation", ssm.update_document, Name="AWS-StartSSHSession", Content=session())
    wants("ValidationException", ssm.create_document, Name="AWS-Mine", Content=session(), DocumentType="Session")
    wants("InvalidDocument", ssm.get_document, Name="No-Such-Document")
    wants("InvalidDocument", ssm.delete_document, Name="No-Such-Document")
    wants("InvalidDocumentVersion", ssm.get_document, Name="AWS-StartSSHSession", DocumentVersion="2")


@check
def an_own_document_lives_through_its_versions():
    ssm = boto("ssm")
    made = ssm.create_document(Name="Mine", Content=session(), DocumentType="Session", VersionName="one",
                               DisplayName="My document", Tags=[{"Key": "Team", "Value": "edge"}])["DocumentDescription"]
    assert made["DocumentVersion"] == made["DefaultVersion"] == made["LatestVersion"] == "1", made
    assert made["Hash"] == hashlib.sha256(session().encode()).hexdigest() and made["HashType"] == "Sha256", made
    assert made["Parameters"] == [{"Name": "logpath", "Type": "String", "DefaultValue": "/var/log/syslog"}], made
    assert made["Tags"] == [{"Key": "Team", "Value": "edge"}] and made["PlatformTypes"] == ["Linux"], made
    wants("DocumentAlreadyExists", ssm.create_document, Name="Mine", Content=session(), DocumentType="Session")

    wants("DuplicateDocumentContent", ssm.update_document, Name="Mine", Content=session(), DocumentVersion="$LATEST")
    wants("DuplicateDocumentVersionName", ssm.update_document, Name="Mine", Content=session(description="2"), VersionName="one")
    wants("InvalidDocumentVersion", ssm.update_document, Name="Mine", Content=session(description="2"), DocumentVersion="7")
    second = ssm.update_document(Name="Mine", Content=session(description="2"), DocumentVersion="1", VersionName="two")
    second = second["DocumentDescription"]
    assert (second["DocumentVersion"], second["DefaultVersion"], second["LatestVersion"]) == ("2", "1", "2"), second

    def description(**which):
        return json.loads(ssm.get_document(Name="Mine", **which)["Content"])["description"]

    assert description() == description(DocumentVersion="$DEFAULT") == description(VersionName="one") == "shows a log"
    assert description(DocumentVersion="$LATEST") == description(DocumentVersion="2") == description(VersionName="two") == "2"
    now = ssm.update_document_default_version(Name="Mine", DocumentVersion="2")["Description"]
    assert now == {"Name": "Mine", "DefaultVersion": "2", "DefaultVersionName": "two"}, now
    assert description() == "2"
    wants("InvalidDocumentVersion", ssm.update_document_default_version, Name="Mine", DocumentVersion="3")
    versions = [v for page in ssm.get_paginator("list_document_versions").paginate(Name="Mine", PaginationConfig={"PageSize": 1})
                for v in page["DocumentVersions"]]
    assert [(v["DocumentVersion"], v["IsDefaultVersion"]) for v in versions] == [("2", True), ("1", False)], versions

    wants("InvalidDocumentOperation", ssm.delete_document, Name="Mine", DocumentVersion="2")
    ssm.delete_document(Name="Mine", VersionName="one")
    wants("InvalidDocumentVersion", ssm.get_document, Name="Mine", DocumentVersion="1")
    ssm.delete_document(Name="Mine")
    wants("InvalidDocument", ssm.describe_document, Name="Mine")


@check
def documents_are_found_by_what_they_are():
    ssm = boto("ssm")
    ssm.create_document(Name="Run-One", Content=json.dumps(RUN), Tags=[{"Key": "Team", "Value": "edge"}])
    yaml = "schemaVersion: '1.0'\nsessionType: InteractiveCommands\nproperties:\n  linux:\n    commands: uptime\n"
    ssm.create_document(Name="Yaml-One", Content=yaml, DocumentFormat="YAML", DocumentType="Session")

    def names(*filters):
        filters = [{"Key": key, "Values": values} for key, values in filters]
        return [d["Name"] for d in ssm.list_documents(Filters=filters)["DocumentIdentifiers"]]

    assert names(("Owner", ["Self"])) == ["Run-One", "Yaml-One"], names(("Owner", ["Self"]))
    assert names(("DocumentType", ["Command"]), ("Owner", ["Self"])) == ["Run-One"]
    assert names(("tag:Team", ["edge", "core"])) == ["Run-One"]
    assert names(("Name", ["Yaml", "Nothing"])) == ["Yaml-One"]
    assert set(names(("Owner", ["Amazon"]), ("DocumentType", ["Session"]))) >= set(BUILT_IN)
    old = ssm.list_documents(DocumentFilterList=[{"key": "Owner", "value": "Self"}, {"key": "DocumentType", "value": "Session"}])
    assert [d["Name"] for d in old["DocumentIdentifiers"]] == ["Yaml-One"], old
    wants("InvalidFilterKey", ssm.list_documents, Filters=[{"Key": "Colour", "Values": ["red"]}])
    wants("InvalidNextToken", ssm.list_documents, NextToken="made-up")

    assert ssm.get_document(Name="Yaml-One", DocumentFormat="YAML")["Content"] == yaml
    as_json = ssm.get_document(Name="Yaml-One")
    assert as_json["DocumentFormat"] == "JSON" and json.loads(as_json["Content"])["schemaVersion"] == "1.0", as_json
    as_yaml = ssm.get_document(Name="Run-One", DocumentFormat="YAML")["Content"]
    assert as_yaml.startswith('"description": "runs"'), as_yaml
    account = boto("sts").get_caller_identity()["Account"]
    arn = f"arn:aws:ssm:{REGION}:{account}:document/Run-One"
    assert ssm.get_document(Name=arn)["Name"] == "Run-One"
    others = arn.replace(account, "999999999999")
    wants("InvalidDocument", ssm.get_document, Name=others)

    of = {"ResourceType": "Document", "ResourceId": "Run-One"}
    ssm.add_tags_to_resource(**of, Tags=[{"Key": "Site", "Value": "a"}])
    ssm.remove_tags_from_resource(**of, TagKeys=["Team"])
    assert ssm.list_tags_for_resource(**of)["TagList"] == [{"Key": "Site", "Value": "a"}]
    wants("InvalidResourceId", ssm.add_tags_to_resource, ResourceType="Document", ResourceId="AWS-StartSSHSession", Tags=[])
    for name in ["Run-One", "Yaml-One"]:
        ssm.delete_document(Name=name)


@check
def what_is_no_document_is_refused_with_the_codes_of_aws():
    ssm = boto("ssm")
    for code, members in {
        "InvalidDocumentContent": [{"Content": "{"}, {"Content": session(properties={})},
                                   {"Content": session(sesionType="x")}, {"Content": "a: *b", "DocumentFormat": "YAML"}],
        "InvalidDocumentSchemaVersion": [{"Content": session(schemaVersion="2.2")}, {"Content": session(), "DocumentType": "Command"}],
        "MaxDocumentSizeExceeded": [{"Content": session(description="x" * 65536)}],
        "ValidationException": [{"Content": session(), "DocumentType": "Automation"}, {"Content": session(), "Name": "a"},
                                {"Content": session(), "DocumentFormat": "TEXT"}, {"Content": session(), "Name": "a b c"},
                                {"Content": session(), "Attachments": [{"Key": "SourceUrl", "Values": ["x"]}]}],
    }.items():
        for one in members:
            wants(code, ssm.create_document, **({"Name": "Wrong", "DocumentType": "Session"} | one))
    assert raw("AmazonSSM.CreateDocument", {"Name": "Wrong", "Content": 7}).code == "SerializationException"
    wants("InvalidDocument", ssm.describe_document, Name="Wrong")


@check
def a_stored_parameter_is_refused_where_a_document_or_a_request_names_one():
    ssm = boto("ssm")
    stored = {"parameters": {"names": {"type": "String", "default": "{{ ssm:service-password }}"}}}
    wants("InvalidDocumentContent", ssm.create_document, Name="Stored", Content=json.dumps(RUN | stored))
    stored = {"logpath": {"type": "String", "default": "{{ssm:path}}"}}
    wants("InvalidDocumentContent", ssm.create_document, Name="Stored", DocumentType="Session", Content=session(parameters=stored))
    ssm.create_document(Name="Plain", Content=json.dumps(RUN))
    wants("InvalidDocumentContent", ssm.update_document, Name="Plain", DocumentVersion="$LATEST",
          Content=json.dumps(RUN).replace("echo", "echo {{ ssm:x }}"))
    wants("InvalidParameters", ssm.send_command, DocumentName="Plain", InstanceIds=[DEVICE], Parameters={"names": ["{{ssm:x}}"]})
    wants("InvalidParameters", ssm.start_session, Target=DEVICE, DocumentName="AWS-StartInteractiveCommand",
          Parameters={"command": ["echo {{ ssm:x }}"]})
    ssm.delete_document(Name="Plain")


@check
def what_terraform_and_inventory_tools_ask_is_answered():
    ssm = boto("ssm")
    old = {"schemaVersion": "1.2", "description": "Check ip configuration of a Linux instance.", "parameters": {},
           "runtimeConfig": {"aws:runShellScript": {"properties": [{"id": "0.aws:runShellScript", "runCommand": ["true"]}]}}}
    ssm.create_document(Name="Terraform-One", Content=json.dumps(old))
    shared = ssm.describe_document_permission(Name="Terraform-One", PermissionType="Share")
    assert shared["AccountIds"] == shared["AccountSharingInfoList"] == [], shared
    wants("InvalidPermissionType", ssm.describe_document_permission, Name="Terraform-One", PermissionType="Other")
    wants("InvalidDocument", ssm.describe_document_permission, Name="No-Such-Document", PermissionType="Share")
    ssm.delete_document(Name="Terraform-One")

    def ids(**asked):
        pages = ssm.get_paginator("get_inventory").paginate(PaginationConfig={"PageSize": 1}, **asked)
        return [entity["Id"] for page in pages for entity in page["Entities"]]

    first = next(e for e in ssm.get_inventory()["Entities"] if e["Id"] == DEVICE)["Data"]["AWS:InstanceInformation"]
    own = first["Content"][0]
    assert (own["InstanceId"], own["ResourceType"], own["InstanceStatus"]) == (DEVICE, "ManagedInstance", "Active"), own
    assert own["PlatformType"] == "Linux", own
    status = "AWS:InstanceInformation.InstanceStatus"
    assert DEVICE in ids() and DEVICE in ids(Filters=[{"Key": status, "Values": ["Terminated"], "Type": "NotEqual"}])
    assert ids(Filters=[{"Key": "AWS:InstanceInformation.InstanceId", "Values": [DEVICE]}]) == [DEVICE]
    assert ids(Filters=[{"Key": status, "Values": ["Terminated"]}]) == []
    assert ids(ResultAttributes=[{"TypeName": "AWS:Application"}]) == []


@check
def an_own_document_starts_a_session_with_parameters_within_its_rules():
    ssm = boto("ssm")
    ssm.create_document(Name="Tail-Log", Content=session(), DocumentType="Session")
    start = {"Target": DEVICE, "DocumentName": "Tail-Log"}
    started = ssm.start_session(**start)["SessionId"]
    shown = ssm.describe_sessions(State="Active", Filters=[{"key": "SessionId", "value": started}])["Sessions"][0]
    assert shown["DocumentName"] == "Tail-Log", shown
    ssm.terminate_session(SessionId=started)
    ssm.terminate_session(SessionId=ssm.start_session(**start, Parameters={"logpath": ["/var/log/messages"]})["SessionId"])
    for wrong in [{"logpath": ["/etc/shadow"]}, {"logpath": ["/var/log/x; id"]}, {"other": ["x"]}, {"logpath": ["a", "b"]}]:
        wants("InvalidParameters", ssm.start_session, **start, Parameters=wrong)
    ssm.create_document(Name="A-Command", Content=json.dumps(RUN))
    wants("InvalidDocument", ssm.start_session, Target=DEVICE, DocumentName="A-Command")
    for name in ["Tail-Log", "A-Command"]:
        ssm.delete_document(Name=name)


@check
def preferences_hold_for_every_session_and_go_with_their_document():
    ssm = boto("ssm")
    for wrong in [{"idleSessionTimeout": "61"}, {"maxSessionDuration": "0"}, {"kmsKeyId": "x"}, {"idleTimeout": "5"},
                  {"runAsDefaultUser": "root"}]:
        wants("InvalidDocumentContent", ssm.update_document, Name="SSM-SessionManagerRunShell", Content=preferences(**wrong))
    updated = ssm.update_document(Name="SSM-SessionManagerRunShell", DocumentVersion="$LATEST",
                                  Content=preferences(maxSessionDuration="7"))["DocumentDescription"]
    assert updated["LatestVersion"] == "2" and updated["DefaultVersion"] == "1", updated

    def max_duration(**which):
        started = ssm.start_session(Target=DEVICE, **which)["SessionId"]
        shown = ssm.describe_sessions(State="Active", Filters=[{"key": "SessionId", "value": started}])["Sessions"][0]
        ssm.terminate_session(SessionId=started)
        return shown.get("MaxSessionDuration")

    assert max_duration() is None, "only the default version counts"
    ssm.update_document_default_version(Name="SSM-SessionManagerRunShell", DocumentVersion="2")
    assert max_duration() == "7"
    assert max_duration(DocumentName="AWS-StartInteractiveCommand", Parameters={"command": ["id"]}) == "7"
    ssm.create_document(Name="Longer", Content=session(inputs={"maxSessionDuration": "9"}), DocumentType="Session")
    assert max_duration(DocumentName="Longer") == "9", "a document's own word wins"
    ssm.delete_document(Name="Longer")
    ssm.delete_document(Name="SSM-SessionManagerRunShell")
    assert max_duration() is None
    wants("InvalidDocumentOperation", ssm.delete_document, Name="SSM-SessionManagerRunShell")
    ssm.create_document(Name="SSM-SessionManagerRunShell", DocumentType="Session", Content=preferences(maxSessionDuration="8"))
    assert max_duration() == "8"
    ssm.delete_document(Name="SSM-SessionManagerRunShell")


@check
def run_as_is_the_preferences_choice_and_nobody_elses():
    ssm = boto("ssm")
    name = "SSM-SessionManagerRunShell"
    start = allow("ssm:StartSession")
    plain = boto("ssm", new_user("plain", start))
    ssm.create_document(Name=name, DocumentType="Session", Content=preferences(runAsEnabled=True))
    assert "runAsDefaultUser" in wants("AccessDeniedException", plain.start_session, Target=DEVICE)
    ssm.update_document(Name=name, Content=preferences(runAsEnabled="true", runAsDefaultUser="ops"))
    ssm.update_document_default_version(Name=name, DocumentVersion="2")
    plain.start_session(Target=DEVICE)
    plain.start_session(Target=DEVICE, DocumentName=name, Parameters={"runAsUser": ["ops"]})
    wants("AccessDeniedException", plain.start_session, Target=DEVICE, DocumentName=name, Parameters={"runAsUser": ["bin"]})
    ssm.delete_document(Name=name)
    towline("DeletePrincipal", {"PrincipalName": "plain"})


@check
def a_principal_runs_one_command_on_devices_of_one_tag_and_nothing_else():
    device = allow("ssm:StartSession", "arn:aws:ssm:*:*:managed-instance/*",
                   StringEquals={"ssm:resourceTag/Environment": "dev", "towline:DocumentParameter/command": "uptime"})
    document = allow("ssm:StartSession", "arn:aws:ssm:*::document/AWS-StartInteractiveCommand",
                     StringEquals={"towline:DocumentParameter/command": "uptime"})
    one = boto("ssm", new_user("onecommand", device, document))
    run = {"Target": DEVICE, "DocumentName": "AWS-StartInteractiveCommand"}
    one.start_session(**run, Parameters={"command": ["uptime"]})
    for other in ["id", "uptime; id", "uptime ", "Uptime"]:
        wants("AccessDeniedException", one.start_session, **run, Parameters={"command": [other]})
    wants("AccessDeniedException", one.start_session, Target=DEVICE)
    wants("AccessDeniedException", one.start_session, Target=DEVICE, DocumentName="AWS-StartNonInteractiveCommand",
          Parameters={"command": ["uptime"]})
    boto("ssm").add_tags_to_resource(ResourceType="ManagedInstance", ResourceId=DEVICE, Tags=[{"Key": "Environment", "Value": "x"}])
    wants("AccessDeniedException", one.start_session, **run, Parameters={"command": ["uptime"]})
    boto("ssm").add_tags_to_resource(ResourceType="ManagedInstance", ResourceId=DEVICE,
                                     Tags=[{"Key": "Environment", "Value": "dev"}])
    towline("DeletePrincipal", {"PrincipalName": "onecommand"})


@check
def documents_are_permitted_by_tag_and_by_type():
    admin = boto("ssm")
    admin.create_document(Name="Edge-One", Content=session(), DocumentType="Session", Tags=[{"Key": "Team", "Value": "edge"}])
    admin.create_document(Name="Core-One", Content=session(), DocumentType="Session", Tags=[{"Key": "Team", "Value": "core"}])
    own = allow(["ssm:GetDocument", "ssm:UpdateDocument", "ssm:StartSession"], "arn:aws:ssm:*:*:document/*",
                StringEquals={"ssm:resourceTag/Team": "edge"})
    make = allow("ssm:CreateDocument", "*", StringEquals={"ssm:DocumentType": "Session", "aws:RequestTag/Team": "edge"})
    device = allow("ssm:StartSession", "arn:aws:ssm:*:*:managed-instance/*")
    ssm = boto("ssm", new_user("edge", own, make, device))
    ssm.get_document(Name="Edge-One")
    ssm.update_document(Name="Edge-One", Content=session(description="2"))
    ssm.start_session(Target=DEVICE, DocumentName="Edge-One")
    wants("AccessDeniedException", ssm.get_document, Name="Core-One")
    wants("AccessDeniedException", ssm.get_document, Name="No-Such-One")
    wants("AccessDeniedException", ssm.start_session, Target=DEVICE, DocumentName="Core-One")
    wants("AccessDeniedException", ssm.start_session, Target=DEVICE, DocumentName="No-Such-One")
    tags = {"Tags": [{"Key": "Team", "Value": "edge"}]}
    wants("AccessDeniedException", ssm.create_document, Name="Edge-Two", Content=session(), DocumentType="Session")
    wants("AccessDeniedException", ssm.create_document, Name="Edge-Two", Content=json.dumps(RUN), **tags)
    ssm.create_document(Name="Edge-Two", Content=session(), DocumentType="Session", **tags)
    for name in ["Edge-One", "Edge-Two", "Core-One"]:
        admin.delete_document(Name=name)
    towline("DeletePrincipal", {"PrincipalName": "edge"})


if __name__ == "__main__":
    run()
