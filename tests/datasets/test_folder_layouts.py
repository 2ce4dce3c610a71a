"""Which layouts of a folder are recognised, as what, and which end in a question."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from benchmark.core.errors import UsageError
from benchmark.datasets.folder.dataset import Folder
from benchmark.datasets.folder.layout import Doubt, Unit, find_patients, strip_levels
from benchmark.datasets.folder.patterns import question


def fill(root: Path, names: Iterable[str]) -> Path:
    """Create empty files: patients are told by names alone."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def grid(pattern: str, *counts: int) -> list[str]:
    """Fill the fields of a pattern with all numbers below these counts, from 1."""
    names = [()] if counts else []
    for count in counts:
        names = [(*numbers, number) for numbers in names for number in range(1, count + 1)]
    return [pattern.format(*numbers) for numbers in names]


def each(heads: str, names: Iterable[str]) -> list[str]:
    return [f"{head}/{name}" for head in heads.split() for name in list(names)]


EACH = "the folders, one each"
VISITS = "the folders, several visits of one joined"
FOLDERS = "their numbers in the names of the folders"
FILES = "their numbers in the names of the files"
UP_TO = "the names of the files up to the first '_'"
RECOGNISED: dict[str, tuple[list[str], int, str, dict[str, int], str]] = {
    # layout: files, number of patients, one of them, labels, what they were read from
    "patients' folders": (grid("P{:03}/img{}.png", 20, 3), 20, "P001", {}, EACH),
    "patients' folders, one image each": (grid("P{}/one.png", 12), 12, "P1", {}, EACH),
    "patients' folders named by people": (each("anna bert carl", ["a.png", "b.png"]), 3, "anna", {}, EACH),
    "many folders without numbers": (
        [f"{a}{b}/{n}.png" for a in "klmno" for b in "vwxyz" for n in range(30)], 25, "kv", {}, EACH,
    ),
    "five patients with many slices": (grid("P{:03}/slice_{:03}.png", 5, 200), 5, "P001", {}, EACH),
    "studies and series below patients": (
        grid("{:08}/study{}/series{}/IM{}.png", 8, 2, 2, 3), 8, "00000001", {}, EACH,
    ),
    "one folder around all": (grid("export/all/P{:03}/img{}.png", 6, 3), 6, "P001", {}, EACH),
    "visits of one patient in several folders": (
        grid("OAS_{:04}_MR{}/t1.nii.gz", 6, 2), 6, "OAS_0001", {}, VISITS,
    ),
    "visits by date": (
        [f"P{p:02}_202{y}0115/t1.nii" for p in range(4) for y in range(3)], 4, "P00", {},
        VISITS,
    ),
    "visits by date of patients by name": (
        [f"{name}_202{y}0115/t1.nii" for name in ("DOE_JANE", "ROE_R", "MEIER") for y in range(3)],
        3, "MEIER", {}, VISITS,
    ),
    "CBIS-DDSM": (
        [f"{kind}-Training_P_{p:05}_{side}_CC/1.png" for kind in ("Mass", "Calc") for p in range(4)
         for side in ("LEFT", "RIGHT")], 4, "P_00000", {}, FOLDERS,
    ),
    "cases of one patient": (grid("P{:03}/case{}/{}.png", 4, 2, 2), 4, "P001", {}, EACH),
    "regions around patients": (
        [f"XR_{part}/patient{p:05}/study1/{k}.png" for part in ("ELBOW", "HAND") for p in range(4) for k in range(2)],
        4, "patient00000", {}, FOLDERS,
    ),
    "right and left folders of one patient": (
        [f"{p:03}{side}/x.png" for p in range(5) for side in "LR"], 5, "000", {},
        VISITS,
    ),
    "numbers of sites and patients": (grid("{:02}-{:04}/x.png", 3, 20), 60, "01-0001", {}, EACH),
    "TCGA": (grid("TCGA-02-{:04}/t1_{}.nii", 6, 2), 6, "TCGA-02-0001", {}, FOLDERS),
    "views below patients": (each("P01 P02 P03", ["left/1.png", "right/1.png"]), 3, "P01", {}, EACH),
    "patients below views": (
        [f"{view}/P{p:02}/{k}.png" for view in ("T1", "T2") for p in range(5) for k in range(2)], 5, "P00", {},
        EACH,
    ),
    "classes of patients' folders": (
        [f"{c}/{c.lower()}{p:03}/{k}.png" for c in ("Covid", "Normal") for p in range(6) for k in range(4)], 12,
        "covid000", {"Covid": 24, "Normal": 24}, EACH,
    ),
    "splits of classes of patients' folders": (
        [f"{s}/{c}/P{p:03}/{k}.png" for s, a in (("train", 0), ("test", 6)) for c in ("no", "yes")
         for p in range(a, a + 5) for k in range(2)], 10, "P000", {"no": 20, "yes": 20}, EACH,
    ),
    "classes with numbers of patients in the names": (
        [f"{c}/{c[0]}{p:03}_{k}.jpeg" for c in ("NORMAL", "PNEUMONIA") for p in range(10) for k in range(3)], 20,
        "N000", {"NORMAL": 30, "PNEUMONIA": 30}, UP_TO,
    ),
    "Kermany X-rays": (
        [f"{s}/NORMAL/IM-{p:04}-0001.jpeg" for s in ("train", "test") for p in range(9)]
        + [f"train/NORMAL/NORMAL2-IM-{p:04}-0001-000{k}.jpeg" for p in range(4) for k in (1, 2)]
        + [f"train/PNEUMONIA/person{p}_bacteria_{p + k}.jpeg" for p in range(5) for k in range(2)], 18,
        "NORMAL2-IM-0000", {"NORMAL": 26, "PNEUMONIA": 10}, FILES,
    ),
    "patients with classes below": (
        [f"{p}/{c}/{p}_{k}.png" for p in range(8863, 8873) for c in ("benign", "malignant") for k in range(9)], 10,
        "8863", {}, EACH,
    ),
    "flat, the number first": (grid("P{:03}_{}.png", 20, 2), 20, "P001", {}, UP_TO),
    "flat, NIH": (grid("{:08}_{:03}.png", 9, 4), 9, "00000001", {}, UP_TO),
    "flat, hyphens": (grid("{:04}-{}.png", 9, 4), 9, "0001", {}, "the names of the files up to the first '-'"),
    "flat, after a word": (grid("scan_P{:02}_{}.png", 9, 2), 9, "P01", {}, "part 2 of the names of the files"),
    "flat, after the view": (
        [f"{view}_P{p:02}.png" for view in ("left", "right") for p in range(9)], 9, "P00", {},
        "part 2 of the names of the files",
    ),
    "flat, the view joined to the number": (
        [f"{v}{p:03}_{k}.png" for v in ("left", "right") for p in range(9) for k in range(2)], 9, "000", {},
        UP_TO,
    ),
    "flat BIDS": (grid("sub-{:02}_ses-{:02}_T1w.nii.gz", 5, 2), 5, "sub-01", {}, FILES),
    "flat, one image of each subject": (grid("subject_{:02}.nii", 5), 5, "subject_01", {}, FILES),
    "ADNI": (
        [f"ADNI_00{s}_S_{p:04}_MR_{k}.nii" for s in (2, 3) for p in range(4) for k in range(2)], 8, "002_S_0000", {},
        FILES,
    ),
    "BIDS": (
        [*grid("sub-{0:02}/ses-{1:02}/anat/sub-{0:02}_ses-{1:02}_T1w.nii.gz", 5, 2), "dataset_description.json",
         "README", "participants.tsv"], 5, "sub-01", {}, FOLDERS,
    ),
    "BIDS with derivatives": (
        [f"{d}sub-{p:02}/anat/sub-{p:02}_T1w.nii.gz" for d in ("", "derivatives/fs/") for p in range(5)], 5, "sub-00",
        {}, FOLDERS,
    ),
    "MIMIC": (
        [f"p1{g}/p1{g}{p:06}/s5{p:07}/{k}.jpg" for g in range(3) for p in range(4) for k in range(2)], 12, "p10000000",
        {}, FOLDERS,
    ),
    "batches around patients": (
        [f"batch{b}/P{b}{p:02}/{k}.png" for b in (1, 2) for p in range(4) for k in range(2)], 8, "P100", {},
        EACH,
    ),
    "DICOM series": (grid("P{:02}/CT/I{:02}.dcm", 5, 6), 5, "P01", {}, EACH),
    "DICOM, one series a folder at the top": (grid("case{:02}/I{:02}.dcm", 5, 6), 5, "case01", {}, FOLDERS),
    "images and masks": (
        each("images masks", grid("P{:02}_{}.png", 5, 3)), 5, "P01", {}, UP_TO,
    ),
    "classes in German, of patients' folders": (
        [f"{c}/P{10 * k + p:02}/{n}.png" for k, c in enumerate(("unauffa\u0308llig", "Tumor", "unklar"))
         for p in range(6) for n in range(3)], 18, "P00", {"unauffa\u0308llig": 18, "Tumor": 18, "unklar": 18}, EACH,
    ),
    "classes in Chinese": (
        [f"{c}/{k}{p:03}_{n}.png" for k, c in enumerate(("正常", "肺炎")) for p in range(6) for n in range(3)], 12,
        "0000", {"正常": 18, "肺炎": 18}, UP_TO,
    ),
    "classes with a digit in front": (
        [f"{c}/P{c[0]}{p:02}_{n}.png" for c in ("0_normal", "1 - leicht", "2_severe") for p in range(6)
         for n in range(2)], 18, "P000", {"0_normal": 12, "1 - leicht": 12, "2_severe": 12}, UP_TO,
    ),
    "splits with a word": (
        [f"{s}/P{p:02}_{k}.png" for s in ("train_images", "images-val", "Test Set") for p in range(6)
         for k in range(2)], 6, "P00", {}, UP_TO,
    ),
    "sides in French": (
        [f"{side}/P{p:02}_{k}.png" for side in ("gauche", "droite") for p in range(6) for k in range(2)], 6, "P00", {},
        UP_TO,
    ),
    "some names without a further part": (
        ["P001.png", "cap001.png", "normal002.png", "normal002_24.png", "P003.png"], 4, "cap001", {}, UP_TO,
    ),
    "two formats of each image": (
        [f"{p:03}.{ending}" for p in range(4) for ending in ("png", "jpg")], 4, "003", {}, "the names of the files",
    ),
    "patients of clinics": (
        [f"Klinik_{c}/X{4 * c + p}/{k}.png" for c in (1, 2, 3) for p in range(4) for k in range(2)], 12, "X4", {}, EACH,
    ),
    "sites in front of patients": (
        [f"site{s}_P{4 * s + p:02}_{k}.png" for s in (1, 2, 3) for p in range(4) for k in range(2)], 12, "P04", {},
        "part 2 of the names of the files",
    ),
    "subjects by S": (grid("S{:03}/{:04}.png", 5, 12), 5, "S001", {}, EACH),
    "subjects by S, in names": (grid("S{:03}_{:04}.png", 5, 12), 5, "S001", {}, UP_TO),
    "numbers of pages behind patients": (grid("{:04}_p{}.png", 9, 2), 9, "0001", {}, UP_TO),
}  # fmt: skip


