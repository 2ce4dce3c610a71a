"""The norm of the guidance along guided sampling: what a text-to-image pipeline adds because of the prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchmark.errors import AdapterError
from benchmark.seeding import word

if TYPE_CHECKING:
    from benchmark.contracts import Array


def prompt_seed(prompt: str, seed: int) -> int:
    """Return the seed of a prompt's noise: of its text, so that neither order nor sharding moves it."""
    digest = hashlib.sha256(prompt.encode()).digest()
    return word(int.from_bytes(digest[:6], "big"), seed)


def latent_shape(pipeline: Any) -> tuple[int, int, int]:
    """Return the shape of one latent. Raises AdapterError where the pipeline does not say."""
    config = pipeline.unet.config
    side = config.get("sample_size")
    if side is None:
        raise AdapterError("the pipeline's unet has no sample_size", "set it in unet/config.json: the latent's side")
    height, width = (side, side) if isinstance(side, int) else side
    return int(config["in_channels"]), int(height), int(width)


@torch.no_grad()
def guidance_norms(
    pipeline: Any, prompts: Sequence[str], seeds: Sequence[int], *, steps: int, guidance: float, only: int | None = None
) -> Array:
    """Return || eps(x_t, prompt) - eps(x_t, empty) ||_2 of each prompt with its seed, (N, steps), float32.

    Args:
        pipeline: of Stable Diffusion's kind: tokenizer, text encoder, unet, scheduler.
        prompts: N texts; the tokenizer cuts those that are too long.
        seeds: N numbers; the noise is drawn from the text and this, on the CPU.
        steps: of DDIM sampling, whatever the pipeline's own scheduler is.
        guidance: scale of the trajectory that x_t follows.
        only: stop after so many steps; the scores of the first step cost one of `steps` calls.

    Both branches of a step are one call of the unet, as in sampling. Outputs of other kinds than noise are converted,
    so that norms are of noise (Wen et al. 2024, 2407.21720; Dutt et al. 2025).
    """
    from diffusers import DDIMScheduler

    device, kind = pipeline.unet.device, pipeline.unet.dtype
    scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(steps, device=device)
    text = _embedded(pipeline, prompts)
    noise = [
        torch.randn(latent_shape(pipeline), generator=_generator(*pair)) for pair in zip(prompts, seeds, strict=True)
    ]
    latents = (torch.stack(noise) * scheduler.init_noise_sigma).to(device, kind)
    norms = []
    for time in scheduler.timesteps[:only]:
        both = scheduler.scale_model_input(torch.cat([latents, latents]), time)
        empty, given = pipeline.unet(both, time, encoder_hidden_states=text).sample.float().chunk(2)
        norms.append(_as_noise(given - empty, scheduler, time).flatten(1).norm(dim=1))
        guided = empty + guidance * (given - empty)
        latents = scheduler.step(guided.to(kind), time, latents).prev_sample
    found: Array = torch.stack(norms, dim=1).cpu().numpy()
    return found


def _generator(prompt: str, seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(prompt_seed(prompt, seed))


def _embedded(pipeline: Any, prompts: Sequence[str]) -> Tensor:
    """Return the embeddings of empty prompts and of the prompts, (2N, tokens, D).

    As the pipeline's own `encode_prompt` makes them, which however writes what it cuts off a prompt into the log.
    """
    tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder
    tokens = tokenizer(
        [*("" for _ in prompts), *prompts],
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    masked = getattr(encoder.config, "use_attention_mask", False)
    mask = tokens.attention_mask.to(encoder.device) if masked else None
    embedded: Tensor = encoder(tokens.input_ids.to(encoder.device), attention_mask=mask)[0]
    return embedded.to(pipeline.unet.device, pipeline.unet.dtype)


def _as_noise(difference: Tensor, scheduler: Any, time: Tensor) -> Tensor:
    """Turn a difference of the unet's outputs into one of predicted noise."""
    signal: Tensor = scheduler.alphas_cumprod[int(time)].to(difference.device)
    kind = scheduler.config["prediction_type"]
    if kind == "epsilon":
        return difference
    if kind == "v_prediction":
        return signal.sqrt() * difference
    if kind == "sample":
        return (signal / (1 - signal)).sqrt() * difference
    raise AdapterError(f"the pipeline predicts {kind!r}, which is no known kind", "use epsilon, v_prediction or sample")
