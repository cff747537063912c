"""The scheduler: what is due is handed over once, and done on the spot when nobody else can."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from app.jobs.schedule import PERIODIC_QUEUE, PeriodicJob
from app.jobs.scheduler import PATIENCE_SECONDS, REDIS_PAUSE_SECONDS, Scheduler
from scripts.instance import free_port

FAST, SLOW = PeriodicJob("fast", "nowhere", 15), PeriodicJob("slow", "nowhere", 60)


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Setting:
    """A scheduler of two jobs with a clock of its own; `inline` lists what it did itself."""

    def __init__(self, connection: Redis) -> None:
        self.clock = Clock()
        self.inline: list[str] = []
        self.queue = Queue(PERIODIC_QUEUE, connection=connection)
        self.scheduler = Scheduler(connection, jobs=(FAST, SLOW), run=self.inline.append, clock=self.clock)

    def pass_time(self, seconds: float) -> None:
        self.clock.seconds += seconds
        self.scheduler.tick()

    def queued(self) -> list[str]:
        """The names of the jobs that wait for a worker, oldest first."""
        return [job.args[0] for job in self.queue.get_jobs()]

    def take(self) -> Job:
        """Take the oldest job from the queue, as a worker does."""
        job = Queue.dequeue_any([self.queue], None, connection=self.queue.connection)
        assert job is not None
        return job[0]


@pytest.fixture
def setting(redis_url: str) -> Iterator[Setting]:
    """A scheduler on a Redis that answers."""
    connection = Redis.from_url(redis_url)
    setting = Setting(connection)
    setting.queue.empty()
    yield setting
    setting.queue.empty()
    connection.close()


@pytest.fixture
def outage() -> Setting:
    """A scheduler whose Redis refuses."""
    return Setting(Redis.from_url(f"redis://127.0.0.1:{free_port()}/0", retry=None))


def test_everything_is_due_at_the_start(setting: Setting) -> None:
    setting.scheduler.tick()
    assert setting.queued() == ["fast", "slow"]
    assert setting.inline == []


def test_handed_over_job_names_what_runs_it(setting: Setting) -> None:
    setting.scheduler.tick()
    job = setting.take()
    assert (job.func_name, job.args) == ("app.jobs.runner.run_job", ("fast",))


@pytest.mark.parametrize(
    ("seconds", "queued"),
    [
        pytest.param(14.9, [], id="right before"),
        pytest.param(15, ["fast"], id="due"),
        pytest.param(60, ["fast", "slow"], id="both due"),
    ],
)
def test_next_run_comes_after_its_time(setting: Setting, seconds: float, queued: list[str]) -> None:
    setting.scheduler.tick()
    setting.take()
    setting.take()
    setting.pass_time(seconds)
    assert setting.queued() == queued


def test_job_that_still_waits_is_not_handed_over_again(setting: Setting) -> None:
    setting.scheduler.tick()
    setting.pass_time(15)
    setting.pass_time(15)
    assert setting.queued() == ["fast", "slow"]
    assert setting.inline == []


def test_job_that_no_worker_fetches_is_done_here(setting: Setting) -> None:
    setting.scheduler.tick()
    for _ in range(4):
        setting.pass_time(15)
    assert 4 * 15 > PATIENCE_SECONDS
    assert setting.inline == ["fast", "slow"]
    assert setting.queued() == ["fast", "slow"]


def test_redis_that_refuses_is_replaced_and_left_alone_for_a_while(outage: Setting) -> None:
    outage.scheduler.tick()
    assert outage.inline == ["fast", "slow"]
    outage.pass_time(15)
    assert outage.inline == ["fast", "slow", "fast"]


def test_redis_is_asked_again_after_the_pause(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def hang(job: PeriodicJob) -> str:
        asked.append(job.name)
        raise TimeoutError

    monkeypatch.setattr(setting.scheduler, "_enqueue", hang)
    setting.scheduler.tick()
    assert (asked, setting.inline) == (["fast"], ["fast", "slow"])
    monkeypatch.undo()
    assert REDIS_PAUSE_SECONDS < 15
    setting.pass_time(15)
    assert setting.queued() == ["fast"]


def test_failure_of_a_job_done_here_stops_nothing(outage: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        outage.inline.append(name)
        raise RuntimeError

    monkeypatch.setattr(outage.scheduler, "_run", fail)
    outage.scheduler.tick()
    assert outage.inline == ["fast", "slow"]


def test_stop_ends_before_the_next_job(outage: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(name: str) -> None:
        outage.inline.append(name)
        outage.scheduler.stop()

    monkeypatch.setattr(outage.scheduler, "_run", stop)
    outage.scheduler.run_forever()
    assert outage.inline == ["fast"]


def test_time_to_the_next_job(setting: Setting) -> None:
    setting.scheduler.tick()
    setting.clock.seconds += 4
    assert setting.scheduler.seconds_to_next() == 11
