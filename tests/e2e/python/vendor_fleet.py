"""Many devices with amazon-ssm-agent that are connected and idle: `cargo xtask fleet vendor`.

Usage: vendor_fleet.py HOST CA REGION COUNT WARM, on standard input a line `ID CODE USES` for each activation and an
empty one. It prints `warm` when WARM devices are connected and goes on after a line of input, prints
`all SECONDS FAILURES` when all are, and stays until standard input ends.

Keys: two primes of a pool make a key, for thousands of keys would take minutes to generate. The gateway sees no
difference.
"""
import asyncio
import base64
import datetime
import hashlib
import hmac
import itertools
import json
import os
import resource
import ssl
import sys
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

HOST, CA, REGION, COUNT, WARM = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
AT_ONCE = 16
PING_EVERY = 54
OPEN = b'{"MessageSchemaVersion":"1.0","RequestId":"11111111-2222-4333-8444-555555555555"}'
JSON = ("content-type", "application/x-amz-json-1.1")


def keys(count):
    """So many keys of 2,048 bits."""
    pool = []
    while len(pool) * (len(pool) - 1) // 2 < count:
        numbers = rsa.generate_private_key(65537, 2048).private_numbers()
        pool += [numbers.p, numbers.q]
    for p, q in itertools.islice(itertools.combinations(pool, 2), count):
        n, phi = p * q, (p - 1) * (q - 1)
        if n.bit_length() != 2048:
            continue
        d = pow(65537, -1, phi)
        public = rsa.RSAPublicNumbers(65537, n)
        numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
        yield numbers.private_key(unsafe_skip_rsa_key_validation=True)


def string_to_sign(method, path, query, headers, body, service):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers.append(("x-amz-date", now))
    signed = sorted(headers + [("host", HOST)])
    names = ";".join(name for name, _ in signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed)
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{now[:8]}/{REGION}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}", scope, names


def authorize(headers, key, scope, names, signature):
    value = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
    headers.append(("authorization", value))


def by_own_key(key, device, headers, body):
    string, scope, names = string_to_sign("POST", "/", "", headers, body, "ssm")
    salted = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    signature = base64.b64encode(key.sign(string.encode(), salted, hashes.SHA256())).decode()
    authorize(headers, device, scope, names, signature)


def by_issued_keys(issued, method, path, query, headers, body):
    headers.append(("x-amz-security-token", issued["SessionToken"]))
    string, scope, names = string_to_sign(method, path, query, headers, body, "ssmmessages")
    key = ("AWS4" + issued["SecretAccessKey"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    authorize(headers, issued["AccessKeyId"], scope, names, hmac.new(key, string.encode(), hashlib.sha256).hexdigest())


async def connect(trust):
    address, port = HOST.rsplit(":", 1)
    return await asyncio.open_connection(address, int(port), ssl=trust, server_hostname=address, limit=16 * 1024)


async def post(trust, path, headers, body, status):
    reader, writer = await connect(trust)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
    writer.write(head.encode() + body)
    answer = await asyncio.wait_for(reader.read(-1), 60)
    writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    if f" {status} ".encode() not in head.split(b"\r\n")[0]:
        raise RuntimeError(answer[:300])
    return content


def frame(opcode, payload):
    mask = os.urandom(4)
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


async def device(trust, number, key, activation):
    """Registers a device and opens its control channel."""
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    public = base64.b64encode(key.public_key().public_bytes(*form)).decode()
    asked = {"ActivationCode": activation[1], "ActivationId": activation[0], "PublicKey": public,
             "Fingerprint": f"fleet-{os.getpid()}-{number}", "PublicKeyType": "Rsa"}
    target = ("x-amz-target", "AmazonSSM.RegisterManagedInstance")
    name = json.loads(await post(trust, "/", [JSON, target], json.dumps(asked).encode(), 200))["InstanceId"]
    headers, body = [JSON, ("x-amz-target", "AmazonSSM.RequestManagedInstanceRoleToken")], b'{"Fingerprint":"f"}'
    by_own_key(key, name, headers, body)
    issued = json.loads(await post(trust, "/", headers, body, 200))
    path, query, headers = "/v1/control-channel/" + name, "role=subscribe&stream=input", [("content-type", "application/json")]
    by_issued_keys(issued, "POST", path, "", headers, OPEN)
    opened = await post(trust, path, headers, OPEN, 201)
    token = opened.split(b"<TokenValue>")[1].split(b"<")[0].decode()
    headers = []
    by_issued_keys(issued, "GET", path, query, headers, b"")
    reader, writer = await connect(trust)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    nonce = base64.b64encode(os.urandom(16)).decode()
    writer.write((f"GET {path}?{query} HTTP/1.1\r\nhost: {HOST}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
                  f"sec-websocket-version: 13\r\nsec-websocket-key: {nonce}\r\n{lines}\r\n").encode())
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    if b" 101 " not in answer:
        raise RuntimeError(answer)
    opening = {"Cookie": None, "MessageSchemaVersion": "1.0", "RequestId": "r", "TokenValue": token,
               "AgentVersion": "3.3.0.0", "PlatformType": "linux"}
    writer.write(frame(1, json.dumps(opening).encode()))
    await writer.drain()
    return reader, writer


async def ping(channels):
    while True:
        begin = time.monotonic()
        for _, writer in list(channels):
            writer.write(frame(9, b"keepalive"))
            await asyncio.sleep(0)
        for reader, _ in list(channels):
            while reader._buffer:  # what has come is the answers; nobody else reads
                await reader.read(4096)
        await asyncio.sleep(max(0.0, PING_EVERY - (time.monotonic() - begin)))


async def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uses = []
    for line in iter(sys.stdin.readline, "\n"):
        name, code, number = line.split()
        uses += [(name, code)] * int(number)
    trust = ssl.create_default_context(cafile=CA)
    channels, failures = [], []
    todo = enumerate(zip(keys(COUNT + COUNT // 4 + 64), uses))
    asyncio.get_running_loop().create_task(ping(channels))

    async def worker(most):
        while len(channels) < most:
            number, (key, activation) = next(todo)
            try:
                channels.append(await device(trust, number, key, activation))
            except Exception as error:  # counted, and the first ones told
                failures.append(error)
                if len(failures) < 4:
                    print(f"failed: {error!r}", file=sys.stderr, flush=True)
                await asyncio.sleep(1)

    await worker(WARM)
    print("warm", flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    begin = time.monotonic()
    await asyncio.gather(*(worker(COUNT - AT_ONCE + 1 + place) for place in range(AT_ONCE)))
    print(f"all {time.monotonic() - begin:.1f} {len(failures)}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
