"""One file per refusal: what a caller reads, trace id aside. Run this file to write them anew after a change of the table."""

import json
from pathlib import Path
from typing import Any

from multipartner.domain.reasons import Reason
from multipartner.wire import refusals
from multipartner.wire.headers import challenge

FOLDER = Path(__file__).parent / "http" / "golden"
TRACE_ID = "A" + "-" * 22


def golden_of(reason: Reason) -> dict[str, Any]:
    """What the table says is answered for a reason."""
    challenged = challenge(reason)
    return {
        "status": refusals.ROWS[reason].status,
        "www-authenticate": challenged[1].decode() if challenged else None,
        "body": json.loads(refusals.render(reason, TRACE_ID)),
    }


def stored(reason: Reason) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{reason.value}.json").read_text("utf-8")))


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for reason in Reason:
        text = json.dumps(golden_of(reason), indent=2, ensure_ascii=False)
        (FOLDER / f"{reason.value}.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    write()
