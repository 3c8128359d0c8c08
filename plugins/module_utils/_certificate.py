# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""What a browser would say to a certificate on this host, and one that is made here for trying.

The standard library reads no certificate, but it makes handshakes: one in memory a name, with the
certificate itself as what is trusted, so that an authority that this host doesn't know is no fault.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import ssl
import stat
import subprocess
import tempfile
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _names

# Of OpenSSL; Python has a name for it from 3.10 on: docs.openssl.org, X509_VERIFY_PARAM_set_flags
PARTIAL_CHAIN = 0x80000
# What stands for a wildcard in a handshake
_ANY_LABEL = "any"

# As long as browsers accept of an authority's; made anew when less than that is left.
SELF_SIGNED_DAYS = 397
RENEW_DAYS = 30
_SECONDS_PER_DAY = 86400


class CertificateError(Exception):
    """There is no usable certificate.

    :ivar at_fault: ``certificate``, ``key`` or ``both``.
    :ivar missing: whether a file is not there or can't be read.
    """

    def __init__(self, message: str, at_fault: str, missing: bool = False) -> None:
        super().__init__(message)
        self.at_fault = at_fault
        self.missing = missing


@dataclasses.dataclass(frozen=True)
class Facts:
    """A certificate and its key.

    :ivar key_path: the key behind its links.
    :ivar key_readers: who can read it besides root, in words, or ``None``.
    :ivar refused_names: why a browser refuses it, by host name.
    :ivar seconds_left: until it expires; ``None`` when no name is accepted.
    """

    key_path: str
    key_readers: str | None
    refused_names: dict[str, str]
    seconds_left: float | None


def facts(certificate: str, key: str, names: t.Sequence[str]) -> Facts:
    """Return what a browser would say to a certificate.

    :raises CertificateError: when Nginx could not use it.
    """
    for path, at_fault in ((certificate, "certificate"), (key, "key")):
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            reason = (
                "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
            )
            raise CertificateError(f"{reason}", at_fault, missing=True) from error
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Asked for a passphrase, OpenSSL would wait at a terminal.
        server.load_cert_chain(certificate, key, password=_no_passphrase)
    except _PassphraseError:
        raise CertificateError("it has a passphrase, for which Nginx would ask", "key") from None
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            raise CertificateError(f"it is not the key of {certificate}", "key") from error
        raise _unreadable(certificate, error) from error
    refused, seconds = {}, None
    for name in names:
        try:
            seconds = _seconds_left(_presented(server, certificate, name))
        except ssl.SSLCertVerificationError as error:
            refused[name] = error.verify_message
        except ssl.SSLError as error:
            refused[name] = error.reason or str(error)
    real_key = os.path.realpath(key)
    return Facts(real_key, readers(os.stat(real_key)), refused, seconds)


class _PassphraseError(Exception):
    pass


def _no_passphrase() -> t.NoReturn:
    raise _PassphraseError


def _unreadable(certificate: str, error: ssl.SSLError) -> CertificateError:
    """Tell which of the two files it is that OpenSSL can't read."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError:
        return CertificateError("it is no certificate in PEM form", "certificate")
    return CertificateError(f"it is no key in PEM form ({error.reason or 'unreadable'})", "key")


def _presented(server: ssl.SSLContext, certificate: str, name: str) -> dict[str, t.Any]:
    """Return the certificate as a client gets and accepts it that asks for a name.

    :raises ssl.SSLCertVerificationError: when the client refuses it.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags |= ssl.VerifyFlags(PARTIAL_CHAIN)
    client.load_verify_locations(certificate)
    asked = name.replace("*", _ANY_LABEL, 1) if name.startswith("*.") else name
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=asked),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting = list(ends)
    while waiting:
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
    return t.cast("dict[str, t.Any]", ends[0].getpeercert())


def _seconds_left(presented: t.Mapping[str, t.Any]) -> float:
    return ssl.cert_time_to_seconds(presented["notAfter"]) - time.time()


