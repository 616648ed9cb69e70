"""Fallback rules: compiled against the signature once, then evaluated on whole columns.

A condition is a map of which all entries must hold:

    {amount: {gt: 5000, le: 9000}, country: DE, segment: [gold, silver],
     any: [{age: {lt: 21}}, {age: {missing: true}}], not: {verified: true}}

A scalar means `eq`, a list means `in`. **A missing value matches nothing but `missing: true`**:
also `ne` and `not_in` need a value to be there. `not` turns its condition round as a whole, so
`not: {amount: {gt: 5}}` holds where `amount` is missing.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sidecar.bundle.manifest import Feature, FeatureType, Manifest
from sidecar.config.settings import RuleSettings
from sidecar.errors import ConfigError, Finding, did_you_mean
from sidecar.events import BoolColumn, CodeColumn, Features, Float64Column

Predicate = Callable[[Features], BoolColumn]

_ORDER: Mapping[str, Callable[[Float64Column, float], BoolColumn]] = {
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
}
_ONE_OF = ("eq", "in")
_NONE_OF = ("ne", "not_in")
_LISTS = ("in", "not_in")
_OPERATORS = ("eq", "ne", *_ORDER, *_LISTS, "missing")
_NESTING = ("any", "all", "not")

_EXPECTED = {
    FeatureType.FLOAT: "a finite number",
    FeatureType.INTEGER: "a finite number",
    FeatureType.BOOLEAN: "`true` or `false`",
    FeatureType.STRING: "text",
}


class CompiledRules:
    """Rules in order, ready to be asked."""

    def __init__(self, predicates: Sequence[Predicate]) -> None:
        """Keep one predicate per rule.

        Args:
            predicates: In the order of the rules.
        """
        self._predicates = tuple(predicates)

    def first_match(self, features: Features) -> CodeColumn:
        """Give for each row the index of the first rule that holds, -1 for none."""
        first = np.full(len(features), -1, np.int32)
        for index in reversed(range(len(self._predicates))):
            first[self._predicates[index](features)] = index
        return first


def compile_rules(
    rules: Sequence[RuleSettings], manifest: Manifest, *, path: str = "$.fallback.rules"
) -> CompiledRules:
    """Check rules against the signature and make them ready.

    Args:
        rules: As the config has them.
        manifest: The signature that they speak of.
        path: Where they stand in the config.

    Raises:
        ConfigError: With every fault of every rule, each with its path.
    """
    compiler = _Compiler(manifest)
    predicates = [
        compiler.rule(rule, f"{path}[{index}]", [earlier.name for earlier in rules[:index]])
        for index, rule in enumerate(rules)
    ]
    if compiler.findings:
        raise ConfigError("the fallback rules do not fit the model", compiler.findings)
    return CompiledRules(predicates)


def _always(features: Features) -> BoolColumn:
    return np.ones(len(features), np.bool_)


class _Compiler:
    """Compiles what it can and collects what it cannot; a fault compiles to `_always`."""

    def __init__(self, manifest: Manifest) -> None:
        self.findings: list[Finding] = []
        self._features = {f.name: (at, f) for at, f in enumerate(manifest.features)}

    def rule(self, rule: RuleSettings, path: str, earlier: Sequence[str]) -> Predicate:
        if rule.name in earlier:
            self._fault(f"{path}.name", f"`{rule.name}` is used twice", "choose another name")
        if rule.label is None and rule.score is None:
            self._fault(path, "the rule answers nothing", "give it a `label` or a `score`")
        return self._all_entries(rule.when, f"{path}.when")

    def _fault(self, path: str, message: str, mend: str = "") -> Predicate:
        self.findings.append(Finding(path, message, mend))
        return _always

    def _all_entries(self, when: object, path: str) -> Predicate:
        if not isinstance(when, Mapping):
            return self._fault(path, "is no map of conditions", "write `{feature: condition}`")
        return _all(
            [self._entry(name, asked, f"{path}.{name}") for name, asked in when.items()]
        )

    def _entry(self, name: object, asked: object, path: str) -> Predicate:
        match name:
            case "any":
                return _any(self._several(asked, path))
            case "all":
                return _all(self._several(asked, path))
            case "not" if asked == {}:
                return self._fault(path, "has no condition", "name one, or remove it")
            case "not":
                inner = self._all_entries(asked, path)
                return lambda features: ~inner(features)
        if name not in self._features:
            return self._fault(path, f"the model has no feature `{name}`", self._nearest(name))
        return self._feature(*self._features[str(name)], asked, path)

    def _nearest(self, name: object) -> str:
        return did_you_mean(name, [*self._features, *_NESTING])

    def _several(self, asked: object, path: str) -> list[Predicate]:
        if not isinstance(asked, list) or not asked:
            return [self._fault(path, "is no list of conditions", "list at least one")]
        return [self._all_entries(when, f"{path}[{at}]") for at, when in enumerate(asked)]

    def _feature(self, at: int, feature: Feature, asked: object, path: str) -> Predicate:
        match asked:
            case {}:
                asks: Mapping[Any, object] = asked
            case list():
                asks = {"in": asked}
            case None:
                return self._fault(path, "compares with nothing", "write `{missing: true}`")
            case _:
                asks = {"eq": asked}
        if not asks:
            return self._fault(path, "has no operator", f"use one of {', '.join(_OPERATORS)}")
        explicit = isinstance(asked, Mapping)
        return _all(
            [
                self._operator(
                    at, feature, operator, value, f"{path}.{operator}" if explicit else path
                )
                for operator, value in asks.items()
            ]
        )

    def _operator(
        self, at: int, feature: Feature, operator: object, value: object, path: str
    ) -> Predicate:
        if operator not in _OPERATORS:
            mend = did_you_mean(operator, _OPERATORS, f"use one of {', '.join(_OPERATORS)}")
            return self._fault(path, f"there is no operator `{operator}`", mend)
        if operator == "missing":
            if not isinstance(value, bool):
                return self._fault(path, "is neither `true` nor `false`")
            return lambda features: np.isnan(features.matrix[:, at]) == value
        if operator in _ORDER and feature.type in (FeatureType.STRING, FeatureType.BOOLEAN):
            return self._fault(path, f"a {feature.type} has no order", "use `eq` or `in`")
        if not self._fits(feature, operator, value, path):
            return _always
        if operator in _ORDER:
            compare, bound = _ORDER[str(operator)], float(value)  # type: ignore[arg-type]
            return lambda features: compare(features.matrix[:, at], bound)
        values = value if isinstance(value, list) else [value]
        return _membership(at, feature, values, wanted=operator in _ONE_OF)

    def _fits(self, feature: Feature, operator: object, value: object, path: str) -> bool:
        before = len(self.findings)
        expected = _EXPECTED[feature.type]
        if operator not in _LISTS:
            if not _has_type(feature.type, value):
                self._fault(path, f"`{feature.name}` is compared with {expected}")
        elif not isinstance(value, list) or not value:
            self._fault(path, "is no list of values", "list at least one")
        else:
            for index, each in enumerate(value):
                if not _has_type(feature.type, each):
                    self._fault(
                        f"{path}[{index}]", f"`{feature.name}` is compared with {expected}"
                    )
        return len(self.findings) == before


def _has_type(kind: FeatureType, value: object) -> bool:
    match kind:
        case FeatureType.BOOLEAN:
            return isinstance(value, bool)
        case FeatureType.STRING:
            return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max  # which NaN and the infinities are not


def _all(predicates: Sequence[Predicate]) -> Predicate:
    if not predicates:
        return _always
    if len(predicates) == 1:
        return predicates[0]
    return lambda features: np.logical_and.reduce([holds(features) for holds in predicates])


def _any(predicates: Sequence[Predicate]) -> Predicate:
    return lambda features: np.logical_or.reduce([holds(features) for holds in predicates])


def _membership(at: int, feature: Feature, values: Sequence[Any], *, wanted: bool) -> Predicate:
    """Whether a value is there and is one of `values`, or with `wanted` false none of them."""
    is_one = (
        _text_is_one_of(at, feature, values)
        if feature.type is FeatureType.STRING
        else _number_is_one_of(at, values)
    )
    if wanted:
        return is_one
    return lambda features: ~(is_one(features) | np.isnan(features.matrix[:, at]))


def _number_is_one_of(at: int, values: Sequence[float]) -> Predicate:
    numbers = np.array(values, np.float64)
    return lambda features: np.isin(features.matrix[:, at], numbers)


def _text_is_one_of(at: int, feature: Feature, texts: Sequence[str]) -> Predicate:
    categories = feature.categories or ()
    codes = np.array(
        [categories.index(text) for text in texts if text in categories], np.float64
    )
    others = frozenset(texts).difference(map(str, categories))
    unseen = float(len(categories))

    def holds(features: Features) -> BoolColumn:
        column = features.matrix[:, at]
        hit = np.isin(column, codes)
        if others:
            # All texts that the reference never had share one code, so these few are read.
            text = features.text[feature.name]
            for row in np.flatnonzero(column == unseen):
                hit[row] = text[row] in others
        return hit

    return holds
