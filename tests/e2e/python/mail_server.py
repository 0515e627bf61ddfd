#!/usr/bin/env python3
"""A real server of mail (aiosmtpd) with a certificate of its own CA. It wants TLS and a log-in before any mail.

Prints "listening PORT" and keeps each mail as a line of JSON. Arguments: a folder for the CA (`ca.pem`) and for what came
(`mails`), `tls` or `starttls`, a port (0 for any).
"""
import datetime
import email
import email.policy
import ipaddress
import json
import pathlib
import signal
import socket
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

KEPT = []
USER, PASSWORD = b"towline", b"ge heim,\xc3\xbc"


def certificate(folder):
    """A CA, and a certificate of it for 127.0.0.1; made once."""
    chain = folder / "chain.pem"
    if chain.exists():
        return chain
    now = datetime.datetime.now(datetime.timezone.utc)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ["CA of mail", "mail"]]
    made = []
    for number, extension in enumerate([x509.BasicConstraints(True, None),
                                        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])]):
        builder = x509.CertificateBuilder(names[0], names[number], keys[number].public_key(), x509.random_serial_number(),
                                          now - datetime.timedelta(days=1), now + datetime.timedelta(days=30))
        signed = builder.add_extension(extension, critical=number == 0).sign(keys[0], hashes.SHA256())
        made.append(signed.public_bytes(serialization.Encoding.PEM))
    private = keys[1].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                    serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(made[0])
    chain.write_bytes(made[1] + private)
    return chain


class Keeper:
    """Keeps what comes; refuses one address."""

    def __init__(self, path):
        self.path = path

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 nobody is of this name here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        row = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": bool(server.transport.get_extra_info("sslcontext")),
               "headers": [[name, str(value)] for name, value in mail.items()], "defects": [str(d) for d in mail.defects],
               "text": mail.get_content()}
        with self.path.open("a") as kept:
            kept.write(json.dumps(row) + "\n")
        return "250 kept"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (USER, PASSWORD), handled=False)


def main(folder, mode, port):
    folder.mkdir(parents=True, exist_ok=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(folder))
    same = {"authenticator": authenticate, "auth_required": True, "hostname": "mail.example"}
    if mode == "tls":
        factory = {"auth_require_tls": False, **same}  # the stream is TLS already; the library does not see it
        outer = context
    else:
        factory = {"tls_context": context, "require_starttls": True, **same}
        outer = None

    class Server(Controller):
        def factory(self):
            return SMTP(self.handler, **factory)

    server = Server(Keeper(folder / "mails"), hostname="127.0.0.1", port=port or free_port(), ssl_context=outer)
    server.start()
    print(f"listening {server.port}", flush=True)
    signal.pause()


def free_port():
    """A port that the system gives to nobody else: as `ports` of the test kit keeps it."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    KEPT.append(kept)
    return kept.getsockname()[1]


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
