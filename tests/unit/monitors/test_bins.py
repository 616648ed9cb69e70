from sidecar.monitors.bins import category_bins, numeric_bins


def test_numbers_that_look_alike_get_more_digits() -> None:
    edges = (1_700_000_001.0, 1_700_000_002.0)

    assert numeric_bins(edges, 0.0, 2e9)[1] == "1700000001 to 1700000002"


def test_a_number_without_edges_has_one_bin_in_range() -> None:
    assert numeric_bins((), 0.5, 0.5) == ("0.5 to 0.5", "out of range", "missing")


def test_rare_categories_share_a_bin() -> None:
    categories = tuple(f"c{k}" for k in range(23))
    counts = (1, 2, 3, *[50] * 20, 0, 7)

    names, bins = category_bins(categories, counts)

    assert names == (*(f"c{k}" for k in range(3, 23)), "other", "unseen", "missing")
    assert bins.tolist() == [20, 20, 20, *range(20), 21, 22]


def test_categories_are_named_as_on_the_wire() -> None:
    assert category_bins((False, 7, "x"), (1, 1, 1, 0, 0))[0][:3] == ("false", "7", "x")


def test_a_category_called_missing_is_told_apart() -> None:
    assert category_bins(("missing", ""), (1, 1, 0, 0))[0] == (
        "'missing'",
        "''",
        "unseen",
        "missing",
    )


def test_a_feature_without_categories_has_the_two_last_bins() -> None:
    names, bins = category_bins((), (4, 2))

    assert (names, bins.tolist()) == (("unseen", "missing"), [0, 1])
