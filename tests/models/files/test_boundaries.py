"""Boundary files: public ones, ours, and what is none."""

import numpy as np
import pytest
import torch

from maskedit.errors import CheckpointError
from maskedit.models.files.boundaries import Boundaries, load_boundaries, read_normal, save_boundaries


def unit(dim: int = 512, seed: int = 0) -> np.ndarray:
    row = np.random.default_rng(seed).standard_normal((1, dim))
    return row / np.linalg.norm(row)


def test_public_files_are_read_by_their_names(tmp_path) -> None:
    np.save(tmp_path / "stylegan_ffhq_smile_w_boundary.npy", unit(seed=1))
    np.save(tmp_path / "pggan_celebahq_age_c_gender_boundary.npy", unit(seed=2).astype(np.float32))
    found = load_boundaries(tmp_path)
    assert sorted(found.normals) == ["age_c_gender", "smile_w"]
    torch.testing.assert_close(found.normals["smile_w"], torch.from_numpy(unit(seed=1)).float())
    assert found.deviations["smile_w"] == 1
    assert tuple(load_boundaries(tmp_path / "stylegan_ffhq_smile_w_boundary.npy").normals) == ("smile_w",)


def test_ours_come_back(tmp_path) -> None:
    normals = {"smiling": torch.randn(3, 4), "young": torch.randn(3, 4)}
    made = Boundaries(normals, {"smiling": 0.5, "young": 2.0}, torch.tensor([[1, 0.25], [0.25, 1]]))
    save_boundaries(tmp_path / "boundaries.safetensors", made)
    found = load_boundaries(tmp_path / "boundaries.safetensors")
    assert found.deviations == made.deviations
    for name, normal in normals.items():
        assert torch.equal(found.normals[name], normal)
    assert torch.equal(found.together, made.together)


def test_what_is_no_boundary_is_refused(tmp_path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"code": "run"}], dtype=object), allow_pickle=True)
    with pytest.raises(CheckpointError, match="cannot be read as a boundary; got .*allow_pickle=False"):
        read_normal(path)
    for array, said in ((3 * unit(), "of length 1; got one of length 3"), (unit()[0], r"got float64 \[512\]")):
        np.save(path, array)
        with pytest.raises(CheckpointError, match=said):
            read_normal(path)
    path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be read as a boundary"):
        read_normal(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="there are no boundaries in"):
        load_boundaries(tmp_path / "empty")
