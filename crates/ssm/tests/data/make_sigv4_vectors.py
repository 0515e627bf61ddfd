#!/usr/bin/env python3
"""Writes sigv4_vectors.json: requests that botocore signed, for tests/sigv4_botocore.rs.

Run it with botocore 1.43 installed; the output depends on nothing else (fixed keys, fixed times).
The keys are made up and open nothing.
"""

import datetime
import json
import pathlib
from urllib.parse import urlsplit

import boto3
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY, SECRET, TOKEN = "AKIAEXAMPLE000000001", "made/up+secret/of40characters00000000000", "made-up/session+token=="
TIME = datetime.datetime(2026, 1, 5, 10, 11, 12, tzinfo=datetime.timezone.utc)
botocore.auth.get_current_datetime = lambda remove_tzinfo=True: TIME.replace(tzinfo=None) if remove_tzinfo else TIME

CASES = []


def keep(name, method, url, headers, body, region, service, token):
    split = urlsplit(url)
    pairs = [[k, v.decode() if isinstance(v, bytes) else v] for k, v in headers.items()]
    if not any(k.lower() == "host" for k, _ in pairs):
        pairs.insert(0, ["Host", split.netloc.removesuffix(":443")])
    body = body.decode() if isinstance(body, bytes) else body or ""
    CASES.append({"name": name, "method": method, "path": split.path, "query": split.query, "headers": pairs,
                  "body": body, "region": region, "service": service, "token": token})


class Caught(Exception):
    pass


def client(service, operation, url, token=None, **arguments):
    """A request of a real client, caught when it is about to be sent."""
    session = boto3.Session(KEY, SECRET, aws_session_token=token, region_name="eu-central-1")
    made = session.client(service, endpoint_url=url)

    def caught(request, **_):
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("user-agent", "amz-sdk-invocation-id")}
        keep(f"{service} {operation} with {len(arguments)} arguments, token: {bool(token)}", request.method, request.url,
             headers, request.body, "eu-central-1", service, token)
        raise Caught

    made.meta.events.register("before-send.*", caught)
    try:
        getattr(made, operation)(**arguments)
    except Caught:
        pass


def bare(name, method, url, headers=None, body=b"", service="ssmmessages", token=None):
    """Any request, signed by botocore's signer alone."""
    request = AWSRequest(method=method, url=url, headers=headers or {}, data=body)
    signer = botocore.auth.SigV4Auth(Credentials(KEY, SECRET, token), service, "us-east-1")
    signer.add_auth(request)
    keep(name, method, url, request.headers, body, "us-east-1", service, token)


GATEWAY = "https://gateway.example:8443"
client("ssm", "describe_instance_information", GATEWAY)
client("ssm", "start_session", GATEWAY, Target="mi-0123456789abcdef0", Reason="two  spaces, \u00fcml\u00e4ut \u2603")
client("ssm", "start_session", GATEWAY, token=TOKEN, Target="mi-0123456789abcdef0")
client("ssm", "create_activation", "https://gateway.example", IamRole="edge", ExpirationDate=TIME, RegistrationLimit=5,
       Tags=[{"Key": "Environment", "Value": "dev"}])
client("sts", "get_caller_identity", "https://[2001:db8::1]:8443")
client("sts", "get_caller_identity", GATEWAY, token=TOKEN)
bare("a websocket upgrade", "GET", f"{GATEWAY}/v1/data-channel/alice-0123456789abcdefg?cell-number=1&role=publish_subscribe")
bare("a path with dots and doubled slashes", "GET", f"{GATEWAY}/a//b/../c/./d/")
bare("a path with escapes", "GET", f"{GATEWAY}/a%20b/%C3%BC~x")
bare("a query with escapes and no value", "GET", f"{GATEWAY}/?z=%2F%20x&b&a=2&a=1&A=0")
bare("header values with runs of spaces", "POST", f"{GATEWAY}/", {"X-Amz-Target": " AmazonSSM.X  y ", "X-Custom": "a   b"}, b"{}")
bare("a body hash given as a header", "POST", f"{GATEWAY}/",
     {"X-Amz-Content-SHA256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}, b"{}", "ssm")

out = {"access_key": KEY, "secret": SECRET, "now": int(TIME.timestamp()), "cases": CASES}
path = pathlib.Path(__file__).with_name("sigv4_vectors.json")
path.write_text(json.dumps(out, indent=1, ensure_ascii=True) + "\n")
print(f"{len(CASES)} cases")
