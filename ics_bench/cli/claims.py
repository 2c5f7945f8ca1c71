"""``ics-bench claims``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ics_bench.cli.main import exit_codes
from ics_bench.cli.outcome import measure, print_account, print_report
from ics_bench.cli.text import printable
from ics_bench.cli.verdicts import Judged, repetition_table, verdict_table, write_judgements, write_repetition
from ics_bench.core import PROFILES, UsageError, unknown
from ics_bench.execution.executors import Executor, parse_executor
from ics_bench.execution.plan import Settings
from ics_bench.execution.session import default_folder, start
from ics_bench.results.files import check_target
from ics_bench.results.run import Run

if TYPE_CHECKING:
    from ics_bench.claims import Claim, Judgement

MAX_REPEATS = 1000
"""More is a slip of the finger: a run of all claims takes many minutes."""

HELP = f"""Judge claims, and say whether each verdict is the registered one.

Without ID, the claims of tier standard are judged, at profile full all, or with --run every claim that the runs were
made for or, if for none, bear on. Without --run, what the claims need is measured first, and no more. The profile
quick never judges.

The registered verdicts were confirmed on seeds from 0 up. --fresh-seeds draws others that were never used, prints
where they start, and keeps it in the run; --first-seed repeats them. --repeat K measures K times, each on seeds of
its own, and shows the share of the verdicts that repeat.

A claim that comes out differently weighs more than an inconclusive one: then the exit code is 1.

