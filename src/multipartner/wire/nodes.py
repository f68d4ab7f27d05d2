"""What each kind of node tells (contract: Business, WhatsAppBusinessAccount, WhatsAppBusinessAccountPhoneNumber and others).

Fields of the contract that the facts do not know are not served: asking for one is refused, and none is made up.
"""

from types import MappingProxyType
from typing import Final

from multipartner.domain.graph import AppNode, SolutionNode
from multipartner.domain.nodes import BusinessNode, PhoneNumberNode, SystemUserNode, WabaNode
from multipartner.wire.fields import Field, Kind
from multipartner.wire.solutions import APP, SOLUTION, instant

_NAMED: Final = {"id": Field(lambda node: node.id), "name": Field(lambda node: node.name)}

BUSINESS: Final = Kind(_NAMED, ("id", "name"))

CUSTOMER: Final = Kind(
    {
        "id": Field(lambda sight: sight.node.id),
        "name": Field(lambda sight: sight.node.name),
        "created_time": Field(lambda sight: instant(sight.connected_at_s)),
    },
    ("id", "name"),
)
"""A connected business; `created_time` is the connection's."""

WABA: Final = Kind({**_NAMED, "on_behalf_of_business_info": Field(lambda node: node.owner, BUSINESS)}, ("id", "name"))
"""`on_behalf_of_business_info` is the business that owns it: a partner asks for tokens by its id."""

PHONE_NUMBER: Final = Kind(
    {
        "id": Field(lambda node: node.id),
        "display_phone_number": Field(lambda node: node.display_phone_number),
        # All numbers that there are belong to a WABA: that is what the contract's word says.
        "status": Field(lambda _: "LINKED"),
    },
    ("id", "display_phone_number", "status"),
)

GRANTEE: Final = Kind(
    {"id": Field(lambda node: node.id), "client_business_id": Field(lambda node: node.client_business_id)},
    ("id", "client_business_id"),
)

KINDS: Final = MappingProxyType[type, Kind](
    {
        BusinessNode: BUSINESS,
        AppNode: APP,
        SolutionNode: SOLUTION,
        WabaNode: WABA,
        PhoneNumberNode: PHONE_NUMBER,
        SystemUserNode: Kind(_NAMED, ("id", "name")),
    }
)
"""By what was found under an id: another kind is another line."""
