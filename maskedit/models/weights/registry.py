"""Which weights there are, bundled and on the web, what they may be used for, and how they come here verified.

``MASKEDIT_WEIGHTS=FOLDER`` names a folder of your own that is looked into first: for ``NAME.safetensors``, as
``maskedit convert`` writes it, and for a file of the table's name. ``MASKEDIT_MIRROR=FOLDER`` names one that is looked
into before the network. Files of the table's names are verified like downloads. ``MASKEDIT_OFFLINE=1`` forbids the
network.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maskedit import files
from maskedit.errors import CheckpointError, InputError
from maskedit.models.weights.bundled import WEIGHTS
from maskedit.models.weights.download import download, verify


@dataclass(frozen=True)
class Weights:
    """One file of weights.

    Args:
        name: what to ask for it by.
        what: what it is, in a line.
        file: its name on disk.
        page: where its authors speak of it.
        code: licence of the program that it comes with.
        weights: licence of the weights themselves.
        data: licence of what they were trained on.
        loads: what makes a model of it, as "module:name": ``load_generator`` of the file, the others of the state
            dict that ``maskedit.models.files.checkpoints.load_state`` reads from it.
        urls: direct links, tried in turn; none if another library downloads it.
        size: in bytes, if known.
        sha256: in hexadecimal, if known. Never a guess: each was found at two independent places or more.
    """

    name: str
    what: str
    file: str
    page: str
    code: str
    weights: str
    data: str
    loads: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    sha256: str | None = None

    @property
    def bundled(self) -> bool:
        """Whether it comes with maskedit."""
        return self.page == ""


NVIDIA = "NVIDIA Source Code License: research and evaluation only, non-commercial"
FFHQ = "FFHQ: CC BY-NC-SA 4.0, non-commercial"
CELEBAMASK = "CelebAMask-HQ: non-commercial research only"
UNSTATED = "not stated by the authors"

_ADA = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/"
_SG3 = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan3/versions/1/files/"
_SG3_PAGE = "https://github.com/NVlabs/stylegan3"
_ADA_PAGE = "https://github.com/NVlabs/stylegan2-ada-pytorch"
_RELEASE_PAGE = "https://github.com/MartinPernus/MaskFaceGAN"
_LPIPS_PAGE = "https://github.com/richzhang/PerceptualSimilarity"
_LPIPS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/"
_LPIPS_DATA = "BAPPS: judgements of pictures of several sources; its terms are not stated"
_LOAD_ENCODER = "maskedit.models.files.encoder_files:load_encoder"
IMAGENET = "ImageNet: non-commercial research and education"

DOWNLOADABLE: tuple[Weights, ...] = (
    Weights(
        name="stylegan2-ffhq-1024",
        what="StyleGAN2 (config F) of faces, 1024 px: the paper's generator, in StyleGAN2-ADA's format",
        file="ffhq.pkl",
        page=_ADA_PAGE,
        code=NVIDIA,
        weights=NVIDIA,
        data=FFHQ,
        loads="maskedit.models.files.generators:load_generator",
        urls=(_ADA + "ffhq.pkl",),
        size=381_624_121,
        sha256="a205a346e86a9ddaae702e118097d014b7b8bd719491396a162cca438f2f524c",
    ),
    Weights(
        name="stylegan2-ffhq-512",
        what="StyleGAN2 of faces, 512 px, in StyleGAN2-ADA's format",
        file="ffhq-res512-mirror-stylegan2-noaug.pkl",
        page=_ADA_PAGE,
        code=NVIDIA,
        weights=NVIDIA,
        data=FFHQ,
        loads="maskedit.models.files.generators:load_generator",
        urls=(_ADA + "transfer-learning-source-nets/ffhq-res512-mirror-stylegan2-noaug.pkl",),
    ),
    Weights(
        name="stylegan2-ffhq-256",
        what="StyleGAN2 of faces, 256 px, in StyleGAN2-ADA's format",
        file="ffhq-res256-mirror-paper256-noaug.pkl",
        page=_ADA_PAGE,
        code=NVIDIA,
        weights=NVIDIA,
        data=FFHQ,
        loads="maskedit.models.files.generators:load_generator",
        urls=(_ADA + "transfer-learning-source-nets/ffhq-res256-mirror-paper256-noaug.pkl",),
    ),
    Weights(
        name="stylegan3-t-ffhq-1024",
        what="StyleGAN3 of faces, 1024 px, equivariant to translation",
        file="stylegan3-t-ffhq-1024x1024.pkl",
        page=_SG3_PAGE,
        code=NVIDIA,
        weights=NVIDIA,
        data=FFHQ,
        loads="maskedit.models.files.generators:load_generator",
        urls=(_SG3 + "stylegan3-t-ffhq-1024x1024.pkl",),
    ),
    Weights(
        name="stylegan3-r-ffhq-1024",
        what="StyleGAN3 of faces, 1024 px, equivariant to translation and rotation",
        file="stylegan3-r-ffhq-1024x1024.pkl",
        page=_SG3_PAGE,
        code=NVIDIA,
        weights=NVIDIA,
        data=FFHQ,
        loads="maskedit.models.files.generators:load_generator",
        urls=(_SG3 + "stylegan3-r-ffhq-1024x1024.pkl",),
    ),
    Weights(
        name="maskfacegan-classifier",
        what="the released attribute tree, 40 attributes",
        file="BranchedTiny.ckpt",
        page=_RELEASE_PAGE,
        code="MIT",
        weights=UNSTATED,
        data="FFHQ images (CC BY-NC-SA 4.0), attribute annotations",
        loads="maskedit.models.networks.attribute_tree:AttributeTree.from_state_dict",
        urls=("https://www.dropbox.com/s/nbm6oi70x158sn3/BranchedTiny.ckpt?dl=1",),
    ),
    Weights(
        name="maskfacegan-parser",
        what="the released face parser, DeepLabV3-ResNet50, nine regions",
        file="FaceParser.ckpt",
        page=_RELEASE_PAGE,
        code="MIT",
        weights=UNSTATED,
        data="DatasetGAN's synthetic faces and labels (NVIDIA, non-commercial)",
        loads="maskedit.models.networks.deeplab:released_parser",
        urls=("https://www.dropbox.com/s/oe45ovn0we7ynh8/FaceParser.ckpt?dl=1",),
    ),
    Weights(
        name="face-parsing-bisenet",
        what="face-parsing.PyTorch's BiSeNet, CelebAMask-HQ's 19 classes",
        file="79999_iter.pth",
        page="https://github.com/zllrunning/face-parsing.PyTorch",
        code="MIT",
        weights=UNSTATED,
        data=CELEBAMASK,
        loads="maskedit.models.networks.bisenet:celebamask_parser",
        urls=(
            "https://github.com/xinntao/facexlib/releases/download/v0.2.0/parsing_bisenet.pth",
            "https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/parsing_bisenet.pth",
            "https://github.com/clibdev/face-parsing.PyTorch/releases/latest/download/face-parsing-bisenet.pth",
        ),
        size=53_289_463,
        sha256="468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",
    ),
    Weights(
        name="face-parsing-segformer",
        what="SegFormer (MiT-B5), CelebAMask-HQ's 19 classes, for transformers",
        file="model.safetensors",
        page="https://huggingface.co/jonathandinu/face-parsing",
        code="transformers: Apache 2.0",
        weights="see its page",
        data=CELEBAMASK,
        loads="SegmentationParser.from_transformers(AutoModelForSemanticSegmentation.from_pretrained(...))",
    ),
    Weights(
        name="vgg16-imagenet",
        what="torchvision's VGG16, features for perceptual losses",
        file="vgg16-397923af.pth",
        page="https://docs.pytorch.org/vision/stable/models/vgg.html",
        code="torchvision: BSD 3-Clause",
        weights=UNSTATED,
        data=IMAGENET,
        loads="maskedit.models.networks.vgg:VGG.from_state_dict",
        urls=("https://download.pytorch.org/models/vgg16-397923af.pth",),
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    Weights(
        name="maskfacegan-encoder",
        what="the released program's e4e, 18 rows for 1024 px",
        file="state.pt",
        page=_RELEASE_PAGE,
        code="MIT",
        weights=UNSTATED,
        data=FFHQ,
        loads=_LOAD_ENCODER,
        urls=("https://www.dropbox.com/s/t8tm5tbk27wa7er/state.pt?dl=1",),
    ),
    Weights(
        name="e4e-ffhq",
        what="e4e of faces, 18 rows for 1024 px, with its generator",
        file="e4e_ffhq_encode.pt",
        page="https://github.com/omertov/encoder4editing",
        code="MIT",
        weights=UNSTATED,
        data=FFHQ,
        loads=_LOAD_ENCODER,
    ),
    Weights(
        name="psp-ffhq",
        what="pSp of faces, 18 rows for 1024 px, with its generator",
        file="psp_ffhq_encode.pt",
        page="https://github.com/eladrich/pixel2style2pixel",
        code="MIT",
        weights=UNSTATED,
        data=FFHQ,
        loads=_LOAD_ENCODER,
    ),
    Weights(
        name="restyle-e4e-ffhq",
        what="ReStyle on e4e, of faces, 18 rows for 1024 px, with its generator",
        file="restyle_e4e_ffhq_encode.pt",
        page="https://github.com/yuval-alaluf/restyle-encoder",
        code="MIT",
        weights=UNSTATED,
        data=FFHQ,
        loads=_LOAD_ENCODER,
    ),
    Weights(
        name="restyle-psp-ffhq",
        what="ReStyle on pSp, of faces, 18 rows for 1024 px, with its generator",
        file="restyle_psp_ffhq_encode.pt",
        page="https://github.com/yuval-alaluf/restyle-encoder",
        code="MIT",
        weights=UNSTATED,
        data=FFHQ,
        loads=_LOAD_ENCODER,
    ),
    Weights(
        name="ir-se50",
        what="IR-SE50 of InsightFace_Pytorch (model_ir_se50.pth), identity of faces",
        file="recognition_arcface_ir_se50.pth",
        page="https://github.com/TreB1eN/InsightFace_Pytorch",
        code="MIT",
        weights=UNSTATED,
        data="MS-Celeb-1M, which its owner took back: research only, if at all",
        loads="maskedit.models.networks.ir_se50:FaceIdentity.from_state_dict",
        urls=("https://github.com/xinntao/facexlib/releases/download/v0.1.0/recognition_arcface_ir_se50.pth",),
        sha256="a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28",
    ),
    Weights(
        name="alexnet-imagenet",
        what="torchvision's AlexNet, the trunk of LPIPS",
        file="alexnet-owt-7be5be79.pth",
        page="https://docs.pytorch.org/vision/stable/models/alexnet.html",
        code="torchvision: BSD 3-Clause",
        weights=UNSTATED,
        data=IMAGENET,
        loads="maskedit.models.networks.lpips:LPIPS.from_state_dict",
        urls=("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
        size=244_408_911,
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    ),
    Weights(
        name="lpips-alex",
        what="LPIPS 0.1, linear layers for AlexNet",
        file="alex.pth",
        page=_LPIPS_PAGE,
        code="BSD 2-Clause",
        weights="BSD 2-Clause",
        data=_LPIPS_DATA,
        loads="maskedit.models.networks.lpips:LPIPS.from_state_dict",
        urls=(_LPIPS + "alex.pth",),
        size=6009,
        sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    ),
    Weights(
        name="lpips-vgg",
        what="LPIPS 0.1, linear layers for VGG16",
        file="vgg.pth",
        page=_LPIPS_PAGE,
        code="BSD 2-Clause",
        weights="BSD 2-Clause",
        data=_LPIPS_DATA,
        loads="maskedit.models.networks.lpips:LPIPS.from_state_dict",
        urls=(_LPIPS + "vgg.pth",),
        sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    ),
    Weights(
        name="fid-inception",
        what="the Inception v3 of 2015 in whose features FID is taken, as pytorch-fid ports it",
        file="pt_inception-2015-12-05-6726825d.pth",
        page="https://github.com/mseitzer/pytorch-fid",
        code="Apache 2.0",
        weights=UNSTATED,
        data=IMAGENET,
        loads="maskedit.models.networks.inception:FIDInception.from_state_dict",
        urls=(
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
        ),
        size=95_628_359,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
)


def bundled() -> tuple[Weights, ...]:
    """The weights in the package. Their files say in their metadata what they are and what they may be used for."""
    from safetensors import safe_open

    found = []
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
        found.append(
            Weights(
                name=path.stem,
                what=about.get("what", "bundled with maskedit"),
                file=path.name,
                page="",
                code="MIT",
                weights=about.get("licence", "MIT"),
                data=about.get("data", "see the model card beside it"),
                loads="maskedit:load",
                size=path.stat().st_size,
                sha256=files.sha256(path),
            )
        )
    return tuple(found)


def known() -> tuple[Weights, ...]:
    """All weights, the bundled ones first."""
    return bundled() + DOWNLOADABLE


def find(name: str) -> Weights:
    """The weights of this name.

    Raises:
        InputError: if there are none.
    """
    for entry in known():
        if entry.name == name:
            return entry
    names = ", ".join(entry.name for entry in known())
    raise InputError("no weights have this name", expected=f"one of {names}", actual=repr(name))


def cache_folder() -> Path:
    """Where downloads are kept: ``maskedit`` beside torch hub's other downloads (TORCH_HOME and its like move it)."""
    import torch

    return Path(torch.hub.get_dir()) / "maskedit"


