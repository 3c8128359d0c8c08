#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: media_adopt
short_description: Bring uploads that lie elsewhere into the media root
version_added: 0.1.0
description:
  - Copies directories of uploads into the media root, with the owner and the modes that it wants and with the times of the originals, while the app runs.
  - Each file appears whole under its name, or not at all. Nothing is ever overwritten but an own copy whose original has changed since.
  - Run again, it only catches up. A run that is killed at any moment has lost nothing, and the next one goes on with it.
  - What was copied is written down in O(record), so sources of earlier runs need not be told again.
attributes:
  check_mode:
    description: Can run in check mode and return what it would copy. Removes and verifies nothing then.
    support: full
  diff_mode:
    description: Lists the files to be copied.
    support: full
options:
  state:
    description:
      - V(copied) brings over what is there, but for what was changed in the last O(young_seconds).
      - V(verified) is for when nobody writes to the sources any more. Brings over what is left, and compares every copy with its original by SHA-256.
      - V(source_removed) does the same, then removes each original whose bytes are in the media root, and the directories that are empty then.
        The top directory stays, and so does a container's layer.
    type: str
    choices: [copied, verified, source_removed]
    default: copied
  root:
    description: Media root, which has to be there.
    type: path
    required: true
  sources:
    description:
      - Where the uploads are. Directories of this host, or C(container:NAME:/path), read by C(docker cp) or C(podman cp).
      - Links and special files in it are reported, and neither followed nor copied.
    type: list
    elements: str
    default: []
  source_user:
    description:
      - User with whose rights O(sources) are read and removed. For those that an app names, which could name any directory of the host.
      - Without it they are read with the task's own rights, and then no part of their path may be a link.
    type: str
  owner:
    description: User that owns the copies.
    type: str
    required: true
  group:
    description: Group of the copies.
    type: str
    required: true
  directory_mode:
    description: Mode of the directories that are made.
    type: str
    default: "2750"
  file_mode:
    description: Mode of the files that are made.
    type: str
    default: "0640"
  record:
    description: File in which is written down what was copied from where. Its directory is made. One for each O(root).
    type: path
    required: true
  young_seconds:
    description: With O(state=copied), what was changed so shortly ago may be half an upload, and is left to a later run.
    type: int
    default: 2
  process_id:
    description:
      - Main process of the app. While it is older than one of O(process_paths), it may still write to O(sources), and copying is all that is done.
    type: int
  process_paths:
    description: Files that the app reads at its start, such as its env file.
    type: list
    elements: path
    default: []
  environment:
    description:
      - What O(process_paths) tell the app. A process that was started with another value of one does not heed them, and counts as not restarted.
    type: dict
    default: {}
author:
  - flaskworks (@flaskworks)
"""

EXAMPLES = r"""
- name: Copy the uploads, while the app runs
  flaskworks.static_media.media_adopt:
    root: /var/www/gallery/media
    sources: [/srv/gallery/current/uploads, "container:shop:/app/uploads"]
    owner: gallery
    group: www-data
    record: /var/lib/flask_media_adopt/gallery.sqlite

- name: Once the app writes to the media root, verify every copy and remove the originals
  flaskworks.static_media.media_adopt:
    state: source_removed
    root: /var/www/gallery/media
    owner: gallery
    group: www-data
    record: /var/lib/flask_media_adopt/gallery.sqlite
"""

RETURN = r"""
sources:
  description: Where uploads were looked for, those of earlier runs included.
  returned: success
  type: list
  elements: str
  sample: [/srv/gallery/releases/7/uploads]
gone:
  description: Sources of earlier runs that are there no more.
  returned: success
  type: list
  elements: str
  sample: []
copied:
  description: Number of files copied, or to be copied.
  returned: success
  type: int
  sample: 2841
copied_bytes:
  description: Their size.
  returned: success
  type: int
  sample: 3221225472
renewed:
  description: Number of copies made anew, since the original has changed.
  returned: success
  type: int
  sample: 0
directories:
  description: Number of directories made.
  returned: success
  type: int
  sample: 2
unchanged:
  description: Number of files that were there already.
  returned: success
  type: int
  sample: 12
young:
  description: Number of files left to a later run.
  returned: success
  type: int
  sample: 1
verified:
  description: Number of copies compared by hash.
  returned: success
  type: int
  sample: 2853
removed:
  description: Number of originals removed.
  returned: success
  type: int
  sample: 0
restart_pending:
  description: Whether O(process_id) is older than one of O(process_paths). Null when that can't be told.
  returned: success
  type: bool
  sample: false
paths:
  description: The first 20 paths of each kind, below the sources, and how many more there are.
  returned: success
  type: dict
  sample:
    copied: [originals/1.jpg]
    renewed: []
    diverged: []
    skipped: ["latest.jpg: link"]
    kept: []
