"""Where a request's time goes: the product under a profiler, one kind of request after the other."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks import contenders as who
from benchmarks.cases import Result
from benchmarks.profiled import ADDRESS
from benchmarks.rounds import Options
from benchmarks.sites import World, fetch, serve


def profile(world: World, engine: str, size: int, options: Options) -> Result:
    """Return what the profiler says of each kind of request, made by one client at a time."""
    site = world.site(engine, size)
    result = Result()
    with ExitStack() as stack:
        app = "benchmarks.profiled:create_app()"
        port = stack.enter_context(serve(site.env | {"WEB_CONCURRENCY": "1"}, site.folder, app))
        for each in (*who.weeks_of_ours(stack, site, port), *who.creates_of_ours(site, port)):
            if options.only and not any(word in each.name for word in options.only):
                continue
            # The first requests fill caches and prepare statements.
            each.measure(1, min(1.0, options.seconds))
            fetch(port, "GET", ADDRESS)
            each.measure(1, options.seconds)
            text = fetch(port, "GET", ADDRESS)[1].decode()
            result.notes.append(f"### {each.name}\n\n```\n{text}\n```\n")
    return result
