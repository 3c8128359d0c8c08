#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_site_info
short_description: What a running site answers by name, and to a body's length
version_added: 0.1.0
description:
  - Makes a TLS handshake for each host name, as a browser does, and announces bodies without sending any.
  - The app hears of O(requests) alone.
attributes:
  check_mode:
    description: Can run in check mode and return the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
options:
  address:
    description: Address at which the host reaches its own Nginx.
    type: str
    required: true
  port:
    description: Port of the site.
    type: int
    required: true
  scheme:
    description: How the site is asked.
    type: str
    choices: [http, https]
    default: http
  names:
    description: Host names of the site. The first is asked for bodies.
    type: list
    elements: str
    required: true
  certificate:
    description: File with the certificate that each name has to present. Without it no handshake is made.
    type: path
  requests:
    description:
      - Requests to make, each a C(url), and C(headers) with the C(Host) that is named in the handshake, too.
      - One with a C(unix_socket) is made to that one in place of the site.
    type: list
    elements: dict
    default: []
  bodies:
    description: Bodies to announce, each a C(path) and a C(size) in bytes.
    type: list
    elements: dict
    default: []
author:
  - flaskworks (@flaskworks)
"""

EXAMPLES = r"""
- name: Ask whether 16 MiB pass Nginx
  flaskworks.static_media.flask_site_info:
    address: 127.0.0.1
    port: 443
    scheme: https
    names: [gallery.example.com]
    bodies:
      - {path: /upload, size: 16777216}
"""

RETURN = r"""
handshakes:
  description: For each of O(names) the TLS version and protocol, or why a browser would refuse it.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: gallery.example.com, version: TLSv1.3, protocol: h2, error: null}
responses:
  description: For each of O(requests) what M(ansible.builtin.uri) would return of it, with the request as C(item).
  returned: always
  type: list
  elements: dict
  sample:
    - {status: 200, etag: '"65f1a2b3-1c"', content: "…", item: {url: "https://127.0.0.1:443/", headers: {Host: gallery.example.com}}}
bodies:
  description: For each of O(bodies) the first status. V(100) asks for the body, V(413) refuses it.
  returned: always
  type: list
  elements: dict
  sample:
    - {path: /upload, size: 16777216, status: 100, error: null}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import _site_probe


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "scheme": {"type": "str", "choices": ["http", "https"], "default": "http"},
            "names": {"type": "list", "elements": "str", "required": True},
            "certificate": {"type": "path"},
            "requests": {"type": "list", "elements": "dict", "default": []},
            "bodies": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    address, port, names = params["address"], params["port"], params["names"]
    is_tls = params["scheme"] == "https"
    module.exit_json(
        changed=False,
        handshakes=[
            _site_probe.handshake(address, port, name, params["certificate"])
            for name in (names if params["certificate"] else [])
        ],
        responses=[_site_probe.response(address, port, request) for request in params["requests"]],
        bodies=[
            _site_probe.body_answer(
                address, port, names[0], body["path"], int(body["size"]), is_tls
            )
            for body in params["bodies"]
        ],
    )


if __name__ == "__main__":
    main()
