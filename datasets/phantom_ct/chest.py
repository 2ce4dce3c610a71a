"""One simulated chest in Hounsfield units: body, lungs with vessels, heart, great vessels, bones, and pathology."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..phantom_mr.fields import Place, ellipsoid, smooth_max, smooth_min, smooth_noise, tube  # noqa: TID252

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Field = NDArray[Any]

SHAPE = (180, 140, 160)
"""Voxels of 2 mm to the patient's left, back and head."""
STEP = 2.0
AIR, LUNG, FAT, MUSCLE, BLOOD, LIVER, SOFT_BONE, HARD_BONE = -1000, -860, -100, 50, 40, 60, 250, 900


class Build(NamedTuple):
    """What differs between people, in mm unless stated."""

    width: float
    """Half of the chest, side to side, inside the ribs."""
    depth: float
    """Half of it, front to back."""
    fat: float
    heart: float
    """Size of the heart, 1 on average."""
    breath: float
    """How far the domes of the diaphragm are below the middle of the volume."""
    slope: float
    """How far the ribs fall from spine to front."""
    kyphosis: float


def simulate(seed: int) -> NDArray[np.int16]:
    """Return a patient's chest, SHAPE, HU from -1024 to 1500. Axes run to the left, the back and upwards.

    The same seed, the same voxels.
    """
    rng = np.random.default_rng([seed, 21])
    build, at = _build(rng), _bent(rng)
    wall = _wall(at, build)
    hu = np.full(SHAPE, AIR, np.float32)
    hu = _fill(hu, FAT, wall - np.float32(16 + build.fat))
    hu = _fill(hu, MUSCLE + 8 * smooth_noise(rng, 12, SHAPE), wall - np.float32(14))
    hu = _organs(rng, hu, at, build, wall)
    hu = _bones(rng, hu, at, build, wall)
    hu += rng.normal(0, rng.uniform(8, 18), SHAPE).astype(np.float32) + 4 * smooth_noise(rng, 5, SHAPE)
    return np.clip(np.rint(hu), -1024, 1500).astype(np.int16)


def _build(rng: np.random.Generator) -> Build:
    size = rng.normal(1, 0.07)
    return Build(
        width=float(128 * size * rng.normal(1, 0.04)),
        depth=float(88 * size * rng.normal(1, 0.06)),
        fat=float(np.clip(rng.lognormal(np.log(14), 0.5), 4, 34)),
        heart=float(rng.normal(1, 0.1)),
        breath=float(rng.normal(62, 12)),
        slope=float(rng.normal(62, 8)),
        kyphosis=float(rng.uniform(0, 22)),
    )


def _bent(rng: np.random.Generator) -> Place:
    """Return the grid's places in a straight chest, by undoing this patient's posture and small deformations."""
    axes = [(np.arange(n, dtype=np.float32) - (n - 1) / 2) * np.float32(STEP) for n in SHAPE]
    left, back, up = np.meshgrid(*axes, indexing="ij")
    roll = np.float32(np.deg2rad(rng.normal(0, 3)))
    left, back = left * np.cos(roll) - back * np.sin(roll), left * np.sin(roll) + back * np.cos(roll)
    bends = [2.5 * smooth_noise(rng, 45, SHAPE) for _ in range(3)]
    lean = np.float32(rng.normal(0, 0.02))
    return Place(left + lean * up + bends[0], -back + bends[1], up + bends[2])


def _fill(hu: Field, value: Field | float, distance: Field) -> Field:
    """Put a value where a signed distance is negative, with partial volumes at the border."""
    share = np.clip(0.5 - distance / np.float32(STEP), 0, 1)
    return hu + share * (np.asarray(value, np.float32) - hu)


def _wall(at: Place, build: Build) -> Field:
    """Return the signed distance to the inside of the rib cage: an oval that narrows to the top."""
    taper = 1 - 0.34 * np.clip((at.up - 60) / 100, 0, 1) ** 1.5 - 0.08 * np.clip((-at.up - 60) / 100, 0, 1)
    bent = at.front + np.float32(build.kyphosis) * (at.up / 160) ** 2
    flat = np.abs(at.left / (build.width * taper)) ** 2.4 + np.abs(bent / (build.depth * taper)) ** 2.4
    return np.asarray((flat ** (1 / 2.4) - 1) * np.float32(0.85 * build.depth), np.float32)


