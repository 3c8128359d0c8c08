# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""A site over TLS: its certificate, what sends visitors there, and the domain of user content."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _media_areas
from ansible_collections.flaskworks.static_media.plugins.module_utils._rules import (
    Problem,
    Values,
    contains,
    path_problem,
)

HTTP_PORT = 80
DEFAULT_PORTS = {"http": HTTP_PORT, "https": 443}
HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})?(?:\.[A-Za-z0-9-]{1,63})+\Z"
)
CERTIFICATE = ("flask_site_ssl_certificate", "flask_site_ssl_certificate_key")


def is_served_by_tls(values: Values) -> bool:
    """Whether the server block that is written here has a certificate."""
    return bool(values["flask_site_scheme"] == "https" and values["flask_site_mode"] == "server")


def redirects(values: Values) -> bool:
    """Whether plain HTTP is listened to, to send visitors to HTTPS."""
    return is_served_by_tls(values) and bool(values["flask_site_http_redirect"])


def names(values: Values) -> list[str]:
    """Return all host names that the app's own server blocks have."""
    media_domain = values.get("flask_media_domain")
    return [*values["flask_site_domains"], *([media_domain] if media_domain else [])]


def listened(values: Values) -> set[tuple[int, str]]:
    """Return port and name of each server block of an app."""
    if values["flask_site_mode"] != "server":
        return set()
    ports = {values["flask_site_port"], *([HTTP_PORT] if redirects(values) else [])}
    return {(port, name) for port in ports for name in names(values)}


def self_signed_file(values: Values) -> str:
    """Return the one file of a self-signed certificate and its key, which are replaced together."""
    return f"/etc/nginx/{values['flask_app_name']}.self_signed.pem"


def certificate_files(values: Values) -> tuple[str, str] | None:
    """Return the paths of the certificate and its key, or ``None`` without TLS of ours."""
    if not is_served_by_tls(values):
        return None
    if values["flask_site_ssl_self_signed"]:
        return (self_signed_file(values),) * 2
    return values["flask_site_ssl_certificate"], values["flask_site_ssl_certificate_key"]


def certificate_question(values: Values) -> dict[str, t.Any] | None:
    """Return which certificate has to be there before the first change, as ``flask_host_info`` takes it."""
    files = certificate_files(values)
    if files is None or values["flask_site_ssl_self_signed"]:
        return None
    return {"certificate": files[0], "key": files[1], "names": names(values)}


def problems(values: Values) -> t.Iterator[Problem]:
    """Yield what can't work of TLS and of the media domain, on any host."""
    yield from _scheme_problems(values)
    if is_served_by_tls(values):
        yield from _certificate_problems(values)
        yield from _port_problems(values)
    yield from _media_domain_problems(values)
    acme_root = values.get("flask_site_acme_root")
    if acme_root is not None and not redirects(values):
        yield Problem(
            "flask_site_acme_root",
            acme_root,
            "an authority asks for its challenges by plain HTTP, to which this site does not listen "
            "beside HTTPS",
            "Leave it unset, or set flask_site_scheme to 'https' and flask_site_http_redirect to true",
        )
    elif acme_root is not None:
        yield from _path_problems("flask_site_acme_root", acme_root)


def _scheme_problems(values: Values) -> t.Iterator[Problem]:
    given = [name for name in (*CERTIFICATE, "flask_site_ssl_self_signed") if values.get(name)]
    if values["flask_site_scheme"] == "http":
        if values["flask_site_hsts_max_age_seconds"]:
            given.append("flask_site_hsts_max_age_seconds")
        for name in given:
            yield Problem(
                name,
                values[name],
                "flask_site_scheme is 'http', so it would have no effect",
                "Set flask_site_scheme to 'https', or leave it unset",
            )
        return
    if values["flask_site_mode"] == "include":
        for name in given:
            yield Problem(
                name,
                values[name],
                "flask_site_mode is 'include': the server block and its certificate are yours",
                "Leave it unset, or leave flask_site_mode unset",
            )
    if values["flask_site_hsts_max_age_seconds"] < 0:
        yield Problem(
            "flask_site_hsts_max_age_seconds",
            values["flask_site_hsts_max_age_seconds"],
            "it is no length of time",
            "Write 0, to send no such header, or a number of seconds such as 31536000",
        )
    if values["flask_site_mode"] == "include" and not values["flask_site_domains"]:
        yield Problem(
            "flask_site_domains",
            [],
            "requests by https name the host that the certificate is for",
            'Write the host names of your server block, such as ["gallery.example.com"]',
        )


def _certificate_problems(values: Values) -> t.Iterator[Problem]:
    certificate, key = (values.get(name) for name in CERTIFICATE)
    if values["flask_site_ssl_self_signed"]:
        for name in CERTIFICATE:
            if values.get(name):
                yield Problem(
                    name,
                    values[name],
                    "flask_site_ssl_self_signed is true, which makes another one",
                    "Leave one of the two unset",
                )
        return
    for name, value, other in zip(CERTIFICATE, (certificate, key), (key, certificate)):
        if value:
            yield from _path_problems(name, value)
            yield from _served_problems(name, value, values)
        elif other or name == CERTIFICATE[0]:
            yield Problem(
                name,
                value,
                "a site over TLS has a certificate and its key",
                "Write the path of the file on the host, or set flask_site_ssl_self_signed to true for "
                "trying, or flask_site_mode to 'include' to keep a server block with your certificate",
            )


