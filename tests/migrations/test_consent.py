"""What a consent makes of a share, for every share and consent there can be."""

from hypothesis import given
from hypothesis import strategies as st

from multipartner.domain.consent import Consent, consented, entered, left
from multipartner.domain.model import AppId, BusinessId, Permission, SolutionId, WabaId
from multipartner.domain.world import Share, ShareStatus

BUSINESS, SOLUTION = BusinessId("201"), SolutionId("401")
WABAS = st.frozensets(st.sampled_from([WabaId("501"), WabaId("502"), WabaId("503")]), min_size=1)
PERMISSIONS = st.frozensets(st.sampled_from(Permission), min_size=1)
CONSENTS = st.builds(Consent, st.just(BUSINESS), st.just(SOLUTION), WABAS, PERMISSIONS)
ONE = st.sampled_from([WabaId("501"), WabaId("502"), WabaId("503")])


@st.composite
def shares(draw: st.DrawFn) -> Share:
    made = consented(None, draw(CONSENTS))
    revoked = (AppId("301"),) if draw(st.booleans()) else ()
    return Share(BUSINESS, SOLUTION, made.wabas, made.permissions, draw(st.sampled_from(ShareStatus)), revoked)


def reach(share: Share | None) -> set[tuple[str, Permission]]:
    """All that a share lets anybody do."""
    if share is None or share.status is ShareStatus.WITHDRAWN:
        return set()
    return {(waba, permission) for waba in share.wabas for permission in share.permissions}


@given(st.none() | shares(), CONSENTS)
def test_a_consent_says_it_all(now: Share | None, consent: Consent) -> None:
    """Attack 38: after a consent exactly what it names is shared, whatever was before; a revoked grant stays revoked."""
    share = consented(now, consent)

    assert reach(share) == {(waba, permission) for waba in consent.waba_ids for permission in consent.permissions}
    assert share.revoked_apps == (now.revoked_apps if now else ())
    assert consented(share, consent) == share


@given(st.none() | shares(), ONE, PERMISSIONS)
def test_who_enters_widens_nothing_for_others(now: Share | None, waba: WabaId, permissions: frozenset[Permission]) -> None:
    """Attack 38: a WABA that enters brings its own reach and leaves that of all others as it is, or it does not enter."""
    share = entered(now, Consent(BUSINESS, SOLUTION, frozenset({waba}), permissions))

    if share is None:
        assert now is not None
        assert frozenset(now.permissions) != permissions
    else:
        assert reach(share) == reach(now) | {(waba, permission) for permission in permissions}


@given(shares(), ONE)
def test_who_leaves_takes_only_its_own(now: Share, waba: WabaId) -> None:
    """A WABA that leaves takes its own reach and nothing else; a share that did not let it in is not left."""
    share = left(now, waba)

    if share is None:
        assert waba not in {reached for reached, _ in reach(now)}
    else:
        assert reach(share) == {(other, permission) for other, permission in reach(now) if other != waba}
        assert share.wabas
        assert share.revoked_apps == now.revoked_apps