def _organs(rng: np.random.Generator, hu: Field, at: Place, build: Build, wall: Field) -> Field:
    dome = _diaphragm(at, build)
    hu = _fill(hu, LIVER - 15 * (at.left > 20), np.maximum(wall + 4, dome))
    heart, vessels = _heart(rng, at, build), _great_vessels(at, build)
    middle: Field = np.abs(at.left - np.float32(4)) - (22 - 13 * np.clip(at.front / 45, 0, 1) - 0.02 * at.up)
    apex: Field = at.up - (134 - (np.abs(at.left) - 48) ** 2 / 40)
    lungs = smooth_max(smooth_max(wall + 6, apex, 14), smooth_max(-dome + 3, -middle, 6), 8)
    lungs = smooth_max(lungs, np.maximum.reduce([-heart + 3, -vessels + 2, -_spine(at) + 25]), 6)
    hu = _fill(hu, FAT, np.maximum(wall + 6, -dome + 2))
    hu = _fill(hu, _lung_tissue(rng, at, build, lungs), lungs)
    hu = _fill(hu, BLOOD, heart)
    hu = _fill(hu, BLOOD + 5, vessels)
    return _fill(hu, AIR, _airways(at))


def _diaphragm(at: Place, build: Build) -> Field:
    """Return the signed height above the domes, negative below; the right one is higher."""
    height = np.float32(-build.breath + 8) - 14 * np.tanh(at.left / 30) - 0.5 * (at.front < 0) * np.abs(at.front) / 2
    rim = (np.abs(np.abs(at.left) - 0.5 * build.width) / build.width) ** 2 * 120
    return np.asarray(at.up - (height - rim), np.float32)


def _heart(rng: np.random.Generator, at: Place, build: Build) -> Field:
    size = build.heart
    base = 40 - build.breath
    left_side = ellipsoid(at, (32 + rng.normal(0, 4), 34, base - 6), (50 * size, 42 * size, 46 * size))
    right_side = ellipsoid(at, (-12, 36, base), (36 * size, 36 * size, 46 * size))
    return smooth_min(left_side, right_side, 16)


def _great_vessels(at: Place, build: Build) -> Field:
    low = -build.breath
    aorta = tube(
        at,
        [(-8, 30, low + 60, 15), (-14, 26, low + 100, 15), (0, 4, low + 128, 13), (18, -26, low + 112, 12),
         (20, -48, low + 70, 11), (12, -52, -160, 11)],
    )  # fmt: skip
    cava = tube(at, [(-26, 24, low + 70, 10), (-24, 22, 140, 9)])
    pulmonary = tube(at, [(14, 34, low + 66, 14), (8, 4, low + 86, 12), (-42, -8, low + 76, 8)])
    hilum = tube(at, [(8, 4, low + 86, 12), (52, -14, low + 84, 8)])
    return np.asarray(np.minimum.reduce([aorta, cava, smooth_min(pulmonary, hilum, 6)]))


def _airways(at: Place) -> Field:
    trachea = tube(at, [(0, 2, 160, 8.5), (0, -4, 42, 8)])
    bronchi = [tube(at, [(0, -4, 42, 6.5), (side * 42, -12, 10, 4.5)]) for side in (-1, 1)]
    return np.asarray(np.minimum.reduce([trachea, *bronchi]))


def _lung_tissue(rng: np.random.Generator, at: Place, build: Build, lungs: Field) -> Field:
    """Aerated lung, denser behind, threaded by vessels that thin out from the hilum, with nodules or consolidation."""
    tissue = LUNG + rng.normal(0, 20) - 0.45 * at.front + 14 * smooth_noise(rng, 14, SHAPE)
    height = at.up + build.breath - 80
    far = np.sqrt((np.abs(at.left) - 44) ** 2 + (at.front + 10) ** 2 + height**2)
    calibre = np.clip(4.2 - far / 34, 0.7, 4.2)
    threads = np.maximum.reduce([_threads(rng, scale, calibre * share) for scale, share in ((30, 1), (18, 0.7))])
    tissue = tissue + threads * (BLOOD - tissue)
    return _disease(rng, at, tissue, lungs)


def _threads(rng: np.random.Generator, scale: float, calibre: Field) -> Field:
    """Return how much of a voxel is vessel: curves on which two smooth fields are both 0."""
    squared = np.zeros(SHAPE, np.float32)
    for _ in range(2):
        field = smooth_noise(rng, scale, SHAPE)
        steep = np.sqrt(sum(part * part for part in np.gradient(field, STEP)))
        squared += (field / (steep + np.float32(0.01))) ** 2
    return np.asarray(np.clip((calibre + 1 - np.sqrt(squared)) / np.float32(STEP), 0, 1), np.float32)


