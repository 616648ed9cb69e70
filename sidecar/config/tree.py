"""Plain trees, as YAML, TOML and JSON give them: maps, lists and scalars, each at a path."""

from collections.abc import Callable


def map_scalars(
    tree: object, change: Callable[[str, object], object], path: str = "$"
) -> object:
    """Give the same tree with every scalar replaced.

    Args:
        tree: Maps, lists and scalars.
        change: Takes the path and the value of a scalar and gives what stands there instead.
        path: Where the tree itself stands.

    Returns:
        A new tree; keys and order stay.

    Example:
        >>> map_scalars({"a": [1, 2]}, lambda path, value: f"{path}={value}")
        {'a': ['$.a[0]=1', '$.a[1]=2']}
    """
    if isinstance(tree, dict):
        return {key: map_scalars(value, change, f"{path}.{key}") for key, value in tree.items()}
    if isinstance(tree, list):
        return [
            map_scalars(value, change, f"{path}[{index}]") for index, value in enumerate(tree)
        ]
    return change(path, tree)
