"""A WordPiece tokenizer trained on captions, which keeps a de-identification marker as one token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchmark.text2image.markers import MARKER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
PAD, UNKNOWN, BEGIN, END = range(len(SPECIAL))
MIN_CAPTIONS = 3
"""Number of different captions in which a word piece must occur to enter the vocabulary: a rarer one may be a name."""
FEW_CAPTIONS = 50
"""With fewer different captions these are names of classes, whose words need not be shared."""
DESCRIBED_MARKER = re.compile(r"\[\*\*.*?\*\*\]")
"""A marker of older notes, which describes what it replaces, such as [**Known lastname 123**]."""


def train_tokenizer(captions: Sequence[str], *, vocabulary: int, length: int) -> Any:
    """Return a lower-casing WordPiece tokenizer (Wu et al. 2016) of these captions, with `length` tokens per prompt.

    The same captions give the same tokenizer. With 50 or more different captions, only word pieces that occur in at
    least three of them enter the vocabulary, and nothing within `[** **]` does; rarer words are spelled with shorter
    pieces.
    """
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = _splitting(_learnt_pieces(captions, vocabulary))
    begin, end = SPECIAL[BEGIN], SPECIAL[END]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, BEGIN), (end, END)]
    )
    named = ("pad_token", "unk_token", "bos_token", "eos_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=length, **dict(zip(named, SPECIAL, strict=True))
    )


def _learnt_pieces(captions: Sequence[str], vocabulary: int) -> dict[str, int]:
    """Return the vocabulary: word pieces and their indices.

    The library numbers pieces that continue a word (`##a`) in the order of a hash table, which differs between
    processes and decides between equally frequent pairs. As special tokens they get fixed indices: the vocabulary is
    then the same in every process.
    """
    from tokenizers import trainers

    texts = sorted(set(captions))
    letters = sorted({letter for text in texts for letter in text.lower() if not letter.isspace()})
    tokenizer = _splitting({})
    once = [" ".join(_different_words(tokenizer, text)) for text in texts]
    fixed = [*SPECIAL, *(f"##{letter}" for letter in letters)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=max(vocabulary, len(fixed) + len(letters)), special_tokens=fixed, initial_alphabet=letters,
        min_frequency=MIN_CAPTIONS if len(texts) >= FEW_CAPTIONS else 1, show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(once, trainer)
    vocabulary_learnt: dict[str, int] = tokenizer.get_vocab()
    return vocabulary_learnt


def _different_words(tokenizer: Any, text: str) -> list[str]:
    """Return each word of a text once, so that the trainer counts captions; of `[** **]` only the brackets."""
    normal = tokenizer.normalizer.normalize_str(DESCRIBED_MARKER.sub("[** **]", text))
    return sorted({word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)})


def _splitting(pieces: dict[str, int]) -> Any:
    """Return a tokenizer with this vocabulary that lower-cases, and splits at spaces, markers and punctuation."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(MARKER.replace("XXXX", "xxxx")), "isolated"),
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(r"[.,;:()/]"), "isolated"),
        ]
    )
    return tokenizer


def tokenized(tokenizer: Any, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return tokens and attention mask of N prompts, (N, length) int64 each; long ones are cut, others are padded."""
    encoded = tokenizer(
        list(prompts),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    return encoded.input_ids, encoded.attention_mask


class CaptionedLatents:
    """A feed of latents and tokens of their captions; of a caption with alternatives, the loss draws one."""

    read_ahead = False

    def __init__(self, latents: Tensor, alternatives: Sequence[Sequence[str]], tokenizer: Any) -> None:
        """Take latents (N, C, *spatial), and for each of them one or more captions."""
        # Shorter lists are filled by repetition to fit into one tensor; the loss draws from the first `counts` only.
        most = max(map(len, alternatives))
        flat = [texts[number % len(texts)] for texts in alternatives for number in range(most)]
        self.latents = latents
        self.tokens = tokenized(tokenizer, flat)[0].view(len(alternatives), most, -1).to(latents.device)
        self.counts = torch.tensor([len(texts) for texts in alternatives], device=latents.device)

    def __len__(self) -> int:
        return len(self.latents)

    def take(self, positions: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Return latents (n, C, *spatial), tokens of all alternatives (n, most, length), and their numbers (n,)."""
        index = torch.from_numpy(positions).to(self.latents.device)
        return self.latents[index], self.tokens[index], self.counts[index]
