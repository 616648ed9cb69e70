"""What the sidecar costs when things go wrong, with other inputs, wider and split up."""
