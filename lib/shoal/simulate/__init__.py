"""A seeded social world with planted truth, written as the raw files that `shoal ingest` reads.

`world` has the parameters, `tables` gives its tables as DataFrames, `write` writes them. Every fact about a
person, an item or an event is a pure function of (seed, stream, number), so any task can evaluate it for any other row
without a join, and the result does not depend on partitions (docs/adr/0030-simulated-world.md).
"""
