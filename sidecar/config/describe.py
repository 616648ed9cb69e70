"""What the docstrings say: the text below each field of a Struct, read from its source."""

import ast
import inspect
import textwrap

from msgspec import Struct


def describe(struct_type: type[Struct]) -> dict[str, str]:
    """Give the docstring of each field, by name, as one line of text.

    A field without one is left out. Fields of base Structs are included.

    Args:
        struct_type: A Struct whose source file can be read.

    Returns:
        Texts in the order of the source, those of base Structs first.

    Example:
        >>> from sidecar.errors import Finding
        >>> describe(Finding)["message"]
        'What is wrong there.'
    """
    texts: dict[str, str] = {}
    for cls in reversed(struct_type.__mro__):
        if issubclass(cls, Struct) and cls is not Struct:
            texts |= _field_texts(cls)
    return texts


def _field_texts(cls: type[Struct]) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    if not isinstance(body, ast.ClassDef):
        return {}
    texts = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[name] = " ".join(text.split())
    return texts
