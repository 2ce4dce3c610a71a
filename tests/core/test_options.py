"""Options: text from the command line into the fields of a dataclass, or a refusal."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from pydantic import ValidationError

from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.options import Selection, build, suggest, without_paths

ALL = "it has: steps, rate, mixed, widths, scales, channels, mode, seconds, name"
INTEGER = "Input should be a valid integer"


@dataclass
class Thing:
    """Every kind of field that adapters have."""

    steps: int = 1
    rate: float = 0.1
    mixed: bool = False
    widths: tuple[int, ...] = (32,)
    scales: tuple[float, float] = (1.0, 2.0)
    channels: tuple[str, ...] = ()
    mode: Literal["vq", "kl"] = "vq"
    seconds: float | None = None
    name: str = "x"
    made: int = field(init=False, default=7)


def refusal(settings: dict[str, Any], cls: type[Any] = Thing) -> str:
    with pytest.raises(UsageError) as error:
        build(cls, settings, what="thing")
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("steps", "500", 500),
        ("rate", "2e-3", 0.002),
        ("rate", "1", 1.0),
        ("mixed", "true", True),
        ("mixed", "False", False),
        ("mixed", "1", True),
        ("widths", "32,64", (32, 64)),
        ("widths", " 8 , 16 ,", (8, 16)),
        ("widths", "8", (8,)),
        ("widths", "", ()),
        ("scales", "0.5,1", (0.5, 1.0)),
        ("channels", "t1, flair", ("t1", "flair")),
        ("mode", "kl", "kl"),
        ("seconds", "1.5", 1.5),
        ("name", "a,b", "a,b"),
    ],
)
def test_text_becomes_the_field_s_type(name: str, text: str, value: object) -> None:
    found = getattr(build(Thing, {name: text}, what="thing"), name)
    assert found == value
    assert type(found) is type(value)


def test_values_that_are_typed_already_stay() -> None:
    made = build(Thing, {"widths": [8, 16], "mixed": True, "rate": 1, "seconds": None}, what="thing")
    assert (made.widths, made.mixed, made.rate, made.seconds) == ((8, 16), True, 1.0, None)


def test_nothing_given_keeps_the_defaults() -> None:
    assert build(Thing, {}, what="thing") == Thing()


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        ({"step": "3"}, "thing has no option 'step'", f"did you mean 'steps'? {ALL}"),
        ({"zzz": "3"}, "thing has no option 'zzz'", ALL),
        ({"made": "3"}, "thing has no option 'made'", f"did you mean 'mode'? {ALL}"),  # a field, but no option
        (
            {"steps": "many"},
            f"thing: steps='many' does not fit: {INTEGER}, unable to parse string as an integer",
            "steps is of type int",
        ),
        (
            {"steps": 1.5},
            f"thing: steps=1.5 does not fit: {INTEGER}, unable to parse string as an integer",
            "steps is of type int",
        ),
        (
            {"mixed": "perhaps"},
            "thing: mixed='perhaps' does not fit: Input should be a valid boolean, unable to interpret input",
            "mixed is of type bool",
        ),
        (
            {"mode": "gan"},
            "thing: mode='gan' does not fit: Input should be 'vq' or 'kl'",
            "mode is of type typing.Literal['vq', 'kl']",
        ),
        (
            {"widths": "8,x"},
            f"thing: widths='8,x' does not fit: {INTEGER}, unable to parse string as an integer",
            "widths is of type tuple[int, ...]",
        ),
    ],
)
def test_refusals(settings: dict[str, Any], message: str, hint: str) -> None:
    assert refusal(settings) == f"{message}\n  hint: {hint}"


def test_a_tuple_of_fixed_length_is_checked() -> None:
    assert refusal({"scales": "1"}).startswith("thing: scales='1' does not fit: ")


def test_no_options_at_all() -> None:
    @dataclass
    class Bare:
        pass

    assert refusal({"steps": "1"}, Bare) == "thing has no option 'steps'\n  hint: it has: none"


def test_a_class_that_is_no_dataclass() -> None:
    class Plain:
        steps = 1

    with pytest.raises(AdapterError) as error:
        build(Plain, {}, what="plain")
    assert str(error.value) == (
        "plain is not a dataclass\n  hint: decorate the class with @dataclass: its fields are its options"
    )


def test_a_refusal_of_the_class_itself_passes_through() -> None:
    @dataclass
    class Strict:
        share: float = 0.5

        def __post_init__(self) -> None:
            if self.share > 1:
                raise UsageError("share is above 1", "give less")

    with pytest.raises(UsageError, match="share is above 1"):
        build(Strict, {"share": "2"}, what="strict")


def test_suggestions() -> None:
    assert suggest("copycta", ["ldm", "copycat"]) == "did you mean 'copycat'? "
    assert suggest("zzz", ["ldm", "copycat"]) == ""
    assert suggest("ldm", []) == ""


def test_an_option_without_default_is_asked_for() -> None:
    @dataclass
    class Needy:
        root: str

    with pytest.raises(UsageError, match="root"):
        build(Needy, {}, what="needy")


def test_a_tuple_that_may_be_missing() -> None:
    @dataclass
    class Loose:
        widths: tuple[int, ...] | None = None

    assert build(Loose, {"widths": "8,16"}, what="loose").widths == (8, 16)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_numbers_are_finite(text: str) -> None:
    assert refusal({"rate": text}) == (
        f"thing: rate={text!r} does not fit: Input should be a finite number\n  hint: rate is of type float"
    )


# Both dialects


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("mixed", "true", True),
        ("mixed", "0", 0),
        ("steps", "500", 500),
        ("rate", "0.1", 0.1),
        ("rate", "1", 1),
        ("rate", "2e-3", 0.002),
        ("widths", "32,64", [32, 64]),
        ("widths", "8", 8),
        ("scales", "0.5,1", [0.5, 1]),
        ("channels", "t1,flair", ["t1", "flair"]),
        ("seconds", "1.5", 1.5),
        ("name", "7", 7),
        ("name", "false", False),
    ],
)
def test_a_file_and_a_command_line_mean_the_same(name: str, text: str, value: object) -> None:
    written, typed = (build(Thing, {name: given}, what="thing") for given in (text, value))
    assert written == typed
    assert type(getattr(written, name)) is type(getattr(typed, name))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("steps", "true", True), ("rate", "false", False), ("mixed", "0.5", 0.5), ("widths", "true", [True])],
)
def test_a_file_and_a_command_line_are_refused_alike(name: str, text: str, value: object) -> None:
    written, typed = refusal({name: text}), refusal({name: value})
    assert written.replace(repr(text), "...") == typed.replace(repr(value), "...")


def test_a_list_of_texts_keeps_its_commas() -> None:
    assert build(Thing, {"channels": ["a,b", "c"]}, what="thing").channels == ("a,b", "c")


# Selections


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("pixels", "pixels", {}),
        ("pixels:foreground=true:residual=true", "pixels", {"foreground": "true", "residual": "true"}),
        ("./file.py:Class:size=32", "./file.py:Class", {"size": "32"}),
        ("./file.py:Class", "./file.py:Class", {}),
        ("copy:batch-size=8", "copy", {"batch_size": "8"}),
        ("frozen:source=a=b.pt", "frozen", {"source": "a=b.pt"}),
        ("copy:note=", "copy", {"note": ""}),
    ],
)
def test_a_selection_from_text_and_back(text: str, name: str, options: dict[str, str]) -> None:
    selection = Selection.parse(text)
    assert (selection.name, selection.options) == (name, options)
    assert Selection.parse(selection.text) == Selection.model_validate(text) == selection


def test_values_of_a_file_have_the_text_of_the_command_line() -> None:
    selection = Selection(name="copy", options={"rotate-90": True, "learning_rate": 0.002, "blocks": [1, 2]})
    assert selection.text == "copy:blocks=1,2:learning_rate=0.002:rotate_90=true"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "pixels:residual",
            "detector pixels:residual is not NAME:option=value\n  hint: write for example pixels:foreground=true",
        ),
        ("a:=1", "detector a:=1 is not NAME:option=value\n  hint: write for example pixels:foreground=true"),
        ("a:b-c=1:b_c=2", "detector a:b-c=1:b_c=2 has the option b_c twice\n  hint: give it once"),
    ],
)
def test_texts_that_are_no_selection(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        Selection.parse(text, what="detector")
    assert str(error.value) == message


def test_a_selection_has_no_other_keys() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Selection.model_validate({"name": "pixels", "foreground": True})


def test_a_public_file_keeps_no_path_and_no_name_of_a_table() -> None:
    given = {
        "a": "/x/y",
        "b": "C:\\x",
        "c": "Mueller.CSV",
        "d": "ids.tsv.gz",
        "e": ".png",
        "f": ".csv",
        "g": 0.5,
        "h": "lung",
    }
    kept = dict.fromkeys("abcd", "(path)") | {"e": ".png", "f": ".csv", "g": 0.5, "h": "lung"}
    assert without_paths(given) == kept
