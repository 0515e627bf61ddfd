#!/usr/bin/env python3
"""Takes a running process over, as an attacker would who has found a fault in it: the process makes the calls it is told to,
with the rights, filters and descriptors that it has. x86_64 only.

    take_over.py PID

Data flow: a line on standard input -> calls in the process (ptrace: registers, one step over its own `syscall` instruction) -> one
line on standard output, which is the result, or `dead SIGNAL`.

    call NUMBER ARGUMENT...         the call's result, an errno as a negative number
    probe FIRST LAST SKIPPED...     each call from FIRST to LAST with six arguments of -1: NUMBER=RESULT ...
    send FD HEX DESCRIPTOR...       sendmsg, without waiting; the descriptors go along
    flood FD HEX MOST               the same until it fails: COUNT RESULT
    receive FD LENGTH               recvfrom, without waiting: RESULT HEX
    wait SECONDS                    until the process is dead, else `alive`
    go                              the process goes on as if nothing had been
"""
import ctypes
import os
import signal
import struct
import sys
import time

SEIZE, INTERRUPT, GET, SET, STEP, DETACH = 0x4206, 0x4207, 12, 13, 9, 17
NAMES = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs".split()
WORD = (1 << 64) - 1
SYSCALL = b"\x0f\x05"
ROOM = 1 << 17
SENDMSG, RECVFROM, MMAP = 46, 45, 9
DONTWAIT, NOSIGNAL = 0x40, 0x4000
SOL_SOCKET = SCM_RIGHTS = 1

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in NAMES]


class Dead(Exception):
    """The process ended, by this signal or with this status."""


class Process:
    def __init__(self, pid):
        self.pid = pid
        self.ptrace(SEIZE)
        self.ptrace(INTERRUPT)
        self.stopped()
        self.before = self.registers()
        self.memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
        self.site = self.before.rip - len(SYSCALL)
        assert os.pread(self.memory, 2, self.site) == SYSCALL, "the process does not wait in a call"
        self.room = self.call(MMAP, 0, ROOM, 3, 0x22, WORD, 0)
        assert self.room > 0, self.room

    def ptrace(self, request, data=None):
        if libc.ptrace(request, self.pid, None, data) < 0:
            if ctypes.get_errno() == 3:  # ESRCH: it was killed while it was stopped
                self.stopped()
            raise OSError(ctypes.get_errno(), f"ptrace {request}")

    def stopped(self, flags=0):
        pid, status = os.waitpid(self.pid, flags)
        if pid and os.WIFSIGNALED(status):
            raise Dead(os.WTERMSIG(status))
        if pid and os.WIFEXITED(status):
            raise Dead(-os.WEXITSTATUS(status))

    def registers(self):
        registers = Registers()
        self.ptrace(GET, ctypes.byref(registers))
        return registers

    def call(self, number, *arguments):
        registers = self.registers()
        arguments = [argument & WORD for argument in arguments] + [0] * (6 - len(arguments))
        registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9 = arguments
        registers.rax, registers.orig_rax, registers.rip = number & WORD, WORD, self.site
        self.ptrace(SET, ctypes.byref(registers))
        while registers.rip != self.site + len(SYSCALL):
            self.ptrace(STEP)
            self.stopped()
            registers = self.registers()
        return ctypes.c_int64(registers.rax).value

    def put(self, at, data):
        os.pwrite(self.memory, data, self.room + at)
        return self.room + at

    def send(self, fd, data, descriptors):
        control = b""
        if descriptors:
            rights = struct.pack(f"{len(descriptors)}i", *descriptors)
            control = struct.pack("QII", 16 + len(rights), SOL_SOCKET, SCM_RIGHTS) + rights
            control += bytes(-len(control) % 8)
        vector = self.put(0, struct.pack("QQ", self.put(4096, data), len(data)))
        rights = self.put(1024, control) if control else 0
        message = self.put(512, struct.pack("QIIQQQQII", 0, 0, 0, vector, 1, rights, len(control), 0, 0))
        return self.call(SENDMSG, fd, message, DONTWAIT | NOSIGNAL)

    def receive(self, fd, length):
        result = self.call(RECVFROM, fd, self.room + 4096, length, DONTWAIT)
        return f"{result} {os.pread(self.memory, max(result, 0), self.room + 4096).hex()}"

    def wait(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.stopped(os.WNOHANG)
            time.sleep(0.01)
        return "alive"

    def go(self):
        self.ptrace(SET, ctypes.byref(self.before))
        self.ptrace(DETACH)
        return "gone"


def told(process, verb, *words):
    if verb == "send":
        return process.send(int(words[0]), bytes.fromhex(words[1].strip("-")), [int(word) for word in words[2:]])
    if verb == "flood":
        count, result = 0, 0
        while result >= 0 and count < int(words[2]):
            result = process.send(int(words[0]), bytes.fromhex(words[1]), [])
            count += result >= 0
        return f"{count} {result}"
    numbers = [int(word) for word in words]
    if verb == "probe":
        first, last, *skipped = numbers
        calls = [number for number in range(first, last + 1) if number not in skipped]
        return " ".join(f"{number}={process.call(number, *[-1] * 6)}" for number in calls)
    return getattr(process, verb)(*numbers)


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        process = Process(int(sys.argv[1]))
        print("taken", flush=True)
        for line in sys.stdin:
            result = told(process, *line.split())
            print(result, flush=True)
            if result == "gone":
                return
    except Dead as dead:
        print(f"dead {dead}", flush=True)


main()
