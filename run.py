"""Development entry: web, worker, scheduler, sandbox and embedded Redis in one supervised command."""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import redis

from scripts.instance import (
    InstanceError,
    development_secrets,
    embedded_redis,
    lock_folder,
    prepare_folder,
    read_env_file,
    require_free_port,
    write_env_file,
)
from scripts.processes import Process
from scripts.supervisor import StartFailed, StopRequested, Supervisor

ROOT = Path(__file__).resolve().parent
STOP_ORDER = ("web", "scheduler", "worker", "sandbox", "redis")
# Together under 20 s, however badly every program behaves.
STOP_SECONDS = {"web": 7.0, "scheduler": 2.0, "worker": 5.0, "sandbox": 2.0, "redis": 2.0}
SETUP_SECONDS = 180
READY_SECONDS = 60
DEMO_ACCOUNTS = ("owner", "manager", "cashier", "service", "analyst")
DEMO_PASSWORD = "quefang-demo"
# The sandbox plays all of these or none.
REAL_SERVICES = ("WECHAT_API_URL", "WECHAT_PAY_URL", "ALIPAY_URL", "UNIONPAY_URL")
PRODUCTION_HINT = """\
run.py is for development: it makes its own secrets, a sandbox and demo accounts.
In production start these, with the settings in the environment (see README):
  flask setup --no-demo
  gunicorn --config deploy/gunicorn.conf.py "app:create_app()"
  flask worker
  flask scheduler"""
BANNER = """
雀坊 Quefang 已启动 · is running
  后台   Back office    {web}/
  接口   API document   {web}/api/v1/openapi.json
{extra}  日志   Logs           {logs}
  停止   Stop           Ctrl+C
"""
SANDBOX_LINE = "  沙箱   Sandbox        {sandbox}/  (模拟微信与支付 · simulated WeChat and payments)\n"
DEMO_LINES = "  演示账号 Demo accounts  {accounts}\n  密码   Password       {password}\n"


@dataclass(frozen=True)
class Plan:
    """What one start runs: folder, ports, and the environment that every program gets."""

    folder: Path
    port: int
    sandbox_port: int | None
    redis_command: list[str] | None
    has_demo: bool
    env: dict[str, str]

    @property
    def web_url(self) -> str:
        """Where the product answers on this machine."""
        return f"http://127.0.0.1:{self.port}"


def main() -> int:
    """Run everything until a signal arrives; the exit status is 0 after a clean stop."""
    if os.environ.get("QUEFANG_MODE") == "production":
        print(PRODUCTION_HINT, file=sys.stderr)
        return 2
    os.chdir(ROOT)
    supervisor = Supervisor(STOP_ORDER)
    supervisor.install_handlers()
    folder = Path(os.environ.get("INSTANCE_DIR") or ROOT / "instance").resolve()
    try:
        prepare_folder(folder)
        with lock_folder(folder):
            return supervise(supervisor, make_plan(folder, os.environ))
    except InstanceError as error:
        print(error, file=sys.stderr)
        return 1


def make_plan(folder: Path, environment: Mapping[str, str]) -> Plan:
    """Settle ports, addresses and secrets. Raises InstanceError naming what has to be changed."""
    port = _port(environment, "PORT", 8080)
    require_free_port(port, "PORT")
    known = read_env_file(folder / "runtime.env")
    addresses = {"PUBLIC_BASE_URL": environment.get("PUBLIC_BASE_URL") or f"http://127.0.0.1:{port}"}
    sandbox_port = None
    if needs_sandbox(environment):
        sandbox_port = _port(environment, "SANDBOX_PORT", 8090)
        require_free_port(sandbox_port, "SANDBOX_PORT")
        addresses["SANDBOX_URL"] = f"http://127.0.0.1:{sandbox_port}"
    redis_command = None
    if not environment.get("REDIS_URL"):
        redis_command, addresses["REDIS_URL"] = embedded_redis(folder, known.get("REDIS_URL"))
    # Commands typed by hand read the same file, so they meet the same addresses.
    write_env_file(folder / "runtime.env", addresses)
    env = dict(environment) | development_secrets(folder, environment) | addresses
    env |= {"INSTANCE_DIR": str(folder), "QUEFANG_MODE": "development", "FLASK_APP": "app:create_app"}
    env |= {"PORT": str(port), "PYTHONUNBUFFERED": "1", "FAB_UPDATE_PERMS": "0"}
    has_demo = environment.get("DEMO_ACCOUNTS", "1").lower() in {"1", "true", "yes", "on"}
    return Plan(folder, port, sandbox_port, redis_command, has_demo, env)


