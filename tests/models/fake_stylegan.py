"""Write a stand-in for NVIDIA's repository: the module names and signatures that the adapter uses, trivial networks.

python fake_stylegan.py FOLDER
"""

from __future__ import annotations

from pathlib import Path

FILES = {
    "dnnlib/__init__.py": "from dnnlib.util import EasyDict\n",
    "dnnlib/util.py": "from distutils.util import strtobool\nclass EasyDict(dict):\n    pass\n",
    "torch_utils/__init__.py": "",
    "torch_utils/misc.py": "",
    "torch_utils/custom_ops.py": "verbosity = 'brief'\n",
    "torch_utils/training_stats.py": "def report(name, value):\n    return value\n",
    "torch_utils/ops/__init__.py": "",
    "torch_utils/ops/bias_act.py": "_inited = False\n_plugin = None\n",
    "torch_utils/ops/upfirdn2d.py": "_inited = False\n_plugin = None\n",
    "torch_utils/ops/grid_sample_gradfix.py": "enabled = True\ngrid_sample = None\n",
    "training/__init__.py": "",
    "training/networks.py": """
import torch
from torch import nn
class Generator(nn.Module):
    def __init__(self, z_dim, c_dim, w_dim, img_resolution, img_channels, mapping_kwargs={}, synthesis_kwargs={}):
        super().__init__()
        assert c_dim == 0 and mapping_kwargs['num_layers'] >= 1 and synthesis_kwargs['channel_base'] >= img_resolution
        self.z_dim = z_dim
        self.shape = (img_channels, img_resolution, img_resolution)
        self.mapping = nn.Linear(z_dim, w_dim)
        self.synthesis = nn.Linear(w_dim, img_channels * img_resolution ** 2)
    def forward(self, z, c, truncation_psi=1, noise_mode='random'):
        assert c.shape == (len(z), 0) and noise_mode == 'const'
        return self.synthesis(truncation_psi * self.mapping(z)).view(-1, *self.shape)
class Discriminator(nn.Module):
    def __init__(self, c_dim, img_resolution, img_channels, channel_base, channel_max, num_fp16_res, conv_clamp,
                 epilogue_kwargs):
        super().__init__()
        self.linear = nn.Linear(img_channels * img_resolution ** 2, 1)
    def forward(self, images):
        return self.linear(images.flatten(1))
""",
    "training/augment.py": """
import torch
class AugmentPipe(torch.nn.Module):
    def __init__(self, xflip=0, rotate90=0, xint=0, scale=0, rotate=0, aniso=0, xfrac=0):
        super().__init__()
        self.register_buffer('p', torch.ones([]))
    def forward(self, images):
        return torch.where(torch.rand(len(images), 1, 1, 1) < self.p, images.flip(3), images)
""",
    "training/loss.py": """
import torch
from torch_utils import training_stats
class StyleGAN2Loss:
    def __init__(self, device, G_mapping, G_synthesis, D, augment_pipe=None, style_mixing_prob=0.9, r1_gamma=10,
                 pl_batch_shrink=2, pl_decay=0.01, pl_weight=2):
        self.G = lambda z: G_synthesis(G_mapping(z))
        self.D, self.pipe, self.r1_gamma = D, augment_pipe, r1_gamma
        self.pl_mean = torch.zeros([], device=device)
    def judge(self, images):
        return self.D(self.pipe(images) if self.pipe is not None else images)
    def accumulate_gradients(self, phase, real_img, real_c, gen_z, gen_c, sync, gain):
        fake = self.G(gen_z).view(real_img.shape)
        if phase == 'Gmain':
            loss = torch.nn.functional.softplus(-self.judge(fake))
            training_stats.report('Loss/G/loss', loss)
        if phase == 'Greg':
            length = fake.square().mean().sqrt()
            self.pl_mean.copy_(self.pl_mean.lerp(length.detach(), 0.1))
            loss = (length - self.pl_mean).square()
            training_stats.report('Loss/pl_penalty', loss)
        if phase == 'Dmain':
            real = self.judge(real_img)
            training_stats.report('Loss/signs/real', real.sign())
            loss = torch.nn.functional.softplus(-real) + torch.nn.functional.softplus(self.judge(fake.detach()))
            training_stats.report('Loss/D/loss', loss)
        if phase == 'Dreg':
            real_img = real_img.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.judge(real_img).sum(), real_img, create_graph=True)
            loss = gradient.square().sum([1, 2, 3]) * self.r1_gamma / 2
            training_stats.report('Loss/r1_penalty', loss)
        loss.mean().mul(gain).backward()
""",
}


def write_repository(folder: Path) -> Path:
    """Write it and return the folder."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
