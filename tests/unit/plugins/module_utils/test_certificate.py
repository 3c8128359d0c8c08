"""What browsers say to certificates, made here by OpenSSL, and the one that is made for trying."""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _certificate
from ansible_collections.flaskworks.static_media.plugins.module_utils._certificate import (
    CertificateError,
    SelfSigned,
    facts,
)

if t.TYPE_CHECKING:
    from tests.unit.plugins.conftest import Module

NAMES = ["gallery.example.com", "*.example.org"]


def made(
    directory: Path, name: str = "one", days: int = 30, names: t.Sequence[str] = NAMES
) -> tuple[str, str]:
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    subject = ",".join(f"DNS:{known}" for known in names)
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            str(days),
            "-subj",
            "/CN=x",
            "-addext",
            f"subjectAltName={subject}",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
        ],
        check=True,
        capture_output=True,
    )
    key.chmod(0o600)
    return str(certificate), str(key)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return made(tmp_path_factory.mktemp("pair"))


def test_a_good_one_is_accepted_for_each_of_its_names(pair: tuple[str, str], as_root: None) -> None:
    found = facts(*pair, ["gallery.example.com", "*.example.org", "www.example.org"])
    assert found.refused_names == {}
    assert found.key_readers is None
    assert 29 < (found.seconds_left or 0) / 86400 <= 30


def test_it_is_refused_for_other_names(pair: tuple[str, str]) -> None:
    found = facts(*pair, ["gallery.example.com", "shop.example.com", "a.b.example.org"])
    assert set(found.refused_names) == {"shop.example.com", "a.b.example.org"}
    assert "ostname mismatch" in found.refused_names["shop.example.com"]


