#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: static_release
short_description: Publish and prune the static files of an app's releases
version_added: 0.1.0
description:
  - Publishes each static mount of an app to one tree that mirrors the URLs. C(/admin/static/) becomes C(ROOT/admin/static/).
  - Each file appears whole, by a rename. Its modification time follows from its content, so that Nginx's ETag of a content is the same
    on every host, and no other content of that URL gets it, also when a build tool gives all files one fixed time.
  - Files whose names are fingerprints are published below C(ROOT/.immutable/) instead, where Nginx lets browsers keep them for a year.
    That a name is a fingerprint is proven by a manifest, C(cache_manifest.json) of Flask-Static-Digest or C(.vite/manifest.json) and
    C(manifest.json) of Vite, or said by O(fingerprint_regex); it is not guessed.
  - Files of earlier releases stay, so a page that was loaded before a deploy still finds them, until O(state=pruned) removes
    those that no kept release has. What a release published is in its record, C(ROOT/.releases/ID.json), written before its first file.
  - A file that was not touched since it was last published is not read again.
  - Names with a leading dot, sockets and pipes are not published. A link in a static folder is refused, also one that stays in the folder.
    No wheel holds any, and publishing runs as root.
  - Everything is compared and checked before the first change, and nothing is changed when a single file can't be published.
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description:
      - Lists what is added (C(+)), replaced (C(~)), removed (C(-)), and given another owner, mode or time (C(o)).
      - Mounts that are not known yet are marked C(?).
    support: full
options:
  root:
    description: The static root. Made when missing, with what is above it.
    type: path
    required: true
  state:
    description:
      - V(published) publishes O(mounts) as a release.
      - V(pruned) removes what only releases that are not kept have published. Files that are in no record are left alone.
    type: str
    choices: [published, pruned]
    default: published
  mounts:
    description:
      - The app's static mounts, as M(flaskworks.static_media.flask_app_info) returns them. Required with O(state=published).
      - A mount within another one answers for all of its own URLs, as in Flask.
    type: list
    elements: dict
    suboptions:
      url:
        description: URL prefix; begins and ends with a slash.
        type: str
        required: true
      folder:
        description: Directory with the files, taken literally. Null in check mode when the app could not be asked yet.
        type: str
      endpoint:
        description: Endpoint of the mount in the app, by which O(manifest) lists its files; without one, by its URL.
        type: str
      directory:
        description: Where the mount is published to. Not used, since it follows from O(root) and O(mounts[].url).
        type: str
      location:
        description: Public URL prefix of the mount. Not used.
        type: str
      exclude:
        description: Paths below the folder that are not published, since uploads are there.
        type: list
        elements: str
        default: []
  release:
    description:
      - Id of the release, such as that of the app's code. Publishing it again makes it the newest one.
      - When unset, one is derived from the content.
    type: str
  keep:
    description: With O(state=pruned), ids of releases that stay. Those without a record are passed over.
    type: list
    elements: str
  keep_releases:
    description: With O(state=pruned), how many releases stay that were published before the newest one, which always does.
    type: int
  precompress:
    description:
      - Encodings of the precompressed siblings that Nginx sends, such as C(app.css.gz) beside C(app.css).
      - They are made once per content, by all processors, and have their file's modification time.
        Files of less than 1 KiB, of compressed types, or that do not shrink by 5 percent get none.
      - A sibling that the app has is published when it equals its file, and refused when it does not.
      - V(br) needs the command C(brotli) on the host.
    type: list
    elements: str
    choices: [gz, br]
    default: []
  fingerprint_regex:
    description: Regular expression of Python that is searched for in the URL path of each file. What it matches has a fingerprinted name.
    type: str
  fingerprint:
    description:
      - Whether to publish each file by a fingerprinted name too, as a hard link. C(css/app.css) becomes C(css/app-0123456789abcdef.css).
    type: bool
    default: false
  manifest:
    description:
      - With O(fingerprint=true), the file to write for the app. A JSON object that has for each endpoint an object of file names and
        their fingerprinted names. It is written after the last file is published.
    type: path
  source_user:
    description:
      - User with whose rights the folders are read; the app's.
      - The app says what its folders are, so without it whoever changes the app could have any file of the host published.
      - When unset, they are read with the rights that the module runs with.
    type: str
  owner:
    description: Owner of what is published.
    type: str
    default: root
  group:
    description: Group of what is published, which reads it; that of Nginx's workers.
    type: str
    default: www-data
  directory_mode:
    description: Mode of directories, in octal digits.
    type: str
    default: "0750"
  file_mode:
    description: Mode of files, in octal digits.
    type: str
    default: "0640"
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.flask_app_info
"""

EXAMPLES = r"""
- name: Publish the app's static files
  flaskworks.static_media.static_release:
    root: /var/www/gallery/static
    release: 4f1a0c22d9be
    source_user: gallery
    precompress: [gz]
    mounts:
      - url: /static/
        folder: /opt/gallery/current/lib/python3.11/site-packages/gallery/static
      - url: /admin/static/
        folder: /opt/gallery/current/lib/python3.11/site-packages/flask_admin/static

