"""Weights by formula, so that a full-size network's expected output fits in a small file.

`fill_(module)` overwrites every floating tensor of the module's state dict with numbers that
depend on its key and shape alone. Pass `stylegan=True` for StyleGAN2 state dicts.
"""

import zlib

import numpy as np
import torch


def fill(key, tensor, stylegan=False):
    if not torch.is_floating_point(tensor):
        return tensor
    leaf = key.rsplit(".", 1)[-1]
    if leaf in ("kernel", "celeba_mean", "celeba_std", "resample_filter"):
        return tensor  # constants of the architecture, not weights
    x = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(tuple(tensor.shape))
    x = torch.from_numpy(np.asarray(x))
    if leaf == "running_var":
        x = 1 + 0.2 * x.abs()
    elif leaf == "running_mean":
        x = 0.1 * x
    elif leaf in ("bias", "noise_strength"):
        x = (1.0 + 0.1 * x) if ("modulation" in key or "affine" in key) else 0.1 * x
    elif tensor.ndim <= 1:
        x = 1 + 0.1 * x
    elif not stylegan:
        x = x * (2 / np.prod(tensor.shape[1:])) ** 0.5
    elif "to_rgb" in key and leaf == "weight" and "modulation" not in key:
        x = 0.1 * x
    return x.to(tensor.dtype)


def fill_(module, stylegan=False):
    state = module.state_dict()
    module.load_state_dict({k: fill(k, v, stylegan) for k, v in state.items()})
    return module


def normal(seed, *shape):
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape)).float()


def uniform(seed, *shape):
    return torch.from_numpy(np.random.RandomState(seed).random_sample(shape)).float()
