"""my-model keeps the contract of memobench, as `bench check` tests it."""

from pathlib import Path

from benchmark.adapters.check_model import check_model, conforms, sentences

ADAPTER = Path(__file__).with_name("adapter.py")
MODEL = "MyModel"


def test_it_keeps_the_contract() -> None:
    """The checks of `bench check`, on toy images and volumes."""
    findings = check_model(f"{ADAPTER}:{MODEL}", {}, device="cpu")
    assert conforms(findings), "\n".join(sentences(findings))
