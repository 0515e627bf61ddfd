#!/usr/bin/env python3
"""Records what goes through a terminal while somebody types: a fixture for tests/detector.rs.

usage: record.py OUT.stream KEYS.json SHELL [ARGUMENT...]

KEYS.json is a list of what is typed, piece by piece; each piece waits until the terminal has been silent for a moment.
Escapes as in JSON ("\u0003" is Control-C, "\u001b[A" is the key Up). The shell runs with a small fixed environment and a
prompt of its own, in an empty folder. Each line of OUT is "i" or "o" (into, out of the terminal) and the bytes in hex.
"""
import json, os, pty, select, sys, tempfile, termios, struct, fcntl

SILENCE = 0.35

def main():
    out, keys, shell = sys.argv[1], json.load(open(sys.argv[2])), sys.argv[3:]
    home = tempfile.mkdtemp()
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(home)
        env = {"HOME": home, "TERM": "xterm-256color", "PATH": "/usr/bin:/bin", "PS1": "dev$ ", "LANG": "C.UTF-8", "ENV": ""}
        os.execvpe(shell[0], shell, env)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    lines = []

    def drain():
        while select.select([master], [], [], SILENCE)[0]:
            try:
                data = os.read(master, 65536)
            except OSError:
                return False
            if not data:
                return False
            lines.append("o " + data.hex())
        return True

    drain()
    for piece in keys:
        data = piece.encode()
        lines.append("i " + data.hex())
        os.write(master, data)
        if not drain():
            break
    os.close(master)
    os.waitpid(pid, 0)
    with open(out, "w") as file:
        file.write("\n".join(lines) + "\n")

main()
