#!/usr/bin/env python3
"""Writes differential.txt: a key set, then tokens, good and damaged, each with what joserfc says of it.

Tokens are damaged by a seeded generator: parts, bytes, letters of base64url, headers, claims. joserfc judges signature
and claims at the time of the test, with the skew of the gateway. Usage: differential.py > differential.txt
"""
import base64
import json
import random

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

NOW, SKEW = 1_800_000_000, 60
ISSUER, AUDIENCE = "https://id.example", "towline"
ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
KEYS = {
    "RS256": RSAKey.generate_key(2048, {"kid": "rsa"}, private=True),
    "PS256": RSAKey.generate_key(2048, {"kid": "pss"}, private=True),
    "ES256": ECKey.generate_key("P-256", {"kid": "p256"}, private=True),
    "ES384": ECKey.generate_key("P-384", {"kid": "p384"}, private=True),
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed"}, private=True),
}
PUBLIC = KeySet([key for key in KEYS.values()])
RULES = jwt.JWTClaimsRegistry(
    now=lambda: NOW, leeway=SKEW, iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": AUDIENCE},
    sub={"essential": True}, exp={"essential": True}, iat={"essential": True})
dice = random.Random(20_261_129)


def claims(**more):
    made = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": NOW - 10, "exp": NOW + 300}
    return {name: value for name, value in (made | more).items() if value is not None}


def signed(algorithm, said, **header):
    key = KEYS[algorithm]
    return jwt.encode({"alg": algorithm, "kid": key.kid} | header, said, key, algorithms=ALGORITHMS)


def damaged(token):
    """One change somewhere."""
    parts = token.split(".")
    at = dice.randrange(3)
    kind = dice.randrange(6)
    if kind == 0:  # a letter is another one
        place = dice.randrange(len(parts[at]))
        letter = dice.choice("ABCxyz019-_")
        parts[at] = parts[at][:place] + letter + parts[at][place + 1:]
    elif kind == 1:  # cut
        parts[at] = parts[at][:dice.randrange(len(parts[at]))]
    elif kind == 2:  # longer
        parts[at] += dice.choice(["A", "AA", "AAAA", "=", "==", "\u00e9", "!"])
    elif kind == 3:  # a part too many or too few
        parts = parts + ["AAAA"] if dice.random() < 0.5 else parts[:2]
    elif kind == 4:  # a bit of the bytes
        raw = bytearray(base64.urlsafe_b64decode(parts[at] + "=" * (-len(parts[at]) % 4)))
        raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
        parts[at] = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    else:  # the signature of another token
        other = signed(dice.choice(ALGORITHMS), claims(sub="eve"))
        parts[2] = other.split(".")[2]
    return ".".join(parts)


def is_good(token):
    try:
        read = jwt.decode(token, PUBLIC, algorithms=ALGORITHMS)
        RULES.validate(read.claims)
    except Exception:  # whatever it is that this library does not like
        return False
    return True


def said():
    for algorithm in ALGORITHMS:
        yield signed(algorithm, claims())
        for more in [{"exp": NOW - SKEW + 1}, {"exp": NOW - SKEW - 1}, {"iat": NOW + SKEW - 1}, {"iat": NOW + SKEW + 1},
                     {"nbf": NOW + SKEW - 1}, {"nbf": NOW + SKEW + 1}, {"iss": "https://other.example"},
                     {"aud": "other"}, {"aud": [AUDIENCE]}, {"aud": None}, {"sub": None}, {"exp": None}, {"iat": None}]:
            yield signed(algorithm, claims(**more))
        for _ in range(24):
            yield damaged(signed(algorithm, claims()))
    for algorithm in ALGORITHMS:  # the key of another algorithm
        for other in ALGORITHMS:
            if other != algorithm:
                token = signed(algorithm, claims(), kid=KEYS[other].kid)
                yield token


print(json.dumps(PUBLIC.as_dict(private=False)))
for token in said():
    if "\n" not in token:
        print("accept" if is_good(token) else "refuse", token)