def needs_sandbox(environment: Mapping[str, str]) -> bool:
    """The sandbox stands in for the real services unless the addresses of real ones are given."""
    return not any(environment.get(name) for name in REAL_SERVICES)


def supervise(supervisor: Supervisor, plan: Plan) -> int:
    """Start, watch and stop everything; the exit status is 0 when a signal ended it."""
    try:
        start_services(supervisor, plan)
        set_up(supervisor, plan)
        start_product(supervisor, plan)
        print(banner(plan), flush=True)
        supervisor.run()
    except StopRequested as request:
        supervisor.say(f"\n{request}: 正在停止 · stopping …")
    except StartFailed as failure:
        supervisor.say(f"{failure}\nNot started. Logs: {plan.folder / 'logs'}")
        return 1
    finally:
        supervisor.stop()
    supervisor.say("已停止 · stopped")
    return 0


def start_services(supervisor: Supervisor, plan: Plan) -> None:
    """Start what the product leans on: embedded Redis and the sandbox."""
    if plan.redis_command:
        add(supervisor, plan, "redis", plan.redis_command)
    complaint = "The embedded Redis does not answer" if plan.redis_command else "REDIS_URL does not answer"
    supervisor.wait_for(lambda: redis_answers(plan.env["REDIS_URL"]), 15, complaint)
    if plan.sandbox_port:
        data = plan.folder / "sandbox"
        command = python("-m", "sandbox", "--port", str(plan.sandbox_port), "--data-dir", str(data))
        add(supervisor, plan, "sandbox", command)
        # It answers once its credentials are written, also those of a service that is new to its folder.
        health = f"http://127.0.0.1:{plan.sandbox_port}/_control/health"
        supervisor.wait_for(lambda: answers_ok(health), 30, "The sandbox does not answer")


def set_up(supervisor: Supervisor, plan: Plan) -> None:
    """Migrate, bring permissions and roles up to date, register the sandbox, load the demo data."""
    if not plan.env.get("DATABASE_URL") and not (plan.folder / "quefang.db").exists():
        supervisor.say("首次启动，正在建立数据库 · first start, creating the database …")
    options = ["--demo" if plan.has_demo else "--no-demo"]
    if plan.sandbox_port:
        options += ["--sandbox-credentials", str(plan.folder / "sandbox" / "credentials.json")]
    setup = process(plan, "setup", python("-m", "flask", "setup", *options))
    supervisor.run_once(setup, seconds=SETUP_SECONDS)


def start_product(supervisor: Supervisor, plan: Plan) -> None:
    """Start web, worker and scheduler and wait until /readyz answers 200."""
    gunicorn = ["-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "--graceful-timeout", "6"]
    add(supervisor, plan, "web", python(*gunicorn, "app:create_app()"))
    add(supervisor, plan, "worker", python("-m", "flask", "worker"))
    add(supervisor, plan, "scheduler", python("-m", "flask", "scheduler"))
    complaint = f"{plan.web_url}/readyz does not answer 200"
    supervisor.wait_for(lambda: answers_ok(f"{plan.web_url}/readyz"), READY_SECONDS, complaint)


def add(supervisor: Supervisor, plan: Plan, name: str, command: list[str]) -> None:
    """Start one supervised program."""
    supervisor.add(process(plan, name, command), stop_seconds=STOP_SECONDS[name])


def process(plan: Plan, name: str, command: list[str]) -> Process:
    """Describe one program of this start; it ends at once when run.py itself is killed."""
    return Process(name, command, env=plan.env, log=plan.folder / "logs" / f"{name}.log")


def python(*arguments: str) -> list[str]:
    """Return a command for the Python that runs this."""
    return [sys.executable, *arguments]


def redis_answers(url: str) -> bool:
    """Tell whether a Redis answers at this address within two seconds."""
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=None) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def answers_ok(url: str) -> bool:
    """Tell whether a plain GET is answered with 200 within two seconds."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=2)
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def banner(plan: Plan) -> str:
    """Return addresses and demo accounts, in Chinese and English."""
    extra = SANDBOX_LINE.format(sandbox=plan.env["SANDBOX_URL"]) if plan.sandbox_port else ""
    if plan.has_demo:
        extra += DEMO_LINES.format(accounts=" ".join(DEMO_ACCOUNTS), password=DEMO_PASSWORD)
    return BANNER.format(web=plan.web_url, extra=extra, logs=plan.folder / "logs")


def _port(environment: Mapping[str, str], variable: str, default: int) -> int:
    value = environment.get(variable) or str(default)
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise InstanceError(f"{variable} must be a port number, not {value!r}")
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
