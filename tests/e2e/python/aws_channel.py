"""A client of the AWS data channel, written from the protocol's facts, that plays session-manager-plugin and checks what
the plugin would suffer from. Each story prints its name; the first broken promise ends the program with an error.

Environment as in towline_client.py, and TOWLINE_DEVICE.
"""
import base64
import copy
import hashlib
import json
import os
import select
import socket
import ssl
import struct
import sys
import time
import urllib.parse
import uuid

from botocore.credentials import Credentials

from towline_client import CA, boto, raw

DEVICE = os.environ["TOWLINE_DEVICE"]
DEADLINE = 30
OUTPUT, SIZE, HANDSHAKE_REQUEST, HANDSHAKE_RESPONSE, HANDSHAKE_COMPLETE, FLAG, STDERR, EXIT_CODE = 1, 3, 5, 6, 7, 10, 11, 12


class Closed(Exception):
    """channel_closed came; the text for the user is its argument."""


class Socket:
    """Just enough of RFC 6455 for a client."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        raw = socket.create_connection((parts.hostname, parts.port or 443), timeout=DEADLINE)
        self.tls = ssl.create_default_context(cafile=CA).wrap_socket(raw, server_hostname=parts.hostname)
        key = base64.b64encode(os.urandom(16)).decode()
        target = parts.path + ("?" + parts.query if parts.query else "")
        head = (
            f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nUser-Agent: Go-http-client/1.1\r\n\r\n"
        )
        self.tls.sendall(head.encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self._more()
        answer, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        assert b" 101 " in answer.split(b"\r\n")[0], answer

    def _more(self):
        data = self.tls.recv(65536)
        if not data:
            raise EOFError("the gateway hung up")
        return data

    def _take(self, n):
        while len(self.buffer) < n:
            self.buffer += self._more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def send(self, opcode, payload):
        mask = os.urandom(4)
        n = len(payload)
        if n < 126:
            length = struct.pack("!B", 0x80 | n)
        elif n < 1 << 16:
            length = struct.pack("!BH", 0x80 | 126, n)
        else:
            length = struct.pack("!BQ", 0x80 | 127, n)
        key = (mask * (n // 4 + 1))[:n]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(n, "big") if n else b""
        self.tls.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def receive(self, timeout=DEADLINE):
        """(opcode, payload); answers pings itself."""
        self.tls.settimeout(timeout)
        while True:
            first, second = self._take(2)
            n = second & 0x7F
            if n == 126:
                (n,) = struct.unpack("!H", self._take(2))
            elif n == 127:
                (n,) = struct.unpack("!Q", self._take(8))
            payload = self._take(n)
            opcode = first & 0x0F
            if opcode == 9:
                self.send(10, payload)
            elif opcode == 8:
                raise EOFError("the gateway closed the websocket")
            else:
                return opcode, payload

    def has_more(self):
        """Whether something can be read without waiting."""
        return bool(self.buffer or self.tls.pending() or select.select([self.tls], [], [], 0)[0])

    def drop(self):
        """Goes away without a word, as a lost network does."""
        self.tls.close()


def encode(kind, sequence, payload_type, payload, flags=0):
    number = uuid.uuid4().bytes
    head = struct.pack("!I", 116) + kind.ljust(32).encode() + struct.pack("!I", 1)
    head += struct.pack("!QqQ", int(time.time() * 1000), sequence, flags) + number[8:] + number[:8]
    return head + hashlib.sha256(payload).digest() + struct.pack("!II", payload_type, len(payload)) + payload


def decode(frame):
    (header,) = struct.unpack_from("!I", frame, 0)
    kind = frame[4:36].decode().strip(" \0")
    created, sequence, flags = struct.unpack_from("!QqQ", frame, 40)
    halves = frame[64:80]
    number = str(uuid.UUID(bytes=halves[8:] + halves[:8]))
    payload_type, length = struct.unpack_from("!II", frame, header - 4)
    payload = frame[header + 4 :]
    assert header == 116 and created > 0 and length == len(payload), (kind, header, created, length)
    assert frame[80:112] == hashlib.sha256(payload).digest(), "the digest is wrong"
    return kind, sequence, flags, number, payload_type, payload


class Plugin:
    """The plugin's half: counts as it does, drops what it would drop."""

    def __init__(self, **start):
        self.ssm = boto("ssm")
        self.session = self.ssm.start_session(Target=DEVICE, **start)
        self.client = str(uuid.uuid4())
        self.next_in, self.next_out, self.unacked = 0, 0, {}
        self.early, self.ready, self.done = {}, False, False
        self.deaf = False  # True: its websocket takes nothing any more, and still gives what has come
        self.out, self.err, self.exit_code = b"", b"", None
        self.repeated = 0
        self.connect(self.session["TokenValue"])

    def taken_over(self):
        """Another client of its user, which takes the session over."""
        other = copy.copy(self)
        other.client, other.socket = str(uuid.uuid4()), None
        other.next_in, other.next_out, other.unacked = 0, 0, {}
        other.early, other.ready, other.done, other.out = {}, False, False, b""
        other.connect(other.ssm.resume_session(SessionId=self.session["SessionId"])["TokenValue"])
        while not other.ready:
            other.step()
        return other

    def connect(self, token):
        self.socket = Socket(self.session["StreamUrl"])
        self.socket.send(9, b"keepalive")
        opening = {
            "MessageSchemaVersion": "1.0", "RequestId": str(uuid.uuid4()), "TokenValue": token,
            "ClientId": self.client, "ClientVersion": "1.2.677.0",
        }
        self.socket.send(1, json.dumps(opening).encode())

    def resume(self):
        """As the plugin does: a new token, a new websocket, and everything again that was not acknowledged."""
        self.socket.drop()
        self.deaf = False
        again = self.ssm.resume_session(SessionId=self.session["SessionId"])
        assert again["TokenValue"], "the session is over"
        self.connect(again["TokenValue"])
        for frame in list(self.unacked.values()):
            self.socket.send(2, frame)

    def say(self, payload_type, payload):
        frame = encode("input_stream_data", self.next_out, payload_type, payload)
        self.unacked[self.next_out] = frame
        self.next_out += 1
        self.socket.send(2, frame)

    def type(self, text):
        for at in range(0, len(text), 1024):
            self.say(OUTPUT, text[at : at + 1024])

    def size(self, cols, rows):
        self.ready = True
        self.say(SIZE, json.dumps({"cols": cols, "rows": rows}).encode())

    def ack(self, kind, number, sequence):
        """False: it cannot be sent."""
        if self.deaf:
            return False
        body = {
            "AcknowledgedMessageType": kind, "AcknowledgedMessageId": number,
            "AcknowledgedMessageSequenceNumber": sequence, "IsSequentialMessage": True,
        }
        self.socket.send(2, encode("acknowledge", 0, 0, json.dumps(body).encode(), flags=3))
        return True

    def step(self, timeout=DEADLINE, acknowledge=True):
        """Takes one message."""
        opcode, frame = self.socket.receive(timeout)
        if opcode != 2:
            return
        kind, sequence, flags, number, payload_type, payload = decode(frame)
        if kind == "channel_closed":
            raise Closed(json.loads(payload)["Output"])
        if kind == "acknowledge":
            self.unacked.pop(json.loads(payload)["AcknowledgedMessageSequenceNumber"], None)
        if kind != "output_stream_data":
            return
        if sequence < self.next_in:
            self.repeated += 1  # dropped in silence, as the plugin does
            return
        handshake = payload_type in (HANDSHAKE_REQUEST, HANDSHAKE_COMPLETE)
        if sequence == self.next_in and not self.ready and not handshake:
            raise AssertionError("output came before the first size: the plugin would have dropped it")
        if not acknowledge:
            return
        if sequence > self.next_in or handshake:
            if not self.ack(kind, number, sequence):
                return
            self.early[sequence] = (flags, payload_type, payload)
        else:
            # The plugin handles what it expects before it acknowledges it. If it cannot, the number does not count.
            self.handle(flags, payload_type, payload)
            if not self.ack(kind, number, sequence):
                return
            self.next_in += 1
        while self.next_in in self.early:
            self.handle(*self.early.pop(self.next_in))
            self.next_in += 1

    def handle(self, flags, payload_type, payload):
        assert flags == (1 if self.next_in == 0 else 0), f"flags {flags} on message {self.next_in}"
        if payload_type == HANDSHAKE_REQUEST:
            request = json.loads(payload)
            version = tuple(int(n) for n in request["AgentVersion"].split("."))
            assert len(version) == 4 and version > (3, 1, 1511, 0), request["AgentVersion"]
            done = [
                {"ActionType": a["ActionType"], "ActionStatus": 1, "ActionResult": None, "Error": ""}
                for a in request["RequestedClientActions"]
            ]
            answer = {"ClientVersion": "1.2.677.0", "ProcessedClientActions": done, "Errors": None}
            self.say(HANDSHAKE_RESPONSE, json.dumps(answer).encode())
        elif payload_type == HANDSHAKE_COMPLETE:
            self.done = True
            self.size(132, 43)
        elif payload_type == STDERR:
            self.err += payload
        elif payload_type == EXIT_CODE:
            self.exit_code = payload
        else:
            self.out += payload

    def wait(self, text):
        end = time.monotonic() + DEADLINE
        while text not in self.out:
            assert time.monotonic() < end, f"waited for {text!r}, saw {self.out[-400:]!r}"
            self.step()
        before, self.out = self.out.split(text, 1)
        return before

    def wait_closed(self):
        while True:
            try:
                self.step()
            except Closed as closed:
                return str(closed)