def _disease(rng: np.random.Generator, at: Place, tissue: Field, lungs: Field) -> Field:
    inside = np.argwhere(lungs < -14)
    for _ in range(rng.poisson(0.8)):
        x, y, z = inside[rng.integers(len(inside))]
        centre = [float(axis[x, y, z]) for axis in at]
        radius = float(rng.uniform(4, 13))
        ball = ellipsoid(at, centre, tuple(radius * rng.uniform(0.8, 1.2, 3))) + 0.8 * smooth_noise(rng, 8, SHAPE)
        tissue = _fill(tissue, rng.uniform(-50, 60), ball)
    if rng.random() < 0.35:
        x, y, z = inside[rng.integers(len(inside))]
        reach = ellipsoid(at, [float(axis[x, y, z]) for axis in at], tuple(rng.uniform(22, 48, 3)))
        cloud = np.clip(0.5 - (reach + 12 * smooth_noise(rng, 16, SHAPE)) / 26, 0, 1) * rng.uniform(0.5, 0.95)
        tissue = tissue + cloud * (20 - tissue)
    return np.asarray(tissue, np.float32)


def _spine(at: Place) -> Field:
    """Return the distance from the axis of the spine."""
    return np.asarray(np.sqrt(at.left**2 + (at.front + 76) ** 2), np.float32)


def _bones(rng: np.random.Generator, hu: Field, at: Place, build: Build, wall: Field) -> Field:
    pitch, phase = rng.normal(24, 1), rng.uniform(0, 24)
    hu = _ribs(hu, at, build, wall, pitch, phase)
    level = np.abs((at.up + phase) / pitch - np.round((at.up + phase) / pitch))
    body = ellipsoid(Place(at.left, at.front + 72, np.zeros_like(at.up)), (0, 0, 0), (19, 16, 1e3))
    hu = _fill(hu, MUSCLE + 30, body - 1)
    hu = _fill(hu, HARD_BONE * 0.4, np.maximum(body, (level - 0.38) * np.float32(pitch)))
    hu = _fill(hu, SOFT_BONE - 110, np.maximum(body + 3, (level - 0.3) * np.float32(pitch)))
    behind = [tube(at, [(0, -92, -160, 7), (0, -96, 160, 6)])]
    behind += [tube(at, [(side * 12, -88, -160, 5), (side * 12, -92, 160, 5)]) for side in (-1, 1)]
    hu = _fill(hu, SOFT_BONE, np.maximum(np.minimum.reduce(behind), (level - 0.34) * np.float32(pitch)))
    front = build.depth + 2
    sternum = np.maximum(np.abs(at.front - np.float32(front) + (at.up / 160) ** 2 * 20) - 5, np.abs(at.left) - 15)
    hu = _fill(hu, SOFT_BONE, np.maximum(sternum, np.abs(at.up - 30) - 75))
    for side in (-1, 1):
        collar = tube(at, [(side * 14, 62, 112, 6), (side * 80, 40, 130, 6), (side * 130, 0, 138, 7)])
        hu = _fill(hu, SOFT_BONE + 250, collar)
        blade = np.abs(at.front + 0.35 * (np.abs(at.left) - 80) + 84) - 3
        blade = np.maximum(blade, np.abs(side * at.left - 92) - (8 + 0.3 * np.clip(at.up + 10, 0, 110)))
        hu = _fill(hu, SOFT_BONE + 150, np.maximum(blade, np.abs(at.up - 62) - 62))
    return hu


def _ribs(hu: Field, at: Place, build: Build, wall: Field, pitch: float, phase: float) -> Field:
    """Shells around the rib cage, equally spaced at the spine, falling to the front, cartilage near the sternum."""
    angle = np.arctan2(np.abs(at.left) / build.width, -at.front / build.depth) / np.float32(np.pi)
    height = (at.up + np.float32(build.slope) * angle**1.4 + np.float32(phase)) / np.float32(pitch)
    along = np.abs(height - np.round(height)) * np.float32(pitch)
    thick = np.sqrt((wall / 3.6) ** 2 + (along / 6.2) ** 2)
    reach = np.where(angle < 0.78, HARD_BONE * 0.75, MUSCLE + 70)
    used = (at.up < 122) & (at.up > -150 + 90 * angle)
    shell = (thick - 1) * np.float32(3.6)
    hu = _fill(hu, reach, np.where(used, shell, np.float32(9)))
    return _fill(hu, SOFT_BONE - 50, np.where(used & (angle < 0.78), shell + np.float32(2.2), np.float32(9)))
