"""chestxray14, mimic-cxr and openi, in the files that their publishers hand out."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from dicom_files import write_slice

from benchmark.cohorts.prepare import prepare
from benchmark.core.errors import BadDataError, BenchError, MissingDataError
from benchmark.datasets.chestxray14.dataset import ChestXray14
from benchmark.datasets.mimic_cxr.dataset import MimicCxr
from benchmark.datasets.openi.dataset import Openi

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
)
"""As published: its last column has no name, and no value in any row."""


def save(path: Path, seed: int = 0, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40), dtype=np.uint8)
    PIL.Image.fromarray(pixels).convert(mode).save(path)
    return path


def refusal(read: Callable[[], object], kind: type[BenchError] = MissingDataError) -> str:
    with pytest.raises(kind) as caught:
        read()
    return str(caught.value)


def nih(root: Path, rows: tuple[tuple[str, str, int], ...] = ()) -> Path:
    rows = rows or (
        ("00000001_000.png", "Cardiomegaly", 1),
        ("00000001_001.png", "Cardiomegaly|Emphysema", 1),
        ("00000002_000.png", "No Finding", 2),
        ("00000003_000.png", "Hernia", 3),
    )
    lines = [f"{name},{found},0,{patient},058Y,M,PA,2682,2749,0.143,0.143,\n" for name, found, patient in rows]
    root.mkdir(parents=True, exist_ok=True)
    (root / "Data_Entry_2017.csv").write_text(HEADER + "".join(lines))
    for number, (name, _, _) in enumerate(rows):
        save(root / f"images_00{1 + number % 2}" / "images" / name, number, "RGBA" if number == 1 else "L")
    return root


def test_nih_layout(tmp_path: Path) -> None:
    root = nih(tmp_path)
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n00000002_000.png\n")
    (root / "test_list.txt").write_text("00000003_000.png\n")
    found = ChestXray14(image_size=16).sources(root)
    assert [(source.subject, source.name, source.label, source.group) for source in found] == [
        ("1", "00000001_000", "Cardiomegaly", "train"),
        ("1", "00000001_001", "Cardiomegaly|Emphysema", "train"),
        ("2", "00000002_000", "No Finding", "train"),
        ("3", "00000003_000", "Hernia", "test"),
    ]
    assert ChestXray14(image_size=16).read(found[1]).pixels.shape == (1, 1, 16, 16), "an RGBA file"
    assert ChestXray14().remarks(root) == {}


def test_nih_single_findings(tmp_path: Path) -> None:
    found = ChestXray14(single=True).sources(nih(tmp_path))
    assert [source.name for source in found] == ["00000001_000", "00000002_000", "00000003_000"]


def test_nih_table_and_images_that_disagree(tmp_path: Path) -> None:
    root = nih(tmp_path)
    (root / "images_002" / "images" / "00000003_000.png").unlink()
    save(root / "images_001" / "images" / "00000009_000.png")
    assert len(ChestXray14().sources(root)) == 3
    assert ChestXray14().remarks(root) == {
        "left out, not in the table": ["00000009_000.png"],
        "listed, but not on this disk": ["00000003_000.png"],
    }


def test_nih_published_split_of_dar(tmp_path: Path) -> None:
    rows = tuple((f"{patient:08d}_000.png", "No Finding", patient) for patient in range(3))
    assert refusal(lambda: ChestXray14(published="dar2025").sources(nih(tmp_path, rows))) == (
        "published=dar2025 needs at least 10200 images, here: 3\n  hint: unpack all twelve archives, or leave it out"
    )


def test_nih_dar_takes_the_first_and_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import benchmark.datasets.chestxray14.dataset as module

    monkeypatch.setattr(module, "DAR_TRAIN", 2)
    monkeypatch.setattr(module, "DAR_HELD", 1)
    found = ChestXray14(published="dar2025").sources(nih(tmp_path))
    assert [(source.name, source.group) for source in found] == [
        ("00000001_000", "train"),
        ("00000001_001", "train"),
        ("00000003_000", "val"),
    ]


def test_nih_without_its_table(tmp_path: Path) -> None:
    save(tmp_path / "images" / "00000001_000.png")
    assert refusal(lambda: ChestXray14().sources(tmp_path)) == (
        f"{tmp_path}/Data_Entry_2017.csv does not exist"
        "\n  hint: copy it into the folder of the data set, as it was downloaded"
    )


def test_nih_wrong_table(tmp_path: Path) -> None:
    nih(tmp_path)
    (tmp_path / "Data_Entry_2017.csv").write_text("name,age\na.png,3\n")
    assert refusal(lambda: ChestXray14().sources(tmp_path), BadDataError) == (
        f"{tmp_path}/Data_Entry_2017.csv has no column Image Index and no Finding Labels and no Patient ID; "
        "it has name, age\n  hint: give the file as it was published, or name the columns so"
    )


@pytest.mark.parametrize("content", ["", "a,b\n", "\x00\x01\xff"])
def test_nih_table_that_is_none(tmp_path: Path, content: str) -> None:
    nih(tmp_path)
    (tmp_path / "Data_Entry_2017.csv").write_bytes(content.encode("latin1"))
    said = refusal(lambda: ChestXray14().sources(tmp_path), BadDataError)
    assert said.startswith(f"{tmp_path}/Data_Entry_2017.csv ")
    assert "\n  hint: " in said


def test_nih_image_listed_twice(tmp_path: Path) -> None:
    nih(tmp_path)
    table = tmp_path / "Data_Entry_2017.csv"
    table.write_text(table.read_text() + table.read_text().splitlines()[1] + "\n")
    assert refusal(lambda: ChestXray14().sources(tmp_path), BadDataError) == (
        f"{table} lists 00000001_000.png twice in column Image Index, in lines 2 and 6\n  hint: keep one row per file"
    )


def mimic(root: Path, ending: str) -> Path:
    rows = (
        ("10000032", "50414267", "aaa", "PA"),
        ("10000032", "50414267", "bbb", "LATERAL"),
        ("10000764", "57375967", "ccc", "AP"),
    )
    for number, (patient, study, image, _) in enumerate(rows):
        folder = root / "files" / f"p{patient[:2]}" / f"p{patient}" / f"s{study}"
        if ending == "jpg":
            save(folder / f"{image}.jpg", number)
        else:
            pixels = np.random.default_rng(number).integers(0, 4096, (50, 40)).astype(np.uint16)
            write_slice(folder / f"{image}.dcm", pixels, PhotometricInterpretation="MONOCHROME1")
        folder.with_suffix(".txt").write_text(f"FINDINGS: ___ is known to ___. Study {study}.")
    with gzip.open(root / "mimic-cxr-2.0.0-metadata.csv.gz", "wt") as table:
        table.write("dicom_id,subject_id,study_id,ViewPosition\n")
        table.writelines(f"{image},{patient},{study},{view}\n" for patient, study, image, view in rows)
    with gzip.open(root / "mimic-cxr-2.0.0-split.csv.gz", "wt") as table:
        table.write("dicom_id,study_id,subject_id,split\naaa,50414267,10000032,train\nccc,57375967,10000764,validate\n")
    return root


@pytest.mark.parametrize("ending", ["jpg", "dcm"])
def test_mimic_layouts(tmp_path: Path, ending: str) -> None:
    root, dataset = mimic(tmp_path, ending), MimicCxr(image_size=16)
    found = dataset.sources(root)
    assert [(source.subject, source.name, source.group) for source in found] == [
        ("p10000032", "s50414267_aaa", "train"),
        ("p10000764", "s57375967_ccc", "validate"),
    ]
    assert dataset.remarks(root) == {"left out, not a view PA or AP": ["bbb"]}
    items = dataset.read(found[0])
    assert items.pixels.shape == (1, 1, 16, 16)
    assert items.pixels.std() > 5


def test_mimic_every_view(tmp_path: Path) -> None:
    dataset = MimicCxr(views=("all",))
    assert len(dataset.sources(mimic(tmp_path, "jpg"))) == 3
    assert dataset.remarks(tmp_path) == {}


def test_mimic_reports_stay_where_they_are(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = mimic(tmp_path, "jpg")
    texts = MimicCxr().reports(root)
    assert texts["s50414267_aaa"] == "FINDINGS: ___ is known to ___. Study 50414267."
    assert capfd.readouterr() == ("", "")


def test_mimic_without_its_table(tmp_path: Path) -> None:
    root = mimic(tmp_path, "jpg")
    (root / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    assert refusal(lambda: MimicCxr().sources(root)) == (
        f"none of the 3 images under {root} is a view PA, AP"
        "\n  hint: copy mimic-cxr-2.0.0-metadata.csv.gz into the folder that holds `files`, "
        "or choose --set-data views=all"
    )


def test_mimic_truncated_table(tmp_path: Path) -> None:
    root = mimic(tmp_path, "jpg")
    table = root / "mimic-cxr-2.0.0-metadata.csv.gz"
    table.write_bytes(table.read_bytes()[:-9])
    assert refusal(lambda: MimicCxr().sources(root), BadDataError) == (
        f"{table} is compressed and damaged: it cannot be unpacked\n  hint: download or copy the file again"
    )


def openi(real: Path, root: Path, names: int = 6, folder: str = "images/images_normalized") -> Path:
    for table in ("indiana_projections.csv", "indiana_reports.csv"):
        (root / table).write_bytes((real / table).read_bytes())
    lines = (root / "indiana_projections.csv").read_text().splitlines()[1:]
    for number, line in enumerate(lines[: 2 * names]):
        save(root / folder / line.split(",")[1], number)
    return root


@pytest.mark.parametrize("folder", ["images/images_normalized", "images", "."])
def test_openi_with_its_real_tables(real_data: Any, tmp_path: Path, folder: str) -> None:
    root = openi(real_data("reports_openi_iu"), tmp_path, folder=folder)
    dataset = Openi(image_size=16)
    found = dataset.sources(root)
    assert found[0].subject == "uid1"
    assert found[0].name == "1_IM-0001-4001"
    assert 4 <= len(found) <= 12
    assert len(dataset.remarks(root)["listed, but not on this disk"]) > 2000
    assert len(Openi(projection="all").sources(root)) == 12
    texts = dataset.reports(root)
    assert set(texts) == {source.name for source in found}
    assert all(len(text) > 20 for text in texts.values())


def test_openi_reports_without_images(real_data: Any, tmp_path: Path) -> None:
    root = openi(real_data("reports_openi_iu"), tmp_path, names=0)
    said = refusal(lambda: Openi().sources(root))
    assert said.startswith(f"{root} holds none of the ")
    assert said.endswith("images/images_normalized; reports alone serve `bench prompts` only")


def test_a_cohort_of_the_three_says_nothing_private(tmp_path: Path) -> None:
    root, said = mimic(tmp_path, "jpg"), []
    for patient in range(4):
        save(root / "files" / "p11" / f"p1100000{patient}" / "s5" / f"{patient}.jpg", 50 + patient)
    cohort = prepare("mimic-cxr", MimicCxr(views=("all",), image_size=16), root, tmp_path / "cache", log=said.append)
    assert said == ["mimic-cxr: prepared, 7 items of 6 patients"]
    assert not any("known to" in text for text in (*said, *cohort.notes))
