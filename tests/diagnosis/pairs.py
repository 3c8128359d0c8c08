"""Two faults at once on one host, by their ids in the table of states: both are to be named, and nothing else."""

from __future__ import annotations

from faults import State
from states import STATES

IDS = [
    # One in the way of the other's symptom
    ("static-subdirectory-is-private", "mjs-without-type"),
    ("location-without-slash", "upload-by-mkstemp"),
    ("umask-of-unit", "expires-and-cache-control"),
    ("body-limit-left-at-default", "media-chmod-755"),
    ("scheme-not-told", "unit-without-read-write-paths"),
    ("container-without-volume", "cache-control-always"),
    ("downloads-open-to-all", "both-limits-equal"),
    ("gz-of-old-style-sheet", "pdf-in-a-sandbox"),
    ("prefix-not-told", "home-of-the-app-user"),
    # One of each of two apps
    ("top-directory-is-private", "types-of-server-replace-all"),
    ("mask-of-an-upload", "alias-relative"),
    ("regex-for-assets", "upload-folder-relative-and-not-there"),
]

BY_ID = {state.id: state for state in STATES}
PAIRS: list[tuple[State, State]] = [(BY_ID[first], BY_ID[second]) for first, second in IDS]