def shell():
    plugin = Plugin()
    while not plugin.ready:
        plugin.step()
    plugin.type(b"printf 'RE''ADY\\n'; stty size\r")
    plugin.wait(b"READY\r\n")
    plugin.wait(b"43 132")
    return plugin


def a_shell_has_the_right_size_echoes_utf8_and_ends_without_words():
    plugin = shell()
    plugin.size(100, 30)
    plugin.type("echo 'h\u00e9llo \u4f60\u597d' | tr a-z A-Z; stty size\r".encode())
    plugin.wait("H\u00e9LLO \u4f60\u597d".encode())
    plugin.wait(b"30 100")
    plugin.type(b"exit\r")
    assert plugin.wait_closed() == "", "an ordinary end has no words"


def ctrl_c_interrupts_and_50_mb_arrive_whole():
    plugin = shell()
    plugin.type(b"printf 'GO''ING'; sleep 1000; echo never\r")
    plugin.wait(b"GOING")
    plugin.type(b"\x03")
    plugin.wait(b"^C")
    plugin.wait(b"# " if os.geteuid() == 0 else b"$ ")  # the device is this machine
    plugin.type(b"printf 'st''opped\\n'\r")
    assert b"\nnever" not in plugin.wait(b"stopped\r\n")
    plugin.type(b"stty raw -echo; printf 'BE''GIN'; seq 6600000; printf 'E''ND'\r")
    plugin.wait(b"BEGIN")
    parts = [plugin.out]
    while b"END" not in b"".join(parts[-2:]):
        plugin.out = b""
        plugin.step()
        if plugin.out:
            parts.append(plugin.out)
    text = b"".join(parts).split(b"END")[0]
    expected = "".join(f"{n}\n" for n in range(1, 6600001)).encode()
    assert len(text) == len(expected) > 50_000_000 and text == expected, (len(text), len(expected))
    plugin.type(b"exit\n")
    plugin.out = b""
    plugin.wait_closed()


