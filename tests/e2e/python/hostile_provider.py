#!/usr/bin/env python3
"""Identity providers that lie, break, or change: a sign-in through them is refused in words and leaves nothing half done.

The providers are those of lying_provider; a code is the nonce of its sign-in. The browser is `requests`.
Environment: that of towline_client, TOWLINE_ORIGIN.
"""
import hashlib
import itertools
import json
import os
import threading
import time
from urllib.parse import parse_qs, urlsplit

import requests
import urllib3.util.connection
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric import rsa

from checks import check, run, wants
from lying_provider import VISITS, Provider, b64, ok
from towline_client import CA, boto, towline

ORIGIN = os.environ["TOWLINE_ORIGIN"]
SHARED = f"{ORIGIN}/sign-in/callback"
VERIFIER = "v" * 43
# A source of its own for each connection: what fails too often from one address is throttled, by another test.
SOURCES = (f"127.3.{number // 250}.{number % 250 + 1}" for number in itertools.count())
connect = urllib3.util.connection.create_connection
urllib3.util.connection.create_connection = lambda address, timeout=None, source_address=None, socket_options=None: connect(
    address, timeout, (next(SOURCES), 0), socket_options)


LIAR, OTHER = Provider("liar"), Provider("other")


def settings(name, **more):
    return {"ProviderName": name, "ClientId": "towline", "ClientSecret": "s", "NameClaim": "preferred_username",
            "GroupsClaim": "groups", "GroupRoles": [{"Group": "ops", "Role": "operator"}]} | more


def begin(provider, session=None, **more):
    """A browser that was sent to the provider: its session, and what the provider was asked."""
    session = session or requests.Session()
    session.trust_env, session.verify = False, CA
    params = {"redirect": "http://127.0.0.1:9/callback", "challenge": b64(hashlib.sha256(VERIFIER.encode()).digest()),
              "state": "s", "provider": provider.name} | more
    sent = session.get(f"{ORIGIN}/sign-in/start", params=params, allow_redirects=False)
    assert sent.status_code in (302, 303), sent.text
    return session, {name: value[0] for name, value in parse_qs(urlsplit(sent.headers["Location"]).query).items()}


def refusal_of(page):
    """The words of a refusal, which its program is told; nothing where a code came."""
    if page.status_code in (403, 503):  # it belongs to no attempt, or its program waits on
        assert "Location" not in page.headers, page.headers
        assert ("Try again</a>" in page.text) == (page.status_code == 503), page.text
        return page.text
    location = page.headers.get("Location", "")
    assert location.startswith("http://127.0.0.1:9/callback?") and "<" not in location, (page.status_code, page.text)
    told = parse_qs(urlsplit(location).query)
    assert told["state"] == ["s"], told
    if "error" not in told:
        return None
    assert "code" not in told, told
    return told["error_description"][0]


def sign_in(provider, **more):
    """Credentials, or the words of the refusal."""
    session, asked = begin(provider, **more)
    page = session.get(asked["redirect_uri"], params={"code": asked["nonce"], "state": asked["state"]}, allow_redirects=False)
    refused = refusal_of(page)
    assert "Max-Age=0" in page.headers["Set-Cookie"], page.headers
    if refused is not None:
        return refused
    code = parse_qs(urlsplit(page.headers["Location"]).query)["code"][0]
    given = requests.post(f"{ORIGIN}/sign-in/token", json={"Code": code, "Verifier": VERIFIER}, verify=CA).json()
    return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def refused(words, provider=LIAR, **more):
    said = sign_in(provider, **more)
    assert isinstance(said, str) and words in said, (words, said)


def arn(credentials):
    assert isinstance(credentials, Credentials), credentials
    return boto("sts", credentials).get_caller_identity()["Arn"]


def update(provider=LIAR, **more):
    """Changes its settings; what the gateway has kept of it is forgotten."""
    towline("UpdateIdentityProvider", settings(provider.name, **more))


