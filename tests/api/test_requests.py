"""Requests that cannot be understood, and addresses that do not exist."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator

import pytest
from flask_babel import get_locale
from werkzeug.serving import make_server

from app.services import catalog
from tests import factories
from tests.api.conftest import LogIn
from tests.api.contract import ContractClient

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        pytest.param(b"{", JSON, 400, "malformed", id="cut off"),
        pytest.param(b"[]", JSON, 400, "malformed", id="a list"),
        pytest.param(b'"text"', JSON, 400, "malformed", id="a text"),
        pytest.param(b"null", JSON, 400, "malformed", id="null"),
        pytest.param(b'{"code": NaN}', JSON, 400, "malformed", id="not a number"),
        pytest.param('{"code": "é"}'.encode("latin-1"), JSON, 400, "malformed", id="another encoding"),
        pytest.param(b"\xef\xbb\xbf{}", JSON, 400, "malformed", id="byte order mark"),
        pytest.param(b'{"code": "\\ud800"}', JSON, 400, "malformed", id="lone surrogate"),
        pytest.param(b'{"a":' * 2000 + b"1" + b"}" * 2000, JSON, 400, "malformed", id="too deep"),
        pytest.param(
            b'{"channel":"wechat","code":"a"}', "text/plain", 415, "unsupported_media_type", id="text"
        ),
        pytest.param(
            b"channel=wechat", "application/x-www-form-urlencoded", 415, "unsupported_media_type", id="form"
        ),
        pytest.param(b'{"channel":"wechat"}', JSON, 422, "invalid_field", id="field missing"),
        pytest.param(b"", JSON, 422, "invalid_field", id="empty"),
        pytest.param(
            b'{"channel":"wechat","code":"a","x":1}', JSON, 422, "invalid_field", id="unknown field"
        ),
        pytest.param(b'{"channel":"wechat","code":"a\\u0000"}', JSON, 422, "invalid_field", id="NUL"),
        pytest.param(b'{"channel":"wechat","code":5}', JSON, 422, "invalid_field", id="wrong type"),
        pytest.param(b'{"channel":"wechat","code":null}', JSON, 422, "invalid_field", id="null field"),
        pytest.param(b'{"channel":"sms","code":"a"}', JSON, 422, "invalid_field", id="unknown word"),
    ],
)
def test_body_that_is_not_understood(
    api: ContractClient, body: bytes, content_type: str, status: int, code: str
) -> None:
    answer = api.post("/api/v1/auth/login", data=body, content_type=content_type)
    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_validation_names_the_fields(api: ContractClient) -> None:
    answer = api.post("/api/v1/auth/login", json={"channel": "wechat", "code": "", "x": 1})
    assert set(answer.json["errors"]) == {"code", "x"}
    assert all(isinstance(text, str) for texts in answer.json["errors"].values() for text in texts)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v1/stores/",
        "/api/v1//stores",
        "/api/v1/stores/0",
        "/api/v1/stores/-1",
        "/api/v1/stores/01",
        "/api/v1/stores/2147483648",
        "/api/v1/stores/99999999999999999999",
        "/api/v1/stores/1.5",
        "/api/v1/stores/%00",
        "/api/v1/orders/%00",
        "/api/v1/orders/a b",
        "/api/v1/orders/" + "9" * 65,
        "/api/v1/payments/paypal/notify",
    ],
)
def test_address_that_does_not_exist(api: ContractClient, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_other_method(api: ContractClient) -> None:
    answer = api.delete("/api/v1/stores")
    assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        pytest.param("limit=0", "limit", id="no page"),
        pytest.param("limit=101", "limit", id="too large a page"),
        pytest.param("limit=ten", "limit", id="words"),
        pytest.param("cursor=zzz", "cursor", id="cursor of nobody"),
        pytest.param("cursor=%C3%A9", "cursor", id="cursor outside ASCII"),
        pytest.param("lat=31", "lng", id="half a position"),
        pytest.param("lat=91&lng=0", "lat", id="beyond the pole"),
        pytest.param("lat=nan&lng=0", "lat", id="no number"),
        pytest.param("order=name", "order", id="unknown parameter"),
    ],
)
def test_query_that_is_not_understood(api: ContractClient, query: str, field: str) -> None:
    answer = api.get(f"/api/v1/stores?{query}")
    assert (answer.status_code, answer.json["code"]) == (422, "invalid_field")
    assert field in answer.json["errors"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2026-03-04T18:00:00", id="no offset"),
        pytest.param("2026-03-04", id="a date"),
        pytest.param("1772618400", id="a number"),
        pytest.param("2026-02-30T18:00:00Z", id="no such day"),
        pytest.param("2026-03-04T24:30:00Z", id="no such hour"),
        pytest.param("2026-03-04T18:00:00+25:00", id="no such offset"),
        pytest.param("0001-01-01T00:00:00+14:00", id="before time"),
        pytest.param("9999-12-31T23:59:59-14:00", id="after time"),
        pytest.param("２０２６-03-04T18:00:00Z", id="other digits"),
    ],
)
def test_instant_that_is_not_understood(api: ContractClient, text: str) -> None:
    answer = api.post("/api/v1/quotes", json={"room_id": "1", "start_at": text})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["start_at"])


@pytest.mark.parametrize("value", [0, -1, 2**31, True, 1.5, "0", "x", "１", [], {}])
def test_id_that_is_not_understood(api: ContractClient, value: object) -> None:
    answer = api.post("/api/v1/quotes", json={"room_id": value, "start_at": "2026-03-04T18:00:00Z"})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["room_id"])


def test_ownership_comes_before_the_body(api: ContractClient, log_in: LogIn) -> None:
    answer = api.post("/api/v1/orders/B123/cancel", data=b"{", content_type=JSON, headers=log_in())
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_token_comes_before_everything(api: ContractClient) -> None:
    answer = api.post("/api/v1/orders/B123/cancel", data=b"{", content_type="text/plain")
    assert (answer.status_code, answer.json["code"]) == (401, "token_missing")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "zh"),
        ("zh-CN,zh;q=0.9", "zh"),
        ("zh-TW", "zh_Hant"),
        ("zh-Hant-HK;q=0.8, en;q=0.1", "zh_Hant"),
        ("en-GB", "en"),
        ("fr, en;q=0.5", "en"),
        ("en;q=0, fr", "zh"),
        (";;;", "zh"),
    ],
)
def test_language_of_the_request(
    api: ContractClient, monkeypatch: pytest.MonkeyPatch, header: str | None, language: str
) -> None:
    spoken: list[str] = []

    def listen(**kwargs: object) -> list[object]:
        spoken.append(str(get_locale()))
        return []

    monkeypatch.setattr(catalog, "list_stores", listen)
    answer = api.get("/api/v1/stores", headers={"Accept-Language": header} if header else {})
    assert (answer.status_code, spoken) == (200, [language])


def test_failure_tells_nothing(api: ContractClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**kwargs: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(catalog, "list_stores", fail)
    answer = api.get("/api/v1/stores")
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert "secret" not in answer.get_data(as_text=True)


def test_cookie_of_the_back_office_is_not_touched(api: ContractClient) -> None:
    with api.session_transaction() as session:
        session["locale"] = "en"
        session.permanent = True
    answer = api.get("/api/v1/stores")
    assert "Set-Cookie" not in answer.headers
    assert "Cookie" not in answer.headers.get("Vary", "")


@pytest.fixture
def address(api: ContractClient) -> Iterator[tuple[str, int]]:
    """Where the application answers on a real socket."""
    server = make_server("127.0.0.1", 0, api.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[:2]  # type: ignore[misc]
    server.shutdown()
    thread.join()
    server.server_close()


def _exchange(address: tuple[str, int], request: bytes) -> bytes:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


HEAD = b"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
PATHS = [b"/api/v1/auth/login", b"/api/v1/bookings", b"/api/v1/nothing", b"/api/v1/stores"]


@pytest.mark.parametrize("path", PATHS)
def test_too_large_a_body_is_read_and_dropped(address: tuple[str, int], path: bytes) -> None:
    size = 8 * 1024 * 1024
    answer = _exchange(address, HEAD % path + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"too_large"' in answer


@pytest.mark.parametrize("path", PATHS)
def test_too_large_a_chunked_body_is_read_and_dropped(address: tuple[str, int], path: bytes) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    body = chunk * 64 + b"0\r\n\r\n"
    answer = _exchange(address, HEAD % path + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_chunked_body_is_understood(address: tuple[str, int]) -> None:
    body = b"2\r\n{}\r\n0\r\n\r\n"
    answer = _exchange(address, HEAD % PATHS[0] + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 422 ")


def test_chunks_that_are_none_are_malformed(api: ContractClient) -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ValueError("Invalid chunk size")

    environ = {"wsgi.input": Broken(), "wsgi.input_terminated": True}
    answer = api.post("/api/v1/auth/login", environ_overrides=environ)
    assert (answer.status_code, answer.json["code"]) == (400, "malformed")


def test_body_of_one_mebibyte_is_understood(api: ContractClient) -> None:
    filler = b" " * (1024 * 1024 - 2)
    assert api.post("/api/v1/auth/login", data=b"{" + filler + b"}", content_type=JSON).status_code == 422
    assert api.post("/api/v1/auth/login", data=b"{ " + filler + b"}", content_type=JSON).status_code == 413


def test_store_scope_of_the_caller_is_given_back(api: ContractClient) -> None:
    store = factories.make_store()
    assert api.get(f"/api/v1/stores/{store.id}").status_code == 200
    assert factories.make_room(store).store_id == store.id