def fetch(
    name: str | Weights,
    *,
    folder: Path | None = None,
    unverified: bool = False,
    tell: Callable[[str], object] = print,
) -> Path:
    """The path of a file of weights, downloaded if it is not here yet.

    Looks into the package, your folder (MASKEDIT_WEIGHTS), the folder of downloads, and the mirror (MASKEDIT_MIRROR)
    before the network.

    Args:
        name: a name in the table, or an entry of your own.
        folder: where downloads are kept; None is :func:`cache_folder`.
        unverified: take files whose SHA-256 is unknown. They are still read without running any code.
        tell: called with a text on the licences, once, before a download.

    Raises:
        InputError: if no weights have this name, or the folder cannot be written to.
        CheckpointError: if the file is not here and cannot be had, or is not the expected one.
    """
    entry = find(name) if isinstance(name, str) else name
    if entry.bundled:
        return WEIGHTS / entry.file
    folder = cache_folder() if folder is None else folder
    own = _folder("MASKEDIT_WEIGHTS")
    if own is not None and (own / f"{entry.name}.safetensors").is_file():
        return own / f"{entry.name}.safetensors"
    for place in (own, folder, _folder("MASKEDIT_MIRROR")):
        if place is not None and (place / entry.file).is_file():
            verify(place / entry.file, sha256=entry.sha256, size=entry.size)
            return place / entry.file
    _may_download(entry, unverified)
    tell("\n".join((f"Downloading {entry.name}: {entry.what}. Its licences:", *licences(entry))))
    refusals = []
    for url in entry.urls:
        try:
            download(url, folder / entry.file, sha256=entry.sha256, size=entry.size)
        except CheckpointError as error:
            refusals.append(str(error))
        except OSError as error:
            raise InputError(f"cannot write to {folder}", actual=error.strerror or str(error)) from error
        else:
            if entry.sha256 is None:
                tell(f"Not verified. SHA-256: {files.sha256(folder / entry.file)}")
            return folder / entry.file
    if len(refusals) == 1:
        raise CheckpointError(refusals[0].rstrip("."))
    raise CheckpointError(f"no source has {entry.name}", actual=" ".join(refusals), hint=f"See {entry.page}.")


