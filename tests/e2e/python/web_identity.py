#!/usr/bin/env python3
"""A job without a stored key: unmodified boto3 and AWS CLI assume a role with a token of an identity provider.

The provider is a server of this program: a discovery document, a key set, and tokens signed by `cryptography`.
Environment: that of towline_client, TOWLINE_DEVICE (connected), TOWLINE_CLI.
"""
import base64
import hashlib
import hmac
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import urllib3.util.connection
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from checks import DEVICE, check, run, wants
from towline_client import CA, ENDPOINT, REGION, boto, towline

ACCOUNT = "000000000000"
AUDIENCE = "towline"


# A source of its own for each connection: what fails too often from one address is throttled, by another test.
SOURCES = (f"127.2.{number // 250}.{number % 250 + 1}" for number in itertools.count())
connect = urllib3.util.connection.create_connection
urllib3.util.connection.create_connection = lambda address, timeout=None, source_address=None, socket_options=None: connect(
    address, timeout, (next(SOURCES), 0), socket_options)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length=None):
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


class Provider:
    """An identity provider: what it publishes can be changed while it runs."""

    def __init__(self):
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.p256 = ec.generate_private_key(ec.SECP256R1())
        self.ed = ed25519.Ed25519PrivateKey.generate()
        self.requests = 0
        self.broken = None
        self.extra_keys = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                provider.requests += 1
                status, headers, body = provider.answer(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}/realm"
        self.issuer = f"http://{self.host}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path):
        if self.broken:
            return self.broken
        if path == "/realm/.well-known/openid-configuration":
            body = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        elif path == "/realm/keys":
            body = {"keys": self.keys()}
        else:
            return 404, {}, b""
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()

    def keys(self):
        n = self.rsa.public_key().public_numbers()
        p = self.p256.public_key().public_numbers()
        return [
            {"kty": "RSA", "kid": "rsa", "use": "sig", "n": number(n.n), "e": number(n.e)},
            {"kty": "EC", "kid": "p256", "crv": "P-256", "x": number(p.x, 32), "y": number(p.y, 32)},
            {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": b64(self.ed.public_key().public_bytes_raw())},
        ] + self.extra_keys

    def sign(self, algorithm, message):
        if algorithm == "RS256":
            return self.rsa.sign(message, padding.PKCS1v15(), hashes.SHA256())
        if algorithm == "PS384":
            salt = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
            return self.rsa.sign(message, salt, hashes.SHA384())
        if algorithm == "ES256":
            r, s = decode_dss_signature(self.p256.sign(message, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if algorithm == "EdDSA":
            return self.ed.sign(message)
        if algorithm == "HS256":  # the attack: the public key as a secret
            key = json.dumps(self.keys()[0]).encode()
            return hmac.new(key, message, hashlib.sha256).digest()
        return b""

    def token(self, algorithm="RS256", kid="rsa", header=None, **claims):
        now = int(time.time())
        body = {"iss": self.issuer, "sub": "repo:corp/app:ref:refs/heads/main", "aud": AUDIENCE, "iat": now,
                "exp": now + 300, "repository": "corp/app", "environment": "prod"} | claims
        body = {name: value for name, value in body.items() if value is not None}
        head = {"alg": algorithm, "kid": kid, "typ": "JWT"} | (header or {})
        head = {name: value for name, value in head.items() if value is not None}
        signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(body).encode())}"
        return f"{signed}.{b64(self.sign(algorithm, signed.encode()))}"


PROVIDER = Provider()
ARN = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{PROVIDER.host}"


def trust(**conditions):
    return json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Federated": ARN}, "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{PROVIDER.host}:{claim}": value for claim, value in conditions.items()}}}]})


def role(name, *statements, policy=None):
    towline("CreatePrincipal", {"PrincipalName": name, "PrincipalType": "Role",
                                "TrustPolicyDocument": policy or trust(sub="repo:corp/app:ref:refs/heads/main")})
    document = {"Version": "2012-10-17", "Statement": list(statements) or [
        {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}]}
    towline("PutPrincipalPolicy", {"PrincipalName": name, "PrincipalType": "Role", "PolicyName": "p",
                                   "PolicyDocument": json.dumps(document)})
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def sts():
    return boto3.client("sts", endpoint_url=ENDPOINT, region_name=REGION, verify=CA,
                        config=Config(signature_version=UNSIGNED, retries={"max_attempts": 0}))


def assume(arn, token, **more):
    return sts().assume_role_with_web_identity(RoleArn=arn, RoleSessionName="build-7", WebIdentityToken=token, **more)


def credentials(answer):
    made = answer["Credentials"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def environment(arn, token, directory):
    """What a CI job sets, and nothing else: no key."""
    file = pathlib.Path(directory) / "token"
    file.write_text(token)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"AWS_ROLE_ARN": arn, "AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_ROLE_SESSION_NAME": "build-7",
                   "AWS_ENDPOINT_URL": ENDPOINT, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
                   "AWS_CA_BUNDLE": CA, "AWS_EC2_METADATA_DISABLED": "true",
                   "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}


JOB = """
import boto3, sys
ssm = boto3.client("ssm")
assert boto3.client("sts").get_caller_identity()["Arn"].endswith(":assumed-role/ci/build-7")
device = sys.argv[1]
assert [d["InstanceId"] for d in ssm.describe_instance_information()["InstanceInformationList"]].count(device) == 1
session = ssm.start_session(Target=device)["SessionId"]
assert session.startswith("build-7-"), session
ssm.terminate_session(SessionId=session)
sent = ssm.send_command(DocumentName="AWS-RunShellScript", InstanceIds=[device], Parameters={"commands": ["echo from-ci"]})
ssm.get_waiter("command_executed").wait(CommandId=sent["Command"]["CommandId"], InstanceId=device, WaiterConfig={"Delay": 1})
done = ssm.get_command_invocation(CommandId=sent["Command"]["CommandId"], InstanceId=device)
assert done["StandardOutputContent"] == "from-ci\\n", done
"""


@check
def a_provider_is_made_by_the_command_line():
    made = subprocess.run([os.environ["TOWLINE_CLI"], "admin", "provider", "create", "ci", "--issuer", PROVIDER.issuer,
                           "--audience", AUDIENCE, "--tag", "Environment=environment", "--second-factor", "mfa"],
                          capture_output=True, text=True)
    assert made.returncode == 0 and made.stdout.strip() == ARN, made
    role("ci")


@check
def unmodified_boto3_runs_a_session_and_a_command_with_a_token_alone():
    with tempfile.TemporaryDirectory() as directory:
        env = environment(f"arn:aws:iam::{ACCOUNT}:role/ci", PROVIDER.token(), directory)
        done = subprocess.run([sys.executable, "-c", JOB, DEVICE], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@check
def the_unmodified_aws_cli_does_so_too():
    with tempfile.TemporaryDirectory() as directory:
        env = environment(f"arn:aws:iam::{ACCOUNT}:role/ci", PROVIDER.token(), directory)
        aws = [sys.executable, "-m", "awscli"]
        done = subprocess.run(aws + ["ssm", "describe-instance-information", "--output", "json"], env=env,
                              capture_output=True, text=True)
        assert done.returncode == 0 and DEVICE in done.stdout, done
        done = subprocess.run(aws + ["ssm", "send-command", "--document-name", "AWS-RunShellScript", "--instance-ids",
                                     DEVICE, "--parameters", "commands=true"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done


@check
def the_answer_says_who_it_is():
    answer = assume(f"arn:aws:iam::{ACCOUNT}:role/ci", PROVIDER.token(), DurationSeconds=900)
    assert answer["Provider"] == PROVIDER.issuer and answer["Audience"] == AUDIENCE, answer
    assert answer["SubjectFromWebIdentityToken"] == "repo:corp/app:ref:refs/heads/main"
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/build-7"


@check
def every_algorithm_of_the_provider_is_accepted():
    for algorithm, kid in [("RS256", "rsa"), ("PS384", "rsa"), ("ES256", "p256"), ("EdDSA", "ed")]:
        assume(f"arn:aws:iam::{ACCOUNT}:role/ci", PROVIDER.token(algorithm, kid))
    assume(f"arn:aws:iam::{ACCOUNT}:role/ci", PROVIDER.token("ES256", None))


@check
def tokens_that_are_not_right_are_refused_each_by_its_code():
    arn = f"arn:aws:iam::{ACCOUNT}:role/ci"
    now = int(time.time())
    signed = PROVIDER.token()
    for wrong in [
        PROVIDER.token("none"), PROVIDER.token("HS256"), PROVIDER.token("RS256", "p256"),
        PROVIDER.token("ES256", "ed"), signed[:-8] + "AAAAAAAA", signed.replace(".", "", 1),
        PROVIDER.token(header={"crit": ["exp"]}), PROVIDER.token(header={"jku": PROVIDER.issuer + "/keys"}),
        PROVIDER.token(header={"jwk": PROVIDER.keys()[0]}), PROVIDER.token(header={"x5u": "https://x"}),
        PROVIDER.token(header={"typ": "at+jwt"}), PROVIDER.token(kid="unknown"), PROVIDER.token(aud="other"),
        PROVIDER.token(aud=None), PROVIDER.token(sub=None), PROVIDER.token(sub=""), PROVIDER.token(azp="other"),
        PROVIDER.token(exp=None), PROVIDER.token(iat=None), PROVIDER.token(iat=now + 120), PROVIDER.token(nbf=now + 120),
        PROVIDER.token(iss="https://elsewhere.example"),
    ]:
        wants("InvalidIdentityToken", assume, arn, wrong)
    wants("ExpiredTokenException", assume, arn, PROVIDER.token(exp=now - 61))
    wants("ValidationError", assume, arn, "x" * 20_000)
    assume(arn, PROVIDER.token(exp=now - 30, iat=now - 300))  # clocks differ


@check
def two_keys_alike_are_not_chosen_between():
    PROVIDER.extra_keys = [PROVIDER.keys()[0]]
    towline("UpdateIdentityProvider", {"ProviderName": "ci", "Audiences": [AUDIENCE],
                                       "PrincipalTags": [{"Key": "Environment", "Claim": "environment"}]})
    wants("InvalidIdentityToken", assume, f"arn:aws:iam::{ACCOUNT}:role/ci", PROVIDER.token())
    PROVIDER.extra_keys = []
    towline("UpdateIdentityProvider", {"ProviderName": "ci", "Audiences": [AUDIENCE], "SecondFactors": ["mfa"],
                                       "PrincipalTags": [{"Key": "Environment", "Claim": "environment"}]})
    assume(f"arn:aws:iam::{ACCOUNT}:role/ci", PROVIDER.token())


@check
def a_trust_policy_names_the_provider_and_who_it_is():
    arn = f"arn:aws:iam::{ACCOUNT}:role/ci"
    wants("AccessDenied", assume, arn, PROVIDER.token(sub="repo:corp/app:pull_request"))
    wants("AccessDenied", assume, f"arn:aws:iam::{ACCOUNT}:role/none", PROVIDER.token())
    everyone = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:*"}]})
    wants("AccessDenied", assume, role("everyone", policy=everyone), PROVIDER.token())
    for bad in [trust(), trust(aud=AUDIENCE)]:
        request = {"PrincipalName": "loose", "PrincipalType": "Role", "TrustPolicyDocument": bad}
        towline("CreatePrincipal", request, expect="MalformedPolicyDocument")
    by_repository = role("repository", policy=trust(repository="corp/app", aud=AUDIENCE))
    assume(by_repository, PROVIDER.token(sub="repo:corp/app:pull_request"))
    wants("AccessDenied", assume, by_repository, PROVIDER.token(repository="eve/app"))
    verified = role("mail", policy=trust(email="ann@corp.example"))
    wants("AccessDenied", assume, verified, PROVIDER.token(email="ann@corp.example"))
    assume(verified, PROVIDER.token(email="ann@corp.example", email_verified=True))


@check
def conditions_see_the_provider_its_tags_and_the_second_factor():
    def only(key, value, operator="StringEquals"):
        return {"Effect": "Allow", "Action": "ssm:DescribeInstanceInformation", "Resource": "*",
                "Condition": {operator: {key: value}}}

    cases = [
        ("tagged", only("aws:PrincipalTag/Environment", "prod"), {}, {"environment": "dev"}),
        ("provider", only("aws:FederatedProvider", ARN), {}, None),
        ("factor", only("aws:MultiFactorAuthPresent", "true", "Bool"), {"amr": ["pwd", "mfa"]}, {"amr": ["pwd"]}),
        ("fresh", only("aws:MultiFactorAuthAge", "600", "NumericLessThan"),
         {"amr": ["mfa"], "auth_time": int(time.time()) - 60}, {"amr": ["mfa"], "auth_time": int(time.time()) - 900}),
    ]
    for name, statement, good, bad in cases:
        arn = role(name, statement)
        boto("ssm", credentials(assume(arn, PROVIDER.token(**good)))).describe_instance_information()
        if bad is not None:
            ssm = boto("ssm", credentials(assume(arn, PROVIDER.token(**bad))))
            wants("AccessDeniedException", ssm.describe_instance_information)


@check
def a_session_policy_and_the_duration_limit_the_credentials():
    arn = f"arn:aws:iam::{ACCOUNT}:role/ci"
    wants("ValidationError", assume, arn, PROVIDER.token(), DurationSeconds=7200)
    narrow = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ssm:DescribeSessions", "Resource": "*"}]})
    ssm = boto("ssm", credentials(assume(arn, PROVIDER.token(), Policy=narrow)))
    ssm.describe_sessions(State="Active")
    wants("AccessDeniedException", ssm.describe_instance_information)


@check
def a_provider_that_is_down_or_misbehaves_takes_nothing_away_and_is_named():
    arn = f"arn:aws:iam::{ACCOUNT}:role/ci"
    PROVIDER.broken = (500, {}, b"")
    assume(arn, PROVIDER.token())  # the key is known
    settings = {"ProviderName": "ci", "Audiences": [AUDIENCE], "SecondFactors": ["mfa"],
                "PrincipalTags": [{"Key": "Environment", "Claim": "environment"}]}
    towline("UpdateIdentityProvider", settings)  # what was kept is forgotten
    for broken in [(500, {}, b""), (302, {"Location": "http://169.254.169.254/"}, b""), (200, {}, b"{"),
                   (200, {}, b" " * 2_000_000)]:
        PROVIDER.broken = broken
        towline("UpdateIdentityProvider", settings)
        wants("IDPCommunicationError", assume, arn, PROVIDER.token())
    PROVIDER.broken = None
    towline("UpdateIdentityProvider", settings)
    assume(arn, PROVIDER.token())


@check
def unknown_keys_cost_a_provider_one_request_a_minute():
    arn = f"arn:aws:iam::{ACCOUNT}:role/ci"
    assume(arn, PROVIDER.token())
    before = PROVIDER.requests
    for number in range(5):
        wants("InvalidIdentityToken", assume, arn, PROVIDER.token(kid=f"unknown-{number}"))
    assert PROVIDER.requests - before <= 2, PROVIDER.requests - before


@check
def addresses_inside_are_not_asked():
    for issuer in ["http://169.254.169.254", "http://127.0.0.2:9", "http://192.0.2.1"]:  # in plain text
        towline("CreateIdentityProvider", {"ProviderName": "inside", "Issuer": issuer, "Audiences": [AUDIENCE]},
                expect="ValidationException")
    for issuer in ["https://169.254.169.254", "https://[::1]:9"]:
        towline("CreateIdentityProvider", {"ProviderName": "inside", "Issuer": issuer, "Audiences": [AUDIENCE]})
        message = wants("IDPCommunicationError", assume, f"arn:aws:iam::{ACCOUNT}:role/ci", PROVIDER.token(iss=issuer))
        towline("DeleteIdentityProvider", {"ProviderName": "inside"})
        assert "[outbound]" in message or "https" in message, message


@check
def a_provider_that_is_stopped_ends_credentials_and_takes_no_token_until_it_is_let_in_again():
    arn = f"arn:aws:iam::{ACCOUNT}:role/ci"
    before = boto("ssm", credentials(assume(arn, PROVIDER.token())))
    before.describe_instance_information()
    towline("UpdateIdentityProviderStatus", {"ProviderName": "ci", "Status": "Disabled"})
    wants("UnrecognizedClientException", before.describe_instance_information)
    wants("IDPRejectedClaim", assume, arn, PROVIDER.token())
    towline("UpdateIdentityProviderStatus", {"ProviderName": "ci", "Status": "Enabled"})
    wants("UnrecognizedClientException", before.describe_instance_information)
    boto("ssm", credentials(assume(arn, PROVIDER.token()))).describe_instance_information()


@check
def a_blocked_subject_and_a_removed_provider_end_credentials_with_the_next_request():
    arn = f"arn:aws:iam::{ACCOUNT}:role/ci"
    ssm = boto("ssm", credentials(assume(arn, PROVIDER.token())))
    ssm.describe_instance_information()
    people = towline("ListFederatedPeople", {"ProviderName": "ci"})["People"]
    subject = "repo:corp/app:ref:refs/heads/main"
    assert subject in [person["Subject"] for person in people], people
    towline("UpdateFederatedPerson", {"ProviderName": "ci", "Subject": subject, "Status": "Blocked"})
    wants("UnrecognizedClientException", ssm.describe_instance_information)
    wants("IDPRejectedClaim", assume, arn, PROVIDER.token())
    towline("UpdateFederatedPerson", {"ProviderName": "ci", "Subject": subject, "Status": "Active"})
    wants("UnrecognizedClientException", ssm.describe_instance_information)  # what was given before stays over
    ssm = boto("ssm", credentials(assume(arn, PROVIDER.token())))
    session = ssm.start_session(Target=DEVICE)["SessionId"]
    ended = towline("DeleteIdentityProvider", {"ProviderName": "ci", "EndSessions": True})
    assert ended["EndedSessions"] == 1, ended
    wants("UnrecognizedClientException", ssm.describe_instance_information)
    wants("InvalidIdentityToken", assume, arn, PROVIDER.token())
    assert boto("ssm").describe_sessions(State="History", Filters=[{"key": "SessionId", "value": session}])["Sessions"]


if __name__ == "__main__":
    run()
