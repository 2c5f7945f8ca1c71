"""A decision as JUnit's XML, which most CI systems show."""

from __future__ import annotations

from xml.etree import ElementTree

from ics_bench.core.text import printable
from ics_bench.gate.rows import Row, rows
from ics_bench.gate.verdict import COULD_NOT, Decision, Result

SUITE = "ics-bench gate"


def junit(decision: Decision) -> bytes:
    """Write one test case a benchmark, and one for what failed beside them, if anything did.

    A regression is a failure. What could not be decided is an error, inconclusive ones too: nothing passes that was
    not found unchanged or better. Accepted regressions and what is not judged are skipped.
    """
    cases = [_case(result, row) for result, row in zip(decision.results, rows(decision), strict=True)]
    if decision.failures:
        cases.append(_failed(decision))
    counts = {
        "tests": len(cases),
        **{name: sum(case.find(tag) is not None for case in cases) for name, tag in TAGS.items()},
    }
    named = {"name": SUITE, **{name: str(number) for name, number in counts.items()}}
    suite = ElementTree.Element("testsuite", named)
    properties = ElementTree.SubElement(suite, "properties")
    known = {"base": decision.base, "head": decision.head, **decision.facts}
    for place, warning in enumerate(decision.warnings, 1):
        known[f"warning {place}"] = warning
    for name, value in known.items():
        ElementTree.SubElement(properties, "property", {"name": printable(name), "value": printable(value)})
    suite.extend(cases)
    root = ElementTree.Element("testsuites", {name: value for name, value in named.items() if name != "skipped"})
    root.append(suite)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


TAGS = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def _case(result: Result, row: Row) -> ElementTree.Element:
    case = ElementTree.Element("testcase", {"classname": SUITE, "name": printable(result.name)})
    tag = _tag(result)
    if tag:
        attributes = {"message": printable(f"{row.verdict}: {row.reason}")}
        if tag != "skipped":
            attributes["type"] = result.verdict
        ElementTree.SubElement(case, tag, attributes).text = printable(_numbers(row))
    ElementTree.SubElement(case, "system-out").text = printable(
        "; ".join([row.verdict, _numbers(row), row.reason, *row.others, *row.notes])
    )
    return case


def _failed(decision: Decision) -> ElementTree.Element:
    case = ElementTree.Element("testcase", {"classname": SUITE, "name": "comparison"})
    message = {"message": printable("; ".join(decision.failures)), "type": "could not"}
    ElementTree.SubElement(case, "error", message).text = "\n".join(map(printable, decision.said))
    return case


def _tag(result: Result) -> str:
    if result.accepted or result.verdict == "not judged":
        return "skipped"
    if result.verdict == "regression":
        return "failure"
    return "error" if result.verdict in COULD_NOT or result.verdict == "inconclusive" else ""


def _numbers(row: Row) -> str:
    return f"{row.quantity} {row.base} to {row.head}, {row.change} ({row.interval}), n {row.n}, p {row.p}".strip()
