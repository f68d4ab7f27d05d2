"""What people test with: a pytest plugin, and the torture kit for token providers."""
