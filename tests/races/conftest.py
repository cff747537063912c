"""Fixtures of races: databases of their own, and the shop of the service tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.races.clients import Racers, start_racers
from tests.races.web import Site, serve
from tests.services.conftest import fresh_url, jobs, make_shop, pay_service, shop

__all__ = ["fresh_url", "jobs", "make_shop", "pay_service", "shop"]
Serve = Callable[..., AbstractContextManager[Site]]
Report = Callable[[str], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Races run one after the other in one process: several at once would only slow each other down."""
    for item in items:
        if "races/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("races"))


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def serve_anew(
    request: pytest.FixtureRequest, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serve]:
    """Start the product on a new database of each engine; arguments are those of `serve`."""

    @contextmanager
    def start(**values: Any) -> Iterator[Site]:
        folder = tmp_path_factory.mktemp("race")
        with _database(request.param, folder) as url, serve(url, redis_url, folder, **values) as site:
            yield site

    yield start


@pytest.fixture(scope="package")
def racers() -> Iterator[Racers]:
    """Eight processes for every race."""
    with start_racers() as started:
        yield started


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Show the figures of a race, also where output is captured; processes of a parallel run say nothing."""
    plugins = request.config.pluginmanager
    terminal, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")

    def show(text: str) -> None:
        if terminal and capture:
            with capture.global_and_fixture_disabled():
                terminal.write_line(f"\n{request.node.name}: {text}")

    return show


@contextmanager
def _database(engine: str, folder: Path) -> Iterator[str]:
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'race.db'}"
        return
    with servers.postgres_database(servers.start_postgres()) as url:
        yield url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture(scope="package")
def site(serve_anew: Serve) -> Iterator[Site]:
    """The product as it is, shared by all races over HTTP; each takes places of its own."""
    with serve_anew() as running:
        yield running


def sized(**sizes: tuple[Any, Any]) -> Callable[[Any], Any]:
    """Parametrise a race by (CI size, full size) of each named thing."""
    small = pytest.param(*(pair[0] for pair in sizes.values()), id="ci", marks=pytest.mark.races)
    full = pytest.param(*(pair[1] for pair in sizes.values()), id="full", marks=pytest.mark.prove)
    return pytest.mark.parametrize(",".join(sizes), [small, full])
