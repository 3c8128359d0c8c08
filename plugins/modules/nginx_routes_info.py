#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_routes_info
short_description: What an Nginx does with a URL
version_added: 0.1.0
description:
  - Says of each URL which server block, location, file or upstream answers, with which status and headers, by Nginx's own rules.
  - Makes no request. The control node reads the configuration; the host is asked only what is there, as Nginx's user and in Nginx's view.
  - Where the answer depends on what a configuration does not tell (Lua, C(auth_request), a variable of a client's), RV(routes[].kind) is V(unknown),
    and RV(routes[].reason) says why. Nothing is guessed.
  - The control node's Python needs C(crossplane).
attributes:
  check_mode:
    description: Can run in check mode and return the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
  action:
    description: Concludes on the control node from what modules find on the host.
    support: full
options:
  urls:
    description:
      - URLs, such as V(https://www.example.com/static/app.css), or paths, such as V(/static/app.css).
      - They are taken as they would be sent, so escape what has to be escaped.
    type: list
    elements: str
    required: true
  host:
    description: Name that is asked for, where a URL has none. Without one, the default server answers.
    type: str
  address:
    description: IP address of the host where the request arrives. When unset, C(127.0.0.1), or an address that Nginx listens on at that port.
    type: str
  port:
    description: Port, for what is only a path. When unset, C(80).
    type: int
  nginx:
    description: RV(ignore:nginx) of M(flaskworks.static_media.nginx_config_info). When unset, that module is run.
    type: dict
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.nginx_config_info
  - module: flaskworks.static_media.path_access_info
"""

EXAMPLES = r"""
- name: Ask who serves a stylesheet and an upload
  flaskworks.static_media.nginx_routes_info:
    urls:
      - https://www.example.com/static/app.css
      - https://www.example.com/media/a.png
  become: true
  register: asked

- name: Require that Nginx serves them itself
  ansible.builtin.assert:
    that: asked.routes | rejectattr('kind', 'equalto', 'file') | length == 0

- name: Ask of one name on another port
  flaskworks.static_media.nginx_routes_info:
    urls: [/, /static/../config.py]
    host: www.example.com
    port: 8080
  become: true
"""

RETURN = r"""
problems:
  description: What of the configuration could not be read, each with RV(ignore:message) and RV(ignore:defined_at).
  returned: success
  type: list
  elements: dict
  sample: []
routes:
  description: An answer for each of O(urls), in their order.
  returned: success
  type: list
  elements: dict
  contains:
    url:
      description: The URL.
      type: str
      sample: https://www.example.com/static/app.css
    kind:
      description: V(file), V(listing) of a directory, V(proxy), V(return) of a text, V(redirect), V(error) or V(unknown).
      type: str
      sample: file
    status:
      description: Status of the response. Null where the upstream decides, and where the kind is V(unknown).
      type: int
      sample: 200
    server:
      description: The server block, or null where none listens.
      type: dict
      sample:
        names: [www.example.com]
        defined_at: /etc/nginx/sites-enabled/gallery.conf:12
    location:
      description: The innermost location that answers, or null where none does.
      type: dict
      sample:
        name: location ^~ /static/
        defined_at: /etc/nginx/sites-enabled/gallery.conf:20
    uri:
      description: The URI by which the location was found, decoded and after internal redirects.
      type: str
      sample: /static/app.css
    path:
      description: The file that Nginx opens or would open, or null.
      type: str
      sample: /var/www/gallery/static/app.css
    paths:
      description: All paths that it looked for, in this order.
      type: list
      elements: str
      sample: [/var/www/gallery/static/app.css]
    upstream:
      description: First address that requests are passed to, or null.
      type: str
      sample: unix:/run/gallery/gallery.sock
    upstreams:
      description: All of them.
      type: list
      elements: str
      sample: [unix:/run/gallery/gallery.sock]
    upstream_uri:
      description: The URI that the upstream is asked for, or null.
      type: str
      sample: /login?next=/
    redirect_to:
      description: Where a redirect leads, or null.
      type: str
      sample: https://www.example.com/static/
    content_type:
      description: Type of the response, or null where the upstream decides.
      type: str
      sample: text/css
    headers:
      description:
        - Headers that the configuration adds with this status, and C(Location).
        - A value that is not known beforehand is shown as it is configured.
      type: list
      elements: dict
      sample:
        - name: X-Content-Type-Options
          value: nosniff
          always: true
    client_max_body_size_bytes:
      description: Limit of a request's body. 0 is none.
      type: int
      sample: 1048576
    internal:
      description: Whether the location is only for Nginx's own redirects.
      type: bool
      sample: false
    guards:
      description: Directives that decide whether the visitor may, such as C(auth_basic).
      type: list
      elements: dict
      sample: []
    header_doubts:
      description: Directives of other modules, such as C(more_set_headers), that change headers in ways that RV(routes[].headers) does not show.
      type: list
      elements: dict
      sample: []
    steps:
      description: How it comes to that, in words.
      type: list
      elements: str
      sample:
        - "/static/app.css: `location ^~ /static/` at /etc/nginx/sites-enabled/gallery.conf:20"
        - "/var/www/gallery/static/app.css: file"
    reason:
      description: Why the kind is V(unknown), or empty.
      type: str
      sample: ""
"""
