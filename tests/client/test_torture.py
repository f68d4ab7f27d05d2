"""Our client under the torture kit, with its own transport and without."""

from benchmarks.token_providers.ours import Ours, OursOverHttp

from multipartner.testing.torture import TortureKit


class TestOurs(TortureKit):
    """Every probe holds when the endpoint is called in process."""

    adapter = Ours()


class TestOursOverHttp(TortureKit):
    """Every probe holds when the endpoint is a socket."""

    adapter = OursOverHttp()
