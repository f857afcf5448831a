"""The component analysis: what its figures mean, and that its command goes on where it was stopped."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import Dropout

import maskedit as me
from benchmarks.faces import component_tables, components
from maskedit.attributes import REGIONS
from maskedit.models.networks.vgg import VGG
from maskedit.training import loop
from maskedit.training.faces import load_faces
from maskedit.training.labels import load_labels

Command = Callable[..., list[list[str]]]


@pytest.fixture
def command(drawn_faces: Path, drawn_labels: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the smallest analysis; returns the cells of the first table that it prints."""

    def run(out: Path, *more: str, table: str = "classifiers") -> list[list[str]]:
        folders = ["--faces", str(drawn_faces), "--labels", str(drawn_labels), "--out", str(out)]
        small = ["--steps=2", "--batch=4", "--narrower=16", "--count=1", "--edits", "smiling", "--edit-steps", "1", "1"]
        components.main([table, *folders, *small, *more])
        lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
        return [line.strip("| ").split(" | ") for line in lines if line.startswith("|") and "---" not in line]

    return run


@pytest.mark.parametrize("name", component_tables.classifiers(16, 64))
def test_classifiers_tell_every_attribute(name: str) -> None:
    net = component_tables.classifiers(16, 64)[name]().eval()
    logits = net.classify(torch.rand(2, 3, 64, 64), component_tables.NAMES)
    assert logits.shape == (2, len(component_tables.NAMES))


def test_vgg_drops_what_it_is_told_to() -> None:
    shares = [module.p for module in VGG(stages=[[4]], hidden=4, dropout=0.2).modules() if isinstance(module, Dropout)]
    assert shares == [0.2, 0.2]


@pytest.mark.parametrize("name", component_tables.parsers(16, 64))
def test_parsers_tell_every_region(name: str) -> None:
    net = component_tables.parsers(16, 64)[name]().eval()
    maps = net.parse(torch.rand(2, 3, 128, 128), REGIONS)
    assert maps.shape == (2, len(REGIONS), 64, 64)
    torch.testing.assert_close(maps.sum(1), torch.ones(2, 64, 64))
    told = components.examine(net, component_tables.TABLES["parsers"], torch.rand(33, 3, 128, 128))
    assert told.shape == (33, 128, 128)


@pytest.mark.parametrize("table", component_tables.TABLES.values(), ids=component_tables.TABLES)
def test_networks_see_the_same_pictures(table: component_tables.Table, drawn_faces: Path, drawn_labels: Path) -> None:
    faces = load_faces(drawn_faces, "train")
    labels = load_labels(drawn_labels, faces)
    first, again = (table.batches(faces, labels, 32, 3, 0) for _ in range(2))
    assert first(1)[0].shape == (3, 3, 32, 32)
    for one, other in zip(first(1), again(1), strict=True):
        torch.testing.assert_close(one, other, equal_nan=True, rtol=0, atol=0)
    assert not torch.equal(first(1)[0], first(2)[0])


def test_loss_asks_for_what_is_known() -> None:
    """Nothing is learnt of what is not known; what is known is asked for, present and absent alike."""
    wanted = torch.full((4, len(component_tables.NAMES)), torch.nan)
    wanted[:, 0] = torch.tensor([0.0, 0.0, 0.0, 1.0])
    logits = torch.zeros_like(wanted, requires_grad=True)
    (gradient,) = torch.autograd.grad(component_tables.attribute_loss(logits, wanted), logits)
    assert (gradient[:3, 0] > 0).all()
    assert gradient[3, 0] < 0
    assert not gradient[:, 1:].any()


def test_weights_are_those_that_are_asked() -> None:
    tree = component_tables.classifiers(16, 64)["tree"]().eval()
    one = components.weights(tree, lambda net, x: net.classify(x, ["smiling"]), 64)
    every = components.weights(tree, lambda net, x: net(x), 64)
    assert one < components.weights(tree, component_tables.TABLES["classifiers"].says, 64) < every
    assert every == sum(p.numel() for p in tree.parameters())
    assert not any(p.requires_grad for p in tree.parameters())


def test_psnr_is_of_the_pixels_asked() -> None:
    photos = torch.full((2, 3, 4, 4), 0.5)
    changed = photos.clone()
    changed[0, :, :2] += 0.1  # half the pixels of one of two pictures
    everywhere = torch.ones(2, 1, 4, 4)
    upper, lower = everywhere.clone(), everywhere.clone()
    upper[:, :, 2:] = 0
    lower[:, :, :2] = 0
    assert components.pooled_psnr(changed, photos, everywhere) == pytest.approx(20 + 6.02, abs=0.01)
    assert components.pooled_psnr(changed, photos, upper) == pytest.approx(20 + 3.01, abs=0.01)
    assert components.pooled_psnr(changed, photos, lower) == pytest.approx(100)


def test_outside_leaves_out_the_target_and_the_background() -> None:
    regions = torch.full((1, 128, 128), REGIONS.index("skin"), dtype=torch.uint8)
    regions[:, :32] = REGIONS.index("background")
    regions[:, 96:] = REGIONS.index("mouth")
    outside = components.outside_of("smiling", regions, 64)[0, 0]
    assert outside[18:46].all()
    assert not outside[:17].any()
    assert not outside[47:].any()
    assert components.outside_of("black_hair", regions, 64)[0, 0, 50:].all()


def test_faces_without_the_attributes_are_edited() -> None:
    known = torch.full((6, len(component_tables.NAMES)), torch.nan)
    known[[1, 4], component_tables.NAMES.index("smiling")] = 0.0
    known[[0, 2], component_tables.NAMES.index("smiling")] = 1.0
    assert components.faces_to_edit(known, ["smiling"], 2).tolist() == [1, 4]


@pytest.mark.parametrize(
    ("table", "names"), [("classifiers", ["ResNet34", "tree"]), ("parsers", ["UNet", "DeepLabV3"])]
)
def test_command_prints_a_row_for_each_network(command: Command, tmp_path: Path, table: str, names: list[str]) -> None:
    heads, *rows = command(tmp_path, "--only", *names, table=table)
    assert [row[0] for row in rows] == names
    for row in rows:
        assert len(row) == len(heads)
        figures = dict(zip(heads, row, strict=True))
        assert int(figures["weights"].replace(",", "")) > 0
        assert 10 < float(figures["dB outside, generated"]) < float(figures["dB outside, blended"])


def test_command_goes_on_where_it_stopped(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is trained or edited again; what a stopped training lacked is made up."""
    only = ["--only", "tree"]
    expected = command(tmp_path / "unbroken", *only)

    def keep_then_die(*state: object) -> None:
        keep(*state)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    keep = loop.save_checkpoint
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", keep_then_die)
        with pytest.raises(KeyboardInterrupt):
            command(tmp_path / "broken", *only)
    assert len(command(tmp_path / "broken", *only, "--table")) == 1  # the heads
    again = command(tmp_path / "broken", *only)
    cpu = expected[0].index("ms a picture")
    assert [cell for i, cell in enumerate(again[1]) if i != cpu] == [
        cell for i, cell in enumerate(expected[1]) if i != cpu
    ]

    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "broken").rglob("*")}
    assert command(tmp_path / "broken", *only) == again == command(tmp_path / "broken", *only, "--table")
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "broken").rglob("*")}
    log = (tmp_path / "broken" / "tree" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [2]


def test_command_refuses_the_folder_of_another_analysis(command: Command, tmp_path: Path) -> None:
    command(tmp_path, "--table")
    with pytest.raises(me.InputError, match="another analysis"):
        command(tmp_path, "--table", "--seed=1")
