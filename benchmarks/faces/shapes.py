"""Fit the classifier of shapes: ``python -m benchmarks.faces.shapes --faces FOLDER --points RUN --out FILE``.

Logistic regression on the first principal components of each region's own points, as the mesh has them in the training
photos; present and absent count alike. It prints the balanced accuracy on the held-out photos that were checked by
eye, from the mesh's own points and from those that the network finds.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from benchmarks.faces import DATA
from benchmarks.faces.checked import checked_attributes
from benchmarks.faces.photos import labelled_faces
from benchmarks.faces.points import found_points
from benchmarks.faces.warped import meshed
from maskedit.models.geometry import MeshNet, ShapeClassifier, load_coordinates
from maskedit.models.geometry.classifier import SHOWN_BY, frontal
from maskedit.models.geometry.mesh import OWN, POINTS, rows
from maskedit.models.weights.bundled import write_networks
from maskedit.training.classifier import balanced_accuracy, known_of
from maskedit.training.given_attributes import read_attributes
from maskedit.training.labels import load_labels
from maskedit.training.loop import ema_weights

COMPONENTS, RIDGE = 20, 1e-2
"""Of each region's points, in deviations; and the penalty on the squares of their weights."""


def logistic(x: Float[Tensor, "n k"], present: Float[Tensor, " n"]) -> tuple[Float[Tensor, " k"], Float[Tensor, ""]]:
    """Weights and bias of a logistic regression in which present and absent count alike."""
    found = torch.zeros(x.shape[1] + 1, requires_grad=True)
    share = torch.where(present == 1, 0.5 / (present == 1).sum(), 0.5 / (present == 0).sum())
    newton = torch.optim.LBFGS([found], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        newton.zero_grad()
        told = F.binary_cross_entropy_with_logits(x @ found[:-1] + found[-1], present, reduction="none")
        value = (share * told).sum() + RIDGE * found[:-1].square().sum()
        value.backward()
        return value

    newton.step(loss)  # type: ignore[no-untyped-call, unused-ignore]
    return found[:-1].detach(), found[-1].detach()


def fitted(
    points: Float[Tensor, "n points 2"], known: Float[Tensor, "n attributes"], mean: Float[Tensor, "points 3"]
) -> tuple[Float[Tensor, "attributes points 2"], Float[Tensor, " attributes"]]:
    """Weights and biases for each of ``SHOWN_BY``, from photos of which 1, 0 or NaN is known."""
    seen = frontal(points, mean) - mean[:, :2]
    weights, biases = torch.zeros(len(SHOWN_BY), len(POINTS), 2), torch.zeros(len(SHOWN_BY))
    for i, region in enumerate(SHOWN_BY.values()):
        own = seen[:, rows(OWN[region])].flatten(1)
        middle = own.mean(0)
        _, values, basis = torch.linalg.svd(own - middle, full_matrices=False)
        white = basis[:COMPONENTS] / values[:COMPONENTS, None] * len(own) ** 0.5
        sure = ~known[:, i].isnan()
        slope, bias = logistic((own[sure] - middle) @ white.T, known[sure, i])
        weights[i, rows(OWN[region])] = (slope @ white).view(-1, 2)
        biases[i] = bias - slope @ white @ middle
    return weights, biases


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="folder: manifest.csv, mesh.npz, aligned/")
    parser.add_argument("--points", type=Path, required=True, help="folder of the training of benchmarks.faces.points")
    parser.add_argument("--half", choices=["a", "b"], help="learn from one half of the people only")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    options = parser.parse_args(arguments)
    names, mean = list(SHOWN_BY), load_coordinates().mean
    faces = labelled_faces(options.faces, "train", options.half)
    seen = read_attributes(DATA / "seen_attributes.csv")
    model = ShapeClassifier()
    net = MeshNet()
    net.load_state_dict(ema_weights(options.points / "checkpoint.safetensors"))
    model.net = net
    weights, biases = fitted(
        meshed(options.faces, faces).points, known_of(faces, load_labels(DATA, faces), names, seen), mean
    )
    model.mean.copy_(mean)
    model.weights.copy_(weights)
    model.biases.copy_(biases)
    model.eval().requires_grad_(False)
    write_networks(options.out, {"shapes": (model, {"attributes": dict(SHOWN_BY)})})

    held_out = labelled_faces(options.faces, "test")
    photos = meshed(options.faces, held_out)
    checked = checked_attributes(held_out.names, names)
    for source, points in (("mesh", photos.points), ("network", found_points(net, photos))):
        shares = balanced_accuracy(model.of_points(points, names), checked)
        told = " ".join(f"{name} {share:.3f}" for name, share in zip(names, shares, strict=True))
        print(f"balanced accuracy by the {source}'s points: {shares.mean():.3f}; {told}")


if __name__ == "__main__":
    main()
