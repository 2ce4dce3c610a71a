"""Text-conditioned latent diffusion, saved as a folder that StableDiffusionPipeline.from_pretrained opens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmark.adapters.network import PRECISIONS, check_choices, data_key, in_range, training_config
from benchmark.adapters.weights import usable
from benchmark.cohorts.captions import captions_of
from benchmark.core.devices import pick_device
from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.files import content_key, read_json, write_json
from benchmark.core.seeding import seed_all
from benchmark.core.types import Budget, Split, chunks
from benchmark.text2image.guided import decode, sample_latents
from benchmark.text2image.pipelines import load_pipeline, silence_library_logs
from benchmark.text2image.tokenizer import CaptionedLatents, tokenized, train_tokenizer
from benchmark.text2image.unet import TextDenoiser, build_encoder, build_unet, build_vae, latents_of, vae_loss
from benchmark.training.batches import feed_split, in_order
from benchmark.training.loop import train as train_network

from .captioning import Captioning

if TYPE_CHECKING:
    from benchmark.core.types import Images

DESCRIPTION = "memobench.json"
VAE_SHARE = 0.3
"""Share of the seconds in the budget."""


@dataclass
class TextDiffusion:
    """An autoencoder, and a diffusion model of its latents, conditioned on captions."""

    vae_widths: tuple[int, ...] = (16, 32, 32)
    """Channels of the autoencoder's levels; each after the first halves the image."""
    latent_channels: int = 4
    vae_steps: int = 600
    vae_batch: int = 16
    vae_rate: float = 2e-3
    widths: tuple[int, ...] = (32, 64)
    """Channels of the U-Net's levels."""
    head_channels: int = 16
    text_width: int = 64
    """Width of the text encoder's embeddings."""
    text_layers: int = 1
    length: int = 48
    """Tokens of a prompt; longer ones are cut."""
    vocabulary: int = 1024
    """Largest number of word pieces in the vocabulary, which is learnt from the captions."""
    noise_schedule: str = "squaredcos_cap_v2"
    steps: int = 2000
    batch_size: int = 16
    learning_rate: float = 2e-3
    ema: float = 0.99
    precision: str = "auto"
    """`auto` (bf16 on CUDA), `fp32` or `bf16`."""
    caption_dropout: float = 0.1
    """Share of captions replaced by the empty one in training, for classifier-free guidance."""
    embedding_noise: float = 0.0
    """Mitigation: standard deviation of Gaussian noise on the caption's embeddings."""
    random_markers: bool = False
    """Mitigation: each de-identification marker is replaced by a random word, a new one in each draw."""
    deduplicate: bool = False
    """Mitigation: train on each image once, however often it is repeated."""
    variants: str = ""
    """Mitigation: CSV with columns caption and variant; each draw takes the caption or one of its variants."""
    recaptions: str = ""
    """Mitigation: CSV with columns caption and variant; variants replace the caption."""
    sampling_guidance: float = 4.0
    sampling_steps: int = 25
    sampling_batch: int = 50

    def __post_init__(self) -> None:
        check_choices(
            "ldm-text", self, {"precision": PRECISIONS, "noise_schedule": ("squaredcos_cap_v2", "scaled_linear")}
        )
        if not 0 <= self.caption_dropout < 1:
            raise UsageError(f"caption_dropout is {self.caption_dropout:g}", "give a share from 0 up to 1, such as 0.1")
        if self.embedding_noise < 0:
            raise UsageError(f"embedding_noise is {self.embedding_noise:g}", "give 0 or more, such as 0.1")
        self._pipeline: Any = None
        self._shape: tuple[int, ...] = ()

    @property
    def prompted(self) -> bool:
        """Always true: it takes prompts."""
        return True

    @property
    def pipeline(self) -> Any:
        """The trained StableDiffusionPipeline. Raises AdapterError before `fit` or `load`."""
        if self._pipeline is None:
            raise AdapterError("this ldm-text has not been trained", "call fit or load first")
        return self._pipeline

    def fit(self, train: Split, *, folder: Path, budget: Budget, seed: int, device: str) -> None:
        """Train the autoencoder, then U-Net and text encoder together; both stages resume exactly from folder."""
        if not len(train):
            raise UsageError("there are no items to train on", "give a training split that is not empty")
        self._require_size(train.shape)
        captioning = Captioning(self.random_markers, self.variants, self.recaptions)
        split = deduplicated(train) if self.deduplicate else train
        texts = captioning.alternatives(captions_of(split), seed)
        seed_all(seed)
        place = pick_device(device)
        data = {"vae": data_key(split), "diffusion": content_key(data_key(split), texts)}

        def stage(name: str, share: float) -> dict[str, Any]:
            seconds = None if budget.seconds is None else share * budget.seconds
            where = {"folder": folder / name, "label": name, "budget": Budget(seconds), "seed": seed, "device": device}
            return {**where, "options": {"data": data[name], **self._options(name)}}

        side = train.shape[1]
        vae = build_vae(
            channels=train.shape[0], side=side, widths=self.vae_widths, latent_channels=self.latent_channels
        )
        feed = feed_split(split, place)
        config = training_config(
            self, steps=self.vae_steps, batch_size=self.vae_batch, learning_rate=self.vae_rate, ema=0
        )
        vae = train_network(vae, vae_loss, feed, config, **stage("vae", VAE_SHARE))
        latents = latents_of(vae, in_order(feed, self.sampling_batch))
        # To unit variance, which the noise schedule assumes (Rombach et al. 2022, G); pipelines apply it themselves.
        vae.register_to_config(scaling_factor=float(1 / latents.std()))
        tokenizer = train_tokenizer(
            one_text_each(captions_of(split), texts), vocabulary=self.vocabulary, length=self.length
        )
        seed_all(seed, 1)
        net = self._denoiser(tokenizer, tuple(latents.shape[1:]))
        captioned = CaptionedLatents(latents * vae.config.scaling_factor, texts, tokenizer)
        config = training_config(self)
        net = train_network(
            net, lambda net, batch: net.loss(batch), captioned, config, **stage("diffusion", 1 - VAE_SHARE)
        )
        self._pipeline, self._shape = self._assemble(vae, net, tokenizer).to(place), train.shape

    def sample(self, count: int, *, seed: int, prompts: Sequence[str] | None = None) -> Iterator[Images]:
        """Yield count images in batches (n, C, H, W): one for each of `count` prompts, or without prompts."""
        pipeline = self.pipeline
        for part in chunks(count, self.sampling_batch):
            latents = sample_latents(
                pipeline, None if prompts is None else prompts[part], seed=seed, numbers=range(part.start, part.stop),
                steps=self.sampling_steps, guidance=self.sampling_guidance,
            )  # fmt: skip
            yield in_range(decode(pipeline, latents)).cpu().numpy()

    def save(self, folder: Path) -> None:
        """Write the pipeline as `save_pretrained` does, and this adapter's hyper-parameters in a file next to it."""
        self.pipeline.save_pretrained(folder)
        given = asdict(self) | {name: "(path)" for name in ("variants", "recaptions") if getattr(self, name)}
        write_json(folder / DESCRIPTION, {"hyperparameters": given, "shape": list(self._shape)})

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        """Restore what `save` wrote. Raises AdapterError that names what cannot be used."""
        with usable(folder / DESCRIPTION) as path:
            saved = read_json(path)
            values = saved["hyperparameters"]
            given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
            adapter = cls(**given)
            adapter._shape = tuple(saved["shape"])
        adapter._pipeline = load_pipeline(str(folder), device, safety_checker=None, requires_safety_checker=False)
        return adapter

    def _require_size(self, shape: tuple[int, ...]) -> None:
        multiple = 2 ** (len(self.vae_widths) + len(self.widths) - 2)
        if len(shape) != 3:
            raise UsageError(f"ldm-text takes images, the cohort's items are {shape}", "choose slices or radiographs")
        if shape[1] != shape[2] or shape[1] % multiple:
            raise UsageError(
                f"ldm-text takes square images whose side is a multiple of {multiple}, the cohort's items are {shape}",
                f"give --image-size {max(1, round(shape[1] / multiple)) * multiple}",
            )

    def _denoiser(self, tokenizer: Any, latent: tuple[int, ...]) -> TextDenoiser:
        unet = build_unet(
            channels=latent[0], side=latent[1], widths=self.widths, text_width=self.text_width, head=self.head_channels
        )
        encoder = build_encoder(
            vocabulary=len(tokenizer), length=self.length, width=self.text_width, layers=self.text_layers
        )
        from diffusers import DDPMScheduler

        scheduler = DDPMScheduler(**self._noise_schedule())
        empty = tokenized(tokenizer, [""])[0][0]
        return TextDenoiser(unet, encoder, scheduler, empty, dropout=self.caption_dropout, noise=self.embedding_noise)

    def _noise_schedule(self) -> dict[str, Any]:
        """Return the arguments of the schedulers; the betas of `scaled_linear` are Stable Diffusion's."""
        arguments = {"beta_schedule": self.noise_schedule, "clip_sample": False, "num_train_timesteps": 1000}
        return arguments | (
            {"beta_start": 0.00085, "beta_end": 0.012} if self.noise_schedule == "scaled_linear" else {}
        )

    def _assemble(self, vae: Any, net: TextDenoiser, tokenizer: Any) -> Any:
        silence_library_logs()
        from diffusers import DDIMScheduler, StableDiffusionPipeline

        pipeline = StableDiffusionPipeline(
            vae=vae, text_encoder=net.encoder, tokenizer=tokenizer, unet=net.unet,
            scheduler=DDIMScheduler(**self._noise_schedule(), steps_offset=1), safety_checker=None,
            feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def _options(self, stage: str) -> dict[str, object]:
        """Return the hyper-parameters that decide the weights of a stage."""
        given = {name: value for name, value in asdict(self).items() if not name.startswith("sampl")}
        if stage == "vae":
            return {name: value for name, value in given.items() if name.startswith("vae") or name == "latent_channels"}
        return given


def one_text_each(captions: Sequence[str], alternatives: Sequence[Sequence[str]]) -> list[str]:
    """Return one text per different caption, of all its alternatives: the tokenizer counts a caption once."""
    by_caption: dict[str, dict[str, None]] = {}
    for caption, texts in zip(captions, alternatives, strict=True):
        by_caption.setdefault(caption, {}).update(dict.fromkeys(texts))
    return [" ".join(texts) for texts in by_caption.values()]


def deduplicated(train: Split) -> Split:
    """Return a split with each stored image once, with the caption of its first occurrence."""
    import numpy as np

    _, first = np.unique(train.rows, return_index=True)
    return train.part(np.sort(first))
