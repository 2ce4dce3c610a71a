"""Latent diffusion at toy size: 2D and 3D, sampling by seed, files, refusals."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import AutoencoderKL, DiffusionModelUNet

from benchmark.adapters.networks.latent import LatentModel
from benchmark.core.errors import AdapterError, UsageError
from benchmark.core.types import Budget, HasLoss, HasReconstruction, Split
from benchmark.models.ldm import adapter as ldm
from benchmark.models.ldm.adapter import LatentDiffusion
from benchmark.plugins import registry

torch.set_num_threads(1)
TOY = {
    "autoencoder_widths": (8, 8),
    "latent_channels": 2,
    "codebook": 8,
    "autoencoder_steps": 3,
    "autoencoder_batch": 2,
    "widths": (8, 16),
    "head_channels": 8,
    "steps": 4,
    "batch_size": 4,
    "sampling_steps": 3,
    "sampling_batch": 4,
}
SHAPES = [
    ("kl", (1, 16, 16)),
    ("vq", (5, 16, 16)),
    ("vq", (1, 8, 8, 8)),
    ("kl", (2, 8, 8, 8)),
    ("kl", (1, 15, 18)),
    ("linear", (2, 15, 18)),
    ("linear", (1, 8, 8, 8)),
]


def make_split(shape: tuple[int, ...], count: int = 6) -> Split:
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)
    names = tuple(f"p{k}" for k in range(count))
    return Split(
        name="train", pixels=pixels, rows=np.arange(count), subjects=names, items=names, channels=("x",) * shape[0]
    )


def fit(folder: Path, shape: tuple[int, ...] = (1, 16, 16), **changes: object) -> LatentDiffusion:
    adapter = LatentDiffusion(**(TOY | changes))  # type: ignore[arg-type]
    adapter.fit(make_split(shape), folder=folder, budget=Budget(), seed=0, device="cpu")
    return adapter


def draw(adapter: LatentDiffusion, count: int = 6, seed: int = 1) -> np.ndarray:
    return np.concatenate(list(adapter.sample(count, seed=seed)))


@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_samples_losses_and_files(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    adapter = fit(tmp_path / "fit", shape, autoencoder=kind)
    images = draw(adapter)
    assert images.shape == (6, *shape)
    assert images.dtype == np.float32
    assert np.abs(images).max() <= 1
    assert np.array_equal(images, draw(adapter))
    assert not np.array_equal(images, draw(adapter, seed=2))
    assert np.array_equal(images[:4], draw(adapter, count=8)[:4])

    assert isinstance(adapter, HasLoss)
    assert isinstance(adapter, HasReconstruction)
    train = make_split(shape).images()
    losses = adapter.losses(train, seed=0)
    assert losses.shape == (6,)
    np.testing.assert_allclose(adapter.losses(train[2:3], seed=0), losses[2:3], rtol=1e-4)
    assert adapter.reconstruct(train).shape == train.shape

    adapter.save(tmp_path / "saved")
    restored = LatentDiffusion.load(tmp_path / "saved", device="cpu")
    assert restored == adapter
    assert np.array_equal(images, draw(restored))
    assert np.array_equal(losses, restored.losses(train, seed=0))


def test_scale_is_one_over_the_latents_deviation(tmp_path: Path) -> None:
    model = fit(tmp_path).network()
    with torch.no_grad():
        latents = model.autoencoder.encode(torch.from_numpy(make_split((1, 16, 16)).images()))
    assert model.denoiser.scale.item() == pytest.approx(1 / latents.std().item(), rel=1e-4)


def test_padding_is_undone() -> None:
    network = LatentDiffusion(**TOY).build((1, 15, 18)).autoencoder  # type: ignore[arg-type]
    images = torch.rand(2, 1, 15, 18)
    assert network.pad(images).shape == (2, 1, 16, 20)
    assert torch.equal(network.crop(network.pad(images)), images)


@pytest.mark.parametrize("stage", ["autoencoder", "diffusion"])
def test_interrupted_fit_resumes_exactly(tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = draw(fit(tmp_path / "whole"))
    real = ldm.train_network

    def interrupted(net, loss, feed, config, **options):
        calls = 0

        def fail_at_third(*given):
            nonlocal calls
            calls += 1
            if calls == 3 and options["label"] == stage:
                raise KeyboardInterrupt
            return loss(*given)

        return real(net, fail_at_third, feed, replace(config, checkpoint_steps=2), **options)

    monkeypatch.setattr(ldm, "train_network", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut")
    monkeypatch.setattr(ldm, "train_network", real)
    assert np.array_equal(expected, draw(fit(tmp_path / "cut")))


def test_changed_diffusion_keeps_the_autoencoder(tmp_path: Path) -> None:
    fit(tmp_path)
    with pytest.raises(AdapterError) as error:
        fit(tmp_path, steps=5)
    assert str(error.value) == (
        f"{tmp_path / 'diffusion' / 'training.pt'} was made with other options: steps 4, now 5\n"
        "  hint: give the former options to continue it, or delete it to train from the start"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"autoencoder": "gan"}, "ldm has no autoencoder 'gan'\n  hint: choose one of kl, vq, linear"),
        (
            {"prediction": "x0"},
            "ldm has no prediction 'x0'\n  hint: choose one of epsilon, v_prediction, sample, flow",
        ),
        ({"attention": (2,)}, "there is no level 2 for attention\n  hint: levels are 0 to 1"),
        (
            {"head_channels": 6},
            "head_channels 6 does not divide level 1's width 16\n  hint: choose a divisor",
        ),
        (
            {"autoencoder": "vq", "autoencoder_widths": (8,)},
            ("ldm was given autoencoder_widths (8,)\n  hint: give at least 2 for autoencoder vq"),
        ),
    ],
)
def test_impossible_hyper_parameters_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        LatentDiffusion(**(TOY | changes))  # type: ignore[arg-type]
    assert str(error.value) == message


def test_prompts_and_untrained_models_are_refused() -> None:
    with pytest.raises(AdapterError) as error:
        draw(LatentDiffusion())
    assert str(error.value) == "this ldm has not been trained\n  hint: call fit or load first"
    with pytest.raises(UsageError) as usage:
        next(LatentDiffusion().sample(1, seed=0, prompts=["a lung"]))
    assert str(usage.value) == "ldm takes no prompts\n  hint: leave them out, or choose a text-to-image model"


def test_images_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    adapter = fit(tmp_path)
    with torch.no_grad():
        for weight in adapter.network().autoencoder.parameters():
            weight.fill_(torch.nan)
    assert np.isnan(draw(adapter)).all()  # `adapters.sampling.draw` names the sample


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_unreadable_files_are_named(tmp_path: Path, name: str, damage: str) -> None:
    fit(tmp_path / "fit").save(tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(AdapterError) as error:
        LatentDiffusion.load(tmp_path, device="cpu")
    assert error.value.message.startswith(f"{path} cannot be used: ")
    assert error.value.hint == "train the model again, or copy both files from where it was saved"


def build_preset(preset: str, dims: int) -> tuple[LatentModel, tuple[int, ...]]:
    chosen = registry.find_model("ldm").presets[preset]
    settings = chosen.set | (chosen.volumes if dims == 3 else {})
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
    side = chosen.image_size if dims == 2 else chosen.volume_size
    assert side is not None
    with torch.device("meta"):
        return LatentDiffusion(**given).build((1, *(side,) * dims)), (1, 1, *(side,) * dims)


@pytest.mark.parametrize(
    ("preset", "dims"),
    [*product(("smoke", "small", "paper"), (2, 3)), ("medicaldiffusion", 3), ("tutorial", 3)],
)
def test_presets_fit_their_size(preset: str, dims: int) -> None:
    model, shape = build_preset(preset, dims)
    images = torch.zeros(shape, device="meta")
    latents = model.autoencoder.encode(images)
    assert latents.shape[1:] == model.latent_shape
    assert model.denoiser.unet(latents, torch.zeros(1, device="meta")).shape == latents.shape
    assert model.autoencoder.decode(latents).shape == shape


def shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in network.state_dict().items()}


def test_paper_preset_has_the_published_networks() -> None:
    """MONAI tutorials generation/2d_ldm (32 GB) and model-zoo brain_image_synthesis_latent_diffusion_model."""
    plane, volume = build_preset("paper", 2)[0], build_preset("paper", 3)[0]
    with torch.device("meta"):
        kl = {"num_res_blocks": 2, "norm_num_groups": 32}
        level = (False, False, False)
        tutorial = AutoencoderKL(2, 1, 1, channels=(64, 128, 256), attention_levels=level, latent_channels=1, **kl)
        wide = (64, 128, 128, 128)
        bundle = AutoencoderKL(
            3, 1, 1, channels=wide, attention_levels=(False,) * 4, latent_channels=3,
            with_encoder_nonlocal_attn=False, with_decoder_nonlocal_attn=False, **kl,
        )  # fmt: skip
        unet = DiffusionModelUNet(
            2, 1, 1, channels=(32, 64, 128, 256), attention_levels=(False, True, True, True),
            num_head_channels=(0, 32, 32, 32), num_res_blocks=2,
        )  # fmt: skip
        brain = DiffusionModelUNet(
            3, 3, 3, channels=(256, 512, 768), attention_levels=(False, True, True),
            num_head_channels=(0, 512, 768), num_res_blocks=2, resblock_updown=True,
        )  # fmt: skip
    assert shapes(plane.autoencoder.body) == shapes(tutorial)
    assert shapes(volume.autoencoder.body) == shapes(bundle)
    assert shapes(plane.denoiser.unet) == shapes(unet)
    assert shapes(volume.denoiser.unet) == shapes(brain)
    assert volume.denoiser._noising.config.beta_end == 0.0205
