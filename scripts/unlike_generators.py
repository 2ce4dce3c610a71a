"""Which synthetic images are refused an all-clear as unlike the training images? Real images of ../shared/data.

    python scripts/unlike_generators.py

Training images are 300 X-rays (128 pixels per side), 107 hippocampi (32) and 300 lung patches (50, at different places
of the lung: no anatomy in common), of different patients; patches are dealt out singly: their patients are not known.
Synthetic are 100 images of other patients, changed as the first column says: a fraction is of the longest side (blur),
of the range (noise) or of each side (crop). The columns are the shares of them beyond 99 % of the training images in
the correlation with the mean and with the nearest training image, and beyond 95 % in texture; * marks what is refused:
half of the images in one of these.
"""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import PIL.Image
from make_layouts import SHARED
from scipy.ndimage import gaussian_filter, rotate, zoom

from benchmark.core.types import Split
from benchmark.evaluation import like_training
from benchmark.evaluation.unlike_samples import unlike_mean

Images = np.ndarray[Any, Any]
COUNT = 100
PATIENT = re.compile("person[0-9]+|(NORMAL2-)?IM-[0-9]+")


def xrays() -> Images:
    """Return one X-ray of each of 800 patients, (800, 1, 128, 128)."""
    images: dict[str, Images] = {}
    with zipfile.ZipFile(SHARED / "cxr_kermany_224" / "cxr_kermany_224.zip") as archive:
        for name in sorted(archive.namelist()):
            match = PATIENT.search(name)
            if match and match[0] not in images and name.endswith((".jpeg", ".jpg", ".png")) and len(images) < 800:
                image = PIL.Image.open(io.BytesIO(archive.read(name))).convert("L")
                images[match[0]] = np.asarray(image.resize((128, 128), PIL.Image.Resampling.BOX))
    return np.stack(list(images.values()))[:, None]


def hippocampi() -> Images:
    """Return all volumes, (207, 1, 32, 32, 32)."""
    volumes = []
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(SHARED / "mr_hippocampus_msd04" / "mr_hippocampus_msd04.zip") as archive,
    ):
        for name in sorted(one for one in archive.namelist() if re.search(r"images/.*\.nii\.gz", one)):
            file = Path(folder) / "volume.nii.gz"
            file.write_bytes(archive.read(name))
            volume = np.asarray(nibabel.as_closest_canonical(nibabel.load(file)).dataobj, dtype=np.float32)
            volumes.append(255 * _resized(volume, (32, 32, 32)) / np.quantile(volume, 0.999))
    return _levels(np.stack(volumes)[:, None])


def patches() -> Images:
    """Return 800 lung patches, (800, 1, 50, 50)."""
    with np.load(SHARED / "ct_luna16_patches50" / "ct_luna16_patches50.npz") as stored:
        chosen = np.random.default_rng(0).permutation(len(stored["images"]))[:800]
        return np.asarray(stored["images"][chosen][:, None])


def _resized(image: Images, shape: tuple[int, ...]) -> Images:
    factors = [after / before for after, before in zip(shape, image.shape, strict=True)]
    return np.asarray(zoom(image.astype(np.float32), factors, order=1))


def _levels(images: Images) -> Images:
    return np.clip(images, 0, 255).round().astype(np.uint8)


def _blur(fraction: float) -> Callable[[Images], Images]:
    return lambda x: gaussian_filter(x, (0, 0, *(fraction * x.shape[2],) * (x.ndim - 2)))


def _mean(count: int) -> Callable[[Images], Images]:
    return lambda x: np.asarray(np.mean([np.roll(x, shift, axis=0) for shift in range(count)], axis=0))


def _noise(fraction: float) -> Callable[[Images], Images]:
    return lambda x: x + 255 * fraction * _white(x)


def _white(x: Images) -> Images:
    return np.random.default_rng(1).standard_normal(x.shape)


def _pink(exponent: float) -> Callable[[Images], Images]:
    """Noise whose power falls with this exponent of the frequency, with the mean and contrast of the images."""

    def pink(x: Images) -> Images:
        axes = tuple(range(2, x.ndim))
        frequencies = np.meshgrid(*(np.fft.fftfreq(size) for size in x.shape[2:]), indexing="ij")
        radius = np.sqrt(np.sum([one**2 for one in frequencies], axis=0))
        radius.flat[0] = 1.0
        noise = np.fft.ifftn(np.fft.fftn(_white(x), axes=axes) / radius ** (exponent / 2), axes=axes).real
        noise = (noise - noise.mean(axis=axes, keepdims=True)) / noise.std(axis=axes, keepdims=True)
        return np.asarray(noise * x.std(axis=axes, keepdims=True) + x.mean(axis=axes, keepdims=True))

    return pink


