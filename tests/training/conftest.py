"""A few drawn faces in the layout of the shared folder, and their labels."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.drawn import SIZE, drawn_face, drawn_landmarks

TRAIN, TEST = 6, 2


@pytest.fixture(scope="session")
def drawn_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight drawn faces, two of them held out."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "aligned").mkdir()
    colours = [(35, 28, 25), (120, 80, 50), (205, 170, 110), (160, 160, 165)]
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "split", "source"])
        for i in range(TRAIN + TEST):
            drawn_face(colours[i % 4], i).save(folder / "aligned" / f"{i}.png")
            table.writerow([f"{i}.png", "train" if i < TRAIN else "test", "SFHQ" if i % 2 else "photo"])
    generator = torch.Generator().manual_seed(0)
    points = torch.stack([drawn_landmarks(opening=0.01 + 0.005 * i) for i in range(TRAIN + TEST)])
    points = points + 0.002 * torch.randn(points.shape, generator=generator)
    np.savez(folder / "landmarks.npz", landmarks=points.numpy() * SIZE)
    return folder


@pytest.fixture(scope="session")
def drawn_labels(drawn_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the label maker says about them."""
    from maskedit.training import labels

    folder = tmp_path_factory.mktemp("labels")
    labels.main(["--faces", str(drawn_faces), "--out", str(folder)])
    return folder
