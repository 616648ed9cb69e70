"""Files of `deploy` for Kubernetes that are made of others: `python -m tools.kubernetes`."""
