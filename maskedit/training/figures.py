"""Figures of the bundled models on held-out faces: ``python -m maskedit.training.figures --faces F --labels L``."""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskedit.attributes import REGIONS
from maskedit.models.bundled import load, load_landmarks
from maskedit.models.portraits import PortraitClassifier, PortraitEncoder, PortraitParser
from maskedit.models.stylegan2 import StyleGAN2
from maskedit.protocols import Models
from maskedit.training.classifier import balanced_accuracy, logits_of, targets
from maskedit.training.faces import Faces, load_faces
from maskedit.training.generator import psnr, reconstruct
from maskedit.training.labels import Labels, load_labels
from maskedit.training.landmarks import held_out_error
from maskedit.training.parser import held_out_overlap


def reconstruction(models: Models, faces: Faces, labels: Labels | None = None) -> Float[Tensor, " n"]:
    """PSNR in dB of each photo through encoder and generator; if labels are given, over all but the background."""
    generator, encoder = models.generator, models.encoder
    assert isinstance(generator, StyleGAN2)
    assert isinstance(encoder, PortraitEncoder)
    photos = faces.resized(generator.resolution).float() / 255
    again = reconstruct(generator, encoder, photos)
    if labels is None:
        return psnr(again, photos)
    shown = (labels.regions != REGIONS.index("background")).float()[:, None]
    shown = F.interpolate(shown, size=generator.resolution, mode="area")
    errors = ((again.clamp(0, 1) - photos).square() * shown).sum((1, 2, 3)) / (3 * shown.sum((1, 2, 3)))
    return -10 * errors.log10()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with manifest.csv, landmarks.npz, aligned/")
    parser.add_argument("--labels", type=Path, required=True, help="folder that maskedit.training.labels wrote")
    options = parser.parse_args(arguments)
    faces = load_faces(options.faces, "test")
    labels = load_labels(options.labels, faces)
    models = load("portraits")
    parsing, classifier = models.parser, models.classifier
    assert isinstance(parsing, PortraitParser)
    assert isinstance(classifier, PortraitClassifier)

    print(f"Encoder and generator, PSNR: {reconstruction(models, faces).mean():.2f} dB")
    print(f"  without the background: {reconstruction(models, faces, labels).mean():.2f} dB")
    for through in (128, 64):
        shares = held_out_overlap(parsing, faces, labels, through)
        print(f"Parser, intersection over union with the measured labels, photos at {through} px: {shares.mean():.3f}")
        print("  " + ", ".join(f"{name} {share:.3f}" for name, share in zip(REGIONS, shares, strict=True)))
    wanted = targets(labels, classifier.attributes)
    accuracies = balanced_accuracy(logits_of(classifier, faces), wanted)
    print(f"Classifier, balanced accuracy against the measured labels: {accuracies.mean():.3f}")
    for i, name in enumerate(classifier.attributes):
        absent, present = ((wanted[:, i] == value).sum() for value in (0, 1))
        print(f"  {name} {accuracies[i]:.3f} ({present} present, {absent} absent)")
    for vary in (0.0, 1.0):
        errors = held_out_error(load_landmarks(), faces, vary)
        print(f"Landmarks, mean error over the eye distance, crops varied {vary:.0%}: {errors.mean():.4f}")


if __name__ == "__main__":
    with torch.no_grad():
        main()
