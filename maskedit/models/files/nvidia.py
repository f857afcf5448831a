"""The modules in NVIDIA's pickles, as the reader leaves them: their weights by key, and what they say of themselves."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from maskedit.errors import CheckpointError
from maskedit.models.files.checkpoints import File, Stored
from maskedit.models.files.pickles import Persistent, StoredTensor

FIRST_RATE, RATE = 0.01, 1.0
"""Learning-rate multipliers, of mapping networks if they say nothing, and of everything else."""


@dataclass(frozen=True)
class Pickled:
    """A generator in a pickle, not rebuilt.

    Args:
        class_name: what its class was called.
        entry: the name of its entry in the file, in brackets; empty if the file is nothing else.
        state: its weights, by the keys of its state dict.
        modules: the attributes of each of its modules, by the prefix of their keys; its own under "".
    """

    class_name: str
    entry: str
    state: Mapping[str, Stored]
    modules: Mapping[str, Mapping[str, object]]

    def values(self, attribute: str) -> set[object]:
        """What the modules have under this name, where it is a number, a text or None."""
        found = (own[attribute] for own in self.modules.values() if attribute in own)
        return {value for value in found if isinstance(value, str | float | int | type(None))}

    def arguments(self) -> dict[str, object]:
        """What the generator was made with, those of the synthesis beside its own."""
        merged: dict[str, object] = {}
        for prefix in ("", "synthesis."):
            own = mapping_in(self.modules.get(prefix, {}), "_init_kwargs")
            merged |= {str(name): value for name, value in own.items()}
        return merged

    def rate(self) -> float:
        """The learning-rate multiplier of the mapping, of which its layers hold the quotient by sqrt(inputs).

        Raises:
            CheckpointError: if the layers differ, or if others have one.
        """
        rates: dict[str, float] = {}
        for prefix, own in self.modules.items():
            gain, weight = own.get("weight_gain"), self.state.get(f"{prefix}weight")
            if isinstance(gain, float) and weight is not None and len(weight.shape) == 2 and gain > 0:
                rates[prefix] = gain * math.sqrt(weight.shape[1])
        layers = {prefix: rate for prefix, rate in rates.items() if prefix.startswith("mapping.fc")}
        first = next(iter(layers.values()), FIRST_RATE)
        for prefix, rate in rates.items():
            wanted = first if prefix in layers else RATE
            if not math.isclose(rate, wanted, rel_tol=1e-4):
                raise CheckpointError(
                    f"the learning-rate multiplier of {prefix}weight is not {wanted:.6g}", actual=f"{rate:.6g}"
                )
        return float(f"{first:.6g}")


def pickled(file: File, module: Persistent) -> Pickled:
    """The weights and attributes of a module and all that are in it.

    Raises:
        CheckpointError: if they have no end.
    """
    state: dict[str, Stored] = {}
    modules: dict[str, Mapping[str, object]] = {}
    waiting: list[tuple[str, Persistent]] = [("", module)]
    for prefix, part in waiting:  # grows while it is walked
        if len(waiting) > 1000 or prefix.count(".") > 8:
            raise CheckpointError(f"the modules of {file.path.name} are nested without end")
        modules[prefix] = part.state
        for key, item in mapping_in(part.state, "_modules").items():
            if isinstance(item, Persistent):
                waiting.append((f"{prefix}{key}.", item))
        for kind in ("_parameters", "_buffers"):
            tensors = mapping_in(part.state, kind).items()
            state.update({f"{prefix}{key}": item for key, item in tensors if isinstance(item, StoredTensor)})
    names = file.value.items() if isinstance(file.value, Mapping) else ()
    entry = next((f" ({name})" for name, item in names if item is module), "")
    return Pickled(module.class_name, entry, state, modules)


def mapping_in(state: Mapping[str, object], name: str) -> Mapping[object, object]:
    """An entry that is a mapping; an empty one if it is not."""
    value = state.get(name)
    return value if isinstance(value, Mapping) else {}
