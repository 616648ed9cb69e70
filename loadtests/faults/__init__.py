"""A campaign of faults against `sidecar run` on real Kafka, and the judge of what it wrote.

What judges stands on its own: `history`, `judge`, `books`, `state`, `reading`, `aborted` and
`watch` import nothing of the product, and read Kafka with another client library than its own.
"""
