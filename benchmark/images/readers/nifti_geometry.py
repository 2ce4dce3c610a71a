"""Voxel sizes and directions of a NIfTI header, which says them up to three times."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import aff2axcodes

from benchmark.core.errors import BadDataError
from benchmark.images.readers.canonical import UNORIENTED, canonical, is_usable, no_directions
from benchmark.images.readers.image import IN_DOUBT, Image

if TYPE_CHECKING:
    from benchmark.core.types import Array

MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}
"""Code of the unit (metre, millimetre, micrometre) -> mm. Other codes were written by mistake for millimetres."""
TOLERANCE = 0.01
"""Relative difference up to which two voxel sizes are one: headers hold them in float32, and some rounded."""
CONTRADICTION = f"{IN_DOUBT}, sform and qform of the header contradict each other"
NO_SIZES = f"{IN_DOUBT}, voxel sizes (pixdim) in the header are unusable, those of the sform were used"


def placed(voxels: Array, written: Any, corrected: Any, path: Path) -> Image:
    """Return a volume (x, y, z) in RAS+, by the form of its header that agrees with the voxel sizes (pixdim).

    Args:
        voxels: (i, j, k) as stored.
        written: the header as it was written.
        corrected: the header as nibabel corrects it: a sign of the qform other than 1 and -1 is 1.
        path: for messages.

    Where both forms agree with pixdim and still differ in orientation, the sform is used, as all readers do; a remark
    says so. A header with neither form gives sizes only. Raises BadDataError where no form agrees with pixdim, or
    sizes are not above 0.
    """
    unit = MILLIMETRES.get(int(written["xyzt_units"]) % 8, 1.0) if "xyzt_units" in written else 1.0
    sizes = _sizes(written, voxels.shape) * unit
    known = bool(np.isfinite(sizes).all() and (sizes > 0).all())
    with np.errstate(invalid="ignore", over="ignore"):  # infinite or huge entries: such a form is not usable
        forms = {name: np.diag([unit, unit, unit, 1.0]) @ form for name, form in _forms(corrected, known).items()}
    usable = {name: form for name, form in forms.items() if is_usable(form)}
    if not known and "sform" not in usable:
        raise BadDataError(
            f"{path} has voxels of {_by(sizes)} mm: a size is above 0", "convert the original again, or leave it out"
        )
    if not forms:
        return Image(voxels, tuple(float(size) for size in sizes), remarks=((UNORIENTED, ""),))
    if not usable:
        raise no_directions(path)
    agreeing = [name for name, form in usable.items() if not known or _agree(form, sizes)]
    if not agreeing:
        raise BadDataError(
            f"{path} contradicts itself: {_described(usable)}, its voxel sizes (pixdim) are {_by(sizes)} mm",
            "convert the original again, or correct its header",
        )
    chosen = agreeing[0]
    image = canonical(voxels, usable[chosen], path)
    remarks = [] if known else [(NO_SIZES, "")]
    if len(forms) > len(agreeing) or len({aff2axcodes(usable[name]) for name in agreeing}) > 1:
        remarks.append((CONTRADICTION, f"{_described(forms)}; the {chosen} was used"))
    return Image(image.pixels, image.spacing_mm, image.affine, image.orientation, (*image.remarks, *remarks))


def _sizes(written: Any, shape: tuple[int, ...]) -> Array:
    """Return pixdim, (3,); 1 where it is missing along an axis of one voxel, whose size nobody needs."""
    sizes = np.array(written["pixdim"][1:4], np.float64)
    needless = (np.array(shape) == 1) & ~(sizes > 0)
    sizes[needless] = 1.0
    return sizes


def _forms(corrected: Any, known: bool) -> dict[str, Array]:
    """Return the affines (4, 4) of the forms that the header declares; a qform takes its sizes from pixdim."""
    forms = {}
    if "sform_code" in corrected and corrected["sform_code"] > 0:
        forms["sform"] = np.asarray(corrected.get_sform(), np.float64)
    if "qform_code" in corrected and corrected["qform_code"] > 0:
        try:
            forms["qform"] = np.asarray(corrected.get_qform(), np.float64) if known else np.zeros((4, 4))
        except ValueError:  # a quaternion longer than 1
            forms["qform"] = np.zeros((4, 4))
    return forms


def _agree(form: Array, sizes: Array) -> bool:
    return bool(np.allclose(voxel_sizes(form), sizes, rtol=TOLERANCE, atol=0))


def _described(forms: dict[str, Array]) -> str:
    """Return such as `sform 1 x 1 x 1 mm RAS, qform 2 x 2 x 3 mm RAS`."""
    return ", ".join(f"{name} {_one_form(form)}" for name, form in forms.items())


def _one_form(form: Array) -> str:
    if not is_usable(form):
        return "unusable"
    return f"{_by(voxel_sizes(form))} mm {''.join(map(str, aff2axcodes(form)))}"


def _by(sizes: Array) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)