@check
def two_providers_are_made_and_a_person_signs_in():
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}]}
    for name, statement in [("operator", {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}),
                            ("guest", {"Effect": "Allow", "Action": "ssm:DescribeSessions", "Resource": "*"})]:
        towline("CreatePrincipal", {"PrincipalName": name, "PrincipalType": "Role",
                                    "TrustPolicyDocument": json.dumps(trust)})
        towline("PutPrincipalPolicy", {"PrincipalName": name, "PrincipalType": "Role", "PolicyName": "p",
                                       "PolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": [statement]})})
    for provider in [LIAR, OTHER]:
        towline("CreateIdentityProvider", settings(provider.name, Issuer=provider.issuer))
    assert arn(sign_in(LIAR)) == "arn:aws:sts::000000000000:assumed-role/operator/ann"


@check
def a_provider_gets_no_code_of_another_one():
    """The mix-up attack: the page of a hostile provider sends the browser on to another one, with the state of the
    sign-in that was begun with the hostile one. The other one answers at the address that is registered with it."""
    for provider in [LIAR, OTHER]:
        assert begin(provider)[1]["redirect_uri"] == f"{SHARED}/{provider.name}"
        assert "authorization_response_iss_parameter_supported" not in provider.discovery, "an answer without iss"
    for hostile, honest in [(LIAR, OTHER), (OTHER, LIAR)]:
        for address in [f"{SHARED}/{honest.name}", SHARED, f"{SHARED}/nobody", f"{SHARED}/{hostile.name.upper()}"]:
            session, asked = begin(hostile)
            answer = {"code": "of the other one", "state": asked["state"]}
            before = (hostile.redeemed, honest.redeemed)
            page = session.get(address, params=answer, allow_redirects=False)
            assert "came to another address" in refusal_of(page), (address, page.headers)
            assert "Max-Age=0" in page.headers["Set-Cookie"], page.headers
            late = session.get(asked["redirect_uri"], params=answer | {"code": asked["nonce"]}, allow_redirects=False)
            assert "or it was used" in refusal_of(late), "the attempt is over"
            assert (hostile.redeemed, honest.redeemed) == before, "a code went to a provider"
    LIAR.good()
    assert arn(sign_in(LIAR)).endswith("/operator/ann")


@check
def one_provider_alone_may_be_at_the_shared_address_and_a_sign_in_under_way_does_not_outlive_a_move():
    def move(provider, address, **more):
        towline("UpdateIdentityProvider", settings(provider.name, RedirectAddress=address), **more)

    session, asked = begin(OTHER)
    move(OTHER, "Shared")
    shown = towline("GetIdentityProvider", {"ProviderName": "other"})["IdentityProvider"]
    assert (shown["RedirectAddress"], shown["RedirectUri"]) == ("Shared", SHARED), shown
    assert shown["OwnRedirectUri"] == f"{SHARED}/other", shown
    for address in [asked["redirect_uri"], SHARED]:  # the former one, and the one that it was not begun with
        answer = {"code": asked["nonce"], "state": asked["state"]}
        page = session.get(address, params=answer, allow_redirects=False)
        assert refusal_of(page), (address, page.headers)
        session, asked = begin(LIAR)
    assert arn(sign_in(OTHER)).startswith("arn:aws:sts::000000000000:assumed-role/operator/")
    move(LIAR, "Shared", expect="ResourceAlreadyExistsException")
    move(LIAR, "Elsewhere", expect="ValidationException")
    move(OTHER, "Own")
    assert begin(OTHER)[1]["redirect_uri"] == f"{SHARED}/other"


@check
def no_issuer_and_no_receiver_is_taken_that_the_gateway_may_not_ask_in_plain_text():
    for issuer in ["http://192.0.2.1", "http://127.0.0.2:1", "http://nowhere.invalid"]:
        towline("CreateIdentityProvider", settings("plain", Issuer=issuer), expect="ValidationException")
        towline("CreateWebhook", {"WebhookName": "plain", "Url": f"{issuer}/"}, expect="ValidationException")


