"""Writes the dashboards."""

from tools.dashboards.write import FOLDER, texts

for name, text in texts().items():
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / name).write_text(text, encoding="utf-8")
