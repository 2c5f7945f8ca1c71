"""Reads the catalogue of claims, a folder of TOML files, and refuses one that could not be judged."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import math
import tomllib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, get_args

from ics_bench.claims.claim import REVISIONS, VERDICTS, Claim, Family, Setting
from ics_bench.claims.evidence import Arm
from ics_bench.claims.rules import RULES, Rule
from ics_bench.core import PROFILES, Case, UsageError, unknown

SCHEMA = 1
FOLDER = "catalogue"
"""Beside this module, and no module itself."""

LEAST_TRAINING_SEEDS = 11
"""Of n seeds the smallest sign-flip p is 2⁻ⁿ, and Holm's correction for up to 102 claims takes 2⁻¹¹."""

_TEXTS = ("id", "section", "statement", "page", "definition", "source", "caveat")
_SHARED = ("rule", "workload", "case", "parameters", "arms")
_FIELDS = (
    *_TEXTS,
    *_SHARED,
    "family",
    "tier",
    "seeds",
    "least_seeds",
    "registered",
    "budget_seconds",
    "settings",
    "controls",
    "cases",
    "history",
    "revised",
    "tracked",
)
_SETTING = ("name", "primary", *_SHARED)
_EMPTY_ALLOWED = ("caveat",)


@functools.cache
def load_catalogue() -> tuple[Claim, ...]:
    """Read the catalogue that ships with the package: the files of its folder in the order of their names.

    Raises
    ------
    UsageError
        For a file that `parse_catalogue` refuses, or an id that stands in two files.
    """
    folder = importlib.resources.files(__package__) / FOLDER
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return join_files([(entry.name, entry.read_text("utf-8")) for entry in files])


def join_files(files: Sequence[tuple[str, str]]) -> tuple[Claim, ...]:
    """Parse catalogue files, each given as its name and text, into one catalogue.

    Raises
    ------
    UsageError
        For a file that `parse_catalogue` refuses, or an id that stands in two files.
    """
    home: dict[str, str] = {}
    claims: list[Claim] = []
    for name, text in files:
        for claim in parse_catalogue(text, name):
            if claim.id in home:
                raise UsageError(f"{name}: claim {claim.id!r} stands in {home[claim.id]} too; give each its own id")
            home[claim.id] = name
            claims.append(claim)
    return tuple(claims)


