"""Captions as tokens: a WordPiece tokenizer learnt from them, which keeps a de-identification mark as one word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchmark.text2image.marks import MARKER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
PAD, UNKNOWN, BEGIN, END = range(len(SPECIAL))
COMMON = 3
"""Different captions that a piece of the vocabulary must stand in: what fewer share may be a name."""
CLASSES = 50
"""So few different captions are names of classes, whose words need not be shared."""
HIDDEN = re.compile(r"\[\*\*.*?\*\*\]")
"""A mark with what older notes hide still described in it."""


def train_tokenizer(captions: Sequence[str], *, vocabulary: int, length: int) -> Any:
    """Return a lower-casing WordPiece tokenizer (Wu et al. 2016) of these captions, for `length` tokens a prompt.

    The same captions give the same tokenizer. Of 50 different captions or more, only what three of them share becomes a
    piece of the vocabulary, and nothing within `[** **]` counts; rarer words are spelt from shorter pieces.
    """
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    words = _splitting(_learnt_pieces(captions, vocabulary))
    begin, end = SPECIAL[BEGIN], SPECIAL[END]
    words.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, BEGIN), (end, END)]
    )
    named = ("pad_token", "unk_token", "bos_token", "eos_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=words, model_max_length=length, **dict(zip(named, SPECIAL, strict=True))
    )


def _learnt_pieces(captions: Sequence[str], vocabulary: int) -> dict[str, int]:
    """Return pieces of words and their numbers.

    The library numbers pieces that continue a word in the order of a hash table, which decides between pairs that are
    equally frequent: another vocabulary in each process. Named beforehand, they have fixed numbers.
    """
    from tokenizers import trainers

    texts = sorted(set(captions))
    letters = sorted({letter for text in texts for letter in text.lower() if not letter.isspace()})
    words = _splitting({})
    once = [" ".join(_different_words(words, text)) for text in texts]
    fixed = [*SPECIAL, *(f"##{letter}" for letter in letters)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(vocabulary, len(fixed) + len(letters)), special_tokens=fixed, initial_alphabet=letters,
        min_frequency=COMMON if len(texts) >= CLASSES else 1, show_progress=False,
    )  # fmt: skip
    words.train_from_iterator(once, trainer)
    found: dict[str, int] = words.get_vocab()
    return found


def _different_words(words: Any, text: str) -> list[str]:
    """Return each word of a text once, so that the trainer counts texts; of `[** **]` the brackets alone."""
    normal = words.normalizer.normalize_str(HIDDEN.sub("[** **]", text))
    return sorted({word for word, _ in words.pre_tokenizer.pre_tokenize_str(normal)})


def _splitting(pieces: dict[str, int]) -> Any:
    """Return a tokenizer of these pieces that lower-cases, and splits at spaces, marks and punctuation."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    words = Tokenizer(models.WordPiece(pieces, unk_token=SPECIAL[UNKNOWN]))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(MARKER.replace("XXXX", "xxxx")), "isolated"),
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(r"[.,;:()/]"), "isolated"),
        ]
    )
    return words


def tokenized(tokenizer: Any, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return tokens and attention mask of prompts, (N, length) int64 each; long ones are cut, the others filled up."""
    given = tokenizer(
        list(prompts),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    return given.input_ids, given.attention_mask


class Pairs:
    """Latents with the tokens of their captions; a caption may have alternatives, of which the loss draws one."""

    read_ahead = False

    def __init__(self, latents: Tensor, alternatives: Sequence[Sequence[str]], tokenizer: Any) -> None:
        """Take (N, C, *spatial) latents, and one or more captions of each."""
        most = max(map(len, alternatives))
        flat = [texts[number % len(texts)] for texts in alternatives for number in range(most)]
        self.latents = latents
        self.tokens = tokenized(tokenizer, flat)[0].view(len(alternatives), most, -1).to(latents.device)
        self.counts = torch.tensor([len(texts) for texts in alternatives], device=latents.device)

    def __len__(self) -> int:
        return len(self.latents)

    def take(self, positions: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Return latents (n, ...), tokens of all alternatives (n, most, length), and how many there are (n,)."""
        index = torch.from_numpy(positions).to(self.latents.device)
        return self.latents[index], self.tokens[index], self.counts[index]
