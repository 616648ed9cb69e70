"""Scripts that make data need packages of their own, so doctest must not import them."""

collect_ignore_glob = ["*/*.py"]
