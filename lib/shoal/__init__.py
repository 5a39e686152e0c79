"""Shoal: Spark batch jobs from a social product's raw records to Delta tables that people query."""

__version__ = "0.1.0"
