"""A Spark master and two workers that see nothing of the driver."""
