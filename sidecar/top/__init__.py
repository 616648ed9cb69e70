"""`sidecar top`: running sidecars in a terminal, watched over their HTTP API."""
