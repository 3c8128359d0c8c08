# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""The rules that a description of an app obeys, and the settings derived from it.

Three questions, each answered by a pure function that returns problems instead of raising, so
that a user sees all of them at once:

* :func:`description_problems`: can what the user wrote work on any host?
* :func:`host_problems`: can it work on this host?
* :func:`app_problems`: does the app itself agree?
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import posixpath
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _compose,
    _confinement,
    _media_areas,
    _media_mount_rules,
    _media_permissions,
    _site_tls,
    _upload_limits,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._directories import (
    SYSTEM_DIRECTORIES,
    TOO_WIDE_DIRECTORIES,
    UNFIT_DIRECTORIES,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._rules import (
    Problem,
    Values,
    contains,
    overlap,
    parse_size,
    path_problem,
    public,
    size_or_none,
    upstream,
    url_problem,
)

Settings = dict[str, t.Any]

# useradd's own rule, less what is no safe file name (shadow-utils, man 8 useradd).
NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}\Z")
RESERVED_NAMES = frozenset(
    {
        "root",
        "nobody",
        "default",
        "www-data",
        "nginx",
        "daemon",
        "bin",
        "sys",
        # Directories of that name are everybody's (FHS 3.0), and empty at first.
        "opt",
        "lock",
        # The collection's own file beside those of the apps
        "flask_mime_types",
    }
)

DOMAIN = re.compile(
    r"(?=.{1,253}\Z)(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})?(?:\.[A-Za-z0-9_-]{1,63})*\Z"
)
CALLABLE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\(.*\))?\Z")
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
BIND = re.compile(
    r"(?:unix:(?P<path>/[\w.+@:/-]+)|(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5}))\Z"
)
CONTAINER = re.compile(r"container:[A-Za-z0-9][A-Za-z0-9_.-]*:/.*\Z", re.DOTALL)
# sun_path of unix(7), less its final zero
SOCKET_PATH_BYTES = 107
NGINX_TIME = re.compile(r"\d+(?:ms|[smhdwMy])?\Z")
# What stands in a request line as it is (RFC 9112, 3.2.1).
HEALTH_URL = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*\Z")
RELEASE = re.compile(r"(?:previous|[0-9a-f]{12})\Z")

# A secret in them is lost, or stays behind.
UNFIT_FOR_SECRETS = tuple(
    path for path in UNFIT_DIRECTORIES if path not in ("/etc", "/usr", "/home", "/root")
)
# Multipart boundaries and part headers come on top of the files (RFC 7578), and the app's own
# page for a request that is too large must be reached before Nginx's.
BODY_OVERHEAD_BYTES = 64 * 1024
NGINX_DEFAULT_BODY_BYTES = 1024 * 1024
# https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout
NGINX_DEFAULT_READ_SECONDS = 60
# Until Gunicorn has ended a silent worker, which it looks for once a second
READ_MARGIN_SECONDS = 5

# Debian Policy 9.2.2: below it are the groups of the system's own, disk and shadow among them.
FIRST_FREE_GID = 100
# ip_unprivileged_port_start, ip(7)
FIRST_FREE_PORT = 1024


def normalised(values: Values) -> dict[str, t.Any]:
    """Return the values with each path and host name in its plain form: equal ones are equal strings.

    What is unset and follows from others is set: the port, and where the app listens. A path that
    climbs (``..``) is left as it is, to be refused: behind a link it leads elsewhere.
    """
    plain = {name: _plain(values[name]) for name in PATHS}
    plain.update((name, _plain(values[name])) for name in UNSET_PATHS if name in values)
    bind = values.get("flask_app_bind") or _default_bind(values)
    plain["flask_app_bind"] = bind
    if bind.startswith("unix:"):
        plain["flask_app_bind"] = "unix:" + _plain(bind[len("unix:") :])
    mounts = values.get("flask_static_mounts")
    if mounts:
        plain["flask_static_mounts"] = [
            {**mount, "folder": _plain(mount.get("folder"))} for mount in mounts
        ]
    plain["flask_media_areas"] = [
        {**area, "root": _plain(area.get("root"))} for area in values["flask_media_areas"]
    ]
    mount = values.get("flask_media_mount")
    if mount:
        plain["flask_media_mount"] = {**mount, "path": _plain(mount.get("path"))}
    if isinstance(values["flask_site_domains"], list):
        plain["flask_site_domains"] = [_lower(name) for name in values["flask_site_domains"]]
    if values.get("flask_media_domain"):
        plain["flask_media_domain"] = _lower(values["flask_media_domain"])
    if values.get("flask_site_port") is None:
        plain["flask_site_port"] = _site_tls.DEFAULT_PORTS[values["flask_site_scheme"]]
    return {**values, **plain}


def _default_bind(values: Values) -> str:
    name = values["flask_app_name"]
    # The engine starts containers at boot, before anybody has made a directory in /run.
    directory = f"/var/lib/{name}-sockets" if is_image(values) else f"/run/{name}"
    return f"unix:{directory}/{name}.sock"


def _lower(name: t.Any) -> t.Any:
    # As Nginx and browsers have them: RFC 9110, 4.2.3
    return name.lower() if isinstance(name, str) else name


def _plain(path: t.Any) -> t.Any:
    if not isinstance(path, str) or not path.startswith("/") or ".." in path.split("/"):
        return path
    # POSIX lets two leading slashes mean something else, and normpath() keeps them.
    return posixpath.normpath("/" + path.lstrip("/"))


def description_problems(values: Values) -> list[Problem]:
    """Return what in the user's description can't work on any host."""
    problems = [
        *_name_problems(values),
        *_path_problems(values),
        *_place_problems(values),
        *_url_problems(values),
        *_site_problems(values),
        *_bind_problems(values),
        *_value_problems(values),
        *_env_problems(values),
        *_release_problems(values),
        *_adoption_problems(values),
        *_container_problems(values),
        *_media_permissions.problems(values),
    ]
    if not any(problem.variable in ("flask_media_url", "flask_media_root") for problem in problems):
        problems += _media_areas.problems(values)
        problems += _upload_limits.problems(values, _proxies(values))
        problems += _media_mount_rules.problems(values)
    if not any(problem.variable.endswith("root") for problem in problems):
        problems += _root_problems(values)
    return problems


def _name_problems(values: Values) -> t.Iterator[Problem]:
    nginx_user = values["flask_site_nginx_user"]
    for variable in ("flask_app_name", "flask_app_user", "flask_app_group"):
        value = values[variable]
        if not NAME.match(value):
            yield Problem(
                variable,
                value,
                "it is no safe name for a user, a service and a file",
                "Write lower-case letters, digits, '-' and '_', beginning with a letter, 31 at most",
            )
        elif value in RESERVED_NAMES or value == nginx_user:
            yield Problem(
                variable,
                value,
                "that name belongs to the system or to Nginx",
                "Write a name of the app's own, such as 'gallery'",
            )
    if not CALLABLE.match(values["flask_app_callable"]):
        yield Problem(
            "flask_app_callable",
            values["flask_app_callable"],
            "Gunicorn can't read it",
            "Write 'module:app' or 'module:create_app()'",
        )
    if (
        values["flask_app_service"] == "managed"
        and not is_image(values)
        and not (values.get("flask_app_source") or values.get("flask_app_release"))
    ):
        yield Problem(
            "flask_app_source",
            values.get("flask_app_source"),
            "there is nothing to install",
            "Write a project directory, a wheel, an sdist, a git URL or a requirement, "
            "or set flask_app_service to 'external'",
        )


PATHS = (
    "flask_app_root",
    "flask_app_virtualenv",
    "flask_app_directory",
    "flask_app_python",
    "flask_app_env_file",
    "flask_static_root",
    "flask_media_root",
    "flask_site_conf_file",
    "flask_site_include_file",
)
# Unset unless the site has what they are for, whose rules judge them.
UNSET_PATHS = (
    "flask_site_acme_root",
    "flask_site_ssl_certificate",
    "flask_site_ssl_certificate_key",
)


def _path_problems(values: Values) -> t.Iterator[Problem]:
    media = _media_areas.roots(values)
    for variable, value in {**{name: values[name] for name in PATHS}, **media}.items():
        problem = path_problem(variable, value)
        if problem:
            yield problem
    if is_image(values):
        for variable, value in media.items():
            if ":" in value:
                # https://docs.docker.com/reference/compose-file/services/#short-syntax-5
                yield Problem(
                    variable,
                    value,
                    "flask_app_runtime is 'compose', and ':' separates the two paths of a volume",
                    "Write a path without ':'",
                )


