"""A generator without noise inputs takes part through the protocol, as examples/stylegan3_adapter.py shows."""

import runpy
from pathlib import Path

import pytest

import maskedit as me

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_a_stylegan3_is_fitted_and_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    left = runpy.run_path(str(EXAMPLES / "stylegan3_adapter.py"), run_name="__main__")
    generator, problem, result = left["generator"], left["problem"], left["result"]
    assert isinstance(generator, me.Generator)
    assert generator.noise_shapes == ()
    assert result.noises == ()
    assert left["fit"][-1] < 0.1 * left["fit"][0]
    assert left["blond"][-1] < 0.1 * left["blond"][0]
    with pytest.raises(me.MaskeditError, match="noise"):
        me.run(problem, me.Schedule(me.Stage("detail", 1, 1.0 * me.white_noise(), vary=me.noise(lr=0.1))))
