"""Streams of events: the Kafka client's settings and the checkpoints of a stream."""
