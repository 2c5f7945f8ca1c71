"""The sign test and the bound of a median that it gives."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ics_bench.stats import median_bound, sign_test


def test_a_minority_never_rejects_however_large_it_is():
    values = np.zeros(16)
    values[:7] = math.inf
    assert sign_test(values) > 0.5
    assert sign_test(values + 1e-9) == 2.0**-16


def test_the_size_is_exact_for_any_shape():
    generator = np.random.default_rng(0)
    skewed = np.expm1(generator.normal(size=(20_000, 16)) ** 3)  # of median 0
    rejected = np.mean([sign_test(row) <= 0.05 for row in skewed])
    assert rejected == pytest.approx(0.0384, abs=0.006)  # P(B >= 12), the most that 16 signs can spend of 5 %


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_the_bound_is_the_least_shift_that_the_test_rejects(level):
    values = np.random.default_rng(1).normal(size=30)
    bound = median_bound(values, level)
    assert sign_test(bound + 1e-9 - values) <= level
    assert sign_test(bound - 1e-9 - values) > level


def test_too_few_values_have_no_bound():
    assert median_bound([1.0, 2.0, 3.0, 4.0], 0.05) == math.inf
    for wrong in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="level"):
            median_bound([1.0], wrong)
