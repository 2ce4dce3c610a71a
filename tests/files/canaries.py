"""Text that must not leave private files, and the search for it in any output: plain, encoded or compressed."""

from __future__ import annotations

import base64
import bz2
import gzip
import html
import io
import json
import lzma
import re
import urllib.parse
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress

DEPTH = 4
"""How many encodings may be inside each other: a table in an image in a page."""
RUN = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)


def leaks(data: bytes, canaries: Collection[str]) -> set[str]:
    """Return the canaries in a file's bytes, in any layer of it, whatever their case and the direction of slashes."""
    needles = {form: canary for canary in canaries for form in forms(canary)}
    return {canary for layer in layers(data) for form, canary in needles.items() if form in layer.lower()}


def forms(canary: str) -> set[bytes]:
    """Return what a canary may look like, in lower case."""
    paths = {canary, canary.replace("/", "\\"), canary.replace("/", "\\\\"), canary.replace("/", ":")}
    texts = paths | {urllib.parse.quote(canary), urllib.parse.quote(canary, safe=""), html.escape(canary)}
    texts |= {json.dumps(text)[1:-1] for text in texts}
    texts |= {text.upper() for text in texts}  # of bytes, `lower` changes ASCII letters alone
    coded = {text.encode(code) for text in texts for code in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")}
    shifted = {part for text in paths for part in shifted_base64(text.encode())}
    return {form.lower() for form in coded | shifted | {canary.encode().hex().encode()}}


def shifted_base64(text: bytes) -> Iterator[bytes]:
    """Yield what of a text is the same in base64 wherever it begins inside of a longer one."""
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + text)
        start = (8 * before + 5) // 6
        yield coded[start : len(coded) - 4] if len(coded) - 4 - start >= 8 else coded[start:].rstrip(b"=")


def layers(data: bytes, depth: int = DEPTH) -> Iterator[bytes]:
    """Yield the bytes, and whatever is packed, compressed or encoded in them."""
    yield data
    if depth:
        for inner in unpacked(data):
            yield from layers(inner, depth - 1)


def unpacked(data: bytes) -> Iterator[bytes]:
    if data[:4] == b"PK\3\4":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from (entry.filename.encode() for entry in archive.infolist())
            yield from (archive.read(entry) for entry in archive.infolist())
    elif data[:4] == b"PAR1":
        yield from _columns(data)
    elif data[:8] == b"\x89PNG\r\n\x1a\n" or data[:4] in (b"RIFF", b"GIF8") or data[:2] == b"\xff\xd8":
        yield _image_text(data)
    else:
        yield from _inflated(data)
        yield from _decoded(data)


def _columns(data: bytes) -> Iterator[bytes]:
    import pandas as pd
    import pyarrow.parquet as parquet

    yield repr(parquet.read_schema(io.BytesIO(data)).metadata).encode()
    yield pd.read_parquet(io.BytesIO(data)).to_csv().encode()


def _image_text(data: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return "\n".join(f"{name}={value}" for name, value in image.info.items()).encode()


def _inflated(data: bytes) -> Iterator[bytes]:
    for unpack in (gzip.decompress, zlib.decompress, bz2.decompress, lzma.decompress):
        with suppress(OSError, EOFError, zlib.error, lzma.LZMAError):
            yield unpack(data)
    for stream in STREAM.findall(data) if data[:4] == b"%PDF" else ():
        with suppress(zlib.error):
            yield zlib.decompress(stream)


def _decoded(data: bytes) -> Iterator[bytes]:
    for run in RUN.findall(data):
        with suppress(ValueError):
            yield base64.b64decode(run.replace(b"-", b"+").replace(b"_", b"/") + b"=" * (-len(run) % 4))
    with suppress(UnicodeDecodeError):
        text = data.decode()
        for plain in (html.unescape(text), urllib.parse.unquote(text)):
            if plain != text:
                yield plain.encode("utf-8", "surrogatepass")
