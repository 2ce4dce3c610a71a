"""Exports to other registries: what they hold, what is no number in them, and that the other side reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from made_records import declined, entry, made

from benchmark.core.errors import UsageError
from benchmark.records.record import Record
from benchmark.site.exports import export_text

NOISE = "90 % of the samples are unlike the training images"


def noise() -> Record:
    """A record with a headline of 0 that does not answer the question."""
    record = made("noise")
    record.scores["samples.unlike"] = entry(0.9, reason=NOISE)
    return record


UNANSWERED: dict[str, tuple[Callable[[], list[Record]], str]] = {
    "refused": (lambda: [made("vae", None)], "refused: the split is not fair"),
    "one seed refused": (
        lambda: [made("vae", 0.0), made("vae", None, seed=1)], "refused: the split is not fair (seed 1)",
    ),
    "declined": (lambda: [declined()], "declined: no checkout"),
    "retracted": (lambda: [made("vae").retracted("trained on test patients")], "retracted: trained on test patients"),
    "lost": (lambda: [lost()], "not in the record"),
    "noise": (lambda: [noise()], f"cannot tell: {NOISE}; "),
}  # fmt: skip


def lost() -> Record:
    record = made("vae")
    for name in ("exposed.items[copy]", "exposed.patients[copy]"):
        del record.scores[name]
    return record


def metrics(*records: Record) -> dict[str, dict[str, Any]]:
    """The metrics of a model card by type and detector, as the Hub's client reads them."""
    from huggingface_hub import ModelCard

    card = ModelCard(f"---\n{export_text(records, 'huggingface')}---\n# A model\n")
    assert card.data.eval_results is not None
    return {
        f"{one.metric_type}[{one.metric_args['detector']}]": {"value": one.metric_value, **vars(one)}
        for one in card.data.eval_results
    }


def values(*records: Record) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(export_text(records, "every-eval-ever"))
    return result


def results(*records: Record) -> dict[str, dict[str, Any]]:
    return {_name(one["metric_config"]): one for one in values(*records)["evaluation_results"]}


def _name(metric: dict[str, Any]) -> str:
    return f"{metric['metric_id']}[{metric.get('metric_parameters', {}).get('detector', '')}]"


# Model card


def test_a_model_card_has_the_headline_with_all_that_it_belongs_to() -> None:
    card = metrics(made("ldm", 0.1, seed=0), made("ldm", 0.1, seed=1))
    assert set(card) == {f"exposed.{name}[{by}]" for name in ("items", "patients") for by in ("copy", "pixels")}
    one = card["exposed.items[copy]"]
    assert one["value"] == pytest.approx(0.1)
    assert (one["dataset_type"], one["dataset_config"]) == ("cxr-pneumonia", "p2, cohort 0123456789abcdef")
    given = one["metric_args"]
    assert (given["low"], given["high"]) == (pytest.approx(0.07), pytest.approx(0.12))
    assert one["dataset_args"]["cohort"] == "0123456789abcdef"
    assert one["dataset_args"]["protocol"] == "p2"
    told = {"confidence": 0.95, "n": 400, "better": "lower", "detector": "copy", "seeds": "0, 1"}
    told |= {"memobench": "0.1.0", "commit": "1f3f44305933aa", "could_show": "1.5 %"}
    assert {name: given[name] for name in told} == told
    assert given["answer"] == "copies shown"
    assert given["sentence"]


def test_a_model_card_that_was_read_and_written_is_the_same() -> None:
    from huggingface_hub import ModelCard

    text = export_text([made("ldm", 0.1)], "huggingface")
    card = ModelCard(f"---\n{text}---\n")
    assert yaml.safe_load(card.data.to_yaml()) == yaml.safe_load(text)


def test_two_cohorts_in_one_card_stay_apart() -> None:
    from huggingface_hub import ModelCardData
    from huggingface_hub.repocard_data import model_index_to_eval_results

    texts = [
        export_text([made("ldm", share, cohort={"key": key})], "huggingface")
        for share, key in ((0.1, "a1"), (0.2, "b2"))
    ]
    every = [one for text in texts for one in model_index_to_eval_results(yaml.safe_load(text)["model-index"])[1]]
    joined = yaml.safe_load(ModelCardData(model_name="ldm", eval_results=every).to_yaml())
    assert [part["dataset"]["config"] for part in joined["model-index"][0]["results"]] == [
        "p2, cohort a1",
        "p2, cohort b2",
    ]


