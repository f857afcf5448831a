"""The kinds of blending side by side, in held-out photos at their own size: sheets, and what each keeps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch.nn.functional as F
from jaxtyping import Float
from kornia.filters import spatial_gradient
from torch import Tensor

from benchmarks.faces.edits import Fits, eligible
from benchmarks.faces.tables import Table
from maskedit.blending import AddChange, Blend, Paste, Pyramid, Redraw, Tint
from maskedit.protocols import Models
from maskedit.recipes import plausible
from maskedit.solve import run
from maskedit.training.faces import Faces
from maskedit.training.sheets import sheet
from maskedit.types import Image

KINDS: Mapping[str, Blend] = {
    "paste": Paste(),  # these two of the generated picture, enlarged
    "pyramid": Pyramid(),
    "change": AddChange(),
    "redraw": Redraw(),
    "tint": Tint(),
}


def slopes(picture: Image) -> Float[Tensor, "n 1 h w"]:
    """How steep each pixel's colours are, the mean of the three."""
    return spatial_gradient(picture).norm(dim=2).mean(1, keepdim=True)


def against(picture: Image, photo: Image, where: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    """Mean slope of a picture over that of a photo, in a part of them; NaN where the part is empty."""
    ours, theirs = ((slopes(x) * where).sum((1, 2, 3)) for x in (picture, photo))
    return ours / theirs


def enlarged(picture: Float[Tensor, "n c h w"], like: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n c H W"]:
    return F.interpolate(picture, size=like.shape[-2:], mode="bilinear", align_corners=False)


def blends(
    models: Models,
    faces: Faces,
    known: Float[Tensor, "n attributes"],
    *,
    attributes: Sequence[str],
    count: int = 8,
    out: Path | None = None,
) -> Table:
    """Each attribute set by ``recipes.plausible`` in faces that lack it, and the same edit blended in each way.

    "Detail" is the mean slope within the mask over the photo's: 1 keeps its sharpness, less is soft. "Rim" is the same
    where the mask's edge is: more than 1 may be a seam. The edit was optimised through the recipe's own blend, so this
    says nothing of success.

    Args:
        models: those that edit.
        faces: the photos.
        known: 1, 0 or NaN for each photo and each of the classifier's attributes.
        attributes: what to set.
        count: how many faces.
        out: folder for sheets: the photos, and a row for each kind.
    """
    assert models.classifier is not None
    photos = faces.resized(models.generator.resolution).float() / 255
    fits = Fits(models, photos)
    rows: list[tuple[str | float | int, ...]] = []
    for attribute in attributes:
        chosen = eligible(known[:, models.classifier.attributes.index(attribute)], 1, count)
        recipe = plausible(attribute)
        result = run(*fits.problem(recipe, chosen, attribute))
        large, mask = faces.images[chosen].float() / 255, result.masks["blend"]
        wide = enlarged(mask, large)
        rim = slopes(wide.expand_as(large))
        assert recipe.blend is not None
        drawn = []
        for kind, blend in KINDS.items():
            if blend.needs_fitted:
                drawn.append(blend(result.generated, result.fitted, large, mask))
            else:
                drawn.append(blend(enlarged(result.generated, large), None, large, wide))
            own = " (the recipe's)" if type(blend) is type(recipe.blend) else ""
            figures = [against(drawn[-1], large, where).nanmean().item() for where in (wide, rim)]
            rows.append((f"{attribute}, {kind}{own}", *figures))
        if out is not None:
            sheet(out / f"blends_{attribute}.png", large, *drawn)
    title = f"Edits at {photos.shape[-1]} px in photos of {faces.images.shape[-1]} px"
    return Table(title, ("blend", "detail", "rim"), tuple(rows))
