"""What a run tells of single users, and statistics that tell boundedly little."""

from __future__ import annotations

from gnnseg.privacy.membership import audit_run, membership
from gnnseg.privacy.noisy import geometric_noise, noisy_segments

__all__ = ["audit_run", "geometric_noise", "membership", "noisy_segments"]
