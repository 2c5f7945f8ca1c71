"""Every claim, measured and judged; what was selected is measured once, for all tests together.

A claim whose budget exceeds `DEEP_SECONDS` bears the marker ``deep``, one of tier full the marker ``full``: they are
left to ``pytest -m deep`` and ``pytest -m full``. All are judged on kept evidence in ``test_kept_evidence.py``.
"""

from pathlib import Path

import pytest

from ics_bench.claims import judge_run, load_catalogue
from ics_bench.execution.executors import parse_executor
from ics_bench.execution.plan import Settings
from ics_bench.execution.session import start

DEEP_SECONDS = 30
"""Largest budget, in seconds, that the default run of the tests bears for one claim."""

CATALOGUE = load_catalogue()


def deep(claim):
    if claim.tier == "full":
        return [pytest.mark.full]
    return [pytest.mark.deep] if claim.budget_seconds > DEEP_SECONDS else []


def each(claims):
    return pytest.mark.parametrize("claim", [pytest.param(claim, marks=deep(claim), id=claim.id) for claim in claims])


@pytest.fixture(scope="session")
def judgements(request, tmp_path_factory):
    """Judge the claims that the selected tests of this module are about."""
    selected = [item for item in request.session.items if item.path == Path(__file__) and hasattr(item, "callspec")]
    ids = {item.callspec.params["claim"].id for item in selected}
    settings = Settings(profile="standard", claims=tuple(claim.id for claim in CATALOGUE if claim.id in ids))
    with start(settings, tmp_path_factory.mktemp("claims") / "run") as session:
        run = session.measure(parse_executor("local"))
    assert not run.failed, [record.reason for record in run.failed]
    return {judgement.id: judgement for judgement in judge_run(run.measurements(), run.profile, tuple(settings.claims))}


@each(CATALOGUE)
def test_verdict_is_the_registered_one(judgements, claim):
    judgement = judgements[claim.id]
    evidence = {name: (finding.verdict, finding.effect) for name, finding in judgement.settings.items()}
    assert judgement.verdict == claim.registered, (evidence, judgement.warnings)


@each([claim for claim in CATALOGUE if claim.controls])
def test_negative_controls_come_out_empty(judgements, claim):
    assert {name: finding.verdict for name, finding in judgements[claim.id].controls.items()} == {
        control.name: "supported" for control in claim.controls
    }
