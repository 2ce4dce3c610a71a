"""The search for pixels finds an image that is planted in any kind of output, and takes no other image for it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from conftest import films
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from pixels import SAME, Pixels, perceptual_hash, pixel_leaks, pixels_of

Film = NDArray[np.uint8]
PATIENTS = 20


@pytest.fixture(scope="module")
def known() -> Pixels:
    return pixels_of([film for patient in range(PATIENTS) for film in films(patient)])


def file_of(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def page(film: Film, kind: str = "JPEG", size: int = 40, **options: object) -> bytes:
    """A page of a board with a thumbnail of the film as a data address."""
    thumbnail = Image.fromarray(film).resize((size, size), Image.Resampling.LANCZOS)
    inner = base64.b64encode(file_of(thumbnail, kind, **options)).decode()
    return f'<!doctype html><p>a</p><img alt="" src="data:image/{kind.lower()};base64,{inner}">'.encode()


def figure(film: Film, kind: str) -> bytes:
    """A plot, in a corner of which the film is drawn."""
    plot = Figure(figsize=(4, 3))
    plot.subplots().plot(np.sin(np.arange(100) / 9))
    plot.add_axes((0.61, 0.13, 0.2, 0.27)).imshow(film, cmap="gray")
    file = io.BytesIO()
    plot.savefig(file, format=kind, dpi=100)
    return file.getvalue()


def arrays(film: Film) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, x=film.astype(np.float16))
    return file.getvalue()


def parquet(table: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    table.to_parquet(file)
    return file.getvalue()


def scaled(film: Film) -> list[float]:
    return [round(float(level), 3) for level in film.ravel() / 127.5 - 1]


PLANTS: dict[str, Callable[[Film], bytes]] = {
    "png": lambda film: file_of(Image.fromarray(film), "PNG"),
    "gif": lambda film: file_of(Image.fromarray(film), "GIF"),
    "webp in a page": lambda film: page(film, "WEBP", quality=40),
    "small jpeg in a page": lambda film: page(film, size=24, quality=50),
    "larger jpeg in a page": lambda film: page(film, size=150, quality=60),
    "negative in a page": lambda film: page(255 - film),
    "colours in a page": lambda film: page(np.stack([film, film // 2, film], axis=2), "PNG"),
    "flat contrast in a page": lambda film: page((100 + film // 8).astype(np.uint8), "PNG"),
    "figure": lambda film: figure(film, "png"),
    "svg": lambda film: figure(film, "svg"),
    "npz": arrays,
    "list in parquet": lambda film: parquet(pd.DataFrame({"x": [film.ravel().tolist()]})),
    "column of parquet": lambda film: parquet(pd.DataFrame({"x": film.ravel() / 255})),
    "csv": lambda film: pd.DataFrame({"a": "b", "x": scaled(film)}).to_csv().encode(),
    "lists in json": lambda film: json.dumps({"a": film.tolist()}).encode(),
    "list in json": lambda film: json.dumps({"a": scaled(film)}, indent=1).encode(),
    "list in a page": lambda film: f"<script>[{','.join(map(str, scaled(film)))}]</script>".encode(),
    "raw": lambda film: b"head" + film.tobytes(),
    "raw float32 in base64": lambda film: b'"' + base64.b64encode((film / 255).astype(np.float32).tobytes()) + b'"',
}  # fmt: skip


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_image_is_found_and_no_other(plant: str, known: Pixels) -> None:
    assert pixel_leaks(PLANTS[plant](films(7)[1]), known)
    assert pixel_leaks(PLANTS[plant](films(1000)[0]), known) == set()


def test_hashes_of_one_image_differ_less_than_of_two() -> None:
    """The limit is between both, with room for a strong compression of a small thumbnail."""
    same, others = [], []
    for patient in range(60):
        film = films(patient)[0]
        thumbnail = Image.fromarray(film).resize((24, 24), Image.Resampling.LANCZOS)
        copy = np.asarray(Image.open(io.BytesIO(file_of(thumbnail, "JPEG", quality=50))))
        same.append((perceptual_hash(copy) != perceptual_hash(film)).sum())
        others.append((perceptual_hash(films(patient + 60)[0]) != perceptual_hash(film)).sum())
    assert max(same) <= SAME < min(others)
