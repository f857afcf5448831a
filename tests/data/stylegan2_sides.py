"""Writes stylegan2_*_sides.npz: ``python -m tests.data.stylegan2_sides ../shared/fixtures``.

The textbook formula gives the reference's images bit for bit on the machine that made them (2 threads), so its values
before the rectifiers are the reference's. Kept are those within 5e-5 of zero: their places and signs.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from tests.data import formula
from tests.models.networks.stylegan2_textbook import Textbook

NEAR = 5e-5


def main() -> None:
    fixtures, here = Path(sys.argv[1]), Path(__file__).parent
    for size, seed, every in ((64, 1000, 1), (1024, 2000, 16)):
        keys = json.loads((fixtures / f"stylegan2_{size}.keys.json").read_text())
        values = np.load(fixtures / f"stylegan2_{size}.npz")
        state = {key: formula.fill(key, torch.zeros(shape), stylegan=True) for key, shape in keys.items()}
        textbook, w = Textbook(state), torch.from_numpy(values["w"])
        shapes = [shape for key, shape in keys.items() if key.startswith("noises.")]
        noises = [formula.normal(seed + 1 + i, len(w), *shape[1:]) for i, shape in enumerate(shapes)]
        with torch.no_grad():
            image = textbook(w, noises)[:, :, ::every, ::every]
        if not np.array_equal(image, values["image"]):
            raise SystemExit(f"{size} px: not the reference's bits on this machine")
        sides = {}
        for layer, x in enumerate(textbook.pre):
            (near,) = x.flatten().abs().lt(NEAR).nonzero(as_tuple=True)
            sides[f"near_{layer}"] = near.int().numpy()
            sides[f"positive_{layer}"] = x.flatten()[near].gt(0).numpy()
        np.savez_compressed(here / f"stylegan2_{size}_sides.npz", **sides)


if __name__ == "__main__":
    main()
