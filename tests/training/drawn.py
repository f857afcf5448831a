"""A drawn face, with its landmarks."""

import math

import numpy as np
import torch
from PIL import Image, ImageDraw

SIZE = 256


def arc(x: float, y: float, width: float, height: float, start: float, stop: float, count: int) -> list[list[float]]:
    """Points on an ellipse, angles in degrees from the right, clockwise as seen."""
    angles = (math.radians(start + (stop - start) * i / (count - 1)) for i in range(count))
    return [[x + width * math.cos(a), y + height * math.sin(a)] for a in angles]


def drawn_landmarks(opening: float = 0.02, eye: float = 0.012) -> torch.Tensor:
    """68 points of a symmetrical face, as fractions of the side; eyes 0.24 apart."""
    points = arc(0.5, 0.5, 0.24, 0.4, 175, 5, 17)
    points += arc(0.38, 0.43, 0.07, 0.03, 190, 350, 5) + arc(0.62, 0.43, 0.07, 0.03, 190, 350, 5)
    points += [[0.5, 0.48 + 0.04 * i] for i in range(4)] + [[0.45 + 0.025 * i, 0.63] for i in range(5)]
    for x in (0.38, 0.62):
        points += [[x - 0.04, 0.48], [x - 0.015, 0.48 - eye], [x + 0.015, 0.48 - eye]]
        points += [[x + 0.04, 0.48], [x + 0.015, 0.48 + eye], [x - 0.015, 0.48 + eye]]
    points += arc(0.5, 0.73, 0.1, 0.03 + opening, 180, 360, 7) + arc(0.5, 0.73, 0.1, 0.03 + opening, 30, 150, 5)
    points += arc(0.5, 0.73, 0.08, opening, 180, 360, 5) + arc(0.5, 0.73, 0.08, opening, 45, 135, 3)
    return torch.tensor(points)


def drawn_face(hair: tuple[int, int, int], seed: int) -> Image.Image:
    """Hair around a head with ears above clothes, before a plain wall, with some grain."""
    picture = Image.new("RGB", (SIZE, SIZE), (70, 90, 160))
    pen = ImageDraw.Draw(picture)

    def ellipse(x: float, y: float, width: float, height: float, colour: tuple[int, int, int]) -> None:
        pen.ellipse([SIZE * (x - width), SIZE * (y - height), SIZE * (x + width), SIZE * (y + height)], fill=colour)

    skin = (214, 160, 130)
    pen.rectangle([0, int(0.95 * SIZE), SIZE, SIZE], fill=(30, 30, 30))
    pen.rectangle([int(0.38 * SIZE), int(0.8 * SIZE), int(0.62 * SIZE), int(0.95 * SIZE)], fill=skin)
    ellipse(0.5, 0.36, 0.3, 0.3, hair)
    ellipse(0.5, 0.5, 0.24, 0.4, hair)
    pen.pieslice([int(0.26 * SIZE), int(0.1 * SIZE), int(0.74 * SIZE), int(0.9 * SIZE)], 0, 180, fill=skin)
    pen.rectangle([int(0.27 * SIZE), int(0.33 * SIZE), int(0.73 * SIZE), int(0.52 * SIZE)], fill=skin)
    for x in (0.38, 0.62):
        ellipse(x, 0.48, 0.04, 0.012, (240, 240, 240))
        ellipse(x, 0.415, 0.06, 0.01, (60, 40, 30))
    ellipse(0.5, 0.73, 0.1, 0.05, (190, 70, 70))
    grain = np.random.default_rng(seed).normal(0, 4, (SIZE, SIZE, 3))
    return Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))
