"""Local copies: a part of one image inside another."""

from __future__ import annotations

import math

import pytest
import torch

from benchmark.images.planted_copies import CLAIMED_AS, KINDS, PASTED, PLANTED, PLANTED_AS, STRENGTHS, box_mask

LOCAL = PASTED["local"]
SHAPES = [(1, 40, 40), (2, 32, 48), (1, 24, 20, 28)]


def pair(shape: tuple[int, ...], count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    sources, hosts = (torch.rand(count, *shape, generator=generator) * 2 - 1 for _ in range(2))
    return sources, hosts


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("strength", LOCAL)
def test_shape_range_and_inputs_are_kept(shape: tuple[int, ...], strength: str) -> None:
    sources, hosts = pair(shape)
    before = sources.clone(), hosts.clone()
    made = LOCAL[strength](sources, hosts)
    assert (made.shape, made.dtype) == (hosts.shape, torch.float32)
    assert made.isfinite().all()
    assert made.abs().max() <= 1
    assert torch.equal(sources, before[0])
    assert torch.equal(hosts, before[1])
    assert torch.equal(LOCAL[strength](sources, hosts), made)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("strength", "share"), [("16%", 0.16), ("25%", 0.25)])
def test_the_share_that_is_pasted(shape: tuple[int, ...], strength: str, share: float) -> None:
    """The weight of the source, read from a white source and a black host, is the share asked for on average."""
    ones = torch.ones(30, *shape)
    weight = (LOCAL[strength](ones, -ones) + 1) / 2
    assert weight.mean().item() == pytest.approx(share, rel=0.05)
    assert weight.flatten(1).max(dim=1).values.min() == 1  # the middle of the box is the source itself
    assert weight.flatten(1).min(dim=1).values.max() == 0  # and the host is left alone elsewhere


def test_the_border_is_smooth() -> None:
    mask = box_mask(torch.tensor([[0.5, 0.5]]), 0.5, (64, 64))[0, 0]
    row = mask[32]
    assert (row[:32].diff() >= 0).all()
    assert row.diff().abs().max() < 0.25
    assert row[16].item() == pytest.approx(0.5 - 0.5 * math.cos(math.pi * (0.5 / 64 / 0.125 + 0.5)), abs=1e-6)


@pytest.mark.parametrize("strength", LOCAL)
def test_another_source_changes_the_copy_inside_the_box_alone(strength: str) -> None:
    sources, hosts = pair((1, 40, 40))
    made = LOCAL[strength](sources, hosts)
    changed = (made != hosts).flatten(1).float().mean(dim=1)
    assert changed.min() > 0.15
    assert changed.max() < 0.45


def test_a_moved_part_is_found_a_little_aside() -> None:
    """A ramp moved by up to 3 % of the side differs by that share of its height, and not by more."""
    ramp = torch.linspace(-1, 1, 100).repeat(100, 1).expand(20, 1, 100, 100)
    still, moved = (LOCAL[name](ramp, -torch.ones(20, 1, 100, 100)) for name in ("25%", "25% moved"))
    inside = (still > -0.9) & (moved > -0.9)
    steps = (ramp - moved)[(moved > -0.9) & (box_weights("25% moved", 20) == 1)]
    assert inside.any()
    assert steps.abs().max() < 0.03 * 2 * 1.05
    assert steps.abs().max() > 0.02


def box_weights(name: str, count: int) -> torch.Tensor:
    """The weight of the source: boxes are chosen by the difference of the images, so a ramp above black is given."""
    ramp = torch.linspace(-1, 1, 100).repeat(100, 1).expand(count, 1, 100, 100)
    low, high = (LOCAL[name](ramp, torch.full((count, 1, 100, 100), level)) for level in (-1.0, -1.001))
    return 1 - (low - high) / 0.001


def test_the_box_is_where_the_images_differ() -> None:
    """Sources and hosts that share an empty right half: the pasted box shows something of the left one."""
    sources, hosts = pair((1, 40, 40), 40)
    sources[..., 10:] = hosts[..., 10:] = -1
    made = LOCAL["16%"](sources, hosts)
    shown = (made != hosts).flatten(1).any(dim=1).float().mean().item()
    # One box of side 0.4 reaches the left quarter with probability 0.25 / 0.6 = 0.42; the best of four with 0.88.
    assert shown > 0.7


def test_kinds_and_claims() -> None:
    assert set(KINDS) == set(STRENGTHS) | set(PASTED)
    assert set(PLANTED) == set(PLANTED_AS)
    assert set(CLAIMED_AS) - set(PLANTED_AS) == {"local16", "local25"}
    assert len(PLANTED_AS) == 12  # what every run measures
    every = STRENGTHS | PASTED
    assert all(strength in every[kind] for kind, strength in CLAIMED_AS.values())
