"""What customers, staff and their payments do at random in the few rooms of one shop, each in a process."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.races.clients import Answer, Buyer, Clerk, count_attempt, send, wait_for_others
from tests.races.fast_clock import FastClock, rounded_up
from tests.races.history import DONE, Attempt

# Starts and lengths lie on this grid; places are wanted within the next hours only, so that all collide.
STEP_MINUTES = 15
AHEAD_STEPS = 10
MOST_STEPS = 4
LINE_BYTES = 200
RECENT, REMEMBERED = 40, 200


@dataclass(frozen=True, slots=True)
class World:
    """Where the shop is and who is there; `notebook` is the file in which all write down their bookings."""

    port: int
    sandbox_port: int
    tokens: tuple[str, ...]
    clerks: tuple[Clerk, ...]
    room_ids: tuple[str, ...]
    clock: FastClock
    notebook: Path


@dataclass(frozen=True, slots=True)
class Known:
    """A booking as somebody last saw it; `owner` is whose it is, a walk-in is nobody's."""

    no: str
    owner: int | None
    status: str
    end_at: str


Ask = Callable[[Known], dict[str, Any]]

# In which states it makes sense to try what; now and then it is tried in any other.
UNPAID, PAID, WAITING, INSIDE = "pending_payment", "paid", "awaiting_use", "in_use"
SENSIBLE = {
    "pay": (UNPAID, UNPAID, WAITING, INSIDE),
    "take_payment": (UNPAID, WAITING, INSIDE),
    "change": (WAITING, PAID),
    "move": (WAITING, PAID, INSIDE),
    "extend": (WAITING, INSIDE),
    "add_minutes": (WAITING, INSIDE),
    "cancel": (UNPAID, WAITING, PAID),
    "check_in": (WAITING,),
    "check_out": (INSIDE,),
    "confirm": (PAID,),
    "refuse": (PAID,),
    "adjust": (UNPAID, WAITING, INSIDE),
}
# What an action that tells nothing leaves an order in.
LEADS_TO = {"confirm": WAITING, "check_in": INSIDE, "check_out": "completed", "refuse": "refunding"}


def live(world: World, name: str, number: int, count: int) -> list[Attempt]:
    """Make *count* attempts of all kinds and return what came of them; *name* makes keys unique."""
    wait_for_others()
    return Life(world, name, number).run(count)


