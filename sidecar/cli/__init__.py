"""One file per command: arguments and exit codes, then a call."""