"""

import contextlib
import grp
import os
import pwd
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _flask_app,
    _process,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._media_adopt import (
    AdoptError,
    Adoption,
    Look,
    Outcome,
    Record,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["copied", "verified", "source_removed"],
                "default": "copied",
            },
            "root": {"type": "path", "required": True},
            "sources": {"type": "list", "elements": "str", "default": []},
            "source_user": {"type": "str"},
            "owner": {"type": "str", "required": True},
            "group": {"type": "str", "required": True},
            "directory_mode": {"type": "str", "default": "2750"},
            "file_mode": {"type": "str", "default": "0640"},
            "record": {"type": "path", "required": True},
            "young_seconds": {"type": "int", "default": 2},
            "process_id": {"type": "int"},
            "process_paths": {"type": "list", "elements": "path", "default": []},
            "environment": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    try:
        _adopt(module)
    except (AdoptError, _as_user.AsUserError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or module.params['root']}: {error.strerror}. What was copied is whole. "
            "Mend this, and run the playbook again."
        )


def _adopt(module: AnsibleModule) -> None:
    params = module.params
    with contextlib.ExitStack() as stack:
        root = params["root"]
        if not os.path.isdir(root):
            if not module.check_mode:
                raise AdoptError(f"{root} is no directory. Make the media root first.")
            # It would be made, and is empty then.
            root = stack.enter_context(tempfile.TemporaryDirectory())
        record = Record(params["record"], is_dry=module.check_mode)
        stack.callback(record.close)
        reader = None
        if params["source_user"] and not (
            module.check_mode and not _as_user.exists(params["source_user"])
        ):
            reader = _as_user.account(params["source_user"])
        adoption = Adoption(
            root, _look(params, module.check_mode), record, params["sources"], reader
        )
        stack.callback(adoption.close)
        if module.check_mode:
            _exit(module, adoption, adoption.plan(), False)
            return
        if params["state"] == "copied":
            outcome = adoption.copy(params["young_seconds"] * 10**9)
        else:
            reason = _not_told(params)
            if reason and adoption.texts:
                raise AdoptError(
                    f"The app (process {params['process_id']}) was started {reason}, so it may still write uploads to "
                    "the former place. Restart it with what the env file says, and run the playbook again. What was "
                    "copied is whole, and nothing was removed."
                )
            outcome = adoption.verify()
            if params["state"] == "source_removed":
                outcome = adoption.remove()
        _exit(module, adoption, outcome, _is_restart_pending(module, adoption))


def _is_restart_pending(module: AnsibleModule, adoption: Adoption) -> bool | None:
    if not adoption.texts or adoption.writers():
        return bool(adoption.texts)
    reason = _not_told(module.params)
    if reason is None:
        return False if adoption.is_verified() else None
    return bool(reason)


def _not_told(params: dict[str, t.Any]) -> str | None:
    """Return why the app can't know of the media root, ``""`` if it can; ``None`` if that is unknown."""
    process_id = params["process_id"]
    if process_id is None:
        return None
    try:
        started_ns = _process.started_at_ns(process_id)
    except ProcessLookupError:
        return None
    for path in params["process_paths"]:
        if os.path.exists(path) and _process.may_predate(started_ns, os.stat(path).st_ctime_ns):
            return f"before {path} was changed"
    told = _flask_app.process_environment(process_id, pwd.getpwnam(params["owner"]).pw_uid)
    for name, value in params["environment"].items():
        if told.get(name, value) != value:
            return f"with {name}={told[name]}"
    return ""


def _look(params: dict[str, t.Any], is_check_mode: bool) -> Look:
    try:
        uid, gid = pwd.getpwnam(params["owner"]).pw_uid, grp.getgrnam(params["group"]).gr_gid
    except KeyError as error:
        if not is_check_mode:
            raise AdoptError(
                f"owner, group: {error.args[0]}. Create it, or name another."
            ) from error
        uid = gid = -1
    return Look(uid, gid, _mode(params, "directory_mode"), _mode(params, "file_mode"))


def _mode(params: dict[str, t.Any], option: str) -> int:
    try:
        return int(params[option], 8)
    except ValueError:
        raise AdoptError(
            f"{option}: {params[option]!r} is no mode. Write octal digits, such as '0640'."
        ) from None


def _exit(
    module: AnsibleModule, adoption: Adoption, outcome: Outcome, restart_pending: bool | None
) -> None:
    for text in outcome.gone:
        module.warn(f"{text} is there no more. What was not copied by then can't be.")
    if outcome.skipped.count:
        module.warn(
            "Neither a file nor a directory, so not copied: " + ", ".join(outcome.skipped.lines())
        )
    if outcome.kept.count:
        module.warn("Not removed: " + ", ".join(outcome.kept.lines()))
    shown = {
        name: getattr(outcome, name).lines()
        for name in ("copied", "renewed", "diverged", "skipped", "kept")
    }
    lines = [f"+ {line}" for line in [*shown["copied"], *shown["renewed"]]]
    count = outcome.copied.count + outcome.renewed.count
    head = (
        [f"{count} files of {outcome.copied_bytes} bytes from {', '.join(adoption.texts)}"]
        if lines
        else []
    )
    module.exit_json(
        changed=outcome.changed,
        sources=adoption.texts,
        gone=outcome.gone,
        copied=outcome.copied.count,
        copied_bytes=outcome.copied_bytes,
        renewed=outcome.renewed.count,
        directories=outcome.directories,
        unchanged=outcome.unchanged,
        young=outcome.young,
        verified=outcome.verified,
        removed=outcome.removed,
        restart_pending=restart_pending,
        paths=shown,
        diff={"prepared": "".join(f"{line}\n" for line in [*head, *lines])},
    )


if __name__ == "__main__":
    main()
