"""Names in lists and tables, matched to files and items."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.cohorts.file_names import match_names
from benchmark.core.errors import BadDataError

ROOT = Path("/data/Mine")
KNOWN = ("sub/P001_a.png", "sub/P002_a.nii.gz", "sub/M\u00fcller.jpg", "CT/series1", "Mine/inner.png", "p1-0", "v1.2")


def matched(name: str, known: tuple[str, ...] = KNOWN, root: Path | None = ROOT) -> str | None:
    """Match a name of a list that has folders elsewhere."""
    return match_names({7: name, 8: "a/b"}, known, Path("t.csv"), root).get(7)


@pytest.mark.parametrize(
    ("listed", "meant"),
    [
        ("sub/P001_a.png", "sub/P001_a.png"),
        (" sub/P001_a.png ", "sub/P001_a.png"),
        ("sub\\P001_a.png", "sub/P001_a.png"),
        (".\\sub\\P001_a.png", "sub/P001_a.png"),
        ("./sub//P001_a.png", "sub/P001_a.png"),
        ("/sub/P001_a.png", "sub/P001_a.png"),
        ("SUB/p001_A.PNG", "sub/P001_a.png"),
        ("sub/P001_a", "sub/P001_a.png"),
        ("sub/p001_A", "sub/P001_a.png"),
        ("sub/P002_a", "sub/P002_a.nii.gz"),
        ("sub/Mu\u0308ller.jpg", "sub/M\u00fcller.jpg"),
        ("Mine/sub/P001_a.png", "sub/P001_a.png"),
        ("mine\\sub\\P001_a.png", "sub/P001_a.png"),
        ("/data/Mine/sub/P001_a.png", "sub/P001_a.png"),
        ("C:\\Users\\me\\Mine\\sub\\P001_a.png", "sub/P001_a.png"),
        ("data/Mine/sub/P001_a.png", "sub/P001_a.png"),
        ("Mine/inner.png", "Mine/inner.png"),
        ("Mine/Mine/inner.png", "Mine/inner.png"),
        ("CT/series1/", "CT/series1"),
        ("ct/SERIES1", "CT/series1"),
        ("CT/series1.dcm", "CT/series1"),
        ("p1-0.png", "p1-0"),
        ("V1.2", "v1.2"),
    ],
)
def test_every_way_to_write_a_name(listed: str, meant: str) -> None:
    assert matched(listed) == meant


@pytest.mark.parametrize(
    "listed",
    [
        "P001_a.png",
        "other/sub/P001_a.png",
        "other/Mine/sub/P001_a.png",
        "data/sub/P001_a.png",
        "sub/P001_a.jpg",
        "sub/P001",
        "v1",
        "v1.3",
        "",
        "inner.png",
        "sub",
    ],
)
def test_what_is_another_name(listed: str) -> None:
    assert matched(listed) is None


def test_a_list_without_folders_names_the_files_of_any_folder() -> None:
    listed = {2: "P001_a.png", 3: "p002_A", 4: "M\u00dcLLER.jpg", 5: "p1-0", 6: "gone.png"}
    assert match_names(listed, KNOWN, Path("t.csv")) == {2: KNOWN[0], 3: KNOWN[1], 4: KNOWN[2], 5: "p1-0"}
    with pytest.raises(BadDataError) as caught:
        match_names({2: "a.png", 3: "b.png"}, ("x/a.png", "y/a.png", "b.png"), Path("t.csv"))
    assert str(caught.value) == (
        "t.csv lists a.png in line 2, which may be x/a.png or y/a.png"
        "\n  hint: write the whole name, with its folder and ending and in the same case"
    )


def test_the_exact_name_comes_first() -> None:
    assert matched("a.png", ("A.png", "a.png", "a.jpg", "a")) == "a.png"
    assert matched("a", ("A", "a.png")) == "A"
    assert matched("Mine/a.png", ("a.png",), None) is None


@pytest.mark.parametrize(
    ("listed", "known"),
    [
        ("A.png", ("a.png", "a.PNG")),
        ("a", ("a.jpg", "a.png")),
        ("sub\\A", ("sub/a.jpg", "sub/a.png")),
        ("Mine/X.png", ("x.png", "x.PNG")),
    ],
)
def test_two_names_that_fit_equally_well(listed: str, known: tuple[str, ...]) -> None:
    with pytest.raises(BadDataError) as caught:
        matched(listed, known)
    assert str(caught.value) == (
        f"t.csv lists {listed} in line 7, which may be {known[0]} or {known[1]}"
        "\n  hint: write the whole name, with its folder and ending and in the same case"
    )
