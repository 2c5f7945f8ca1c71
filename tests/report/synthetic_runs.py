"""Real run folders with made-up measurements, and a reader of the pages made of them."""

import json
import math
from html.parser import HTMLParser
from pathlib import Path

from ics_bench.core import Case, CaseRecord, Curve, Measurement, Metric
from ics_bench.results import store
from ics_bench.results.run import Run, plan_key

ENVIRONMENT = {
    "python": "3.12.1",
    "platform": "Linux",
    "packages": {"torch": "2.13.0"},
    "cpu": "Some Processor",
    "cores": 8,
    "memory_bytes": 16 * 2**30,
    "gpu": [],
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "load_average": [0.5, 0.25, 0.125],
}
LAYERS = tuple(float(layer) for layer in range(1, 11))


def write_run(folder, records, *, profile="standard", missing=(), metrics=None, **settings):
    """Write a run folder through the store and open it."""
    workloads = {}
    for record in records:
        found = {m.metric: Metric(m.metric, m.unit, "neutral", "seeded") for m in record.measurements}
        workloads.setdefault(record.workload, {}).update(found)
    workloads |= metrics or {}
    header = {
        "settings": {
            "workloads": list(workloads),
            "profile": profile,
            "overrides": {},
            "seeds": None,
            "first_seed": 0,
            "device": "cpu",
            **settings,
        },
        "environment": ENVIRONMENT,
        "created": "2026-01-02T03:04:05+00:00",
        "finished": None if missing else "2026-01-02T03:05:15+00:00",
        "plan": [*map(plan_key, records), *missing],
        "workloads": {
            name: {"version": 1, "metrics": [vars_of(metric) for metric in found.values()]}
            for name, found in workloads.items()
        },
    }
    store.create_folder(folder, header)
    with store.Writer(folder) as writer:
        for record in records:
            writer.append(record)
    return Run.open(folder)


def vars_of(metric):
    return {name: getattr(metric, name) for name in Metric.__dataclass_fields__}


def record(workload, case, values, *, seeds=(0,), status="measured", reason=""):
    """A record from ``(metric, value)``, ``(metric, value, curve)`` or ``(…, curve, warnings)`` for each seed."""
    case = Case.of(case)
    measurements = []
    for seed in seeds:
        for metric, value, *rest in values:
            curve, warnings = (*rest, None, ())[:2] if rest else (None, ())
            unit = "step" if metric == "steps_to_target" else "1"
            measurements.append(Measurement(workload, case, seed, metric, value, unit, curve, tuple(warnings or ())))
    return CaseRecord(workload, 1, case, tuple(seeds), status, reason, 1.5, tuple(measurements))


def layer_record(factor=1.0, *, seeds=(0,), curve=None, **case):
    """A case of `init_scale` whose moments change by ``factor`` a layer."""
    moments = curve or tuple(factor**layer for layer in LAYERS)
    case = {
        "init": "he",
        "activation": "relu",
        "norm": "none",
        "dtype": "float64",
        "batch_size": 128,
        "width": 256,
        "depth": 10,
        "draws": "generator",
        **case,
    }
    along = Curve(LAYERS, moments, "layer")
    under = next((layer for layer, m in zip(LAYERS, moments, strict=True) if m == 0), math.inf)
    over = next((layer for layer, m in zip(LAYERS, moments, strict=True) if not m < math.inf), math.inf)
    values = [
        ("activation_second_moment", moments[-1], along),
        ("gradient_norm", moments[0], along),
        ("underflow_layer", under),
        ("overflow_layer", over),
        ("gradient_underflow_layer", under),
        ("gradient_overflow_layer", over),
    ]
    return record("init_scale", case, values, seeds=seeds)


def ceiling_record(stable, trainable, steps, *, stable_warnings=(), **case):
    """A case of `lr_ceiling`; ``steps`` has one value a seed."""
    case = Case.of(
        {
            "architecture": "plain",
            "depth": 5,
            "norm": "none",
            "norm_position": "before",
            "optimizer": "sgd",
            "init": "he",
            "width": 64,
            "data": "digits",
            **case,
        }
    )
    rates = Curve((0.01, 0.1, 1.0, 10.0), (1.0, 1.0, 0.5, 0.0), "learning_rate")
    loss = Curve((0.0, 10.0, 20.0, 30.0), (2.3, 1.0, 0.1, 0.01), "step")

    def one(seed, metric, value, unit="1", curve=None, warnings=()):
        return Measurement("lr_ceiling", case, seed, metric, value, unit, curve, tuple(warnings))

    measurements = [
        one(None, "stable_ceiling", stable, curve=rates, warnings=stable_warnings),
        one(None, "trainable_ceiling", trainable, curve=rates),
        one(None, "best_learning_rate", 0.1),
        *(one(seed, "steps_to_target", value, "step", loss) for seed, value in enumerate(steps)),
    ]
    return CaseRecord("lr_ceiling", 1, case, tuple(range(len(steps))), "measured", "", 2.0, tuple(measurements))


def kernel_record(share, **case):
    """A case of `kernel_throughput`."""
    case = {
        "norm": "layer",
        "direction": "forward",
        "mode": "train",
        "dtype": "float32",
        "shape": "1024x1024",
        "layout": "contiguous",
        "provider": "torch_eager",
        "memory_mib": 64,
        **case,
    }
    values = [("copy_share", share), ("time", 2.0), ("time_low", 1.6), ("time_high", 2.5)]
    return record("kernel_throughput", case, values)


class Page(HTMLParser):
    """Elements of a page, each with its tag, its attributes and the text within it."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.elements, self._open = [], []
        self.source = Path(path).read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attrs": dict(attrs), "text": ""}
        self.elements.append(element)
        if tag in ("td", "th", "br"):
            self.handle_data(" ")
        if tag not in ("meta", "link", "br", "img", "input"):
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append({"tag": tag, "attrs": dict(attrs), "text": ""})

    def handle_endtag(self, tag):
        while self._open and self._open.pop()["tag"] != tag:
            pass

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, tag, **attrs):
        """Elements with this tag and, where given, these attributes (``class_`` for one class)."""
        wanted = attrs.pop("class_", None)
        return [
            e
            for e in self.elements
            if e["tag"] == tag
            and all(e["attrs"].get(name) == value for name, value in attrs.items())
            and (wanted is None or wanted in (e["attrs"].get("class") or "").split())
        ]

    def text(self):
        """Visible text, spaces collapsed."""
        return " ".join(self.all("body")[0]["text"].split())

    def plots(self):
        """Data of every plot, by the id of its element."""
        found, current = {}, None
        for e in self.elements:
            if e["tag"] == "div" and "plot" in (e["attrs"].get("class") or "").split():
                current = e["attrs"]["id"]
            if e["tag"] == "script" and e["attrs"].get("type") == "application/json":
                found[current] = json.loads(e["text"], parse_constant=lambda token: 1 / 0)
        return found

    def headings(self):
        return [" ".join(e["text"].split()) for tag in ("h1", "h2", "h3", "h4") for e in self.all(tag)]
