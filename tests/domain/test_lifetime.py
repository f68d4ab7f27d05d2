"""Windows: the same everywhere, spread over customers, and always half a life left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multipartner.domain.lifetime import Lifetime, phase_s, window_at
from multipartner.domain.model import AppId, BusinessId, SolutionId, Tenant

ids = st.text("0123456789", min_size=1, max_size=20)
tenants = st.builds(Tenant, app_id=ids.map(AppId), solution_id=ids.map(SolutionId), business_id=ids.map(BusinessId))
lifetimes = st.integers(2, 86_400).flatmap(lambda life: st.builds(Lifetime, st.just(life), st.integers(1, life // 2)))


@given(tenants, st.integers(10**9, 10**10), lifetimes)
def test_a_window_holds_its_moment_and_leaves_half_a_life(tenant: Tenant, wall_s: int, lifetime: Lifetime) -> None:
    """Whoever asks receives a token that lives at least lifetime minus re-issue interval from now."""
    window = window_at(tenant, wall_s, lifetime)

    assert window.starts_at_s <= wall_s < window.renews_at_s
    assert window.expires_at_s - wall_s >= lifetime.lifetime_s - lifetime.reissue_s
    assert window.expires_at_s - window.starts_at_s == lifetime.lifetime_s
    assert window_at(tenant, window.starts_at_s, lifetime) == window == window_at(tenant, window.renews_at_s - 1, lifetime)


def test_customers_are_spread_over_the_window() -> None:
    """No tenth of the window holds much more than a tenth of ten thousand customers' renewals."""
    lifetime = Lifetime()
    tenths = [0] * 10
    for n in range(10_000):
        tenant = Tenant(AppId("510000000000101"), SolutionId("6100000000000201"), BusinessId(str(70_000_000_000_000 + n)))
        tenths[phase_s(tenant, lifetime) * 10 // lifetime.reissue_s] += 1

    assert 900 < min(tenths) <= max(tenths) < 1100


@pytest.mark.parametrize(("life", "reissue"), [(3600, 1801), (3600, 0), (1, 1)])
def test_a_lifetime_without_half_a_life_is_refused(life: int, reissue: int) -> None:
    """A re-issue interval over half the lifetime is an error with both numbers in it."""
    with pytest.raises(ValueError, match=f"{reissue}.*{life}"):
        Lifetime(life, reissue)
