"""A person without a key: `towline` with the gateway's address alone, and a browser that is `requests`.

Environment: that of towline_client, TOWLINE_CLI, TOWLINE_ORIGIN.
"""
import functools
import os
import subprocess
import tempfile
import threading
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from towline_client import CA, ENDPOINT, REGION

# No request waits without an end.
requests.Session.request = functools.partialmethod(requests.Session.request, timeout=60)
CLI = os.environ["TOWLINE_CLI"]
ORIGIN = os.environ["TOWLINE_ORIGIN"]
HOME = tempfile.mkdtemp()
# Nothing but the gateway's address: no key.
KEYLESS = {name: value for name, value in os.environ.items()
           if not name.startswith(("AWS_", "XDG_"))} | {
    "HOME": HOME, "TOWLINE_ENDPOINT": ENDPOINT, "TOWLINE_CA": CA, "AWS_REGION": REGION}


def callback(provider):
    """Where the provider of this name answers."""
    return f"{ORIGIN}/sign-in/callback/{provider}"


def cli(*words, **more):
    return subprocess.run([CLI, *words], env=KEYLESS, capture_output=True, text=True, timeout=60,
                          **more)


def line_of(process, stream, seconds=60):
    """The next line of a program. One that says nothing for so long is killed, which ends its output."""
    end = threading.Timer(seconds, process.kill)
    end.start()
    try:
        return stream.readline()
    finally:
        end.cancel()


def killed(process):
    process.kill()
    return process.communicate(timeout=30)


def begin(*words):
    """`towline login`, up to the address that it prints."""
    # Without a path there is no program that opens a browser.
    process = subprocess.Popen([CLI, "login", *words], env=KEYLESS | {"PATH": ""},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line_of(process, process.stderr)
    url = line_of(process, process.stderr).removeprefix("towline: ").strip()
    assert url.startswith(f"https://{urlsplit(ENDPOINT).netloc}/sign-in/start?"), url
    return process, url.replace(ENDPOINT, ORIGIN)


def begin_by_code(*words):
    """`towline login --no-browser`, once it waits: the process, the address and the code that it printed."""
    process = subprocess.Popen([CLI, "login", "--no-browser", *words], env=KEYLESS, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    lines = [line_of(process, process.stderr).removeprefix("towline: ").strip() for _ in range(4)]
    assert lines[2].startswith("code: ") and "Ctrl-C" in lines[3], lines
    return process, lines[1], lines[2].removeprefix("code: ")


def back_of(url):
    """Where `towline login` listens, by the address that it printed."""
    port = parse_qs(urlsplit(url).query)["redirect"][0].split(":")[2].split("/")[0]
    return f"http://127.0.0.1:{port}"


class Browser:
    """Goes where it is sent, until an address that `stop` names. How a provider's forms are filled in
    is the provider's."""

    def __init__(self):
        self.session = requests.Session()
        self.session.trust_env = False  # else a CA file of the environment goes before this one
        self.session.verify = CA

    def go(self, url, stop, data=None):
        for _ in range(20):
            answer = self.session.request("POST" if data else "GET", url, data=data,
                                          allow_redirects=False)
            data = None
            if "Location" not in answer.headers:
                return answer
            url = urljoin(url, answer.headers["Location"])
            if url.startswith(stop):
                return url
        raise AssertionError("too many redirects")
