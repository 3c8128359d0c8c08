# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What an app made wrongly in its media, and who can write what they should only read.

A fault of the app's code shows in every file that it makes so. All those of one cause are one fault,
named by the newest of them.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils._rules import contains

Evidence = t.Mapping[str, t.Any]

READS, MEDIA, STATIC = "nginx-reads-both", "only-app-writes-media", "nobody-writes-static"

# The bits by which Nginx reads; an ACL's named user is masked by the group's (acl(5)).
_READERS = {"group": 0o040, "acl": 0o070, "world": 0o004}
_REPAIR = "Mend what is there by one run of the site playbook with flask_media_repair: true."
_SITE = "Run the site playbook again: it sets owner, group and mode"


class Fault(t.NamedTuple):
    """A finding to be, and the check that fails by it."""

    check: str
    id: str
    component: str
    message: str
    evidence: str
    fix: str


class Judgement:
    """Judges who may do what with the files of one app.

    :ivar nginx: the answers of ``path_access_info`` for Nginx's user.
    :ivar static: the answers for the app's user of the static root.
    :ivar mend: the mend of a fault that is not the app's, by its reason and component.
    """

    def __init__(
        self,
        settings: Evidence,
        canary: Evidence,
        nginx: t.Sequence[Evidence],
        static: t.Sequence[Evidence],
        mend: t.Callable[[str, Evidence], str],
    ) -> None:
        self.settings = settings
        self.media = settings["media"]
        self.app_user: str = settings["app"]["user"]
        self.nginx_user: str = settings["site"]["nginx_user"]
        self.canary = canary
        self.static = static
        self._mend = mend
        roots = self.media["roots"]
        self.areas = [answer for answer in nginx if answer["path"] in roots]
        self.published = [answer for answer in nginx if answer["path"] not in roots]
        self._readers = _READERS[self.media["permissions"]]

    def faults(self) -> list[Fault]:
        """Return all faults, one for each cause."""
        found = [*self._of_umask()]
        is_umask = bool(found)
        for answer in self.areas:
            if answer["allowed"]:
                found += self._unreadable(answer, is_umask)
            found += self._too_open(answer)
        for answer in self.published:
            found += self._unreadable_static(answer)
        return [*found, *self._writable_static()]

    # Reading

    def _of_umask(self) -> t.Iterator[Fault]:
        """The app's process itself, whatever it has made so far."""
        umask = self.canary.get("umask")
        # Under a default ACL the umask counts for nothing.
        if (
            umask is None
            or self.media["permissions"] == "acl"
            or not int(umask, 8) & self._readers
            or not self.canary.get("written")
        ):
            return
        pid = self.settings["host"].get("app_process_id")
        private = [
            sample
            for answer in self.areas
            for sample in _samples(answer, "unreadable")
            if self._is_private(sample)
        ]
        shown = f"; {_shown(private[0])}" if private else ""
        yield Fault(
            READS,
            "umask-too-tight",
            f"process {pid}" if pid else self.media["root"],
            f"the app's umask takes from every file what {self.nginx_user} reads it by",
            f"umask {umask}, and a file that it makes has {self.canary.get('mode')}{shown}",
            f"{self._umask_advice()} {_REPAIR}",
        )

    def _umask_advice(self) -> str:
        return (
            f"Set UMask={self.media['umask']} in the unit of the app (the site playbook does, for a service of "
            "its own), and take os.umask() out of the app's code."
        )

    def _unreadable(self, answer: Evidence, is_umask: bool) -> t.Iterator[Fault]:
        samples = _samples(answer, "unreadable")
        count = (answer.get("samples") or {}).get("unreadable_count", len(samples))
        by_cause: dict[tuple[str, str], list[Evidence]] = {}
        for sample in samples:
            by_cause.setdefault(self._cause(sample, answer), []).append(sample)
        hidden = count - len(samples)
        for (finding, cause), wrong in by_cause.items():
            if is_umask and cause in ("umask", "private"):
                continue
            more = len(wrong) - 1 + hidden
            yield Fault(
                READS,
                finding,
                wrong[0]["component"],
                f"{self.nginx_user} can't {'pass through' if _is_directory(wrong[0]) else 'read'} it: "
                + self._because(cause),
                _shown(wrong[0]) + (f", and {more} more that can't be read" if more else ""),
                self._mend(finding, wrong[0])
                if cause == "other"
                else f"{self._advice(cause, _is_directory(wrong[0]))} {_REPAIR}",
            )

    def _cause(self, sample: Evidence, answer: Evidence) -> tuple[str, str]:
        reason = sample["reason"]
        if reason not in ("not-readable", "not-traversable", "acl-mask"):
            return reason, "other"
        if sample["owner"] != self.app_user:
            return "owner-id-mismatch", "owner"
        if reason == "acl-mask":
            return reason, "private"
        if not self._is_private(sample):
            return reason, "moved"
        if self._is_pattern(answer):
            return "umask-too-tight", "umask"
        return reason, "private"

    def _is_private(self, facts: Evidence) -> bool:
        return facts["owner"] == self.app_user and not int(facts["mode"], 8) & self._readers

    def _is_pattern(self, answer: Evidence) -> bool:
        """Whether the app made directories for itself alone too, which no mkstemp() does."""
        looks = (answer.get("samples") or {}).get("looks") or []
        kinds = {look["is_directory"] for look in looks if self._is_private(look)}
        return kinds == {True, False}

    def _because(self, cause: str) -> str:
        way = self.media["permissions"]
        return {
            "owner": f"it is not {self.app_user}'s, so it came in by other means than the app",
            "private": "it was made for its owner alone"
            + (", which empties the mask of its ACL" if way == "acl" else ""),
            "umask": "the app made files and directories for itself alone, as under umask 0077",
            "moved": "it was moved in, and kept "
            + {
                "group": "its group",
                "acl": "no ACL of the media root's",
                "world": "its mode",
            }[way],
        }.get(cause, "the kernel refuses")

    def _advice(self, cause: str, is_directory: bool) -> str:
        mode = f"0o{int(self.media['file_mode'], 8):o}"
        private = (
            "In the app, make directories by os.makedirs(path), without a mode of 0o700, and not by mkdtemp()."
            if is_directory
            else "In the app, save by open() or FileStorage.save(); after tempfile.mkstemp() or "
            f"NamedTemporaryFile() write os.fchmod(file.fileno(), {mode})."
        )
        return {
            "owner": f"Bring files in as {self.app_user} (runuser -u {self.app_user} -- cp …); in a container, "
            "run the app by the id that this user has on the host.",
            "private": private,
            "umask": self._umask_advice(),
            "moved": "In the app, write shutil.copyfile(source, target) in the place of os.replace() or "
            "shutil.move(), or make the temporary file in the media root.",
        }[cause]

    # Writing

    def _too_open(self, answer: Evidence) -> t.Iterator[Fault]:
        """What somebody else can write, and what can be run; the worst of one file only."""
        root = answer["path"]
        samples = answer.get("samples") or {}
        looks = list(samples.get("looks") or [])
        is_root_open = bool(int(answer.get("mode") or "0", 8) & 0o002)
        everybody = [look for look in looks if int(look["mode"], 8) & 0o002]
        if is_root_open or everybody:
            yield Fault(
                MEDIA,
                "media-world-writable",
                root if is_root_open else everybody[0]["path"],
                "every user of the host can write it",
                f"mode {answer['mode']}" if is_root_open else _counted(everybody),
                f"{_SITE} of that directory."
                if is_root_open
                else "In the app, leave a file's mode to the umask; what calls os.umask(0), or sets a mode for "
                f"all such as 0o666, has to go. {_REPAIR}",
            )
        writable = [one for one in _samples(answer, "granted") if not int(one["mode"], 8) & 0o002]
        is_root_writable = "write" in answer.get("granted", []) and not is_root_open
        if is_root_writable or (writable and not is_root_open):
            yield Fault(
                MEDIA,
                "media-writable-by-nginx",
                root if is_root_writable else writable[0]["path"],
                f"{self.nginx_user} can write it, and is only to read",
                f"mode {answer.get('mode')}, {answer.get('owner')}:{answer.get('group')}"
                if is_root_writable
                else _shown(writable[0]),
                f"{_SITE} of that directory."
                if is_root_writable
                else "In the app, leave a file's mode to the umask; what calls os.umask(), or sets 0o660 or "
                f"0o664, has to go. {_REPAIR}",
            )
        run = [
            look
            for look in looks
            if not look["is_directory"]
            and int(look["mode"], 8) & 0o111
            and not int(look["mode"], 8) & 0o002
        ]
        if run:
            yield Fault(
                MEDIA,
                "media-executable",
                run[0]["path"],
                "an upload can be run as a program",
                _counted(run),
                "In the app, save by open(), or write os.open(path, flags, 0o666), whose own default lets it be run; "
                "write shutil.copyfile(source, target) in the place of shutil.copy(), which keeps the mode. "
                + _REPAIR,
            )

    def _unreadable_static(self, answer: Evidence) -> t.Iterator[Fault]:
        samples = _samples(answer, "unreadable") if answer["allowed"] else []
        if samples:
            yield Fault(
                READS,
                samples[0]["reason"],
                samples[0]["component"],
                f"{self.nginx_user} can't read this static file",
                _shown(samples[0]),
                "Run the site playbook again: it publishes static files with the modes they need.",
            )

    def _writable_static(self) -> t.Iterator[Fault]:
        named: list[str] = []
        for user, who, answers in (
            (self.app_user, "app", self.static),
            (self.nginx_user, "nginx", self.published),
        ):
            for answer in answers:
                samples = _samples(answer, "granted")
                is_root = "write" in answer.get("granted", [])
                component = (
                    answer["path"] if is_root else samples[0]["path"] if samples else answer["path"]
                )
                if not (is_root or samples) or any(contains(name, component) for name in named):
                    continue
                named.append(component)
                facts = answer if is_root else samples[0]
                yield Fault(
                    STATIC,
                    f"static-writable-by-{who}",
                    component,
                    f"{user} can write it, and so change what every visitor gets",
                    f"mode {facts.get('mode')}, {facts.get('owner')}:{facts.get('group')}",
                    "Run the site playbook again: it gives static files back to root.",
                )


def _samples(answer: Evidence, kind: str) -> list[Evidence]:
    return list((answer.get("samples") or {}).get(kind) or [])


def _is_directory(sample: Evidence) -> bool:
    return bool(sample.get("is_directory"))


def _shown(facts: Evidence) -> str:
    path = facts.get("component") or facts["path"]
    return f"{path}: mode {facts['mode']}, {facts['owner']}:{facts['group']}"


def _counted(looks: t.Sequence[Evidence]) -> str:
    count = sum(look["count"] for look in looks)
    return _shown(looks[0]) + (f", and {count - 1} more" if count > 1 else "")


def problem(fault: Fault) -> str:
    """Return a fault in the words of a check that fails by it."""
    return re.sub(r"\bit\b", fault.component, fault.message, count=1)
