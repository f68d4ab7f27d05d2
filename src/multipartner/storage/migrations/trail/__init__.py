"""The history of the trail."""
