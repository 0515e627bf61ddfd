"""A client of the AWS data channel whose gateway is killed in mid-stream: what it sees and what it typed must be whole.

Prints `kill` when the gateway is to be killed and started again on the same port, and `well` at the end.
Environment as in towline_client.py, and TOWLINE_DEVICE, TOWLINE_FLAG (a path that does not exist yet).
"""
import hashlib
import os
import time

import botocore.exceptions

from aws_channel import Plugin, shell

LINES = 300_000
TYPED = 60_000
KILLS = 4
PATIENCE = 60


class Survivor:
    """Goes on whatever happens to the websocket, by ResumeSession."""

    def __init__(self, plugin):
        self.plugin, self.resumed = plugin, 0

    def again(self, action, *arguments):
        """True when it was done; False when the websocket was lost in it, and is there again."""
        try:
            action(*arguments)
            return True
        except (OSError, EOFError) as error:
            p = self.plugin
            print(f"lost: {error!r}, seen {len(p.out)}, next {p.next_in}, unacknowledged {list(p.unacked)[:3]}", flush=True)
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    self.plugin.resume()
                    self.resumed += 1
                    return False
                except (OSError, EOFError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                    assert time.monotonic() < end, "the gateway did not come back"
                    time.sleep(0.05)


def ask_for_a_kill():
    print("kill", flush=True)


def a_shell_in_mid_output_and_mid_input():
    plugin = shell()
    survivor = Survivor(plugin)
    plugin.type(
        b"sh -c 'stty raw -echo; printf BE\"\"GIN; seq %d & sum=$(head -c %d | sha256sum); wait; "
        b"printf SUM; printf \"$sum\"; printf EN\"\"D'\r" % (LINES, TYPED)
    )
    plugin.wait(b"BEGIN")
    typed, sent, asked = os.urandom(TYPED), 0, 0
    expected = "".join(f"{n}\n" for n in range(1, LINES + 1)).encode()
    while b"END" not in plugin.out[-400:]:  # a prompt may follow
        due = len(plugin.out) > len(expected) * (asked + 1) // (KILLS + 1)
        if asked < KILLS and due:
            asked += 1
            ask_for_a_kill()
            # Typed into a gateway that is being killed, and perhaps gone.
            while survivor.resumed < asked:
                piece = typed[sent : sent + 700]
                if piece:
                    sent += len(piece)
                    survivor.again(plugin.type, piece)
                else:
                    survivor.again(plugin.step)
        survivor.again(plugin.step)
        if asked == KILLS and sent < TYPED:
            piece = typed[sent : sent + 1024]
            sent += len(piece)
            survivor.again(plugin.type, piece)
    text, said = plugin.out.split(b"SUM")
    assert text == expected, (len(text), len(expected))
    assert said.split()[0] == hashlib.sha256(typed).hexdigest().encode(), said
    assert survivor.resumed >= KILLS
    plugin.out = b""
    # The terminal's size, which nobody said again.
    plugin.type(b"stty sane; stty size\n")
    plugin.wait(b"43 132")
    plugin.type(b"exit\n")
    plugin.wait_closed()


def a_command_keeps_its_streams_apart():
    flag = os.environ["TOWLINE_FLAG"]
    command = (
        f"echo out-1; echo err-1 >&2; until [ -e {flag} ]; do sleep 0.05; done; echo out-2; echo err-2 >&2; exit 7"
    )
    plugin = Plugin(
        DocumentName="AWS-StartNonInteractiveCommand",
        Parameters={"command": [command], "separateOutputStream": ["true"]},
    )
    survivor = Survivor(plugin)
    while (plugin.out, plugin.err) != (b"out-1\n", b"err-1\n"):
        plugin.step()
    ask_for_a_kill()
    while not survivor.resumed:
        survivor.again(plugin.step)
    open(flag, "w").close()
    assert plugin.wait_closed() == ""
    assert (plugin.out, plugin.err) == (b"out-1\nout-2\n", b"err-1\nerr-2\n"), (plugin.out, plugin.err)
    assert plugin.exit_code == b"EXIT_CODE: 7", plugin.exit_code


if __name__ == "__main__":
    a_shell_in_mid_output_and_mid_input()
    a_command_keeps_its_streams_apart()
    print("well", flush=True)
