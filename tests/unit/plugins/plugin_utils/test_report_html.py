"""The report as a page: all is told, nothing is obeyed, nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _report_drift,
    _report_html,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reports import SITE, check, component, faulty, finding, healthy, route

VOID = {"meta", "br", "use", "path"}


class Page(html.parser.HTMLParser):
    """What a browser makes of a page, as far as it matters here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"{tag} has an attribute twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def ids(self) -> list[str | None]:
        return [attrs["id"] for _tag, attrs in self.tags if "id" in attrs]

    def shape(self) -> list[tuple[str, list[str]]]:
        """The page without any text: what no text may change."""
        return [(tag, sorted(attrs)) for tag, attrs in self.tags]


def read(report: dict[str, t.Any]) -> Page:
    page = Page(_report_html.page(report))
    assert not page.open
    return page


def drifted() -> dict[str, t.Any]:
    report = faulty()
    return {**report, "drift": _report_drift.compare(healthy(), report, "/r/old.json")}


def test_the_page_tells_all() -> None:
    text = read(drifted()).text
    for told in (
        "2 errors and 1 warning",
        "https://gallery.example.com",
        "5 checks: 2 passed, 2 failed, 1 not checked",
        "Error 1 not-traversable /srv/gallery www-data can't pass through it drwxr-x---",
        "Mend Let Nginx's user through: setfacl -m u:www-data:x /srv/gallery",
        "Set flask_media_root in this collection",
        "Warning 2 disk-full",
        f"Error 3 served-by-app {SITE}:31 the app serves these files, not Nginx",
        "Since 2026-11-29 09:00:00 UTC",
        "New not-traversable",
        "2 of 4 requests answered as they should be",
        "403 Forbidden by Nginx · see error 1",
        "stops or goes wrong here: gallery 0750 root:root www-data is not in group root",
        "not reached: media 2750 gallery:www-data ACL",
        "file not reached: kitten.jpg 0640 gallery:www-data",
        f"location stops or goes wrong here: / {SITE}:31 the app serves these files, not Nginx",
        "upstream goes here instead: unix:/run/gallery.sock",
        "failed Nginx can read both nginx-reads-both",
        "not checked Each name of the site",
        "the environment of gunicorn (process 812)",
        "gunicorn wsgi:app as gallery (unit gallery.service)",
    ):
        assert told in text, told


def test_an_answer_that_is_itself_at_fault_is_drawn() -> None:
    report = faulty()
    report["routes"] = [{**report["routes"][0], "ok": False, "finding": 1}]
    assert "stops or goes wrong here: 200 OK by Nginx /srv is at fault" in read(report).text
    assert "Answer" not in read(faulty()).text


def test_a_healthy_host_has_a_short_page() -> None:
    text = read(healthy()).text
    assert "All is well" in text
    for heading in ("What is wrong", "could not be seen", "Since", "goes wrong here:"):
        assert heading not in text


def test_an_app_whose_address_nobody_knows_has_a_page() -> None:
    report = {**healthy(), "url": None}
    report["checks"] = [{**one, "title": None} for one in report["checks"]]
    assert "gallery on web1 · 2026-11-29" in read(report).text


CONTRASTS = [
    *((text, well) for text in ("text", "quiet") for well in ("page", "card", "well")),
    *((text, "card") for text in ("pass", "fail", "warn", "skip")),
    *((text, f"{state}-well") for state in ("pass", "fail") for text in (state, "text", "quiet")),
]


def luminance(colour: str) -> float:
    """Of WCAG 2.2, "relative luminance"."""
    digits = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
    parts = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_it_can_be_read_by_day_and_by_night() -> None:
    day, night = (
        dict(re.findall(r"--([\w-]+): #(\w+);", block))
        for block in re.findall(r":root \{(.*?)\}", _report_html.STYLE, re.DOTALL)
    )
    for colours in (day, night):
        for text, well in CONTRASTS:
            dark, light = sorted(map(luminance, (colours[text], colours[well])))
            # Level AA, for text of any size
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, well)


def test_the_page_needs_nothing_but_itself() -> None:
    text = _report_html.page(drifted())
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "form", "base"} & {
        tag for tag, _attrs in page.tags
    }
    for _tag, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on") or name in ("src", "style")]
        for name in ("href", "xlink:href"):
            assert (attrs.get(name) or "#").startswith("#")
    assert not re.search(r"url\(|@import|//", _report_html.STYLE)


def test_its_policy_allows_its_own_style_only() -> None:
    text = _report_html.page(faulty())
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'" in text


def test_it_can_be_heard() -> None:
    page = read(drifted())
    assert ("html", {"lang": "en"}) in page.tags
    ids = page.ids()
    assert len(ids) == len({*ids})
    for tag, attrs in page.tags:
        if "aria-labelledby" in attrs:
            assert attrs["aria-labelledby"] in ids
        if attrs.get("href"):
            assert str(attrs["href"])[1:] in ids
        if tag == "svg":
            assert attrs["aria-hidden"] == "true"
    levels = [int(tag[1]) for tag, _attrs in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:]))
    assert {tag for tag, _attrs in page.tags} >= {"main", "header", "footer", "section"}


def hostile(text: str) -> dict[str, t.Any]:
    """A report in which everything that a host says is one text."""
    return {
        "schema": 1,
        "host": text,
        "app": text,
        "url": text,
        "ok": False,
        "generated": text,
        "checks": [check(text, status, text, text) for status in ("pass", "fail", "skip")],
        "findings": [
            finding(
                text, text, severity=severity, message=text, evidence=text, fix=text, variable=text
            )
            for severity in ("error", "warning")
        ],
        "routes": [
            route(
                text,
                text,
                1,
                ok=False,
                finding=0,
                upstream=text,
                server={"name": text, "component": text},
                path=[
                    component(
                        f"/{text}", text, text, group=text, acl=True, type=text, ok=False, why=text
                    )
                ],
            )
        ],
        "unseen": [text],
        "discovered": {text: text},
        "drift": {
            "since": text,
            "host": text,
            "app": text,
            "path": text,
            "findings": {name: [finding(text, text)] for name in ("new", "gone", "same")},
            "checks": [{"id": text, "title": text, "before": text, "after": text}],
            "facts": [{"name": text, "before": text, "after": None}],
            "routes": [{"url": text, "before": None, "after": text}],
        },
    }


SHAPE = read(hostile("x")).shape()
MARKUP = st.sampled_from(
    [
        *("<script>alert(1)</script>", "</style><script>", "</pre>", '" onload="x', "' x='", "-->"),
        *("<!--", "]]>", "&lt;", "&#60;script", "javascript:x", "{{x}}", "\x00<b>", "\ud800", "=`"),
    ]
)


@given(
    st.lists(st.one_of(MARKUP, st.text(st.characters(codec=None))), min_size=1)
    .map("".join)
    # An empty evidence is not shown at all.
    .map(lambda text: f"x{text}x")
)
def test_no_text_changes_the_page(text: str) -> None:
    page = read(hostile(text))
    assert page.shape() == SHAPE
    _report_html.page(hostile(text)).encode("utf-8")


def test_a_text_is_shown_as_it_is() -> None:
    assert (
        "x<script>alert(1)</script>&amp;x" in read(hostile("x<script>alert(1)</script>&amp;x")).text
    )
