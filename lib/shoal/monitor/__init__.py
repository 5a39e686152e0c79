"""Watching data and models: drift; quality and alerts come here."""
