"""Quality faults of decoded events, and which events the model may be asked about."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sidecar.bundle.manifest import (
    CategoryProfile,
    Feature,
    FeatureType,
    Manifest,
    NumericProfile,
    ReferenceProfile,
)
from sidecar.config.settings import InputSettings
from sidecar.events import BoolColumn, Decoded, EventBatch, Float64Column, Reason


class Checker:
    """Flags events that lack a required feature, or that the reference has nothing like."""

    def __init__(
        self, manifest: Manifest, reference: ReferenceProfile, settings: InputSettings
    ) -> None:
        """Note what is required, and what range each feature has in the reference.

        Args:
            manifest: The signature.
            reference: Range or categories of each feature; one that it lacks has no range.
            settings: What missing features and values out of range get.
        """
        features = list(enumerate(manifest.features))
        self._required = np.array([at for at, f in features if f.required], np.intp)
        self._profiles = reference.features
        self._low = np.array([self._bound(f, "minimum", -np.inf) for _, f in features])
        self._high = np.array([self._bound(f, "maximum", np.inf) for _, f in features])
        self._unseen = [(at, unseen) for at, f in features if (unseen := self._test(f))]
        self._rejects_missing = settings.on_missing == "reject"
        self._missing_falls_back = settings.on_missing == "fallback"
        self._far_falls_back = settings.on_out_of_range == "fallback"

    def check(self, decoded: Decoded) -> Decoded:
        """Fill the columns `missing` and `out_of_range`.

        Each is computed only where a setting makes use of it, else it stays false: a missing
        feature that is rejected never gets here, and drift monitors count ranges themselves.
        """
        events = decoded.events
        if not self._rejects_missing:
            events = replace(events, missing=self._missing(events.features.matrix))
        if self._far_falls_back:
            events = replace(events, out_of_range=self._out_of_range(events.features.matrix))
        return decoded if events is decoded.events else replace(decoded, events=events)

    def gate(self, events: EventBatch) -> NDArray[np.uint8]:
        """Say for each checked event why the model is not asked.

        Returns:
            `Reason.UPSTREAM` where a prediction came along, `MISSING_FEATURE` or
            `OUT_OF_DISTRIBUTION` where the settings send such events down the fallback chain,
            and `CONFIDENT` where the model may be asked. A new array, free to be changed.
        """
        reason = np.full(len(events), Reason.CONFIDENT, np.uint8)
        if self._far_falls_back:
            reason[events.out_of_range] = Reason.OUT_OF_DISTRIBUTION
        if self._missing_falls_back:
            reason[events.missing] = Reason.MISSING_FEATURE
        if events.upstream is not None:
            came = [prediction is not None for prediction in events.upstream]
            reason[came] = Reason.UPSTREAM
        return reason

    def _missing(self, matrix: Float64Column) -> BoolColumn:
        lacks: BoolColumn = np.logical_or.reduce(np.isnan(matrix[:, self._required]), axis=1)
        return lacks

    def _out_of_range(self, matrix: Float64Column) -> BoolColumn:
        # A missing value compares false, so it lies nowhere and is not out of range.
        beyond = (matrix < self._low) | (matrix > self._high)
        far: BoolColumn = np.logical_or.reduce(beyond, axis=1)
        for at, unseen in self._unseen:
            far |= unseen(matrix[:, at])
        return far

    def _bound(self, feature: Feature, name: str, without: float) -> float:
        profile = self._profiles.get(feature.name)
        return getattr(profile, name) if isinstance(profile, NumericProfile) else without

    def _test(self, feature: Feature) -> Callable[[Float64Column], BoolColumn] | None:
        """Give the test for values that the reference never had; None for a plain number."""
        if feature.type is FeatureType.STRING:
            if feature.categories is None:
                return None
            unseen_code = float(len(feature.categories))
            return lambda column: column == unseen_code
        profile = self._profiles.get(feature.name)
        if not isinstance(profile, CategoryProfile):
            return None
        known = np.array([float(value) for value in profile.categories])
        return lambda column: ~(np.isin(column, known) | np.isnan(column))
