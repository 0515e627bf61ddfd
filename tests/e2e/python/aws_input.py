"""A client of the AWS data channel in a session whose input is recorded: types as a person does, a password among it.

Environment as in aws_channel.py, and TOWLINE_PASSWORD.
"""
import os

from aws_channel import shell

plugin = shell()
plugin.type(b"PS1='dev''$ '\r")
plugin.wait(b"dev$ ")
plugin.type(b"echo channel-$((40+2))\r")
plugin.wait(b"channel-42\r\n")
plugin.wait(b"dev$ ")
plugin.type(b"read -s -p 'secret''? ' LINE; echo got-$((40+2))\r")
plugin.wait(b"secret? ")
plugin.type(os.environ["TOWLINE_PASSWORD"].encode() + b"\r")
plugin.wait(b"got-42\r\n")
plugin.wait(b"dev$ ")
plugin.type(b"exit\r")
assert plugin.wait_closed() == ""