def _crop(fraction: float) -> Callable[[Images], Images]:
    def crop(x: Images) -> Images:
        inner = tuple(slice(int(fraction * size), size - int(fraction * size)) for size in x.shape[2:])
        return np.stack([_resized(image[inner], image.shape) for image in x[:, 0]])[:, None]

    return crop


def _shuffled(x: Images) -> Images:
    return np.random.default_rng(1).permuted(x.reshape(len(x), -1), axis=1).reshape(x.shape)


KINDS: dict[str, Callable[[Images], Images]] = {
    "other patients": lambda x: x,
    "blurred by 1/128": _blur(1 / 128),
    "blurred by 1/64": _blur(1 / 64),
    "blurred by 1/32": _blur(1 / 32),
    "means of 3": _mean(3),
    "means of 3, blurred": lambda x: _blur(1 / 128)(_mean(3)(x)),
    "means of 10": _mean(10),
    "noise 0.05": _noise(0.05),
    "noise 0.1": _noise(0.1),
    "darker (gamma 1.4)": lambda x: 255 * (x / 255) ** 1.4,
    "half the contrast": lambda x: x / 2,
    "brighter by 60": lambda x: x + 60,
    "16 grey levels": lambda x: np.round(x / 16) * 16,
    "rotated by 5 degrees": lambda x: rotate(x, 5, axes=(2, 3), reshape=False, order=1, mode="nearest"),
    "mirrored": lambda x: np.flip(x, 3 if x.ndim == 4 else 2),
    "cropped by 0.05": _crop(0.05),
    "cropped by 0.25": _crop(0.25),
    "noise 0.3": _noise(0.3),
    "rotated by 90 degrees": lambda x: np.rot90(x, 1, (2, 3)),
    "upside down": lambda x: np.flip(x, 2 if x.ndim == 4 else 4),
    "inverted": lambda x: 255 - x,
    "white noise": lambda x: 128 + 60 * _white(x),
    "pink noise, 1/f": _pink(1),
    "pink noise, 1/f^2": _pink(2),
    "pink noise, 1/f^3": _pink(3),
    "pixels in another order": _shuffled,
}


class InMemory:
    """Synthetic images in memory, (N, 1, *spatial) uint8."""

    def __init__(self, pixels: Images) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def stored(self, index: Any) -> Images:
        """Return images as stored."""
        return np.asarray(self.pixels[index])

    def images(self, index: Any) -> Images:
        """Return images in [-1, 1], float32."""
        return np.asarray(self.pixels[index] / 127.5 - 1, dtype=np.float32)


def line(samples: Images, train: Split) -> str:
    """Return the three shares, and a star where an all-clear is refused."""
    made = InMemory(_levels(samples))
    mean = unlike_mean(made, train)
    rows = np.arange(len(train))
    real, drawn = (like_training.reduced(one, np.arange(len(one))) for one in (train, made))
    shares = [
        mean,
        like_training.beyond_share(*like_training.unlikeness(drawn, real, rows), like_training.NEAR),
        like_training.beyond_share(*like_training.texture_distances(drawn, real, rows), like_training.TEXTURE),
    ]
    refused = mean >= like_training.UNLIKE or like_training.unlike_training(made, train)[1]
    return "".join(f"{share:7.2f}" for share in shares) + ("*" if refused else " ")


def split_of(pixels: Images) -> Split:
    names = tuple(map(str, range(len(pixels))))
    return Split(
        name="train", pixels=pixels, rows=np.arange(len(pixels)), subjects=names, items=names, channels=("image",)
    )


def main() -> None:
    rng = np.random.default_rng(0)
    pools = {"X-rays": xrays(), "hippocampi": hippocampi(), "patches": patches()}
    pools = {name: pool[rng.permutation(len(pool))] for name, pool in pools.items()}
    sizes = {"X-rays": 300, "hippocampi": 107, "patches": 300}
    train = {name: split_of(pool[: sizes[name]]) for name, pool in pools.items()}
    new = {name: pool[sizes[name] : sizes[name] + COUNT].astype(np.float64) for name, pool in pools.items()}
    print(f"{'synthetic images':26}" + "".join(f"{name:>22}" for name in pools))
    print(" " * 26 + "   mean   near texture" * len(pools))
    for kind, change in KINDS.items():
        print(f"{kind:26}" + "".join(line(change(new[name]), train[name]) for name in pools), flush=True)
    planes = {name: pool[..., 16] if pool.ndim == 5 else pool for name, pool in new.items()}
    for other, images in planes.items():
        cells = []
        for name, own in new.items():
            flat = own.ndim == 4 and name != other
            shape = own.shape[2:]
            fitted = np.stack([_resized(image, shape) for image in images[:, 0]])[:, None] if flat else None
            cells.append(" " * 22 if fitted is None else line(fitted, train[name]))
        print(f"{'other images: ' + other:26}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
