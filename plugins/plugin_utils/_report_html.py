# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""The report as one HTML page, which needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import html
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _report,
    _report_drift,
    _report_route,
)

Report = t.Mapping[str, t.Any]

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f3f4f7; --card: #fff; --text: #171b22; --quiet: #565e6b; --line: #d9dde4; --far: #b4bbc6; --well: #f6f7f9;
  --pass: #17703a; --pass-well: #e9f6ee; --fail: #b3211c; --fail-well: #fdeeec;
  --warn: #8a5300; --warn-well: #fdf3e1; --skip: #596270;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1116; --card: #171b22; --text: #e6e9ef; --quiet: #a0a8b5; --line: #303743; --far: #4b5563; --well: #10141a;
    --pass: #56c983; --pass-well: #12291c; --fail: #ff8a80; --fail-well: #331917;
    --warn: #e8b04b; --warn-well: #2e2411; --skip: #a0a8b5;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif;
}
main, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem; }
header { background: var(--card); border-bottom: 1px solid var(--line); }
header > div { max-width: 68rem; margin: 0 auto; padding: 2rem 1.5rem 1.75rem; }
h1, h2, h3, h4, p, ol, ul, dl, dd, pre, figure { margin: 0; padding: 0; }
ol, ul { list-style: none; }
h1 { font-size: 2.25rem; line-height: 1.15; letter-spacing: -.02em; display: flex; gap: .75rem; align-items: center; }
h1 svg { width: 2.25rem; height: 2.25rem; }
h2 { font-size: 1.25rem; letter-spacing: -.01em; margin: 2.5rem 0 1rem; }
h2 small { color: var(--quiet); font-weight: 400; font-size: .9375rem; margin-left: .5rem; letter-spacing: 0; }
code, pre, .mono { font-family: var(--mono); font-size: .875em; overflow-wrap: anywhere; }
svg { width: 1em; height: 1em; flex: none; vertical-align: -.125em; }
svg[hidden] { display: none; }
a { color: inherit; }
a:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
.of { color: var(--quiet); margin-bottom: .5rem; overflow-wrap: anywhere; }
.of b { color: var(--text); }
.pass { color: var(--pass); } .fail, .error { color: var(--fail); }
.skip { color: var(--skip); } .warning { color: var(--warn); }
.tally { margin-top: 1.25rem; display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center; }
.pips { display: flex; flex-wrap: wrap; gap: 3px; }
.pips i { width: .625rem; height: 1.25rem; border-radius: 2px; background: currentColor; }
.pips .pass { opacity: .8; }
.pips .skip { background: none; border: 1.5px solid currentColor; }
.unseen-text { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.card {
  background: var(--card); border: 1px solid var(--line); border-radius: .625rem; padding: 1rem 1.25rem;
  margin-bottom: .875rem; break-inside: avoid;
}
.finding { border-left: .375rem solid var(--mark); }
.finding.error { --mark: var(--fail); color: inherit; } .finding.warning { --mark: var(--warn); color: inherit; }
.finding h3 { font-size: 1.0625rem; margin-top: .25rem; overflow-wrap: anywhere; }
.finding h3 code { font-size: .9375rem; margin-right: .375rem; }
.meta { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline; font-size: .875rem; }
.badge { font-weight: 600; display: inline-flex; gap: .375rem; align-items: center; color: var(--mark); }
.meta code { color: var(--quiet); }
pre {
  background: var(--well); border: 1px solid var(--line); border-radius: .375rem; padding: .5rem .75rem;
  white-space: pre-wrap; margin: .625rem 0; line-height: 1.45;
}
.mend { display: grid; grid-template-columns: auto 1fr; gap: .375rem 1rem; }
.mend dt { color: var(--quiet); font-size: .875rem; padding-top: .0625rem; }
.mend dd { overflow-wrap: anywhere; white-space: pre-wrap; }
.mend dd code { background: var(--well); border: 1px solid var(--line); border-radius: .25rem; padding: .0625rem .375rem; }
.route h3 { font: 600 .9375rem/1.4 var(--mono); overflow-wrap: anywhere; }
.route .head { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .25rem 1.5rem; margin-bottom: .875rem; }
.route .head p { font-weight: 600; font-size: .9375rem; }
.lane { display: grid; grid-template-columns: 4.5rem 1fr; align-items: start; }
.lane + .lane { margin-top: .625rem; padding-top: .625rem; border-top: 1px dashed var(--line); }
.lane h4 { font-size: .8125rem; font-weight: 600; color: var(--quiet); padding-top: .5rem; }
.way { display: flex; flex-wrap: wrap; align-items: flex-start; gap: .625rem 1.625rem; }
.step {
  position: relative; border: 1.5px solid var(--edge); border-radius: .4375rem; background: var(--fill);
  padding: .3125rem .625rem .375rem; min-width: 4.25rem; max-width: 24rem; font-size: .875rem; line-height: 1.4;
}
.step.pass { --edge: var(--pass); --fill: var(--pass-well); color: inherit; }
.step.stop, .step.result { --edge: var(--fail); --fill: var(--fail-well); }
.step.stop { border-width: 2.5px; }
.step.beyond, .step.astray { --edge: var(--far); --fill: none; color: var(--quiet); }
.step.beyond { border-style: dashed; }
.step + .step::before {
  content: ""; position: absolute; right: calc(100% + .5rem); top: 1.125rem; width: .75rem;
  border-top: 2px solid var(--edge);
}
.step + .step::after {
  content: ""; position: absolute; right: calc(100% + .25rem); top: calc(1.125rem - .25rem + 1px);
  border: .25rem solid transparent; border-left: .4375rem solid var(--edge); border-right: 0;
}
.step.beyond::before { border-top-style: dotted; }
.step b { display: flex; gap: .375rem; align-items: baseline; font-family: var(--mono); font-weight: 600; overflow-wrap: anywhere; }
.step.beyond b, .step.astray b { font-weight: 400; }
.step b svg { color: var(--edge); align-self: center; }
.step.beyond b svg, .step.astray b svg { color: var(--quiet); }
.step span { display: block; color: var(--quiet); font-size: .8125rem; overflow-wrap: anywhere; }
.step .mono { font-size: .78125rem; }
.step em { display: block; font-style: normal; font-weight: 600; color: var(--fail); margin-top: .1875rem; overflow-wrap: anywhere; }
.legend { color: var(--quiet); font-size: .875rem; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin-bottom: 1rem; }
.legend span { display: inline-flex; gap: .375rem; align-items: center; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
th { text-align: left; font-size: .8125rem; color: var(--quiet); font-weight: 600; }
th, td { padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child > * { border-bottom: 0; }
tbody th { color: inherit; font-size: inherit; font-weight: 400; min-width: 13rem; }
tbody th code { display: block; color: var(--quiet); }
td:first-child { white-space: nowrap; font-weight: 600; }
td { overflow-wrap: anywhere; }
.list li { padding: .375rem 0; overflow-wrap: anywhere; }
.list li + li { border-top: 1px solid var(--line); }
.facts { display: grid; grid-template-columns: minmax(6rem, auto) 1fr; gap: .375rem 1.5rem; }
.facts dt { color: var(--quiet); }
.facts dd { overflow-wrap: anywhere; }
footer { color: var(--quiet); font-size: .875rem; padding-top: 1.5rem; padding-bottom: 3rem; }
@media (max-width: 40rem) {
  main, footer { padding: 0 1rem; }
  h1 { font-size: 1.75rem; }
  .card { padding: 1rem; }
  .lane, .mend, .facts { grid-template-columns: 1fr; }
  .lane h4 { padding: 0 0 .375rem; }
  .way { padding-left: 1.25rem; }
}
@media print {
  body, header { background: none; font-size: 10pt; }
  main, footer, header > div { max-width: none; padding-left: 0; padding-right: 0; }
  h2 { break-after: avoid; }
  tr, .step { break-inside: avoid; }
  .step, .pips i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

MADE_BY = "flaskworks.static_media.flask_verify, which changes nothing"

# Shapes, so that colour is never the only mark.
ICONS = {
    "pass": '<path d="M3 8.5l3.2 3.2L13 4.8" fill="none" stroke="currentColor" stroke-width="2.2" '
    'stroke-linecap="round" stroke-linejoin="round"/>',
    "fail": '<path d="M4 4l8 8M12 4l-8 8" fill="none" stroke="currentColor" stroke-width="2.4" '
    'stroke-linecap="round"/>',
    "warning": '<path d="M8 1.8L15 14H1z" fill="none" stroke="currentColor" stroke-width="1.7" '
    'stroke-linejoin="round"/><path d="M8 6.2v3.6M8 11.6v.6" stroke="currentColor" stroke-width="1.8" '
    'stroke-linecap="round"/>',
    "turn": '<path d="M3 4v4.5h9M9 5.5l3 3-3 3" fill="none" stroke="currentColor" stroke-width="1.9" '
    'stroke-linecap="round" stroke-linejoin="round"/>',
    "skip": '<path d="M4 8h8" stroke="currentColor" stroke-width="2.2" stroke-linecap="round"/>',
}
STATE_ICONS = {
    "stop": "fail",
    "result": "fail",
    "beyond": "skip",
    "astray": "turn",
    "error": "fail",
}
STATE_WORDS = {
    "pass": "passes",
    "stop": "stops or goes wrong here",
    "beyond": "not reached",
    "astray": "goes here instead",
    "result": "wrong answer",
}
LEGEND = {"pass": "pass", "stop": "fail", "beyond": "skip", "astray": "skip"}
STATUS_WORDS = {"pass": "passed", "fail": "failed", "skip": "not checked"}
SEVERITY_WORDS = {"error": "Error", "warning": "Warning"}
LANE_WORDS = {"nginx": "Nginx", "disk": "On disk", "app": "App", "answer": "Answer"}


def page(report: Report) -> str:
    """Return the report as a page.

    Whatever is in the report is text: all of it is escaped, and the page's own policy forbids scripts,
    other styles than its own, and anything from elsewhere.
    """
    title = f"{report['app']} on {report['host']}: {_report.verdict(report)}"
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    sections = (
        _findings(report),
        _drift(report.get("drift")),
        _routes(report),
        _checks(report),
        _unseen(report.get("unseen") or []),
        _discovered(report.get("discovered") or {}),
    )
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="robots" content="noindex">',
            f"<title>{_e(title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            _symbols(),
            _header(report),
            "<main>",
            *(section for section in sections if section),
            "</main>",
            f"<footer><p>Seen {_e(_time(report['generated']))} by {MADE_BY}.</p></footer>",
            "</body>",
            "</html>",
            "",
        )
    )


def _e(value: t.Any) -> str:
    return html.escape(_report.harmless(value))


def _icon(name: str) -> str:
    return f'<svg aria-hidden="true" viewBox="0 0 16 16"><use href="#icon-{STATE_ICONS.get(name, name)}"/></svg>'


def _symbols() -> str:
    shapes = "".join(
        f'<symbol id="icon-{name}" viewBox="0 0 16 16">{shape}</symbol>'
        for name, shape in ICONS.items()
    )
    return f'<svg hidden aria-hidden="true" width="0" height="0">{shapes}</svg>'


def _time(generated: str) -> str:
    return generated.replace("T", " ").removesuffix("Z") + " UTC"


def _header(report: Report) -> str:
    mark = {"error": "error", "warning": "warning", None: "pass"}[_report.worst(report)]
    url = f" · {_e(report['url'])}" if report.get("url") else ""
    pips = "".join(f'<i class="{_status(check)}"></i>' for check in report["checks"])
    return (
        f'<header><div><p class="of"><b>{_e(report["app"])}</b> on <b>{_e(report["host"])}</b>{url} · '
        f"{_e(_time(report['generated']))}</p>"
        f'<h1><span class="{mark}">{_icon(mark)}</span>{_e(_report.verdict(report))}</h1>'
        f'<div class="tally"><span class="pips" aria-hidden="true">{pips}</span>'
        f"<span>{_e(_report.number(len(report['checks']), 'check'))}: {_e(_report.tally(report))}"
        "</span></div></div></header>"
    )


def _status(check: t.Mapping[str, t.Any]) -> str:
    return check["status"] if check["status"] in _report.STATUSES else "skip"


def _section(name: str, heading: str, body: str, note: str = "") -> str:
    small = f"<small>{_e(note)}</small>" if note else ""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{_e(heading)}{small}</h2>\n{body}\n</section>'


def _findings(report: Report) -> str:
    groups = _report.by_severity(report)
    cards = [
        _finding(number, finding, severity)
        for severity, found in groups.items()
        for number, finding in found
    ]
    return _section("findings", "What is wrong", "\n".join(cards)) if cards else ""


def _finding(number: int, finding: t.Mapping[str, t.Any], severity: str) -> str:
    evidence = _report.cut(finding["evidence"], lines=20, characters=2000)
    seen = f'<pre aria-label="What was seen">{_e(evidence)}</pre>' if evidence else ""
    variable = finding.get("variable")
    mend = f"<dt>Mend</dt><dd>{_e(finding['fix'])}</dd>"
    if variable:
        mend += f"<dt>Set</dt><dd><code>{_e(variable)}</code> in this collection</dd>"
    return (
        f'<article class="card finding {severity}" id="finding-{number}" aria-labelledby="finding-{number}-title">'
        f'<p class="meta"><span class="badge">{_icon(severity)} {SEVERITY_WORDS[severity]} {number}</span>'
        f"<code>{_e(finding['id'])}</code></p>"
        f'<h3 id="finding-{number}-title"><code>{_e(finding["component"])}</code> {_e(finding["message"])}</h3>'
        f'{seen}<dl class="mend">{mend}</dl></article>'
    )


def _routes(report: Report) -> str:
    routes = report.get("routes") or []
    if not routes:
        return ""
    # What does not arrive is what the page is opened for.
    ordered = sorted(routes, key=lambda route: bool(route["ok"]))
    good = sum(bool(route["ok"]) for route in routes)
    shown = {
        step.state for route in routes for step in _report_route.steps(route, report["findings"])
    }
    legend = "".join(
        f'<span><b class="{style}">{_icon(state)}</b>{_e(STATE_WORDS[state])}</span>'
        for state, style in LEGEND.items()
        if state in shown
    )
    drawn = [_route(number, route, report["findings"]) for number, route in enumerate(ordered, 1)]
    return _section(
        "routes",
        "The way of a request",
        f'<p class="legend">{legend}</p>\n' + "\n".join(drawn),
        f"{good} of {_report.number(len(routes), 'request')} answered as they should be",
    )


def _route(number: int, route: t.Mapping[str, t.Any], findings: t.Sequence[Report]) -> str:
    way = _report_route.steps(route, findings)
    lanes = []
    for lane in _report_route.LANES:
        # The head tells the answer; it is drawn where it is itself at fault.
        own = [step for step in way if step.lane == lane and (lane != "answer" or step.why)]
        if own:
            label = f"route-{number}-{lane}"
            items = "".join(map(_step, own))
            lanes.append(
                f'<div class="lane"><h4 id="{label}">{LANE_WORDS[lane]}</h4>'
                f'<ol class="way" aria-labelledby="{label}">{items}</ol></div>'
            )
    index = route.get("finding")
    link = ""
    if _report_route.finding_of(route, findings) is not None and index is not None:
        severity = SEVERITY_WORDS.get(findings[index]["severity"], "Finding").lower()
        link = f' · <a href="#finding-{index + 1}">see {severity} {index + 1}</a>'
    state = "pass" if route["ok"] else "fail"
    return (
        f'<figure class="card route" aria-labelledby="route-{number}"><div class="head">'
        f'<h3 id="route-{number}">{_e(route["url"])}</h3>'
        f'<p class="{state}">{_icon(state)} {_e(_report_route.answer(route))}{link}</p></div>'
        f"{''.join(lanes)}</figure>"
    )


def _step(step: _report_route.Step) -> str:
    kind = "" if step.label in ("directory", "answer") else f"<span>{_e(step.label)}</span>"
    details = "".join(f'<span class="mono">{_e(detail)}</span>' for detail in step.details)
    why = f"<em>{_e(step.why)}</em>" if step.why else ""
    return (
        f'<li class="step {step.state}">{kind}<b>{_icon(step.state)}'
        f'<span class="unseen-text">{STATE_WORDS[step.state]}: </span>{_e(step.name)}</b>{details}{why}</li>'
    )


def _checks(report: Report) -> str:
    # Those that fail first, then what could not be checked.
    order = ("fail", "skip", "pass")
    rows = "".join(
        f'<tr><td class="{_status(check)}">{_icon(_status(check))} {STATUS_WORDS[_status(check)]}</td>'
        f'<th scope="row">{_e(_report.title(check))}<code>{_e(check["id"])}</code></th>'
        f"<td>{_e(_report.cut(check['evidence'], characters=1000))}</td></tr>"
        for check in sorted(report["checks"], key=lambda check: order.index(_status(check)))
    )
    if not rows:
        return ""
    return _section(
        "checks",
        "What was checked",
        '<div class="card scroll"><table><thead><tr><th scope="col">Result</th><th scope="col">Check</th>'
        f'<th scope="col">Seen</th></tr></thead><tbody>{rows}</tbody></table></div>',
        _report.tally(report),
    )


def _unseen(entries: t.Sequence[str]) -> str:
    items = "".join(f"<li>{_e(entry)}</li>" for entry in entries)
    return (
        _section("unseen", "What could not be seen", f'<ul class="card list">{items}</ul>')
        if items
        else ""
    )


def _discovered(found: t.Mapping[str, t.Any]) -> str:
    rows = "".join(f"<dt>{_e(name)}</dt><dd>{_e(value)}</dd>" for name, value in found.items())
    return (
        _section("discovered", "What was found", f'<dl class="card facts">{rows}</dl>')
        if rows
        else ""
    )


def _drift(drift: Report | None) -> str:
    if drift is None:
        return ""
    rows = [
        f'<li><b class="{style}">{words}</b> <code>{_e(finding["id"])}</code> {_e(finding["component"])}: '
        f"{_e(finding['message'])}</li>"
        for name, words, style in (("new", "New", "fail"), ("gone", "Gone", "pass"))
        for finding in drift["findings"][name]
    ]
    rows += [
        f"<li><b>Changed</b> {_e(name)}: {_e(change)}</li>"
        for name, change in _report_drift.changes(drift)
    ]
    same = len(drift["findings"]["same"])
    if same:
        rows.append(f"<li>{_e(_report.number(same, 'finding'))} as before</li>")
    if _report_drift.is_same(drift):
        rows.insert(0, "<li>Nothing has changed.</li>")
    other = "" if not drift.get("host") else f"{drift['app']} on {drift['host']}, {drift['path']}"
    body = f'<ul class="card list">{"".join(rows)}</ul>'
    return _section("drift", f"Since {_time(drift['since'])}", body, other)
