"""Photos from files and back."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from maskedit.errors import FileError, InputError, PhotoError
from maskedit.photo import read, write

RED_GREEN = np.array([[[255, 0, 0], [0, 255, 0]]], dtype=np.uint8)  # one row, two pixels


def saved(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_colours(tmp_path: Path, mode: str) -> None:
    name = "photo.tif" if mode == "CMYK" else "photo.png"
    image = read(saved(tmp_path / name, Image.fromarray(RED_GREEN).convert(mode)))
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]]]]))


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("L", np.array([[0, 51, 255]], np.uint8), [0.0, 0.2, 1.0]),
        ("I;16", np.array([[0, 13107, 65535]], np.uint16), [0.0, 0.2, 1.0]),
        ("1", np.array([[0, 255, 255]], np.uint8), [0.0, 1.0, 1.0]),
    ],
)
def test_greys(tmp_path: Path, mode: str, values: np.ndarray, expected: list[float]) -> None:
    picture = Image.fromarray(values)
    image = read(saved(tmp_path / "photo.png", picture.convert("1") if mode == "1" else picture))
    torch.testing.assert_close(image, torch.tensor(expected).expand(1, 3, 1, 3))


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    values = np.arange(1000, 1256, dtype=np.uint16).reshape(16, 16)
    image = read(saved(tmp_path / "photo.png", Image.fromarray(values)))
    assert len(image.unique()) == 256


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_shows_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    picture.putpixel((1, 0), (0, 0, 0, 255))
    image = read(saved(tmp_path / "photo.png", picture.convert(mode)))
    torch.testing.assert_close(image, torch.tensor([1.0, 0.0]).expand(1, 3, 1, 2))


@pytest.mark.parametrize(("orientation", "size"), [(1, (1, 2)), (3, (1, 2)), (6, (2, 1)), (8, (2, 1))])
def test_the_cameras_orientation_is_applied(tmp_path: Path, orientation: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read(saved(tmp_path / "photo.png", Image.fromarray(RED_GREEN), exif=exif))
    assert image.shape == (1, 3, *size)
    first = image[0, :, 0, 0]
    red_first = orientation in (1, 6)  # 6 turns clockwise: the left end comes up
    torch.testing.assert_close(first, torch.tensor([1.0, 0, 0] if red_first else [0, 1.0, 0]))


def test_an_embedded_profile_is_converted(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    picture = Image.new("RGB", (4, 4), (200, 30, 30))
    for profile in (lab, srgb):  # one that does not fit RGB is left alone, and so is sRGB itself
        image = read(saved(tmp_path / "photo.png", picture, icc_profile=profile.tobytes()))
        torch.testing.assert_close(image[0, :, 0, 0] * 255, torch.tensor([200.0, 30, 30]))
    image = read(saved(tmp_path / "photo.png", picture, icc_profile=wide_profile()))
    assert image[0, 0, 0, 0] * 255 > 210  # the same numbers mean a stronger red in the wider space


def wide_profile() -> bytes:
    """A copy of sRGB's profile with its red primary pushed outwards, and another name."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    for index in range(count):
        name, offset, length = struct.unpack(">4sII", data[132 + 12 * index : 144 + 12 * index])
        if name == b"rXYZ":
            data[offset + 8 : offset + 20] = struct.pack(">3i", *(int(v * 65536) for v in (0.515, 0.241, -0.001)))
        if name == b"desc":
            name = data[offset : offset + length].replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
            data[offset : offset + length] = name
    return bytes(data)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    image = torch.randint(0, 256, (1, 3, 20, 30)).float() / 255
    write(image, tmp_path / "photo.png")
    assert torch.equal(read(tmp_path / "photo.png"), image)
    smooth = torch.linspace(0, 1, 30).expand(1, 3, 20, 30)
    write(smooth, tmp_path / "photo.JPG")
    assert (read(tmp_path / "photo.JPG") - smooth).abs().max() < 0.03


def test_values_beyond_the_range_are_clamped(tmp_path: Path) -> None:
    write(torch.tensor([-1.0, 2.0]).expand(1, 3, 1, 2), tmp_path / "photo.png")
    assert torch.equal(read(tmp_path / "photo.png"), torch.tensor([0.0, 1.0]).expand(1, 3, 1, 2))


def png_claiming(width: int, height: int) -> bytes:
    """A small file that says it is a large picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def a_photo(kind: str) -> bytes:
    file = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(values).save(file, format=kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"once upon a time", "is no picture"),
        (a_photo("PNG")[:200], "is damaged"),
        (a_photo("JPEG")[:300], "is damaged"),
        (png_claiming(10_000, 10_000), "is too large; expected at most 90 megapixels"),
        (png_claiming(60_000, 60_000), "is too large"),
    ],
)
def test_what_cannot_be_read_gets_a_sentence(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    with pytest.raises(PhotoError, match=says):
        read(path)


def test_no_file_and_no_file_of_pixels(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="cannot read .*no such file"):
        read(tmp_path / "none.png")
    with pytest.raises(PhotoError, match="cannot read .*is a directory"):
        read(tmp_path)
    path = saved(tmp_path / "photo.tif", Image.fromarray(np.full((2, 2), -4.0, np.float32)))
    with pytest.raises(PhotoError, match="unknown range"):
        read(path)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]),
    places=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=8),
    length=st.one_of(st.none(), st.integers(0, 3000)),
)
def test_damaged_files_are_read_or_refused(
    tmp_path: Path, kind: str, places: list[tuple[int, int]], length: int | None
) -> None:
    data = bytearray(a_photo(kind))
    for place, value in places:
        data[place % len(data)] = value
    path = tmp_path / "photo"
    path.write_bytes(data[:length])
    try:
        image = read(path)
    except PhotoError:
        return
    assert image.shape[:2] == (1, 3)
    assert 0 <= image.min()
    assert image.max() <= 1


def test_wrong_pictures_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    with pytest.raises(InputError, match=r"not one RGB picture; expected \[1, 3, h, w\]; got \[1, 1, 4, 4\]"):
        write(torch.rand(1, 1, 4, 4), path)
    with pytest.raises(InputError, match="not finite"):
        write(torch.full((1, 3, 4, 4), torch.nan), path)
    with pytest.raises(InputError, match=r"expected a name ending in \.png"):
        write(torch.rand(1, 3, 4, 4), tmp_path / "photo.gif")
    assert not list(tmp_path.iterdir())


def test_unwritable_places_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot write .*no such file"):
        write(torch.rand(1, 3, 4, 4), tmp_path / "nowhere" / "photo.png")
    (tmp_path / "photo.png").mkdir()
    with pytest.raises(FileError, match="cannot write .*is a directory"):
        write(torch.rand(1, 3, 4, 4), tmp_path / "photo.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.png"]
