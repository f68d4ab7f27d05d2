"""One customer's token, kept fresh. Settings come from the environment, the caller token from a file that only you can read."""

import os
from pathlib import Path

from multipartner.client import Account, Secret, TokenProvider, TokenUnavailable


def main() -> None:
    """Print when the token ends; the token itself stays where it is needed."""
    account = Account(
        os.environ["PARTNER_ORIGIN"],
        app_id=os.environ["PARTNER_APP_ID"],
        caller_token=Secret(Path(os.environ["PARTNER_CALLER_TOKEN_FILE"]).read_text(encoding="ascii").strip()),
    )
    with TokenProvider(account) as tokens:
        key = tokens.key(solution_id=os.environ["SOLUTION_ID"], business_id=os.environ["BUSINESS_ID"])
        try:
            token = tokens.get(key)
        except TokenUnavailable as error:
            print(f"no token: {error}")
        else:
            print(f"{token.fingerprint} ends at {token.expires_at_s}")


if __name__ == "__main__":
    main()
