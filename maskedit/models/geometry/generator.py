"""A generator of given photos: their own pixels, moved as a shape says and changed as an appearance is."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskedit.errors import InputError
from maskedit.models.geometry.coordinates import LONGEST, REGIONS, Coordinates, bounds, load_coordinates
from maskedit.models.geometry.insides import Insides
from maskedit.models.geometry.warp import Warp
from maskedit.protocols import Generator
from maskedit.types import Image, Latent, NoiseMaps


class ShapedGenerator(nn.Module):
    """Appearance and shape of photos; a :class:`maskedit.protocols.Generator` that draws these photos alone.

    Its latents are the rows of the appearance's generator, then a row of coordinates for each of ``regions`` (in
    deviations, kept within the safe ranges). It draws the photos' own pixels, plus what the appearance changed since
    the photos were fitted, moved from the photos' shape to that of the coordinates, at the photos' size.

    Args:
        appearance: draws the photos' appearance.
        photos: one for each latent of a batch.
        points: the mesh's points in them.
        fitted: the appearance's latents that show the photos.
        coordinates: what the rows of shape mean; those that come with maskedit by default.
        insides: draws what parting lips uncover; without it, the photo's own mouth is stretched.

    Raises:
        InputError: if photos, points and latents are not as many, or the latents are too narrow for a row of shape.
    """

    def __init__(
        self,
        *,
        appearance: Generator,
        photos: Image,
        points: Float[Tensor, "faces points 2"],
        fitted: Float[Tensor, "latents layers dim"],
        coordinates: Coordinates | None = None,
        insides: Insides | None = None,
    ) -> None:
        super().__init__()
        layers, dim = appearance.latent_shape
        if not len(photos) == len(points) == len(fitted):
            raise InputError(
                "photos, points and latents do not belong together",
                expected="as many of each",
                actual=f"{len(photos)}, {len(points)} and {len(fitted)}",
            )
        if dim < LONGEST:
            raise InputError("latents are too narrow for shape", expected=f"dim >= {LONGEST}", actual=str(dim))
        self.appearance, self.photos, self.points, self.fitted = appearance, photos, points, fitted
        self.coordinates, self.insides = coordinates or load_coordinates(), insides
        self.regions = REGIONS
        self.resolution = photos.shape[-1]
        self.latent_shape = (layers + len(REGIONS), dim)
        self.low, self.high = (limit.to(points) for limit in bounds(self.coordinates))
        self.warp = Warp(points)
        with torch.no_grad():
            self.seen = appearance.synthesize(fitted, self._silence())

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        """Those of the appearance's generator."""
        return self.appearance.noise_shapes

    def _silence(self) -> list[Tensor]:
        return [self.fitted.new_zeros(len(self.fitted), 1, *shape) for shape in self.noise_shapes]

    def latent(self, rows: Float[Tensor, "b regions numbers"] | None = None) -> Latent:
        """The latents that show the photos, in the shape of these coordinates if there are any."""
        latent = self.fitted.new_zeros(len(self.fitted), *self.latent_shape)
        latent[:, : -len(REGIONS)] = self.fitted
        if rows is not None:
            latent[:, -len(REGIONS) :, :LONGEST] = rows
        return latent

    def shape(self, latent: Latent) -> Float[Tensor, "b points 2"]:
        """The mesh's points that these latents ask for."""
        rows = latent[:, -len(REGIONS) :, :LONGEST]
        return self.coordinates.shape(self.points, rows.maximum(self.low).minimum(self.high))

    def synthesize(self, latent: Latent, noises: NoiseMaps = ()) -> Image:
        """The photos as these latents would have them; not clamped.

        Raises:
            InputError: if the latents are not one for each photo.
        """
        if latent.shape != (len(self.photos), *self.latent_shape):
            raise InputError(
                "these latents do not belong to the photos",
                expected=str([len(self.photos), *self.latent_shape]),
                actual=str(list(latent.shape)),
            )
        shape = self.shape(latent)
        now = self.appearance.synthesize(latent[:, : -len(REGIONS)], noises or self._silence())
        changed = F.interpolate(now - self.seen, size=self.photos.shape[-2:], mode="bilinear", align_corners=False)
        picture = self.photos + changed
        inside = None
        if self.insides is not None:
            inside = self.insides(picture, self.points, shape, self.warp.own_inside(picture, shape))
        return self.warp(picture, shape, inside)

    forward = synthesize
