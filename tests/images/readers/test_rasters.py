"""PNG, JPEG and TIFF as they are to be seen: orientation, depth, palettes, transparency, negatives."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest

from benchmark.core.errors import BadDataError
from benchmark.images.readers import read_image

GREY = np.arange(24, dtype=np.uint8).reshape(4, 6) * 9
BLOCKS = np.kron(GREY, np.ones((8, 8), np.uint8))
"""No symmetry, and blocks of 8, so that JPEG keeps the levels."""
SEEN = {
    1: BLOCKS,
    2: BLOCKS[:, ::-1],
    3: BLOCKS[::-1, ::-1],
    4: BLOCKS[::-1],
    5: BLOCKS.T,
    6: np.rot90(BLOCKS, -1),
    7: np.rot90(BLOCKS, 2).T,
    8: np.rot90(BLOCKS),
}
"""Value of the tag Orientation -> the image to be seen (TIFF 6.0, page 36)."""


def refusal(path: Path) -> str:
    with pytest.raises(BadDataError) as caught:
        read_image(path)
    return str(caught.value)


def oriented(value: int) -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    exif[0x112] = value
    return exif


@pytest.mark.parametrize("value", SEEN)
@pytest.mark.parametrize(("ending", "options"), [
    ("png", {}), ("jpg", {"quality": 100}), ("tif", {}), ("tif", {"compression": "tiff_lzw"}),
])  # fmt: skip
def test_the_tag_orientation_is_applied(tmp_path: Path, value: int, ending: str, options: dict[str, object]) -> None:
    PIL.Image.fromarray(BLOCKS).save(tmp_path / f"a.{ending}", exif=oriented(value), **options)
    read = read_image(tmp_path / f"a.{ending}").pixels.astype(int)
    assert read.shape == SEEN[value].shape
    assert np.abs(read - SEEN[value]).max() <= (1 if ending == "jpg" else 0)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_orientation_of_16_bits(tmp_path: Path, ending: str) -> None:
    PIL.Image.fromarray(BLOCKS.astype(np.uint16) * 257).save(tmp_path / f"a.{ending}", exif=oriented(6))
    read = read_image(tmp_path / f"a.{ending}").pixels
    assert read.dtype == np.uint16
    assert np.array_equal(read, SEEN[6].astype(np.uint16) * 257)


def test_channels_of_a_rotated_jpeg_may_differ_a_little(tmp_path: Path) -> None:
    colours = np.stack([BLOCKS + 2, BLOCKS, BLOCKS], -1)
    PIL.Image.fromarray(colours).save(tmp_path / "a.jpg", exif=oriented(6), quality=95)
    assert read_image(tmp_path / "a.jpg").pixels.shape == SEEN[6].shape


def test_damaged_tags_leave_the_image_as_stored(tmp_path: Path) -> None:
    PIL.Image.fromarray(BLOCKS).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", quality=100)
    assert np.abs(read_image(tmp_path / "a.jpg").pixels.astype(int) - BLOCKS).max() <= 1


def test_16_bits_keep_their_full_range(tmp_path: Path) -> None:
    full = GREY.astype(np.uint16) * 317
    PIL.Image.fromarray(full).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, full)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
@pytest.mark.parametrize("profile", [None, b"any colour profile"])
def test_grey_in_other_modes(tmp_path: Path, mode: str, profile: bytes | None) -> None:
    PIL.Image.fromarray(GREY).convert(mode).save(tmp_path / "a.png", icc_profile=profile)
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, GREY)


def test_one_bit(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY > 100).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, np.where(GREY > 100, 255, 0))


@pytest.mark.parametrize("negative", [0, 1])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_tiff_whose_white_is_zero(tmp_path: Path, kind: type, negative: int) -> None:
    pixels = GREY.astype(kind)
    PIL.Image.fromarray(pixels).save(tmp_path / "a.tif", tiffinfo={262: 1})
    content = bytearray((tmp_path / "a.tif").read_bytes())
    entry = content.index(bytes([6, 1, 3, 0, 1, 0, 0, 0]))  # tag 262, a short, one value
    content[entry + 8] = 1 - negative
    (tmp_path / "a.tif").write_bytes(content)
    expected = np.iinfo(kind).max - pixels if negative else pixels
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, expected)


@pytest.mark.parametrize("kind", ["corner", "level", "level of 16 bits"])
def test_transparency(tmp_path: Path, kind: str) -> None:
    if kind == "corner":
        colours = np.stack([GREY, GREY, GREY, np.full_like(GREY, 255)], -1)
        colours[0, 0, 3] = 0
        PIL.Image.fromarray(colours).save(tmp_path / "a.png")
    else:
        grey = GREY.astype(np.uint16) if "16" in kind else GREY
        PIL.Image.fromarray(grey).save(tmp_path / "a.png", transparency=9)
    assert refusal(tmp_path / "a.png") == (
        f"{tmp_path}/a.png has transparent pixels, an opaque grey image is needed\n  hint: save it as grey"
    )


def test_a_transparent_level_that_no_pixel_has(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY).save(tmp_path / "a.png", transparency=10)
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, GREY)


def test_cmyk(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY).convert("CMYK").save(tmp_path / "a.jpg")
    assert refusal(tmp_path / "a.jpg") == (
        f"{tmp_path}/a.jpg has colour mode CMYK, a grey image is needed\n  hint: save it as grey"
    )


def test_colour_channels_of_16_bits(tmp_path: Path) -> None:
    header = b"\x89PNG\r\n\x1a\n"
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4) + name + content + zlib.crc32(name + content).to_bytes(4)

    rows = b"".join(b"\0" + np.repeat(row.astype(">u2") * 16, 3).tobytes() for row in GREY)
    size = (6).to_bytes(4) + (4).to_bytes(4) + bytes([16, 2, 0, 0, 0])  # 16 bits, RGB
    (tmp_path / "a.png").write_bytes(
        header + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    assert refusal(tmp_path / "a.png") == (
        f"{tmp_path}/a.png has 16 bits per colour channel, of which 8 would be lost"
        "\n  hint: save it as a grey image of 16 bits"
    )


def test_a_file_named_as_another_format_is_read_by_its_content(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert np.array_equal(read_image(tmp_path / "a.jpg").pixels, GREY)


def test_formats_whose_decoder_starts_other_programs_are_refused(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    assert refusal(tmp_path / "a.png") == (
        f"{tmp_path}/a.png is not an image, or its header is damaged\n  hint: download or copy the file again"
    )


def test_damaged_tiffs_leave_the_terminal_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(
        tmp_path / "a.tif", compression="tiff_lzw"
    )
    content = bytearray((tmp_path / "a.tif").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    (tmp_path / "a.tif").write_bytes(content)
    assert refusal(tmp_path / "a.tif") == (
        f"{tmp_path}/a.tif is truncated or damaged: its pixels cannot be read\n  hint: download or copy the file again"
    )
    assert capfd.readouterr() == ("", "")


def tiff(path: Path, pixels: np.ndarray, photometric: int, *, packed: bool) -> Path:
    """Write a TIFF of one strip, in the byte order of the pixels, deflated or not."""
    order = ">" if pixels.dtype.byteorder == ">" else "<"
    data = zlib.compress(pixels.tobytes()) if packed else pixels.tobytes()
    data += b"\0" * (len(data) % 2)
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    rows, columns = pixels.shape
    short = {256: columns, 257: rows, 258: 8 * pixels.itemsize, 259: 8 if packed else 1, 262: photometric, 277: 1}
    short |= {278: rows, 339: kind}
    tags = [(tag, 3, struct.pack(f"{order}HH", value, 0)) for tag, value in short.items()]
    tags += [(tag, 4, struct.pack(f"{order}I", value)) for tag, value in ((273, 8), (279, len(data)))]
    entries = b"".join(struct.pack(f"{order}HHI", tag, type_, 1) + value for tag, type_, value in sorted(tags))
    head = (b"MM" if order == ">" else b"II") + struct.pack(f"{order}HI", 42, 8 + len(data))
    path.write_bytes(head + data + struct.pack(f"{order}H", len(tags)) + entries + b"\0\0\0\0")
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["<u1", "<i1", "<u2", ">u2", "<i2", ">i2", "<u4", "<i4", ">i4", "<f4", ">f4"])
def test_numbers_of_tiff(tmp_path: Path, kind: str, packed: bool) -> None:
    """Pillow reads signed bytes and large unsigned numbers with another sign, and swaps compressed big-endian ones."""
    levels = np.random.default_rng(0).integers(0, 2**8, (6, 5)) - (100 if kind[1] != "u" else 0)
    levels = levels.clip(-128, 127) if kind[1:] == "i1" else levels
    pixels = (levels * (2**24 if kind[2] == "4" else 1)).astype(kind)
    assert np.array_equal(read_image(tiff(tmp_path / "a.tif", pixels, 1, packed=packed)).pixels, pixels)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["<u1", "<u2", "<f4", ">f4"])
def test_negatives_of_tiff(tmp_path: Path, kind: str, packed: bool) -> None:
    pixels = BLOCKS.astype(kind)
    read = read_image(tiff(tmp_path / "a.tif", pixels, 0, packed=packed)).pixels
    assert len(np.unique(read.astype(float) + pixels)) == 1


@pytest.mark.parametrize("kind", ["<f8", "<f2", ">u4"])
def test_numbers_of_tiff_that_are_not_read(tmp_path: Path, kind: str) -> None:
    path = tiff(tmp_path / "a.tif", BLOCKS.astype(kind), 1, packed=False)
    assert refusal(path) == (
        f"{path} is a TIFF with a damaged header, or with pixels of a kind that is not read, such as float64"
        "\n  hint: save it as a grey image of 8 or 16 bits, or of float32"
    )


@pytest.mark.parametrize("level", [0, 6])
def test_a_png_whose_pixels_changed_after_writing(tmp_path: Path, level: int) -> None:
    path = tmp_path / "a.png"
    PIL.Image.fromarray(BLOCKS).save(path, compress_level=level)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 40] ^= 1
    path.write_bytes(content)
    assert refusal(path) == (
        f"{path} is damaged: the checksum of its pixels is wrong\n  hint: download or copy the file again"
    )
