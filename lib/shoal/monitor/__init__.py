"""Watching data, models and runs: drift, quality, alerts."""
