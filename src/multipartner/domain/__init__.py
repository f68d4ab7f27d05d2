"""What is true and what follows from it. Pure: no clock, no I/O, no async."""
