#!/usr/bin/env python3
"""A second real OpenID Connect provider (nanoidp) with a confidential client, a client of jobs, and three people: `ann`
and `kim` are in the group "ops" (`kim` has a second factor), `eve` is in none. Prints its issuer, then is the provider.

Environment: REDIRECT_URI. Argument: an empty folder for its configuration and keys.
"""
import json
import os
import pathlib
import socket
import sys

# In base32: the secret of kim's authenticator.
TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def main(folder):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    issuer = f"http://127.0.0.1:{port}"
    folder.mkdir(parents=True, exist_ok=True)
    # JSON is YAML.
    (folder / "settings.yaml").write_text(json.dumps({
        "config_version": 1, "server": {"host": "127.0.0.1", "port": port}, "login": {"totp": True},
        "jwt": {"keys_dir": str(folder / "keys")},
        "oauth": {"issuer": issuer, "audience": "towline-jobs", "require_pkce": True, "refresh_token_rotation": True,
                  "clients": [
                      {"client_id": "towline", "client_secret": "hush+&=:%", "redirect_uris": [os.environ["REDIRECT_URI"]]},
                      {"client_id": "job", "client_secret": "job"}]}}))
    (folder / "users.yaml").write_text(json.dumps({"config_version": 1, "users": {
        "ann": {"password": "x", "email": "ann@corp.example", "groups": ["ops", "dev"]},
        "kim": {"password": "x", "email": "kim@corp.example", "groups": ["ops"], "totp_secret": TOTP},
        "eve": {"password": "x", "email": "eve@corp.example"}}}))
    print(issuer, flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "nanoidp", "--config", str(folder), "--strict-config"])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
