"""The catalogue of claims (data) and the judge (a pure function from measurements to judgements)."""

from ics_bench.claims.catalogue_files import load_catalogue, parse_catalogue, select
from ics_bench.claims.claim import Claim, Setting
from ics_bench.claims.costs import seconds_by_claim
from ics_bench.claims.evidence import Arm, Evidence
from ics_bench.claims.family import correct_family, judge_run, judge_runs, training_claims
from ics_bench.claims.finding import Finding
from ics_bench.claims.judge import Judgement, judge, may_judge
from ics_bench.claims.kept import as_evidence, metrics_read
from ics_bench.claims.needs import case_of, requirements
from ics_bench.claims.tracked import tracked_arms, tracked_value

__all__ = [
    "Arm",
    "Claim",
    "Evidence",
    "Finding",
    "Judgement",
    "Setting",
    "as_evidence",
    "case_of",
    "correct_family",
    "judge",
    "judge_run",
    "judge_runs",
    "load_catalogue",
    "may_judge",
    "metrics_read",
    "parse_catalogue",
    "requirements",
    "seconds_by_claim",
    "select",
    "tracked_arms",
    "tracked_value",
    "training_claims",
]