def _place_problems(values: Values) -> t.Iterator[Problem]:
    """Yield where directories that get another owner and mode could be somebody else's."""
    name = values["flask_app_name"]
    if values["flask_app_service"] == "managed":
        yield from _managed_place_problems(values)
    directory = posixpath.dirname(values["flask_app_env_file"])
    remedy = f"Write '/etc/{name}/{name}.env', or '/usr/local/etc/{name}/{name}.env'"
    unfit = next((path for path in UNFIT_FOR_SECRETS if contains(path, directory)), None)
    if posixpath.basename(directory) != name:
        yield Problem(
            "flask_app_env_file",
            values["flask_app_env_file"],
            f"its directory, {directory}, is given to the app alone (mode 0750), so it has to be the "
            f"app's own and be named {name}",
            remedy,
        )
    elif unfit:
        yield Problem(
            "flask_app_env_file",
            values["flask_app_env_file"],
            f"{unfit} is emptied or the system's own, and the app's secret key lies beside that file",
            remedy,
        )
    else:
        own = {name: values[name] for name in ("flask_app_root", "flask_static_root")}
        for variable, path in {**own, **_media_areas.roots(values)}.items():
            if overlap(directory, path):
                yield Problem(
                    "flask_app_env_file",
                    values["flask_app_env_file"],
                    f"{variable} is {path!r}, and what is beside the app's secrets has "
                    "another owner and mode",
                    remedy,
                )
                break


def _managed_place_problems(values: Values) -> t.Iterator[Problem]:
    name, root = values["flask_app_name"], values["flask_app_root"]
    unfit = next((path for path in UNFIT_DIRECTORIES if contains(path, root)), None)
    if unfit:
        reason = (
            f"{unfit} is emptied, private or the system's own; the app could not run from there"
        )
        yield Problem("flask_app_root", root, reason, f"Write '/opt/{name}' or '/srv/{name}/app'")
    elif root in TOO_WIDE_DIRECTORIES:
        yield Problem(
            "flask_app_root",
            root,
            "that directory is shared with others, and would be closed to them",
            f"Write a directory of its own, such as '/opt/{name}'",
        )
    virtualenv, directory = values["flask_app_virtualenv"], values["flask_app_directory"]
    external = "set flask_app_service to 'external' if the app is deployed by other means"
    if virtualenv != posixpath.join(root, "current"):
        yield Problem(
            "flask_app_virtualenv",
            virtualenv,
            f"the virtualenv of each release is made in {root}, and the app runs from "
            f"{posixpath.join(root, 'current')}",
            f"Leave it unset and set flask_app_root, or {external}",
        )
    elif not contains(virtualenv, directory):
        yield Problem(
            "flask_app_directory",
            directory,
            f"the app's code is in its release, {virtualenv}, and a release is tried out there "
            "before it is switched to",
            f"Leave it unset, or {external}",
        )


def _own_directory(values: Values, kind: str, holders: t.Iterable[str]) -> str:
    """Return a directory for static files or media to suggest, in none of those given."""
    name = values["flask_app_name"]
    paths = [f"{parent}/{name}/{kind}" for parent in ("/var/www", "/srv", "/var/lib")]
    return next((p for p in paths if not any(overlap(p, h) for h in holders)), paths[-1])


def _deployed_to(values: Values) -> dict[str, str]:
    """Return the directories, by variable, that a deploy replaces together with what is in them."""
    owners = ["flask_app_root", "flask_app_virtualenv"]
    if values["flask_app_service"] == "external":
        owners.append("flask_app_directory")
    return {owner: values[owner] for owner in owners if values[owner] not in TOO_WIDE_DIRECTORIES}


def _root_problems(values: Values) -> t.Iterator[Problem]:
    static, media = values["flask_static_root"], _media_areas.roots(values)
    deployed = _deployed_to(values)
    for variable, value in {"flask_static_root": static, **media}.items():
        kind = variable.split("_")[1]
        own = _own_directory(values, kind, deployed.values())
        advice = f"Write a directory of its own, such as '{own}'"
        unfit = next((path for path in UNFIT_DIRECTORIES if contains(path, value)), None)
        if unfit:
            yield Problem(
                variable,
                value,
                f"{unfit} is emptied, private or the system's own; Nginx or the files would be lost there",
                advice,
            )
        elif posixpath.normpath(value) in TOO_WIDE_DIRECTORIES:
            yield Problem(variable, value, "that directory is shared with others", advice)
        for owner, path in deployed.items():
            if overlap(path, value):
                yield Problem(
                    variable,
                    value,
                    f"{owner} is {path!r}, which a deploy replaces together with what is in it",
                    advice,
                )
                break
    for variable, value in media.items():
        if overlap(static, value):
            yield Problem(
                variable,
                value,
                f"flask_static_root is {static!r}: the two are the same or one lies in the other, "
                "so uploads would be served, kept and replaced as if they were part of a release",
                "Write two directories side by side, such as "
                f"'/var/www/{values['flask_app_name']}/static' and '/var/www/{values['flask_app_name']}/media'",
            )


def _url_problems(values: Values) -> t.Iterator[Problem]:
    if values["flask_site_url_prefix"] != "/":
        problem = url_problem("flask_site_url_prefix", values["flask_site_url_prefix"])
        if problem:
            yield problem
    media_problem = url_problem("flask_media_url", values["flask_media_url"])
    if media_problem:
        yield media_problem
    mounts = values.get("flask_static_mounts") or []
    for index, mount in enumerate(mounts):
        problem = url_problem(f"flask_static_mounts[{index}].url", mount.get("url"))
        if problem:
            yield problem
        elif not media_problem:
            yield from _mount_problems(f"flask_static_mounts[{index}].url", mount["url"], values)
        if not str(mount.get("folder", "")).startswith("/"):
            yield Problem(
                f"flask_static_mounts[{index}].folder",
                mount.get("folder"),
                "a relative path means another place to each program",
                "Write an absolute path",
            )


def _mount_problems(variable: str, url: str, values: Values) -> t.Iterator[Problem]:
    for area in _media_areas.areas_of(values):
        if overlap(url, area["url"]):
            told = "flask_media_url is" if area["is_main"] else "flask_media_areas has"
            yield Problem(
                variable,
                url,
                f"{told} {area['url']!r}: the two prefixes are the same or one lies in the other",
                "Give the uploads a prefix of their own, such as '/media/' or '/uploads/'",
            )


def _site_problems(values: Values) -> t.Iterator[Problem]:
    domains = values["flask_site_domains"]
    if not isinstance(domains, list):
        yield Problem(
            "flask_site_domains", domains, "it is no list", f"Write [{json.dumps(str(domains))}]"
        )
    else:
        if not domains and values["flask_site_mode"] == "server":
            yield Problem(
                "flask_site_domains",
                domains,
                "Nginx would not know which requests are the site's",
                'Write the host names, such as ["gallery.example.com"]',
            )
        for domain in domains:
            if not isinstance(domain, str) or not DOMAIN.match(domain):
                yield Problem(
                    "flask_site_domains",
                    domain,
                    "it is no host name",
                    "Write names such as 'gallery.example.com', without scheme, port or path",
                )
        for domain in sorted({d for d in domains if isinstance(d, str) and domains.count(d) > 1}):
            yield Problem("flask_site_domains", domain, "it stands there twice", "Write it once")
    if not 1 <= values["flask_site_port"] <= 65535:
        yield Problem(
            "flask_site_port", values["flask_site_port"], "no such port", "Write one of 1 to 65535"
        )
    yield from _site_tls.problems(values)
    yield from _server_problems(values)
    if not values["flask_site_conf_file"].endswith(".conf"):
        yield Problem(
            "flask_site_conf_file",
            values["flask_site_conf_file"],
            "Nginx includes only *.conf there",
            "Write a name that ends in '.conf'",
        )


