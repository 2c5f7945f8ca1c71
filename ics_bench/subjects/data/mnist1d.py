"""MNIST-1D: 5000 noisy, shifted and scaled templates of the digits, 40 values each (Greydanus & Kobak 2024)."""

from __future__ import annotations

import functools
import random

import numpy as np
import torch

from ics_bench.core import UsageError, derive_seed
from ics_bench.subjects.dataset import Dataset

NUM_CLASSES = 10


@functools.cache
def load(seed: int | None = None) -> Dataset:
    """Generate 4000 training and 1000 test samples ``(40,)``, of mean 0 and standard deviation 1 over all.

    Nothing is downloaded. ``seed`` draws other samples than the paper's. The generator seeds Python's, NumPy's and
    torch's global states; they are put back.

    Raises
    ------
    UsageError
        If the package ``mnist1d`` is not installed.
    """
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError as error:
        raise UsageError(
            f"data set 'mnist1d' needs the package mnist1d ({error}); pip install 'ics-bench[data]'"
        ) from error
    settings = get_dataset_args()
    if seed is not None:
        settings.seed = derive_seed("mnist1d", seed) % 2**32
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        made = make_dataset(settings)
    random.setstate(python_state)
    np.random.set_state(numpy_state)
    x, x_test = (torch.from_numpy(made[part].astype(np.float32)) for part in ("x", "x_test"))
    y, y_test = (torch.from_numpy(made[part].astype(np.int64)) for part in ("y", "y_test"))
    return Dataset(x, y, x_test, y_test, NUM_CLASSES)
