"""The few shapes that most queries have."""

JOB = 'job=~"$job"'
ALL = f'{JOB}, instance=~"$instance"'
"""Selects what the variables of the dashboard have chosen."""


def rate(metric: str, *by: str, where: str = ALL) -> str:
    """Give how fast a counter grows per second, summed by labels."""
    return f"sum by ({', '.join(by)}) (rate({metric}{{{where}}}[$__rate_interval]))"


def grown(metric: str, span: str, *by: str, where: str = ALL) -> str:
    """Give how much a counter has grown in a span of time, summed by labels."""
    return f"sum by ({', '.join(by)}) (increase({metric}{{{where}}}[{span}]))"


def quantile(share: float, metric: str, *by: str, where: str = ALL) -> str:
    """Give a quantile of a histogram, by labels."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', 'le', *by, where=where)})"


def total(metric: str, *by: str, where: str = ALL) -> str:
    """Give the sum of a gauge, by labels."""
    return f"sum by ({', '.join(by)}) ({metric}{{{where}}})"


def most(metric: str, *by: str, where: str = ALL) -> str:
    """Give the largest value of a gauge, by labels."""
    return f"max by ({', '.join(by)}) ({metric}{{{where}}})"
