"""The search for canaries finds one that is planted in any kind of output, in any encoding."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import urllib.parse
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from canaries import leaks
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

CANARIES = ("Qzmüller", "qzward/Qzroom", "Qzdoe^Jane")


def encoded(text: str) -> dict[str, bytes]:
    """A text as it may be written somewhere, by the name of the encoding."""
    raw = text.encode()
    return {
        "plain": raw, "upper": text.upper().encode(), "lower": text.lower().encode(),
        "backslash": text.replace("/", "\\").encode(), "json": json.dumps(text).encode(),
        "url": urllib.parse.quote(text, safe="").encode(), "html": "".join(f"&#{ord(c)};" for c in text).encode(),
        "utf-16-le": text.encode("utf-16-le"), "utf-16-be": text.encode("utf-16-be"), "hex": raw.hex().encode(),
        "base64": base64.b64encode(raw), "base64 later": base64.b64encode(b"x" + raw + b"y"),
        "base64 latest": base64.b64encode(b"xy" + raw), "base64 url": base64.urlsafe_b64encode(b"<?>" + raw),
        "gzip": gzip.compress(raw), "zlib": zlib.compress(raw), "html of json": html.escape(json.dumps(text)).encode(),
    }  # fmt: skip


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("encoding", encoded("x"))
def test_in_every_encoding(encoding: str, canary: str) -> None:
    written = encoded(canary)[encoding]
    inside = written if encoding in ("gzip", "zlib") else b'{"a": "' + written + b'"}'
    assert leaks(inside, CANARIES) == {canary}
    assert leaks(inside, ("qzother",)) == set()


def npz(text: str) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, names=np.array([text]))
    return file.getvalue()


def npz_name(text: str) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{text: np.zeros(2)})
    return file.getvalue()


def parquet(text: str) -> bytes:
    file = io.BytesIO()
    pd.DataFrame({"a": [text] * 100}).to_parquet(file, compression="zstd")
    return file.getvalue()


def parquet_column(text: str) -> bytes:
    file = io.BytesIO()
    pd.DataFrame({f"x[{text}]": [1.0]}).to_parquet(file)
    return file.getvalue()


def png(text: str, *, compressed: bool = True) -> bytes:
    file, note = io.BytesIO(), PngInfo()
    note.add_itxt("Title", text, zip=compressed)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(file, "PNG", pnginfo=note)
    return file.getvalue()


def pdf(text: str) -> bytes:
    file, figure = io.BytesIO(), Figure()
    figure.savefig(file, format="pdf", metadata={"Title": text})
    return file.getvalue()


def page(text: str) -> bytes:
    inner = base64.b64encode(png(text)).decode()
    return f'<html><img src="data:image/png;base64,{inner}"></html>'.encode()


FILES: dict[str, Callable[[str], bytes]] = {
    "npz": npz, "name in npz": npz_name, "parquet": parquet, "column of parquet": parquet_column, "png": png,
    "plain png": lambda text: png(text, compressed=False), "pdf": pdf, "image in a page": page,
    "csv": lambda text: f"a,b\n1,{text}\n".encode(), "markdown": lambda text: f"| {html.escape(text)} |".encode(),
    "svg": lambda text: f"<svg><title>{html.escape(text)}</title></svg>".encode(),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_in_every_kind_of_file(kind: str, tmp_path: Path) -> None:
    for canary in CANARIES[2:] if kind == "pdf" else CANARIES:
        data = FILES[kind](canary.replace("/", "-") if kind == "name in npz" else canary)
        assert leaks(data, (canary.replace("/", "-") if kind == "name in npz" else canary,))
        assert leaks(FILES[kind]("nothing"), CANARIES) == set()
