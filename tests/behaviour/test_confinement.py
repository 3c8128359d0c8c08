"""What systemd keeps the app's and Nginx's services from, asked of the kernel and of systemd itself."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import hosts
import play
import pytest

# Of 10; "OK" is what systemd-analyze(1) calls all below 2.
MOST_EXPOSED = 2.0
EXPOSURE = re.compile(r"Overall exposure level for \S+: ([0-9.]+) ")

# Root's own rights, in the mounts that a process has. Says what came of each attempt.
ATTEMPT = r"""
import errno, json, os, sys
found = {}
for directory in json.load(sys.stdin):
    path = os.path.join(directory, "behaviour-probe-by-nginx")
    try:
        with open(path, "x"):
            pass
        os.unlink(path)
        found[directory] = "written"
    except OSError as error:
        found[directory] = errno.errorcode[error.errno]
json.dump(found, sys.stdout)
"""
RESTART = ["systemctl", "restart", "nginx"]


def run(host: hosts.Host, *argv: str, given: bytes = b"") -> str:
    command = [*host.command("root"), *argv]
    done = subprocess.run(command, input=given, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr.decode()}"
    return done.stdout.decode()


def attempts(host: hosts.Host, *directories: str) -> dict[str, str]:
    """What Nginx's master could do, as root, in each directory."""
    pid = run(host, "systemctl", "show", "--property=MainPID", "--value", "nginx").strip()
    assert int(pid) > 0
    # -F: no new process is needed between, which Debian 12's nsenter would take from the host.
    enter = ["nsenter", f"--target={pid}", "--mount", "python3", "-c", ATTEMPT]
    answers: dict[str, str] = json.loads(run(host, *enter, given=json.dumps(directories).encode()))
    return answers


def roots(site: hosts.Site) -> list[str]:
    return [site.static_root, site.media_root, site.static_directory(site.static_urls[0])]


def test_the_apps_service_is_exposed_little(
    site: hosts.Site, host: hosts.Host, figures: Callable[[str], None]
) -> None:
    output = run(host, "systemd-analyze", "security", "--no-pager", f"{site.app}.service")
    found = EXPOSURE.search(output)
    assert found, output
    release = run(host, "sh", "-c", ". /etc/os-release; echo $PRETTY_NAME").strip()
    figures(f"{release}: systemd-analyze security {site.app}.service: {found[1]} of 10")
    assert float(found[1]) <= MOST_EXPOSED


def test_the_figure_is_worse_without_hardening(host: hosts.Host) -> None:
    output = run(host, "systemd-analyze", "security", "--no-pager", "nginx.service")
    found = EXPOSURE.search(output)
    assert found, output
    assert float(found[1]) > MOST_EXPOSED


def test_nginx_can_write_neither_static_files_nor_media_as_root_neither(
    site: hosts.Site, host: hosts.Host
) -> None:
    answers = attempts(host, *roots(site))
    assert answers == dict.fromkeys(roots(site), "EROFS")


def test_what_nginx_needs_to_write_it_can(host: hosts.Host) -> None:
    directories = ["/var/log/nginx", "/var/lib/nginx/body", "/run"]
    assert attempts(host, *directories) == dict.fromkeys(directories, "written")


def test_a_large_upload_is_spooled(site: hosts.Site) -> None:
    """Through client_body_temp_path, and refused by the app, which got it whole."""
    body = b"x" * 1024 * 1024
    with site.connection() as connection:
        headers = {"Content-Type": "application/octet-stream"}
        response = connection.request("POST", f"{site.url_prefix}upload", headers, body)
    assert response.status == 400, response


def test_directories_made_anew_stay_read_only(site: hosts.Site, host: hosts.Host) -> None:
    """As by a deploy; the mount is on the directory above."""
    for action in ("mkdir", "rmdir", "mkdir"):
        run(host, action, f"{site.static_root}/behaviour-anew")
    try:
        assert attempts(host, f"{site.static_root}/behaviour-anew") == {
            f"{site.static_root}/behaviour-anew": "EROFS"
        }
    finally:
        run(host, "rmdir", f"{site.static_root}/behaviour-anew")