def _bind_problems(values: Values) -> t.Iterator[Problem]:
    bind = values["flask_app_bind"]
    managed = values["flask_app_service"] == "managed"
    found = BIND.match(bind)
    if not found:
        yield Problem(
            "flask_app_bind",
            bind,
            "neither Gunicorn nor Nginx can read it",
            "Write 'unix:/path/to/socket' or 'host:port', without a scheme",
        )
        return
    if found["path"]:
        if len(found["path"]) > SOCKET_PATH_BYTES:
            yield Problem(
                "flask_app_bind",
                bind,
                f"a socket's path has {SOCKET_PATH_BYTES} characters at most",
                f"Write 'unix:/run/{values['flask_app_name']}/{values['flask_app_name']}.sock'",
            )
        return
    address = _address(found["host"])
    port = int(found["port"])
    if not 1 <= port <= 65535:
        yield Problem("flask_app_bind", bind, "no such port", "Write one of 1 to 65535")
    if address is None and (managed or found["host"].startswith("[")):
        # systemd.socket(5), ListenStream=
        yield Problem(
            "flask_app_bind",
            bind,
            f"systemd listens on addresses, and {found['host']!r} is none",
            f"Write '127.0.0.1:{found['port']}'",
        )
    is_here = managed or found["host"] == "localhost"
    if address is not None:
        is_here = is_here or address.is_loopback or address.is_unspecified
    if port == values["flask_site_port"] and is_here:
        yield Problem(
            "flask_app_bind",
            bind,
            f"Nginx listens on that port (flask_site_port is {port})",
            f"Write another port, such as '127.0.0.1:{8000 if port != 8000 else 8001}', or leave it "
            "unset for a unix socket",
        )


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that the host part of ``flask_app_bind`` is, or ``None`` for a name."""
    try:
        if host.startswith("["):
            return ipaddress.IPv6Address(host[1:-1])
        return ipaddress.IPv4Address(host)
    except ValueError:
        return None


def _server_problems(values: Values) -> t.Iterator[Problem]:
    server = values.get("flask_site_server")
    if server is None:
        return
    if server == values["flask_app_name"]:
        yield Problem(
            "flask_site_server",
            server,
            "that is the app itself",
            "Leave it unset for a server block of its own, or write the name of another app",
        )
    elif not NAME.match(server):
        yield Problem(
            "flask_site_server",
            server,
            "it is no name of an app",
            "Write the flask_app_name of the app whose server block this one is put into",
        )
    if values["flask_site_mode"] != "include":
        yield Problem(
            "flask_site_mode",
            values["flask_site_mode"],
            f"flask_site_server is {server!r}, so the app has no server block of its own",
            "Leave flask_site_mode unset",
        )
    if values["flask_site_url_prefix"] == "/":
        yield Problem(
            "flask_site_url_prefix",
            "/",
            f"in the server block of {server!r} that prefix is taken",
            f"Write a prefix of the app's own, such as '/{values['flask_app_name']}/'",
        )


def with_server(values: Values, apps: t.Sequence[Values]) -> dict[str, t.Any]:
    """Return an app's values completed by those of the app whose server block it is put into."""
    server = values.get("flask_site_server")
    for app in apps:
        if server is not None and app["flask_app_name"] == server:
            shared = {
                "flask_site_domains": values["flask_site_domains"] or app["flask_site_domains"],
                "flask_site_port": app["flask_site_port"],
                "flask_site_scheme": app["flask_site_scheme"],
                "flask_site_hsts_max_age_seconds": app["flask_site_hsts_max_age_seconds"],
            }
            return {**values, **shared}
    return dict(values)


def apps_problems(apps: t.Sequence[Values]) -> list[Problem]:
    """Return where the apps of one host are in each other's way.

    :param apps: the values of each app of ``flask_apps``.
    """
    problems: list[Problem] = []
    for index, one in enumerate(apps):
        for other in apps[:index]:
            problems += _shared(one, other)
    names = [app["flask_app_name"] for app in apps]
    for app in apps:
        server = app.get("flask_site_server")
        if server is not None and server not in names:
            problems.append(
                Problem(
                    "flask_site_server",
                    server,
                    "it is the name of no app of flask_apps",
                    f"Write one of {', '.join(sorted({*names} - {app['flask_app_name']}))}",
                )
            )
    return problems


OWN = (
    "flask_app_name",
    "flask_app_user",
    "flask_app_root",
    "flask_app_bind",
    "flask_app_env_file",
    "flask_site_conf_file",
    "flask_site_include_file",
)


def _shared(one: Values, other: Values) -> t.Iterator[Problem]:
    names = f"{other['flask_app_name']} and {one['flask_app_name']}"
    for variable in OWN:
        if one[variable] == other[variable]:
            yield Problem(
                variable,
                one[variable],
                f"{names} would share it",
                "Give each app of flask_apps one of its own",
            )
            if variable == "flask_app_name":
                # All the rest follows from it.
                return
    if posixpath.dirname(one["flask_app_env_file"]) == posixpath.dirname(
        other["flask_app_env_file"]
    ):
        yield Problem(
            "flask_app_env_file",
            one["flask_app_env_file"],
            f"{names} would share its directory, and with it the secret key and Gunicorn's configuration",
            "Give each app of flask_apps a directory of its own, such as /etc/NAME",
        )
    mine, theirs = (
        {"flask_static_root": values["flask_static_root"], **_media_areas.roots(values)}
        for values in (one, other)
    )
    for variable, path in mine.items():
        if any(overlap(path, taken) for taken in theirs.values()):
            yield Problem(
                variable,
                path,
                f"the files of {names} would lie in one another",
                "Give each app of flask_apps directories of its own",
            )
    yield from _media_mount_rules.shared_problems(one, other)
    yield from _shared_urls(one, other, names)


def _shared_urls(one: Values, other: Values, names: str) -> t.Iterator[Problem]:
    both = _site_tls.listened(one) & _site_tls.listened(other)
    for domain in sorted({domain for _unused, domain in both}):
        # https://nginx.org/en/docs/http/server_names.html: the second is ignored
        is_media = domain in (one.get("flask_media_domain"), other.get("flask_media_domain"))
        yield Problem(
            "flask_media_domain" if is_media else "flask_site_domains",
            domain,
            f"{names} both have a server block of that name, and Nginx ignores the second",
            "Give each app a flask_media_domain of its own"
            if is_media
            else f"Set flask_site_server={other['flask_app_name']} and a flask_site_url_prefix for "
            f"{one['flask_app_name']}",
        )
    servers = [values.get("flask_site_server") for values in (one, other)]
    prefixes = [values["flask_site_url_prefix"] for values in (one, other)]
    if servers[0] is not None and servers[0] == servers[1] and prefixes[0] == prefixes[1]:
        yield Problem(
            "flask_site_url_prefix",
            prefixes[0],
            f"{names} would share it",
            "Give each app a prefix of its own",
        )
    for guest, host in ((one, other), (other, one)):
        if guest.get("flask_site_server") == host["flask_app_name"]:
            areas = [area["url"] for area in host["flask_media_areas"]]
            for url in (*areas, *host["flask_media_former_urls"]):
                media = public(host["flask_site_url_prefix"], url)
                if overlap(guest["flask_site_url_prefix"], media):
                    yield Problem(
                        "flask_site_url_prefix",
                        guest["flask_site_url_prefix"],
                        f"the uploads of {host['flask_app_name']} are at {media}",
                        "Write another prefix",
                    )


def _value_problems(values: Values) -> t.Iterator[Problem]:
    for variable in ("flask_app_max_content_length", "flask_site_client_max_body_size"):
        value = values.get(variable)
        if value is not None:
            try:
                parse_size(value)
            except ValueError as error:
                yield Problem(variable, value, str(error), "Write a size such as '16M'")
    app_limit, body_limit = (
        size_or_none(values.get(variable))
        for variable in ("flask_app_max_content_length", "flask_site_client_max_body_size")
    )
    if app_limit and body_limit and body_limit < app_limit:
        yield Problem(
            "flask_site_client_max_body_size",
            values["flask_site_client_max_body_size"],
            "Nginx would refuse what the app takes "
            f"(flask_app_max_content_length is {values['flask_app_max_content_length']!r})",
            "Leave it unset, to have it derived, or write a larger size",
        )
    if not NGINX_TIME.match(values["flask_static_expires"]):
        yield Problem(
            "flask_static_expires",
            values["flask_static_expires"],
            "it is no time of Nginx's",
            "Write a number and a unit, such as '30d', '12h' or '1y'",
        )
    regex = values.get("flask_static_fingerprint_regex")
    try:
        re.compile(regex or "")
    except re.error as error:
        yield Problem(
            "flask_static_fingerprint_regex",
            regex,
            str(error),
            "Write a regular expression such as '-[0-9a-f]{32}[.]'",
        )
    for variable in ("flask_app_gunicorn_workers", "flask_app_gunicorn_timeout_seconds"):
        if values[variable] < 1:
            yield Problem(
                variable, values[variable], "at least 1 is needed", "Write a positive number"
            )
    if values["flask_verify_sample_files"] < 0:
        yield Problem(
            "flask_verify_sample_files",
            values["flask_verify_sample_files"],
            "it is no number of files",
            "Write 0 or more",
        )
    if not 0 <= values["flask_verify_min_free_percent"] < 100:
        yield Problem(
            "flask_verify_min_free_percent",
            values["flask_verify_min_free_percent"],
            "it is no percentage",
            "Write one such as 5",
        )
    yield from _media_areas.inline_type_problems(
        "flask_media_inline_types", values["flask_media_inline_types"]
    )