@check
def an_id_token_that_is_not_right_signs_nobody_in():
    now = int(time.time())
    for words, claims in [
        ("issuer is not the provider", {"iss": LIAR.issuer + "/"}), ("issuer is not the provider", {"iss": OTHER.issuer}),
        ("usable claim `iss`", {"iss": None}), ("audience", {"aud": "elsewhere"}), ("audience", {"aud": ["elsewhere"]}),
        ("usable claim `aud`", {"aud": None}), ("audience", {"aud": ""}), ("audience", {"aud": []}),
        ("authorized party", {"azp": "elsewhere"}), ("authorized party", {"aud": ["towline", "x"], "azp": "x"}),
        ("`nonce`", {"nonce": "other"}), ("`nonce`", {"nonce": None}), ("`nonce`", {"nonce": ["n"]}),
        ("`at_hash`", {"at_hash": "wrong"}), ("`at_hash`", {"at_hash": b64(hashlib.sha256(b"other").digest()[:16])}),
        ("has expired", {"exp": now - 61}), ("usable claim `exp`", {"exp": None}), ("usable claim `exp`", {"exp": "9" * 12}),
        ("not valid yet", {"iat": now + 120}), ("not valid yet", {"nbf": now + 120}),
        ("not valid yet", {"auth_time": now + 3600}), ("usable claim `auth_time`", {"auth_time": "now"}),
        ("usable claim `sub`", {"sub": None}), ("usable claim `sub`", {"sub": ""}), ("usable claim `sub`", {"sub": 7}),
    ]:
        LIAR.good(**claims)
        refused(words)
    for words, algorithm, header in [
        ("algorithm is not accepted", "none", {}), ("algorithm is not accepted", "HS256", {}),
        ("algorithm is not accepted", "RS256", {"alg": "NONE"}), ("`jku`", "RS256", {"jku": LIAR.issuer + "/keys"}),
        ("`crit`", "RS256", {"crit": ["exp"]}), ("no ID token", "RS256", {"typ": "at+jwt"}),
        ("publishes no key", "RS256", {"kid": "unknown"}),
    ]:
        LIAR.good().algorithm, LIAR.header = algorithm, header
        refused(words)
    LIAR.good()
    assert arn(sign_in(LIAR)).endswith("/operator/ann")


@check
def what_differs_within_the_standard_signs_in():
    now = int(time.time())
    right = b64(hashlib.sha256(b"access").digest()[:16])
    for claims in [{"exp": now - 30, "iat": now - 300}, {"iat": now + 50, "nbf": now + 50}, {"at_hash": right},
                   {"aud": ["elsewhere", "towline"], "azp": "towline"}, {"auth_time": now + 30}, {"groups": "ops"},
                   {"groups": [{"name": "ops"}]}, {"groups": {"ops": {}}}]:
        LIAR.good(**claims)
        assert arn(sign_in(LIAR)).endswith("/operator/ann"), claims


@check
def an_answer_of_the_token_endpoint_that_is_none_signs_nobody_in():
    for words, answer in [
        ("status 500", (500, {}, b"")), ("redirect", (302, {"Location": f"{OTHER.issuer}/visited"}, b"")),
        ("redirect", (307, {"Location": f"{LIAR.issuer}/visited"}, b"")), ("no JSON", ok(b"{")), ("no JSON", ok(b"")),
        ("bytes", ok(b" " * 2_000_000)), ("no JSON object", ok([])), ("no ID token", ok({})), ("no JSON object", ok(None)),
        ("no ID token", ok({"id_token": 7})), ("compact form", ok({"id_token": "a.b"})),
        ("at most", ok({"id_token": "a" * 20_000})), ("no JSON", ok(b"[" * 60_000)),
        ("refused the sign-in: invalid_grant", (400, {}, b'{"error":"invalid_grant"}')),
        ("refused the request: invalid_client", (401, {}, b'{"error":"invalid_client"}')),
    ]:
        LIAR.good().token_endpoint = answer
        said = sign_in(LIAR)
        assert isinstance(said, str) and words in said, (words, said)
    LIAR.token_endpoint = (400, {}, b'{"error":"<script>alert(1)</script>"}')
    assert isinstance(sign_in(LIAR), str)
    assert VISITS == [], "a redirect was followed"
    LIAR.good()
    assert arn(sign_in(LIAR)).endswith("/operator/ann"), "nothing is half done"


