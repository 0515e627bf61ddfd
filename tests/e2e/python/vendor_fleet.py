"""Many devices with amazon-ssm-agent that are connected and idle: `cargo xtask fleet vendor`.

Usage: vendor_fleet.py HOST CA REGION COUNT WARM, on standard input a line `ID CODE USES` for each activation and an
empty one. It prints `warm` when WARM devices are connected and goes on after a line of input, prints
`all SECONDS FAILURES` when all are. A further line `port BYTES` makes a further device, whose name is printed behind
`device`: it sends so many bytes to the first connection of a forwarded port, one KiB a message, without a pause. The
program stays until standard input ends.

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
CONTROL = "role=subscribe&stream=input"
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


async def register(trust, number, key, activation):
    """Registers a device: its name, and the keys that were issued to it."""
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    public = base64.b64encode(key.public_key().public_bytes(*form)).decode()
    asked = {"ActivationCode": activation[1], "ActivationId": activation[0], "PublicKey": public,
             "Fingerprint": f"fleet-{os.getpid()}-{number}", "PublicKeyType": "Rsa"}
    target = ("x-amz-target", "AmazonSSM.RegisterManagedInstance")
    name = json.loads(await post(trust, "/", [JSON, target], json.dumps(asked).encode(), 200))["InstanceId"]
    headers, body = [JSON, ("x-amz-target", "AmazonSSM.RequestManagedInstanceRoleToken")], b'{"Fingerprint":"f"}'
    by_own_key(key, name, headers, body)
    return name, json.loads(await post(trust, "/", headers, body, 200))


async def channel(trust, issued, path, query):
    """Opens a channel of a device."""
    headers = [("content-type", "application/json")]
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
    opening = {"Cookie": None, "MessageSchemaVersion": "1.0", "RequestId": "r", "TokenValue": token, "ClientId": "",
               "ClientInstanceId": "i", "AgentVersion": "3.3.0.0", "PlatformType": "linux"}
    writer.write(frame(1, json.dumps(opening).encode()))
    await writer.drain()
    return reader, writer


async def device(trust, number, key, activation):
    """Registers a device and opens its control channel."""
    name, issued = await register(trust, number, key, activation)
    return await channel(trust, issued, "/v1/control-channel/" + name, CONTROL)


def message(kind, payload, sequence=0, payload_type=0):
    """A message of the agent, as a websocket's frame. Its mask is zero: this is to be fast."""
    head = kind.encode().ljust(32) + (1).to_bytes(4, "big") + int(time.time() * 1000).to_bytes(8, "big")
    head += sequence.to_bytes(8, "big") + bytes(8) + os.urandom(16) + hashlib.sha256(payload).digest()
    sizes = payload_type.to_bytes(4, "big") + len(payload).to_bytes(4, "big")
    whole = (116).to_bytes(4, "big") + head + sizes + payload
    size = len(whole).to_bytes(2, "big")
    return b"\x82\xfe" + size + bytes(4) + whole


async def heard(reader):
    """The next binary frame of the gateway: type and payload."""
    while True:
        first, size = await reader.readexactly(2)
        if size > 125:
            size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
        content = await reader.readexactly(size)
        if first & 15 == 2:
            return content[4:36].decode().strip(" \0"), content[120:]


async def port(trust, key, activation, count):
    """A device whose forwarded port sends so many bytes to its first connection."""
    name, issued = await register(trust, "port", key, activation)
    control = await channel(trust, issued, "/v1/control-channel/" + name, CONTROL)
    print(f"device {name}", flush=True)
    kind, order = "", b""
    while kind != "interactive_shell":
        kind, order = await heard(control[0])
    session = json.loads(order)["TaskId"]
    reader, writer = await channel(trust, issued, "/v1/data-channel/" + session, "role=publish_subscribe")
    numbers = itertools.count()

    def say(payload_type, payload):
        writer.write(message("output_stream_data", payload, next(numbers), payload_type))

    state = {"SchemaVersion": 1, "SessionState": "Connected", "SessionId": session}
    writer.write(message("agent_session_state", json.dumps(state).encode()))
    properties = json.loads(json.loads(order)["Content"])["DocumentContent"]["properties"]
    action = {"ActionType": "SessionType", "ActionParameters": {"SessionType": "Port", "Properties": properties}}
    say(5, json.dumps({"AgentVersion": "3.3.0.0", "RequestedClientActions": [action]}).encode())
    say(7, b'{"HandshakeTimeToComplete":1,"CustomerMessage":""}')
    kind, begun = "", b""
    while kind != "input_stream_data" or begun[:2] != b"\x01\x00":  # SYN of the first version of smux
        kind, begun = await heard(reader)
    stream = begun[4:8]

    async def acknowledgements():
        while True:
            await heard(reader)

    listening = asyncio.get_running_loop().create_task(acknowledgements())
    while count > 0:
        piece = min(count, 1016)
        say(1, b"\x01\x02" + piece.to_bytes(2, "little") + stream + bytes(piece))
        await writer.drain()
        count -= piece
    say(1, b"\x01\x01\x00\x00" + stream)
    await writer.drain()
    await listening


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
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        _, (key, activation) = next(todo)
        loop.create_task(port(trust, key, activation, int(line.split()[1])))


asyncio.run(main())
