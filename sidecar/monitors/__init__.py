"""Observers of decided batches. They keep counts and can never slow or stop a decision."""
