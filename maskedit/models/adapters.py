"""Anyone's network as a parser or a classifier: say what its outputs mean and what its inputs look like.

    preprocess = Preprocess(size=512, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    parser = SegmentationParser(network, labels=BISENET_LABELS, preprocess=preprocess)
    parser = SegmentationParser.from_transformers(SegformerForSemanticSegmentation.from_pretrained(folder))
    classifier = AttributeClassifier(network, attributes=["smiling", "blond_hair"], preprocess=Preprocess(size=224))
    classifier = AttributeClassifier.from_timm(timm.create_model(name, num_classes=2), attributes=[...])

A network may give its logits as a tensor, as the first of a tuple (BiSeNet ports), under ``"out"`` (torchvision) or
``logits`` (Hugging Face), or as class and mask queries (MaskFormer and its kin).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import InputError
from maskedit.models.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from maskedit.models.region_labels import merge_labels, positions
from maskedit.types import Image, Logits, PerSample


class Frozen(nn.Module):
    """A network with the way from a picture in [0, 1] to its input. It is put in eval mode and frozen, in place.

    Args:
        network: takes ``[b, 3, size, size]``, gives logits.
        preprocess: what makes a picture what the network takes.
    """

    def __init__(self, network: nn.Module, *, preprocess: Preprocess) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.preprocess = preprocess

    @property
    def size(self) -> int:
        """Side of the pictures that the network takes, in pixels."""
        return self.preprocess.size

    def logits(self, image: Image) -> Float[Tensor, "b ..."]:
        """The network's logits for pictures in [0, 1] of any size."""
        return pick_logits(self.network(self.preprocess(image)))


class SegmentationParser(Frozen):
    """A segmentation network as a :class:`maskedit.protocols.Parser`.

    Masks are ``size`` pixels wide; coarser logits are resized bilinearly before the softmax.

    Args:
        network: takes ``[b, 3, size, size]``, gives logits ``[b, len(labels), h, w]``.
        labels: what its classes are called, in order.
        regions: each region with the labels that make it up, whose probabilities are summed. None merges the
            labels of the released parser and of CelebAMask-HQ into ours, and makes any other label a region.
        preprocess: what makes a picture what the network takes; 512 px in [0, 1] if None.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        labels: Sequence[str],
        regions: Mapping[str, Sequence[str]] | None = None,
        preprocess: Preprocess | None = None,
    ) -> None:
        super().__init__(network, preprocess=preprocess or Preprocess(size=512))
        self.labels = _distinct(labels, "label")
        merged = merge_labels(self.labels) if regions is None else regions
        self._classes = {region: positions(made_of, self.labels, "label") for region, made_of in merged.items()}

    @classmethod
    def from_transformers(
        cls,
        model: nn.Module,
        *,
        regions: Mapping[str, Sequence[str]] | None = None,
        preprocess: Preprocess | None = None,
    ) -> "SegmentationParser":
        """A Hugging Face model for semantic segmentation, its labels from ``config.id2label``.

        Args:
            model: an ``AutoModelForSemanticSegmentation`` or ``AutoModelForUniversalSegmentation``.
            regions: as for the class.
            preprocess: what its image processor does; None takes the size of the configuration, or else 512, and
                ImageNet's mean and deviation.
        """
        preprocess = preprocess or _of_imagenet(_size(model, 512))
        return cls(model, labels=_id2label(model), regions=regions, preprocess=preprocess)

    @property
    def regions(self) -> tuple[str, ...]:
        """The names that ``parse`` understands."""
        return tuple(self._classes)

    def parse(self, image: Image, regions: Sequence[str]) -> Float[Tensor, "b regions _ _"]:
        """Probabilities ``[b, len(regions), size, size]`` for pictures in [0, 1].

        Raises:
            InputError: if a region is unknown, or the network has not one class for each label.
        """
        positions(regions, self.regions, "region")
        logits = self.logits(image)
        _check_classes(logits, self.labels, "label")
        if logits.shape[-2:] != (self.size, self.size):
            logits = F.interpolate(logits, (self.size, self.size), mode="bilinear", align_corners=False)
        probabilities = logits.softmax(dim=1)
        return torch.stack([probabilities[:, self._classes[region]].sum(dim=1) for region in regions], dim=1)


class AttributeClassifier(Frozen):
    """A classification network as a :class:`maskedit.protocols.Classifier`.

    Args:
        network: takes ``[b, 3, size, size]``, gives ``[b, len(attributes)]``.
        attributes: what its outputs are called, in order.
        exclusive: the outputs are classes of which a picture has one (softmax); each class's logit is then that
            of "this one against the others". Otherwise each output is an attribute's own logit (sigmoid).
        preprocess: what makes a picture what the network takes; 224 px in [0, 1] if None.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        attributes: Sequence[str],
        exclusive: bool = False,
        preprocess: Preprocess | None = None,
    ) -> None:
        super().__init__(network, preprocess=preprocess or Preprocess(size=224))
        self.attributes = _distinct(attributes, "attribute")
        self.exclusive = exclusive
        if exclusive and len(self.attributes) < 2:
            raise InputError("classes that exclude each other must be two or more", actual=str(len(self.attributes)))

    @classmethod
    def from_transformers(
        cls,
        model: nn.Module,
        *,
        exclusive: bool | None = None,
        preprocess: Preprocess | None = None,
    ) -> "AttributeClassifier":
        """A Hugging Face model for image classification, its attributes from ``config.id2label``.

        Names become ours: "Wavy Hair" is asked for as ``wavy_hair``.

        Args:
            model: an ``AutoModelForImageClassification``.
            exclusive: as for the class; None asks ``config.problem_type``, and where that says nothing takes two
                outputs or more for classes.
            preprocess: what its image processor does; None takes the size of the configuration, or else 224, and
                ImageNet's mean and deviation.
        """
        names = [name.strip().lower().replace(" ", "_").replace("-", "_") for name in _id2label(model)]
        if exclusive is None:
            kind = getattr(model.config, "problem_type", None)
            exclusive = kind == "single_label_classification" or (kind is None and len(names) > 1)
        preprocess = preprocess or _of_imagenet(_size(model, 224))
        return cls(model, attributes=names, exclusive=exclusive, preprocess=preprocess)

    @classmethod
    def from_timm(
        cls, model: nn.Module, *, attributes: Sequence[str], exclusive: bool = False
    ) -> "AttributeClassifier":
        """A timm model, its input's size, mean and std from ``pretrained_cfg``.

        Args:
            model: what ``timm.create_model(..., num_classes=len(attributes))`` gives.
            attributes: as for the class.
            exclusive: as for the class.

        Raises:
            InputError: if the model has no ``pretrained_cfg``.
        """
        given = getattr(model, "pretrained_cfg", None)
        if not isinstance(given, Mapping):
            raise InputError(
                f"{type(model).__name__} is no timm model",
                expected="a module with pretrained_cfg",
                hint="AttributeClassifier(network, attributes=..., preprocess=...) takes any network.",
            )
        preprocess = Preprocess(size=given["input_size"][-1], mean=given["mean"], std=given["std"])
        return cls(model, attributes=attributes, exclusive=exclusive, preprocess=preprocess)

    def classify(self, image: Image, attributes: Sequence[str]) -> Logits:
        """Logits ``[b, len(attributes)]`` for pictures in [0, 1].

        Raises:
            InputError: if an attribute is unknown, or the network has not one output for each.
        """
        wanted = positions(attributes, self.attributes, "attribute")
        logits = self.logits(image)
        _check_classes(logits, self.attributes, "attribute")
        if not self.exclusive:
            return logits[:, wanted]
        return torch.stack([_against_others(logits, i) for i in wanted], dim=1)


