"""The catalogue of claims (data) and the judge (a pure function from measurements to judgements)."""

from ics_bench.claims.catalogue import load_catalogue, parse_catalogue, select
from ics_bench.claims.claim import Claim, Setting
from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.family import correct_family, judge_run, training_claims
from ics_bench.claims.finding import Finding
from ics_bench.claims.judge import Judgement, judge
from ics_bench.claims.needs import requirements

__all__ = [
    "Arm",
    "Claim",
    "Evidence",
    "Finding",
    "Judgement",
    "Setting",
    "correct_family",
    "judge",
    "judge_run",
    "load_catalogue",
    "parse_catalogue",
    "requirements",
    "select",
    "training_claims",
]