def what_is_not_acknowledged_is_sent_again():
    plugin = shell()
    plugin.type(b"echo o''nce\r")
    for _ in range(3):
        plugin.step(acknowledge=False)
    plugin.wait(b"once")
    plugin.type(b"exit\r")
    plugin.wait_closed()


def a_dropped_websocket_is_resumed_without_a_byte_lost_or_doubled():
    plugin = shell()
    plugin.type(b"stty raw -echo; printf 'BE''GIN'; seq 300000; printf 'E''ND'\r")
    plugin.wait(b"BEGIN")
    seen = 0
    for _ in range(8):
        goal = seen + 150_000
        while len(plugin.out) < goal and b"END" not in plugin.out[-200:]:
            plugin.step()
        seen = len(plugin.out)
        plugin.resume()
    while b"END" not in plugin.out[-200:]:
        plugin.step()
    text = plugin.out.split(b"END")[0]
    assert text == "".join(f"{n}\n" for n in range(1, 300001)).encode(), len(text)
    plugin.type(b"exit\n")
    plugin.wait_closed()


def what_was_handled_and_could_not_be_acknowledged_is_not_handled_again():
    plugin = shell()
    plugin.type(b"stty raw -echo; printf 'BE''GIN'; seq 300000; printf 'E''ND'\r")
    plugin.wait(b"BEGIN")
    for cut in range(1, 13):
        goal = cut * 100_000
        while len(plugin.out) < goal:
            plugin.step()
        plugin.deaf = True
        for _ in range(cut):
            if plugin.socket.has_more():
                plugin.step()
        plugin.resume()
    while b"END" not in plugin.out[-200:]:
        plugin.step()
    text = plugin.out.split(b"END")[0]
    expected = "".join(f"{n}\n" for n in range(1, 300001)).encode()
    assert text == expected, (len(text), len(expected))
    plugin.type(b"exit\n")
    plugin.wait_closed()


