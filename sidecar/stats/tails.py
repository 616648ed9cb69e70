"""Tails of the chi-square distribution, central and non-central, without SciPy.

With a = degrees / 2, h = noncentrality / 2 and y = value / 2 the chance of a larger value is

    1/(2 pi i) * integral of exp(y (w - 1) + h (1/w - 1)) w^-a / (1 - w) dw

along a line from below to above that crosses the real axis between 0 and 1; where it crosses
beyond 1, the integral is minus the chance of a smaller value (Helstrom 1992, IEEE Trans.
Inf. Theory 38(2), for the generalised Marcum Q-function). Through the saddle point of the
integrand nothing cancels, however small the chance; along the parabola w0 (1 + i sinh t)^2 the
integrand dies off so fast that the trapezoidal rule needs 40 points for ten digits. The Poisson
mixture of central tails gives the same, with thousands of terms for large windows.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sidecar.stats.segments import Numbers

_POINTS = np.arange(40.0)
_STEP = 0.3
"""Between points, in standard deviations of the integrand at the saddle point."""
_LONGEST_STEP = 0.12
"""With few degrees of freedom the integrand is wide and no bell."""
_LEAST, _MOST = 2e-100, 2e300
"""Values beyond have a tail of 1 or 0, and squares of them are no floats."""
_ROUNDS = 100
_SETTLED = 1e-13


def chi_square_tail(value: ArrayLike, degrees: ArrayLike) -> Numbers:
    """Give the chance that a chi-square variable is larger than `value`.

    Args:
        value: Any size, below zero too; NaN gives NaN.
        degrees: Degrees of freedom, at least 1.

    Returns:
        One chance for each pair, with a relative error below 1e-9.

    Example:
        >>> chi_square_tail([3.841459, 0.0], 1).round(6).tolist()
        [0.05, 1.0]
    """
    return noncentral_tail(value, degrees, 0.0)


def noncentral_tail(value: ArrayLike, degrees: ArrayLike, noncentrality: ArrayLike) -> Numbers:
    """Give the chance that a non-central chi-square variable is larger than `value`.

    Twenty-five subjects take some 0.15 ms.

    Args:
        value: Any size, below zero too; NaN gives NaN.
        degrees: Degrees of freedom, at least 1.
        noncentrality: The sum of squared means, 0 or more.

    Returns:
        One chance for each triple. The relative error is below 1e-9 for up to 10,000 degrees
        and a noncentrality of up to 100,000, down to the smallest chance that is a float.

    Example:
        >>> noncentral_tail(20.0, 9, [0.0, 5.0, 50.0]).round(4).tolist()
        [0.0179, 0.1591, 0.9995]
    """
    upper, _, _ = _tails(value, degrees, noncentrality)
    return np.where(np.asarray(value) <= 0, 1.0, upper)


@lru_cache(maxsize=4_096)
def chi_square_quantile(rate: float, degrees: int) -> float:
    """Give the value that a chi-square variable passes with chance `rate`.

    Args:
        rate: Chance of being larger, above 0 and below 1.
        degrees: Degrees of freedom, at least 1.

    Raises:
        ValueError: The chance is not between 0 and 1.

    Example:
        >>> round(chi_square_quantile(0.01, 9), 4)
        21.666
    """
    return float(noncentral_quantile(rate, degrees, 0.0))


def noncentral_quantile(
    rate: float, degrees: ArrayLike, noncentrality: ArrayLike
) -> NDArray[np.float64]:
    """Give the value that a non-central chi-square variable passes with chance `rate`.

    By Newton's rule on the logarithm of the smaller tail, some eight evaluations of it; where
    a step leaves the bracket, the bracket is halved.

    Args:
        rate: Chance of being larger, above 0 and below 1.
        degrees: Degrees of freedom, at least 1.
        noncentrality: The sum of squared means, 0 or more.

    Returns:
        One value for each pair, with a relative error below 1e-9.

    Raises:
        ValueError: The chance is not between 0 and 1.

    Example:
        >>> noncentral_quantile(0.01, 9, [0.0, 50.0]).round(3).tolist()
        [21.666, 97.507]
    """
    if not 0 < rate < 1:
        raise ValueError(f"Expected a chance between 0 and 1, got {rate}")
    at = np.add(degrees, noncentrality, dtype=np.float64)  # the mean
    low, high = np.zeros_like(at), np.full_like(at, np.inf)
    for _ in range(_ROUNDS):
        upper, lower, density = _tails(at, degrees, noncentrality)
        low, high = np.where(upper > rate, at, low), np.where(upper > rate, high, at)
        with np.errstate(all="ignore"):  # a step that is no number leaves the bracket
            if rate <= 0.5:
                wanted = at + np.log(upper / rate) * upper / density
            else:  # close to zero the lower tail is a power of the value
                wanted = at * np.exp(np.log((1 - rate) / lower) * lower / (density * at))
        inside = (wanted > low * (1 - _SETTLED)) & (wanted < high * (1 + _SETTLED))
        middle = np.where(np.isinf(high), 2 * at, (low + high) / 2)
        before, at = at, np.where(inside, wanted, middle)
        if np.all(np.abs(at - before) <= _SETTLED * at):
            break
    return at


def _tails(
    value: ArrayLike, degrees: ArrayLike, noncentrality: ArrayLike
) -> tuple[Numbers, Numbers, Numbers]:
    """Give the upper tail, the lower tail and the density; the smaller tail has all digits."""
    value = np.clip(np.asarray(value, np.float64), _LEAST, _MOST)
    y, a, h = (
        np.asarray(part, np.float64)[..., None] / 2
        for part in np.broadcast_arrays(value, degrees, noncentrality)
    )
    # The saddle point without the pole at 1, then as far from the pole as it pushes.
    saddle = _saddle(y, a, h)
    upper = saddle < 1
    distance = np.abs(np.log(saddle))
    distance = (distance + np.sqrt(distance**2 + 4 / (y * saddle + h / saddle))) / 2
    # Far beyond the pole it counts as one more power of w.
    w0 = np.where(upper, np.exp(-distance), np.maximum(np.exp(distance), _saddle(y, a + 1, h)))
    yw, hw, pole = y * w0, h / w0, w0 / (1 - w0) ** 2
    step = np.minimum(_STEP / (2 * np.sqrt(yw + hw + pole)), _LONGEST_STEP)

    u = np.sinh(_POINTS * step)
    norm = 1 + u * u
    hw = hw / norm**2
    size = np.exp((yw + hw) * (1 - u * u) - y - h - a * np.log(w0 * norm))
    size *= np.sqrt(norm) * (w0 * step / np.pi)  # dw, and the weight of a point
    size[..., 0] /= 2  # the other half of the line mirrors this one
    phase = 2 * (u * (yw - hw) - a * np.arctan(u))
    real, imaginary = size * np.cos(phase), size * np.sin(phase)

    density = np.sum(real - u * imaginary, axis=-1)
    x, v = 1 - w0 * (1 - u * u), 2 * w0 * u  # 1 - w = x - iv
    tail = 2 * np.sum((real * (x - u * v) - imaginary * (u * x + v)) / (x * x + v * v), axis=-1)
    upper = upper[..., 0]
    return np.where(upper, tail, 1 + tail), np.where(upper, 1 - tail, -tail), density


def _saddle(y: Numbers, a: Numbers, h: Numbers) -> Numbers:
    """Give where y w + h / w - a ln w is smallest."""
    return (a + np.sqrt(a * a + 4 * h * y)) / (2 * y)
