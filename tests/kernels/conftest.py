from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the CUDA sources, built for this processor, are kept for all tests."""
    return tmp_path_factory.mktemp("libraries")