def who_was_replaced_ends_with_words_and_takes_nothing_back():
    plugin = shell()
    plugin.socket.drop()
    other = plugin.taken_over()
    other.type(b"echo mi''ne\r")
    other.wait(b"mine")
    # Away meanwhile.
    plugin.resume()
    words = plugin.wait_closed()
    assert words.startswith("another client has taken the session over"), words
    # There when it is replaced: the plugin does not know why it was hung up on.
    third = other.taken_over()
    try:
        while True:
            other.step()
    except (OSError, EOFError):
        other.resume()
    assert other.wait_closed() == words
    third.type(b"echo st''ays\r")
    third.wait(b"stays")
    third.type(b"exit\r")
    third.wait_closed()


def a_paste_of_ten_thousand_lines_arrives():
    plugin = shell()
    paste = b"".join(b"this is line number %06d of a long paste here\n" % n for n in range(10_000))
    plugin.type(b"stty raw -echo; printf 'RE''ADY2'; head -c %d | sha256sum\r" % len(paste))
    plugin.wait(b"READY2")
    sent = 0
    while sent < len(paste):
        plugin.type(paste[sent : sent + 8192])
        sent += 8192
        while plugin.socket.has_more():
            plugin.step()
    plugin.wait(hashlib.sha256(paste).hexdigest().encode())
    plugin.type(b"exit\n")
    plugin.wait_closed()


def a_command_keeps_its_streams_apart_and_tells_its_exit_code():
    plugin = Plugin(
        DocumentName="AWS-StartNonInteractiveCommand",
        Parameters={"command": ["echo out; echo err >&2; exit 7"], "separateOutputStream": ["true"]},
    )
    assert plugin.wait_closed() == ""
    assert (plugin.out, plugin.err, plugin.exit_code) == (b"out\n", b"err\n", b"EXIT_CODE: 7"), vars(plugin)


def prefixes_stand_before_the_text_of_each_stream():
    def parts(**prefixes):
        command = "echo o1; echo e1 >&2; sleep 0.5; printf 'o2\\nhalf'; sleep 0.5; echo s; sleep 0.5; echo o4"
        plugin = Plugin(
            DocumentName="AWS-StartNonInteractiveCommand",
            Parameters={"command": [command], "separateOutputStream": ["true"]} | prefixes,
        )
        assert plugin.wait_closed() == ""
        return plugin.out, plugin.err

    both = parts(stdOutSeparatorPrefix=["OUT:"], stdErrSeparatorPrefix=["ERR:"])
    assert both == (b"OUT:o1\nOUT:o2\nhalfs\nOUT:o4\n", b"ERR:e1\n"), both
    assert parts(stdErrSeparatorPrefix=["E"]) == (b"o1\no2\nhalfs\no4\n", b"Ee1\n")


