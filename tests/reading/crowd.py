"""A world with many customers: enough for pages, scans and their ends, and what each list of it should have."""

from typing import Final

import yaml

OWNER, PARTNER = "510000000000001", "520000000000001"
HOME, ELSEWHERE = "110000000000001", "120000000000001"
USER, OTHER_USER = "710000000000001", "720000000000001"
CUSTOMERS: Final = 130
SOLUTIONS: Final = tuple(f"61000000000{n:04}" for n in range(9))
"""The first is the one that customers share with; the owner has them all, in the last three as the partner."""
OWN_WABAS: Final = tuple(f"8100000000{n:05}" for n in range(1, 27))
NUMBERS: Final = tuple(f"9100000000{n:05}" for n in range(1, 31))
"""Of the first own WABA."""


def customer(n: int) -> str:
    """Ids of several lengths, so that text order is not the numbers'."""
    return f"{n * 7 + 3}".ljust(15 + n % 3, "0")


def wabas_of(n: int) -> tuple[str, ...]:
    """One WABA, or three: every one of a customer that shares, and one more that it keeps."""
    return tuple(f"{n + 1}{kind}".ljust(15 + n % 2, "5") for kind in range(1, 3 + 2 * (n % 5 == 0)))


def shares(n: int) -> bool:
    """Two in three do; a stretch of 60 in the middle took it back."""
    return n % 3 > 0 and not 30 <= n < 90


def shared_of(n: int) -> tuple[str, ...]:
    return wabas_of(n)[:-1]


def crowd() -> str:
    """The world as a file."""
    own = [{"id": waba, "name": "Own"} for waba in OWN_WABAS]
    own[0]["phone_numbers"] = [{"id": n, "display_phone_number": f"+1 555 {n[-5:]}"} for n in NUMBERS]  # type: ignore[assignment] # a list
    customers = [
        {"id": customer(n), "name": f"Customer {n}", "wabas": [{"id": waba, "name": "Shop"} for waba in wabas_of(n)]}
        for n in range(CUSTOMERS)
    ]
    sides = [(OWNER, PARTNER)] * 6 + [(PARTNER, OWNER)] * 3
    return yaml.safe_dump(
        {
            "version": 1,
            "businesses": [
                {"id": HOME, "name": "Home", "wabas": own},
                {"id": ELSEWHERE, "name": "Elsewhere"},
                *customers,
            ],
            "apps": [
                {"id": OWNER, "business": HOME, "name": "Owner"},
                {"id": PARTNER, "business": ELSEWHERE, "name": "Partner"},
            ],
            "system_users": [
                {"id": USER, "business": HOME, "name": "Robot"},
                {"id": OTHER_USER, "business": ELSEWHERE, "name": "Other robot"},
            ],
            "solutions": [
                {
                    "id": id_,
                    "name": f"Solution {id_[-2:]}",
                    "status": "ACTIVE",
                    "owner": {"app": owner, "messaging": True},
                    "partner": {"app": partner, "messaging": False},
                }
                for id_, (owner, partner) in zip(SOLUTIONS, sides, strict=True)
            ],
            "shares": [
                {
                    "business": customer(n),
                    "solution": SOLUTIONS[0],
                    "wabas": list(shared_of(n)),
                    "permissions": ["whatsapp_business_management"],
                    **({} if shares(n) else {"status": "withdrawn"}),
                }
                for n in range(CUSTOMERS)
            ],
        },
        sort_keys=False,
    )


LISTS: Final = {
    f"{OWNER}/connected_client_businesses": sorted(customer(n) for n in range(CUSTOMERS)),
    f"{HOME}/connected_client_businesses": sorted(customer(n) for n in range(CUSTOMERS)),
    f"{OWNER}/whatsapp_business_solutions": sorted(SOLUTIONS),
    f"{OWNER}/whatsapp_business_solutions?role=PARTNER": sorted(SOLUTIONS[6:]),
    f"{HOME}/owned_whatsapp_business_accounts": sorted(OWN_WABAS),
    f"{customer(10)}/owned_whatsapp_business_accounts": sorted(shared_of(10)),
    f"{customer(30)}/owned_whatsapp_business_accounts": [],
    f"{OWN_WABAS[0]}/phone_numbers": sorted(NUMBERS),
    f"{OWN_WABAS[1]}/phone_numbers": [],
    f"{shared_of(10)[0]}/solutions": [SOLUTIONS[0]],
    f"{HOME}/client_whatsapp_business_accounts": [
        waba for n in sorted(range(CUSTOMERS), key=customer) if shares(n) for waba in sorted(shared_of(n))
    ],
}
"""What the owner's caller is told by each list, in the list's order."""
