"""Find attributes' boundaries in the bundled generator's latents: ``maskedit train boundaries --out FOLDER``.

InterFaceGAN's way (Shen et al. 2020): draw many latents, let the classifier score their pictures, and separate the
highest from the lowest scores by a linear support vector machine; its normal is the attribute's direction. Needs
scikit-learn: ``pip install 'maskedit[rivals]'``.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.errors import InputError
from maskedit.models.files.boundaries import Boundaries, save_boundaries
from maskedit.models.weights.bundled import load
from maskedit.protocols import LatentDistribution, Models
from maskedit.types import Latent


class Boundary(NamedTuple):
    """A boundary of one attribute.

    Args:
        normal: of length 1, ``[1, d]``, pointing to high scores.
        accuracy: share of the chosen rows kept back that lie on their side; NaN if none were.
        rows: those that the boundary was found from, the high ones first.
    """

    normal: Float[Tensor, "1 d"]
    accuracy: float
    rows: tuple[int, ...]


def find_boundary(
    latents: Float[Tensor, "n d"],
    scores: Float[Tensor, " n"],
    *,
    chosen: float | int = 0.02,
    split: float = 0.7,
    invalid: float | None = None,
    seed: int = 0,
) -> Boundary:
    """The hyperplane between the latents of the highest and of the lowest scores, as the released program finds it.

    Args:
        latents: one row a picture.
        scores: of the attribute.
        chosen: how many of the highest and of the lowest: a share if at most 1, a number above; at most half of all.
        split: share of the chosen that the boundary is found from.
        invalid: the score of pictures that nothing is known of.
        seed: of which are drawn.

    Raises:
        InputError: if too few are left, or scikit-learn is missing.
    """
    try:
        from sklearn.svm import SVC
    except ImportError as error:
        raise InputError("boundaries need scikit-learn", hint="pip install 'maskedit[rivals]'.") from error

    known = torch.arange(len(scores)) if invalid is None else (scores != invalid).nonzero()[:, 0].cpu()
    order = known[scores[known.to(scores.device)].cpu().argsort(descending=True, stable=True)]
    count = min(int(len(order) * chosen) if chosen <= 1 else int(chosen), len(order) // 2)
    train = int(count * split)
    if train < 1:
        raise InputError(
            "too few scores for a boundary",
            expected=f"at least one of the {count} highest and lowest after the split by {split}",
            actual=f"{len(order)} scores",
        )
    random = np.random.RandomState(seed)
    drawn = []
    for end in (order[:count], order[-count:]):
        rows = np.arange(count)
        random.shuffle(rows)
        drawn.append(end[torch.from_numpy(rows)])
    used = torch.cat([rows[:train] for rows in drawn])
    kept = torch.cat([rows[train:] for rows in drawn])
    points = latents.detach().cpu().numpy()
    # The released program stops at 1e-3, which leaves the normal up to 0.2 % from the minimum.
    machine = SVC(kernel="linear", C=1.0, tol=1e-6).fit(points[used.numpy()], np.repeat([1, 0], train))
    right = machine.predict(points[kept.numpy()]) == np.repeat([1, 0], count - train) if len(kept) else np.array([])
    normal = torch.tensor(machine.coef_, dtype=torch.float64)
    return Boundary(
        (normal / normal.norm()).to(latents.dtype),
        float(right.mean()) if len(kept) else float("nan"),
        tuple(used.tolist()),
    )


def find_boundaries(
    latents: Latent,
    scores: Float[Tensor, "n attributes"],
    names: Sequence[str],
    *,
    chosen: float | int = 0.1,
    split: float = 0.7,
    seed: int = 0,
    tell: Callable[[str], object] = print,
) -> Boundaries:
    """The boundaries of several attributes in W+, and which attributes go together.

    Args:
        latents: ``[n, layers, dim]``.
        scores: of each attribute.
        names: of the columns.
        chosen: see :func:`find_boundary`.
        split: see :func:`find_boundary`.
        seed: see :func:`find_boundary`.
        tell: called with a line on each attribute.
    """
    flat = latents.flatten(1)
    normals, deviations = {}, {}
    for name, column in zip(names, scores.T, strict=True):
        found = find_boundary(flat, column, chosen=chosen, split=split, seed=seed)
        normals[name] = found.normal.view(latents.shape[1:])
        deviations[name] = float((flat @ found.normal[0]).std())
        tell(f"{name}: {found.accuracy:.3f} of those kept back lie on their side")
    return Boundaries(normals, deviations, torch.corrcoef(scores.T).nan_to_num(0.0).float())


def sampled(latents: LatentDistribution, count: int, random: torch.Generator) -> Latent:
    """Latents drawn from the Gaussian with this mean and these components."""
    scores = torch.randn(count, len(latents.deviations), generator=random).to(latents.mean) * latents.deviations
    return latents.mean + (scores @ latents.components).unflatten(1, latents.mean.shape)


@torch.no_grad()
def scored(models: Models, count: int, seed: int) -> tuple[Latent, Float[Tensor, "n attributes"]]:
    """Latents from the models' distribution, and the classifier's logits of their pictures, drawn without noise.

    Raises:
        InputError: if there is no distribution or no classifier.
    """
    if models.latents is None or models.classifier is None:
        raise InputError("boundaries need a latent distribution and a classifier", actual="models without one of them")
    codes = sampled(models.latents, count, torch.Generator().manual_seed(seed))
    logits = []
    for part in codes.split(64):
        noises = [part.new_zeros(len(part), 1, h, w) for h, w in models.generator.noise_shapes]
        picture = models.generator.synthesize(part, noises).clamp(0, 1)
        logits.append(models.classifier.classify(picture, models.classifier.attributes))
    return codes, torch.cat(logits)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=["bundled"], default="bundled", help="the bundled portraits")
    parser.add_argument("--out", type=Path, required=True, help="folder for boundaries.safetensors")
    parser.add_argument("--pictures", type=int, default=5000, help="how many to draw (%(default)s)")
    parser.add_argument("--chosen", type=float, default=0.1, help="share of them at either end (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (%(default)s)")
    options = parser.parse_args(arguments)
    models = load()
    codes, logits = scored(models, options.pictures, options.seed)
    assert models.classifier is not None  # it has scored
    found = find_boundaries(codes, logits, models.classifier.attributes, chosen=options.chosen, seed=options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    save_boundaries(options.out / "boundaries.safetensors", found)
    print(options.out / "boundaries.safetensors")


if __name__ == "__main__":
    main()