def pick_logits(output: Any) -> Tensor:
    """The logits in whatever a network gave.

    Raises:
        InputError: if there is nothing known in it.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Sequence) and output and isinstance(output[0], Tensor):
        return output[0]
    if isinstance(output, Mapping):
        for name in ("out", "logits"):
            if name in output:
                return pick_logits(output[name])
        if "class_queries_logits" in output and "masks_queries_logits" in output:
            return _from_queries(output["class_queries_logits"], output["masks_queries_logits"])
    raise InputError(
        "no logits found in what the network gave",
        expected="a tensor, a tuple that starts with one, or a mapping with 'out', 'logits' or mask queries",
        actual=f"{type(output).__name__} of {list(output)}" if isinstance(output, Mapping) else type(output).__name__,
        hint="Wrap the network in a module whose forward gives the logits.",
    )


def _against_others(logits: Float[Tensor, "b classes"], i: int) -> PerSample:
    # log p - log(1 - p) of a softmax, without a probability in between that could round to 0 or 1.
    others = torch.cat([logits[:, :i], logits[:, i + 1 :]], dim=1)
    return logits[:, i] - others.logsumexp(dim=1)


def _from_queries(
    classes: Float[Tensor, "b queries classes1"], masks: Float[Tensor, "b queries h w"]
) -> Float[Tensor, "b classes h w"]:
    """Semantic logits of MaskFormer's queries: each votes for its class (the last means none) where its mask is."""
    scores = einsum(classes.softmax(-1)[..., :-1], masks.sigmoid(), "b q c, b q h w -> b c h w")
    return scores.clamp_min(torch.finfo(scores.dtype).tiny).log()  # a softmax turns them into shares


def _check_classes(logits: Tensor, names: Sequence[str], kind: str) -> None:
    if logits.shape[1] != len(names):
        raise InputError(
            f"the network has not one output for each {kind}",
            expected=f"{len(names)} ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})",
            actual=str(logits.shape[1]),
        )


def _distinct(names: Sequence[str], kind: str) -> tuple[str, ...]:
    twice = [name for name in names if list(names).count(name) > 1]
    if twice or not names:
        raise InputError(f"each {kind} needs a name of its own", actual=repr(twice[0]) + " twice" if twice else "none")
    return tuple(names)


def _id2label(model: nn.Module) -> list[str]:
    labels = getattr(getattr(model, "config", None), "id2label", None)
    if not labels:
        raise InputError(f"{type(model).__name__} says no labels", expected="a Hugging Face model with config.id2label")
    return [labels[index] for index in sorted(labels)]


def _size(model: nn.Module, otherwise: int) -> int:
    size = getattr(model.config, "image_size", None) or otherwise
    if isinstance(size, int):
        return size
    height, width = size
    if height != width:
        raise InputError("the model takes no square pictures", actual=f"{height}x{width}", hint="Pass size=.")
    return int(height)


def _of_imagenet(size: int) -> Preprocess:
    return Preprocess(size=size, mean=IMAGENET_MEAN, std=IMAGENET_STD)
