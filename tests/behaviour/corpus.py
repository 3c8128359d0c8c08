"""Raw requests that try to climb out of the delivered roots, and what of it came out.

Every target holds bytes that appear nowhere else; a request that gets them is a leak, however it
was written and whatever its status. So is a dotfile, and so is any file that Nginx serves and
that is not a published one.
"""

from __future__ import annotations

import hashlib
import itertools
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import contract
from hosts import Host, Site
from raw_http import Response

CONNECTIONS = 6
DEPTHS = (1, 2, 5)

# One step up, as servers, proxies and decoders have been found to read it.
STEPS = (
    *("../", "..%2f", "..%2F", "%2e%2e/", "%2e%2e%2f", "%2E%2E%2F", ".%2e/", "%2e./", ".%2e%2f"),
    *("..\\", "..%5c", "%2e%2e%5c", "%2e%2e\\", "..\\/", "..%5c/"),
    *("..%252f", "%252e%252e/", "%252e%252e%252f", "..%255c", "%25252e%25252e%25252f"),
    *("..%c0%af", "%c0%ae%c0%ae/", "%c0%ae%c0%ae%c0%af", "..%e0%80%af", "..%c1%9c"),
    *("..%ef%bc%8f", "%uff0e%uff0e/", "..%u2215", "..%u2216"),
    *("....//", "....\\/", "..;/", "..%3b/", "..//", ".././", "..%00/", "..%0a/", "..%09/", "..?/"),
)


@dataclass
class Result:
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    leaks: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        histogram = ", ".join(f"{status}: {n}" for status, n in sorted(self.statuses.items()))
        return f"{self.requests} raw requests, {len(self.leaks)} leaks ({histogram})"


def targets(site: Site, root: str) -> list[str]:
    """Absolute paths on the host, none of which may come out; the last is the root's neighbour."""
    above = site.media_root.rpartition("/")[0]
    return [
        "/etc/passwd",
        site.env_file,
        f"{site.app_root}/secret.txt",
        f"{above}/secret.txt",
        f"{site.static_root}2/secret.txt",
        f"{site.media_root}_private/secret.txt",
        f"{site.media_root}/.git/config",
        f"{site.static_directory(site.static_urls[0])}/.env",
        f"{posixpath.dirname(root)}/secret.txt",
    ]


def requests(site: Site) -> list[str]:
    """Distinct request targets: every prefix, way to write a step, depth and file."""
    found = dict.fromkeys(_hidden(site))
    roots = {url: site.static_directory(url) for url in site.static_urls}
    roots[site.media_url] = site.media_root
    for url, root in roots.items():
        for prefix in _prefixes(site, url):
            for step, depth, target in itertools.product(STEPS, DEPTHS, targets(site, root)):
                found[prefix + step * depth + _seen_from(root, depth, target)] = None
        for suffix in ("2/", "_private/", "/2/", "/_private/", ".git/", "../", "..;/"):
            found[url.rstrip("/") + suffix + "secret.txt"] = None
    return list(found)


def _prefixes(site: Site, url: str) -> list[str]:
    bare = url.rstrip("/")
    # Without its slash, a location's prefix runs straight into the dots: the off-by-slash fault.
    return [bare, url, f"{url}{contract.DIRECTORY}/"]


def _seen_from(root: str, depth: int, target: str) -> str:
    """The rest of the path, so that a climb of this depth from the root arrives at the target."""
    base = root
    for _ in range(depth):
        base = posixpath.dirname(base)
    return posixpath.relpath(target, base)


def _hidden(site: Site) -> Iterator[str]:
    """Dotfiles inside the roots, with each of the dots and slashes also escaped."""
    for url in (*site.static_urls, site.media_url):
        for name in contract.HIDDEN:
            for dot, slash in itertools.product((".", "%2e", "%2E", "%252e"), ("/", "%2f", "//")):
                path = name.replace(".", dot).replace("/", slash)
                yield from (url + path, f"{url}/{path}", f"{url}./{path}", f"{url}x/../{path}")
                yield from (
                    f"{url}{path}?x",
                    f"{url}{path}%00.png",
                    f"{url}{path}/",
                    f"/{url}{path}",
                )


def markers(site: Site, host: Host) -> list[bytes]:
    """Bytes that show that a target was read."""
    passwd = host.read("/etc/passwd").splitlines()[0]
    env = [line for line in host.read(site.env_file).splitlines() if len(line) >= 12]
    return [contract.SECRET, passwd, *env]


def published(site: Site, host: Host) -> set[str]:
    """SHA-256 of every file that Nginx may serve."""
    found = set()
    mounts = tuple(f"{site.static_directory(url)}/" for url in site.static_urls)
    for path, digest in host.hash_tree(site.static_root, site.media_root).items():
        root = site.static_root if path.startswith(site.static_root) else site.media_root
        relative = path[len(root) :]
        allowed = root == site.media_root or path.startswith(mounts)
        if allowed and "/." not in relative:
            found.add(digest)
    return found


def run(site: Site, host: Host, corpus: Sequence[str]) -> Result:
    known = markers(site, host)
    allowed = published(site, host)
    shares = [corpus[start::CONNECTIONS] for start in range(CONNECTIONS)]
    result = Result()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for part in pool.map(lambda share: _send(site, share, known, allowed), shares):
            result.requests += part.requests
            result.statuses += part.statuses
            result.leaks += part.leaks
    return result


def _send(site: Site, share: Sequence[str], known: Sequence[bytes], allowed: set[str]) -> Result:
    result = Result()
    with site.connection() as connection:
        for target in share:
            response = connection.request("GET", target)
            result.requests += 1
            result.statuses[response.status] += 1
            reason = leaked(response, known, allowed)
            if reason:
                result.leaks.append((target, reason))
    return result


def leaked(response: Response, known: Sequence[bytes], allowed: set[str]) -> str:
    for marker in known:
        if marker in response.body:
            return f"{response.status} with {marker[:40]!r}"
    if response.status != 200 or not response.nginx_served_a_file:
        return ""
    if hashlib.sha256(response.body).hexdigest() in allowed:
        return ""
    return f"200 with a file that is not published: {response.body[:40]!r}"
