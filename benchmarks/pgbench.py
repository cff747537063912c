"""Bare SQL as PostgreSQL's own load generator drives it, where it is installed."""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from datetime import datetime
from pathlib import Path

from benchmarks import bare
from benchmarks.load import Sample
from benchmarks.sites import Site
from tests.servers import postgres_folder

CREATE = """
\\set k :k + 1
\\set n :first + :k * :clients + :client_id
\\set room :first_room + :n % :rooms
\\set step :n / :rooms * {pitch}
\\set customer 1 + :n % {customers}
BEGIN;
{lock};
{order} \\gset
{booking};
COMMIT;
"""


def executable() -> Path | None:
    """Return the program, or None where it is not installed."""
    folder = postgres_folder()
    program = folder / "pgbench" if folder else None
    return program if program and program.exists() else None


class Pgbench:
    """A contender of pgbench's clients, all in one program."""

    def __init__(self, site: Site, script: str) -> None:
        self._site = site
        self._script = script

    def measure(self, clients: int, seconds: float) -> Sample:
        """Run so many clients for so long (in whole seconds)."""
        program = executable()
        assert program is not None
        with tempfile.TemporaryDirectory(dir=self._site.folder) as folder:
            script = Path(folder, "script.sql")
            script.write_text(self._script)
            whole = max(1, round(seconds))
            command = [str(program), "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(whole)]
            command += ["-f", str(script), "--log", "--log-prefix", str(Path(folder, "log"))]
            for name, value in self._variables(clients).items():
                command += ["-D", f"{name}={value}"]
            done = subprocess.run(
                [*command, self._site.database], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise RuntimeError(f"pgbench failed:\n{done.stderr[-2000:]}")
            latencies = [latency for log in Path(folder).glob("log.*") for latency in _latencies(log)]
        return Sample(whole, latencies, Counter({200: len(latencies)}))

    def _variables(self, clients: int) -> dict[str, int]:
        rooms = self._site.facts.sale_room_ids
        first = bare.next_block()
        return {"k": 0, "first": first, "clients": clients, "first_room": rooms[0], "rooms": len(rooms)}


def _latencies(log: Path) -> list[float]:
    """Return the seconds of each transaction: the third column counts microseconds."""
    return [int(line.split()[2]) / 1e6 for line in log.read_text().splitlines()]


def create_script(site: Site) -> str:
    """Return the transaction of a booking; instants are reckoned by the database."""
    begin = datetime.fromisoformat(site.facts.first_free_at) + bare.FIRST_YEARS
    start = f"timestamptz '{begin.isoformat()}' + make_interval(mins => (:step)::int"
    values = {
        "room": ":room",
        "order": ":id",
        "no": "'X' || (:n)::bigint",
        "customer": ":customer",
        "now": "now()",
        "start": f"{start})",
        "end": f"{start} + 60)",
        "until": f"{start} + {bare.PITCH_MINUTES})",
    }
    parts = {"lock": bare.LOCK, "order": bare.ORDER, "booking": bare.BOOKING}
    statements = {name: " ".join(text.format(**values).split()) for name, text in parts.items()}
    return CREATE.format(pitch=bare.PITCH_MINUTES, customers=bare.CUSTOMERS, **statements)


def week_script(site: Site) -> str:
    """Return the query of a week of the store."""
    start, end = site.facts.window
    values = {"rooms": f"ARRAY{site.facts.room_ids}", "start": f"'{start}'", "end": f"'{end}'"}
    return " ".join((bare.WEEK_POSTGRESQL % values).split()) + ";\n"
