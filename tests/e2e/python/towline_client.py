"""What the Python test programs share: clients from the environment, and signed requests with anything wrong in them.

Environment: TOWLINE_ENDPOINT, TOWLINE_CA, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.
"""
import datetime
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

ENDPOINT = os.environ["TOWLINE_ENDPOINT"]
CA = os.environ["TOWLINE_CA"]
REGION = os.environ["AWS_REGION"]
ADMIN = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])


def boto(service, credentials=ADMIN):
    """A real boto3 client. Each error is wanted as it is, so nothing is tried twice."""
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=REGION,
        verify=CA,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
        config=Config(retries={"max_attempts": 0}, parameter_validation=False),
    )


class Answer:
    """Status, body and error code of a raw request."""

    def __init__(self, status, body):
        self.status = status
        self.body = json.loads(body) if body[:1] in (b"{", b"[") else body.decode(errors="replace")

    @property
    def code(self):
        return self.body.get("__type") if isinstance(self.body, dict) else None


def raw(target, body, credentials=ADMIN, service="ssm", clock_offset=0, change=None, sign=True, headers=None, path="/"):
    """Sends one request by hand. `change` gets the signed headers (a dict) to spoil them; `body` is bytes or an object."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    all_headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target} | (headers or {})
    request = AWSRequest("POST", ENDPOINT + path, data=data, headers=all_headers)
    if sign:
        sign_at(request, credentials, service, clock_offset)
    signed = dict(request.headers.items())
    if change:
        change(signed)
    return send(data, signed, path)


def sign_at(request, credentials, service, clock_offset):
    """Signs with a clock that is wrong by so many seconds."""
    import botocore.auth

    real = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *a, **k: real(*a, **k) + datetime.timedelta(seconds=clock_offset)
    try:
        SigV4Auth(credentials, service, REGION).add_auth(request)
    finally:
        botocore.auth.get_current_datetime = real


def send(data, headers, path="/"):
    """One POST over TLS; errors of HTTP are answers."""
    context = ssl.create_default_context(cafile=CA)
    request = urllib.request.Request(ENDPOINT + path, data=data, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as reply:
            return Answer(reply.status, reply.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read())


def towline(operation, body, credentials=ADMIN, expect=None):
    """An administration operation. Raises unless it succeeds, or fails with the code `expect`."""
    answer = raw(f"Towline.{operation}", body, credentials=credentials, service="towline")
    if expect is None:
        assert answer.status == 200, f"{operation}: {answer.status} {answer.body}"
    else:
        assert answer.code == expect, f"{operation}: wanted {expect}, got {answer.status} {answer.body}"
    return answer.body


def host_of(url):
    return urllib.parse.urlparse(url).netloc
