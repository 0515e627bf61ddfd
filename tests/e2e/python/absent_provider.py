#!/usr/bin/env python3
"""An identity provider that is away for a moment ends neither the wait of `towline login` nor a sign-in.

The provider is that of lying_provider; a code is the nonce of its sign-in. The browser is `requests`.
Environment: that of towline_client, TOWLINE_CLI, TOWLINE_ORIGIN.
"""
import json
import pathlib
import time
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from browser import HOME, ORIGIN, Browser, back_of, begin, callback, cli, killed
from checks import check, run
from lying_provider import Provider
from towline_client import towline

LIAR = Provider("liar")
CALLBACK = callback("liar")


@check
def the_provider_is_made_and_its_group_gives_a_role():
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}]}
    towline("CreatePrincipal", {"PrincipalName": "operator", "PrincipalType": "Role", "TrustPolicyDocument": json.dumps(trust)})
    towline("CreateIdentityProvider", {
        "ProviderName": "liar", "Issuer": LIAR.issuer, "ClientId": "towline", "ClientSecret": "s",
        "NameClaim": "preferred_username", "GroupsClaim": "groups", "GroupRoles": [{"Group": "ops", "Role": "operator"}]})


@check
def a_provider_that_is_away_for_a_moment_ends_no_wait_and_no_sign_in():
    LIAR.good(preferred_username="ann").more = {"refresh_token": "again"}
    process, url = begin("--provider", "liar")
    browser = Browser()
    asked = {name: value[0] for name, value in parse_qs(urlsplit(browser.go(url, LIAR.issuer)).query).items()}
    LIAR.away = 9
    page = browser.go(f"{CALLBACK}?code={asked['nonce']}&state={asked['state']}", back_of(url))
    assert page.status_code == 503 and process.poll() is None, (page, killed(process))
    LIAR.away = 1
    link = page.text.split('href="')[1].split('"')[0]
    again = browser.go(urljoin(ORIGIN, link), LIAR.issuer)
    asked = {name: value[0] for name, value in parse_qs(urlsplit(again).query).items()}
    done = browser.go(f"{CALLBACK}?code={asked['nonce']}&state={asked['state']}", back_of(url))
    assert requests.get(done).status_code == 200 and process.wait(30) == 0, killed(process)
    file, = pathlib.Path(HOME, ".cache/towline").iterdir()

    def over():
        file.write_text(json.dumps(json.loads(file.read_text()) | {"Expiration": "2020-01-01T00:00:00Z"}))

    over()
    LIAR.away = 5  # more than the gateway asks for one request
    assert cli("whoami").stdout.startswith("arn:aws:sts::000000000000:assumed-role/operator/ann")
    over()
    LIAR.away = 1000
    refused = cli("whoami")
    assert refused.returncode != 0 and "cannot be renewed for now" in refused.stderr, refused
    assert "towline login" not in refused.stderr, "the sign-in goes on"
    LIAR.away = 0
    assert cli("whoami").returncode == 0
    over()
    LIAR.token_endpoint = (400, {}, b'{"error":"invalid_grant"}')
    began = time.monotonic()
    refused = cli("whoami")
    assert "run `towline login`" in refused.stderr and time.monotonic() - began < 10, refused
    assert cli("logout").returncode == 0
    LIAR.good()


if __name__ == "__main__":
    run()