def parse_catalogue(text: str, file: str = "the catalogue") -> tuple[Claim, ...]:
    """Parse one file of a catalogue.

    Parameters
    ----------
    text : str
        TOML: ``schema`` and a ``[[claim]]`` each. ``rule``, ``workload``, ``case``, ``parameters`` and
        ``arms`` of a claim hold for all its ``settings`` and ``controls``, which may add to the case and
        the parameters and replace the rest.
        An arm of a setting may name a ``workload`` of its own: it then takes its case keys from the
        claim's ``cases.<workload>`` instead of ``case``. ``tracked`` gives case keys a value that is cheaper to
        measure where the headline setting is followed over commits, ``depth = 5`` for all its arms or
        ``depth = { 20 = 5, 10 = 3 }`` by what it replaces (in quotes where that is no whole number).
    file : str
        What messages call it.

    Raises
    ------
    UsageError
        For text that is not TOML, another schema, a duplicate id, or a claim with a field missing,
        unknown or out of range; the message names the file, the claim and the field.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not TOML: {error}") from error
    if raw.get("schema") != SCHEMA:
        raise UsageError(f"{file} has schema {raw.get('schema')!r}: this version reads schema {SCHEMA}")
    claims = tuple(_claim(file, entry) for entry in raw.get("claim", []))
    ids = [claim.id for claim in claims]
    for name in ids:
        if ids.count(name) > 1:
            raise UsageError(f"{file}: claim {name!r} stands {ids.count(name)} times; give each its own id")
    return claims


def select(catalogue: Sequence[Claim], ids: Sequence[str]) -> list[Claim]:
    """Pick claims by id, in the order of the catalogue.

    Raises
    ------
    UsageError
        For an unknown id, with the near ones.
    """
    known = {claim.id for claim in catalogue}
    for name in ids:
        if name not in known:
            raise unknown("claim", name, sorted(known))
    return [claim for claim in catalogue if claim.id in ids]


def _claim(file: str, raw: Mapping[str, Any]) -> Claim:
    where = f"{file}: claim {raw.get('id', '?')!r}"
    _check_keys(
        where,
        raw,
        _FIELDS,
        (*_TEXTS, "family", "tier", "seeds", "least_seeds", "registered", "budget_seconds", "settings"),
    )
    for name in _TEXTS:
        if not isinstance(raw[name], str) or not (raw[name].strip() or name in _EMPTY_ALLOWED):
            raise UsageError(f"{where}: {name} must be text, and not empty")
    _one_of(where, raw, "family", get_args(Family))
    _one_of(where, raw, "tier", PROFILES[1:])
    _one_of(where, raw, "registered", VERDICTS)
    for name in ("seeds", "least_seeds"):
        if type(raw[name]) is not int or raw[name] < 1:
            raise UsageError(f"{where}: {name}={raw[name]!r} must be a whole number of at least 1")
    if raw["least_seeds"] > raw["seeds"]:
        raise UsageError(f"{where}: least_seeds={raw['least_seeds']} is more than the {raw['seeds']} seeds measured")
    if not isinstance(raw["budget_seconds"], int | float) or not 0 < raw["budget_seconds"] < math.inf:
        raise UsageError(f"{where}: budget_seconds={raw['budget_seconds']!r} must be a positive number")
    settings = _settings(where, raw, "settings")
    controls = _settings(where, raw, "controls")
    if not any(setting.primary for setting in settings):
        raise UsageError(f"{where}: no setting is primary, so nothing could decide it")
    if raw["family"] == "training" and not all(setting.rule.tests for setting in settings if setting.primary):
        raise UsageError(f"{where}: family 'training' needs rules that test; {raw.get('rule')!r} gives no p-value")
    if raw["family"] == "training" and raw["least_seeds"] < LEAST_TRAINING_SEEDS:
        raise UsageError(
            f"{where}: least_seeds={raw['least_seeds']} is too few for the training family, whose claims are "
            f"corrected for their number; give {LEAST_TRAINING_SEEDS} or more"
        )
    history = raw.get("history", "")
    if not isinstance(history, str) or ("history" in raw and not history.strip()):
        raise UsageError(f"{where}: history must be text, and not empty; leave it out where there is none")
    if "revised" in raw:
        _one_of(where, raw, "revised", list(REVISIONS))
        if not history:
            raise UsageError(f"{where}: revised={raw['revised']!r} needs a history that says why")
    tracked = raw.get("tracked", {})
    _check_tracked(f"{where}, tracked", tracked, next(setting for setting in settings if setting.primary))
    rest = {name: raw[name] for name in ("family", "tier", "seeds", "least_seeds", "registered", "budget_seconds")}
    return Claim(
        **{name: raw[name] for name in _TEXTS},
        **rest,
        settings=settings,
        controls=controls,
        history=history.strip(),
        revised=raw.get("revised", ""),
        tracked=_frozen(tracked),
    )


def _frozen(tracked: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType({k: MappingProxyType(v) if isinstance(v, Mapping) else v for k, v in tracked.items()})


def _check_tracked(where: str, tracked: Mapping[str, Any], headline: Setting) -> None:
    """Refuse keys that no arm of the headline setting pins, and replacements of values that none pins."""
    if not isinstance(tracked, Mapping):
        raise UsageError(f"{where}={tracked!r} must be a table of case keys, such as {{ depth = 5 }}")
    pinned: dict[str, set[str]] = {}
    for arm in headline.arms.values():
        for key, value in arm.pins.items():
            pinned.setdefault(key, set()).add(str(value))
    _check_keys(where, tracked, sorted(pinned), ())
    for key, cheaper in tracked.items():
        for old, new in (cheaper if isinstance(cheaper, Mapping) else {"": cheaper}).items():
            if old and old not in pinned[key]:
                has = ", ".join(sorted(pinned[key]))
                raise UsageError(f"{where}, {key}: no arm of the headline setting has {old!r}; they have {has}")
            if not isinstance(new, str | int | float | bool):
                raise UsageError(f"{where}, {key}: {new!r} is no value of a case key; give text or a number")


def _settings(where: str, claim: Mapping[str, Any], kind: str) -> tuple[Setting, ...]:
    settings = tuple(_setting(where, claim, raw) for raw in claim.get(kind, []))
    names = [setting.name for setting in settings]
    if len(set(names)) < len(names):
        raise UsageError(f"{where}: two of its {kind} have one name: {', '.join(names)}")
    return settings


def _setting(where: str, claim: Mapping[str, Any], raw: Mapping[str, Any]) -> Setting:
    where = f"{where}, setting {raw.get('name', '?')!r}"
    _check_keys(where, raw, _SETTING, ("name",))
    merged = {key: raw.get(key, claim.get(key)) for key in ("rule", "workload")}
    for key, value in merged.items():
        if value is None:
            raise UsageError(f"{where}: {key} is missing")
    if merged["rule"] not in RULES:
        raise UsageError(f"{where}: {unknown('rule', merged['rule'], RULES)}")
    rule_type = RULES[merged["rule"]]
    # A setting that names its own rule takes none of the parameters and arms meant for the claim's.
    inherited = {} if "rule" in raw else claim.get("parameters", {})
    arms = raw.get("arms", {"subject": {}} if "rule" in raw else claim.get("arms", {"subject": {}}))
    try:
        rule_type.check_arms(tuple(arms))
    except ValueError as error:
        raise UsageError(f"{where}: rule {merged['rule']!r} {error}") from error
    return Setting(
        name=raw["name"],
        primary=raw.get("primary", True),
        rule=_rule(where, rule_type, {**inherited, **raw.get("parameters", {})}),
        arms=MappingProxyType({role: _arm(merged["workload"], claim, raw, pins) for role, pins in arms.items()}),
    )


def _arm(workload: str, claim: Mapping[str, Any], setting: Mapping[str, Any], pins: Mapping[str, Any]) -> Arm:
    """Pin an arm: the claim's keys for its workload, then the setting's, then its own."""
    own = {key: value for key, value in pins.items() if key != "workload"}
    name = pins.get("workload", workload)
    shared = claim.get("cases", {}).get(name, {}) if name != claim.get("workload") else claim.get("case", {})
    return Arm(name, Case.of({**shared, **setting.get("case", {}), **own}))


def _rule(where: str, rule_type: type[Rule], parameters: Mapping[str, Any]) -> Rule:
    fields = dataclasses.fields(rule_type)  # type: ignore[arg-type]
    required = [field.name for field in fields if field.default is dataclasses.MISSING]
    _check_keys(f"{where}, parameters", parameters, [field.name for field in fields], required)
    try:
        return rule_type(**parameters)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {error}") from error


def _check_keys(where: str, raw: Mapping[str, Any], known: Sequence[str], required: Sequence[str]) -> None:
    for key in raw:
        if key not in known:
            raise UsageError(f"{where}: {unknown('field', key, known)}")
    missing = [key for key in required if key not in raw]
    if missing:
        raise UsageError(f"{where}: {', '.join(missing)} is missing")


def _one_of(where: str, raw: Mapping[str, Any], key: str, options: Sequence[str]) -> None:
    if raw[key] not in options:
        raise UsageError(f"{where}: {unknown(key, raw[key], options)}")
