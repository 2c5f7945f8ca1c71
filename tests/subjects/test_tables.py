"""The tables are scikit-learn's own, and reading them does not import it."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn import datasets

from ics_bench.subjects import tables


@pytest.mark.parametrize("name", tables.FILES)
def test_a_table_is_what_scikit_learn_loads(name, monkeypatch):
    expected, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    read = tables.real_table(name)
    monkeypatch.setattr(tables.importlib.util, "find_spec", lambda package: None)  # its files are nowhere to be seen
    for x, y in (read, tables.real_table(name)):
        assert x.dtype == np.float64
        assert np.array_equal(x, expected)
        assert np.array_equal(y, labels)


def test_data_come_without_importing_scikit_learn():
    program = (
        "from ics_bench.subjects.data import breast_cancer, digits; import sys;"
        "digits.load(); breast_cancer.load(); print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
