# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""POSIX ACLs as the kernel keeps them, in an extended attribute (acl(5))."""

from __future__ import annotations

import struct
import typing as t

# include/uapi/linux/posix_acl.h and posix_acl_xattr.h
_VERSION = 2
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
NAMES = {
    USER_OBJ: "user",
    USER: "user",
    GROUP_OBJ: "group",
    GROUP: "group",
    MASK: "mask",
    OTHER: "other",
}
# Of entries that name nobody
UNDEFINED_ID = 0xFFFFFFFF


class AclEntry(t.NamedTuple):
    """An entry of a POSIX ACL (acl(5)); ``permissions`` is a number of three bits."""

    tag: int
    permissions: int
    id: int


def decode_acl(raw: bytes) -> list[AclEntry]:
    """Decode the extended attribute in which the kernel keeps an ACL.

    :raises ValueError: when it is none.
    """
    if len(raw) < 4 or (len(raw) - 4) % 8:
        raise ValueError(f"an ACL can't be {len(raw)} bytes long")
    (version,) = struct.unpack_from("<I", raw)
    if version != _VERSION:
        raise ValueError(f"unknown ACL version {version}")
    entries = [AclEntry(*fields) for fields in struct.iter_unpack("<HHI", raw[4:])]
    for entry in entries:
        if entry.tag not in NAMES:
            raise ValueError(f"unknown ACL tag {entry.tag:#x}")
    return entries


def encode_acl(entries: t.Iterable[tuple[int, int, int]]) -> bytes:
    """Encode tags, bits and ids as the kernel takes them, in its order (acl(5))."""
    packed = (struct.pack("<HHI", tag, bits, id_ & UNDEFINED_ID) for tag, bits, id_ in entries)
    return struct.pack("<I", _VERSION) + b"".join(packed)