def test_one_of_an_authority_that_nobody_knows_is_accepted(tmp_path: Path) -> None:
    authority, key = made(tmp_path, "authority", names=["authority"])
    request, leaf, leaf_key = (str(tmp_path / name) for name in ("csr", "leaf.pem", "leaf.key"))
    extensions = tmp_path / "extensions"
    extensions.write_text("subjectAltName=DNS:gallery.example.com\n")
    for command in (
        [
            "req",
            "-new",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=x",
            "-keyout",
            leaf_key,
            "-out",
            request,
        ],
        [
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            authority,
            "-CAkey",
            key,
            "-CAcreateserial",
            "-days",
            "9",
            "-extfile",
            str(extensions),
            "-out",
            leaf,
        ],
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    with open(leaf, "a", encoding="ascii") as chain:
        chain.write(Path(authority).read_text())
    assert facts(leaf, leaf_key, ["gallery.example.com"]).refused_names == {}


def test_an_expired_one_is_refused(tmp_path: Path) -> None:
    certificate, key = made(tmp_path)
    # Made by a clock of ten years ago.
    subprocess.run(
        [
            "openssl",
            "x509",
            "-in",
            certificate,
            "-signkey",
            key,
            "-days",
            "-1",
            "-out",
            certificate,
            "-copy_extensions",
            "copyall",
        ],
        check=False,
        capture_output=True,
    )
    again = facts(certificate, key, ["gallery.example.com"])
    reason = again.refused_names.get("gallery.example.com", "")
    assert "expired" in reason or "not yet valid" in reason


def _no_certificate(certificate: Path, key: Path) -> None:
    certificate.unlink()


def _no_key(certificate: Path, key: Path) -> None:
    key.unlink()


def _other_key(certificate: Path, key: Path) -> None:
    other = made(key.parent, "other")[1]
    os.replace(other, key)


def _text_for_certificate(certificate: Path, key: Path) -> None:
    certificate.write_text("nothing")


def _text_for_key(certificate: Path, key: Path) -> None:
    key.write_text("nothing")


def _passphrase(certificate: Path, key: Path) -> None:
    subprocess.run(
        ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", str(key), "-out", str(key)],
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize(
    ("break_it", "at_fault", "words"),
    [
        (_no_certificate, "certificate", "no such file"),
        (_no_key, "key", "no such file"),
        (_other_key, "key", "not the key of"),
        (_text_for_certificate, "certificate", "no certificate in PEM"),
        (_text_for_key, "key", "no key in PEM"),
        (_passphrase, "key", "passphrase"),
    ],
)
def test_what_nginx_could_not_use_is_told(
    tmp_path: Path, break_it: t.Callable[[Path, Path], None], at_fault: str, words: str
) -> None:
    certificate, key = map(Path, made(tmp_path))
    break_it(certificate, key)
    with pytest.raises(CertificateError, match=words) as caught:
        facts(str(certificate), str(key), NAMES)
    assert caught.value.at_fault == at_fault
    answer = _certificate.described(str(certificate), str(key), NAMES)
    assert (answer["at_fault"], answer["missing"]) == (at_fault, "no such file" in words)


@pytest.mark.parametrize(
    ("owner", "group", "mode", "words"),
    [
        (0, 0, 0o640, None),
        (0, 61001, 0o600, None),
        (0, 61001, 0o640, "the group 61001"),
        (0, 0, 0o604, "everybody"),
        (61001, 0, 0o600, "its owner 61001"),
    ],
)
def test_who_can_read_the_key_is_told(
    tmp_path: Path, as_root: None, owner: int, group: int, mode: int, words: str | None
) -> None:
    key = tmp_path / "key"
    key.write_text("")
    os.chown(key, owner, group)
    key.chmod(mode)
    found = _certificate.readers(key.stat())
    assert (found is None) if words is None else (words in str(found))


def test_the_key_behind_a_link_is_what_counts(tmp_path: Path, as_root: None) -> None:
    certificate, key = made(tmp_path)
    link = tmp_path / "link.key"
    link.symlink_to(key)
    os.chmod(key, 0o644)
    found = facts(certificate, str(link), NAMES)
    assert found.key_path == os.path.realpath(key)
    assert "everybody" in str(found.key_readers)


def test_one_for_trying_is_made_once(run_module: Module, tmp_path: Path) -> None:
    path = tmp_path / "self_signed.pem"
    wanted: dict[str, t.Any] = {"path": str(path), "names": NAMES}
    planned = run_module("self_signed_certificate", check=True, **wanted)
    assert planned["changed"] and not path.exists()
    first = run_module("self_signed_certificate", **wanted)
    assert first["changed"] and first["reason"] == planned["reason"]
    assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o600, os.geteuid())
    before = path.read_bytes()
    for check in (False, True):
        assert not run_module("self_signed_certificate", check=check, **wanted)["changed"]
    assert path.read_bytes() == before
    assert os.listdir(tmp_path / "..") and [p.name for p in tmp_path.glob(".self*")] == []
    path.chmod(0o644)
    assert run_module("self_signed_certificate", **wanted)["changed"]
    assert (path.stat().st_mode & 0o777, path.read_bytes()) == (0o600, before)


@pytest.mark.parametrize("kind", ["name", "broken", "old"])
def test_one_for_trying_is_made_anew_when_it_will_not_do(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "self_signed.pem")
    SelfSigned(path, NAMES).apply()
    names = NAMES
    if kind == "name":
        names = [*NAMES, "new.example"]
    elif kind == "broken":
        Path(path).write_text("nothing")
    else:
        monkeypatch.setattr(_certificate, "RENEW_DAYS", _certificate.SELF_SIGNED_DAYS + 1)
    wanted = SelfSigned(path, names)
    assert wanted.plan()
    wanted.apply()
    monkeypatch.undo()
    assert wanted.plan() is None


def test_without_openssl_what_is_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CertificateError, match="no openssl"):
        SelfSigned(str(tmp_path / "a.pem"), NAMES).apply()
    assert list(tmp_path.iterdir()) == []
