"""Granular access tokens for multi-partner solutions."""

__version__ = "0.1.0"
