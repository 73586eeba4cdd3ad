"""Segments from the embeddings alone."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.components import PositiveFloat, PositiveInt
from gnnseg.data import UserData
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.ranks import Ranks
from gnnseg.segments.base import Centred, Segmenter, as_seed, check_users, spread
from gnnseg.segments.shared_means import lloyd, sampled


class OneSegment(Segmenter):
    """Everybody in one segment: the control that shows what segments bring.

    Args:
        copies: Of the segment, all users in all of them alike; heads have parameters for each copy.
    """

    def __init__(self, *, copies: PositiveInt = 1) -> None:
        super().__init__()
        self.copies = copies

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Learns nothing."""
        self.learned(memberships=self(embeddings.users))
        return self

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, copies]``, all alike."""
        return torch.full((len(users), self.copies), 1 / self.copies, device=users.device)


class KMeans(Centred):
    """K-means on the users' directions (Lloyd 1982, doi 10.1109/TIT.1982.1056489), softened.

    Args:
        num_segments: ``S``.
        num_starts: K-means runs, the best of which is kept.
        kwargs: Hyper-parameters of :class:`Centred`.
    """

    def __init__(self, *, num_segments: PositiveInt = 6, num_starts: PositiveInt = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._wanted = num_segments
        self.num_starts = num_starts

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Learn the centres."""
        check_users(embeddings.users, self._wanted)
        points = self.points(embeddings.users)
        centres, labels = self._cluster(points, rng)
        self.learned(centres=centres, width=self.temperature * spread(points, centres, labels))
        self.learned(memberships=self(embeddings.users))
        return self

    def fit_part(self, users: Tensor, ranks: Ranks, rng: np.random.Generator) -> Self:
        """As :meth:`fit`, in one of several processes; ``memberships`` are of its own users.

        Process 0 begins with k-means on a sample of all users, from which :func:`lloyd` goes on with all. Of
        no more users than the sample has, the segments are those of one process.

        Args:
            users: Vectors of its own users on the CPU, ``[u, d]``, as :func:`check_users` lets pass.
            ranks: The processes, which all call this.
            rng: The same in each.

        Raises:
            TrainingError: If another process stopped.
        """
        points = self.points(users.detach())
        sample = sampled(points, ranks, rng)
        centres = points.new_zeros(self._wanted, points.shape[1])
        if sample is not None:
            centres = self._cluster(sample, rng)[0]
        centres, labels = lloyd(points, ranks.share(centres.contiguous()), ranks)
        squares = (points - centres[labels]).square().sum().double()
        total = ranks.sum_(torch.tensor([float(squares), len(points)], dtype=torch.float64), "segments")
        self.learned(centres=centres, width=self.temperature * total[0] / total[1])
        self.learned(memberships=self(users))
        return self

    @property
    def wanted(self) -> int:
        """Segments to learn, ``S``."""
        return self._wanted

    def _cluster(self, points: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Centres ``[S, d]`` and labels ``[U]`` of points ``[U, d]``."""
        return kmeans(points, self._wanted, self.num_starts, rng)


class MiniBatchKMeans(KMeans):
    """K-means on samples of users (Sculley 2010, doi 10.1145/1772690.1772862), for many of them.

    Centres are moved to the means of their users once more at the end.

    Args:
        batch_size: Users in a sample.
        kwargs: Hyper-parameters of :class:`KMeans`.
    """

    def __init__(self, *, batch_size: PositiveInt = 4096, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_size = batch_size

    def _cluster(self, points: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        centres, labels = kmeans(points, self._wanted, self.num_starts, rng, self.batch_size)
        sizes = labels.bincount(minlength=self._wanted).unsqueeze(1)
        means = torch.zeros_like(centres).index_add(0, labels, points) / sizes.clamp(min=1)
        return torch.where(sizes > 0, means, centres), labels


class GaussianMixture(Segmenter):
    """Gaussians with diagonal covariance by expectation maximisation (Dempster et al. 1977).

    Args:
        num_segments: ``S``.
        temperature: Posteriors are raised to ``1 / temperature`` and renormalised; above 1 they soften.
        normalize: Fit directions (unit vectors) instead of the vectors themselves.
        floor: Added to every variance, as a share of the mean variance.
    """

    log_weights: Tensor
    means: Tensor
    variances: Tensor

    def __init__(
        self,
        *,
        num_segments: PositiveInt = 6,
        temperature: PositiveFloat = 4.0,
        normalize: bool = True,
        floor: PositiveFloat = 0.01,
    ) -> None:
        super().__init__()
        self._wanted = num_segments
        self.temperature = temperature
        self.normalize = normalize
        self.floor = floor

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Learn weights, means and variances."""
        import warnings

        from sklearn import exceptions, mixture

        check_users(embeddings.users, max(2, self._wanted))
        points = self._points(embeddings.users.detach()).double().cpu().numpy()
        model = mixture.GaussianMixture(
            self._wanted,
            covariance_type="diag",
            reg_covar=max(self.floor * float(points.var(axis=0).mean()), 1e-12),
            random_state=as_seed(rng),
            max_iter=300,
            tol=1e-3,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
            model.fit(points)
        like = embeddings.users.device
        self.learned(
            log_weights=torch.from_numpy(np.log(model.weights_)).to(like),
            means=torch.from_numpy(model.means_).to(like),
            variances=torch.from_numpy(model.covariances_).to(like),
        )
        self.learned(memberships=self(embeddings.users))
        return self

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, S]``."""
        self.check_learned("means")
        offsets = self._points(users).unsqueeze(1) - self.means
        quadratic = (offsets.square() / self.variances).sum(-1)
        log_joint = self.log_weights - 0.5 * (quadratic + self.variances.log().sum(-1))
        return torch.softmax(log_joint / self.temperature, dim=1)

    def _points(self, users: Tensor) -> Tensor:
        return F.normalize(users, dim=1) if self.normalize else users


def kmeans(
    points: Tensor,
    num_segments: int,
    num_starts: int,
    rng: np.random.Generator,
    batch_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Centres ``[S, d]`` and labels ``[U]`` by scikit-learn; fewer different points give equal centres.

    Args:
        points: ``[U, d]``.
        num_segments: ``S``.
        num_starts: Runs, the best of which is kept.
        rng: Source of all randomness.
        batch_size: Points in a sample, or None for all points at every step.
    """
    import warnings

    from sklearn import cluster, exceptions

    options = {"n_init": num_starts, "random_state": as_seed(rng)}
    model = (
        cluster.KMeans(num_segments, **options)
        if batch_size is None
        else cluster.MiniBatchKMeans(num_segments, batch_size=batch_size, **options)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        fitted = model.fit(points.detach().double().cpu().numpy())
    centres = torch.from_numpy(fitted.cluster_centers_).to(points)
    return centres, torch.from_numpy(fitted.labels_.astype(np.int64)).to(points.device)
