"""What attributes change in latents: a regression on labels, against scores that were made from them."""

import math
from pathlib import Path

import torch

from maskedit.models.networks.portraits import PortraitEncoder
from maskedit.training.directions import RIDGE, attribute_changes, latents_of
from maskedit.training.faces import load_faces

NAMES = ("smiling", "young", "pale_skin")


def made(people: int, noise: float = 0.0) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
    """Scores of people of whom smiling ones are mostly young, their labels, and what each attribute adds."""
    rng = torch.Generator().manual_seed(0)
    labels = (torch.rand(people, 3, generator=rng) < 0.5).float()
    labels[:, 1] = torch.where(torch.rand(people, generator=rng) < 0.8, labels[:, 0], labels[:, 1])
    adds = torch.randn(3, 5, generator=rng)
    scores = 2 + labels @ adds + noise * torch.randn(people, 5, generator=rng)
    return scores, dict(zip(NAMES, labels.mT, strict=True)), adds


def test_what_an_attribute_adds_is_found_apart_from_what_goes_with_it() -> None:
    scores, known, adds = made(4000, noise=0.5)
    found = torch.stack(list(attribute_changes(scores, known).values()))
    assert (found - adds).abs().max() < 0.1
    # The plain difference of means would bring youth along with a smile.
    smiling = known["smiling"] == 1
    plain = scores[smiling].mean(0) - scores[~smiling].mean(0)
    assert (plain - adds[0]).abs().max() > 3 * (found[0] - adds[0]).abs().max()


def test_unknown_labels_say_nothing() -> None:
    scores, known, _ = made(400)
    unknown = known | {"pale_skin": torch.full((400,), math.nan)}
    found = attribute_changes(scores, unknown)
    assert found["pale_skin"].norm() == 0
    rest = attribute_changes(scores, {name: known[name] for name in NAMES[:2]})
    assert all(torch.allclose(found[name], rest[name], atol=1e-5) for name in rest)
    assert attribute_changes(scores, {}) == {}


def test_directions_are_in_the_latents_own_units(drawn_faces: Path) -> None:
    """Of one attribute: the difference of the two groups' means along the components, shrunk by the ridge."""
    torch.manual_seed(0)
    faces, encoder = load_faces(drawn_faces, "train"), PortraitEncoder(layers=3, dim=4, components=6)
    encoder.look_at(faces.resized(encoder.size).float() / 255)
    torch.nn.init.normal_(encoder.expand.weight)
    light = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0, 0.0])  # the hair of every third and fourth
    latents = latents_of(encoder, faces, 4, {"light": light})
    photos = faces.resized(encoder.size).float() / 255
    codes = torch.cat([encoder.encode(photos), encoder.encode(photos.flip(3))]).flatten(1)
    group = light.repeat(2) == 1
    apart = codes[group].mean(0) - codes[~group].mean(0)
    spread = 12 * (1 / 3) * (2 / 3)  # of the labels, photos and mirror images
    wanted = apart @ latents.components.mT @ latents.components * (spread / (spread + RIDGE))
    torch.testing.assert_close(latents.directions["light"], wanted.view(3, 4), rtol=1e-4, atol=1e-5)
    assert latents_of(encoder, faces, 4).directions == {}
