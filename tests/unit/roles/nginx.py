"""What the templates of role flask_site print, and a real Nginx that serves it."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import typing as t
from pathlib import Path

import jinja2
import pytest
from ansible.plugins.filter import core, mathstuff
from ansible_collections.flaskworks.static_media.plugins.filter.nginx_quote import nginx_quote

from tests.unit.roles.specs import CHECKOUT

TEMPLATES = CHECKOUT / "roles/flask_site/templates"
CONF = """\
pid @dir@/nginx.pid;
error_log @dir@/error.log;
worker_processes 1;
@user@
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path @dir@/t1; proxy_temp_path @dir@/t2; fastcgi_temp_path @dir@/t3;
    uwsgi_temp_path @dir@/t4; scgi_temp_path @dir@/t5;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    @http@
}
"""


def _concat(parts: t.Iterable[str]) -> str | None:
    return "".join(found) if (found := list(parts)) else None


def rendered(name: str, **variables: t.Any) -> str:
    """What Ansible would make of a template."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: "" if value is None else value,
    )
    # To Ansible a macro that prints nothing is None (ansible._internal._templating._jinja_bits).
    environment.concat = _concat  # type: ignore[assignment]
    environment.filters.update(core.FilterModule().filters())
    environment.filters.update(mathstuff.FilterModule().filters())
    environment.filters["flaskworks.static_media.nginx_quote"] = nginx_quote
    return environment.get_template(name).render(ansible_managed="by a test", **variables)


@contextlib.contextmanager
def serving(directory: Path, http: str) -> t.Iterator[None]:
    """Run Nginx with this in its http block; ``@dir@`` stands for the directory."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        pytest.fail("This test needs Nginx. Install the distribution's package.")
    text = CONF.replace("@http@", http).replace("@dir@", str(directory))
    text = text.replace("@user@", "user www-data;" if os.geteuid() == 0 else "")
    conf = directory / "nginx.conf"
    conf.write_text(text)
    command = [nginx, "-c", str(conf), "-p", str(directory)]
    started = subprocess.run(command, check=False, capture_output=True, text=True)
    assert started.returncode == 0, started.stderr + text
    assert "warn" not in started.stderr
    handle = os.pidfd_open(int((directory / "nginx.pid").read_text()))
    try:
        yield
    finally:
        subprocess.run([*command, "-s", "stop"], check=True, capture_output=True)
        select.select([handle], [], [], 30)
        os.close(handle)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens to, each another."""
    with contextlib.ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _unused in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]
