"""A tiny generator, written as each kind of file that is read."""

import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from maskedit.models.files.generators import save_generator
from maskedit.models.networks.stylegan2 import StyleGAN2


def tiny_generator(**changes: Any) -> StyleGAN2:
    """Trained-looking: no parameter is zero; with a mean latent and constant noise maps."""
    sizes = {"resolution": 16, "latent_dim": 5, "channels": (6, 4, 3), "mapping_layers": 2, "z_dim": 7, **changes}
    torch.manual_seed(3)
    generator = StyleGAN2(**sizes)
    with torch.no_grad():
        for parameter in generator.parameters():
            if parameter.ndim < 2:
                parameter.normal_(1, 0.3)
    generator.latent_average = torch.randn(generator.latent_dim)
    for i, shape in enumerate(generator.noise_shapes):
        setattr(generator, f"noise_{i}", torch.randn(1, 1, *shape))
    return generator


def blur_kernel() -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return taps.outer(taps) / 64


def rosinality_state(generator: StyleGAN2) -> dict[str, Tensor]:
    """The generator's weights under rosinality's names and in its shapes."""
    state = {"input.input": generator.constant}
    for i, layer in enumerate(generator.mapping.layers):
        state |= {f"style.{i + 1}.weight": layer.weight, f"style.{i + 1}.bias": layer.bias}
    for i, conv in enumerate(generator.convs):
        prefix = "conv1" if i == 0 else f"convs.{i - 1}"
        if conv.up:
            state[f"{prefix}.conv.blur.kernel"] = blur_kernel() * 4
        state |= {
            f"{prefix}.conv.weight": conv.weight[None],
            f"{prefix}.conv.modulation.weight": conv.style.weight,
            f"{prefix}.conv.modulation.bias": conv.style.bias,
            f"{prefix}.noise.weight": conv.noise_strength[None],
            f"{prefix}.activate.bias": conv.bias,
        }
    for i, to_rgb in enumerate(generator.to_rgbs):
        prefix = "to_rgb1" if i == 0 else f"to_rgbs.{i - 1}"
        if i > 0:
            state[f"{prefix}.upsample.kernel"] = blur_kernel() * 4
        state |= {
            f"{prefix}.conv.weight": to_rgb.weight[None, :, :, None, None],
            f"{prefix}.conv.modulation.weight": to_rgb.style.weight,
            f"{prefix}.conv.modulation.bias": to_rgb.style.bias,
            f"{prefix}.bias": to_rgb.bias[None, :, None, None],
        }
    state |= {f"noises.{name}": noise for name, noise in generator.named_buffers() if name.startswith("noise_")}
    return state


def detached(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.detach().clone() for key, tensor in state.items()}


def ada_state(generator: StyleGAN2) -> dict[str, Tensor]:
    """The generator's weights under StyleGAN2-ADA's names and in its shapes."""
    state = {"mapping.w_avg": generator.latent_average, "synthesis.b4.const": generator.constant[0]}
    for i, layer in enumerate(generator.mapping.layers):
        state |= {f"mapping.fc{i}.weight": layer.weight, f"mapping.fc{i}.bias": layer.bias}
    for i, conv in enumerate(generator.convs):
        prefix = f"synthesis.b{4 << (i + 1) // 2}.conv{1 - i % 2}"
        state |= {
            f"{prefix}.weight": conv.weight,
            f"{prefix}.bias": conv.bias,
            f"{prefix}.noise_strength": conv.noise_strength,
            f"{prefix}.noise_const": getattr(generator, f"noise_{i}")[0, 0],
            f"{prefix}.resample_filter": blur_kernel(),
            f"{prefix}.affine.weight": conv.style.weight,
            f"{prefix}.affine.bias": conv.style.bias,
        }
    for i, to_rgb in enumerate(generator.to_rgbs):
        prefix = f"synthesis.b{4 << i}"
        state |= {
            f"{prefix}.resample_filter": blur_kernel(),
            f"{prefix}.torgb.weight": to_rgb.weight[:, :, None, None],
            f"{prefix}.torgb.bias": to_rgb.bias,
            f"{prefix}.torgb.affine.weight": to_rgb.style.weight,
            f"{prefix}.torgb.affine.bias": to_rgb.style.bias,
        }
    return {key: tensor for key, tensor in state.items() if tensor is not None}


