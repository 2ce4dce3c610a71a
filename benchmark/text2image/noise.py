"""Which schedulers say how a network was trained so that guided DDIM sampling, and with it d_mem, means what it should.

DDIM needs x_t = sqrt(a_t) x + sqrt(1 - a_t) eps with known a_t, and an output that is eps, x or v. `from_config` does
not check this: for a scheduler of flow matching it silently fills in betas that the network has never seen.
"""

from __future__ import annotations

from typing import Any

BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
"""Those that DDIMScheduler builds itself."""
PREDICTIONS = ("epsilon", "v_prediction", "sample")
DDPM_NOISE = (
    "DDIMScheduler", "DDIMParallelScheduler", "DDPMScheduler", "DDPMParallelScheduler", "PNDMScheduler",
    "DEISMultistepScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "DPMSolverSDEScheduler",
    "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler", "LMSDiscreteScheduler", "SASolverScheduler", "UniPCMultistepScheduler",
)  # fmt: skip
"""Solvers for networks trained with DDPM's noise. Those with sigmas divide x by sqrt(sigma^2 + 1), which gives x_t."""
DISTILLED = ("LCMScheduler", "TCDScheduler", "CMStochasticIterativeScheduler")
"""Schedulers of networks that were distilled to few steps, with the guidance learnt: there is no unguided branch."""


def unsupported_noise(scheduler: Any) -> str:
    """Return why the guidance of a pipeline with this scheduler has no norm of noise, to follow "it is one which".

    An empty text where it has one.
    """
    name, config = type(scheduler).__name__, scheduler.config
    kind = config.get("prediction_type", "epsilon")
    if name in DISTILLED:
        return f"samples by {name}, as distilled models do, whose prediction without a prompt was not trained"
    flow = "Flow" in name or config.get("use_flow_sigmas") or kind == "flow_prediction"
    if flow:
        return f"samples by {name} with flow matching, whose noise is not that of DDPM"
    if name not in DDPM_NOISE or "beta_schedule" not in config or config.get("timestep_type") == "continuous":
        return f"samples by {name} with noise that is not that of DDPM"
    if kind not in PREDICTIONS:
        return f"predicts {kind!r}, which is none of {', '.join(PREDICTIONS)}"
    if kind == "epsilon" and config.get("rescale_betas_zero_snr"):
        return "predicts noise on a schedule that ends in pure noise, from which no image can be computed"
    return ""
