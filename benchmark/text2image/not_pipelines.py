"""Name what a folder or file holds when it is no pipeline: LoRA weights, a checkpoint of a training, or one file.

Files are recognised by their names and by the names of their tensors; nothing in them is run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmark.core.errors import BenchError
from benchmark.core.model_files import is_lfs_pointer, read_header

LORA = "holds LoRA weights, which change a pipeline and cannot generate without it"
LORA_HINT = (
    "add them to their base and save that: pipe = DiffusionPipeline.from_pretrained(BASE); "
    "pipe.load_lora_weights(DIR); pipe.fuse_lora(); pipe.save_pretrained(NEW)"
)
INVERSION = "holds a textual inversion, the embedding of one word, which cannot generate without its pipeline"
INVERSION_HINT = (
    "add it to its base and save that: pipe = DiffusionPipeline.from_pretrained(BASE); "
    "pipe.load_textual_inversion(DIR); pipe.save_pretrained(NEW)"
)
SINGLE_HINT = "convert it: StableDiffusionPipeline.from_single_file(FILE).save_pretrained(NEW)"
TRAINING_HINT = (
    "save the pipeline: DiffusionPipeline.from_pretrained(BASE, unet=UNet2DConditionModel.from_pretrained(DIR, "
    "subfolder='unet')).save_pretrained(NEW)"
)
LFS_HINT = "run `git lfs install` and `git lfs pull` there"
WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
STATE_FILES = ("optimizer.bin", "optimizer.pt", "scheduler.bin", "scheduler.pt", "scaler.pt", "training_args.bin")
ADAPTER_STEMS = frozenset({"pytorch_lora_weights", "adapter_model", "adapter_config"})
"""Names of files with LoRA weights, or with their settings, as diffusers and peft write them."""
SHOWN = 5

Description = tuple[str, str]


def what_it_is(place: Path) -> Description:
    """Return what a folder holds, to follow its name in a sentence, and a hint what to do."""
    files = sorted(path for path in place.iterdir() if not path.name.startswith("."))
    if not files:
        return "is empty", "give a folder that save_pretrained wrote"
    names = [path.name for path in files]
    for describe in (_lora, _inversion, _training, _pointer, _comfy, _part, _modular, _one_file):
        if description := describe(place, names):
            return description
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return (
        f"holds no pipeline: there is no model_index.json in it; it has {shown}",
        "give a folder that save_pretrained wrote, with model_index.json and .safetensors weights",
    )


def what_file_it_is(path: Path) -> Description:
    """Return what a single file is, to follow its name in a sentence, and a hint what to do."""
    if is_lfs_pointer(path):
        return "is a pointer of git-lfs in place of a model", LFS_HINT
    if path.suffix == ".safetensors":
        try:
            tensors = set(read_header(path).shapes)
        except BenchError as error:
            return "is not a safetensors file, or it is damaged", error.hint
        return _by_tensors(tensors)
    if path.suffix in WEIGHTS:
        return "is a single-file checkpoint, not the folder of a pipeline", SINGLE_HINT
    return "is a file, not the folder of a pipeline", "give a folder that save_pretrained wrote"


def _by_tensors(names: set[str]) -> Description:
    if any("lora" in name.lower() for name in names):
        return LORA, LORA_HINT
    if names and (names <= {"emb_params", "clip_g", "clip_l"} or (len(names) <= 2 and any("<" in n for n in names))):
        return INVERSION, INVERSION_HINT
    if any(name.startswith(("model.diffusion_model.", "first_stage_model.", "cond_stage_model.")) for name in names):
        return "is a single-file checkpoint of Stable Diffusion, not the folder of a pipeline", SINGLE_HINT
    return "holds weights alone, without the index and the configurations of a pipeline", SINGLE_HINT


def _lora(place: Path, names: list[str]) -> Description | None:
    return (LORA, LORA_HINT) if ADAPTER_STEMS & {Path(name).stem for name in names} else None


def _inversion(place: Path, names: list[str]) -> Description | None:
    embeds = [name for name in names if name.startswith("learned_embeds") and name.endswith(WEIGHTS)]
    return (INVERSION, INVERSION_HINT) if embeds else None


def _training(place: Path, names: list[str]) -> Description | None:
    checkpoints = [name for name in names if name.startswith("checkpoint-") and (place / name).is_dir()]
    if checkpoints:
        return f"holds checkpoints of a training ({_several(checkpoints)}) and no pipeline", TRAINING_HINT
    state = [name for name in names if name.startswith("random_states_") or name in STATE_FILES]
    parts = [name for name in names if _class_in(place / name)]
    if state or (place.name.startswith("checkpoint-") and parts):
        kept = f" of {', '.join(parts)}" if parts else ""
        return f"is a checkpoint of a training{kept}, with which it resumes, and no pipeline", TRAINING_HINT
    if parts:
        return (
            f"holds only parts of a pipeline ({', '.join(parts)}): there is no model_index.json in it",
            "copy the whole folder, or give a folder that save_pretrained wrote",
        )
    return None


def _pointer(place: Path, names: list[str]) -> Description | None:
    pointers = [name for name in names if (place / name).is_file() and is_lfs_pointer(place / name)]
    if not pointers:
        return None
    return f"holds pointers of git-lfs ({_several(pointers)}) in place of the weights", LFS_HINT


def _comfy(place: Path, names: list[str]) -> Description | None:
    if len({"checkpoints", "loras", "vae", "unet", "clip", "diffusion_models", "text_encoders"} & set(names)) < 3:
        return None
    return "is a folder of models for ComfyUI, which are single files", f"choose one in checkpoints, and {SINGLE_HINT}"


def _part(place: Path, names: list[str]) -> Description | None:
    name = _class_in(place)
    if not name:
        return None
    return (
        f"holds one network, {name}, and no pipeline",
        "give the folder above it, where model_index.json is, or save the whole pipeline",
    )


def _modular(place: Path, names: list[str]) -> Description | None:
    if "modular_model_index.json" not in names:
        return None
    return "holds a modular pipeline, which can name code", "save it as an ordinary pipeline, with model_index.json"


def _one_file(place: Path, names: list[str]) -> Description | None:
    files = [place / name for name in names if name.endswith(WEIGHTS) and (place / name).is_file()]
    if not files:
        return None
    what, hint = what_file_it_is(files[0])
    if len(files) == 1:
        return f"holds one file of weights: {files[0].name} {what}", hint
    return f"holds {len(files)} files of weights and no pipeline: {files[0].name} {what}", hint


def _class_in(folder: Path) -> str:
    """Return the class that a folder's config.json names; an empty text where there is none."""
    config = _json(folder / "config.json")
    if not isinstance(config, dict):
        return ""
    architectures = config.get("architectures") or [""]
    return str(config.get("_class_name") or architectures[0] or config.get("model_type") or "")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _several(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" and more" if len(names) > SHOWN else "")
