"""Keeps facts and trail; answers the questions in `ports` and no others."""
