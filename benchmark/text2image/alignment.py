"""How well images match a text, measured with a CLIP model of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.core.errors import AdapterError
from benchmark.text2image.mitigate import Alignment
from benchmark.text2image.pipelines import silence_library_logs

if TYPE_CHECKING:
    from benchmark.core.types import Array, Images

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of CLIP's training images, red, green and blue (Radford et al. 2021)."""


def open_alignment(path: str, device: str) -> Alignment:
    """Return a function of a prompt and images (N, C, H, W): their cosine similarities in CLIP's space, (N,).

    Args:
        path: folder of a CLIP model, with safetensors weights and a tokenizer.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises AdapterError where the folder has no CLIP model.
    """
    silence_library_logs()
    import torch
    import torch.nn.functional as F
    from transformers import AutoTokenizer, CLIPModel

    from benchmark.core.devices import pick_device

    place = pick_device(device)
    try:
        model = CLIPModel.from_pretrained(path, local_files_only=True, use_safetensors=True, trust_remote_code=False)
        model = model.to(place).eval()
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise AdapterError(
            f"{path} is not a CLIP model: {why}", "give a folder with its weights and tokenizer"
        ) from error
    side = model.config.vision_config.image_size
    mean, deviation = (torch.tensor(values, device=place).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))

    @torch.no_grad()
    def align(prompt: str, images: Images) -> Array:
        pixels = torch.from_numpy(images).to(place)
        pixels = pixels if pixels.shape[1] == 3 else pixels.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
        pixels = F.interpolate((pixels + 1) / 2, size=side, mode="bilinear", antialias=True)
        longest = model.config.text_config.max_position_embeddings
        tokens = tokenizer([prompt], truncation=True, max_length=longest, return_tensors="pt").to(place)
        outputs = model(pixel_values=(pixels - mean) / deviation, **tokens)
        cosines: Array = (outputs.image_embeds @ outputs.text_embeds.T)[:, 0].cpu().numpy()
        return cosines

    return align