def _release_problems(values: Values) -> t.Iterator[Problem]:
    keep, release = values["flask_app_keep_releases"], values.get("flask_app_release")
    if keep < 1:
        yield Problem(
            "flask_app_keep_releases",
            keep,
            "pages loaded before a deploy still ask for the files of the release before, "
            "and a rollback goes to it",
            "Write 1 or more",
        )
    if not HEALTH_URL.match(values["flask_app_health_url"]):
        yield Problem(
            "flask_app_health_url",
            values["flask_app_health_url"],
            "it is no path of the app's",
            "Write one such as '/' or '/health', without scheme and host",
        )
    if release is not None and not RELEASE.match(release):
        yield Problem(
            "flask_app_release",
            release,
            "it is no name of a release",
            "Write 'previous', or the 12 hexadecimal digits that a deploy has named",
        )
    elif release is not None and values["flask_app_service"] != "managed":
        yield Problem(
            "flask_app_release",
            release,
            f"flask_app_service is {values['flask_app_service']!r}: its releases are made by other means",
            "Leave it unset, and go back by the same means",
        )


def _more_than_uploads(source: str, values: Values) -> str | None:
    """Return why a directory can't be one of uploads only, which everybody may read."""
    if posixpath.normpath(source) in TOO_WIDE_DIRECTORIES or any(
        contains(path, source) for path in SYSTEM_DIRECTORIES
    ):
        return "more than uploads is there, and everybody could then read it"
    for variable in ("flask_app_directory", "flask_app_virtualenv", "flask_app_env_file"):
        if contains(source, values[variable]):
            return f"{variable} {values[variable]!r} is in it, and everybody could then read that"
    return None


def _adoption_problems(values: Values) -> t.Iterator[Problem]:
    roots = _media_areas.roots(values)
    for source in values["flask_media_adopt_from"]:
        if source.startswith("container:"):
            if not CONTAINER.match(source):
                yield Problem(
                    "flask_media_adopt_from",
                    source,
                    "it names no directory of a container",
                    "Write container:NAME:/path, such as 'container:gallery:/app/uploads'",
                )
            continue
        reason = None
        if not source.startswith("/") or posixpath.normpath(source) != (source.rstrip("/") or "/"):
            reason = "it is no absolute path in its plain form"
        else:
            own = next((name for name, root in roots.items() if overlap(source, root)), None)
            reason = (
                f"{own} is {roots[own]!r}: the two are the same or one lies in the other"
                if own
                else _more_than_uploads(source, values)
            )
        if reason:
            yield Problem(
                "flask_media_adopt_from",
                source,
                reason,
                "Write the directory of the uploads, such as '/srv/gallery/releases/7/uploads'",
            )
    yield from _former_url_problems(values)
    restart = values["flask_media_adopt_restart"]
    if restart and values["flask_app_service"] == "managed":
        yield Problem(
            "flask_media_adopt_restart",
            restart,
            "flask_app_service is 'managed', so the app is restarted by flask_app",
            "Leave it unset",
        )


def _former_url_problems(values: Values) -> t.Iterator[Problem]:
    taken = {"flask_media_url": values["flask_media_url"]}
    for url in values["flask_media_former_urls"]:
        problem = url_problem("flask_media_former_urls", url)
        if problem:
            yield problem
            continue
        for variable, other in taken.items():
            if overlap(url, other):
                yield Problem(
                    "flask_media_former_urls",
                    url,
                    f"{variable} has {other!r}: the two prefixes are the same or one lies in the other",
                    "Write each prefix once, and only those that the uploads have no more",
                )
                break
        taken["flask_media_former_urls"] = url
        for mount in values.get("flask_static_mounts") or []:
            yield from _former_mount_problems(url, str(mount.get("url")))


def _former_mount_problems(url: str, mount_url: str) -> t.Iterator[Problem]:
    if contains(url, mount_url):
        yield Problem(
            "flask_media_former_urls",
            url,
            f"the app's static files at {mount_url!r} would be hidden",
            f"Write the prefix that only uploads have, such as {mount_url + 'uploads/'!r}",
        )


def _container_problems(values: Values) -> t.Iterator[Problem]:
    image, container = values.get("flask_app_image"), values.get("flask_app_container")
    if container is not None and values["flask_app_service"] != "external":
        yield Problem(
            "flask_app_container",
            container,
            "it names a container of yours, and flask_app_service is 'managed'",
            "Leave it unset, or set flask_app_service to 'external'",
        )
    elif container is not None and not _compose.NETWORK.match(container):
        yield Problem(
            "flask_app_container", container, "it is no name of a container", "Write its name"
        )
    if values["flask_app_runtime"] != "compose":
        if image is not None:
            yield Problem(
                "flask_app_image",
                image,
                f"flask_app_runtime is {values['flask_app_runtime']!r}, which runs no image",
                "Set flask_app_runtime to 'compose'",
            )
        return
    if values["flask_app_service"] != "managed":
        yield Problem(
            "flask_app_runtime",
            "compose",
            f"flask_app_service is {values['flask_app_service']!r}: the container is run by other means",
            "Leave it unset, and set flask_app_container to the name of your container",
        )
        return
    yield from _image_problems(values)
    yield from _socket_problems(values)
    for text in values["flask_app_container_volumes"]:
        yield from _volume_problems(text, values)
    for network in values["flask_app_container_networks"]:
        if not _compose.NETWORK.match(network):
            yield Problem(
                "flask_app_container_networks",
                network,
                "it is no name of a network",
                "Write names that docker network ls lists",
            )


def _image_problems(values: Values) -> t.Iterator[Problem]:
    image, source = values.get("flask_app_image"), values.get("flask_app_source")
    if not (image or source or values.get("flask_app_release")):
        yield Problem(
            "flask_app_image",
            image,
            "there is nothing to run",
            "Write the reference of an image, or set flask_app_source to a project that has a Dockerfile",
        )
    elif image and source:
        yield Problem(
            "flask_app_image",
            image,
            f"flask_app_source is {source!r}: an image is either there or built",
            "Leave one of them unset",
        )
    elif image and not _compose.IMAGE.match(image):
        yield Problem(
            "flask_app_image",
            image,
            "it is no reference of an image",
            "Write one such as 'registry.example.com/gallery:1.4'",
        )
    if values["flask_static_fingerprint"]:
        yield Problem(
            "flask_static_fingerprint",
            True,
            "the names would be made after the container has started, and it is read-only",
            "Make them when the image is built (Flask-Static-Digest, Vite), or leave it unset",
        )


def _socket_problems(values: Values) -> t.Iterator[Problem]:
    bind, name = values["flask_app_bind"], values["flask_app_name"]
    path = bind.partition(":")[2] if bind.startswith("unix:") else ""
    directory = posixpath.dirname(path)
    remedy = f"Leave it unset, or write a socket such as 'unix:/var/lib/{name}-sockets/{name}.sock'"
    if not path:
        yield Problem(
            "flask_app_bind",
            bind,
            "two containers can't publish one port, so the next could not start beside the one in use; "
            "and Gunicorn heeds X-Forwarded-Proto from a socket but not from the engine's bridge",
            remedy,
        )
    elif any(contains(unfit, path) for unfit in ("/run", "/var/run", "/tmp", "/var/tmp")):
        # The engine starts containers again at boot, before anybody has made this directory.
        yield Problem("flask_app_bind", bind, "that directory is emptied at boot", remedy)
    elif posixpath.basename(path) != f"{name}.sock":
        yield Problem(
            "flask_app_bind", bind, f"the container's socket is called {name}.sock", remedy
        )
    elif not posixpath.basename(directory).startswith(name):
        yield Problem(
            "flask_app_bind",
            bind,
            f"its directory, {directory}, is given to root and Nginx alone (mode 0750), so it has to be "
            f"the app's own and be named after it",
            remedy,
        )
    elif len(_compose.socket_path(directory, name)) > SOCKET_PATH_BYTES:
        yield Problem(
            "flask_app_bind",
            bind,
            f"each container has a directory there, and a socket's path has {SOCKET_PATH_BYTES} "
            "characters at most",
            "Write a shorter path, or a shorter flask_app_name",
        )


