import re
import subprocess
from pathlib import Path

import pytest

from tools.pages import Block, blocks, main, pattern, script

PAGE = """# Page

```sh
echo not marked
```

<!-- file: name.txt -->
```text
$USER
```

<!-- run -->
```sh
cat name.txt
```

<!-- output -->
```text
$USER
```
"""


def test_marked_blocks_are_found_in_order() -> None:
    assert blocks(PAGE) == [
        Block("file", "name.txt", "$USER\n"),
        Block("run", "", "cat name.txt\n"),
        Block("output", "", "$USER\n"),
    ]


def test_a_script_writes_files_as_they_are_and_announces_what_it_runs(tmp_path: Path) -> None:
    text = script(blocks(PAGE), lambda number, block: f"{number}: it's {block.text.strip()}")

    done = subprocess.run(
        ["bash", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout == "1: it's cat name.txt\n$USER\n"


def test_three_dots_stand_for_anything_and_nothing_else_does() -> None:
    expected = pattern("one ... three\n...\nend.\n")

    assert re.fullmatch(expected, "one two three\nwhatever\nelse\nend.\n")
    assert not re.fullmatch(expected, "one two three\nend!\n")


def test_pages_run_in_a_copy_until_a_command_fails(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, command in (
        ("good", "echo fine"),
        ("bad", "false\necho on"),
        ("last", "echo no"),
    ):
        (tmp_path / "docs" / name).mkdir(parents=True)
        page = f"<!-- run -->\n```sh\n{command}\n```\n"
        (tmp_path / "docs" / name / "README.md").write_text(page)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "old.txt").write_text("of the last time")

    code = main(str(tmp_path / "docs"), str(tmp_path / "work"), "good", "bad", "last")

    printed = capfd.readouterr()
    assert code == 1
    assert "$ echo fine\nfine\n" in printed.out
    assert "=== last" not in printed.out
    assert printed.err == "=== bad failed, exit code 1\n"
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == [
        "bad",
        "good",
        "last",
    ]
