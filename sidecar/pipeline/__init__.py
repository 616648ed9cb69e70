"""Pure stages from batch to batch: no clock, no logging, no await."""