@dataclass
class Life:
    """One process: it is any customer or member of staff of the shop, whoever's turn it is."""

    world: World
    name: str
    number: int
    attempts: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(f"{self.name}-{self.number}")
        self.clerk = self.world.clerks[self.number % len(self.world.clerks)]

    def run(self, count: int) -> list[Attempt]:
        """Live until *count* attempts were made."""
        weighted = {
            self.book: 24, self.pay: 20, self.change: 12, self.extend: 8, self.cancel: 3, self.check_in: 6,
            self.let_in: 2, self.check_out: 2, self.see_out: 1, self.walk_in: 2, self.confirm: 5,
            self.refuse: 1, self.move: 6, self.add_minutes: 3, self.adjust: 2, self.collect: 3,
        }  # fmt: skip
        acts, weights = list(weighted), list(weighted.values())
        while len(self.attempts) < count:
            self.dice.choices(acts, weights)[0]()
        return self.attempts

    def book(self) -> None:
        owner = self.dice.randrange(len(self.world.tokens))
        place = self._place()
        answer = self._post("book", owner, "", "/bookings", place)
        if answer.status == 201:
            self._note(Known(str(answer.body["no"]), owner, str(answer.body["status"]), place["end_at"]))

    def walk_in(self) -> None:
        room_id, minutes = self.dice.choice(self.world.room_ids), STEP_MINUTES * self._steps()
        answer = self._staff_post("walk_in", "", "/walk-ins/", {"room_id": room_id, "minutes": minutes})
        if answer.status == 201:
            end_at = self.world.clock.now() + timedelta(minutes=minutes)
            self._note(Known(str(answer.body["no"]), None, UNPAID, _text(end_at)))

    def pay(self) -> None:
        channel = "wechat_jsapi" if self.dice.random() < 0.8 else "wechat_native"
        self._pay_at_service(*self._as_customer("pay", "payments", lambda known: {"channel": channel}))

    def collect(self) -> None:
        self._pay_at_service(*self._as_staff("take_payment", lambda known: {"channel": "wechat_native"}))

    def change(self) -> None:
        self._as_customer("change", "change", self._other_place)

    def extend(self) -> None:
        self._as_customer("extend", "extend", lambda known: {"end_at": self._later(known.end_at)})

    def cancel(self) -> None:
        self._as_customer("cancel", "cancel", lambda known: {})

    def check_in(self) -> None:
        self._as_customer("check_in", "check-in", lambda known: {})

    def let_in(self) -> None:
        self._as_staff("check_in", lambda known: {})

    def check_out(self) -> None:
        self._as_customer("check_out", "check-out", lambda known: {})

    def see_out(self) -> None:
        self._as_staff("check_out", lambda known: {})

    def confirm(self) -> None:
        self._as_staff("confirm", lambda known: {})

    def refuse(self) -> None:
        self._as_staff("refuse", lambda known: {"reason": "closed today"})

    def move(self) -> None:
        self._as_staff("move", self._other_place)

    def add_minutes(self) -> None:
        self._as_staff("add_minutes", lambda known: {"minutes": STEP_MINUTES * self._steps()})

    def adjust(self) -> None:
        amount_fen = self.dice.choice((-500, 700))
        self._as_staff("adjust", lambda known: {"amount_fen": amount_fen, "reason": "snacks"})

    def _as_customer(self, what: str, path: str, ask: Ask) -> tuple[Known, Answer] | tuple[None, None]:
        known = self._pick(what)
        if known is None or known.owner is None:
            return None, None
        answer = self._post(what, known.owner, known.no, f"/orders/{known.no}/{path}", ask(known))
        self._note_outcome(what, known, answer)
        return known, answer

    def _as_staff(self, what: str, ask: Ask) -> tuple[Known, Answer] | tuple[None, None]:
        known = self._pick(what)
        if known is None:
            return None, None
        answer = self._staff_post(what, known.no, f"/orders/{known.no}/actions/{what}", ask(known))
        self._note_outcome(what, known, answer)
        return known, answer

    def _pay_at_service(self, known: Known | None, answer: Answer | None) -> None:
        """The customer pays, or thinks better of it; the service may tell the product of it twice."""
        dice = self.dice.random()
        if known is None or answer is None or answer.status not in DONE or dice < 0.15:
            return
        payment_no = str(answer.body["payment_no"])
        path = f"/_control/payments/wechat/{payment_no}/{'fail' if dice < 0.2 else 'succeed'}"
        for _ in range(2 if dice > 0.85 else 1):
            sent_at = self.world.clock.seconds()
            told = send(self.world.sandbox_port, "POST", path, {})
            if told.status == 200 and told.body["trade_state"] in ("SUCCESS", "REFUND"):
                self._keep("paid", known.no, sent_at, told, {"payment_no": payment_no}, "")
                self._note(replace(known, status=PAID if known.status == UNPAID else known.status))

    def _post(self, what: str, owner: int, no: str, path: str, asked: dict[str, Any]) -> Answer:
        key = f"{self.name}-{self.number}-{len(self.attempts)}"
        sent_at = self.world.clock.seconds()
        buyer = Buyer(self.world.port, self.world.tokens[owner])
        answer = buyer.insist(path, asked, key=key)
        self._keep(what, no, sent_at, answer, asked, key)
        return answer

    def _staff_post(self, what: str, no: str, path: str, asked: dict[str, Any]) -> Answer:
        sent_at = self.world.clock.seconds()
        answer = self.clerk.post(path, asked)
        self._keep(what, no, sent_at, answer, asked, "")
        return answer

    def _keep(
        self, what: str, no: str, sent_at: float, answer: Answer, asked: dict[str, Any], key: str
    ) -> None:
        body = answer.body
        payment_no = str(body.get("payment_no") or asked.get("payment_no") or "")
        self.attempts.append(
            Attempt(
                what=what,
                no=no or str(body.get("no", "")),
                status=answer.status,
                code=answer.code,
                sent_at=sent_at,
                answered_at=self.world.clock.seconds(),
                asked=asked,
                payment_no=payment_no,
                key=key,
            )
        )
        count_attempt()

    def _place(self) -> dict[str, Any]:
        start_at = self._start()
        end_at = start_at + timedelta(minutes=STEP_MINUTES * self._steps())
        return {
            "room_id": self.dice.choice(self.world.room_ids),
            "start_at": _text(start_at),
            "end_at": _text(end_at),
        }

    def _other_place(self, known: Known) -> dict[str, Any]:
        """Another room, another time, or both."""
        place = self._place()
        kind = self.dice.randrange(3)
        if kind == 0:
            return {"room_id": place["room_id"]}
        return place if kind == 1 else {name: place[name] for name in ("start_at", "end_at")}

    def _start(self) -> datetime:
        steps = min(self.dice.randrange(AHEAD_STEPS) for _ in range(2))
        first_at = rounded_up(self.world.clock.now(), STEP_MINUTES)
        return first_at + timedelta(minutes=STEP_MINUTES * steps)

    def _steps(self) -> int:
        return self.dice.randint(1, MOST_STEPS)

    def _later(self, end_at: str) -> str:
        return _text(datetime.fromisoformat(end_at) + timedelta(minutes=STEP_MINUTES * self._steps()))

    def _note_outcome(self, what: str, known: Known, answer: Answer) -> None:
        if answer.status in DONE:
            status = str(answer.body.get("status") or LEADS_TO.get(what, known.status))
            end_at = str(answer.body.get("end_at") or known.end_at)
            self._note(replace(known, status=status, end_at=end_at))

    def _note(self, known: Known) -> None:
        line = json.dumps(astuple(known)).ljust(LINE_BYTES - 1) + "\n"
        # Appended in one piece, so that lines of several processes never mix.
        with self.world.notebook.open("ab", buffering=0) as notebook:
            notebook.write(line.encode())

    def _pick(self, what: str) -> Known | None:
        """Mostly a booking that everybody is after and that it makes sense for, now and then an odd one."""
        most = RECENT if self.dice.random() < 0.7 else REMEMBERED
        with self.world.notebook.open("rb") as notebook:
            size = notebook.seek(0, 2)
            notebook.seek(max(0, size - most * LINE_BYTES))
            lines = [Known(*json.loads(line)) for line in notebook.read().splitlines()]
        latest = {known.no: known for known in lines}
        fitting = [known for known in latest.values() if known.status in SENSIBLE[what]]
        is_odd = self.dice.random() < 0.1
        found = list(latest.values()) if is_odd else fitting
        return self.dice.choice(found) if found else None


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