- name: Compare what is published with what the app has
  flaskworks.static_media.static_release:
    root: /var/www/gallery/static
    source_user: gallery
    mounts: "{{ gallery.app.mounts }}"
  check_mode: true

- name: Remove what only releases before the last four have
  flaskworks.static_media.static_release:
    root: /var/www/gallery/static
    state: pruned
    keep_releases: 3
"""

RETURN = r"""
release:
  description: Id of the release. Null when it can't be derived before the app is installed.
  returned: O(state=published)
  type: str
  sample: 4f1a0c22d9be
added:
  description: Number of files that are new, siblings included.
  returned: O(state=published)
  type: int
  sample: 12
replaced:
  description: Number of files whose content differed.
  returned: O(state=published)
  type: int
  sample: 0
mended:
  description: Number of published files and directories whose owner, group, mode or time differed.
  returned: O(state=published)
  type: int
  sample: 0
removed:
  description: Number of files that were removed. With O(state=published), siblings that differ from their file, and files that moved.
  returned: success
  type: int
  sample: 0
kept:
  description: Number of files below the root that the app has not, or no longer. They are left alone.
  returned: O(state=published)
  type: int
  sample: 3
unchanged:
  description: Number of files that were as they should be.
  returned: O(state=published)
  type: int
  sample: 0
immutable:
  description: Number of files with fingerprinted names, siblings included.
  returned: O(state=published)
  type: int
  sample: 4
precompressed:
  description: Number of precompressed siblings.
  returned: O(state=published)
  type: int
  sample: 5
paths:
  description: The first 20 paths of each kind, below the root. Characters that can't be printed are escaped.
  returned: success
  type: dict
  contains:
    added:
      description: Files that are new.
      type: list
      elements: str
      sample: [static/css/app.css]
    replaced:
      description: Files whose content differed.
      type: list
      elements: str
      sample: []
    mended:
      description: What got another owner, group, mode or time. A directory ends in a slash.
      type: list
      elements: str
      sample: []
    removed:
      description: Files that were removed.
      type: list
      elements: str
      sample: []
    ignored:
      description: What is not published. Names with a leading dot, sockets, pipes.
      type: list
      elements: str
      sample: [static/.DS_Store]
    changed_names:
      description:
        - Files whose content changed under a name that is said to be a fingerprint. Browsers may keep the former content for a year.
          They are published beside the other files.
      type: list
      elements: str
      sample: []
    foreign:
      description: With O(state=pruned), files of releases that somebody else has changed. They are left alone.
      type: list
      elements: str
      sample: []