@pytest.fixture
def mounted(site: hosts.Site, host: hosts.Host) -> Iterator[str]:
    """A file system of its own below media, mounted while Nginx runs."""
    path = f"{site.media_root}/behaviour-mount"
    run(host, "mkdir", path)
    # So systemd makes it at boot, where it is not in a container: mount_namespaces(7), "NOTES".
    run(host, "mount", "--make-rshared", "/")
    run(host, *RESTART)
    run(host, "mount", "-t", "tmpfs", "-o", "size=1m", "behaviour", path)
    try:
        run(host, "sh", "-c", f"echo seen >{path}/seen.txt")
        yield path
    finally:
        run(host, "umount", path)
        run(host, "mount", "--make-rprivate", "/")
        run(host, "rmdir", path)


def test_a_later_mount_is_seen_and_read_only_from_the_next_start(
    mounted: str, site: hosts.Site, host: hosts.Host
) -> None:
    url = f"{site.media_url}behaviour-mount/seen.txt"
    with site.connection() as connection:
        assert connection.request("GET", url).body == b"seen\n"
    # A mount arrives as it is on the host, mount_namespaces(7); verify says that it is pending.
    assert attempts(host, mounted) == {mounted: "written"}
    run(host, *RESTART)
    assert attempts(host, mounted) == {mounted: "EROFS"}
    with site.connection() as connection:
        assert connection.request("GET", url).body == b"seen\n"


def seen_by_nginx(control: play.Control, site: hosts.Site) -> dict[str, Any]:
    asked = {"port": 80, "bind": f"unix:{site.socket}", "service": site.app}
    answer = control.module("flask_host_info", **asked, directories=roots(site)[:2])
    view: dict[str, Any] = answer["nginx_view"]
    return view


def put_back(site: hosts.Site, host: hosts.Host) -> None:
    part = f"/etc/systemd/system/nginx.service.d/flask-{site.app}.conf"
    run(host, "sh", "-c", f"[ -e {part} ] || mv {part}.aside {part}")


@pytest.fixture
def unconfined(site: hosts.Site, host: hosts.Host) -> Iterator[None]:
    """An Nginx that was started without the app's part of its unit."""
    part = f"/etc/systemd/system/nginx.service.d/flask-{site.app}.conf"
    run(host, "mv", part, f"{part}.aside")
    run(host, "systemctl", "daemon-reload")
    run(host, *RESTART)
    yield
    put_back(site, host)
    run(host, "systemctl", "daemon-reload")
    run(host, *RESTART)


def test_one_that_runs_already_is_left_alone_until_a_restart_is_allowed(
    unconfined: None, site: hosts.Site, host: hosts.Host, control: play.Control
) -> None:
    assert attempts(host, *roots(site)) == dict.fromkeys(roots(site), "written")
    put_back(site, host)
    service = {
        "name": "nginx",
        "manager": "systemd",
        "read_only_directories": [site.static_root, site.media_root],
    }
    before = control.module("flask_service", **service, restart=False)
    assert (before["actions"], before["restart_pending"]) == (["daemon-reload"], True)
    again = control.module("flask_service", **service, restart=False)
    assert (again["changed"], again["restart_pending"]) == (False, True)
    assert again["main_pid"] == before["main_pid"]

    # Verify makes a warning of it: tests/unit/plugins/plugin_utils/test_verify_confinement.py.
    view = seen_by_nginx(control, site)
    assert (view["is_older"], view["writable"]) == (True, roots(site)[:2])

    allowed = control.module("flask_service", **service, restart=True)
    assert allowed["actions"][-1] == "restart"
    assert attempts(host, *roots(site)) == dict.fromkeys(roots(site), "EROFS")
    assert not control.module("flask_service", **service, restart=True)["changed"]
    view = seen_by_nginx(control, site)
    assert (view["is_older"], view["writable"]) == (False, [])
