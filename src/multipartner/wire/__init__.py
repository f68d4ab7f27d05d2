"""The published contract as data, both directions: the service prints what the client parses."""