mounts:
  description: What is published of each mount.
  returned: O(state=published)
  type: list
  elements: dict
  contains:
    url:
      description: URL prefix.
      type: str
      sample: /static/
    directory:
      description: Where it is published to.
      type: str
      sample: /var/www/gallery/static/static
    files:
      description: Number of its files.
      type: int
      sample: 12
    sample:
      description:
        - A file that a proof can ask for; the first style sheet, script, or other file by name, of at most 1 MiB if there is one.
          Null when there is none.
        - C(path) is below the mount, C(size) in bytes, C(sha256) that of the app's file, C(etag) what Nginx sends for it once it is published.
      type: dict
      sample:
        path: css/app.css
        size: 4096
        sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
        etag: '"5e0a1f3c-1000"'
unknown:
  description: Mounts whose folder is not known before the app is installed. In check mode only.
  returned: O(state=published)
  type: list
  elements: str
  sample: []
releases:
  description: With O(state=pruned), the releases that stay, the one that was published last first.
  returned: O(state=pruned)
  type: list
  elements: str
  sample: [4f1a0c22d9be]
pruned:
  description: The releases whose records were removed.
  returned: O(state=pruned)
  type: list
  elements: str
  sample: [83bb0c1f77aa]
"""

import grp
import os
import pwd
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _precompress,
    _static_prune,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._names import printable
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_release import (
    Look,
    Mount,
    Options,
    Plan,
    apply,
    known_file,
    plan,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_tree import (
    PublishError,
)

SHOWN = 20
DIFF_LINES = 1000
# The id of whom a run would make.
TO_COME = -1


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "state": {
                "type": "str",
                "choices": ["published", "pruned"],
                "default": "published",
            },
            "mounts": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "url": {"type": "str", "required": True},
                    "folder": {"type": "str"},
                    "endpoint": {"type": "str"},
                    "directory": {"type": "str"},
                    "location": {"type": "str"},
                    "exclude": {"type": "list", "elements": "str", "default": []},
                },
            },
            "release": {"type": "str"},
            "keep": {"type": "list", "elements": "str"},
            "keep_releases": {"type": "int"},
            "precompress": {
                "type": "list",
                "elements": "str",
                "choices": ["gz", "br"],
                "default": [],
            },
            "fingerprint_regex": {"type": "str"},
            "fingerprint": {"type": "bool", "default": False},
            "manifest": {"type": "path"},
            "source_user": {"type": "str"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "www-data"},
            "directory_mode": {"type": "str", "default": "0750"},
            "file_mode": {"type": "str", "default": "0640"},
        },
        required_if=[("state", "published", ["mounts"])],
        supports_check_mode=True,
    )
    try:
        if module.params["state"] == "pruned":
            _prune(module)
        else:
            _publish(module)
    except PublishError as error:
        module.fail_json(msg=str(error))


def _prune(module: AnsibleModule) -> None:
    root = module.params["root"]
    planned = _static_prune.plan(root, module.params["keep"], module.params["keep_releases"])
    if planned.changed and not module.check_mode:
        _static_prune.apply(root, planned)
    module.exit_json(
        changed=planned.changed,
        removed=len(planned.files),
        paths=_shown({"removed": planned.files, "foreign": planned.foreign}),
        releases=planned.kept,
        pruned=planned.releases,
        diff=_diff(planned.lines()),
    )


def _publish(module: AnsibleModule) -> None:
    root = module.params["root"]
    if module.params["mounts"] is None:
        raise PublishError(
            "mounts is null. Write the app's mounts, or [] for an app without files."
        )
    mounts = [
        Mount(mount["url"], mount["folder"], mount["endpoint"], tuple(mount["exclude"]))
        for mount in module.params["mounts"]
    ]
    look = _look(module.params, module.check_mode)
    reader = _reader(module.params["source_user"], module.check_mode)
    if module.params["source_user"] and reader is None:
        # Whoever can't be acted as yet has not got the files yet.
        mounts = [mount._replace(folder=None) for mount in mounts]
    planned = plan(root, mounts, look, reader, _options(module.params))
    if planned.pending and not module.check_mode:
        apply(root, planned, look, reader)
    for path in planned.changed_names:
        module.warn(
            f"{printable(path)} has another content under a name that is said to be fingerprinted. "
            "Browsers may keep the former one for a year. Give it a new name with each content."
        )
    module.exit_json(
        changed=planned.changed,
        release=None if planned.unknown else planned.record.release,
        **_counts(planned),
        mounts=[_published(root, mount.url, planned) for mount in mounts],
        diff=_diff(planned.lines()),
    )


def _options(params: dict[str, t.Any]) -> Options:
    regex = params["fingerprint_regex"]
    try:
        compiled = re.compile(regex) if regex else None
    except re.error as error:
        raise PublishError(
            f"fingerprint_regex: {regex!r} is no regular expression ({error}). Write one such as "
            "'-[0-9a-f]{32}[.]'."
        ) from error
    encodings = tuple(name for name in ("gz", "br") if name in params["precompress"])
    if "br" in encodings and not _precompress.has_brotli():
        raise PublishError(
            "precompress: this host has no command brotli. Install the package 'brotli', or leave out br."
        )
    return Options(
        params["release"], encodings, compiled, params["fingerprint"], params["manifest"]
    )


def _look(params: dict[str, t.Any], is_check_mode: bool) -> Look:
    return Look(
        uid=_id("owner", params["owner"], is_check_mode),
        gid=_id("group", params["group"], is_check_mode),
        directory_mode=_mode("directory_mode", params["directory_mode"]),
        file_mode=_mode("file_mode", params["file_mode"]),
    )


def _id(option: str, name: str, is_check_mode: bool) -> int:
    try:
        return pwd.getpwnam(name).pw_uid if option == "owner" else grp.getgrnam(name).gr_gid
    except KeyError:
        if is_check_mode:
            return TO_COME
        raise PublishError(
            f"{option}: this host has no {name!r}. Install Nginx first, which makes its own, or set "
            f"{option} to another one."
        ) from None


def _mode(option: str, text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise PublishError(f"{option}: {text!r} is no mode. Write octal digits, such as '0640'.")
    return mode


def _reader(name: str | None, is_check_mode: bool) -> _as_user.Account | None:
    if name is None or (is_check_mode and not _as_user.exists(name)):
        return None
    try:
        return _as_user.account(name)
    except _as_user.AsUserError as error:
        raise PublishError(f"source_user: {error}") from error


def _counts(planned: Plan) -> dict[str, t.Any]:
    wanted = planned.wanted.values()
    return {
        "added": len(planned.added),
        "replaced": len(planned.replaced),
        "mended": len(planned.mended),
        "removed": len(planned.removed),
        "kept": planned.kept,
        "unchanged": planned.unchanged,
        "immutable": sum(1 for file in wanted if file.entry.immutable),
        "precompressed": sum(1 for file in wanted if file.entry.of),
        "paths": _shown(
            {
                "added": [file.target for file in planned.added],
                "replaced": [file.target for file in planned.replaced],
                "mended": planned.mended,
                "removed": planned.removed,
                "ignored": planned.ignored,
                "changed_names": planned.changed_names,
            }
        ),
        "unknown": planned.unknown,
    }


def _shown(paths: t.Mapping[str, t.Sequence[str]]) -> dict[str, list[str]]:
    return {kind: [printable(path) for path in some[:SHOWN]] for kind, some in paths.items()}


def _published(root: str, url: str, planned: Plan) -> dict[str, t.Any]:
    files = [
        file
        for file in planned.wanted.values()
        if file.url == url and file.source is not None and not file.second_name
    ]
    return {
        "url": url,
        "directory": os.path.join(root, url.strip("/")),
        "files": len(files),
        "sample": known_file(files),
    }


def _diff(lines: list[str]) -> dict[str, str]:
    hidden = len(lines) - DIFF_LINES
    more = [f"and {hidden} more"] if hidden > 0 else []
    return {"before": "", "after": "".join(f"{line}\n" for line in [*lines[:DIFF_LINES], *more])}


if __name__ == "__main__":
    main()
