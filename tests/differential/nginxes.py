"""Real Nginx's to compare with: this machine's, and the one of Debian 13 out of a container's image."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
START_SECONDS = 20

# Its packages' libraries come along: this machine's may be others. Messages go to the error output.
FETCH = r"""
exec 3>&1 1>&2
apt-get --quiet=2 update
DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --yes --no-install-recommends install nginx
libraries=$(ldd /usr/sbin/nginx | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[ \t]*\(\/[^ ]*\).*/\1/p' | sort -u)
tar -chf - /usr/sbin/nginx $libraries >&3
"""

HEAD = """\
pid {directory}/nginx-{port}.pid;
error_log {directory}/error.log;
worker_processes 1;
master_process off;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {directory}/temp-body;
    proxy_temp_path {directory}/temp-proxy;
    fastcgi_temp_path {directory}/temp-fastcgi;
    uwsgi_temp_path {directory}/temp-uwsgi;
    scgi_temp_path {directory}/temp-scgi;
"""


class NginxError(Exception):
    """It does not start; the message is its own."""


@dataclass(frozen=True)
class Nginx:
    """``command`` runs it; of another release's it begins with that release's loader."""

    command: tuple[str, ...]

    @property
    def version(self) -> str:
        done = subprocess.run([*self.command, "-v"], capture_output=True, text=True, check=True)
        return done.stderr.strip().rpartition("/")[2].partition(" ")[0]


def of_this_machine() -> Nginx:
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not program:
        raise NginxError("There is no nginx. scripts/test_machine.py installs it.")
    return Nginx((program,))


def of_debian13() -> Nginx:
    """Taken once from what Debian 13 installs, and kept in .build for the image that it came from."""
    tag = _image_tag()
    directory = BUILD / "nginx" / tag.replace(":", "-").replace("/", "-")
    if not directory.is_dir():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent) as temporary:
            archive = Path(temporary, "nginx.tar")
            with archive.open("wb") as output:
                done = subprocess.run(
                    ["docker", "run", "--rm", tag, "sh", "-ec", FETCH],
                    stdout=output,
                    stderr=subprocess.PIPE,
                    text=True,
                    check=False,
                )
            if done.returncode:
                raise NginxError(f"Nginx of {tag} could not be had:\n{done.stderr[-2000:]}")
            root = Path(temporary, "root")
            root.mkdir()
            subprocess.run(["tar", "-xf", archive, "-C", root], check=True)
            root.rename(directory)
    (loader,) = [path for path in directory.rglob("ld-linux*") if path.is_file()]
    libraries = {str(path.parent) for path in directory.rglob("lib*.so*")}
    path = ":".join(sorted(libraries))
    return Nginx((str(loader), "--library-path", path, str(directory / "usr/sbin/nginx")))


def _image_tag() -> str:
    recipe = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "flaskworks-fresh"]
    done = subprocess.run(recipe, capture_output=True, text=True, check=True)
    tags = [line for line in done.stdout.split() if re.search(r":debian13-", line)]
    if not tags:
        raise NginxError("There is no image of Debian 13. scripts/build_images.py makes it.")
    return tags[0]


class Running:
    """An Nginx in a directory of its own, with ``http`` for what stands in its http block.

    Of ``{directory}`` and ``{port}`` in it the values are filled in. Listens before the constructor returns.
    """

    def __init__(self, nginx: Nginx, directory: Path, http: str) -> None:
        self.directory = directory
        self.port = _free_port()
        self.http = http.replace("{directory}", str(directory)).replace("{port}", str(self.port))
        self.conf_file = directory / "nginx.conf"
        self.text = HEAD.format(directory=directory, port=self.port) + self.http + "\n}\n"
        self.conf_file.write_text(self.text)
        messages = directory / "start.log"
        # It goes into the background, and would hold a pipe open.
        with messages.open("wb") as output:
            done = subprocess.run(
                [
                    *nginx.command,
                    "-p",
                    directory,
                    "-c",
                    self.conf_file,
                    "-e",
                    directory / "error.log",
                ],
                stdout=output,
                stderr=output,
                timeout=START_SECONDS,
                check=False,
            )
        if done.returncode:
            raise NginxError(f"{messages.read_text()}\n{self.text}")

    def stop(self) -> None:
        """To be called when it has answered: only then its number is sure to be there."""
        os.kill(int((self.directory / f"nginx-{self.port}.pid").read_text()), 15)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class _Echo(socketserver.StreamRequestHandler):
    """Answers with the request line that it got."""

    def handle(self) -> None:
        line = self.rfile.readline().rstrip(b"\r\n")
        length = 0
        while header := self.rfile.readline().rstrip(b"\r\n"):
            name, _colon, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        self.rfile.read(length)
        got = line.rpartition(b" ")[0]
        # Nginx may be gone by now: it was stopped while the last answer was on its way.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Got: " + got + b"\r\nContent-Length: 0\r\n\r\n")


class Upstream:
    """Stands in for an app on a unix socket."""

    def __init__(self, path: Path) -> None:
        self._server = socketserver.ThreadingUnixStreamServer(str(path), _Echo)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
