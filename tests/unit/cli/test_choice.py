"""Words of closed lists on the command line: a misspelt one is met with the nearest."""

import pytest
from click.testing import CliRunner

from sidecar.cli.main import cli


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("schema decisions", "Did you mean `decision`?"),
        ("completion bahs", "Did you mean `bash`?"),
        ("check --format jsn x", "Did you mean `json`?"),
        ("dlq list --code malformed_jsn x", "Did you mean `malformed_json`?"),
        ("dlq list --stage decoed x", "Did you mean `decode`?"),
        ("replay --input-format tables x y", "Did you mean `table`?"),
        ("bundle build --activation softmx", "Did you mean `softmax`?"),
        ("checks x", "Did you mean `check`?"),
        ("dlq lst x", "Did you mean 'list'?"),
        ("check --conect x", "Did you mean '--connect'?"),
    ],
)
def test_the_nearest_word_is_suggested(line: str, hint: str) -> None:
    result = CliRunner().invoke(cli, line.split())

    assert (result.exit_code, hint in result.output) == (2, True), result.output


def test_a_word_that_is_like_none_is_met_with_the_list() -> None:
    result = CliRunner().invoke(cli, ["schema", "zzz"])

    assert result.exit_code == 2
    assert "Did you mean" not in result.output
    assert "'decision'" in result.output
