"""What the benchmarks run: config-F generators with weights by formula, and the stages of the paper's procedure."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

import maskedit as me
from benchmarks.speed import naive
from maskedit.models.adapters import SegmentationParser
from maskedit.models.networks.attribute_tree import AttributeTree
from maskedit.models.networks.deeplab import DeepLabV3
from maskedit.models.networks.resnet import ResNet
from maskedit.models.networks.stylegan2 import StyleGAN2, config_f_channels
from maskedit.models.preprocess import Preprocess
from maskedit.models.region_labels import RELEASED_LABELS
from tests.data import formula

STAGES = ("fit", "edit", "edit+shape", "detail")


def generator(size: int, narrower: int = 1) -> StyleGAN2:
    """Config F with formula weights; ``narrower`` divides every number of channels, for tests."""
    channels = [channels // narrower for channels in config_f_channels(size)]
    made = StyleGAN2(resolution=size, latent_dim=512 // narrower, channels=channels)
    # The formula knows biases of styles, which are about 1, by the name "modulation".
    named = made.state_dict().items()
    made.load_state_dict({k: formula.fill(k.replace("style", "modulation"), v, stylegan=True) for k, v in named})
    return made


class FixedMask:
    """A parser that always sees the same face: for stages that ask the parser only once, before they begin."""

    regions = ("skin", "mouth")

    def parse(self, image: Tensor, regions: Sequence[str]) -> Tensor:
        line = torch.linspace(-1, 1, image.shape[-1], device=image.device, dtype=image.dtype)
        face = torch.sigmoid((0.7 - (line[:, None] ** 2 + line**2).sqrt()) * 20)
        return face.expand(len(image), len(regions), -1, -1)


def problem(
    size: int,
    batch: int,
    stage: str,
    narrower: int = 1,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> me.Problem:
    """An edit of "smiling", with the models that the stage needs: the released program's, at its sizes."""
    synthesis = generator(size, narrower).to(device, dtype).freeze()  # what is kept, in full precision too
    parser = classifier = None
    if stage.startswith("edit"):
        trunk = ResNet(width=64 // narrower, outputs=None, dilated=True)
        network = DeepLabV3(backbone=trunk, classes=len(RELEASED_LABELS), hidden=256 // narrower)
        preprocess = Preprocess(size=512, input_range=(-1, 1))
        parser = SegmentationParser(formula.fill_(network), labels=RELEASED_LABELS, preprocess=preprocess)
        classifier = (
            formula.fill_(AttributeTree(width=64 // narrower, hidden=128 // narrower)).eval().requires_grad_(False)
        )
        parser, classifier = parser.to(device, dtype), classifier.to(device, dtype)
    start = torch.stack([formula.normal(i, *synthesis.latent_shape) for i in range(batch)]).to(device, dtype)
    image = torch.stack([formula.uniform(100 + i, 3, size, size) for i in range(batch)]).to(device, dtype)
    models = me.Models(synthesis, parser or FixedMask(), classifier)
    return me.Problem(models, image, me.Edit(["smiling"] if classifier else [], regions=["mouth"]), start=start)


def schedule(stage: str, adam: Callable[..., torch.optim.Optimizer] = torch.optim.Adam) -> me.Schedule:
    """One stage of :func:`maskedit.recipes.paper`, of more steps than anyone will take."""
    make = partial(me.Stage, stage.replace("+", "_"), 100_000)
    keep, varied = 2.0 * me.preserve("skin"), me.latent(lr=1e-3, optimizer=adam)
    if stage == "fit":
        return me.Schedule(make(keep, vary=varied))
    if stage == "detail":
        noise = me.noise(lr=0.1, optimizer=adam)
        return me.Schedule(make(keep + me.white_noise(), vary=noise, after_step=[me.NormalizeNoise()]))
    terms = keep + 0.005 * me.attribute("smiling")
    if stage == "edit+shape":
        terms = terms + 0.5 * me.shape("hair")
    return me.Schedule(make(terms, vary=varied, after_step=[me.GrowTarget()]))


class FirstGradient(torch.optim.Adam):
    """Adam that remembers the gradients of its first step, to compare them."""

    gradients: list[Tensor] | None = None

    def step(self, closure: None = None) -> None:
        if self.gradients is None:
            self.gradients = [p.grad.detach().clone() for group in self.param_groups for p in group["params"]]
        super().step()


def remembering(made: list[FirstGradient]) -> Callable[..., FirstGradient]:
    """A maker of optimisers, which are put on the list."""

    def make(parameters: list[Tensor], lr: float) -> FirstGradient:
        made.append(FirstGradient(parameters, lr=lr))
        return made[-1]

    return make


def first_gradient(made: list[FirstGradient], batch: int) -> Tensor:
    """``[b, n]`` of all variables, whether there is one optimiser for the batch or one for each image."""
    if len(made) == batch > 1:
        return torch.stack([torch.cat([g.flatten() for g in optimizer.gradients]) for optimizer in made])
    return torch.cat([g.reshape(batch, -1) for g in made[0].gradients], dim=1)


def steps(variant: str, problem: me.Problem, stage: str, made: list[FirstGradient]) -> Iterator[Tensor]:
    """Endless steps, maskedit's ("ours") or those of public ports ("naive"); each yields the objective ``[b]``."""
    if variant == "naive":
        return naive.steps(problem, stage, remembering(made))
    return (step.total for step in me.steps(problem, schedule(stage, remembering(made))))
