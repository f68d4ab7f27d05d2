"""The reference provider, and wrong ones, as the kit takes them."""

from multipartner.testing.torture import Ability, Adapter, Endpoint
from torture.reference import Reference

EVERYTHING = Ability.SYNC | Ability.ASYNC | Ability.TENANTS | Ability.REJECT | Ability.FORK | Ability.CLOCK


class ReferenceAdapter(Adapter):
    abilities = EVERYTHING

    def __init__(self, kind: type[Reference] = Reference, patience_s: float = 10.0) -> None:
        self.kind = kind
        self.patience_s = patience_s
        self.name = kind.__name__

    def make(self, endpoint: Endpoint) -> Reference:
        return self.kind(endpoint)
