"""Small whole files of every format that is read, to be damaged."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "files"))

Writer = Callable[[Path, np.random.Generator], None]


def _plane(rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a plane (48, 40), uint8: smooth, so that it compresses as images do, with some noise."""
    rows, columns = np.mgrid[:48, :40]
    smooth = 100 + 60 * np.sin(rows / rng.uniform(4, 9)) * np.cos(columns / rng.uniform(4, 9))
    plane: np.ndarray[Any, np.dtype[np.uint8]] = np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype("u1")
    return plane


def _volume(rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Return a volume (20, 16, 12), int16, in the range of CT."""
    volume: np.ndarray[Any, np.dtype[np.int16]] = rng.integers(-1000, 1500, (20, 16, 12)).astype("i2")
    return volume


def _png(path: Path, rng: np.random.Generator) -> None:
    PIL.Image.fromarray(_plane(rng)).save(path)


def _png16(path: Path, rng: np.random.Generator) -> None:
    PIL.Image.fromarray(_plane(rng).astype("u2") * 257).save(path)


def _jpeg(path: Path, rng: np.random.Generator) -> None:
    exif = PIL.Image.Exif()
    exif[0x112] = int(rng.integers(1, 9))
    PIL.Image.fromarray(_plane(rng)).save(path, exif=exif)


def _tiff(path: Path, rng: np.random.Generator) -> None:
    PIL.Image.fromarray(_plane(rng)).save(path, compression=str(rng.choice(["raw", "tiff_lzw", "tiff_deflate"])))


def _nifti(path: Path, rng: np.random.Generator) -> None:
    import nibabel

    image = nibabel.Nifti1Image(_volume(rng), np.diag([-1.0, 1.5, 2.0, 1.0]))
    image.header.set_slope_inter(2.0, -5.0)
    path.write_bytes(image.to_bytes())


def _nifti_gz(path: Path, rng: np.random.Generator) -> None:
    _nifti(path, rng)
    path.write_bytes(gzip.compress(path.read_bytes(), 1))


def _dicom(path: Path, rng: np.random.Generator) -> None:
    from dicom_files import write_slice

    write_slice(path, _volume(rng)[:, :, 0], slope=2, intercept=-10, PixelSpacing=[1.0, 0.5], WindowCenter=40)


def _dicom_compressed(path: Path, rng: np.random.Generator) -> None:
    """Write RLE, JPEG, JPEG-LS or JPEG 2000, all lossless."""
    import gdcm
    from dicom_files import compress

    _dicom(path, rng)
    kinds = gdcm.TransferSyntax
    syntaxes = (kinds.JPEGLosslessProcess14_1, kinds.JPEGLSLossless, kinds.JPEG2000Lossless)
    choice = int(rng.integers(4))
    compress(path, *(("rle",) if choice == 3 else ("gdcm", syntaxes[choice])))


def _series(path: Path, rng: np.random.Generator) -> None:
    """Write a folder of six planes; one of them is damaged afterwards."""
    from dicom_files import write_series

    write_series(path, _volume(rng)[:6])


def _npy(path: Path, rng: np.random.Generator) -> None:
    np.save(path, _volume(rng).astype("f4"))


def _npz(path: Path, rng: np.random.Generator) -> None:
    (np.savez_compressed if rng.random() < 0.5 else np.savez)(path, image=_volume(rng), spacing_mm=[1.0, 1.0, 2.0])


def _itk(path: Path, rng: np.random.Generator) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(_volume(rng))
    image.SetSpacing((0.5, 0.5, 2.0))
    SimpleITK.WriteImage(image, str(path), useCompression=bool(rng.random() < 0.5))


def _hdf5(path: Path, rng: np.random.Generator) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        packed = {"compression": "gzip", "chunks": (8, 8, 8)} if rng.random() < 0.5 else {}
        file.create_dataset("image", data=_volume(rng), **packed)


def _csv(path: Path, rng: np.random.Generator) -> None:
    rows = [f'P{number:03d}_a.png,{number // 2:03d},"finding, ""{number}"""' for number in range(40)]
    ending = str(rng.choice(["\n", "\r\n"]))
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16"]))
    path.write_bytes(ending.join(["file,patient,label", *rows, ""]).encode(encoding))


def _nifti_pair(path: Path, rng: np.random.Generator) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Pair(_volume(rng), np.diag([-1.0, 1.5, 2.0, 1.0])), path)  # type: ignore[attr-defined]


def _enhanced(path: Path, rng: np.random.Generator) -> None:
    from dicom_files import enhanced

    enhanced(path / "enhanced.dcm", _volume(rng)[:6])


def _mosaic(path: Path, rng: np.random.Generator) -> None:
    from dicom_files import mosaic

    mosaic(path / "mosaic.dcm", (_volume(rng)[:7] + 1000).astype("u2"))


FORMATS: dict[str, tuple[str, Writer]] = {
    "PNG": (".png", _png),
    "PNG, 16 bit": (".png", _png16),
    "JPEG": (".jpg", _jpeg),
    "TIFF": (".tif", _tiff),
    "NIfTI": (".nii", _nifti),
    "NIfTI, gzip": (".nii.gz", _nifti_gz),
    "DICOM": (".dcm", _dicom),
    "DICOM, compressed": (".dcm", _dicom_compressed),
    "DICOM series": ("", _series),
    "npy": (".npy", _npy),
    "npz": (".npz", _npz),
    "MetaImage": (".mha", _itk),
    "NRRD": (".nrrd", _itk),
    "HDF5": (".h5", _hdf5),
    "CSV": (".csv", _csv),
}
"""Name -> ending of its files, and the function that writes one. A series is a folder."""
WHOLE: dict[str, tuple[str, Writer]] = {
    "MetaImage, header": (".mhd", _itk),
    "NRRD, header": (".nhdr", _itk),
    "NIfTI, header": (".hdr", _nifti_pair),
    "DICOM, enhanced": ("", _enhanced),
    "DICOM, mosaic": ("", _mosaic),
}
"""The same of files with many parts: voxels in a second file, which may be the damaged one, or planes in one file. They
are in no mixture, so that the numbers of those draw the same files as ever."""
