"""What the smoke programs share: a list of checks, errors that are wanted, users with policies.

Each program decorates its functions with `check` and ends with `run()`.
"""
import json
import os
import sys
import traceback

from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from towline_client import ENDPOINT, REGION, towline

DEVICE = os.environ.get("TOWLINE_DEVICE")
OTHER = os.environ.get("TOWLINE_OTHER")
UNKNOWN = "mi-00000000000000000"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def wants(code, call, *args, **kwargs):
    """The call must fail with this code; the message is returned."""
    try:
        answer = call(*args, **kwargs)
    except ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == code, f"wanted {code}, got {got}: {error}"
        return error.response["Error"]["Message"]
    raise AssertionError(f"wanted {code}, got {answer}")


def new_user(name, *policies):
    """A user with these policy documents; its credentials."""
    towline("CreatePrincipal", {"PrincipalName": name})
    for number, policy in enumerate(policies):
        text = policy if isinstance(policy, str) else json.dumps(policy)
        towline("PutPrincipalPolicy", {"PrincipalName": name, "PolicyName": f"p{number}", "PolicyDocument": text})
    key = towline("CreateAccessKey", {"PrincipalName": name})["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def allow(action, resource="*", **condition):
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    if condition:
        statement["Condition"] = condition
    return {"Version": "2012-10-17", "Statement": [statement]}


def run():
    failed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok      {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} checks passed against {ENDPOINT} in {REGION}")
    sys.exit(1 if failed else 0)
