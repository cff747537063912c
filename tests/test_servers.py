"""The servers of the tests are real, separate and leave nothing behind."""

from __future__ import annotations

import psycopg
import pytest
import redis

from tests.servers import postgres_database, postgres_server, redis_server, start_postgres


@pytest.mark.faults
def test_postgres_keeps_committed_rows_over_a_crash_and_removes_its_folder() -> None:
    with postgres_server() as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION btree_gist")
            connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
        server.crash()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url, connect_timeout=1)
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT value FROM kept").fetchone() == (7,)

    assert not server.folder.exists()


@pytest.mark.faults
def test_redis_can_hang_and_come_back() -> None:
    with redis_server() as server:
        client = redis.Redis.from_url(server.url, socket_timeout=0.2, retry=None)
        client.set("key", "value")
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.get("key")
        server.resume()
        assert client.get("key") == b"value"
        server.crash()
        with pytest.raises(redis.ConnectionError):
            client.get("key")

    assert not server.folder.exists()


def test_database_of_a_test_is_dropped_although_someone_is_connected() -> None:
    server_url = start_postgres()
    with postgres_database(server_url) as url:
        connection = psycopg.connect(url)
        assert url != server_url

    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)
