"""What every test shares: a device and a number format to choose, few threads, seeds, and the shared data.

``pytest --device cuda --dtype float64`` runs the tests of losses, terms, blending and solve there and so.
"""

import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)  # one commit gives one answer, on slow machines too
settings.load_profile("same")
torch.set_num_threads(min(2, torch.get_num_threads()))

SHARED = Path(__file__).parents[2] / "shared"

TOLERANCE = {  # relative and absolute
    torch.float64: (1e-7, 1e-9),
    torch.float32: (1e-4, 1e-5),
    torch.float16: (1e-2, 1e-3),
    torch.bfloat16: (2e-2, 1e-2),
}
"""How nearly equal two values are that should be the same."""


def pytest_addoption(parser: pytest.Parser) -> None:
    formats = [str(dtype).removeprefix("torch.") for dtype in TOLERANCE]
    parser.addoption("--device", default="cpu", help="the device of tensors: cpu, cuda, cuda:1, mps, ...")
    parser.addoption("--dtype", default="float32", choices=formats, help="the number format of tensors")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where tensors live."""
    name = request.config.getoption("device")
    try:
        torch.ones(1, device=name).sum().item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        pytest.skip(f"needs the device {name}, which is not here: {str(error).splitlines()[0]}")
    return torch.device(name)


@pytest.fixture(scope="session")
def dtype(request: pytest.FixtureRequest, device: torch.device) -> torch.dtype:
    """The number format of tensors."""
    return _on(device, getattr(torch, request.config.getoption("dtype")))


@pytest.fixture(scope="session")
def whole(dtype: torch.dtype) -> torch.dtype:
    """The number format, for what refuses half precision."""
    if dtype in (torch.float16, torch.bfloat16):
        pytest.skip(f"pictures, latents and derivatives of {dtype} are refused or mean nothing")
    return dtype


@pytest.fixture(scope="session")
def float64(device: torch.device) -> torch.dtype:
    """float64, for what needs the digits whatever format was chosen."""
    return _on(device, torch.float64)


def _on(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    try:
        torch.ones(1, device=device, dtype=dtype).sum().item()
    except (RuntimeError, TypeError) as error:
        pytest.skip(f"{device} has no {dtype}: {str(error).splitlines()[0]}")
    return dtype


@pytest.fixture(scope="session")
def close(dtype: torch.dtype) -> Callable[..., None]:
    """``close(a, b)`` holds if two tensors are the same as nearly as the number format allows."""
    rtol, atol = TOLERANCE[dtype]
    return partial(torch.testing.assert_close, rtol=rtol, atol=atol, check_dtype=False)


@pytest.fixture(autouse=True)
def seed() -> None:
    """Each test draws the same numbers, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C means KeyboardInterrupt, also where the suite runs in the background and it was ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def problem(device: torch.device, whole: torch.dtype) -> Callable[..., object]:
    """:func:`tests.toys.problem` on the chosen device, in the chosen format."""
    from tests import toys  # not above: the type-checking hook must be there before the package is imported

    return partial(toys.problem, device=device, dtype=whole)


@pytest.fixture(scope="session")
def problem64(device: torch.device, float64: torch.dtype) -> Callable[..., object]:
    """The same in float64, where digits matter that float32 does not have."""
    from tests import toys

    return partial(toys.problem, device=device, dtype=float64)


@pytest.fixture(scope="session")
def view(device: torch.device, whole: torch.dtype) -> Callable[..., object]:
    """:func:`tests.toys.view` likewise."""
    from tests import toys

    return partial(toys.view, device=device, dtype=whole)


@pytest.fixture(scope="session")
def faces() -> Path:
    """The folder of aligned faces with landmarks, which the project does not ship."""
    folder = SHARED / "faces"
    if not folder.is_dir():
        pytest.skip("needs ../shared/faces, which is not here")
    return folder


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of reference values, of which tests/data holds what must always be tested."""
    folder = SHARED / "fixtures"
    if not folder.is_dir():
        pytest.skip("needs ../shared/fixtures, which is not here")
    return folder
