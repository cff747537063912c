"""Callbacks to the merchant: first attempt at once, retries on the service's schedule, faults in between."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import requests
import urllib3.exceptions

from sandbox.faults import Fault, Faults
from sandbox.settings import Settings
from sandbox.state import Store
from sandbox.tasks import LEASE_SECONDS, Tasks

log = logging.getLogger(__name__)

TASK = "notify"
COPIES_AT_A_TIME = 8


@dataclass
class Notification:
    """One callback; every retry and every repetition is made from the same body.

    key: what it is about, unique (for example wechat:payment:<number>:<event>); operation: payment or refund;
    status: HTTP status of the last answer, 0 when there was none.
    """

    key: str
    channel: str
    operation: str
    url: str
    body: str
    attempts: int = 0
    is_delivered: bool = False
    status: int = 0
    fate: str = "waiting"


@dataclass(frozen=True)
class Delivery:
    """What a first attempt came to; control paths answer it."""

    delivered: bool
    status: int
    fate: str

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return asdict(self)


NOT_SENT = Delivery(delivered=False, status=0, fate="not_sent")


@dataclass(frozen=True)
class CallbackFormat:
    """How one service signs callbacks, which answers end them, and when it tries again (seconds).

    `render` makes what is sent from the body that is kept, for services that stamp each sending anew.
    """

    target: str
    headers: Callable[[bytes], dict[str, str]]
    is_accepted: Callable[[int, bytes], bool]
    schedule: tuple[int, ...] = ()
    render: Callable[[str], bytes] = str.encode


class Notifier:
    """Sends callbacks of every registered channel."""

    def __init__(self, store: Store, faults: Faults, tasks: Tasks, settings: Settings) -> None:
        self._store = store
        self._faults = faults
        self._tasks = tasks
        self._settings = settings
        self._formats: dict[str, CallbackFormat] = {}
        tasks.register(TASK, self._retry)

    def register(self, channel: str, callback_format: CallbackFormat) -> None:
        """Name how *channel* sends its callbacks."""
        self._formats[channel] = callback_format

    def find(self, key: str) -> Notification | None:
        """Return the callback, or None before its first attempt."""
        record = self._store.get("notification", key)
        return Notification(**record) if record else None

    def send(self, first: Notification) -> Delivery:
        """Send the callback now, or again when one with this key exists, subject to armed faults."""
        with self._store.transaction():
            notification = self.find(first.key) or first
            self._save(notification)
        target = self._formats[notification.channel].target
        fault = self._faults.take_callback(target, notification.operation)
        if fault is not None and fault.mode == "drop_callback":
            return self._drop(notification)
        if fault is not None and fault.mode == "reorder":
            return self._hold(notification, fault)
        delivery = self._attempt(notification.key, 1 + (fault.count if fault else 0))
        self._release_held()
        return delivery

    def _drop(self, notification: Notification) -> Delivery:
        # Lost for good: a dropped callback is never retried, only a query finds the payment.
        self._tasks.cancel(TASK, notification.key)
        notification.fate = "dropped"
        self._save(notification)
        return Delivery(False, 0, "dropped")

    def _hold(self, notification: Notification, fault: Fault) -> Delivery:
        notification.fate = "held"
        self._save(notification)
        self._store.put("held", notification.key, {"key": notification.key})
        self._tasks.schedule(TASK, notification.key, fault.seconds)
        return Delivery(False, 0, "held")

    def _release_held(self) -> None:
        with self._store.transaction():
            held = self._store.all("held")
            self._store.delete_kind("held")
        for record in held:
            self._tasks.schedule(TASK, record["key"], 0)

    def _retry(self, key: str) -> float | None:
        self._store.delete("held", key)
        self._attempt(key, 1)
        return None  # The attempt has made the next appointment, or cancelled it.

    def _attempt(self, key: str, copies: int) -> Delivery:
        """Post the callback *copies* times at once and record the outcome."""
        notification = self.find(key)
        if notification is None:
            return NOT_SENT
        # Tried again even if this process dies while it waits for the answer.
        self._tasks.schedule(TASK, key, LEASE_SECONDS)
        with ThreadPoolExecutor(min(copies, COPIES_AT_A_TIME)) as pool:
            outcomes = list(pool.map(lambda _: self._post(notification), range(copies)))
        accepted = [status for status, is_accepted in outcomes if is_accepted]
        status = accepted[0] if accepted else outcomes[0][0]
        self._record(key, bool(accepted), status)
        return Delivery(bool(accepted), status, "delivered" if accepted else "refused")

    def _record(self, key: str, is_accepted: bool, status: int) -> None:
        with self._store.transaction():
            notification = self.find(key)
            if notification is None:
                return  # The state was wiped meanwhile.
            notification.attempts += 1
            notification.status = status
            notification.is_delivered = notification.is_delivered or is_accepted
            notification.fate = "delivered" if notification.is_delivered else "refused"
            self._save(notification)
        pause = self._pause_before_next(key)
        if pause is None:
            self._tasks.cancel(TASK, key)
        else:
            self._tasks.schedule(TASK, key, pause)

    def _pause_before_next(self, key: str) -> float | None:
        notification = self.find(key)
        if notification is None or notification.is_delivered:
            return None
        schedule = self._formats[notification.channel].schedule
        if notification.attempts > len(schedule):
            return None
        return schedule[max(notification.attempts, 1) - 1] * self._settings.notify_scale

    def _post(self, notification: Notification) -> tuple[int, bool]:
        """Return (HTTP status or 0, accepted)."""
        if not is_this_machine(notification.url):
            log.warning("A callback to %s was not sent: only this machine is called.", notification.url)
            return 0, False
        callback_format = self._formats[notification.channel]
        body = callback_format.render(notification.body)
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Mozilla/4.0"}
        return self._call(notification.url, body, headers | callback_format.headers(body), callback_format)

    def _call(
        self, url: str, body: bytes, headers: dict[str, str], callback_format: CallbackFormat
    ) -> tuple[int, bool]:
        try:
            with requests.Session() as session:
                # A proxy of the environment must not see, or hold up, a call to this machine.
                session.trust_env = False
                response = session.post(
                    url,
                    data=body,
                    headers=headers,
                    timeout=self._settings.notify_timeout_seconds,
                    allow_redirects=False,
                    stream=True,
                )
                answer = response.raw.read(4096, decode_content=False)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            log.info("The callback to %s got no answer: %s", url, type(error).__name__)
            return 0, False
        return response.status_code, callback_format.is_accepted(response.status_code, answer)

    def post_raw(
        self,
        url: str,
        body: bytes,
        headers: dict[str, str],
        is_accepted: Callable[[int, bytes], bool] = lambda status, _: 200 <= status < 300,
    ) -> Delivery:
        """Send a body that is no notification, once and without retries; for signature probes."""
        if not is_this_machine(url):
            return NOT_SENT
        status, is_taken = self._call(url, body, headers, CallbackFormat("", lambda _: {}, is_accepted))
        return Delivery(is_taken, status, "delivered" if is_taken else "refused")

    def _save(self, notification: Notification) -> None:
        self._store.put("notification", notification.key, asdict(notification))


def is_this_machine(url: str) -> bool:
    """Tell whether *url* names an address of this machine; no name is looked up elsewhere."""
    try:
        host = urlsplit(url).hostname or ""
        if host in ("localhost", socket.gethostname()):
            return True
        address = ipaddress.ip_address(host)
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # Only an address of one of our own interfaces can be bound.
            probe.bind((str(address), 0))
    except (ValueError, OSError):
        return False
    return not address.is_unspecified and not address.is_multicast
