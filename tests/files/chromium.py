"""Pages in an installed headless Chromium: what they request, say on the console, and what axe finds.

Needs `pip install 'memobench[web-test]'` (playwright and axe from PyPI) and Chromium, such as Debian's `chromium`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Seen:
    """What a page did while it was open."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """Of the processor, that the page took until it was loaded: other processes do not add to it."""

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def axe(self) -> list[str]:
        """Findings of axe, in an isolated world: the page's policy forbids scripts in its own."""
        session = self.page.context.new_cdp_session(self.page)
        frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        world = session.send("Page.createIsolatedWorld", {"frameId": frame})["executionContextId"]
        run = {"contextId": world, "awaitPromise": True, "returnByValue": True}
        session.send("Runtime.evaluate", {"expression": f"{axe_script()};0", **run})
        findings = (
            "axe.run().then((r) => r.violations.map((v) => `${v.impact} ${v.id} ${v.nodes[0].html.slice(0, 200)}`))"
        )
        return list(session.send("Runtime.evaluate", {"expression": findings, **run})["result"]["value"])


def axe_script() -> str:
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@contextmanager
def browser() -> Iterator[Any]:
    """Yield Chromium; the test skips where it or the extra is missing."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    pytest.importorskip("axe_playwright_python", reason="pip install 'memobench[web-test]'")
    api = pytest.importorskip("playwright.sync_api", reason="pip install 'memobench[web-test]'")
    with api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def opened(chromium: Any, file: Path, *, width: int = 1400, scheme: str = "light") -> Iterator[Seen]:
    """Open a file; note everything but the page itself that is requested, and every error and warning."""
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    seen = Seen(context.new_page())
    seen.page.on(
        "console", lambda message: seen.errors.append(message.text) if message.type in ("error", "warning") else None
    )
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    session = context.new_cdp_session(seen.page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    seen.page.goto(file.as_uri())
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    seen.seconds = metrics["TaskDuration"]
    yield seen
    context.close()


def node(folder: Path) -> tuple[str, Path]:
    """Return Node and a NODE_PATH with playwright-core and axe-core, both from the extra; the test skips without it.

    Args:
        folder: an empty one, for links to where the extra has them.
    """
    path = pytest.importorskip("playwright", reason="pip install 'memobench[web-test]'").__file__
    axe = pytest.importorskip("axe_playwright_python", reason="pip install 'memobench[web-test]'").__file__
    driver = Path(path).parent / "driver"
    (folder / "playwright-core").symlink_to(driver / "package")
    (folder / "axe-core").mkdir()
    (folder / "axe-core" / "axe.min.js").symlink_to(Path(axe).parent / "axe.min.js")
    return str(driver / "node"), folder