def _path_problems(name: str, value: str) -> t.Iterator[Problem]:
    problem = path_problem(name, value)
    if problem:
        yield problem


def _served_problems(name: str, value: str, values: Values) -> t.Iterator[Problem]:
    roots = {"flask_static_root": values["flask_static_root"], **_media_areas.roots(values)}
    for variable, root in roots.items():
        if contains(root, value):
            yield Problem(
                name,
                value,
                f"it lies in {variable}, {root!r}, which Nginx serves to everybody",
                "Move it to a directory of root's own, such as '/etc/ssl/private'",
            )
            return


def _port_problems(values: Values) -> t.Iterator[Problem]:
    if not redirects(values):
        return
    if values["flask_site_port"] == HTTP_PORT:
        yield Problem(
            "flask_site_port",
            HTTP_PORT,
            "that is the port of plain HTTP, which leads visitors to HTTPS",
            "Leave it unset, or set flask_site_http_redirect to false",
        )
    elif values["flask_app_bind"].rpartition(":")[2] == str(HTTP_PORT):
        yield Problem(
            "flask_app_bind",
            values["flask_app_bind"],
            "Nginx listens on that port, to lead visitors to HTTPS (flask_site_http_redirect)",
            "Leave it unset for a unix socket, or write another port",
        )


def _media_domain_problems(values: Values) -> t.Iterator[Problem]:
    domain = values.get("flask_media_domain")
    if domain is None:
        return
    if values["flask_site_mode"] != "server":
        yield Problem(
            "flask_media_domain",
            domain,
            f"flask_site_mode is {values['flask_site_mode']!r}, and that domain needs a server block",
            "Leave it unset, or leave flask_site_mode and flask_site_server unset",
        )
    elif not HOST_NAME.match(domain):
        yield Problem(
            "flask_media_domain",
            domain,
            "it is no host name",
            "Write one such as 'gallery-media.example.net', without scheme, port or path",
        )
    elif domain in values["flask_site_domains"]:
        yield Problem(
            "flask_media_domain",
            domain,
            "it is one of flask_site_domains, so uploads would stay in the app's own origin",
            "Write another one, best below a domain that has no site of yours",
        )
    elif not any(
        area["access"] in _media_areas.ACCESS_ON_MEDIA_DOMAIN
        for area in values["flask_media_areas"]
    ):
        yield Problem(
            "flask_media_domain",
            domain,
            "no area of flask_media_areas is public or signed, and the others need the app's cookies",
            "Leave it unset",
        )


def host_problems(values: Values, facts: t.Mapping[str, t.Any] | None) -> t.Iterator[Problem]:
    """Yield what is wrong with the certificate on the host.

    :param facts: the ``certificate`` of the module ``flask_host_info``.
    """
    if facts is None:
        return
    certificate, key = (values[name] for name in CERTIFICATE)
    if facts["error"]:
        is_of_key = facts["at_fault"] == "key"
        yield Problem(
            CERTIFICATE[is_of_key],
            key if is_of_key else certificate,
            facts["error"],
            "Write the path of a PEM file on the host"
            if facts["missing"]
            else "Write the certificate, followed by those that lead to its authority, and the key of "
            "that certificate, both in PEM form and without a passphrase",
        )
        return
    if facts["key_readers"]:
        yield Problem(
            CERTIFICATE[1],
            key,
            f"others than root can read it ({facts['key_readers']}), and whoever has it can be your site",
            f"chown root:root {facts['key_path']} and chmod 0600 {facts['key_path']}, and get a new one if "
            "others may have read it",
        )
    for name, reason in facts["refused_names"].items():
        yield Problem(
            CERTIFICATE[0],
            certificate,
            f"browsers refuse it for {name}: {reason}",
            "Get one for all of " + ", ".join(names(values)),
        )


def site_settings(values: Values) -> dict[str, t.Any]:
    """Return what tasks and templates of the site need of all this."""
    files = certificate_files(values)
    seconds = values["flask_site_hsts_max_age_seconds"]
    shown = shown_port(values)
    return {
        "tls": {"certificate": files[0], "certificate_key": files[1]} if files else None,
        "certificate_files": sorted({*files}) if files else [],
        "self_signed_names": names(values)
        if files and values["flask_site_ssl_self_signed"]
        else [],
        "strict_transport_security": f"max-age={seconds}"
        if seconds and values["flask_site_scheme"] == "https"
        else None,
        # Around a guest's locations is the server block of another app of ours.
        "is_in_our_server_block": values["flask_site_mode"] == "server"
        or values.get("flask_site_server") is not None,
        # By its literal name where it has one: a block that is the port's default sees others, too.
        "redirects": [
            {"from": name, "to": ("$host" if name.startswith("*.") else name) + shown}
            for name in names(values)
        ]
        if redirects(values)
        else [],
        "packages": [
            "nginx",
            *(["openssl"] if files and values["flask_site_ssl_self_signed"] else []),
        ],
    }


def media_origin(values: Values) -> str | None:
    """Return where public uploads are, when they have a domain of their own."""
    domain = values.get("flask_media_domain")
    return f"{values['flask_site_scheme']}://{domain}{shown_port(values)}" if domain else None


def shown_port(values: Values) -> str:
    """Return what a URL has of the port: nothing of its scheme's own."""
    port = values["flask_site_port"]
    return "" if port == DEFAULT_PORTS[values["flask_site_scheme"]] else f":{port}"
