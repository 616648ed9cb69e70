"""Tables as lines: what fits, what is cut, what is harmless."""

import pytest

from sidecar.top.layout import Column, Row, Table, cells_of, fact_lines, lines, printable
from tests.unit.top.sightings import hostile

COLUMNS = (Column("name"), Column("lag", right=True, rank=1), Column("note", rank=2))
TABLE = Table(COLUMNS, (Row(("credit", "1,200", "slow")), Row(("b", "7", "fine"))))


def test_all_columns_stand_where_there_is_room() -> None:
    assert lines(TABLE, 80) == [
        "name      lag  note",
        "credit  1,200  slow",
        "b           7  fine",
    ]


def test_the_least_important_columns_go_first() -> None:
    assert lines(TABLE, 15)[0] == "name      lag"
    assert lines(TABLE, 8)[0] == "name"


def test_a_long_name_is_cut_before_a_column_is_left_out() -> None:
    table = Table(COLUMNS, (Row(("months_since_the_last_payment", "7", "fine")),))

    assert lines(table, 33)[1] == "months_since_the_last…    7  fine"


@pytest.mark.parametrize("width", range(1, 60))
def test_no_line_is_wider_than_asked(width: int) -> None:
    wide = Row(("\N{CJK UNIFIED IDEOGRAPH-4E00}" * 30, "1", "e\u0301" * 9))

    for line in lines(Table(COLUMNS, (*TABLE.rows, wide)), width):
        assert cells_of(line) <= width
    for line in fact_lines([("why", "a reason of many words and averyverylongone")], width):
        assert cells_of(line) <= width


def test_what_a_terminal_obeys_is_replaced() -> None:
    assert printable(hostile()) == "a\ufffd[2Jb\ufffd31m\ufffd[red]c\ufffdd"
    assert lines(Table(COLUMNS, (Row((hostile(), "", "")),)))[1].isprintable()
