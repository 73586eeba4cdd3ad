"""One integer seed to independent, named streams of random numbers."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import torch


def numpy_rng(seed: int, stream: str) -> np.random.Generator:
    """A NumPy generator for one named use of ``seed``; other names give independent numbers."""
    return np.random.default_rng([seed, crc32(stream.encode())])


def torch_rng(seed: int, stream: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator on ``device`` for one named use of ``seed``."""
    state = np.random.SeedSequence([seed, crc32(stream.encode())]).generate_state(1, np.uint64)[0]
    generator = torch.Generator(device=device)
    generator.manual_seed(int(state >> np.uint64(1)))
    return generator


def seed_torch(seed: int, stream: str) -> None:
    """Seed torch's global generators, which initialisation and dropout draw from."""
    torch.manual_seed(torch_rng(seed, stream).initial_seed())
