#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: self_signed_certificate
short_description: A certificate for trying, made once on the host
version_added: 0.1.0
description:
  - Makes a key and a certificate that no browser trusts, in one file that root alone can read.
  - Makes them anew only when they are unusable, lack a name, or expire in less than 30 days.
  - Both are replaced by one rename, so Nginx never finds a key without its certificate. The key never leaves the host.
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description: The file holds a key.
    support: none
options:
  path:
    description: The file, for C(ssl_certificate) and C(ssl_certificate_key) alike.
    type: path
    required: true
  names:
    description: Host names that the certificate is for. One may begin with V(*.).
    type: list
    elements: str
    required: true
requirements:
  - openssl
author:
  - flaskworks (@flaskworks)
"""

EXAMPLES = r"""
- name: Make a certificate for trying
  flaskworks.static_media.self_signed_certificate:
    path: /etc/nginx/gallery.self_signed.pem
    names: [gallery.example.com, gallery-media.example.net]
"""

RETURN = r"""
reason:
  description: Why it was made, or would be. Null when it was not.
  returned: success
  type: str
  sample: there is no such file
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils._certificate import (
    CertificateError,
    SelfSigned,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    path = module.params["path"]
    wanted = SelfSigned(path, module.params["names"])
    reason = wanted.plan()
    if reason and not module.check_mode:
        try:
            wanted.apply()
        except (CertificateError, OSError) as error:
            module.fail_json(msg=f"No certificate was made: {error}. {path} is as it was.")
    changed = reason is not None
    if os.path.exists(path):
        changed = module.set_mode_if_different(path, 0o600, changed)
        changed = module.set_owner_if_different(path, str(os.geteuid()), changed)
    module.exit_json(changed=changed, reason=reason)


if __name__ == "__main__":
    main()
