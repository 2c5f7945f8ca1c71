"""Every claim, measured at its own tier and judged; measured once for all of them."""

import pytest

from ics_bench.claims import judge_run, load_catalogue
from ics_bench.execution.executors import parse_executor
from ics_bench.execution.plan import Settings
from ics_bench.execution.session import start

CATALOGUE = load_catalogue()


@pytest.fixture(scope="session")
def judgements(tmp_path_factory):
    settings = Settings(profile="standard", claims=tuple(claim.id for claim in CATALOGUE))
    with start(settings, tmp_path_factory.mktemp("claims") / "run") as session:
        run = session.measure(parse_executor("local"))
    assert not run.failed, [record.reason for record in run.failed]
    return {judgement.id: judgement for judgement in judge_run(run.measurements(), run.profile, tuple(settings.claims))}


@pytest.mark.parametrize("claim", CATALOGUE, ids=lambda claim: claim.id)
def test_verdict_is_the_registered_one(judgements, claim):
    judgement = judgements[claim.id]
    evidence = {name: (finding.verdict, finding.effect) for name, finding in judgement.settings.items()}
    assert judgement.verdict == claim.registered, (evidence, judgement.warnings)


@pytest.mark.parametrize("claim", [claim for claim in CATALOGUE if claim.controls], ids=lambda claim: claim.id)
def test_negative_controls_come_out_empty(judgements, claim):
    assert {name: finding.verdict for name, finding in judgements[claim.id].controls.items()} == {
        control.name: "supported" for control in claim.controls
    }
