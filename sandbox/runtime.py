"""One sandbox put together: state, keys, background work and the registered services."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.alipay import Alipay
from sandbox.clock import Clock, utc_now
from sandbox.doors import Doors, new_door_keys
from sandbox.faults import Faults, Targets
from sandbox.keys import new_alipay_keys, open_key_ring
from sandbox.notifier import Notifier
from sandbox.services import Context, PaymentChannel, Service
from sandbox.settings import Settings
from sandbox.state import Store
from sandbox.tasks import Tasks
from sandbox.unionpay import UnionPay
from sandbox.unionpay_keys import new_unionpay_keys
from sandbox.wechat import WeChat
from sandbox.wechat_pay import WeChatPay

# A further service is one module and one entry here.
SERVICES: tuple[Callable[[Context], Service], ...] = (WeChat, WeChatPay, Alipay, UnionPay, Doors)
# What makes the keys of a service beside WeChat's, by the name of its credentials.
KEY_MAKERS = {"alipay": new_alipay_keys, "unionpay": new_unionpay_keys, "ttlock": new_door_keys}


class Sandbox:
    """Everything behind the web application; start() begins background work, stop() ends it."""

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        ring = open_key_ring(settings.data_dir, clock(), KEY_MAKERS)
        self.settings = settings
        self.store = Store(settings.data_dir / "state.db")
        self.faults = Faults(self.store)
        self.tasks = Tasks(self.store, clock)
        notifier = Notifier(self.store, self.faults, self.tasks, settings)
        self.context = Context(settings, clock, ring, self.store, self.faults, self.tasks, notifier)
        self.services = [make(self.context) for make in SERVICES]

    @property
    def channels(self) -> dict[str, PaymentChannel]:
        """Return the control of every payment service by its name in control paths."""
        return dict(service.channel for service in self.services if service.channel is not None)

    @property
    def targets(self) -> Targets:
        """Return what faults may be armed for."""
        operations: dict[str, frozenset[str]] = {}
        with_callbacks: frozenset[str] = frozenset()
        for service in self.services:
            operations |= service.operations
            with_callbacks |= service.callback_targets
        return Targets(operations, with_callbacks)

    def start(self) -> None:
        """Begin sending retries and settling refunds, also those left from before a restart."""
        self.tasks.start()

    def stop(self) -> None:
        """End background work and close the state file."""
        self.tasks.stop()
        self.store.close()
