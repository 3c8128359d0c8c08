"""test_hostile.py can fail: each faulty configuration turns the uploads red that are about its fault.

Runs an Nginx of its own on a unix socket; needs no deployed site.
"""

from __future__ import annotations

from collections.abc import Iterator

import contract
import corpus
import hostile
import pytest
from reference import Reference
from test_mutations import CORP, CSP, DISPOSITION, DOTFILES, MEDIA_TYPES, NOSNIFF, Edits, mutate

UPLOADS = [*hostile.active(), *hostile.passive()]
EVERY = {upload.id for upload in UPLOADS}
ATTACHED = {upload.id for upload in UPLOADS if not upload.inline}
INLINE = EVERY - ATTACHED

# How one would choose by the name what may be shown: a newline at its end is not seen.
BY_DOLLAR = """map $uri $media_disposition { default attachment; "~[.](png|jpg|gif|txt)$" ""; }"""
BY_TYPE = "map $sent_http_content_type $media_disposition {"

MUTATIONS: dict[str, tuple[Edits, set[str]]] = {
    "no nosniff": (((f"{NOSNIFF} # media", ""),), EVERY),
    "no CSP": (((f"{CSP} always;", ""),), EVERY),
    "no CORP": (((f"{CORP} always;", ""),), EVERY),
    "headers not on errors": (((f"{CSP} always", CSP),), EVERY),
    "nothing attached": (((DISPOSITION, ""),), ATTACHED),
    "a 404 is a download": (((DISPOSITION, DISPOSITION.replace(";", " always;")),), EVERY),
    "SVG as SVG": (
        ((MEDIA_TYPES, MEDIA_TYPES + " image/svg+xml svg;"),),
        {"script.svg", "onload.svg", "foreign.svg", "entity.svg"},
    ),
    "shown by a pattern that ends in $": (
        ((BY_TYPE, f"{BY_DOLLAR} map $sent_http_content_type $unused {{"),),
        {"picture.png\\n", *(f"PICTURE.{name}" for name in ("PNG",)), "picture.PnG"},
    ),
}


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    reference = Reference()
    reference.host.place(hostile.probes(reference.site), reference.site.app_user)
    yield reference
    reference.close()


def red(reference: Reference, edits: Edits) -> set[str]:
    reference.serve(mutate(reference, edits))
    with reference.site.connection() as connection:
        return {
            upload.id
            for upload in UPLOADS
            for line in hostile.lines(reference.site, upload)
            if contract.violations(connection, line)
        }


def test_the_right_configuration_is_green(reference: Reference) -> None:
    assert red(reference, ()) == set()


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_fault_turns_its_uploads_red(reference: Reference, name: str) -> None:
    edits, expected = MUTATIONS[name]
    assert expected <= EVERY
    assert red(reference, edits) == expected


def leaks(reference: Reference, edits: Edits, names: list[bytes]) -> int:
    """How many of these come out, of a configuration with these edits."""
    reference.serve(mutate(reference, edits))
    known = corpus.markers(reference.site, reference.host)
    with reference.site.connection() as connection:
        answers = [
            connection.request("GET", hostile.Upload(name).url(reference.site)) for name in names
        ]
    return sum(bool(corpus.leaked(answer, known, set())) for answer in answers)


@pytest.mark.parametrize(
    ("edit", "names"),
    [
        (("disable_symlinks on from=$document_root;", ""), [b"passwd.png", b"chain-1.png"]),
        ((f"{DOTFILES} # media", ""), [b".htaccess", b"deep/.hidden/picture.png"]),
    ],
    ids=["links followed", "dotfiles served"],
)
def test_a_link_or_a_dotfile_that_comes_out_is_seen(
    reference: Reference, edit: tuple[str, str], names: list[bytes]
) -> None:
    assert leaks(reference, (), names) == 0
    assert leaks(reference, (edit,), names) == len(names)
