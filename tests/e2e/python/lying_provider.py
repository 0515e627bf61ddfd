"""An identity provider in this program. What it publishes and answers can be changed while it runs; a code is the
nonce of its sign-in.
"""
import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

# A redirect that was followed is seen here.
VISITS = []


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Provider:
    """What it publishes and answers can be changed while it runs."""

    def __init__(self, name, end=""):
        self.name = name
        self.key = rsa.generate_private_key(65537, 2048)
        self.codes = set()
        self.good()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                form = parse_qs(self.rfile.read(length).decode())
                provider.authorization = self.headers.get("Authorization")
                status, headers, body = provider.answer(self.path, form)
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # the gateway reads no further

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.issuer = self.base + end
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def good(self, **claims):
        """From now on all is right, with these claims."""
        self.claims = claims
        self.header, self.more, self.userinfo, self.discovery = {}, {}, {}, {}
        self.algorithm, self.token_endpoint, self.userinfo_endpoint = "RS256", None, None
        self.keys, self.delay, self.knows_by, self.redeemed = [("k", self.key)], 0, None, 0
        self.away = 0  # so many requests at the token endpoint get no answer
        return self

    def answer(self, path, form):
        path = path.split("?")[0]
        if path == "/visited":
            VISITS.append(path)
        if path == "/.well-known/openid-configuration":
            return ok({"issuer": self.issuer, "jwks_uri": f"{self.base}/keys", "token_endpoint": f"{self.base}/token",
                       "authorization_endpoint": f"{self.base}/auth", "userinfo_endpoint": f"{self.base}/userinfo"}
                      | self.discovery)
        if path == "/keys":
            numbers = [(kid, key.public_key().public_numbers().n) for kid, key in self.keys]
            return ok({"keys": [{"kty": "RSA", "kid": kid, "n": b64(n.to_bytes(256, "big")), "e": "AQAB"}
                                for kid, n in numbers]})
        if path == "/userinfo":
            return self.userinfo_endpoint or ok({"sub": "ann"} | self.userinfo)
        if path == "/token":
            self.redeemed += 1  # before the delay: later it would count for another check
            time.sleep(self.delay)
            if self.away:
                self.away -= 1
                return 503, {}, b"<html>back in a minute</html>"
            if self.token_endpoint:
                return self.token_endpoint
            told = {"form": form.get("client_secret"), "header": self.authorization}.get(self.knows_by)
            if self.knows_by and told not in (["s&+ü"], f"Basic {base64.b64encode('towline:s&+ü'.encode()).decode()}"):
                return 401, {}, b'{"error":"invalid_client"}'
            code = form["code"][0] if "code" in form else None  # none: by a refresh token
            if code in self.codes:
                return 400, {}, b'{"error":"invalid_grant"}'
            if code:
                self.codes.add(code)
            body = {"access_token": "access", "token_type": "Bearer", "id_token": self.token(code)} | self.more
            return ok({name: value for name, value in body.items() if value is not None})
        return 404, {}, b""

    def token(self, nonce):
        now = int(time.time())
        body = {"iss": self.issuer, "sub": "ann", "aud": "towline", "iat": now, "exp": now + 300, "nonce": nonce,
                "preferred_username": "ann", "groups": ["ops"]} | self.claims
        body = {name: value for name, value in body.items() if value is not None}
        head = {"alg": self.algorithm, "kid": "k", "typ": "JWT"} | self.header
        head = {name: value for name, value in head.items() if value is not None}
        signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(body).encode())}"
        if self.algorithm == "RS256":
            signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        elif self.algorithm == "HS256":  # the attack: the public key as a secret
            public = self.answer("/keys", {})[2]
            signature = hmac.new(public, signed.encode(), hashlib.sha256).digest()
        else:
            signature = b""
        return f"{signed}.{b64(signature)}"


def ok(body):
    return 200, {"Content-Type": "application/json"}, body if isinstance(body, bytes) else json.dumps(body).encode()
