"""Interleaved rounds: every contender takes its turn in each round, so that noise hits all alike."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from benchmarks.load import Feed, Sample, drive
from benchmarks.sites import progress

WARM_UP_SECONDS = 0.5
Measure = Callable[[int, float], Sample]


@dataclass(frozen=True)
class Options:
    """How long and how often is measured; `only` keeps contenders with one of its words in their name."""

    seconds: float = 3.0
    rounds: int = 5
    clients: tuple[int, ...] = (1, 8, 32)
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contender:
    """Somebody who is measured; `measure` takes the number of clients and seconds."""

    name: str
    measure: Measure

    @classmethod
    def over_http(cls, name: str, port: int, feed: Feed) -> Contender:
        """Return the contender behind a port of this machine."""
        return cls(name, lambda clients, seconds: drive(port, feed, clients=clients, seconds=seconds))


@dataclass(frozen=True)
class Row:
    """The medians of all rounds of one contender: operations a second, milliseconds."""

    name: str
    clients: int
    rate: float
    p50: float
    p99: float
    slowest_rate: float
    fastest_rate: float
    statuses: Counter[int]
    client_share: float


@dataclass
class Table:
    """The rows of one comparison."""

    title: str
    rows: list[Row] = field(default_factory=list)

    def find(self, name: str, clients: int) -> Row | None:
        """Return the row of a contender at a number of clients, if it was measured."""
        return next((row for row in self.rows if (row.name, row.clients) == (name, clients)), None)


def compare(title: str, contenders: Sequence[Contender], options: Options) -> Table:
    """Measure all contenders at each number of clients, taking turns."""
    table = Table(title)
    chosen = [
        each for each in contenders if not options.only or any(word in each.name for word in options.only)
    ]
    for clients in options.clients:
        samples: dict[str, list[Sample]] = {each.name: [] for each in chosen}
        for each in chosen:
            each.measure(clients, min(WARM_UP_SECONDS, options.seconds))
        for number in range(options.rounds):
            for each in chosen:
                gc.collect()
                samples[each.name].append(each.measure(clients, options.seconds))
            progress(f"{title}: {clients} clients, round {number + 1} of {options.rounds}")
        table.rows += [summary(name, clients, found) for name, found in samples.items()]
    return table


def summary(name: str, clients: int, samples: Sequence[Sample]) -> Row:
    """Return the medians of some rounds."""
    middle = partial(_median_of, samples)
    rates = [sample.rate for sample in samples]
    return Row(
        name=name,
        clients=clients,
        rate=median(rates),
        p50=middle(lambda sample: sample.percentile(0.5)),
        p99=middle(lambda sample: sample.percentile(0.99)),
        slowest_rate=min(rates),
        fastest_rate=max(rates),
        statuses=sum((sample.statuses for sample in samples), Counter()),
        client_share=middle(lambda sample: sample.client_share),
    )


def _median_of(samples: Sequence[Sample], value: Callable[[Sample], float]) -> float:
    return median(value(sample) for sample in samples)
