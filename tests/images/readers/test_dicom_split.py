"""Series that hold several volumes, and files that were copied twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import AXIAL, write_series, write_slice
from pydicom.dataset import Dataset

from benchmark.core.errors import BadDataError
from benchmark.images.readers.series import DOUBLES, SPLIT, Series, read_series
from benchmark.images.readers.series_split import TAGS


def ct(seed: int = 0, slices: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 2000, (slices, 6, 5))


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(BadDataError) as caught:
        read()
    return str(caught.value)


def read(folder: Path) -> Series:
    return read_series(sorted(folder.iterdir()))


def as_written(volume: Any) -> np.ndarray:
    """Planes from feet to head, rows to the back, columns to the left."""
    return np.asarray(volume.pixels[::-1, ::-1].transpose(2, 1, 0))


def volumes(series: Series) -> list[np.ndarray]:
    return [as_written(volume) for volume in series.volumes]


ALONE = [
    ("AcquisitionNumber", [1, 2]),
    ("TemporalPositionIdentifier", [1, 2, 3]),
    ("EchoNumbers", [1, 2]),
    ("EchoTime", [2.3, 4.6]),
    ("DiffusionBValue", [0.0, 1000.0]),
    ("ContrastBolusAgent", ["", "Gadovist"]),
    ("TriggerTime", [0.0, 34.5]),
    ("ImageType", [["ORIGINAL", "PRIMARY", part] for part in ("M", "P", "R", "I")]),
    ("InversionTime", [900.0, 2500.0]),
    ("FlipAngle", [2, 10]),
    ("AcquisitionTime", ["101500.2", "101530.4"]),
]


@pytest.mark.parametrize(("tag", "values"), ALONE)
def test_one_tag_tells_the_volumes_apart(tmp_path: Path, tag: str, values: list[Any]) -> None:
    for number, value in enumerate(values):
        write_series(tmp_path, ct(number), names=f"v{number}_{{:02d}}.dcm", **{tag: value})
    series = read(tmp_path)
    assert len(series.volumes) == len(values)
    assert all(np.array_equal(volume, ct(number)) for number, volume in enumerate(volumes(series)))
    assert series.notes == ((SPLIT, f"{len(values)} by {tag}"),)


def test_two_tags_are_needed(tmp_path: Path) -> None:
    written = []
    for echo in (1, 2):
        for part in ("M", "P"):
            written.append(ct(10 * echo + ord(part)))
            write_series(
                tmp_path, written[-1], names=f"e{echo}{part}{{:02d}}.dcm", EchoNumbers=echo,
                ImageType=["ORIGINAL", "PRIMARY", part],
            )  # fmt: skip
    series = read(tmp_path)
    assert all(np.array_equal(volume, hu) for volume, hu in zip(volumes(series), written, strict=True))
    assert series.notes == ((SPLIT, "4 by EchoNumbers and ImageType"),)


@pytest.mark.parametrize("tag", ["TriggerTime", "AcquisitionTime"])
def test_times_that_differ_from_plane_to_plane(tmp_path: Path, tag: str) -> None:
    """Phases of a heart: the k-th time at each position is the k-th phase."""
    phases = [ct(number) for number in range(3)]
    for phase, hu in enumerate(phases):
        for place, plane in enumerate(hu):
            write_slice(
                tmp_path / f"p{place}_{phase}.dcm", (plane + 1024).astype(np.uint16), intercept=-1024,
                ImagePositionPatient=[0, 0, 3.0 * place], ImageOrientationPatient=list(AXIAL), PixelSpacing=[1, 1],
                **{tag: 100 + 40 * phase + 1.5 * place if tag == "TriggerTime" else f"10{phase}{place}00.0"},
            )  # fmt: skip
    series = read(tmp_path)
    assert all(np.array_equal(volume, hu) for volume, hu in zip(volumes(series), phases, strict=True))
    assert series.notes == ((SPLIT, f"3 by {tag}"),)


def test_private_b_values(tmp_path: Path) -> None:
    for number, value in enumerate((0, 800)):
        for path in write_series(tmp_path, ct(number), names=f"b{number}_{{:02d}}.dcm"):
            file = pydicom.dcmread(path)
            file.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", value)
            file.save_as(path)
    assert read(tmp_path).notes == ((SPLIT, "2 by DiffusionBValue"),)


def test_acquisitions_one_after_the_other_stay_one_volume(tmp_path: Path) -> None:
    """A CT whose AcquisitionNumber changes along the table."""
    hu = ct(0, 12)
    for place, path in enumerate(write_series(tmp_path, hu)):
        file = pydicom.dcmread(path)
        file.AcquisitionNumber = 1 + place // 4
        file.save_as(path)
    series = read(tmp_path)
    assert series.notes == ()
    assert np.array_equal(volumes(series)[0], hu)


def test_acquisitions_that_share_one_position(tmp_path: Path) -> None:
    chest, abdomen = ct(0), ct(1)
    write_series(tmp_path, chest, names="chest{:02d}.dcm", AcquisitionNumber=1)
    for path in write_series(tmp_path, abdomen, names="belly{:02d}.dcm", AcquisitionNumber=2):
        file = pydicom.dcmread(path)
        file.ImagePositionPatient[2] -= 10.0  # five steps of 2 mm: its last plane is at the chest's first
        file.save_as(path)
    series = read(tmp_path)
    assert series.notes == ((SPLIT, "2 by AcquisitionNumber"),)
    assert {hu.tobytes() for hu in volumes(series)} == {hu.astype(np.int32).tobytes() for hu in (chest, abdomen)}


def test_two_stacks_between_each_other(tmp_path: Path) -> None:
    """Positions never repeat, but one stack is 0.5 mm above the other."""
    write_series(tmp_path, ct(0), names="a{:02d}.dcm", AcquisitionNumber=1)
    for path in write_series(tmp_path, ct(1), names="b{:02d}.dcm", AcquisitionNumber=2):
        file = pydicom.dcmread(path)
        file.ImagePositionPatient[2] += 0.5
        file.save_as(path)
    series = read(tmp_path)
    assert series.notes == ((SPLIT, "2 by AcquisitionNumber"),)
    assert [volume.spacing_mm[2] for volume in series.volumes] == pytest.approx([2.0, 2.0])


def test_an_interrupted_time_point_is_left_out(tmp_path: Path) -> None:
    for number, planes in enumerate((6, 6, 2)):
        write_series(tmp_path, ct(number, planes), names=f"t{number}_{{:02d}}.dcm", TemporalPositionIdentifier=number)
    series = read(tmp_path)
    assert (len(series.volumes), series.scouts) == (2, 1)


def test_a_time_point_with_a_missing_plane(tmp_path: Path) -> None:
    paths = [
        write_series(tmp_path, ct(number), names=f"t{number}_{{:02d}}.dcm", TemporalPositionIdentifier=number)
        for number in (1, 2)
    ][1]
    paths[2].unlink()
    assert refusal(lambda: read(tmp_path)) == (
        f"planes are missing between {paths[1]} and {paths[3].name}: 4.00 mm apart, elsewhere 2.00 mm"
        "\n  hint: copy the whole series again, or leave it out"
    )


def test_what_no_tag_tells_apart(tmp_path: Path) -> None:
    write_series(tmp_path, ct(0))
    write_series(tmp_path, ct(1), names="again{:04d}.dcm")
    assert refusal(lambda: read(tmp_path)) == (
        f"{tmp_path}/again0006.dcm is at the position of IM0006.dcm, -300.00 mm along the series, "
        f"and no tag tells their volumes apart (tried {', '.join(TAGS)})"
        "\n  hint: keep one acquisition or time point per folder"
    )


def test_tags_of_single_planes_split_nothing(tmp_path: Path) -> None:
    """AcquisitionNumber counts every plane: its parts are no volumes."""
    for number in range(2):
        for place, path in enumerate(write_series(tmp_path, ct(number), names=f"v{number}_{{:02d}}.dcm")):
            file = pydicom.dcmread(path)
            file.AcquisitionNumber = 10 * number + place
            file.save_as(path)
    assert "no tag tells their volumes apart" in refusal(lambda: read(tmp_path))


def test_series_without_positions(tmp_path: Path) -> None:
    for number in range(2):
        for place, plane in enumerate(ct(number)):
            write_slice(
                tmp_path / f"{number}{place}.dcm", (plane + 1024).astype(np.uint16), intercept=-1024,
                SliceLocation=2.0 * place, AcquisitionNumber=number, InstanceNumber=10 * number + place,
            )  # fmt: skip
    series = read(tmp_path)
    assert all(np.array_equal(volume, ct(number)) for number, volume in enumerate(volumes(series)))
    assert series.notes == ((SPLIT, "2 by AcquisitionNumber"),)


def stacked(path: Path, parts: list[dict[str, Any]], hu: list[np.ndarray]) -> Path:
    """An enhanced file: the frames of each part at the same positions, with tags in their groups."""
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, orientation.ImageOrientationPatient = [0.7, 0.7], list(AXIAL)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    frames = []
    for part, planes in zip(parts, hu, strict=True):
        for place in range(len(planes)):
            frame, position = Dataset(), Dataset()
            position.ImagePositionPatient = [0.0, 0.0, 2.0 * place]
            frame.PlanePositionSequence = [position]
            for name, group in part.items():
                item = Dataset()
                for tag, value in group.items():
                    setattr(item, tag, value)
                setattr(frame, name, [item])
            frames.append(frame)
    groups = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": frames}
    return write_slice(path, np.concatenate(hu).astype(np.int16), **groups)


@pytest.mark.parametrize(
    ("sequence", "tag", "values"),
    [
        ("FrameContentSequence", "StackID", ["1", "2"]),
        ("FrameContentSequence", "TemporalPositionIndex", [1, 2]),
        ("MREchoSequence", "EffectiveEchoTime", [2.3, 4.6]),
        ("MRDiffusionSequence", "DiffusionBValue", [0.0, 1000.0]),
        ("MRImageFrameTypeSequence", "FrameType", [["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]]),
    ],
)
def test_enhanced_files_with_several_volumes(tmp_path: Path, sequence: str, tag: str, values: list[Any]) -> None:
    hu = [ct(0), ct(1)]
    path = stacked(tmp_path / "a.dcm", [{sequence: {tag: value}} for value in values], hu)
    series = read_series([path])
    assert all(np.array_equal(volume, written) for volume, written in zip(volumes(series), hu, strict=True))
    assert series.notes == ((SPLIT, f"2 by {tag}"),)


def test_enhanced_diffusion_directions(tmp_path: Path) -> None:
    hu = [ct(number) for number in range(2)]
    parts = []
    for direction in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]):
        gradient = Dataset()
        gradient.DiffusionGradientOrientation = direction
        diffusion = {"DiffusionBValue": 1000.0, "DiffusionGradientDirectionSequence": [gradient]}
        parts.append({"MRDiffusionSequence": diffusion})
    series = read_series([stacked(tmp_path / "a.dcm", parts, hu)])
    assert series.notes == ((SPLIT, "2 by DiffusionGradientOrientation"),)


def test_files_copied_twice_are_counted_once(tmp_path: Path) -> None:
    paths = write_series(tmp_path, ct())
    shutil.copy(paths[0], tmp_path / "IM0006 (1).dcm")
    shutil.copy(paths[4], tmp_path / "copy.dcm")
    series = read(tmp_path)
    assert np.array_equal(volumes(series)[0], ct())
    assert series.notes == ((DOUBLES, "2 files"),)


def test_one_identifier_with_other_pixels(tmp_path: Path) -> None:
    paths = write_series(tmp_path, ct())
    file = pydicom.dcmread(paths[0])
    file.PixelData = bytes(reversed(file.PixelData))
    file.save_as(tmp_path / "other.dcm")
    assert refusal(lambda: read(tmp_path)) == (
        f"{tmp_path}/other.dcm and {paths[0].name} have one SOPInstanceUID, but different pixels or positions"
        "\n  hint: export the series again, or leave it out"
    )


def test_directions_that_rounding_separates_are_one_series(tmp_path: Path) -> None:
    """Directions of 0.125 and a little less: rounded to two digits, they differ."""
    hu = ct(0, 8)
    sine = 0.125
    for place, path in enumerate(write_series(tmp_path, hu)):
        own = sine + (1e-6 if place % 2 else -1e-6)
        file = pydicom.dcmread(path)
        file.ImageOrientationPatient = [1, 0, 0, 0, round(float(np.sqrt(1 - own**2)), 7), round(own, 7)]
        normal = np.array([0, -sine, np.sqrt(1 - sine**2)])
        file.ImagePositionPatient = [round(float(value), 6) for value in 2.0 * place * normal]
        file.save_as(path)
    series = read(tmp_path)
    assert [volume.pixels.shape for volume in series.volumes] == [(5, 6, 8)]


def test_messages_hold_no_tags(tmp_path: Path) -> None:
    for number in range(2):
        write_series(tmp_path, ct(number), names=f"v{number}_{{:02d}}.dcm", AcquisitionTime=f"10150{number}")
    assert "1015" not in repr(read(tmp_path).notes)


def test_a_gap_between_acquisitions_stays_a_gap(tmp_path: Path) -> None:
    """Their numbers change where planes are missing: that makes no second volume."""
    paths = write_series(tmp_path, ct(0, 12))
    for place, path in enumerate(paths):
        file = pydicom.dcmread(path)
        file.AcquisitionNumber = 1 + place // 6
        file.save_as(path)
    paths[6].unlink()
    assert refusal(lambda: read(tmp_path)).startswith(f"planes are missing between {paths[5]} and {paths[7].name}")


def test_a_split_into_crumbs_is_not_preferred(tmp_path: Path) -> None:
    """AcquisitionNumber would give the first time point and crumbs; TemporalPositionIdentifier gives both."""
    write_series(tmp_path, ct(0), names="a{:02d}.dcm", TemporalPositionIdentifier=1, AcquisitionNumber=1)
    paths = write_series(tmp_path, ct(1), names="b{:02d}.dcm", TemporalPositionIdentifier=2)
    for place, path in enumerate(paths):
        file = pydicom.dcmread(path)
        file.AcquisitionNumber = 2 + place // 2
        file.save_as(path)
    paths[3].unlink()
    assert refusal(lambda: read(tmp_path)).startswith(f"planes are missing between {paths[2]} and {paths[4].name}")


def test_one_identifier_at_two_positions(tmp_path: Path) -> None:
    """Planes of air are equal, but they are not copies of each other."""
    air = ct()
    air[0] = air[1] = -1000
    paths = write_series(tmp_path, air)
    first, second = (pydicom.dcmread(path) for path in paths[:2])
    second.SOPInstanceUID = first.SOPInstanceUID
    second.save_as(paths[1])
    assert refusal(lambda: read(tmp_path)) == (
        f"{paths[0]} and {paths[1].name} have one SOPInstanceUID, but different pixels or positions"
        "\n  hint: export the series again, or leave it out"
    )


def scattered(folder: Path, hu: list[np.ndarray], tags: Callable[[int, int], dict[str, Any]]) -> list[Path]:
    """Write time points of planes under names that are in no order; tags(time, place) are those of one plane."""
    names = iter(np.random.default_rng(3).permutation(1000))
    paths = []
    for time, planes in enumerate(hu):
        for place, plane in enumerate(planes):
            own = {"ImagePositionPatient": [0, 0, 3.0 * place], "ImageOrientationPatient": list(AXIAL)}
            own |= {"PixelSpacing": [1, 1]} | tags(time, place)
            paths.append(write_slice(folder / f"{next(names):03d}.dcm", plane.astype(np.int16), **own))
    return paths


RANKED = {
    "AcquisitionTime": lambda time, place: f"1015{10 * time + place // 4:02d}",  # two halves of the table, each in turn
    "ContentTime": lambda time, place: f"10{time:02d}{place:02d}",
    "AcquisitionDateTime": lambda time, place: f"2020010210{time:02d}{place:02d}",
    "InstanceNumber": lambda time, place: 8 * time + place + 1,
    "InstanceNumber, by position": lambda time, place: 3 * place + time + 1,
    "KVP": lambda time, place: 80 + 20 * time,
    "ConvolutionKernel": lambda time, place: f"B{time + 3}0f",
    "SequenceName": lambda time, place: f"ep_b{time}",
}


@pytest.mark.parametrize("case", RANKED)
def test_volumes_cover_all_positions_where_tags_can_tell(tmp_path: Path, case: str) -> None:
    hu, tag = [ct(number, 8) for number in range(3)], case.partition(",")[0]
    scattered(tmp_path, hu, lambda time, place: {tag: RANKED[case](time, place)})
    series = read(tmp_path)
    assert series.notes == ((SPLIT, f"3 by {tag}"),)
    read_volumes = sorted(volumes(series), key=lambda planes: [np.array_equal(planes, part) for part in hu].index(True))
    assert all(np.array_equal(volume, written) for volume, written in zip(read_volumes, hu, strict=True))


@pytest.mark.parametrize("lost", [0, 7, 8, 15])
def test_a_lost_plane_is_not_replaced_by_that_of_another_time(tmp_path: Path, lost: int) -> None:
    paths = scattered(tmp_path, [ct(0, 8), ct(1, 8)], lambda time, place: {"InstanceNumber": 8 * time + place + 1})
    paths[lost].unlink()
    assert "no tag tells their volumes apart" in refusal(lambda: read(tmp_path))
