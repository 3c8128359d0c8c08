"""A host of our own on this machine: Nginx with a right configuration, to be spoilt line by line.

It shows that the tests can fail, and needs neither a container nor the roles. What is right is
said by the contract alone; this configuration only has to satisfy it.
"""

from __future__ import annotations

import os
import select
import shutil
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import contract
from hosts import HostError, LocalHost, Probe, Site

STATIC_URLS = ("/static/", "/about/static/")

HTTP = """\
pid @dir@/nginx.pid;
error_log @dir@/error.log;
worker_processes 1;
@user@
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path @dir@/temp-body;
    proxy_temp_path @dir@/temp-proxy;
    fastcgi_temp_path @dir@/temp-fastcgi;
    uwsgi_temp_path @dir@/temp-uwsgi;
    scgi_temp_path @dir@/temp-scgi;
    include /etc/nginx/mime.types;
    types {
        text/javascript mjs;
        font/ttf ttf;
        font/otf otf;
        application/manifest+json webmanifest;
        application/json map;
        text/vtt vtt;
    }
    default_type application/octet-stream;
    map $sent_http_content_type $media_disposition {
        default attachment;
        "" "";
        "~^image/(png|jpeg|gif|webp|avif)" "";
        "~^(audio|video)/" "";
        "~^text/plain" "";
    }
    server {
        listen unix:@dir@/http.sock;
        server_name gallery.example.com;
        location / {
            proxy_pass http://unix:@socket@:;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Forwarded-Port "";
            proxy_set_header X-Forwarded-Prefix "";
            proxy_set_header X-Forwarded-Protocol "";
            proxy_set_header X-Forwarded-Ssl "";
        }
        @static@
        location ^~ /media/ {
            alias @media@/;
            try_files $uri =404;
            disable_symlinks on from=$document_root;
            max_ranges 1;
            charset utf-8;
            types {
                image/png png;
                image/jpeg jpg jpeg;
                image/gif gif;
                image/webp webp;
                image/avif avif;
                audio/mpeg mp3;
                audio/ogg ogg;
                video/mp4 mp4;
                video/webm webm;
                text/plain txt;
            }
            default_type application/octet-stream;
            add_header X-Content-Type-Options nosniff always; # media
            add_header Content-Security-Policy "default-src 'none'; sandbox; frame-ancestors 'none'" always;
            add_header Cross-Origin-Resource-Policy same-origin always;
            add_header Content-Disposition $media_disposition;
            add_header Cache-Control no-cache;
            limit_except GET { deny all; } # media
            location ~ "/[.]" { return 404; } # media
        }
    }
}
"""

STATIC = """\
location ^~ @url@ {
            alias @directory@/;
            try_files $uri =404;
            disable_symlinks if_not_owner from=$document_root;
            expires 30d;
            add_header X-Content-Type-Options nosniff always; # static
            limit_except GET { deny all; } # static
            location ~ "/[.]" { return 404; } # static
        }
        """


class App(BaseHTTPRequestHandler):
    """Stands in for Gunicorn: one page, and a 404 page of its own."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        found = self.path == "/"
        body = b"<h1>Gallery</h1>" if found else b"<h1>Not found, says the app</h1>"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self.do_GET
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


class AppServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Nginx hangs up on the app whenever its own client is gone: nothing to report."""


class Reference:
    """The files, the app and, one after another, the Nginx configurations."""

    def __init__(self) -> None:
        nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if nginx is None:
            raise HostError("nginx is not on this machine; install the distribution's package")
        self._nginx = nginx
        self.directory = Path(tempfile.mkdtemp(prefix="behaviour-"))
        # mkdtemp() gives 0700; Nginx's worker has to pass.
        self.directory.chmod(0o755)
        self.site = Site.deployed(
            "gallery",
            "gallery.example.com",
            str(self.directory / "http.sock"),
            STATIC_URLS,
            prefix=str(self.directory),
        )
        self.host = LocalHost(switch_user=False)
        for path in (self.site.media_root, self.site.static_root, _parent(self.site.socket)):
            Path(path).mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(self.site.media_root, group="www-data")
            Path(self.site.media_root).chmod(0o2750)
        env = Probe(self.site.env_file, contract.SECRET + b'="the app\'s key"\n')
        self.host.place([env, *contract.probes(self.site)], self.site.app_user)
        self._app = AppServer(self.site.socket, App)
        Path(self.site.socket).chmod(0o666)
        threading.Thread(target=self._app.serve_forever, daemon=True).start()
        self._running = False

    def configuration(self) -> str:
        static = "".join(
            _fill(STATIC, {"url": url, "directory": self.site.static_directory(url)})
            for url in self.site.static_urls
        )
        values = {
            "dir": str(self.directory),
            # Started by root, a worker without root's rights, as on a real host.
            "user": "user www-data;" if os.geteuid() == 0 else "",
            "socket": self.site.socket,
            "media": self.site.media_root,
            "static": static,
        }
        return _fill(HTTP, values)

    def serve(self, configuration: str) -> None:
        """Start Nginx anew; it has bound its socket when it returns."""
        self.stop()
        path = self.directory / "nginx.conf"
        path.write_text(configuration)
        argv = [self._nginx, "-c", str(path), "-p", str(self.directory)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            raise HostError(f"nginx: {done.stderr}")
        self._running = True

    def stop(self) -> None:
        if not self._running:
            return
        pid = int((self.directory / "nginx.pid").read_text())
        handle = os.pidfd_open(pid)
        try:
            argv = [self._nginx, "-c", str(self.directory / "nginx.conf"), "-s", "stop"]
            subprocess.run([*argv, "-p", str(self.directory)], check=True, timeout=30)
            # The socket's name is free only when the master is gone.
            select.select([handle], [], [], 30)
        finally:
            os.close(handle)
        self._running = False

    def close(self) -> None:
        self.stop()
        self._app.shutdown()
        self._app.server_close()
        shutil.rmtree(self.directory)


def _fill(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