@check
def a_provider_that_goes_away_in_the_middle_signs_nobody_in():
    session, asked = begin(LIAR)
    LIAR.discovery = {"token_endpoint": "http://127.0.0.1:9/token"}
    update()
    page = session.get(asked["redirect_uri"], params={"code": asked["nonce"], "state": asked["state"]}, allow_redirects=False)
    assert "127.0.0.1" in refusal_of(page), page.headers
    LIAR.good()
    update()
    again = session.get(asked["redirect_uri"], params={"code": asked["nonce"], "state": asked["state"]}, allow_redirects=False)
    assert again.status_code == 403, "the attempt was used"
    for discovery in [{"issuer": OTHER.issuer}, {"token_endpoint": "http://169.254.169.254/token"},
                      {"jwks_uri": "file:///etc/passwd"}, {"token_endpoint": "http://u:p@127.0.0.1/"}, {"issuer": 7}]:
        session, asked = begin(LIAR)
        LIAR.discovery = discovery
        update()
        page = session.get(asked["redirect_uri"], params={"code": asked["nonce"], "state": asked["state"]}, allow_redirects=False)
        assert refusal_of(page), (discovery, page.headers)
        LIAR.good()
        update()
    assert arn(sign_in(LIAR)).endswith("/operator/ann")


@check
def a_provider_that_is_slow_is_given_up_and_holds_up_nobody_else():
    LIAR.good().delay = 12
    said = []
    slow = threading.Thread(target=lambda: said.append(sign_in(LIAR)))
    began = time.monotonic()
    slow.start()
    OTHER.good(sub="lee", preferred_username="lee")
    assert arn(sign_in(OTHER)).endswith("/operator/lee") and slow.is_alive()
    slow.join()
    assert "took too long" in said[0] and time.monotonic() - began < 20, said
    LIAR.good()
    assert arn(sign_in(LIAR)).endswith("/operator/ann")


@check
def of_two_equal_answers_at_one_time_one_is_taken():
    for _ in range(5):
        session, asked = begin(LIAR)
        cookies = session.cookies.get_dict()
        answers = []

        def answer():
            page = requests.get(asked["redirect_uri"], params={"code": asked["nonce"], "state": asked["state"]},
                                verify=CA, cookies=cookies, allow_redirects=False)
            answers.append(page.status_code)

        threads = [threading.Thread(target=answer) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers)[1:] == [403] * 3 and min(answers) in (302, 303), answers


@check
def keys_that_change_twice_or_are_alike_are_judged_in_words():
    kept = LIAR.key
    for _ in range(2):  # under one kid
        LIAR.key = rsa.generate_private_key(65537, 2048)
        LIAR.good()
        update()
        assert arn(sign_in(LIAR)).endswith("/operator/ann")
    LIAR.keys = [("k", LIAR.key), ("k", kept)]
    update()
    refused("several keys that fit")
    LIAR.header, LIAR.keys = {"kid": None}, [("a", LIAR.key), ("b", kept)]
    update()
    refused("several keys that fit")
    LIAR.key = kept
    LIAR.good()
    update()


