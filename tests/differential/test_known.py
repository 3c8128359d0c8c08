"""What must come out, of Nginx and of the prediction."""

from __future__ import annotations

import comparison
import configurations
import known
import nginxes
import pytest
from configurations import Request


def _http(server: str) -> str:
    text = f"listen 127.0.0.1:{{port}}; server_name www;\n{server}"
    return configurations.http_block(configurations.Server(text, 0))


@pytest.mark.parametrize("case", known.ALL, ids=lambda case: case.title)
def test_known_cases(
    case: known.Known,
    nginx: nginxes.Nginx,
    place: comparison.Place,
) -> None:
    requests = [Request("GET", target) for target, _status, _fact in case.answers]
    outcomes = comparison.ask(nginx, place, _http(case.server), requests)
    wrong = []
    for outcome, (target, status, fact) in zip(outcomes.answers, case.answers, strict=True):
        assert outcome.response is not None
        real = comparison.tells(outcome.response, fact, place.directory, outcomes.port)
        route = comparison.predict(outcomes.config, outcomes.port, outcome.request)
        said = comparison.predicts(route, fact, place.directory, outcomes.port)
        if (outcome.response.status, real) != (status, True):
            wrong.append(f"Nginx, {target}: not {status} {fact}\n{outcome.response}")
        if (route.status or 200, said) != (status, True):
            wrong.append(f"prediction, {target}: not {status} {fact}\n{route.status} {route.steps}")
    assert not wrong, "\n".join(wrong)
