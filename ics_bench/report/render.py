"""Fills the templates; whatever a run holds is escaped here, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

import ics_bench
from ics_bench.core.text import count
from ics_bench.report import text
from ics_bench.report.environment import fields
from ics_bench.report.page import labels_of, view_runs
from ics_bench.report.verdicts import SIGNS, tally, view_judgements
from ics_bench.results.run import Run

if TYPE_CHECKING:
    from ics_bench.claims.judge import Judgement

GENERATOR = "ics-bench"


def render(runs: Sequence[Run], judgements: Sequence[Judgement] = ()) -> str:
    """Write the page as one string of HTML."""
    views = view_runs(runs)
    return (
        template_environment()
        .get_template("page.html.jinja")
        .render(
            generator=f"{GENERATOR} {ics_bench.__version__}",
            runs=views,
            quick=[view for view in views if view.quick],
            judgements=view_judgements(judgements, runs),
            tally=tally(judgements),
            signs=SIGNS,
            labels=labels_of(runs),
            environment=fields(runs),
        )
    )


def template_environment() -> jinja2.Environment:
    """Make what loads the templates and escapes what they are given."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ics_bench.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters |= {"words": text.words, "shorten": text.shorten, "count": count}
    return environment


def _finalize(value: Any) -> Any:
    return text.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