@check
def an_issuer_may_end_with_a_slash_and_is_compared_byte_by_byte():
    slash = Provider("slash", "/")
    towline("CreateIdentityProvider", settings("slash", Issuer=slash.issuer))
    slash.good(sub="sue", preferred_username="sue")
    assert arn(sign_in(slash)).endswith("/operator/sue")
    slash.good(iss=slash.base)
    refused("issuer is not the provider", slash)
    towline("DeleteIdentityProvider", {"ProviderName": "slash"})


@check
def a_provider_gets_the_clients_secret_where_it_reads_it():
    LIAR.good().knows_by = "header"
    update(ClientSecret="s&+ü")
    assert arn(sign_in(LIAR)).endswith("/operator/ann") and LIAR.redeemed == 2, "as it is"
    assert arn(sign_in(LIAR)).endswith("/operator/ann") and LIAR.redeemed == 3, "what was taken is tried first"
    for methods, first in [(["client_secret_basic", "client_secret_post"], 3), (["client_secret_post"], 1)]:
        LIAR.good().knows_by = "form"
        LIAR.discovery = {"token_endpoint_auth_methods_supported": methods}
        update(ClientSecret="s&+ü")
        assert arn(sign_in(LIAR)).endswith("/operator/ann") and LIAR.redeemed == first, (methods, LIAR.redeemed)
        assert arn(sign_in(LIAR)).endswith("/operator/ann") and LIAR.redeemed == first + 1, (methods, LIAR.redeemed)
    LIAR.knows_by = "header"  # another place while the gateway runs
    assert arn(sign_in(LIAR)).endswith("/operator/ann")
    LIAR.good().knows_by = "form"
    update(ClientSecret="s&+ü")
    refused("refused the request: invalid_client")
    LIAR.good()
    update()


@check
def groups_count_in_full_or_not_at_all():
    many = [f"group-{number}" for number in range(10_000)]
    for more in [{}, {"DefaultRole": "guest"}]:
        update(**more)
        LIAR.good(groups=None).userinfo = {"groups": many[:4000] + ["ops"]}
        refused("more than 1000 groups")
        LIAR.good(groups=None).userinfo = {"groups": many}
        refused("bytes")
        LIAR.good(groups=None, _claim_names={"groups": "src1"})
        refused("left your groups out")
        LIAR.good(groups=None, hasgroups=True)
        refused("left your groups out")
    LIAR.good(groups=None)
    assert arn(sign_in(LIAR)).endswith("/guest/ann"), "who is in no group has the default"
    LIAR.good(groups=None, _claim_names={"groups": "src1"}).userinfo = {"groups": ["ops"]}
    assert arn(sign_in(LIAR)).endswith("/operator/ann"), "userinfo has them"
    update()
    for groups in [7, True, {"ops": False}, {"ops": None}, [["ops"]], [{"id": "ops"}], "OPS", ["ops "], ["o" * 300]]:
        LIAR.good(groups=groups)
        refused("none of your groups")


@check
def userinfo_of_another_subject_or_form_signs_nobody_in():
    for answer in [ok({"sub": "eve", "groups": ["ops"]}), ok({"groups": ["ops"]}), ok(["ops"]), ok(b"{"), ok(b" " * 2_000_000),
                   (302, {"Location": f"{OTHER.issuer}/visited"}, b""), (500, {}, b"")]:
        LIAR.good(groups=None).userinfo_endpoint = answer
        said = sign_in(LIAR)
        assert isinstance(said, str), answer
    assert VISITS == []
    LIAR.good(groups=[]).userinfo = {"groups": ["ops"]}
    refused("none of your groups")  # what the ID token says counts


@check
def claims_are_found_by_path_and_by_a_name_with_dots():
    for path, claims in [
        ("realm_access.roles", {"realm_access": {"roles": ["ops"]}}),
        ("https://corp.example/groups", {"https://corp.example/groups": ["ops"]}),
        ("corp.groups", {"corp.groups": ["ops"]}), ("a.b.c.d.e", {"a": {"b": {"c": {"d": {"e": ["ops"]}}}}}),
    ]:
        update(GroupsClaim=path)
        LIAR.good(groups=None, **claims)
        assert arn(sign_in(LIAR)).endswith("/operator/ann"), path
        LIAR.good(groups=["ops"])
        refused("none of your groups")
    for path in ["a.b.c.d.e.f", "", ".a", "a..b"]:
        towline("UpdateIdentityProvider", settings("liar", GroupsClaim=path), expect="ValidationException")
    update()


