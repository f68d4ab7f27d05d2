"""For resource servers: whether a granular token is good, and good for this WABA."""

from multipartner.verify.offline import NeedsIntrospection, NotPermitted, OfflineVerifier, TokenRefused

__all__ = ["NeedsIntrospection", "NotPermitted", "OfflineVerifier", "TokenRefused"]
