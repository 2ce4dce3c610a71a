"""Errors to plant (`mutants.py`): where, the text and its replacement, what goes wrong, and the tests that see it."""

from __future__ import annotations

from dataclasses import dataclass

EVALUATION, METRICS = "benchmark/evaluation", "benchmark/metrics"
COHORTS, SEARCH = "benchmark/cohorts", "benchmark/search"
PROTOCOL = "tests/evaluation/test_protocol.py"
EXPOSURE = "tests/evaluation/test_exposure.py"
RUN = "tests/evaluation/test_run_evaluation.py"
PARTS = "tests/cohorts/test_cohort_parts.py"
SPLITS = "tests/cohorts/test_splits.py"
COMPETITION = "tests/metrics/test_competition.py"
WITHHOLD = "tests/metrics/test_withhold.py"
BLOCKS = "tests/search/test_blocks_of_similarities.py"


@dataclass(frozen=True)
class Mutant:
    """One error."""

    file: str
    old: str
    """Occurs exactly once in the file."""
    new: str
    why: str
    """What the error would do."""
    tests: tuple[str, ...]
    equivalent: str = ""
    """Why no test can see it."""


MUTANTS = (
    # The four that lived through the whole suite once.
    Mutant(
        f"{EVALUATION}/protocol.py",
        'searched.match.similarity[: bank.calibration], codes["calibration"]',
        'searched.match.similarity[bank.calibration :], codes["test"]',
        "tau from test patients",
        (f"{PROTOCOL}::test_tau_is_of_calibration_patients_and_the_null_of_test_patients",),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        "results.heldout.index + bank.train",
        "results.heldout.index",
        "wrong heldout_row",
        (f"{PROTOCOL}::test_columns_name_the_nearest_images_by_their_position_in_the_members_table",),
    ),
    Mutant(
        f"{EVALUATION}/run_evaluation.py",
        "PatientScores(-losses",
        "PatientScores(losses",
        "sign of the loss attack",
        (f"{RUN}::test_the_loss_attack_takes_a_low_loss_for_membership",),
    ),
    Mutant(
        f"{COHORTS}/splits.py",
        "return rows[:train_items]",
        "return rows[-train_items:]",
        "the last instead of the first training patients",
        (PARTS,),
    ),
    # Protocol
    Mutant(
        f"{EVALUATION}/protocol.py",
        '"heldout_similarity": results.heldout.similarity',
        '"heldout_similarity": results.train.similarity',
        "similarity of the wrong side in matches",
        (PROTOCOL,),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        '"train_subject": subjects[results.train.index]',
        '"train_subject": subjects[results.heldout.index]',
        "patient of another image in matches",
        (PROTOCOL,),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        'searching.search(others, bank.part("train"), keep="held-out")',
        'searching.search(others, bank.part("calibration"), keep="held-out")',
        "held-out images against calibration",
        (PROTOCOL,),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        '"copies.null": share_above(test, near',
        '"copies.null": share_above(near, near',
        "null of the calibration patients themselves",
        (PROTOCOL,),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        'searching.blocks(bank.part("test"), known)',
        'searching.blocks(bank.part("calibration"), known)',
        "control from calibration images, which find themselves",
        (PROTOCOL,),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        "units = patient_codes(bank.real.dealt)\n    in_train",
        "units = patient_codes(bank.real.subjects)\n    in_train",
        "split test by patient, not by unit",
        (PROTOCOL,),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        "in_train[units[: bank.train]] = True",
        "in_train[units[bank.train :]] = True",
        "split test with the sides exchanged",
        (PROTOCOL,),
        "both sides enter the statistic alike: the product of two signs is the same when both change",
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        "verbatim_level(neighbours.similarity[:, 0])",
        "verbatim_level(neighbours.similarity[:, -1])",
        "verbatim level from the fifth neighbours",
        (PROTOCOL,),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        '"recall_headline": headline_threshold(exposure)',
        '"recall_headline": tau',
        "recall at the headline's threshold is read at tau",
        (PROTOCOL,),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        'share_above(member["train"], member["calibration"])',
        'share_above(member["train"], member["test"])',
        "memorised share calibrated on test patients",
        (PROTOCOL,),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        'conformal_quantile(member["calibration"].values, member["calibration"].codes)',
        'conformal_quantile(member["test"].values, member["test"].codes)',
        "members table marked at another threshold",
        (PROTOCOL,),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        "level=level, split=split, seed=seed, refusal=refusal",
        "level=level, split=split, seed=seed",
        "a model of unknown training is scored",
        (f"{PROTOCOL}::test_a_refusal_from_outside_reaches_the_headline_and_nothing_else",),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        "Searched(results.train, results.heldout, test",
        "Searched(results.train, results.train, test",
        "similarities to train published as those to held-out images",
        (PROTOCOL,),
    ),
    Mutant(
        f"{EVALUATION}/protocol.py",
        '"withhold": exposure.withheld.any',
        '"withhold": exposure.withheld.nearest',
        "verbatim copies are released where a held-out pair is more alike",
        (PROTOCOL,),
    ),
    # Exposure
    Mutant(
        f"{EVALUATION}/exposure.py",
        "right_guesses(best[: nearest.train], best[nearest.train :], seed=pairing)",
        "right_guesses(best[nearest.train :], best[: nearest.train], seed=pairing)",
        "epsilon with the sides exchanged",
        (EXPOSURE,),
    ),
    Mutant(
        f"{EVALUATION}/exposure.py",
        "    if seen.refused:",
        "    if False:",
        "a model that saw everybody is scored",
        (EXPOSURE,),
    ),
    Mutant(
        f"{EVALUATION}/exposure.py",
        "not split.fair",
        "split.fair",
        "fair splits are refused, unfair ones scored",
        (EXPOSURE,),
    ),
    Mutant(
        f"{EVALUATION}/exposure.py",
        "possible.patients is None or ",
        "",
        "too few patients are scored",
        (EXPOSURE,),
    ),
    Mutant(
        f"{EVALUATION}/exposure.py",
        " or (possible.certain or 0) > samples",
        "",
        "too few samples are scored",
        (EXPOSURE,),
    ),
    Mutant(
        f"{EVALUATION}/exposure.py",
        "reason = refusal or _refusal",
        "reason = _refusal",
        "the owner's silence is ignored",
        (EXPOSURE,),
    ),
    Mutant(
        f"{EVALUATION}/exposure.py",
        "(nearest.patient < nearest.train) & (nearest.similarity > level)",
        "(nearest.patient < nearest.train)",
        "growth counts every sample as a copy",
        (EXPOSURE,),
    ),
    Mutant(
        f"{EVALUATION}/exposure.py",
        "_score(result.samples, samples, reason)",
        "_score(result.samples, samples)",
        "the share is given where the headline is refused",
        (EXPOSURE,),
    ),
    Mutant(
        f"{EVALUATION}/exposure.py",
        "len(set(cohort.heldout.dealt)), samples",
        "len(set(cohort.calibration.dealt)), samples",
        "what can be shown forgets test patients",
        (EXPOSURE,),
    ),
    Mutant(
        f"{EVALUATION}/exposure.py",
        "replicates = () if reason else",
        "replicates = () if not nearest.train else",
        "refused models are ranked",
        (EXPOSURE,),
    ),
    Mutant(
        f"{EVALUATION}/exposure.py",
        "value=float(withheld.verbatim.sum())",
        "value=float(withheld.nearest.sum())",
        "all withheld samples are called verbatim",
        (EXPOSURE,),
    ),
    Mutant(
        f"{EVALUATION}/exposure.py",
        "return -1.0 if value is None else value",
        "return 1.0 if value is None else value",
        "no planted copy is found where all samples are spoken of",
        (EXPOSURE,),
    ),
    # The search of samples, real neighbours, planted copies
    Mutant(
        f"{EVALUATION}/synthetic_search.py",
        "offset=bank.train",
        "offset=0",
        "held-out images settled by training rows",
        (f"{PROTOCOL}::test_each_sample_meets_its_nearest_images_and_unit",),
    ),
    Mutant(
        f"{EVALUATION}/synthetic_search.py",
        "dealt = bank.real.dealt",
        "dealt = bank.real.subjects",
        "the competition is of patients, not of units",
        (f"{PROTOCOL}::test_each_sample_meets_its_nearest_images_and_unit",),
    ),
    Mutant(
        f"{EVALUATION}/synthetic_search.py",
        "np.where(unit < size,",
        "np.where(unit >= size,",
        "samples get the similarity of the other side",
        (f"{PROTOCOL}::test_each_sample_meets_its_nearest_images_and_unit",),
    ),
    Mutant(
        f"{EVALUATION}/synthetic_search.py",
        "np.concatenate([train, size + heldout])",
        "np.concatenate([train, heldout])",
        "similarities of held-out units are given to training units",
        (f"{PROTOCOL}::test_each_real_image_and_unit_meets_its_nearest_sample",),
    ),
    Mutant(
        f"{EVALUATION}/real_neighbours.py",
        "units = patient_codes(bank.real.dealt)",
        "units = patient_codes(bank.real.subjects)",
        "verbatim level from patients that share an image",
        (f"{PROTOCOL}::test_the_level_of_verbatim_copies_is_of_real_pairs_of_different_units",),
    ),
    Mutant(
        f"{EVALUATION}/planted_recall.py",
        "(match.similarity > tau) & own",
        "(match.similarity > tau) | own",
        "copies below the threshold are found",
        (PROTOCOL,),
    ),
    Mutant(
        f"{EVALUATION}/planted_recall.py",
        "patient_codes(bank.real.dealt[: bank.train])",
        "patient_codes(bank.real.subjects[: bank.train])",
        "one of two equal images does not count as found",
        (PROTOCOL,),
    ),
    # A run's evaluation, and its release
    Mutant(
        f"{EVALUATION}/run_evaluation.py",
        "heldout = cohort.heldout\n    synthetic =",
        "heldout = cohort.train\n    synthetic =",
        "quality against training images",
        (RUN,),
    ),
    Mutant(
        f"{EVALUATION}/run_evaluation.py",
        "for split in (cohort.train, heldout):",
        "for split in (cohort.train, cohort.test):",
        "loss attack without calibration patients",
        (RUN,),
    ),
    Mutant(
        f"{EVALUATION}/run_evaluation.py",
        "for part in chunks(len(train), ENOUGH):",
        "for part in [slice(0, ENOUGH)]:",
        "MiFID over the first training images",
        (f"{RUN}::test_mifid_searches_all_training_images",),
    ),
    Mutant(
        f"{EVALUATION}/run_evaluation.py",
        "for part in cohort.splits for _",
        "for part in cohort.splits[::-1] for _",
        "members named by the wrong split",
        (RUN,),
    ),
    Mutant(
        f"{EVALUATION}/run_evaluation.py",
        "and detector != own",
        "and detector == own",
        "a paper's rule under its name with another detector",
        (f"{RUN}::test_a_score_is_published_only_with_the_detector_of_its_paper",),
    ),
    Mutant(
        f"{EVALUATION}/release.py",
        "np.flatnonzero(~withheld(",
        "np.flatnonzero(withheld(",
        "the withheld samples are released",
        (RUN,),
    ),
    Mutant(
        f"{EVALUATION}/release.py",
        ".any(axis=1)",
        ".all(axis=1)",
        "released unless every detector withholds",
        (f"{RUN}::test_a_sample_that_any_detector_lists_is_withheld",),
    ),
    Mutant(
        f"{EVALUATION}/release.py",
        "score.value is None",
        "score.value == 0",
        "an unscored set is released",
        (RUN,),
    ),
    # Splits
    Mutant(
        f"{COHORTS}/splits.py",
        "min(_draw(seed, name) for name in unit)",
        "min(_draw(0, name) for name in unit)",
        "the split's seed is ignored",
        (PARTS,),
    ),
    Mutant(
        f"{COHORTS}/splits.py",
        'has been seen too."""\n    train = [unit for unit in ordered if trained & set(unit)]',
        'has been seen too."""\n    train = [unit for unit in ordered if trained >= set(unit)]',
        "a patient who shares an image with a listed one is nowhere counted as seen",
        (PARTS,),
    ),
    Mutant(
        f"{COHORTS}/splits.py",
        "return held[:cut], held[cut:]",
        "return held[cut:], held[:cut]",
        "test for calibration",
        (PARTS, SPLITS),
    ),
    Mutant(
        f"{COHORTS}/assemble.py",
        "used[getattr(plan, part)]",
        "getattr(plan, part)",
        "rows shift where items are excluded",
        (PARTS,),
    ),
    Mutant(
        f"{COHORTS}/assemble.py",
        'units=tuple(own["subject"].map(together))',
        "units=()",
        "units are forgotten",
        (PARTS,),
    ),
    Mutant(
        f"{COHORTS}/assemble.py", 'if split == "images"', 'if split != "images"', "images as patients unasked", (PARTS,)
    ),
    Mutant(
        f"{COHORTS}/assemble.py",
        "items, *(getattr(plan, part).tolist() for part in NAMES))",
        "items)",
        "two splits have one key, and one cache",
        (PARTS,),
    ),
    Mutant(
        f"{COHORTS}/training_list.py",
        'table["item"].isin(items)',
        '~table["item"].isin(items)',
        "everybody but the listed",
        (PARTS,),
    ),
    # Metrics
    Mutant(
        f"{METRICS}/competition.py",
        "max(0, *(point.passed - bound for",
        "max(0, *(point.passed for",
        "chance counts as copies",
        (COMPETITION,),
    ),
    Mutant(
        f"{METRICS}/competition.py",
        "int(point.clusters[bound:].sum())",
        "int(point.clusters[:-bound].sum())",
        "the smallest clusters are left to chance",
        (COMPETITION,),
    ),
    Mutant(
        f"{METRICS}/competition.py",
        "np.lexsort((nearest.priority[met], -best[met]))",
        "np.lexsort((met, -best[met]))",
        "training patients win ties in the order",
        (COMPETITION,),
    ),
    Mutant(
        f"{METRICS}/competition.py",
        "np.where(every == best[:, None], order, np.inf)",
        "np.where(every == best[:, None], np.arange(len(order)), np.inf)",
        "training patients win ties of a sample",
        (COMPETITION,),
    ),
    Mutant(
        f"{METRICS}/competition.py",
        "(ranks < end) & (nearest.similarity >= level)",
        "(ranks <= end) & (nearest.similarity >= level)",
        "the held-out patient at the threshold counts",
        (COMPETITION,),
    ),
    Mutant(
        f"{METRICS}/withhold.py",
        "1 - fraction**2 * (1 - greatest)",
        "1 - fraction * (1 - greatest)",
        "verbatim level too low",
        (WITHHOLD,),
    ),
    Mutant(
        f"{METRICS}/withhold.py",
        "between_patients[between_patients < IDENTICAL]",
        "between_patients",
        "one shared image hides all copies",
        (WITHHOLD,),
    ),
    Mutant(
        f"{METRICS}/withhold.py",
        "np.asarray(self.nearest | self.verbatim)",
        "np.asarray(self.nearest & self.verbatim)",
        "a shorter list",
        (WITHHOLD,),
    ),
    Mutant(
        f"{METRICS}/heldout_seen.py",
        "self.verbatim >= VERBATIM_PATIENTS",
        "self.verbatim > VERBATIM_PATIENTS",
        "two copied held-out patients pass",
        (WITHHOLD, EXPOSURE),
    ),
    Mutant(
        f"{METRICS}/heldout_seen.py",
        "mirror = nearest.swapped()",
        "mirror = nearest",
        "every copying model is refused",
        (EXPOSURE,),
    ),
    Mutant(
        f"{METRICS}/split_test.py",
        "drawn >= observed - ROUNDING",
        "drawn > observed + ROUNDING",
        "ties count for an unfair split",
        ("tests/metrics/test_split_test.py",),
    ),
    Mutant(
        f"{METRICS}/epsilon.py",
        "coins, member > other)",
        "coins, member < other)",
        "guesses the wrong patient",
        ("tests/metrics/test_epsilon.py",),
    ),
    Mutant(
        f"{METRICS}/epsilon.py",
        "-np.abs(member - other)",
        "np.abs(member - other)",
        "the least confident guesses first",
        ("tests/metrics/test_epsilon.py",),
    ),
    Mutant(
        f"{METRICS}/negative_hypergeometric.py",
        "return x * train / (heldout + 1)",
        "return x * train / heldout",
        "chance too large",
        ("tests/metrics/test_negative_hypergeometric.py",),
    ),
    Mutant(
        f"{METRICS}/detectable.py",
        "certain = bounds[0] + 1",
        "certain = bounds[0]",
        "promises more than it can show",
        ("tests/metrics/test_detectable.py",),
    ),
    Mutant(
        f"{METRICS}/accumulation.py",
        "once**2 / (2 * twice)",
        "once**2 / twice",
        "Chao1 without its two",
        ("tests/metrics/test_accumulation.py",),
    ),
    Mutant(
        f"{METRICS}/replicates.py",
        "nearest.priority.astype(np.int64)[patient] // GROUP",
        "np.arange(len(patient)) % 8",
        "weights of samples, not of patients",
        ("tests/metrics/test_replicates.py",),
    ),
    Mutant(
        f"{METRICS}/bootstrap.py",
        "return min(low, least), max(high, most)",
        "return max(low, least), min(high, most)",
        "the narrower interval",
        ("tests/metrics/test_bootstrap.py",),
    ),
    Mutant(
        f"{METRICS}/prompt_pairs.py",
        "value = p - q",
        "value = q - p",
        "memory with the wrong sign",
        ("tests/metrics/test_prompt_pairs.py",),
    ),
    Mutant(
        f"{METRICS}/calibration.py",
        "* patients / (patients + 1)",
        "",
        "tau without the patient at infinity",
        ("tests/metrics/test_calibration.py",),
    ),
    Mutant(
        f"{METRICS}/patient_neighbours.py",
        "own[:, None] == codes[order]",
        "own[:, None] < 0",
        "an image's nearest is of its own patient",
        ("tests/metrics/test_patient_neighbours.py",),
    ),
    Mutant(
        f"{METRICS}/nearest_neighbours.py",
        "(n.equal > n.heldout)",
        "(n.equal < n.heldout)",
        "DCR with the sides exchanged",
        ("tests/metrics/test_nearest_neighbours.py",),
    ),
    # Search
    Mutant(
        f"{SEARCH}/blocks.py",
        "block.max(axis=1) - 2 * compare.error(bank.dimension)",
        "block.max(axis=1)",
        "float32 decides what is nearest",
        (BLOCKS,),
    ),
    Mutant(
        f"{SEARCH}/blocks.py",
        "near[first] + part.start",
        "near[first]",
        "samples of later blocks are misnamed",
        (f"{PROTOCOL}::test_blocks_of_samples_change_nothing",),
    ),
    Mutant(
        f"{SEARCH}/blocks.py",
        "else block[:, order]",
        "else block",
        "patients whose images are not neighbours are mixed",
        (BLOCKS,),
    ),
    Mutant(
        f"{SEARCH}/blocks.py",
        "for view in views[1:]:",
        "for view in views[2:]:",
        "the first view is not compared",
        (BLOCKS,),
    ),
    Mutant(
        f"{SEARCH}/blocks.py",
        "if exact[first] > best.similarity[item]:",
        "if exact[first] >= best.similarity[item]:",
        "of equal samples the last is named",
        (BLOCKS,),
    ),
    Mutant(
        f"{SEARCH}/rows.py",
        "return rows.take(which + start)",
        "return rows.take(which)",
        "rows of another split are read",
        (f"{PROTOCOL}::test_each_part_of_the_bank_reads_its_own_images",),
    ),
    Mutant(
        f"{SEARCH}/shards.py",
        "one.index + part.start, -1",
        "one.index, -1",
        "places count from each shard's start",
        ("tests/evaluation/test_resumable_search.py::test_several_devices_share_a_search",),
    ),
)