class Persistent:
    """Pickles as the modules of NVIDIA's programs do."""

    def __init__(self, class_name: str, module_src: str = "raise SystemExit", **state: object) -> None:
        self.meta = {"type": "class", "version": 6, "module_src": module_src, "class_name": class_name, "state": state}

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


@contextmanager
def nvidias_modules() -> Iterator[None]:
    """While it lasts, pickle finds the function that NVIDIA's files name. It is never called."""

    def _reconstruct_persistent_obj(meta: object) -> object:
        raise AssertionError("the reader ran it")

    package, persistence = ModuleType("torch_utils"), ModuleType("torch_utils.persistence")
    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    package.persistence = persistence  # type: ignore[attr-defined]
    sys.modules |= {"torch_utils": package, "torch_utils.persistence": persistence}
    try:
        yield
    finally:
        del sys.modules["torch_utils"], sys.modules["torch_utils.persistence"]


def persistent_tree(state: Mapping[str, Tensor], class_name: str = "Generator", **attributes: object) -> Persistent:
    """Modules with these parameters and buffers, as deep as the dots in their names; attributes go to every one."""
    own = {key: tensor for key, tensor in state.items() if "." not in key}
    children: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        name, dot, rest = key.partition(".")
        if dot:
            children.setdefault(name, {})[rest] = tensor
    constants = ("resample_filter", "noise_const", "w_avg")
    return Persistent(
        class_name,
        **attributes,
        _parameters={k: torch.nn.Parameter(v) for k, v in own.items() if k not in constants},
        _buffers={k: v for k, v in own.items() if k in constants},
        _modules={name: persistent_tree(part, name.capitalize(), **attributes) for name, part in children.items()},
    )


def write_rosinality(path: Path, generator: StyleGAN2, *, zipped: bool = True) -> None:
    value = {"g_ema": detached(rosinality_state(generator)), "latent_avg": generator.latent_average}
    torch.save(value, path, _use_new_zipfile_serialization=zipped)


def write_encoder(path: Path, generator: StyleGAN2) -> None:
    """As pSp, e4e and ReStyle do, with a mean latent for each layer."""
    state = {f"decoder.{key}": tensor for key, tensor in detached(rosinality_state(generator)).items()}
    state["encoder.input_layer.0.weight"] = torch.randn(4, 3, 3, 3)
    average = generator.latent_average.repeat(generator.latent_shape[0], 1)
    torch.save({"state_dict": state, "latent_avg": average, "opts": {"output_size": generator.resolution}}, path)


def write_nvidia(path: Path, generator: StyleGAN2, **attributes: object) -> None:
    with nvidias_modules(), path.open("wb") as file:
        value = {
            "G": None,
            "D": None,
            "G_ema": persistent_tree(detached(ada_state(generator)), **attributes),
            "augment_pipe": None,
        }
        pickle.dump(value, file, protocol=4)


WRITERS: Mapping[str, Callable[[Path, StyleGAN2], None]] = {
    "rosinality zip": write_rosinality,
    "rosinality without zip": lambda path, generator: write_rosinality(path, generator, zipped=False),
    "bare rosinality": lambda path, generator: torch.save(
        {**detached(rosinality_state(generator)), "latent_avg": generator.latent_average}, path
    ),
    "encoder's": write_encoder,
    "nvidia": write_nvidia,
    "bare nvidia": lambda path, generator: torch.save(detached(ada_state(generator)), path),
    "ours": lambda path, generator: save_generator(generator, path),
}
"""Writers of each kind of file, from a generator with mean latent and constant noise."""