def _folder(variable: str) -> Path | None:
    given = os.environ.get(variable)
    if not given:
        return None
    if not Path(given).is_dir():
        raise InputError(f"{variable} names no folder", actual=repr(given))
    return Path(given)


def _may_download(entry: Weights, unverified: bool) -> None:
    by_hand = f"Put {entry.file} into the folder that MASKEDIT_WEIGHTS names; it is described at {entry.page}."
    if os.environ.get("MASKEDIT_OFFLINE", "") not in ("", "0"):
        raise CheckpointError(f"{entry.name} is not here, and MASKEDIT_OFFLINE forbids to download it", hint=by_hand)
    if not entry.urls:
        hint = by_hand if entry.loads.startswith("maskedit") else f"Load it with {entry.loads}."
        raise CheckpointError(f"maskedit has no link to {entry.name}", hint=hint)
    if entry.sha256 is None and not unverified:
        raise CheckpointError(
            f"no SHA-256 of {entry.file} is known, so the download could not be verified",
            hint="To take it nevertheless: maskedit models NAME --download --unverified, or fetch(unverified=True).",
        )


def card(entry: Weights) -> str:
    """What the weights are and what they may be used for, for people to read."""
    size = f"{entry.size / 1e6:,.1f} MB" if entry.size else "size unknown"
    by_hand = "by hand" if entry.loads.startswith("maskedit") else "by its own library"
    place = "bundled" if entry.bundled else "to download" if entry.urls else by_hand
    return "\n".join(
        (
            f"{entry.name}  ({size}, {place})",
            f"  {entry.what}",
            f"  SHA-256        {entry.sha256 or 'unknown'}",
            *licences(entry),
        )
    )


def licences(entry: Weights) -> tuple[str, ...]:
    """The licences of the program, of the weights and of what they were trained on, a line each."""
    return (
        f"  code           {entry.code}",
        f"  weights        {entry.weights}",
        f"  training data  {entry.data}",
    )