@pytest.mark.parametrize("name", UNANSWERED)
def test_no_number_leaves_where_the_row_does_not_answer(name: str) -> None:
    make, words = UNANSWERED[name]
    one = metrics(*make())["exposed.items[copy]"]
    assert isinstance(one["value"], str)
    assert one["value"].startswith(words)
    assert not {"low", "high"} & one["metric_args"].keys()
    given = values(*make())
    missing = {name: text for name, text in given["source_metadata"]["additional_details"].items() if "missing" in name}
    assert missing["missing exposed.items[copy]"].startswith(words)
    assert "memobench.exposed.items[copy]" not in results(*make())
    assert results(*make())["memobench.answer[]"]["score_details"]["score"] == -1


# every_eval_ever


def test_every_eval_ever_has_the_headline_with_all_that_it_belongs_to() -> None:
    one = results(made("ldm", 0.1))["memobench.exposed.items[copy]"]
    assert one["score_details"]["score"] == pytest.approx(0.1)
    assert one["score_details"]["uncertainty"] == {
        "num_samples": 400,
        "confidence_interval": {
            "lower": pytest.approx(0.07), "upper": pytest.approx(0.12), "confidence_level": 0.95,
            "method": "memobench, protocol p2",
        },
    }  # fmt: skip
    metric = one["metric_config"]
    assert (metric["lower_is_better"], metric["min_score"], metric["max_score"]) == (True, 0.0, 1.0)
    patients = results(made("ldm", 0.1))["memobench.exposed.patients[pixels]"]["metric_config"]
    assert (patients["max_score"], patients["metric_unit"]) == (45.0, "patients")
    assert one["source_data"]["additional_details"]["cohort"] == "0123456789abcdef"
    assert one["evaluation_name"] == "memobench.p2"
    assert values(made("ldm", 0.1))["eval_library"]["version"] == "0.1.0"


@pytest.mark.parametrize(("share", "level"), [(0.0, 0), (0.3, 1), (None, -1)])
def test_the_answer_is_a_level(share: float | None, level: int) -> None:
    answer = results(made("ldm", share))["memobench.answer[]"]
    assert answer["score_details"]["score"] == level
    assert answer["metric_config"]["has_unknown_level"] is True
    assert answer["metric_config"]["level_names"] == ["none shown", "copies shown"]


def test_details_are_text_and_keys_are_those_of_the_schema() -> None:
    """As its version 0.3.0 requires: field names and types, without its text."""
    given = values(made("ldm", 0.1, spec={"settings": {"widths": [32, 64], "path": "/home/anna/x.csv"}}))
    assert set(given) == {
        "schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "eval_library", "model_info",
        "evaluation_results",
    }  # fmt: skip
    assert given["retrieved_timestamp"].isdigit()
    assert "anna" not in json.dumps(given)
    assert given["model_info"]["additional_details"]["set trained on"] == "here"

    def details(value: Any, name: str = "") -> None:
        if name in ("details", "additional_details"):
            assert all(isinstance(text, str) for text in value.values())
        for inner_name, inner in value.items() if isinstance(value, dict) else ():
            details(inner, inner_name)
        for inner in value if isinstance(value, list) else ():
            details(inner)

    details(given)
    for one in given["evaluation_results"]:
        assert set(one) == {"evaluation_name", "source_data", "metric_config", "score_details"}
        assert {"lower_is_better", "score_type"} <= set(one["metric_config"])


# Both


@pytest.mark.parametrize("style", ["huggingface", "every-eval-ever"])
def test_names_with_markup_stay_one_text(style: str) -> None:
    hostile = 'x: {y}\n- "#\x1b[31m'
    record = made(hostile, 0.1, spec={"preset": hostile}, environment={"memobench": hostile}, checked=False)
    text = export_text([record], style)
    assert "\x1b" not in text
    read = yaml.safe_load(text)
    if style == "huggingface":
        assert read["model-index"][0]["name"] == f"{hostile}, {hostile}"
    else:
        assert read["model_info"]["name"] == f"{hostile}, {hostile}"
        assert read["model_info"]["id"] == "memobench/x-y---31m"


def test_records_of_several_rows_are_refused() -> None:
    with pytest.raises(UsageError) as error:
        export_text([made("ldm"), made("vae")], "huggingface")
    assert str(error.value) == (
        "these records are of 2 rows: ldm, smoke on cxr-pneumonia; vae, smoke on cxr-pneumonia\n"
        "  hint: export each row by a command of its own"
    )


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        export_text([made("ldm")], "yaml")
    assert str(error.value) == "there is no format 'yaml' for an export\n  hint: choose huggingface or every-eval-ever"
