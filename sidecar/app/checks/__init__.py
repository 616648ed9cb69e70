"""What is checked before a sidecar starts: small functions, in one list per subject."""
