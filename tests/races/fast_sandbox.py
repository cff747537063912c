"""The sandbox of payment services by the fast clock: `python -m tests.races.fast_sandbox`."""

from __future__ import annotations

from sandbox import clock
from sandbox.__main__ import main
from tests.races import fast_clock

if __name__ == "__main__":
    fast_clock.install(clock)
    main()
