"""``maskedit edit PHOTO --set ATTRIBUTE``: from a photo to the edited photo."""

import argparse
import json
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from maskedit.commands.folder import Folder
from maskedit.edit import Edit
from maskedit.errors import InputError, PhotoError
from maskedit.files import write_whole
from maskedit.memory import keep_memory
from maskedit.models import load_models
from maskedit.photo import Edited, crop, edit_photo, write
from maskedit.photo.editing import recipe_of
from maskedit.photo.find import Box
from maskedit.protocols import Models
from maskedit.recipes import RECIPES
from maskedit.report import loss_curves, progress, sheet

MOVED = 0.2
"""An attribute that nobody asked for is named when its probability moves by more than this."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``maskedit edit``."""
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="a photo of one face")
    parser.add_argument(
        "--set",
        dest="wishes",
        action="append",
        default=[],
        metavar="ATTRIBUTE[=VALUE]",
        help="show this attribute, such as blond_hair; a value in [0, 1] says how surely (default: 1)",
    )
    parser.add_argument(
        "--remove",
        dest="wishes",
        action="append",
        type=lambda name: f"{name}=0",
        metavar="ATTRIBUTE",
        help="show the opposite",
    )
    parser.add_argument(
        "--size", dest="sizes", action="append", default=[], metavar="REGION=FACTOR", help="such as mouth=1.3"
    )
    parser.add_argument(
        "--hold", action="append", default=[], metavar="ATTRIBUTE", help="keep this attribute as it is in the photo"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the pictures go")
    parser.add_argument("--force", action="store_true", help="replace the files of an earlier edit")
    parser.add_argument(
        "--recipe", default="plausible", metavar="NAME", help=f"{', '.join(RECIPES)} (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: 0)")
    own = parser.add_argument_group(
        "models of your own", "in place of the bundled ones; see docs/bring-your-weights.md"
    )
    own.add_argument("--generator", type=Path, metavar="FILE", help="a StyleGAN2, or the checkpoint of an encoder")
    own.add_argument("--encoder", type=Path, metavar="FILE", help="e4e, pSp or ReStyle")
    own.add_argument("--parser", type=Path, metavar="FILE", help="MaskFaceGAN's, or face-parsing's BiSeNet")
    own.add_argument("--classifier", type=Path, metavar="FILE", help="MaskFaceGAN's")
    face = parser.add_mutually_exclusive_group()
    face.add_argument("--box", metavar="L,T,R,B", help="where the face is, in pixels: left, top, right, bottom")
    face.add_argument("--landmarks", type=Path, metavar="FILE", help="68 or 5 points of the face, a line 'x y' each")


def run(args: argparse.Namespace) -> int:
    """Edits a photo and writes what came of it.

    Returns:
        0, or 130 if Ctrl-C ended the run early; what it had reached is written then too.

    Raises:
        MaskeditError: if the photo, the wishes or the folder cannot be; nothing is written then.
    """
    begun = time.perf_counter()
    edit = wish_of(args.wishes, args.sizes, args.hold)
    recipe_of(args.recipe)
    stem = args.photo.stem
    names = [f"{stem}_edited.png", f"{stem}_losses.png", f"{stem}_sheet.png", f"{stem}.json"]
    folder = Folder(args.out, names, replace=args.force)
    box, landmarks = _box(args.box), _landmarks(args.landmarks)
    keep_memory()
    models = _models(args)
    with progress() as bar:
        edited = edit_photo(
            args.photo,
            edit,
            models=models,
            recipe=args.recipe,
            box=box,
            landmarks=landmarks,
            seed=args.seed,
            watch=bar,
        )
    facts = {"photo": str(args.photo), "wanted": dict(edit.attributes), "edit": repr(edit), "recipe": args.recipe}
    facts |= _facts(edited)
    facts["seconds"]["total"] = round(time.perf_counter() - begun, 2)
    for path in folder.fill(lambda aside: _write(edited, facts, aside, stem)):
        _say(str(path))
    for name, (before, after) in edited.attributes.items():
        if name in edit.attributes or abs(after - before) > MOVED:
            _say(f"{'' if name in edit.attributes else 'also moved: '}{name} {before:.2f} -> {after:.2f}")
    for note in edited.notes:
        _say(note)
    if edited.result.status != ("Finished.",):
        _say(edited.result.status[0])
    return 130 if "ended early" in edited.result.status[0].lower() else 0


def wish_of(wishes: Sequence[str], sizes: Sequence[str] = (), hold: Sequence[str] = ()) -> Edit:
    """``["blond_hair", "smiling=0.3"]``, ``["mouth=1.3"]`` and ``["young"]`` as an Edit.

    Raises:
        InputError: if there is none, one comes twice, or a value is no number or out of range.
    """
    edit = Edit(
        _numbers(wishes, 1.0, "a value in [0, 1], such as --set smiling=0.8"),
        size=_numbers(sizes, None, "a factor, such as --size mouth=1.3"),
        hold=[_name(text) for text in hold],
    )
    if not edit:
        raise InputError("nothing is to be edited", expected="--set ATTRIBUTE, --remove ATTRIBUTE or --size")
    return edit


def _numbers(texts: Sequence[str], default: float | None, expected: str) -> dict[str, float]:
    """``NAME=VALUE`` as name -> value."""
    found: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = _name(name)
        if name in found:
            raise InputError(f"{name!r} is wished for twice", expected="each once")
        try:
            found[name] = float(value) if equals or default is None else default
        except ValueError:
            raise InputError(f"{name!r} cannot be set to {value!r}", expected=expected) from None
    return found


def _name(text: str) -> str:
    return text.strip().lower().replace("-", "_").replace(" ", "_")


def _models(args: argparse.Namespace) -> Models | None:
    """The models of one's own files; None for the bundled ones."""
    own = {name: getattr(args, name) for name in ("generator", "encoder", "parser", "classifier")}
    if not any(own.values()):
        return None
    if missing := [f"--{name}" for name in ("generator", "parser", "classifier") if own[name] is None]:
        raise InputError(
            "models of your own come together",
            expected=f"{', '.join(missing)} too",
            hint="See docs/bring-your-weights.md.",
        )
    return load_models(**own)


def _box(text: str | None) -> Box | None:
    """What --box says."""
    if text is None:
        return None
    try:
        left, top, right, bottom = (float(value) for value in text.split(","))
    except ValueError:
        raise InputError("the box is none", expected="--box left,top,right,bottom in pixels", actual=text) from None
    return left, top, right, bottom


def _landmarks(path: Path | None) -> Float[Tensor, "points 2"] | None:
    """What the file of --landmarks says."""
    if path is None:
        return None
    try:
        lines = [line.replace(",", " ").split() for line in path.read_text(encoding="utf-8").splitlines()]
        points = torch.tensor([[float(value) for value in line] for line in lines if line])
    except OSError as error:
        raise PhotoError(f"cannot read {path}", actual=str(error.strerror).lower()) from error
    except ValueError as error:
        raise InputError(f"{path} holds no landmarks", expected="a line 'x y' for each", actual=str(error)) from error
    if points.shape not in ((68, 2), (5, 2)):
        raise InputError(f"{path} holds no landmarks", expected="68 or 5 lines 'x y'", actual=str(list(points.shape)))
    return points


def _facts(edited: Edited) -> dict[str, Any]:
    """All that is to know of a run, as plain values."""
    height, width = edited.original.shape[2:]
    square, result = edited.alignment, edited.result
    return {
        "size": [width, height],
        "square": {**asdict(square), "side": square.side, "angle": square.angle, "outside": square.outside},
        "attributes": {
            name: {"before": round(before, 4), "after": round(after, 4)}
            for name, (before, after) in edited.attributes.items()
        },
        "status": result.status[0],
        "schedule": str(edited.recipe).splitlines(),
        "steps": dict(result.history.stages),
        "seeds": list(result.seeds),
        "seconds": {name: round(value, 2) for name, value in edited.seconds.items()},
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("maskedit", "torch", "kornia", "numpy", "Pillow")},
        },
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _write(edited: Edited, facts: Mapping[str, Any], aside: Path, stem: str) -> None:
    """Everything that came of an edit, into a folder."""
    write(edited.photo, aside / f"{stem}_edited.png")
    views = {"before": edited.original, "after": edited.photo}
    squares = {name: crop(photo, edited.alignment, 256) for name, photo in views.items()}
    sheet({**squares, "mask": edited.result.masks["blend"]}, aside / f"{stem}_sheet.png")
    try:
        loss_curves(edited.result.history, aside / f"{stem}_losses.png")
    except InputError as error:  # without matplotlib there is all but the curves
        sys.stderr.write(f"maskedit: {error}\n")
    write_whole(aside / f"{stem}.json", json.dumps(facts, indent=2))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