@pytest.mark.parametrize("layout", RECOGNISED)
def test_recognised(tmp_path: Path, layout: str) -> None:
    names, count, example, labels, basis = RECOGNISED[layout]
    sources = Folder().sources(fill(tmp_path, names))
    patients = [source.subject for source in sources]
    assert len(set(patients)) == count, sorted(set(patients))
    assert example in patients
    found = {label: [source.label for source in sources].count(label) for label in {source.label for source in sources}}
    assert found == (labels or {None: len(sources)})
    remarks = Folder().remarks(tmp_path)
    assert next(iter(remarks)) == f"patients, from {basis} (another rule: --group-pattern)"
    assert len(remarks[next(iter(remarks))]) == count


REPEATS = "and no part of their names repeats as a patient's number would"
SKIN = "benign 9, malignant 9, normal 9"
LABELS = "NORMAL 1000, PNEUMONIA 1000"
STUDIES = "are named like studies or series, of which a patient may have several"
NO_IDS = "and PatientID is missing or the same in all DICOM files"
ASKED: dict[str, tuple[list[str], str, list[str]]] = {
    # layout: files, the reason, the answers before the last
    "two class folders": (
        [f"{c}/IM{k:04}.png" for c in ("NORMAL", "PNEUMONIA") for k in range(1000)],
        f"2000 images (IM0000.png, IM0001.png, IM0002.png ...) in 2 class folders ({LABELS}), {REPEATS}",
        ["'([^/._]+)(?:[.]nii)?[.][^/.]*$' for the 1000 patients IM0000, IM0001 ..."],
    ),
    "classes below splits": (
        [f"{s}/{c}/{s}{k}.png" for s in ("train", "test") for c in ("NORMAL", "PNEUMONIA") for k in range(9)],
        f"36 images (test0.png, test1.png, test2.png ...) in 2 class folders (NORMAL 18, PNEUMONIA 18), {REPEATS}",
        ["'([^/._]+)(?:[.]nii)?[.][^/.]*$' for the 18 patients test0, test1 ..."],
    ),
    "classes that nobody knows": (
        [f"{c}/{k}.png" for c in ("alpha", "beta", "gamma") for k in range(40)],
        "3 folders (alpha 40, beta 40, gamma 40) may be classes or patients",
        ["folder:1 for the 3 patients alpha, beta ..."],
    ),
    "digits that may be classes": (
        [f"{c}/x{k}.png" for c in range(5) for k in range(40)],
        "5 folders (0 40, 1 40, 2 40, 3 40 ...) may be classes or patients",
        ["folder:1 for the 5 patients 0, 1 ..."],
    ),
    "flat, nothing repeats": (
        grid("img_{:04}.png", 50), f"50 images (img_0001.png, img_0002.png, img_0003.png ...) in one folder, {REPEATS}",
        ["'([^/._]+)(?:[.]nii)?[.][^/.]*$' for the 50 patients 0001, 0002 ..."],
    ),
    "flat, volumes": (
        grid("n{}.nii.gz", 4), f"4 images (n1.nii.gz, n2.nii.gz, n3.nii.gz ...) in one folder, {REPEATS}",
        ["'([^/._]+)(?:[.]nii)?[.][^/.]*$' for the 4 patients n1, n2 ..."],
    ),
    "flat, words": (
        [f"{name}_{k}.png" for name in ("anna", "bert", "carl") for k in range(4)],
        f"12 images (anna_0.png, anna_1.png, anna_2.png ...) in one folder, {REPEATS}",
        ["'([^/_]+)_[^/]*$' for the 3 patients anna, bert ..."],
    ),
    "flat, dates first": (
        [f"2020010{d}_P{p}_1.png" for d in (1, 2, 3) for p in range(4)],
        f"12 images (20200101_P0_1.png, 20200101_P1_1.png, 20200101_P2_1.png ...) in one folder, {REPEATS}",
        ["'[^/_]+_([^/_]+)_[^/]*$' for the 4 patients P0, P1 ..."],
    ),
    "flat, the image's number first": (
        [f"slice{k:02}_P{p}.png" for k in range(4) for p in range(5)],
        f"20 images (slice00_P0.png, slice00_P1.png, slice00_P2.png ...) in one folder, {REPEATS}",
        ["'([^/._]+)(?:[.]nii)?[.][^/.]*$' for the 5 patients P0, P1 ..."],
    ),
    "flat, slices of volumes": (
        grid("volume-{}_slice{:02}.png", 12, 4),
        f"48 images (volume-10_slice01.png, volume-10_slice02.png, volume-10_slice03.png ...) in one folder, {REPEATS}",
        ["'([^/_]+)_[^/]*$' for the 12 patients volume-10, volume-11 ..."],
    ),
    "flat, DICOM UIDs": (
        grid("1.2.840.{}.{}.png", 4, 3),
        f"12 images (1.2.840.1.1.png, 1.2.840.1.2.png, 1.2.840.1.3.png ...) in one folder, {REPEATS}", [],
    ),
    "two patients' folders": (
        grid("P{}/{}.png", 2, 9), "2 folders (P1 9, P2 9) are fewer than 3 patients", [],
    ),
    "folders of studies": (
        grid("DICOM/ST{:05}/SE{:05}/IM{:05}.dcm", 5, 2, 6),
        f"5 folders (ST00001 2, ST00002 2, ST00003 2, ST00004 2 ...) {STUDIES}, {NO_IDS}",
        ["folder:2 for the 5 patients ST00001, ST00002 ..."],
    ),
    "folders of dates": (
        [f"2020010{k}/a.png" for k in range(1, 6)],
        f"5 folders (20200101 1, 20200102 1, 20200103 1, 20200104 1 ...) {STUDIES}",
        ["folder:1 for the 5 patients 20200101, 20200102 ..."],
    ),
    "years above patients": (
        [f"{year}/P{p:02}/x.png" for year in (2019, 2020, 2021) for p in range(5)],
        f"3 folders (2019 5, 2020 5, 2021 5) {STUDIES}",
        ["folder:1 for the 3 patients 2019, 2020 ...", "folder:2 for the 5 patients P00, P01 ..."],
    ),
    "hospitals above patients": (
        [f"{place}/P{p:02}/x.png" for place in ("Aachen1", "Bonn2", "Celle3") for p in range(5)],
        "P00 and 4 other folders are below several top folders",
        ["folder:1 for the 3 patients Aachen1, Bonn2 ...", "folder:2 for the 5 patients P00, P01 ..."],
    ),
    "digits as folders": (
        [f"{c}/{k}.png" for c in range(3) for k in range(5)], "3 folders (0 5, 1 5, 2 5) may be classes or patients",
        ["folder:1 for the 3 patients 0, 1 ..."],
    ),
    "visits or sites before patients": (
        grid("S{}_P{:02}_{}.png", 3, 9, 2),
        f"54 images (S1_P01_1.png, S1_P01_2.png, S1_P02_1.png ...) in one folder, {REPEATS}",
        ["'([^/_]+)_[^/]*$' for the 3 patients S1, S2 ...", "'[^/_]+_([^/_]+)_[^/]*$' for the 9 patients P01, P02 ..."],
    ),
    "time points above patients": (
        grid("tp{}/ID{:04}.png", 3, 5), "3 folders (tp1 5, tp2 5, tp3 5) " + STUDIES,
        ["folder:1 for the 3 patients tp1, tp2 ...",
         "'([^/._]+)(?:[.]nii)?[.][^/.]*$' for the 5 patients ID0001, ID0002 ..."],
    ),
    "German visits above patients": (
        grid("Aufnahme {}/X{}/bild.png", 3, 5), "3 folders (Aufnahme 1 5, Aufnahme 2 5, Aufnahme 3 5) " + STUDIES,
        ["folder:1 for the 3 patients Aufnahme 1, Aufnahme 2 ...", "folder:2 for the 5 patients X1, X2 ..."],
    ),
    "sessions above files of patients": (
        grid("s{:03}/K{:02}_{}.png", 3, 5, 2), "K01 and 4 others begin names of files in several top folders",
        ["folder:1 for the 3 patients s001, s002 ...", "'([^/_]+)_[^/]*$' for the 5 patients K01, K02 ..."],
    ),
    "sessions above files of cases": (
        grid("S{}/pat_{:03}_x{}.png", 3, 5, 2), "pat_001 and 4 others begin names of files in several top folders",
        ["folder:1 for the 3 patients S1, S2 ...", "'[^/_]+_([^/_]+)_[^/]*$' for the 5 patients 001, 002 ..."],
    ),
    "numbers above lettered patients": (
        grid("{:02}/X{}/IM{:04}.png", 3, 5, 3), "X1 and 4 other folders are below several top folders",
        ["folder:1 for the 3 patients 01, 02 ...", "folder:2 for the 5 patients X1, X2 ..."],
    ),
    "visits before names": (
        grid("v{}_DOE_{:02}_n{}.png", 3, 5, 2),
        f"30 images (v1_DOE_01_n1.png, v1_DOE_01_n2.png, v1_DOE_02_n1.png ...) in one folder, {REPEATS}",
        ["'(?:[^/_]+_){2}([^/_]+)_[^/]*$' for the 5 patients 01, 02 ..."],
    ),
    "years before patients": (
        [f"{year}_K{p:02}_{k}.png" for year in (2019, 2020, 2021) for p in range(5) for k in range(2)],
        f"30 images (2019_K00_0.png, 2019_K00_1.png, 2019_K01_0.png ...) in one folder, {REPEATS}",
        ["'[^/_]+_([^/_]+)_[^/]*$' for the 5 patients K00, K01 ..."],
    ),
    "dates with hyphens before patients": (
        [f"2020-01-0{d}-K{p:02}-{k}.png" for d in (1, 2, 3) for p in range(5) for k in range(2)],
        f"30 images (2020-01-01-K00-0.png, 2020-01-01-K00-1.png, 2020-01-01-K01-0.png ...) in one folder, {REPEATS}",
        ["'[0-9]{4}[-_.][0-9]{2}[-_.][0-9]{2}[-_. ]+([^-_. /]+)[^/]*$' for the 5 patients K00, K01 ..."],
    ),
    "sessions before lettered patients": (
        grid("S{:02}_K{:02}_{}.png", 3, 5, 2),
        f"30 images (S01_K01_1.png, S01_K01_2.png, S01_K02_1.png ...) in one folder, {REPEATS}",
        ["'([^/_]+)_[^/]*$' for the 3 patients S01, S02 ..."],
    ),
    "short numbers before long ones": (
        grid("{:02}_{:04}.png", 3, 9),
        f"27 images (01_0001.png, 01_0002.png, 01_0003.png ...) in one folder, {REPEATS}",
        ["'([^/_]+)_[^/]*$' for the 3 patients 01, 02 ...",
         "'([^/._]+)(?:[.]nii)?[.][^/.]*$' for the 9 patients 0001, 0002 ..."],
    ),
    "names and numbers of visits": (
        [f"{name} {k}/x.png" for name in ("DOE J", "ROE R", "Wei\u00df U") for k in (1, 2)],
        "DOE J 1 and DOE J 2 may be visits of one patient or different patients",
        ["'([^/]*[^-_. 0-9/])[-_. ]+[0-9]{1,2}(?:/|$)' for the 3 patients DOE J, ROE R ...",
         "folder:1 for the 6 patients DOE J 1, DOE J 2 ..."],
    ),
    "two folders that nobody knows": (
        [f"{c}/P{p}_{k}.png" for c in ("alpha", "beta") for p in range(4) for k in range(9)],
        "2 folders (alpha 36, beta 36) may be classes or patients", ["'([^/_]+)_[^/]*$' for the 4 patients P0, P1 ..."],
    ),
    "known classes are not proposed": (
        [f"{c}/{c} ({k}).png" for c in ("benign", "malignant", "normal") for k in range(9)],
        f"27 images (benign (0).png, benign (1).png, benign (2).png ...) in 3 class folders ({SKIN}), {REPEATS}",
        ["'([^/._]+)(?:[.]nii)?[.][^/.]*$' for the 27 patients benign (0), benign (1) ..."],
    ),
    "files beside patients' folders": (
        [*grid("P{:02}/{}.png", 4, 2), "overview.png", "P02_overview.png"],
        "4 folders (P01 2, P02 2, P03 2, P04 2), and 1 files in no folder",
        ["'^([^/._]+)' for the 5 patients P01, P02 ..."],
    ),
    "classes and patients side by side": (
        [*grid("P{:02}/{}.png", 4, 2), "NORMAL/1.png", "NORMAL/2.png"],
        "5 folders (NORMAL 2, P01 2, P02 2, P03 2 ...), of which some are named like classes or splits",
        ["folder:1 for the 5 patients NORMAL, P01 ..."],
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", ASKED)
def test_asked(tmp_path: Path, layout: str) -> None:
    names, reason, answers = ASKED[layout]
    with pytest.raises(UsageError) as caught:
        Folder().sources(fill(tmp_path, names))
    proposed = [f"--group-pattern {answer}" for answer in answers] or [
        "--set-data table=FILE with columns file and patient"
    ]
    single = "--group-pattern none if each image is of another patient"
    # The plainer answer comes first where the others find another patient for each image, too.
    alone = all(f" for the {len(names)} patients " in answer for answer in proposed)
    hint = "; ".join([single, *proposed] if alone else [*proposed, single])
    assert str(caught.value) == (
        f"it cannot be told which images of {tmp_path} are of one patient: {reason}\n  hint: which fits? {hint}"
    )


@pytest.mark.parametrize("layout", ASKED)
def test_every_answer_works_as_it_is_written(tmp_path: Path, layout: str) -> None:
    names, _, answers = ASKED[layout]
    fill(tmp_path, names)
    for answer in [*answers, "none"]:
        pattern = shlex.split(answer)[0]
        patients = {source.subject for source in Folder(group_pattern=pattern).sources(tmp_path)}
        count = re.search(r"for the (\d+) patients", answer)
        assert len(patients) == (int(count[1]) if count else len(Folder(group_pattern="none").sources(tmp_path)))


MASKED: dict[str, tuple[list[str], list[str]]] = {
    # layout: images, segmentations
    "behind the name": (grid("P{:02}_{}.png", 4, 2), grid("P{:02}_{}_mask.png", 4, 2)),
    "several of one image": (grid("c ({}).png", 4), [*grid("c ({})_mask.png", 4), "c (2)_mask_1.png"]),
    "in front": (grid("volume-{}.nii", 4), grid("segmentation-{}.nii", 4)),
    "one for several sequences": (
        grid("c_{0:03}/c_{0:03}_t1.nii.gz", 4) + grid("c_{0:03}/c_{0:03}_flair.nii.gz", 4),
        grid("c_{0:03}/c_{0:03}-seg.nii.gz", 4),
    ),
    "BIDS": (
        grid("sub-{0:02}/anat/sub-{0:02}_T1w.nii.gz", 4),
        grid("sub-{0:02}/anat/sub-{0:02}_desc-brain_mask.nii.gz", 4),
    ),
    "a word": (grid("P{:02}/ct.nii.gz", 4), grid("P{:02}/Label.nii.gz", 4)),
    "joined words, other ending": (grid("P{:02}.jpg", 4), grid("P{:02}_LungMask.png", 4)),
    "folders below patients": (grid("P{:02}/CT/{}.png", 4, 2), grid("P{:02}/contours/{}.png", 4, 2)),
    "a folder beside patients": (grid("P{:02}/{}.png", 4, 2), grid("masks/P{:02}_{}.png", 4, 2)),
    "folders of a split": (grid("train_images/{:03}.png", 4), grid("train_masks/{:03}.png", 4)),
    "nothing but masks": ([], []),
}  # fmt: skip


@pytest.mark.parametrize("layout", MASKED)
def test_segmentations_are_skipped(tmp_path: Path, layout: str) -> None:
    images, masks = MASKED[layout]
    dataset = Folder(group_pattern="none")
    only = grid("P{:02}_mask.png", 4)
    files = [file for source in dataset.sources(fill(tmp_path, (images + masks) or only)) for file in source.files]
    assert sorted(files) == sorted(f"{tmp_path}/{name}" for name in images or only)
    assert dataset.remarks(tmp_path).get("skipped, segmentations by their folders or names", []) == sorted(masks)


def test_patients_in_several_classes_and_splits_are_named(tmp_path: Path) -> None:
    joined = "counted as one patient, the same name in folders of several"
    names = grid("train/normal/P{:02}/{}.png", 4, 2) + grid("test/sick/P{:02}/{}.png", 2, 2)
    remarks = Folder().remarks(fill(tmp_path, names))
    assert remarks[f"{joined} classes"] == remarks[f"{joined} splits"] == ["P01", "P02"]


def test_classes_named_by_labels_are_no_segmentations(tmp_path: Path) -> None:
    names = [f"{c}/P{p}_{k}.png" for c in ("label", "nolabel") for p in range(4) for k in range(2)]
    assert len(Folder(group_pattern="none").sources(fill(tmp_path, names))) == 16


@pytest.mark.parametrize("pattern", ["P{:05}_{}", "img_{}_{}", "{}x{}"])
def test_a_hundred_thousand_names_take_a_few_seconds(pattern: str) -> None:
    stems = [pattern.format(number // 5, number % 5) for number in range(100_000)]
    units = [Unit(f"NORMAL/{stem}.png", ("NORMAL",), stem) for stem in stems]
    started = time.process_time()
    found = find_patients(strip_levels(units))
    if isinstance(found, Doubt):
        question("root", found, units, by_name=True)
    assert time.process_time() - started < 20  # 2 s on an idle core; hours where all pairs are compared
    assert isinstance(found, Doubt) == (pattern != "P{:05}_{}")
