"""Make links that let read whoever has them, until they expire; Nginx checks them by itself.

Its configuration says ``secure_link_md5 "$secure_link_expires$uri KEY"``:
https://nginx.org/en/docs/http/ngx_http_secure_link_module.html
"""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote


def signed_path(path: str, key: str, expires_at: int) -> str:
    """Return the URL of a file, good until ``expires_at`` (seconds since 1970).

    :param path: as the public finds it, not percent-encoded: ``/shared/annual report.pdf``.
    """
    text = f"{expires_at}{path} {key}"
    digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    md5 = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return f"{quote(path)}?md5={md5}&expires={expires_at}"
