"""Make three folders for `bench audit` from real images of ../shared/data, with a known number of copies.

    python scripts/make_audit.py OUT --copies 20
    python scripts/make_audit.py OUT --copies 200 --identical
    python scripts/make_audit.py OUT --volumes --train 90 --heldout 70 --synthetic 47 --copies 10
    python scripts/make_audit.py OUT --dicom
    python scripts/make_audit.py OUT --volumes --depths --train 90 --heldout 70 --synthetic 200

OUT/train and OUT/heldout hold X-rays, or volumes of hippocampi, of different patients. OUT/synthetic holds images that
copy nobody, and altered training images in their midst; OUT/copies.csv lists which they are. X-rays that copy nobody
are blurred averages of three X-rays of patients who are in neither folder; such volumes are those patients' own,
blurred. Synthetic volumes all have one size, 48 x 64 x 48, and values in [-1, 1], as a model writes them.

With --dicom all X-rays are DICOM files with numbers for names, of which PatientID tells the patients. With --depths
the folders hold volumes and planes: of every third training and held-out volume each slice is a PNG file, and all
synthetic images are such slices, from the middle of the volume.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import PIL.Image
from make_layouts import SHARED, make_cxr, make_hippocampus
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy.ndimage import gaussian_filter, rotate, zoom

Image = np.ndarray[Any, Any]
PATIENT = re.compile("person[0-9]+|(NORMAL2-)?IM-[0-9]+|hippocampus_[0-9]+")
SIZE = (48, 64, 48)


def _crop(image: Image) -> Image:
    """Cut a twentieth off each side, and enlarge the rest."""
    inner = image[tuple(slice(max(1, size // 20), -max(1, size // 20)) for size in image.shape)]
    return _resized(inner, image.shape)


def _resized(image: Image, shape: tuple[int, ...]) -> Image:
    factors = [after / before for after, before in zip(shape, image.shape, strict=True)]
    resized: Image = zoom(image.astype(np.float32), factors, order=1)
    return resized


ALTERED = {
    "flip": lambda image: np.flip(image, -1 if image.ndim == 2 else 0),
    "rotate5": lambda image: rotate(image, 5, axes=(0, 1), reshape=False, order=1, mode="nearest"),
    "contrast": lambda image: image.max() * (image / image.max()) ** 1.4,
    "crop": _crop,
    "blur": lambda image: gaussian_filter(image, 1.5 if image.ndim == 2 else 0.8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--volumes", action="store_true", help="hippocampi (207) instead of X-rays")
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--heldout", type=int, default=300)
    parser.add_argument("--synthetic", type=int, default=200)
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--identical", action="store_true", help="copy training images as they are")
    parser.add_argument("--mixed", action="store_true", help="copy held-out images, too: the model has seen both")
    parser.add_argument("--dicom", action="store_true", help="write X-rays as DICOM files")
    parser.add_argument("--depths", action="store_true", help="write planes of volumes among the volumes")
    parser.add_argument("--seed", type=int, default=0, help="of patients and copies")
    options = parser.parse_args()
    if not SHARED.is_dir():
        parser.exit(3, f"{SHARED} is not there: the real data is expected next to the project\n")
    rng = np.random.default_rng(options.seed)
    everything = options.out / "all"
    _ = make_hippocampus(everything) if options.volumes else make_cxr(everything, aside=0)
    parts = _divided(everything, options, rng)
    for side in ("train", "heldout"):
        (options.out / side).mkdir(parents=True)
        parts[side] = [file.rename(options.out / side / file.name) for file in parts[side]]
    _write_synthetic(options, parts, rng)
    for side in ("train", "heldout", "synthetic"):
        files = sorted((options.out / side).iterdir())
        if options.dicom:
            for number, file in enumerate(files):
                _to_dicom(file, number, options.out / "names.csv")
        elif options.depths and side != "synthetic":
            for file in files[::3]:
                _to_planes(file)


def _to_dicom(file: Path, number: int, names: Path) -> None:
    """Replace an image by a DICOM file of a number, and note which; PatientID is a digest of the patient's name."""
    image, match = _read(file), PATIENT.match(file.name)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plane = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    plane.SOPClassUID, plane.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    plane.PatientID = hashlib.sha256((match[0] if match else file.name).encode()).hexdigest()[:12]
    plane.StudyInstanceUID, plane.SeriesInstanceUID, plane.Modality = generate_uid(), generate_uid(), "CR"
    plane.PhotometricInterpretation, plane.SamplesPerPixel = "MONOCHROME2", 1
    plane.Rows, plane.Columns = image.shape
    plane.BitsAllocated, plane.BitsStored, plane.HighBit, plane.PixelRepresentation = 16, 12, 11, 0
    plane.PixelData = (image.astype(np.uint16) * 16).tobytes()
    written = file.with_name(f"{number:05d}.dcm")
    plane.save_as(written, enforce_file_format=True)
    file.unlink()
    with names.open("a", newline="") as table:
        csv.writer(table).writerow((f"{file.parent.name}/{written.name}", file.name))


