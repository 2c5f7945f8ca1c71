from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU, with the reason, where there is none."""
    from ics_bench.kernels.cuda.launch import why_not_here

    ours = [item for item in items if HERE in item.path.parents]
    reason = why_not_here() if ours else None
    if reason is not None:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def clock_stream() -> Iterator[None]:
    import torch

    from ics_bench.kernels.cuda_clock import on_clock_stream

    with on_clock_stream(torch.device("cuda")):
        yield
