"""Load pipelines of Hugging Face's diffusers without running code from their files, and without logging prompts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.core.devices import pick_device
from benchmark.core.errors import AdapterError, UsageError
from benchmark.text2image.noise import unsupported_noise


def load_pipeline(path: str, device: str, *, revision: str = "", **parts: Any) -> Any:
    """Load a pipeline from a folder, offline, or from a hub id at a commit; safetensors weights only.

    Args:
        path: what `save_pretrained` wrote, or a hub id.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        revision: commit of a hub id.
        parts: passed to `from_pretrained`, such as safety_checker=None.

    Raises AdapterError where diffusers cannot load it.
    """
    silence_library_logs()
    from diffusers import DiffusionPipeline

    hint = "give a folder with model_index.json and .safetensors weights, as save_pretrained writes it"
    with _loadable(f"{path} is not a pipeline", hint):
        pipeline = DiffusionPipeline.from_pretrained(
            path, revision=revision or None, local_files_only=Path(path).is_dir(), use_safetensors=True, **parts
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(pick_device(device))


def unsupported_reason(pipeline: Any) -> str:
    """Return why a pipeline cannot be scored like Stable Diffusion, to follow "it is one which"; empty if it can."""
    missing = [
        part for part in ("tokenizer", "text_encoder", "unet", "vae", "scheduler") if not hasattr(pipeline, part)
    ]
    if missing:
        return f"has no {' and no '.join(missing)}"
    if getattr(pipeline, "text_encoder_2", None) is not None:
        return "has two text encoders"
    unet_channels, latent_channels = pipeline.unet.config["in_channels"], pipeline.vae.config.get("latent_channels")
    if unet_channels != latent_channels:
        return f"has a unet of {unet_channels} channels and latents of {latent_channels}"
    if pipeline.unet.config.get("addition_embed_type") is not None:
        return "conditions its unet on more than the text"
    if pipeline.unet.config.get("time_cond_proj_dim") is not None:
        return "takes the scale of the guidance as an input, as distilled models do"
    if pipeline.unet.config.get("out_channels", unet_channels) != unet_channels:
        return "predicts more than one number per number of a latent"
    return unsupported_noise(pipeline.scheduler)


def load_radedit(path: str, revision: str, vae: str, text_encoder: str, device: str, *, trust: bool) -> Any:
    """Assemble RadEdit's StableDiffusionPipeline from its parts, with the scheduler of its card.

    Args:
        path: folder or hub id that holds `unet`.
        revision: commit of a hub id.
        vae: folder, or ID@COMMIT, of the autoencoder (stabilityai/sdxl-vae).
        text_encoder: folder, or ID@COMMIT, of the text encoder (microsoft/BiomedVLP-BioViL-T).
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        trust: whether Python code that comes with the text encoder may run.

    Raises UsageError where a part has no place, AdapterError where one cannot be loaded.
    """
    for name, part in (("vae", vae), ("text_encoder", text_encoder)):
        if (not Path(part).is_dir() and "@" not in part) or not part:
            raise UsageError(
                f"the preset radedit needs its {name} from another place, and {part!r} is not one",
                f"give --set {name}=FOLDER or --set {name}=ID@COMMIT: docs/models.md shows the whole command",
            )
    silence_library_logs()
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import AutoModel, AutoTokenizer

    place = {"revision": revision or None, "local_files_only": Path(path).is_dir()}
    with _loadable(
        f"{path}, {vae} and {text_encoder} are not parts of RadEdit",
        "log in to the hub, or give folders of all three",
    ):
        unet = UNet2DConditionModel.from_pretrained(path, subfolder="unet", use_safetensors=True, **place)
        autoencoder = AutoencoderKL.from_pretrained(**_location(vae), use_safetensors=True)
        encoder = AutoModel.from_pretrained(**_location(text_encoder), trust_remote_code=trust)
        tokenizer = AutoTokenizer.from_pretrained(
            **_location(text_encoder), model_max_length=128, trust_remote_code=trust
        )
        scheduler = DDIMScheduler(
            beta_schedule="linear", clip_sample=False, prediction_type="epsilon", timestep_spacing="trailing",
            steps_offset=1,
        )  # fmt: skip
        pipeline = StableDiffusionPipeline(
            vae=autoencoder, text_encoder=encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler,
            safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(pick_device(device))


def _location(part: str) -> dict[str, Any]:
    if Path(part).is_dir():
        return {"pretrained_model_name_or_path": part, "local_files_only": True}
    name, _, commit = part.partition("@")
    return {"pretrained_model_name_or_path": name, "revision": commit}


@contextmanager
def _loadable(what: str, hint: str) -> Iterator[None]:
    """Convert errors while parts are loaded into an AdapterError that names them."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise AdapterError(f"{what} that diffusers can load: {why}", hint) from error


def silence_library_logs() -> None:
    """Switch warnings and progress bars of both libraries off: their warnings quote prompts, which are private."""
    from diffusers.utils import logging as diffusers_logging

    loggers: list[Any] = [diffusers_logging]
    try:
        from transformers.utils import logging as transformers_logging
    except ImportError:
        pass  # unconditional pipelines do not need it
    else:
        loggers.append(transformers_logging)
    for logging in loggers:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
