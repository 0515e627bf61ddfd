#!/usr/bin/env python3
"""Writes shapes.json: member names of the served shapes as botocore's model of Systems Manager has them.

tests/shapes_botocore.rs compares our shapes with it. Run it with botocore 1.43 installed.
"""

import json
import pathlib

import botocore.session

OPERATIONS = """StartSession ResumeSession TerminateSession DescribeSessions GetConnectionStatus
DescribeInstanceInformation CreateActivation DescribeActivations DeleteActivation AddTagsToResource
RemoveTagsFromResource ListTagsForResource DeregisterManagedInstance CreateDocument UpdateDocument UpdateDocumentDefaultVersion
GetDocument DescribeDocument ListDocuments ListDocumentVersions DeleteDocument SendCommand ListCommands
ListCommandInvocations GetCommandInvocation CancelCommand
DescribeDocumentPermission GetInventory""".split()

model = botocore.session.get_session().get_service_model("ssm")
shapes = {}


def add(shape):
    if shape.type_name == "structure" and shape.name not in shapes:
        shapes[shape.name] = {"members": sorted(shape.members), "required": sorted(shape.required_members)}
        for member in shape.members.values():
            add(member)
    elif shape.type_name == "list":
        add(shape.member)
    elif shape.type_name == "map":
        add(shape.value)


operations = {}
for name in OPERATIONS:
    operation = model.operation_model(name)
    add(operation.input_shape)
    add(operation.output_shape)
    operations[name] = sorted(shape.name for shape in operation.error_shapes)
for error in {e for errors in operations.values() for e in errors}:
    assert model.shape_for_error_code(error) is not None

out = {"errors": operations, "shapes": dict(sorted(shapes.items()))}
pathlib.Path(__file__).with_name("shapes.json").write_text(json.dumps(out, indent=1) + "\n")
print(f"{len(shapes)} shapes")
