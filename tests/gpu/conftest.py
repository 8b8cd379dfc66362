"""What the suites for a GPU share. They run by `make test-gpu` and never by themselves: their files
are no `test_*.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let another device stand in."""
    parser.addoption("--on", default="cuda", help="cpu checks the suites themselves")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """Give the device, or skip."""
    name = request.config.getoption("--on")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip(f"torch {torch.__version__} sees no GPU")
    return torch.device(name, 0) if name == "cuda" else torch.device(name)


@pytest.fixture
def gpu(device: torch.device) -> torch.device:
    """Give the device where it records graphs, or skip."""
    if device.type != "cuda":
        pytest.skip(f"graphs are recorded on a GPU, not on {device}")
    return device


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    """Compute as the engine does; products in float32 are float32's."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    with torch.inference_mode():
        yield
