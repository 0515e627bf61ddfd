#!/usr/bin/env python3
"""A second real provider (nanoidp): people by `towline login`, with and without a second factor, renewed, after a change
of its keys; jobs by AssumeRoleWithWebIdentity.

Environment: that of towline_client, TOWLINE_DEVICE, TOWLINE_CLI, TOWLINE_ORIGIN.
"""
import base64
import hmac
import html
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

import boto3
import requests
from botocore import UNSIGNED
from botocore.config import Config

from browser import HOME, ORIGIN, Browser, back_of, begin, callback, cli, line_of
from checks import DEVICE, check, run
from nano_provider import TOTP
from towline_client import CA, ENDPOINT, REGION, towline

PROVIDER = subprocess.Popen(
    [sys.executable, str(pathlib.Path(__file__).with_name("nano_provider.py")), tempfile.mkdtemp()],
    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    env=os.environ | {"REDIRECT_URI": callback("nano")})
ISSUER = line_of(PROVIDER, PROVIDER.stdout).strip()
ARN = f"arn:aws:iam::000000000000:oidc-provider/{ISSUER.removeprefix('http://')}"
SETTINGS = {"ProviderName": "nano", "ClientId": "towline", "ClientSecret": "hush+&=:%",
            "Scopes": ["profile", "email", "offline_access"], "NameClaim": "preferred_username", "GroupsClaim": "groups",
            "SecondFactors": ["otp"], "GroupRoles": [{"Group": "ops", "Role": "operator"}]}


def answers(url):
    """Whether somebody listens there."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def code():
    mac = hmac.new(base64.b32decode(TOTP), struct.pack(">Q", int(time.time()) // 30), "sha1").digest()
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1000000:06d}"


class Person(Browser):
    """Fills the provider's forms in."""

    def sign_in(self, url, person, stop, password="x"):
        page = self.go(url, stop)
        for _ in range(3):
            if isinstance(page, str) or page.url.startswith(ORIGIN):
                return page
            hidden = {html.unescape(name): html.unescape(value) for name, value in
                      re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)}
            fields = {"username": person, "password": password} if 'name="password"' in page.text else {"totp_code": code()}
            page = self.go(page.url, stop, hidden | fields)
        return page


def login(person, *words):
    """`towline login` as this person: the finished process, and what it printed."""
    process, url = begin(*words)
    page = Person().sign_in(url, person, back_of(url))
    assert isinstance(page, str), page.text
    requests.get(page)
    out, err = process.communicate(timeout=30)
    return process.returncode, out + err


@check
def the_provider_is_made_with_its_client():
    end = time.monotonic() + 60
    while not answers(f"{ISSUER}/.well-known/openid-configuration"):
        assert time.monotonic() < end, "the provider does not listen"
        time.sleep(0.1)
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}]}
    towline("CreatePrincipal", {"PrincipalName": "operator", "PrincipalType": "Role",
                                "TrustPolicyDocument": json.dumps(trust)})
    towline("PutPrincipalPolicy", {"PrincipalName": "operator", "PrincipalType": "Role", "PolicyName": "p",
                                   "PolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": [
                                       {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}]})})
    towline("CreateIdentityProvider", SETTINGS | {"Issuer": ISSUER, "Audiences": ["job", "towline-jobs"]})


@check
def a_person_has_the_role_of_her_group_and_her_second_factor_counts():
    status, said = login("ann")
    assert status == 0 and "signed in until" in said, said
    arn, _, factor = cli("whoami").stdout.splitlines()
    assert arn == "arn:aws:sts::000000000000:assumed-role/operator/ann" and factor == "second factor: no", (arn, factor)
    assert DEVICE in cli("devices").stdout
    status, said = login("kim")
    assert status == 0, said
    arn, _, factor = cli("whoami").stdout.splitlines()
    assert arn.endswith("/kim") and factor.startswith("second factor: yes"), (arn, factor)


@check
def a_fresh_sign_in_has_the_provider_ask_again():
    status, said = login("kim", "--fresh")
    assert status == 0, said


@check
def who_is_in_no_group_of_the_mapping_is_not_let_in():
    status, page = login("eve")
    assert status == 254 and "none of your groups gives a role here" in page, page


@check
def a_sign_in_is_renewed_with_tokens_that_the_provider_rotates():
    assert login("ann")[0] == 0
    file, = pathlib.Path(HOME, ".cache/towline").iterdir()
    assert json.loads(file.read_text())["RefreshToken"], "a secret that renews"
    for _ in range(2):
        before = json.loads(file.read_text())
        file.write_text(json.dumps(before | {"Expiration": "2020-01-01T00:00:00Z"}))
        renewed = cli("whoami")
        assert renewed.returncode == 0 and "operator/ann" in renewed.stdout, renewed
        assert json.loads(file.read_text())["AccessKeyId"] != before["AccessKeyId"]


@check
def new_keys_of_the_provider_count():
    for _ in range(2):
        rotated = requests.post(f"{ISSUER}/api/keys/rotate")
        assert rotated.ok, rotated.text
    status, page = login("ann")
    assert status == 0 or "publishes no key that fits" in page, page  # it was asked less than a minute ago
    towline("UpdateIdentityProvider", SETTINGS | {"Audiences": ["job", "towline-jobs"]})
    status, said = login("ann")
    assert status == 0, said


def token_of_a_job(kind):
    form = {"grant_type": "password", "username": "ann", "password": "x", "scope": "openid"}
    return requests.post(f"{ISSUER}/token", data=form, auth=("job", "job")).json()[kind]


def assume(token):
    sts = boto3.client("sts", endpoint_url=ENDPOINT, region_name=REGION, verify=CA, config=Config(signature_version=UNSIGNED))
    return sts.assume_role_with_web_identity(RoleArn="arn:aws:iam::000000000000:role/job", RoleSessionName="job",
                                             WebIdentityToken=token)


@check
def a_job_assumes_a_role_with_its_token():
    host = ISSUER.removeprefix("http://")
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Federated": ARN}, "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{host}:sub": "ann", f"{host}:aud": ["job", "towline-jobs"]}}}]}
    towline("CreatePrincipal", {"PrincipalName": "job", "PrincipalType": "Role", "TrustPolicyDocument": json.dumps(trust)})
    for kind in ["id_token", "access_token"]:
        got = assume(token_of_a_job(kind))
        assert got["SubjectFromWebIdentityToken"] == "ann" and got["Provider"] == ISSUER, got


try:
    run()
finally:
    PROVIDER.kill()
