#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_info
short_description: Version of the Nginx that is installed, and how it is told of HTTP/2
version_added: 0.1.0
description:
  - Asks the binary, so it says what holds after a package was installed in the same run.
attributes:
  check_mode:
    description: Can run in check mode and return the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
options:
  nginx:
    description: Nginx's binary. When unset, the C(nginx) of C(PATH) or of the usual directories.
    type: path
author:
  - flaskworks (@flaskworks)
"""

EXAMPLES = r"""
- name: Ask the installed Nginx for its version
  flaskworks.static_media.nginx_info:
  register: nginx
"""

RETURN = r"""
version:
  description: Nginx's version, or null when it is not installed.
  returned: success
  type: str
  sample: 1.26.3
http2:
  description:
    - V(directive) where a server block has C(http2 on;), V(parameter) where C(listen) has a parameter, which Nginx before 1.25.1 knows alone.
    - Null when Nginx is not installed or was built without it.
  returned: success
  type: str
  sample: directive
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _nginx_modules,
    _nginx_tree,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"nginx": {"type": "path"}},
        supports_check_mode=True,
    )
    try:
        version, http2 = _nginx_modules.http2_syntax(module.params["nginx"])
    except _nginx_tree.NginxError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, version=version, http2=http2)


if __name__ == "__main__":
    main()
