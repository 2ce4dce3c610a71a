"""`bench detectors check`: audit detectors on a cohort and leave audit.json and audit.png."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.cohorts.open import DataConfig, build_dataset, open_cohort
from benchmark.core.devices import pick_device
from benchmark.core.environment import describe
from benchmark.core.errors import UsageError
from benchmark.core.files import private_folder
from benchmark.core.progress import progress, to_stderr
from benchmark.core.types import Cohort
from benchmark.detectors.fitting import fit_detector
from benchmark.detectors.registry import Choice, choose, detector_cards
from benchmark.evaluation.detector_audit import Audit, audit, between_seeds
from benchmark.evaluation.detector_audit_report import draw_recall
from benchmark.images.planted_copies import KINDS
from benchmark.plugins.public_names import declared_name, public_name
from benchmark.records.cohort_facts import facts_of
from benchmark.records.detector_audits import AuditedDetector, AuditFile
from benchmark.records.record import entries


def check_detectors(
    data: DataConfig, texts: Sequence[str], *, seeds: int, device: str, cache: Path, out: Path
) -> tuple[AuditFile, Path]:
    """Audit the detectors that texts name, or all that need no file; return the audit and its folder.

    Raises BenchError.

    Args:
        data: the data set, its options and its split.
        texts: such as `copy` or `pixels:foreground=true`.
        seeds: how often a trained detector is trained.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        cache: where prepared cohorts and detectors are kept.
        out: a folder COHORT-KEY is made in it.
    """
    if seeds < 1:
        raise UsageError(f"{seeds} seeds were asked for", "give 1 or more; 3 tell how far trainings differ")
    without_files = [card.name for card in detector_cards().values() if not card.needs_file]
    choices = [choose(text) for text in texts or without_files]
    card, dataset = build_dataset(data)
    cohort = open_cohort(data, card, dataset, cache=cache, log=to_stderr)
    audited = {choice.name: _audited(choice, cohort, seeds, device, cache) for choice in choices}
    file = AuditFile(
        cohort=facts_of(cohort, public_name("datasets", card, declared_name(type(dataset)))),
        detectors=audited,
        environment=describe(device),
    )
    folder = out / f"{cohort.name}-{cohort.key[:8]}"
    private_folder(out, inside=folder.name)
    file.write(folder / "audit.json")
    draw_recall(file, folder / "audit.png")
    return file, folder


def _audited(choice: Choice, cohort: Cohort, seeds: int, device: str, cache: Path) -> AuditedDetector:
    trained = seeds if "seed" in choice.values else 1
    audits = [_audit_seed(choice, seed, cohort, device, cache) for seed in range(trained)]
    scores = audits[0].scores | between_seeds(audits)
    return AuditedDetector(options=choice.public, seeds=trained, claims=audits[0].claims, scores=entries(scores))


def _audit_seed(choice: Choice, seed: int, cohort: Cohort, device: str, cache: Path) -> Audit:
    chosen = choice.with_seed(seed) if seed else choice
    fitted = fit_detector(chosen, cohort, cache=cache, device=device, log=to_stderr)
    with progress(f"audit {chosen.name}", len(KINDS)) as advance:
        return audit(fitted, cohort, device=str(pick_device(device)), advance=advance)
