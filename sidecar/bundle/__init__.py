"""The model bundle: model, signature, thresholds and reference, versioned as one folder."""
