"""Series colours are told apart by everyone: simulated after Machado, Oliveira & Fernandes 2009, table 1."""

import itertools
import re
from importlib import resources

import numpy as np
import pytest

VISION = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])

JUST_NOTICEABLE = 2.3
"""Difference in CIELAB that a viewer just sees, side by side (Mahy et al. 1994)."""


def palette(scheme):
    css = (resources.files("ics_bench.report") / "templates" / "report.css").read_text(encoding="utf-8")
    light, dark = css.split("@media screen and (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--(baseline|series-\d|raised|page): (#\w{6})", light if scheme == "light" else dark))
    grounds = [linear(found.pop(name)) for name in ("raised", "page")]
    return {name: linear(colour) for name, colour in found.items()}, grounds


def linear(colour):
    rgb = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
def test_no_two_series_look_alike(scheme, vision):
    colours, _ = palette(scheme)
    assert len(colours) == 9
    seen = {name: lab(np.array(VISION[vision]) @ rgb) for name, rgb in colours.items()}
    least = min(np.linalg.norm(seen[a] - seen[b]) for a, b in itertools.combinations(seen, 2))
    assert least > 5 * JUST_NOTICEABLE


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_series_shows_on_both_grounds(scheme):
    colours, grounds = palette(scheme)
    for ground, (name, rgb) in itertools.product(grounds, colours.items()):
        behind, own = TO_XYZ[1] @ ground, TO_XYZ[1] @ rgb
        assert (max(own, behind) + 0.05) / (min(own, behind) + 0.05) >= 3, name