def sees(credentials, key, value):
    """Whether a condition of the role sees this value."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ssm:DescribeSessions", "Resource": "*",
                                                      "Condition": {"StringEquals": {key: value}}}]}
    of_role = {"PrincipalName": "tagged", "PrincipalType": "Role", "PolicyName": "p", "PolicyDocument": json.dumps(policy)}
    towline("PutPrincipalPolicy", of_role)
    ssm = boto("ssm", credentials)
    try:
        ssm.describe_sessions(State="Active")
        return True
    except ssm.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDeniedException", error
        return False


@check
def an_address_that_nobody_verified_is_no_tag_no_group_and_no_name():
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}]}
    towline("CreatePrincipal", {"PrincipalName": "tagged", "PrincipalType": "Role", "TrustPolicyDocument": json.dumps(trust)})
    mail, tag = "boss@corp.example", "aws:PrincipalTag/Mail"
    update(PrincipalTags=[{"Key": "Mail", "Claim": "email"}], GroupRoles=[{"Group": "ops", "Role": "tagged"}])
    for claims, seen in [({"email_verified": True}, True), ({}, False), ({"email_verified": "true"}, False),
                         ({"email_verified": False}, False), ({"email_verified": 1}, False)]:
        LIAR.good(email=mail, **claims)
        assert sees(sign_in(LIAR), tag, mail) == seen, claims
    LIAR.good(email=mail).userinfo = {"email": "ann@corp.example", "email_verified": True}
    assert not sees(sign_in(LIAR), tag, mail), "another address was verified"
    LIAR.good(email=[mail], email_verified=True)
    assert not sees(sign_in(LIAR), tag, mail), "a list is no tag"
    update(GroupsClaim="email", GroupRoles=[{"Group": mail, "Role": "operator"}], NameClaim="email")
    LIAR.good(email=mail)
    refused("none of your groups")
    LIAR.good(email=mail, email_verified=True)
    assert arn(sign_in(LIAR)).endswith(f"/operator/{mail}")
    update(NameClaim="email")
    LIAR.good(email=mail)
    assert arn(sign_in(LIAR)).endswith("/operator/ann"), "the subject names who has no verified address"


@check
def without_auth_time_a_second_factor_has_no_age():
    update(SecondFactors=["mfa"], GroupRoles=[{"Group": "ops", "Role": "tagged"}])
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ssm:DescribeSessions", "Resource": "*",
                                                      "Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": "600"}}}]}
    towline("PutPrincipalPolicy", {"PrincipalName": "tagged", "PrincipalType": "Role", "PolicyName": "p",
                                   "PolicyDocument": json.dumps(policy)})
    now = int(time.time())
    for claims, allowed in [({"auth_time": now}, True), ({"auth_time": now - 900}, False), ({}, False)]:
        LIAR.good(amr=["mfa"], **claims)
        ssm = boto("ssm", sign_in(LIAR))
        if allowed:
            ssm.describe_sessions(State="Active")
        else:
            wants("AccessDeniedException", ssm.describe_sessions, State="Active")
    LIAR.good(amr=["mfa"], auth_time=now - 900)
    refused("does not say that it asked you again", fresh="true")
    update()


@check
def two_people_of_two_providers_have_two_arns():
    LIAR.good()
    OTHER.good()
    ours, theirs = arn(sign_in(LIAR)), arn(sign_in(OTHER))
    assert ours.endswith("/operator/ann") and "/operator/ann-" in theirs, (ours, theirs)
    assert (arn(sign_in(LIAR)), arn(sign_in(OTHER))) == (ours, theirs), "they stay"
    named = theirs.split("/")[-1]
    LIAR.good(sub="eve", preferred_username=named)
    assert arn(sign_in(LIAR)) != theirs, "the other name is nobody's to take"
    people = towline("ListFederatedPeople", {"ProviderName": "other"})["People"]
    assert named in [person["Name"] for person in people], people


@check
def a_name_of_people_holds_no_markup_and_no_path():
    for name in ["../../role/x", "<b>x</b>", "a b", "x" * 500, "ann/../eve", "", "\u202eeve", "ann\u200b"]:
        LIAR.good(sub=f"s{len(name)}{hash(name) % 1000}", preferred_username=name)
        session = arn(sign_in(LIAR)).split(":assumed-role/operator/")[1]
        assert 2 <= len(session) <= 64 and not set("/<> \u202e\u200b") & set(session), session


@check
def a_person_has_one_name_whichever_way_she_comes():
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::000000000000:oidc-provider/" + LIAR.issuer[7:]},
        "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {"StringEquals": {LIAR.issuer[7:] + ":sub": "both"}}}]}
    towline("CreatePrincipal", {"PrincipalName": "both", "PrincipalType": "Role", "TrustPolicyDocument": json.dumps(trust)})

    def name():
        people = towline("ListFederatedPeople", {"ProviderName": "liar"})["People"]
        return [person["Name"] for person in people if person["Subject"] == "both"]

    LIAR.good(sub="both", preferred_username="Both Ways")
    session = sign_in(LIAR)
    assert arn(session).endswith("/operator/BothWays") and name() == ["BothWays"], name()
    boto("sts", session).assume_role_with_web_identity(
        RoleArn="arn:aws:iam::000000000000:role/both", RoleSessionName="job", WebIdentityToken=LIAR.token(None))
    assert name() == ["BothWays"], name()


@check
def a_provider_made_again_under_its_name_is_another_one():
    LIAR.good(preferred_username="kim", sub="kim")
    before = sign_in(LIAR)
    assert arn(before).endswith("/operator/kim")
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::000000000000:oidc-provider/" + LIAR.issuer[7:]},
        "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {"StringEquals": {LIAR.issuer[7:] + ":sub": "kim"}}}]}
    towline("CreatePrincipal", {"PrincipalName": "trusting", "PrincipalType": "Role", "TrustPolicyDocument": json.dumps(trust)})
    session, asked = begin(LIAR)
    towline("DeleteIdentityProvider", {"ProviderName": "liar"})
    third = Provider("liar")
    towline("CreateIdentityProvider", settings("liar", Issuer=third.issuer))
    wants("InvalidClientTokenId", boto("sts", before).get_caller_identity)
    page = session.get(asked["redirect_uri"], params={"code": asked["nonce"], "state": asked["state"]}, allow_redirects=False)
    assert refusal_of(page) and third.codes == set(), "no code goes to another provider"
    third.good(preferred_username="kim", sub="kim")
    assert arn(sign_in(third)).endswith("/operator/kim"), "the name is free"
    token = {"iss": third.issuer, "aud": "towline", "nonce": None}
    third.good(sub="kim", **token)
    sts = boto("sts", before)
    wants("AccessDenied", sts.assume_role_with_web_identity, RoleArn="arn:aws:iam::000000000000:role/trusting",
          RoleSessionName="kim", WebIdentityToken=third.token(None))
    for person in towline("ListFederatedPeople", {"ProviderName": "liar"})["People"]:
        assert person["Subject"] == "kim", person


@check
def an_issuer_whose_arn_is_taken_is_refused():
    secure = OTHER.issuer.replace("http://", "https://")
    towline("CreateIdentityProvider", settings("twin", Issuer=secure), expect="ResourceAlreadyExistsException")


if __name__ == "__main__":
    run()
