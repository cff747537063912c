"""HTTP for the walkthrough, from the standard library alone: JSON, forms, cookies, no redirects followed."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any, NoReturn

SECONDS = 20
CSRF_FIELD = re.compile(r"<input[^>]*name=\"csrf_token\"[^>]*>", re.S)
VALUE = re.compile(r"value=\"([^\"]*)\"")


class Surprise(Exception):
    """Something was not as documented."""


def surprise(text: str, answer: Answer | None = None) -> NoReturn:
    """End the present part with what was found."""
    raise Surprise(text if answer is None else f"{text}\n      got {answer}")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    method: str
    path: str
    status: int
    headers: Message
    body: bytes

    @property
    def data(self) -> Any:
        """The body as JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            surprise("the answer is not JSON", self)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def code(self) -> str | None:
        """The stable code of a problem document."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return None
        return found.get("code") if isinstance(found, dict) else None

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status} {self.text[:400]}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        """Hand the redirect to the caller."""


class Client:
    """One person's connection: their cookies or their token go with every request."""

    def __init__(self, base: str, token: str | None = None) -> None:
        self._base = base.rstrip("/")
        self.token = token
        self._opener = urllib.request.build_opener(
            # Whatever proxy the machine has is not for addresses of this machine.
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(CookieJar()),
            _NoRedirect,
        )

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        form: dict[str, str] | None = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request and return its answer, whatever the status. Raises Surprise when none came."""
        sent = {"Accept": "application/json", **(headers or {})}
        if body is not None:
            raw = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        elif form is not None:
            raw = urllib.parse.urlencode(form).encode()
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        request = urllib.request.Request(self._base + path, data=raw, method=method, headers=sent)  # noqa: S310
        try:
            with self._opener.open(request, timeout=SECONDS) as found:
                return Answer(method, path, found.status, found.headers, found.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(method, path, refused.code, refused.headers, refused.read())
        except OSError as error:
            surprise(f"{method} {self._base}{path} was not answered: {error}")

    def get(self, path: str, status: int = 200, **named: Any) -> Answer:
        """GET and require a status."""
        return expect(self.request("GET", path, **named), status)

    def post(self, path: str, body: Any = None, status: int = 200, **named: Any) -> Answer:
        """POST JSON (an empty object by default) and require a status."""
        return expect(self.request("POST", path, {} if body is None else body, **named), status)


class Desk(Client):
    """A member of staff in the back office: a cookie session, and the CSRF token that every form carries."""

    def __init__(self, base: str, username: str, password: str) -> None:
        super().__init__(base)
        self.username = username
        page = self.get("/login/", headers={"Accept": "text/html"})
        form = {"username": username, "password": password, "csrf_token": csrf_token(page)}
        answer = self.request("POST", "/login/", form=form, headers={"Accept": "text/html"})
        if answer.status != 302 or "/login" in (answer.headers["Location"] or ""):
            surprise(f"{username} cannot log in", answer)
        home = self.get("/", headers={"Accept": "text/html"})
        self._token = csrf_token(home)

    def submit(self, path: str, form: dict[str, str] | None = None, status: int | None = 200) -> Answer:
        """Post a form of the back office, asking for JSON, and require a status, if one is given."""
        fields = {**(form or {}), "csrf_token": self._token}
        answer = self.request("POST", path, form=fields)
        return answer if status is None else expect(answer, status)

    def fill(self, path: str, changes: dict[str, str]) -> Answer:
        """Open a form, change some of its fields and send it; the answer of a saved form is a redirect."""
        kept = [pair for pair in read_form(self.page(path)) if pair[0] not in changes]
        raw = urllib.parse.urlencode([*kept, *changes.items()]).encode()
        headers = {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}
        return self.request("POST", path, raw=raw, headers=headers)

    def page(self, path: str) -> Answer:
        """Open a page, following redirects inside the back office."""
        for _ in range(5):
            answer = self.request("GET", path, headers={"Accept": "text/html"})
            if answer.status not in (301, 302, 303, 307, 308):
                return expect(answer, 200)
            path = urllib.parse.urljoin(path, answer.headers["Location"] or "/")
            if path.startswith("http"):
                path = path[len(self._base) :]
        surprise("the page redirects for ever", answer)


class FormReader(HTMLParser):
    """Collects what the forms of a page would send, untouched: pairs of name and value in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[str, str]] = []
        self._select = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take the value of a field, or the chosen option of a select."""
        found = dict(attributes)
        name, value = found.get("name") or "", found.get("value") or ""
        if tag == "select":
            self._select = name
        elif tag == "option" and "selected" in found and self._select:
            self.pairs.append((self._select, value))
        elif tag == "input" and name:
            if found.get("type") != "checkbox":
                self.pairs.append((name, value))
            elif "checked" in found:
                self.pairs.append((name, value or "y"))

    def handle_endtag(self, tag: str) -> None:
        """Options belong to the select around them."""
        if tag == "select":
            self._select = ""


def read_form(page: Answer) -> list[tuple[str, str]]:
    """Return what the form of a page would send."""
    reader = FormReader()
    reader.feed(page.text.partition("<main")[2].partition("</main>")[0])
    return reader.pairs


def csrf_token(page: Answer) -> str:
    """Return the token that a page's form carries."""
    field = CSRF_FIELD.search(page.text)
    value = VALUE.search(field.group(0)) if field else None
    if value is None:
        surprise(f"the page {page.path} has no CSRF token")
    return value.group(1)


def expect(answer: Answer, status: int, code: str | None = None) -> Answer:
    """Return the answer if it has the status (and the code of its problem document)."""
    if answer.status != status:
        surprise(f"expected status {status}", answer)
    if code is not None and answer.code != code:
        surprise(f"expected code {code}", answer)
    if status >= 400 and not str(answer.headers["Content-Type"]).startswith("application/problem+json"):
        surprise("a refusal is no problem document", answer)
    return answer
