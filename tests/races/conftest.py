"""Fixtures of races: databases of their own, and the shop of the service tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.races.clients import Racers, start_racers
from tests.races.fast_clock import FastClock, start_clock
from tests.races.tally import Tally
from tests.races.web import PayService, Site, serve, serve_payments
from tests.services.conftest import fresh_url, jobs, make_shop, pay_service, shop

__all__ = ["fresh_url", "jobs", "make_shop", "pay_service", "shop"]
Serve = Callable[..., AbstractContextManager[Site]]
Report = Callable[[str], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Races run one after the other in one process: several at once would only slow each other down."""
    for item in items:
        if "races/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("races"))


@pytest.fixture(scope="session")
def race_clock() -> FastClock:
    """The clock of everything that runs in a race over HTTP."""
    return start_clock()


@pytest.fixture(scope="session")
def pay_sandbox(race_clock: FastClock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PayService]:
    """The payment service of all races over HTTP."""
    with serve_payments(tmp_path_factory.mktemp("sandbox"), race_clock) as running:
        yield running


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def serve_anew(
    request: pytest.FixtureRequest,
    redis_url: str,
    pay_sandbox: PayService,
    race_clock: FastClock,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Serve]:
    """Start the product on a new database of each engine; arguments are those of `serve`."""

    @contextmanager
    def start(**values: Any) -> Iterator[Site]:
        folder = tmp_path_factory.mktemp("race")
        with (
            _database(request.param, folder) as url,
            serve(url, redis_url, folder, pay_service=pay_sandbox, clock=race_clock, **values) as site,
        ):
            yield site

    yield start


@pytest.fixture(scope="session")
def racers() -> Iterator[Racers]:
    """Eight processes for every race."""
    with start_racers() as started:
        yield started


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Write a line also where output is captured; processes of a parallel run say nothing."""
    plugins = request.config.pluginmanager
    terminal, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")

    def write(text: str) -> None:
        if terminal and capture:
            with capture.global_and_fixture_disabled():
                terminal.write_line(text)

    return write


@pytest.fixture
def report(request: pytest.FixtureRequest, say: Callable[[str], None]) -> Report:
    """Show the figures of a race."""
    return lambda text: say(f"\n{request.node.name}: {text}")


@pytest.fixture(scope="session")
def tally(say: Callable[[str], None]) -> Iterator[Tally]:
    """Every race over HTTP, shown together at the end."""
    counted = Tally()
    yield counted
    say("\n" + "\n".join(counted.lines()))


@contextmanager
def _database(engine: str, folder: Path) -> Iterator[str]:
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'race.db'}"
        return
    with servers.postgres_database(servers.start_postgres()) as url:
        yield url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture(scope="session")
def site(serve_anew: Serve) -> Iterator[Site]:
    """The product as it is, shared by all races over HTTP; each takes places of its own."""
    with serve_anew() as running:
        yield running


@pytest.fixture(scope="session")
def bare_site(serve_anew: Serve) -> Iterator[Site]:
    """The product without its protection, shared by the controls."""
    with serve_anew(is_protected=False) as running:
        yield running


def sized(**sizes: tuple[Any, Any]) -> Callable[[Any], Any]:
    """Parametrise a race by (CI size, full size) of each named thing."""
    small = pytest.param(*(pair[0] for pair in sizes.values()), id="ci", marks=pytest.mark.races)
    full = pytest.param(*(pair[1] for pair in sizes.values()), id="full", marks=pytest.mark.prove)
    return pytest.mark.parametrize(",".join(sizes), [small, full])
