"""Bytes in, bytes out: signing, sealing, fingerprints."""
