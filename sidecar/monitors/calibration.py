"""How far windows of one length lie from the reference while nothing drifts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sidecar.bundle.manifest import ReferenceProfile, SubjectDispersions
from sidecar.monitors.reference import Watched
from sidecar.monitors.snapshot import CalibrationOrigin, ReferenceKind
from sidecar.stats.segments import Numbers


@dataclass(frozen=True, slots=True)
class Calibration:
    """The overdispersion of windows of one length."""

    origin: CalibrationOrigin
    windows: int
    """How many it was measured on."""
    factors: Numbers
    """One per subject, 1 or more; all 1 while nothing is known, which is right for independent
    events only."""

    @classmethod
    def of_bundle(
        cls,
        profile: ReferenceProfile,
        kind: ReferenceKind,
        length_ms: int,
        subjects: Sequence[Watched],
        measure: str,
    ) -> "Calibration":
        """Give what the bundle knows; `uncalibrated` when it does not know this length.

        Args:
            profile: The reference of the bundle.
            kind: What windows are compared with.
            length_ms: Of the windows.
            subjects: What is watched.
            measure: The confidence measure that events are decided by.
        """
        for each in profile.calibration:
            if (each.reference, each.length_ms) == (kind, length_ms) and each.subjects:
                factors = [_factor(each.subjects, one, measure) for one in subjects]
                return cls("bundle", each.windows, np.array(factors))
        return cls.uncalibrated(len(subjects))

    @classmethod
    def uncalibrated(cls, subjects: int) -> "Calibration":
        """Give the calibration of a length of which nothing is known."""
        return cls("none", 0, np.ones(subjects))


def _factor(subjects: SubjectDispersions, one: Watched, measure: str) -> float:
    if one.subject == "feature":
        return subjects.features[one.name]
    if one.subject == "confidence":
        return subjects.confidence[measure]
    if one.subject == "label" and subjects.label is not None:
        return subjects.label
    return subjects.score
