"""The client behind the contract's own path, for services in other languages."""
