"""Port sessions over the AWS data channel, as session-manager-plugin has them: multiplexed, basic (an old client) and SSH.

Environment as in aws_channel.py, and TOWLINE_ECHO: a port of the device that sends back what it gets.
"""
import json
import os
import socket
import struct
import time

from aws_channel import DEADLINE, FLAG, OUTPUT, Closed, Plugin, decode

ECHO = os.environ["TOWLINE_ECHO"]
SYN, FIN, PSH, NOP = 0, 1, 2, 3
DISCONNECT, TERMINATE, CONNECT_ERROR = 1, 2, 3


class Port(Plugin):
    """A port session: `version` is what the client calls itself."""

    def __init__(self, version, document, **parameters):
        self.flags = []
        self.properties = None
        self.version = version
        super().__init__(DocumentName=document, Parameters={key: [value] for key, value in parameters.items()})
        self.ready = True
        while not self.done:
            self.step()

    def size(self, cols, rows):
        pass  # ports have no terminal

    def handle(self, flags, payload_type, payload):
        if payload_type == 5:
            request = json.loads(payload)
            self.properties = request["RequestedClientActions"][0]["ActionParameters"]
            done = [{"ActionType": "SessionType", "ActionStatus": 1, "ActionResult": None, "Error": ""}]
            answer = {"ClientVersion": self.version, "ProcessedClientActions": done, "Errors": None}
            self.say(6, json.dumps(answer).encode())
        elif payload_type == FLAG:
            self.flags += [number for number in struct.unpack("!I", payload) if number]
        else:
            super().handle(flags, payload_type, payload)

    def flag(self, number):
        self.say(FLAG, struct.pack("!I", number))

    def until(self, done):
        end = time.monotonic() + DEADLINE
        while not done():
            assert time.monotonic() < end, f"waited too long: {self.out[-200:]!r} {self.flags}"
            self.step()

    # smux, version 1
    def frame(self, command, stream, data=b""):
        self.type(struct.pack("<BBHI", 1, command, len(data), stream) + data)

    def frames(self):
        """All whole frames that have come, taken out."""
        found = []
        while len(self.out) >= 8:
            version, command, length, stream = struct.unpack_from("<BBHI", self.out)
            assert version == 1, self.out[:8]
            if len(self.out) < 8 + length:
                break
            found.append((command, stream, self.out[8 : 8 + length]))
            self.out = self.out[8 + length :]
        return found


def a_multiplexed_port_carries_streams_side_by_side():
    port = Port("1.2.677.0", "AWS-StartPortForwardingSession", portNumber=ECHO)
    wanted = {"portNumber": ECHO, "localPortNumber": "0", "type": "LocalPortForwarding"}
    assert port.properties == {"SessionType": "Port", "Properties": wanted}, port.properties
    seen = {3: b"", 5: b"", 7: b""}
    words = {stream: os.urandom(150_000) for stream in seen}
    for stream in seen:
        port.frame(SYN, stream)
    port.frame(NOP, 0)
    for at in range(0, 150_000, 30_000):
        for stream in seen:
            port.frame(PSH, stream, words[stream][at : at + 30_000])

    def whole():
        for command, stream, data in port.frames():
            assert command == PSH, (command, stream)
            seen[stream] += data
        return seen == words

    port.until(whole)
    # The end of one stream is the end of its connection, and of no other.
    port.frame(FIN, 3)
    ended = []
    port.until(lambda: ended.extend(s for c, s, _ in port.frames() if c == FIN) or 3 in ended)
    port.frame(PSH, 5, b"still here")
    got = []
    port.until(lambda: got.extend(d for c, s, d in port.frames() if s == 5 and c == PSH) or b"".join(got) == b"still here")
    port.resume()
    port.frame(PSH, 7, b"after a lost websocket")
    got = []
    port.until(lambda: got.extend(d for c, s, d in port.frames() if s == 7) or b"".join(got) == b"after a lost websocket")
    port.flag(TERMINATE)
    assert port.wait_closed() == "", "the client's own end has no words"


def handled_without_its_acknowledgement(port):
    """The next message is handled, and its acknowledgement is lost with the websocket: the official client counts the
    message as not handled, and handles that number again."""
    while True:
        opcode, frame = port.socket.receive(DEADLINE)
        if opcode != 2:
            continue
        kind, sequence, _, _, _, payload = decode(frame)
        if kind == "acknowledge":
            port.unacked.pop(json.loads(payload)["AcknowledgedMessageSequenceNumber"], None)
        elif kind == "output_stream_data" and sequence == port.next_in:
            return payload