def readers(status: os.stat_result) -> str | None:
    """Return who besides root can read a file, by its owner and mode."""
    found = []
    if status.st_uid != 0:
        found.append(f"its owner {_names.user_name(status.st_uid)}")
    if status.st_gid != 0 and status.st_mode & stat.S_IRGRP:
        found.append(f"the group {_names.group_name(status.st_gid)}")
    if status.st_mode & stat.S_IROTH:
        found.append("everybody")
    return f"{', '.join(found)}; mode {stat.S_IMODE(status.st_mode):04o}" if found else None


def described(certificate: str, key: str, names: t.Sequence[str]) -> dict[str, t.Any]:
    """Return the facts, or the error, as a module answers."""
    unknown: dict[str, t.Any] = {"key_path": None, "key_readers": None, "refused_names": {}}
    try:
        found = facts(certificate, key, names)
    except CertificateError as error:
        return {
            **unknown,
            "error": str(error),
            "at_fault": error.at_fault,
            "missing": error.missing,
        }
    return {
        "key_path": found.key_path,
        "key_readers": found.key_readers,
        "refused_names": found.refused_names,
        "error": None,
        "at_fault": None,
        "missing": False,
    }


class SelfSigned:
    """A certificate that nobody has to trust, and its key, in one file.

    One, since a rename then replaces both: at no moment is there a key without its certificate, with
    which Nginx would not start. https://nginx.org/en/docs/http/configuring_https_servers.html allows it.
    """

    def __init__(self, path: str, names: t.Sequence[str]) -> None:
        self.path = path
        self.names = list(names)

    def plan(self) -> str | None:
        """Return why it has to be made, or ``None``."""
        try:
            found = facts(self.path, self.path, self.names)
        except CertificateError as error:
            return str(error)
        for name, reason in found.refused_names.items():
            return f"browsers refuse it for {name}: {reason}"
        if (found.seconds_left or 0) < RENEW_DAYS * _SECONDS_PER_DAY:
            return f"it expires in less than {RENEW_DAYS} days"
        return None

    def apply(self) -> None:
        """Make it.

        :raises CertificateError: when OpenSSL can't.
        """
        openssl = shutil.which("openssl")
        if openssl is None:
            raise CertificateError("there is no openssl on this host", "certificate", missing=True)
        directory, name = os.path.split(self.path)
        # Beside it, to be renamed; mkdtemp() lets its owner alone in.
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=directory) as work:
            config, key, certificate = (os.path.join(work, part) for part in ("cnf", "key", "crt"))
            with open(config, "w", encoding="utf-8") as file:
                file.write(openssl_config(self.names))
            command = [openssl, "req", "-x509", "-new", "-config", config, "-nodes", "-sha256"]
            command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
            command += ["-days", str(SELF_SIGNED_DAYS), "-keyout", key, "-out", certificate]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CertificateError(f"openssl: {done.stderr.strip()[-500:]}", "certificate")
            whole = os.path.join(work, "pem")
            with os.fdopen(
                os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as out:
                for part in (certificate, key):
                    with open(part, "rb") as source:
                        out.write(source.read())
                out.flush()
                os.fsync(out.fileno())
            os.replace(whole, self.path)


def openssl_config(names: t.Sequence[str]) -> str:
    """Return what ``openssl req`` is to make: a certificate of a server, and of no authority."""
    return "\n".join(
        [
            "[req]",
            "prompt = no",
            "distinguished_name = subject",
            "x509_extensions = extensions",
            "[subject]",
            "O = Self-signed by flaskworks.static_media, for trying",
            "[extensions]",
            "basicConstraints = critical, CA:FALSE",
            "keyUsage = critical, digitalSignature",
            "extendedKeyUsage = serverAuth",
            "subjectAltName = " + ", ".join(f"DNS:{name}" for name in names),
            "",
        ]
    )
