"""The sources, a module a foreign format: which files, which fields, which tables."""
