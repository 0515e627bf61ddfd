"""A login shell on a terminal; its bytes are this process's standard input and output.

The plain end of `cargo xtask bench console`: no session, no record, no position. It ends with the
shell, or with its input.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios

CHUNK = 64 * 1024


def copy_between(master: int) -> None:
    while True:
        ready, _, _ = select.select([0, master], [], [])
        if master in ready:
            try:
                output = os.read(master, CHUNK)
            except OSError:
                return  # the shell has ended
            if not output:
                return
            write_all(1, output)
        if 0 in ready:
            typed = os.read(0, CHUNK)
            if not typed:
                return
            write_all(master, typed)


def write_all(to: int, data: bytes) -> None:
    while data:
        data = data[os.write(to, data) :]


def main() -> None:
    rows, cols = int(sys.argv[1]), int(sys.argv[2])
    child, master = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp("bash", ["bash", "-l"])
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
    copy_between(master)


main()
