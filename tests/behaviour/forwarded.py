"""What the app is told of a request, read where Gunicorn would read it.

The app has no route that shows its headers, so for one request its socket is set aside and a
listener put in its place. Renaming a unix socket leaves those who listen on it undisturbed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from hosts import Host, HostError, Site

# What a client may claim. ProxyFix and Gunicorn believe these headers when they come from Nginx.
FORGED = {
    "X-Forwarded-For": "203.0.113.66",
    "X-Forwarded-Proto": "forged-scheme",
    "X-Forwarded-Host": "forged.example.net",
    "X-Forwarded-Port": "6666",
    "X-Forwarded-Prefix": "/forged-prefix",
    "X-Forwarded-Protocol": "ssl",
    "X-Forwarded-Ssl": "on",
    "SCRIPT_NAME": "/forged-script-name",
}

# Those that the app needs in order to build its URLs and to log who asked.
NEEDED = ("Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")

CAPTURE = r"""
import os, signal, socket, sys
path = sys.argv[1]
aside = path + ".behaviour-probe"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
os.rename(path, aside)
try:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen()
    listener.settimeout(20)
    print("listening", flush=True)
    connection, _ = listener.accept()
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(65536)
        if not data:
            break
        head += data
    connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    connection.close()
finally:
    os.rename(aside, path)
sys.stdout.write(head.decode("latin-1"))
"""


def received(site: Site, host: Host, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The headers that reach the app when a client sends these."""
    argv = [*host.command("root"), "python3", "-c", CAPTURE, site.socket]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdout is not None and listener.stderr is not None
        try:
            if listener.stdout.readline() != "listening\n":
                raise HostError(f"{site.socket}: {listener.stderr.read().strip()}")
            with site.connection() as connection:
                connection.request("GET", site.url_prefix, headers)
            head = listener.stdout.read()
        except BaseException:
            listener.terminate()
            raise
    lines = head.split("\n\n")[0].splitlines()[1:]
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def violations(site: Site, host: Host) -> list[str]:
    wrong = []
    headers = received(site, host, FORGED)
    for name, value in headers:
        for forged in FORGED.values():
            if forged == value or forged in value.split(", "):
                wrong.append(f"{name}: {value} comes from the client")
    for name in NEEDED:
        values = [value for key, value in headers if key.lower() == name.lower()]
        if len(values) != 1 or not values[0]:
            wrong.append(f"{name}: {values}, not once")
    expected = {"Host": site.host_name, "X-Forwarded-Host": site.host_name}
    expected["X-Forwarded-Proto"] = "http"
    for name, value in headers:
        if name in expected and value != expected[name]:
            wrong.append(f"{name}: {value}, not {expected[name]}")
    return wrong
