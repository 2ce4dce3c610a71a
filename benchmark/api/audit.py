"""`memobench.audit`: training, held-out and synthetic images, given as folders or in memory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.patients import patient_options
from benchmark.api.results import AuditResult
from benchmark.api.saved import Axes, SavedSet, save_sets
from benchmark.api.temporary import TemporaryFolder
from benchmark.api.wording import python_words
from benchmark.core.errors import UsageError
from benchmark.core.progress import silent, to_stderr

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmark.runs.audit import AuditConfig


def audit(
    train: Any,
    heldout: Any = None,
    synthetic: Any = None,
    *,
    patients: Any = None,
    quick: bool = False,
    layout: str | Mapping[str, str] | None = None,
    channels: int | str | Mapping[str, int | str] | None = None,
    value_range: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
    key: str = "image",
    image_size: int | None = None,
    must_see: float = 0.01,
    fail_above: float | None = None,
    device: str = "auto",
    search_memory: float = 2.0,
    options: Mapping[str, Any] | None = None,
    cache: str | Path | None = None,
    quiet: bool = False,
) -> AuditResult:
    """Tell whether synthetic images are copies of training images, and which ones to withhold: `bench audit`.

    Each of the three sets is a folder, a list of files, an array or torch tensor (N, H, W), (N, C, H, W), (N, H, W, C)
    or of volumes, a list of images of any sizes, or a data set of PyTorch or MONAI whose entries are images,
    (image, label), or dicts.

    Args:
        train: the images that the model was trained on.
        heldout: images of patients that it has not seen in any way. Without them only nearly identical copies can be
            found, and there is no all-clear.
        synthetic: the images that it made.
        patients: of images in memory one id per image, {"train": [...], "heldout": [...]}; without it each image is
            that of another patient. Of folders a pattern, `folder:1`, `each-file` or a table, as `--patients`.
        quick: leave out the detectors that are fitted to the images (minutes).
        layout: the axes, such as "NCHW" or "NDHW" (volumes); a mapping where they differ between sets.
        channels: the number of the channel that is compared, or "grey" for red, green and blue.
        value_range: the values that are black and white, (low, high), or one pair per set. Without it, uint8 is 0 to
            255 and other images are scaled between their own percentiles 0.5 and 99.5; sets on different scales are
            refused.
        key: what holds the image in entries that are dicts.
        image_size: pixels per side at which images are compared; chosen by the images.
        must_see: the share of copies that would have to be seen before nothing found is an all-clear.
        fail_above: the largest upper end of the share with which the exit code may be 0.
        device: auto, cpu, cuda or cuda:N.
        search_memory: GiB that a search may take.
        options: further options of the data set `folder`, as `--set-data`.
        cache: a folder that keeps prepared images and fitted detectors for the next audit. Without it everything is in
            a temporary folder that is removed with the result.
        quiet: print no progress; what was said is in `result.notes` in any case.

    Raises UsageError where something is not certain and was not stated, and BenchError as the command line does.
    """
    from benchmark.runs.audit import audit as audit_folders

    given = {"train": train, "heldout": heldout, "synthetic": synthetic}
    if train is None or synthetic is None:
        raise UsageError("training images or synthetic images are missing", "call audit(train, heldout, synthetic)")
    folder, notes = TemporaryFolder(), list[str]()
    try:
        with python_words(), silent() if quiet else nullcontext():
            sets, window = save_sets(
                {side: one for side, one in given.items() if one is not None}, folder.path,
                Axes(layout, channels, key), value_range,
            )  # fmt: skip
            settings, remark = _options(sets, patients, options, window, folder.path)
            log = _keeping(notes)
            if remark:
                log(remark)
            config = _config(
                sets, settings, image_size=image_size, quick=quick, must_see=must_see, fail_above=fail_above,
                device=device, search_memory=int(search_memory * 2**30),
                cache=Path(cache) if cache else folder.path / "cache",
            )  # fmt: skip
            return AuditResult.of(audit_folders(config, log=log), sets, tuple(notes), folder)
    except BaseException:
        folder.remove()
        raise


def _config(sets: Mapping[str, SavedSet], settings: dict[str, Any], **others: Any) -> AuditConfig:
    from benchmark.runs.audit import AuditConfig

    heldout = sets["heldout"].folder if "heldout" in sets else None
    return AuditConfig(
        train=sets["train"].folder,
        heldout=heldout,
        synthetic=sets["synthetic"].folder,
        options=settings,
        in_memory=sets["synthetic"].names is not None,
        **others,
    )


def _options(
    sets: Mapping[str, SavedSet], patients: Any, given: Mapping[str, Any] | None, window: str, folder: Path
) -> tuple[dict[str, Any], str]:
    """Return the options of the data set, and a remark on patients. Raises UsageError for two windows."""
    options = dict(given or {})
    if window and "window" in options:
        raise UsageError("value_range and options={'window': ...} were both given", "give one of them")
    real = {side: one for side, one in sets.items() if side != "synthetic"}
    settings, remark = patient_options(patients, real, folder)
    return options | settings | ({"window": window} if window else {}), remark


def _keeping(notes: list[str]) -> Callable[[str], None]:
    def log(text: str) -> None:
        notes.append(text)
        to_stderr(text)

    return log
