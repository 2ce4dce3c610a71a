"""Load pipelines of Hugging Face's diffusers without running code from their files, and without logging prompts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.core.devices import pick_device
from benchmark.core.errors import AdapterError, UsageError
from benchmark.text2image.folders import PipelineFolder, check_index, find_pipeline
from benchmark.text2image.noise import unsupported_noise


def load_pipeline(path: str, device: str, *, revision: str = "", variant: str = "", **parts: Any) -> Any:
    """Load a pipeline from a folder, offline, or from a hub id at a commit; safetensors weights only, in float32.

    Args:
        path: what `save_pretrained` wrote, a folder above it, or a hub id.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        revision: commit of a hub id.
        variant: of the weights, such as fp16; for a folder, found if empty.
        parts: passed to `from_pretrained`, such as safety_checker=None.

    Raises BenchError that names what is wrong with a folder, AdapterError where diffusers cannot load it.
    """
    silence_library_logs()
    import torch
    from diffusers import DiffusionPipeline

    hint = "give a folder with model_index.json and .safetensors weights, as save_pretrained writes it"
    place: dict[str, Any] = {"variant": variant or None, "revision": revision or None}
    contents = None
    if Path(path).is_dir():
        without = tuple(name for name, part in parts.items() if part is None)
        contents = find_pipeline(Path(path), variant, without=without)
        place = {"variant": contents.variant or None, "local_files_only": True}
    with _loadable(f"{path} is not a pipeline", hint):
        if contents is None:
            check_index(DiffusionPipeline.load_config(path, revision=revision or None), path)
        where = str(contents.path) if contents else path
        pipeline = DiffusionPipeline.from_pretrained(
            where, use_safetensors=True, trust_remote_code=False, custom_pipeline=None, **place, **parts
        )
    if contents is not None:
        require_all_weights(pipeline, contents)
    pipeline.set_progress_bar_config(disable=True)
    # Half precision is a matter of the file: the ranks of prompts and the copies of a model should not depend on it.
    return pipeline.to(pick_device(device), torch.float32)


FORMER_NAMES = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
"""Names of attention weights in autoencoders that diffusers before 0.15 wrote; it renames them when it loads them."""


ADAPTED = re.compile(r"\blora|_lora|\bhada_|\bia3_|\boft_")
"""In names of tensors that peft adds to a network."""


def require_all_weights(pipeline: Any, contents: PipelineFolder) -> None:
    """Raise AdapterError where a network's weights are not in its files, or its files hold more than it takes.

    The library fills a gap with random numbers, and leaves out what has no place, such as LoRA weights. Names are
    compared for networks of diffusers. Those of transformers are renamed when they are loaded and can share weights,
    and files may hold a whole CLIP of which one half is loaded: there the files must have as many tensors as the
    network has different parameters, and none of an adapter.
    """
    for name, weights in contents.parts.items():
        network, stored = getattr(pipeline, name, None), weights.shapes
        if network is None:
            continue
        names = list(network.state_dict())
        missing = [key for key in names if key not in stored and _former(key) not in stored]
        lost = sorted(stored.keys() - {*names, *map(_former, names)})
        if contents.classes[name][0] == "transformers":
            # `parameters` gives a tensor that two layers share once, as the file holds it.
            missing = missing if len(stored) < len(list(network.parameters())) else []
            lost = [key for key in lost if ADAPTED.search(key)]
        if missing:
            raise AdapterError(
                f"the weights of {weights.files[0].parent} lack {len(missing)} tensors of the network, such as "
                f"{missing[0]}: it would be sampled with random numbers in their place",
                "check that weights and config.json belong together, and save the pipeline again",
            )
        if lost:
            raise AdapterError(
                f"the weights of {weights.files[0].parent} hold {len(lost)} tensors that have no place in the network, "
                f"such as {lost[0]}: it would be sampled without them",
                "check that weights and config.json belong together; fuse LoRA weights (pipe.fuse_lora(), "
                "pipe.unload_lora_weights()), and save the pipeline again",
            )


def _former(key: str) -> str:
    for name, former in FORMER_NAMES.items():
        key = key.replace(name, former)
    return key


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
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError) as error:
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
