"""Measured claims, each beside a named peer, run in turn on the same machine: `make bench`."""