def _to_planes(file: Path) -> None:
    """Replace a volume by its slices as PNG files, as a radiologist sees them."""
    volume = _read(file)
    high = float(volume.max())
    for number in range(volume.shape[2]):
        plane = np.flip(volume[:, :, number]).T / high * 255
        name = f"{file.name.removesuffix('.nii.gz')}_{number:03d}.png"
        PIL.Image.fromarray(np.round(plane).astype(np.uint8)).save(file.with_name(name))
    file.unlink()


def _divided(folder: Path, options: argparse.Namespace, rng: np.random.Generator) -> dict[str, list[Path]]:
    """Deal the patients to the folders, in random order."""
    by_patient: dict[str, list[Path]] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        match = PATIENT.match(file.name)
        assert match, f"{file.name} names no patient"
        by_patient.setdefault(match[0], []).append(file)
    order = [by_patient[name] for name in rng.permutation(sorted(by_patient))]
    # Slices are cut from as many volumes as are left: 207 in all.
    left = 40 if options.depths else options.synthetic
    others = left if options.volumes else 3 * options.synthetic
    return {
        side: _take(order, count)
        for side, count in (("train", options.train), ("heldout", options.heldout), ("other", others))
    }


def _take(order: list[list[Path]], count: int) -> list[Path]:
    taken: list[Path] = []
    while len(taken) < count:
        taken += order.pop()
    return taken[:count]


def _write_synthetic(options: argparse.Namespace, parts: dict[str, list[Path]], rng: np.random.Generator) -> None:
    folder = options.out / "synthetic"
    folder.mkdir()
    sources = parts["train"] + (parts["heldout"] if options.mixed else [])
    copied = [sources[place] for place in rng.permutation(len(sources))[: options.copies]]
    chosen = dict(zip(rng.permutation(options.synthetic).tolist(), copied, strict=False))
    rows = []
    for number in range(options.synthetic):
        if number in chosen:
            name = "identical" if options.identical else list(ALTERED)[len(rows) % len(ALTERED)]
            image = _whole_or_slice(chosen[number], options.depths)
            written = _write(folder / f"{number:04d}", image if options.identical else ALTERED[name](image))
            rows.append((written.name, chosen[number].name, name))
        else:
            again, volume = divmod(number, len(parts["other"])) if options.depths else (0, number)
            image = _of_nobody(parts["other"], volume, options.volumes)
            _write(folder / f"{number:04d}", _middle(image, again) if options.depths else image)
    with (options.out / "copies.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("file", "train_file", "altered"), *rows])
    print(f"{options.synthetic} synthetic images, {len(rows)} of them copies, under {options.out}")


def _whole_or_slice(file: Path, depths: bool) -> Image:
    image = _read(file)
    return _middle(image, len(file.name)) if depths else image


def _middle(volume: Image, number: int) -> Image:
    """Return a slice near the middle of a volume as a radiologist sees it, 0 to 255."""
    plane = np.flip(volume[:, :, volume.shape[2] // 2 + number % 5 - 2]).T
    scaled: Image = plane / float(volume.max()) * 255
    return scaled


def _of_nobody(others: list[Path], number: int, volumes: bool) -> Image:
    if volumes:
        blurred: Image = gaussian_filter(_read(others[number]).astype(np.float32), 0.7)
        return blurred
    three = [_read(file) for file in others[3 * number : 3 * number + 3]]
    mean: Image = gaussian_filter(np.mean([_resized(one, three[0].shape) for one in three], axis=0), 1)
    return mean


def _read(file: Path) -> Image:
    if file.name.endswith(".nii.gz"):
        return np.asarray(nibabel.as_closest_canonical(nibabel.load(file)).dataobj)
    return np.asarray(PIL.Image.open(file).convert("L"))


def _write(path: Path, image: Image) -> Path:
    if image.ndim == 2:
        written = path.with_suffix(".png")
        PIL.Image.fromarray(np.clip(np.round(image), 0, 255).astype(np.uint8)).save(written)
        return written
    resized = _resized(image, SIZE)
    low, high = float(resized.min()), float(resized.max())
    written = path.with_suffix(".nii.gz")
    nibabel.save(nibabel.Nifti1Image(2 * (resized - low) / (high - low) - 1, np.eye(4)), written)
    return written


if __name__ == "__main__":
    main()
