"""Write the API pages from the docstrings, as HTML.

    python scripts/build_api_docs.py                            # every package, into build/api
    python scripts/build_api_docs.py benchmark.search           # one package
    python scripts/build_api_docs.py --out FOLDER

What pdoc cannot import or read ends the command with an error: nothing is left out.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import pdoc

EVERYTHING = ("benchmark", "!benchmark.models", "!benchmark.datasets", "!benchmark.__main__")
"""Models and data sets have cards, which `bench models show` and `bench datasets show` print."""


def build(packages: tuple[str, ...], out: Path) -> int:
    """Write one page per module into the folder out; return how many. Raises UserWarning for what pdoc cannot read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module=r"pdoc\b")
        # pdoc looks for the annotations of inherited dataclass fields in the module of the subclass, where their names
        # need not exist. It then prints them as they are written, which is what a reader needs.
        warnings.filterwarnings("ignore", message="Error parsing type annotation")
        pdoc.render.configure(docformat="markdown", footer_text="memobench")
        pdoc.pdoc(*packages, output_directory=out)
    return sum(1 for page in out.rglob("*.html") if page.name != "index.html")


def main() -> None:
    """Build the pages that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", default=EVERYTHING, metavar="PACKAGE")
    parser.add_argument("--out", type=Path, default=Path("build/api"))
    options = parser.parse_args()
    print(f"{build(tuple(options.packages), options.out)} pages: {options.out / 'index.html'}")


if __name__ == "__main__":
    main()
