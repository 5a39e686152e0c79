"""Texts and pictures that are nearly the same."""