\b
{exit_codes()}"""


@click.command(help=HELP)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--run",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Judge this run's measurements; may be given several times.",
)
@click.option(
    "--by-seeds", is_flag=True, help="Judge the runs of each first seed apart, and show which verdicts repeat."
)
@click.option("--profile", metavar="quick|standard|full", help="How much to measure.  [default: standard]")
@click.option("--tier", metavar="standard|full", help="Only claims of this tier; those of full take long.")
@click.option("--fresh-seeds", is_flag=True, help="Measure on seeds that were never used.")
@click.option("--first-seed", type=int, metavar="N", help="Count seeds from here.  [default: 0]")
@click.option("--repeat", type=int, metavar="K", help="Measure K times, on fresh seeds unless --first-seed is given.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to make [default: runs/TIME-PROFILE]; with --run, where --report goes.",
)
@click.option("--executor", metavar="inline|local[:N]", help="In how many processes.  [default: local]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the judgements here.")
@click.option("--report", is_flag=True, help="Write RUN/report/index.html, with the verdicts, too.")
def command(
    ids: tuple[str, ...],
    folders: tuple[Path, ...],
    tier: str | None,
    by_seeds: bool,
    json_file: Path | None,
    report: bool,
    **measuring: Any,
) -> int:
    """Judge runs, or measure and judge."""
    from ics_bench.claims import load_catalogue

    catalogue = load_catalogue()
    if json_file is not None:
        check_target(json_file)
    if folders:
        page = _page(folders, measuring.pop("out"), report)
        for name, value in measuring.items():
            if value is not None and value is not False:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} says how to measure; with --run nothing is measured, so leave it out")
        runs, chosen = [Run.open(folder) for folder in folders], choose(catalogue, ids, tier, None)
        if by_seeds:
            if page:
                raise UsageError("--report is about one judgement of each claim; leave out --by-seeds or --report")
            return _show_repeats(_judge_by_seeds(runs, chosen, catalogue), json_file)
        return _show(_judge(runs, chosen, catalogue), catalogue, json_file, page)
    if by_seeds:
        raise UsageError("--by-seeds is about runs that were made; name them with --run, or measure with --repeat K")
    profile = measuring["profile"] or "standard"
    chosen = choose(catalogue, ids, tier, profile)
    if report and measuring["repeat"]:
        raise UsageError("--report is about one run; with --repeat leave it out, then: ics-bench report RUN ...")
    repeats, seeds = _seed_ranges(measuring["fresh_seeds"], measuring["first_seed"], measuring["repeat"])
    performing = parse_executor(measuring["executor"] or "local")
    out = measuring["out"] or default_folder(f"{profile}-claims")
    if not repeats:
        judged = _judge([_measure(chosen, profile, seeds[0], out, performing)], chosen, catalogue)
        code = _show(judged, catalogue, json_file, out / "report" if report else None)
        if left := left_out(catalogue, ids, tier, profile):
            click.echo(
                f"not measured: {', '.join(left)}, of tier full, which take hours; "
                "to measure them: ics-bench claims --tier full; to judge a run of theirs: --run RUN"
            )
        return code
    each = {
        seed: _judge([_measure(chosen, profile, seed, out / f"{place}", performing)], chosen, catalogue)
        for place, seed in enumerate(seeds, 1)
    }
    code = _show_repeats(each, json_file)
    click.echo(f"runs    {printable(str(out))}")
    return code


def choose(catalogue: Sequence[Claim], ids: Sequence[str], tier: str | None, profile: str | None) -> tuple[str, ...]:
    """Ids to judge: those named, else those of the tier, else those of the profile's tiers; ``()`` for any.

    Raises
    ------
    UsageError
        For an unknown id, tier or profile.
    """
    from ics_bench.claims import select

    for name, value, known in (("tier", tier, PROFILES[1:]), ("profile", profile, PROFILES)):
        if value is not None and value not in known:
            raise unknown(name, value, known)
    chosen = select(catalogue, ids) if ids else list(catalogue)
    if tier is not None:
        chosen = [claim for claim in chosen if claim.tier == tier]
        if not chosen:
            raise UsageError(f"no claim that was asked for is of tier {tier}; ics-bench list claims shows the tiers")
    elif not ids and profile is None:
        return ()
    elif not ids and profile != "full":  # quick only shows that these can be measured
        chosen = [claim for claim in chosen if claim.tier == "standard"]
    return tuple(claim.id for claim in chosen)


def _page(folders: Sequence[Path], out: Path | None, report: bool) -> Path | None:
    """Folder of the page about runs that are there: the one named, else within the one run."""
    if not report:
        if out is not None:
            raise UsageError("--out says where to measure, or with --run where --report goes; add --report")
        return None
    if out is None and len(folders) > 1:
        raise UsageError(f"--report is about {len(folders)} runs; say where it goes with --out DIR")
    return out or folders[0] / "report"


def _seed_ranges(fresh: bool, first: int | None, repeat: int | None) -> tuple[int, tuple[int, ...]]:
    """Return the number of repetitions, 0 for a single run, and where each run counts its seeds from."""
    from ics_bench.claims.repetition import first_seeds, fresh_first_seed

    if fresh and first is not None:
        raise UsageError("--fresh-seeds draws the first seed and --first-seed names it; give one of them")
    if first is not None and first < 0:
        raise UsageError(f"--first-seed {first}: seeds are counted from 0 or more")
    if repeat is not None and not 1 <= repeat <= MAX_REPEATS:
        raise UsageError(f"--repeat {repeat}: the number of runs is between 1 and {MAX_REPEATS}")
    runs = repeat or 1
    if first is None:
        first = fresh_first_seed(runs) if fresh or repeat else 0
    if first:
        click.echo(f"seeds from {first}; to repeat: --first-seed {first}{f' --repeat {repeat}' if repeat else ''}")
    return repeat or 0, first_seeds(first, runs)


def _measure(chosen: tuple[str, ...], profile: str, first_seed: int, out: Path, executor: Executor) -> Run:
    settings = Settings(profile=profile, first_seed=first_seed, claims=chosen)  # type: ignore[arg-type]
    with start(settings, out) as session:
        return measure(session, executor)


def _judge(runs: list[Run], ids: tuple[str, ...], catalogue: Sequence[Claim]) -> Judged:
    from ics_bench.claims import judge_runs, seconds_by_claim

    made_for = [tuple(run.settings.get("claims", ())) for run in runs]
    if not ids and all(made_for):
        ids = tuple(name for names in made_for for name in names)
    found = judge_runs([(run.measurements(), run.profile) for run in runs], ids)
    if not found:
        named = ", ".join(repr(str(run.folder)) for run in runs)
        raise UsageError(f"{named} bears on no claim; to measure what they need: ics-bench claims")
    took = [seconds_by_claim(catalogue, run.records) for run in runs]
    places = {judgement.id: place for judgement, place in found}
    seconds = {name: took[place][name] for name, place in places.items()}
    return Judged(runs, [judgement for judgement, _ in found], places, seconds)


def _show(judged: Judged, catalogue: Sequence[Claim], json_file: Path | None, page: Path | None) -> int:
    click.echo(f"{verdict_table(judged.judgements, catalogue, judged.seconds)}\n")
    for run in judged.runs:
        print_account(run)
    if json_file is not None:
        write_judgements(json_file, judged, catalogue)
        click.echo(f"json    {printable(str(json_file))}")
    if page:
        print_report(judged.runs, page, judged.judgements)
    return exit_code(judged.judgements, judged.failed)


def _judge_by_seeds(runs: list[Run], ids: tuple[str, ...], catalogue: Sequence[Claim]) -> dict[int, Judged]:
    """Judge together what counts its seeds from one place, by that place; of the ids, what those runs were made for."""
    groups: dict[int, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.settings["first_seed"], []).append(run)
    _check_apart(groups)
    lacking = [name for name in ids if not any(name in run.settings.get("claims", ()) for run in runs)]
    if lacking:
        raise UsageError(f"{', '.join(lacking)}: no run was made for it; to measure: ics-bench claims ID --repeat 3")
    found = {}
    for first, group in groups.items():
        made_for = {name for run in group for name in run.settings.get("claims", ())}
        known = [claim.id for claim in catalogue if claim.id in made_for and (not ids or claim.id in ids)]
        if known:
            found[first] = _judge(group, tuple(known), catalogue)
    if not found:
        named = ", ".join(repr(str(run.folder)) for run in runs)
        raise UsageError(f"{named}: made for none of these claims; to measure: ics-bench claims ID --repeat 3")
    return found


def _check_apart(groups: Mapping[int, Sequence[Run]]) -> None:
    """Refuse runs that share seeds without being of one first seed: they are no repetition."""
    firsts = sorted(groups)
    for first, following in pairwise(firsts):
        seeds = max((len(record.seeds) for run in groups[first] for record in run.records), default=0)
        if following < first + seeds:
            raise UsageError(
                f"the runs from seed {first} and from {following} share seeds up to {first + seeds - 1}: "
                "they are no repetition; leave one of them out"
            )


def _show_repeats(each: Mapping[int, Judged], json_file: Path | None) -> int:
    from ics_bench.claims.repetition import Repetition

    repetition = Repetition.of({first: judged.judgements for first, judged in each.items()})
    click.echo(f"{repetition_table(repetition)}\n")
    if json_file is not None:
        write_repetition(json_file, repetition)
        click.echo(f"json    {printable(str(json_file))}")
    for run in (run for judged in each.values() for run in judged.runs if run.failed):
        print_account(run)
    found = [judgement for judged in each.values() for judgement in judged.judgements]
    return exit_code(found, any(judged.failed for judged in each.values()))


def left_out(catalogue: Sequence[Claim], ids: Sequence[str], tier: str | None, profile: str) -> list[str]:
    """Ids of the claims that `choose` leaves to those who ask for them; none where something was asked for."""
    if ids or tier is not None or profile == "full":
        return []
    return [claim.id for claim in catalogue if claim.tier == "full"]


def exit_code(judgements: Sequence[Judgement], failed: bool) -> int:
    """2 if a measurement failed, else 1 if a verdict reached differs, else 3 if one is missing, else 0."""
    if failed:
        return 2
    different = [j for j in judgements if not j.as_registered]
    if any(j.verdict != "inconclusive" for j in different):
        return 1
    return 3 if different else 0
