"""The corridor: five stations in order, with their caches, their limiter and their explanations."""