def connections_outlive_a_message_that_was_handled_and_could_not_be_acknowledged():
    port = Port("1.2.677.0", "AWS-StartPortForwardingSession", portNumber=ECHO)
    streams = range(3, 19, 2)
    words = {stream: os.urandom(200_000) for stream in streams}
    for stream in streams:
        port.frame(SYN, stream)
    seen = {stream: b"" for stream in streams}

    def take():
        for command, stream, data in port.frames():
            assert command == PSH, (command, stream)
            seen[stream] += data

    for at in range(0, 200_000, 20_000):
        for stream in streams:
            port.frame(PSH, stream, words[stream][at : at + 20_000])
        goal = sum(map(len, seen.values())) + 60_000
        port.until(lambda: take() or sum(map(len, seen.values())) >= goal)
        port.deaf = True
        for _ in range(at // 20_000):
            if port.socket.has_more():
                port.step()
        port.resume()
    port.until(lambda: take() or sum(map(len, seen.values())) >= 8 * 200_000)
    assert seen == words, {stream: len(data) for stream, data in seen.items()}
    port.flag(TERMINATE)
    port.wait_closed()


def to_an_older_client_a_message_that_may_have_been_handled_comes_again_as_the_end_of_its_connections():
    port = Port("1.1.70.0", "AWS-StartPortForwardingSession", portNumber=ECHO)
    port.frame(SYN, 3)
    port.frame(SYN, 5)
    port.frame(PSH, 5, b"five")
    got = []
    port.until(lambda: got.extend(d for c, s, d in port.frames() if s == 5) or b"".join(got) == b"five")
    port.frame(PSH, 3, b"three")
    payload = handled_without_its_acknowledgement(port)
    assert payload == struct.pack("<BBHI", 1, PSH, 5, 3) + b"three", payload
    port.resume()
    port.frame(PSH, 3, b"more")
    port.frame(PSH, 5, b"goes on")
    came = []
    port.until(lambda: came.extend(port.frames()) or b"".join(d for c, s, d in came if s == 5) == b"goes on")
    assert came[0] == (FIN, 3, b""), came
    assert not [data for command, stream, data in came if stream == 3 and command == PSH], came
    port.flag(TERMINATE)
    port.wait_closed()


def a_port_that_refuses_is_a_flag_and_the_session_goes_on():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        number = listener.getsockname()[1]
        port = Port("1.2.677.0", "AWS-StartPortForwardingSession", portNumber=str(number))
        port.frame(SYN, 3)
        ended = []
        port.until(lambda: ended.extend((c, s) for c, s, _ in port.frames()) or ((FIN, 3) in ended and CONNECT_ERROR in port.flags))
        listener.listen()
        port.frame(SYN, 5)
        listener.settimeout(DEADLINE)
        connection, _ = listener.accept()
        connection.sendall(b"there")
        got = []
        port.until(lambda: got.extend(d for c, s, d in port.frames() if s == 5) or got == [b"there"])
        connection.close()
    port.flag(TERMINATE)
    port.wait_closed()


def an_old_client_has_one_connection_after_the_other():
    port = Port("1.1.0.0", "AWS-StartPortForwardingSession", portNumber=ECHO)
    port.type(b"raw bytes")
    port.until(lambda: port.out == b"raw bytes")
    port.flag(DISCONNECT)
    port.out = b""
    port.type(b"of a second connection")
    port.until(lambda: port.out == b"of a second connection")
    port.flag(TERMINATE)
    port.wait_closed()


def ssh_is_one_raw_connection_and_its_end_is_the_session_s():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = Port("1.2.677.0", "AWS-StartSSHSession", portNumber=str(listener.getsockname()[1]))
        assert "type" not in port.properties["Properties"], port.properties
        connection, _ = listener.accept()
        connection.sendall(b"SSH-2.0-test\r\n")
        port.until(lambda: port.out == b"SSH-2.0-test\r\n")
        port.type(b"SSH-2.0-client\r\n")
        assert connection.recv(100) == b"SSH-2.0-client\r\n"
        connection.sendall(b"last words")
        connection.close()
    port.out = b""
    assert port.wait_closed() == "" and port.out == b"last words", port.out


def a_place_that_is_not_allowed_is_refused_before_there_is_a_session():
    try:
        Port("1.2.677.0", "AWS-StartPortForwardingSessionToRemoteHost", host="169.254.169.254", portNumber="80")
    except Exception as error:
        assert "policy.allowed_forwards" in str(error), error
    else:
        raise AssertionError("the metadata address was let through")


def main():
    for story in (
        a_multiplexed_port_carries_streams_side_by_side,
        connections_outlive_a_message_that_was_handled_and_could_not_be_acknowledged,
        to_an_older_client_a_message_that_may_have_been_handled_comes_again_as_the_end_of_its_connections,
        a_port_that_refuses_is_a_flag_and_the_session_goes_on,
        an_old_client_has_one_connection_after_the_other,
        ssh_is_one_raw_connection_and_its_end_is_the_session_s,
        a_place_that_is_not_allowed_is_refused_before_there_is_a_session,
    ):
        print(story.__name__, flush=True)
        story()


if __name__ == "__main__":
    main()