def a_plugin_that_may_not_resume_is_told_the_end_and_others_the_error():
    plugin = shell()
    session = {"SessionId": plugin.session["SessionId"]}
    nobody = Credentials("AKIAAAAAAAAAAAAAAAAA", "x" * 40)
    go = {"User-Agent": "aws-sdk-go/1.55.5 (go1.22.5; linux; amd64)"}
    told = raw("AmazonSSM.ResumeSession", session, credentials=nobody, headers=go)
    assert told.status == 200 and told.body["TokenValue"] == "", vars(told)
    assert raw("AmazonSSM.ResumeSession", session, credentials=nobody).code == "UnrecognizedClientException"
    assert raw("AmazonSSM.TerminateSession", session, credentials=nobody, headers=go).code == "UnrecognizedClientException"
    plugin.type(b"exit\r")
    plugin.wait_closed()


def an_interactive_command_has_a_terminal():
    plugin = Plugin(DocumentName="AWS-StartInteractiveCommand", Parameters={"command": ["tty; exit 3"]})
    plugin.wait(b"/dev/pts/")
    assert plugin.wait_closed() == ""


def terminate_session_says_so():
    plugin = shell()
    plugin.ssm.terminate_session(SessionId=plugin.session["SessionId"])
    words = plugin.wait_closed()
    assert "terminated by" in words, words
    again = plugin.ssm.resume_session(SessionId=plugin.session["SessionId"])
    assert not again.get("TokenValue"), "a session that is over has no token"


def a_wrong_or_used_token_is_refused_with_words():
    plugin = shell()
    for token in ("wrong", plugin.session["TokenValue"]):
        stranger = Plugin.__new__(Plugin)
        stranger.__dict__.update(vars(plugin), client=str(uuid.uuid4()), ready=False)
        stranger.connect(token)
        assert "token" in stranger.wait_closed()
    plugin.type(b"echo a''live\r")
    plugin.wait(b"alive")
    plugin.type(b"exit\r")
    plugin.wait_closed()


def garbage_harms_nobody():
    plugin = shell()
    for junk in (b"", b"x", os.urandom(200), encode("input_stream_data", plugin.next_out, OUTPUT, b"x")[:118]):
        plugin.socket.send(2, junk)
    plugin.socket.send(2, encode("input_stream_data", plugin.next_out + 50, OUTPUT, b"far ahead"))
    plugin.socket.send(2, encode("no_such_kind", 0, 0, b"x"))
    plugin.type(b"echo a''live\r")
    plugin.wait(b"alive")
    plugin.type(b"exit\r")
    plugin.wait_closed()


STORIES = [
    a_shell_has_the_right_size_echoes_utf8_and_ends_without_words,
    ctrl_c_interrupts_and_50_mb_arrive_whole,
    what_is_not_acknowledged_is_sent_again,
    a_dropped_websocket_is_resumed_without_a_byte_lost_or_doubled,
    what_was_handled_and_could_not_be_acknowledged_is_not_handled_again,
    who_was_replaced_ends_with_words_and_takes_nothing_back,
    a_paste_of_ten_thousand_lines_arrives,
    a_command_keeps_its_streams_apart_and_tells_its_exit_code,
    prefixes_stand_before_the_text_of_each_stream,
    a_plugin_that_may_not_resume_is_told_the_end_and_others_the_error,
    an_interactive_command_has_a_terminal,
    terminate_session_says_so,
    a_wrong_or_used_token_is_refused_with_words,
    garbage_harms_nobody,
]

if __name__ == "__main__":
    wanted = sys.argv[1:]
    for story in STORIES:
        if not wanted or story.__name__ in wanted:
            started = time.monotonic()
            story()
            print(f"{story.__name__}: {time.monotonic() - started:.1f} s", flush=True)
