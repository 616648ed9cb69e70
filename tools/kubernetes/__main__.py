"""Writes the files for Kubernetes that are made of others."""

from tools.kubernetes.write import texts

for path, text in texts().items():
    path.write_text(text, encoding="utf-8")