def _volume_problems(text: str, values: Values) -> t.Iterator[Problem]:
    variable = "flask_app_container_volumes"
    try:
        volume = _compose.Volume.parse(text)
    except ValueError as error:
        yield Problem(
            variable, text, str(error), "Write '/path/on/the/host:/path/in/the/container:ro'"
        )
        return
    uploads = "the uploads are there: the app would write to one place while Nginx serves another"
    taken = {
        **dict.fromkeys(_media_areas.roots(values).values(), uploads),
        _compose.socket_directory(values["flask_app_name"]): "the app's socket is there",
    }
    for path, reason in taken.items():
        if overlap(volume.target, path):
            yield Problem(variable, text, reason, "Write another target")
            return
    if contains(volume.source, "/run/docker.sock") or contains(
        volume.source, "/var/run/docker.sock"
    ):
        yield Problem(
            variable,
            text,
            "who writes to the engine's socket is root on this host",
            "Leave it out",
        )


def volume_problems(values: Values, app: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    """Yield the volumes that hide static files of the image.

    :param app: the answer of the module ``flask_image_info``.
    """
    if not is_image(values):
        return
    for text in values["flask_app_container_volumes"]:
        volume = _compose.Volume.parse(text)
        for mount in app["mounts"]:
            folder = mount.get("container_folder")
            if folder and overlap(volume.target, folder):
                kind = "named volume" if volume.is_named else "directory"
                yield Problem(
                    "flask_app_container_volumes",
                    text,
                    f"the app's static folder {folder} (endpoint {mount['endpoint']!r}) would be hidden by a "
                    f"{kind}, and stay as it is whatever a new image brings: the engine fills a named volume "
                    "once, when it is empty, and a directory never",
                    "Leave it out: static files are in the image, and are published from there",
                )
                break


def _owned_env(values: Values) -> dict[str, tuple[str, t.Any]]:
    """The env variables that follow from others: name to (variable to set instead, value)."""
    prefix = values["flask_app_env_prefix"]
    return {
        f"{prefix}_UPLOAD_FOLDER": ("flask_media_root", values["flask_media_root"]),
        f"{prefix}_MEDIA_ROOT": ("flask_media_root", values["flask_media_root"]),
        f"{prefix}_MEDIA_URL": ("flask_media_url", values["flask_media_url"]),
        f"{prefix}_MEDIA_AREAS": ("flask_media_areas", _media_areas.env(values)),
        f"{prefix}_MEDIA_ORIGIN": ("flask_media_domain", _site_tls.media_origin(values)),
        f"{prefix}_STATIC_MANIFEST": (
            "flask_static_fingerprint",
            _static_manifest(values) if values["flask_static_fingerprint"] else None,
        ),
        f"{prefix}_MAX_CONTENT_LENGTH": (
            "flask_app_max_content_length",
            size_or_none(values.get("flask_app_max_content_length")),
        ),
    }


def _env_problems(values: Values) -> t.Iterator[Problem]:
    if not ENV_NAME.match(values["flask_app_env_prefix"]):
        yield Problem(
            "flask_app_env_prefix",
            values["flask_app_env_prefix"],
            "it can't begin a variable's name",
            "Write the prefix that the app hands to from_prefixed_env(), such as 'FLASK'",
        )
    owned = _owned_env(values)
    for name, value in values["flask_app_env"].items():
        if not isinstance(name, str) or not ENV_NAME.match(name):
            yield Problem(
                "flask_app_env",
                name,
                "it is no name of an environment variable",
                "Write letters, digits and '_', not beginning with a digit",
            )
        elif name in owned:
            yield Problem(
                f"flask_app_env.{name}",
                value,
                "it follows from another variable, and the two could differ",
                f"Set {owned[name][0]} instead",
            )
        elif isinstance(value, str) and CONTROL.search(value):
            # The value may be a secret: it is not shown.
            yield Problem(
                f"flask_app_env.{name}",
                "(hidden)",
                "it has a line break or another control character",
                "Write it on one line, for instance encoded in base64",
            )


def app_question(values: Values, virtualenv: str | None) -> tuple[str, dict[str, t.Any]]:
    """Return the module that asks the app what it is, and its arguments.

    :param virtualenv: of a release that is not in use yet. That of an image is its directory.
    """
    settings = resolve(values)["app"]
    common = {
        "callable": settings["callable"],
        "user": settings["user"],
        "environment_files": [settings["secret_key_file"], settings["env_file"]],
    }
    if is_image(values):
        return "flask_image_info", {
            **common,
            "root": settings["root"],
            "release": posixpath.basename(virtualenv) if virtualenv else None,
            "name": settings["name"],
            "python": settings["container_python"],
            "media_root": values["flask_media_root"],
            "networks": settings["container_networks"],
        }
    virtualenv = virtualenv or settings["virtualenv"]
    directory = settings["directory"]
    if directory == settings["virtualenv"]:
        directory = virtualenv
    return "flask_app_info", {
        **common,
        "virtualenv": virtualenv,
        "directory": directory,
        "umask": _media_permissions.resolve(values)["umask"],
    }


def is_image(values: Values) -> bool:
    """Whether the collection runs the app from an image."""
    return bool(
        values["flask_app_runtime"] == "compose" and values["flask_app_service"] == "managed"
    )


def container_question(values: Values) -> dict[str, t.Any] | None:
    """Return which container the app runs in, as ``flask_host_info`` takes it."""
    if values.get("flask_app_container"):
        return {"container": values["flask_app_container"]}
    if is_image(values):
        return {
            "app": values["flask_app_name"],
            "socket": values["flask_app_bind"].partition(":")[2],
        }
    return None


def _static_manifest(values: Values) -> str:
    """Return where the app finds the fingerprinted names of its release."""
    return posixpath.join(values["flask_app_virtualenv"], "static_manifest.json")


def static_encodings(values: Values, host: t.Mapping[str, t.Any]) -> list[str]:
    """Return the encodings of the siblings that Nginx is to send.

    :param host: the answer of the module ``flask_host_info``.
    """
    if not values["flask_static_precompress"]:
        return []
    # Before Nginx is installed: every distribution's has the one module and needs a package for the other.
    modules = host.get("nginx") or {"gzip_static": True, "brotli_static": False}
    named = {"gz": modules["gzip_static"], "br": modules["brotli_static"]}
    return [encoding for encoding, there in named.items() if there]


def derived_env(values: Values) -> dict[str, t.Any]:
    """Return the app's environment as far as it follows from other variables.

    ``flask_app_env`` is kept out of it, since settings are shown and that may hold secrets.
    """
    env = {
        name: value for name, (_unused, value) in _owned_env(values).items() if value is not None
    }
    if values["flask_site_url_prefix"] != "/":
        # Else the sessions of all apps of one host name overwrite each other:
        # https://flask.palletsprojects.com/en/stable/config/#SESSION_COOKIE_PATH
        env[f"{values['flask_app_env_prefix']}_SESSION_COOKIE_PATH"] = values[
            "flask_site_url_prefix"
        ]
    if values["flask_site_scheme"] == "https":
        # Else the first request by plain HTTP, before it is led to HTTPS, tells it to the network:
        # https://flask.palletsprojects.com/en/stable/web-security/#security-cookie
        env[f"{values['flask_app_env_prefix']}_SESSION_COOKIE_SECURE"] = True
    return env


def resolve(values: Values) -> Settings:
    """Return the settings that follow from a description without problems.

    The result is what every role's tasks and templates read.
    """
    name = values["flask_app_name"]
    env_file = values["flask_app_env_file"]
    media_root = values["flask_media_root"].rstrip("/")
    static_root = values["flask_static_root"].rstrip("/")
    areas = _media_areas.resolve(values)
    roots = [area["root"] for area in areas]
    parents = delivery_parents(name, [static_root, *roots], not_holding=_deployed_by_others(values))
    return {
        "app": {
            **_section(values, "flask_app_"),
            # That of the main area is mounted for UPLOAD_FOLDER.
            "container_volumes": [
                *values["flask_app_container_volumes"],
                *(f"{root}:{root}" for root in roots if root != media_root),
            ],
            "env": derived_env(values),
            "secret_key_file": posixpath.join(posixpath.dirname(env_file), "secret_key.env"),
            "run_directory": f"/run/{name}",
            "gunicorn_file": posixpath.join(posixpath.dirname(env_file), "gunicorn.conf.py"),
        },
        "static": {
            **_section(values, "flask_static_"),
            "root": static_root,
            "manifest": _static_manifest(values),
        },
        "media": {
            **_section(values, "flask_media_"),
            "root": media_root,
            "areas": areas,
            "roots": roots,
            "signing_key_variable": _media_areas.signing_key_variable(values),
            "signing_key_file": _media_areas.signing_key_file(values)
            if _media_areas.is_signed(values)
            else None,
            "mount": _media_mount_rules.resolve(values),
            "location": public(values["flask_site_url_prefix"], values["flask_media_url"]),
            **_media_permissions.resolve(values),
            "domain": values.get("flask_media_domain"),
            "origin": _site_tls.media_origin(values),
            "former_locations": [
                public(values["flask_site_url_prefix"], url)
                for url in values["flask_media_former_urls"]
            ],
            "adopt_record": f"/var/lib/flask_media_adopt/{name}.sqlite",
        },
        "site": {
            **_section(values, "flask_site_"),
            **_site_tls.site_settings(values),
            "url": _site_url(values),
            "proxy": _proxies(values),
            "proxy_pass": _proxy_pass(values["flask_app_bind"], values["flask_site_url_prefix"]),
            "uploads": _upload_limits.locations(values, _proxy_pass(values["flask_app_bind"], "/")),
            "acme_root": values.get("flask_site_acme_root"),
            "upload_zones": _upload_limits.zones(values),
            **_body_limits(values, size_or_none(values.get("flask_app_max_content_length"))),
            # After Gunicorn's, so that its end of a silent worker is what shows.
            "proxy_read_timeout_seconds": max(
                NGINX_DEFAULT_READ_SECONDS,
                values["flask_app_gunicorn_timeout_seconds"] + READ_MARGIN_SECONDS,
            ),
            "include_directory": f"/etc/nginx/flask.d/{name}",
            "nginx_drop_in": _confinement.drop_in(name),
            "read_only_paths": _confinement.read_only_paths(parents, [static_root, *roots]),
        },
        "verify": {
            **_section(values, "flask_verify_"),
            "app_paths": [{"path": root, "want": ["read", "write", "traverse"]} for root in roots],
            "nginx_paths": [
                {"path": root, "want": ["traverse"], "unwanted": ["write"]}
                for root in (static_root, *roots)
            ],
            "static_paths": [{"path": static_root, "unwanted": ["write"]}],
        },
        "parents": parents,
    }


# Settings are shown, and handed from module to module.
SECRETS = ("flask_app_env", "flask_media_signing_key")


def _section(values: Values, prefix: str) -> dict[str, t.Any]:
    return {
        name[len(prefix) :]: value
        for name, value in values.items()
        if name.startswith(prefix) and name not in SECRETS
    }


def _proxies(values: Values) -> bool:
    explicit = values.get("flask_site_proxy")
    if explicit is not None:
        return bool(explicit)
    return values["flask_site_mode"] == "server" or values.get("flask_site_server") is not None


def _proxy_pass(bind: str, prefix: str) -> str:
    """Return where Nginx passes requests.

    A URI takes the prefix's place. Nginx then sends the path decoded and escaped anew, which is the
    same to an app, since WSGI's PATH_INFO is decoded too.
    """
    return upstream(bind) + ("" if prefix == "/" else "/")


def _site_url(values: Values) -> str:
    domains = values["flask_site_domains"] or ["localhost"]
    prefix = values["flask_site_url_prefix"].rstrip("/")
    return f"{values['flask_site_scheme']}://{domains[0]}{_site_tls.shown_port(values)}{prefix}"


def _deployed_by_others(values: Values) -> list[str]:
    if values["flask_app_service"] != "external":
        return []
    return [values["flask_app_directory"], values["flask_app_virtualenv"]]


def delivery_parents(
    name: str, roots: t.Sequence[str], not_holding: t.Sequence[str] = ()
) -> list[str]:
    """Return those directories right above the roots that are the app's own.

    Any other parent is somebody else's, and its mode is not ours to set.

    :param not_holding: what others deploy. A directory that holds it is theirs.
    """
    parents = {posixpath.dirname(root) for root in roots}
    return sorted(
        parent
        for parent in parents
        if posixpath.basename(parent) == name
        and not any(contains(parent, path) for path in not_holding)
    )


def client_max_body_size_bytes(values: Values, max_content_length: int | None) -> int:
    """Return Nginx's body limit: what the user says, or a little more than the app's.

    :param max_content_length: the app's own ``MAX_CONTENT_LENGTH`` in bytes, when known.
    """
    explicit = size_or_none(values.get("flask_site_client_max_body_size"))
    limit = max_content_length or size_or_none(values.get("flask_app_max_content_length"))
    if explicit is not None:
        return explicit
    return limit + limit // 10 + BODY_OVERHEAD_BYTES if limit else NGINX_DEFAULT_BODY_BYTES


def _body_limits(values: Values, max_content_length: int | None) -> dict[str, t.Any]:
    """Return the settings that follow from the app's own ``MAX_CONTENT_LENGTH``."""
    return {
        "client_max_body_size_bytes": client_max_body_size_bytes(values, max_content_length),
        "app_answers_too_large": _upload_limits.has_own_page(
            values,
            _proxies(values) and values["flask_app_service"] == "managed",
            max_content_length,
        ),
        "body_probes": _upload_limits.probes(values, max_content_length),
    }


def host_problems(values: Values, host: t.Mapping[str, t.Any]) -> list[Problem]:
    """Return what in the description can't work on this host.

    :param host: the answer of the module ``flask_host_info``.
    """
    return [
        *_listener_problems(values, host),
        *_site_tls.host_problems(values, host.get("certificate")),
        *_bind_holder_problems(values, host),
        *_user_problems(values, host),
        *_group_problems(values, host),
        *_claim_problems(values, host),
        *_directory_problems(values, host),
        *_media_areas.host_problems(values, host),
        *_media_permissions.host_problems(values, host),
        *_known_release_problems(values, host),
        *_current_problems(values, host),
        *_engine_problems(values, host),
    ]


def _listener_problems(values: Values, host: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    if values["flask_site_mode"] != "server":
        return
    for listener in host["listeners"]:
        if listener["process"] not in ("nginx", None):
            is_redirect = not str(listener["address"]).endswith(f":{values['flask_site_port']}")
            variable = "flask_site_http_redirect" if is_redirect else "flask_site_port"
            yield Problem(
                variable,
                values[variable],
                f"{listener['process']} (process {listener['pid']}) listens on "
                f"{listener['address']} already",
                "Set it to false, or stop that program"
                if is_redirect
                else "Write a free port, or stop that program",
            )
            return


def _bind_holder_problems(values: Values, host: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    if values["flask_app_service"] != "managed":
        return
    name, bind = values["flask_app_name"], values["flask_app_bind"]
    yield from _own_socket_problems(values, host)
    has_unit = host["paths"][_socket_unit(name)] == "ours"
    holders = host["bind_holders"]
    for holder in holders:
        # One that is ours shares the socket with all the others: Gunicorn's processes, and systemd.
        if (
            holder["user"] == values["flask_app_user"]
            or holder["pid"] == host["service_process_id"]
            or (holder["process"] == "systemd" and has_unit)
        ):
            return
    if holders:
        holder = holders[0]
        yield Problem(
            "flask_app_bind",
            bind,
            f"{holder['process']} (process {holder['pid']}, {holder['user']}'s) listens there already",
            "Write a free port, leave it unset for a unix socket, or stop that program",
        )


def _own_socket_problems(values: Values, host: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    """Yield what only systemd, which opens sockets as root, can do."""
    if host["service_manager"] == "systemd" or is_image(values):
        return
    found = BIND.match(values["flask_app_bind"])
    name = values["flask_app_name"]
    if found and found["path"] and posixpath.dirname(found["path"]) != f"/run/{name}":
        yield Problem(
            "flask_app_bind",
            values["flask_app_bind"],
            "without systemd Gunicorn makes its socket itself, and only in the app's own directory",
            f"Write 'unix:/run/{name}/{name}.sock'",
        )
    elif found and found["port"] and int(found["port"]) < FIRST_FREE_PORT:
        yield Problem(
            "flask_app_bind",
            values["flask_app_bind"],
            f"without systemd Gunicorn listens itself, and ports below {FIRST_FREE_PORT} are root's",
            "Write '127.0.0.1:8000'",
        )


def _group_problems(values: Values, host: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    name = values["flask_app_group"]
    group = host["groups"][name]
    if group is None:
        return
    is_new = host["users"][values["flask_app_user"]] is None
    # What a killed run has made belongs to nobody yet, but its directory is there already.
    is_ours = host["paths"][posixpath.dirname(values["flask_app_env_file"])] == "ours"
    if group["gid"] < FIRST_FREE_GID:
        yield Problem(
            "flask_app_group",
            name,
            f"that group is the system's (gid {group['gid']}), with rights that no app may have",
            "Write a group of the app's own, or leave it unset",
        )
    elif is_new and not is_ours and name == values["flask_app_user"]:
        yield Problem(
            "flask_app_group",
            name,
            f"that group is there without a user of its name (gid {group['gid']}), so it is somebody "
            "else's, and the app would get its rights",
            "Write another flask_app_name, or another flask_app_user and flask_app_group",
        )


UNIT_DIRECTORIES = (
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)


def _socket_unit(name: str) -> str:
    return f"{UNIT_DIRECTORIES[0]}/{name}.socket"


def _service_files(values: Values) -> list[str]:
    """Return the files that give the app's name a meaning to the service manager."""
    name = values["flask_app_name"]
    units = [f"{path}/{name}.{kind}" for path in UNIT_DIRECTORIES for kind in ("service", "socket")]
    return [*units, f"/etc/init.d/{name}"]


def _app_directories(values: Values) -> dict[str, str]:
    """Return the directories that a managed app gets, each with the variable that tells where."""
    name = values["flask_app_name"]
    if is_image(values):
        return {
            values["flask_app_root"]: "flask_app_root",
            posixpath.dirname(values["flask_app_bind"].partition(":")[2]): "flask_app_bind",
        }
    return {
        values["flask_app_root"]: "flask_app_root",
        f"/run/{name}": "flask_app_name",
        f"/var/log/{name}": "flask_app_name",
    }


def claimable_paths(values: Values) -> list[str]:
    """Return the paths of which has to be known whose they are."""
    return [
        posixpath.dirname(values["flask_app_env_file"]),
        values["flask_site_conf_file"],
        values["flask_site_include_file"],
        _media_areas.signing_key_file(values),
        *_service_files(values),
        *_app_directories(values),
        _confinement.drop_in(values["flask_app_name"]),
    ]


def _claim_problems(values: Values, host: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    """Yield what would be taken though it is somebody else's."""
    name, paths = values["flask_app_name"], host["paths"]
    env_directory = posixpath.dirname(values["flask_app_env_file"])
    if paths[env_directory] == "foreign":
        yield Problem(
            "flask_app_env_file",
            values["flask_app_env_file"],
            f"{env_directory} is there already and not this collection's, and would be closed to "
            "whoever uses it",
            f"Write another flask_app_name, or a directory of the app's own such as "
            f"'/usr/local/etc/{name}/{name}.env'",
        )
    variable = f"flask_site_{'conf' if values['flask_site_mode'] == 'server' else 'include'}_file"
    if paths[values[variable]] == "foreign":
        yield Problem(
            variable,
            values[variable],
            "there is a file of that name that this collection has not written",
            "Write another path or another flask_app_name, or move that file away if it is the "
            "app's former one",
        )
    yield from _confinement.problems(name, paths)
    if values["flask_app_service"] != "managed":
        return
    files = _service_files(values)
    foreign = next((path for path in files if paths[path] == "foreign"), None)
    if foreign:
        yield Problem(
            "flask_app_name",
            name,
            f"there is a service of that name that this collection has not written, {foreign}",
            "Write another name, or set flask_app_service to 'external' if that service is the app",
        )
    if "ours" in [paths[path] for path in (env_directory, *files)]:
        return
    for path, variable in _app_directories(values).items():
        if paths[path] == "foreign":
            yield Problem(
                variable,
                values[variable],
                f"{path} is there already and not this collection's, and would be closed to whoever "
                "uses it",
                "Write another one, or move that directory away if it is left of a former set-up",
            )


def stale_site_files(values: Values, host: t.Mapping[str, t.Any]) -> list[str]:
    """Return the files of ours by which Nginx serves the app as it was described before."""
    wanted = f"flask_site_{'conf' if values['flask_site_mode'] == 'server' else 'include'}_file"
    files = (values["flask_site_conf_file"], values["flask_site_include_file"])
    ours = {path for path in files if host["paths"][path] == "ours"}
    return sorted({*ours, *host["guest_files"]} - {values[wanted]})


def _user_problems(values: Values, host: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    user = host["users"][values["flask_app_user"]]
    if user is None:
        return
    if user["uid"] == 0:
        yield Problem(
            "flask_app_user",
            values["flask_app_user"],
            "that user is root (uid 0)",
            "Write a user of the app's own",
        )
    elif values["flask_app_service"] == "managed" and user["home"] != values["flask_app_root"]:
        yield Problem(
            "flask_app_user",
            values["flask_app_user"],
            f"that user exists and is somebody else's (uid {user['uid']}, home {user['home']})",
            "Write a name that is free",
        )


def _directory_problems(values: Values, host: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    name = values["flask_app_name"]
    media = _media_areas.roots(values)
    for variable, root in {"flask_static_root": values["flask_static_root"], **media}.items():
        facts = host["directories"][root]
        kind = variable.split("_")[1]
        remedy = f"Write a directory that no deploy replaces, such as '/var/www/{name}/{kind}'"
        for what, holder in (
            ("a virtualenv", facts["virtualenv"]),
            ("a git checkout", facts["checkout"]),
        ):
            if holder:
                yield Problem(variable, root, f"{holder} is {what}", remedy)
        unfit = next(
            (path for path in UNFIT_DIRECTORIES if contains(path, facts["resolved"])), None
        )
        if unfit:
            yield Problem(
                variable,
                root,
                f"it is a link to {facts['resolved']}, in {unfit}",
                remedy,
            )
        if facts["kind"] not in ("directory", "missing"):
            yield Problem(variable, root, f"there is a {facts['kind']} of that name", remedy)
    static = host["directories"][values["flask_static_root"]]["resolved"]
    for variable, root in media.items():
        resolved = host["directories"][root]["resolved"]
        if overlap(static, resolved):
            yield Problem(
                variable,
                root,
                f"behind its links it is {resolved}, and the static root is {static}: the same or nested",
                "Write two directories side by side",
            )


def _known_release_problems(values: Values, host: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    release = values.get("flask_app_release")
    if release not in (None, "previous", *host["releases"]):
        yield Problem(
            "flask_app_release",
            release,
            f"there is no such release in {values['flask_app_root']}",
            f"Write one of {', '.join(host['releases'])}"
            if host["releases"]
            else "Leave it unset, and deploy",
        )


def _current_problems(values: Values, host: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    current = posixpath.join(values["flask_app_root"], "current")
    if values["flask_app_service"] != "managed" or host.get("current") in (None, "link"):
        return
    yield Problem(
        "flask_app_root",
        values["flask_app_root"],
        f"{current} is no link to a release but a real {host['current']}, which may hold data",
        "If uploads are in it, run the playbook adopt_media with flask_app_service 'external' and "
        f"flask_media_adopt_from {json.dumps([posixpath.join(current, 'uploads')])} (where they are). Then move "
        f"{current} away, or set flask_app_root to another directory",
    )


def _engine_problems(values: Values, host: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    error = host.get("engine_error")
    former = [path for path in _service_files(values) if host["paths"].get(path) == "ours"]
    if is_image(values) and former:
        name = values["flask_app_name"]
        yield Problem(
            "flask_app_runtime",
            "compose",
            f"this host runs the app as a service ({former[0]}), which nobody would end",
            f"End it (systemctl disable --now {name}.socket {name}.service) and remove {' '.join(former)}, "
            "or leave flask_app_runtime unset",
        )
    elif error and is_image(values):
        reason, _unused, remedy = error.partition(". ")
        yield Problem(
            "flask_app_runtime", "compose", reason, remedy.rstrip(".") or "See what it says"
        )
    elif error and values.get("flask_app_container"):
        yield Problem(
            "flask_app_container",
            values["flask_app_container"],
            error.rstrip("."),
            "Write the name of a container that docker ps lists, or leave it unset",
        )


def app_problems(values: Values, app: t.Mapping[str, t.Any]) -> list[Problem]:
    """Return where the app's own answer contradicts the description.

    :param app: the answer of the module ``flask_app_info``.
    """
    return [
        *mount_problems(values, app),
        *volume_problems(values, app),
        *_app_config_problems(values, app["config"]),
        *_prefix_problems(values, app),
    ]


def _prefix_problems(values: Values, app: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    if values["flask_site_url_prefix"] != "/" and app.get("heeds_forwarded_prefix") is False:
        yield Problem(
            "flask_site_url_prefix",
            values["flask_site_url_prefix"],
            "the app does not heed X-Forwarded-Prefix, so none of its links would carry the prefix",
            "Wrap the app: app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)",
        )


def mount_problems(values: Values, app: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    """Yield where the app's static mounts contradict the description."""
    for mount in served(app["mounts"]):
        variable = f"the app's static_url_path (endpoint {mount['endpoint']!r})"
        problem = url_problem(variable, mount["url"])
        if problem:
            yield dataclasses.replace(
                problem,
                remedy="Write Flask(static_url_path='/static') or another prefix of its own",
            )
        else:
            yield from _mount_problems(variable, mount["url"], values)
            for url in values["flask_media_former_urls"]:
                yield from _former_mount_problems(url, mount["url"])
        for folder in filter(None, (mount["folder"], mount.get("container_folder"))):
            for name, root in _media_areas.roots(values).items():
                if overlap(folder, root):
                    yield Problem(
                        name,
                        root,
                        f"it overlaps the app's static folder {folder}",
                        "Write a directory of its own",
                    )


def _app_config_problems(values: Values, config: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    for key in ("UPLOAD_FOLDER", "MEDIA_ROOT"):
        folder = config.get(key)
        if folder is not None and posixpath.normpath(str(folder)) != posixpath.normpath(
            values["flask_media_root"]
        ):
            yield Problem(
                f"the app's {key}",
                folder,
                f"flask_media_root is {values['flask_media_root']!r}: the app would write to one place "
                "while Nginx serves another",
                "Let the app call app.config.from_prefixed_env() after its own defaults "
                f"(the env file sets {values['flask_app_env_prefix']}_{key}), or set flask_media_root to the app's path",
            )
            break
    limit = config.get("MAX_CONTENT_LENGTH")
    explicit = size_or_none(values.get("flask_site_client_max_body_size"))
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
        yield Problem(
            "the app's MAX_CONTENT_LENGTH",
            limit,
            "Flask compares it with a number, so every request with a body would fail",
            "Set flask_app_max_content_length, which hands it over in bytes",
        )
    elif limit is not None and explicit is not None and explicit < limit:
        yield Problem(
            "flask_site_client_max_body_size",
            values["flask_site_client_max_body_size"],
            f"Nginx would refuse what the app takes (its MAX_CONTENT_LENGTH is {limit} bytes)",
            "Leave it unset, to have it derived, or write a larger size; to take less, set "
            "flask_app_max_content_length",
        )
    elif limit is not None and values.get("flask_app_max_content_length") is None:
        yield from _upload_limits.order_problems(values, limit, "the app's MAX_CONTENT_LENGTH")


def with_app(values: Values, settings: Settings, app: t.Mapping[str, t.Any]) -> Settings:
    """Return the settings completed by the app's own answer."""
    told = app["config"].get("MAX_CONTENT_LENGTH")
    limit = (
        told if isinstance(told, int) else size_or_none(values.get("flask_app_max_content_length"))
    )
    return {
        **settings,
        "static": {
            **settings["static"],
            "mounts": [
                {**mount, "exclude": _uploads_in(mount, values)}
                for mount in served_mounts(
                    settings["static"]["root"], app["mounts"], values["flask_site_url_prefix"]
                )
            ],
        },
        "media": {**settings["media"], **_adoption(values, app)},
        "site": {
            **settings["site"],
            **_body_limits(values, limit),
        },
        "answer": dict(app),
    }


def _adoption(values: Values, app: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return where uploads are to be adopted from, with whose rights, or why that isn't known."""
    told = values["flask_media_adopt_from"]
    problem = None
    if not told and not app["config"].get("UPLOAD_FOLDER"):
        reason = app.get("error") or "it has no UPLOAD_FOLDER in its config"
        problem = (
            f"The app does not say where its uploads are: {reason}\n"
            "Write the directory, such as flask_media_adopt_from: [/srv/gallery/releases/7/uploads]. "
            "Nothing was copied."
        )
    return {
        "adopt_sources": _adoption_sources(values, app),
        "adopt_user": None if told else values["flask_app_user"],
        "adopt_problem": problem,
    }


def _adoption_sources(values: Values, app: t.Mapping[str, t.Any]) -> list[str]:
    told = list(values["flask_media_adopt_from"])
    folder = app["config"].get("UPLOAD_FOLDER")
    if told or not folder:
        return told
    path = posixpath.normpath(posixpath.join(values["flask_app_directory"], str(folder)))
    return [path] if path != posixpath.normpath(values["flask_media_root"]) else []


def adoption_problems(values: Values, app: t.Mapping[str, t.Any]) -> list[Problem]:
    """Return what speaks against adopting uploads from where they are.

    :param app: the answer of the module ``flask_app_info``.
    """
    problems: list[Problem] = []
    for source in _adoption_sources(values, app):
        if not source.startswith("container:"):
            problems += _found_problems(source, values)
            for mount in app["mounts"]:
                problems += _in_static_problems(source, mount, values)
    return problems


def _found_problems(source: str, values: Values) -> t.Iterator[Problem]:
    reason = None if values["flask_media_adopt_from"] else _more_than_uploads(source, values)
    if reason:
        yield Problem(
            "flask_media_adopt_from",
            values["flask_media_adopt_from"],
            f"the app's UPLOAD_FOLDER is {source!r}: {reason}",
            "Write the directory of the uploads alone, such as ['/srv/gallery/releases/7/uploads']",
        )


def _in_static_problems(
    source: str, mount: t.Mapping[str, t.Any], values: Values
) -> t.Iterator[Problem]:
    if not mount["folder"]:
        return
    if contains(source, mount["folder"]):
        yield Problem(
            "flask_media_adopt_from",
            values["flask_media_adopt_from"],
            f"the app's static folder {mount['folder']!r} is in {source!r}, where its uploads are",
            "Write the directory of the uploads alone, such as "
            f"[{posixpath.join(mount['folder'], 'uploads')!r}]",
        )
    elif contains(mount["folder"], source):
        url = posixpath.join(mount["url"], posixpath.relpath(source, mount["folder"]), "")
        former = values["flask_media_former_urls"]
        if not any(contains(prefix, url) for prefix in former):
            yield Problem(
                "flask_media_former_urls",
                former,
                f"the uploads in {source!r} have URLs below {url!r} now, which would be published with the "
                "static files",
                f"Write {[*former, url]!r}",
            )


def _uploads_in(mount: t.Mapping[str, t.Any], values: Values) -> list[str]:
    """Return the paths below a static folder that are uploads, which no release publishes."""
    pairs = [(mount["url"], url) for url in values["flask_media_former_urls"]]
    pairs += [(mount["folder"], path) for path in values["flask_media_adopt_from"]]
    return sorted(
        {
            posixpath.relpath(inner, outer)
            for outer, inner in pairs
            if outer and contains(outer, inner) and inner.strip("/") != outer.strip("/")
        }
    )


def served_mounts(
    static_root: str, mounts: t.Iterable[t.Mapping[str, t.Any]], prefix: str = "/"
) -> list[dict[str, t.Any]]:
    """Return the mounts that a URL can reach, each with the directory it is published to.

    ``url`` is the app's own, ``location`` the one that the public uses.
    """
    return [
        {
            "endpoint": mount.get("endpoint"),
            "url": mount["url"],
            "location": public(prefix, mount["url"]),
            "folder": mount["folder"],
            "directory": static_root + mount["url"].rstrip("/"),
        }
        for mount in served(mounts)
    ]


def served(mounts: t.Iterable[t.Mapping[str, t.Any]]) -> list[t.Mapping[str, t.Any]]:
    """Return the mounts that have files.

    Flask has a rule for ``static`` whether there is such a folder or not.
    """
    return [
        mount
        for mount in mounts
        if not mount.get("shadowed_by") and mount.get("exists") is not False
    ]


def described_app(mounts: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """Return what ``flask_app_info`` would, for an app described by ``flask_static_mounts``."""
    return {
        "mounts": [{"endpoint": None, "shadowed_by": None, **mount} for mount in mounts],
        "config": {},
    }


def refusal(name: t.Any, problems: t.Sequence[Problem]) -> str:
    """Return the message that refuses a description."""
    number = len(problems)
    head = f"{name}: {number} problem{'s' if number > 1 else ''} in the description; nothing was changed."
    return "\n".join(
        [head, *(f"  {index}. {problem}" for index, problem in enumerate(problems, 1))]
    )
