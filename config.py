"""Settings classes read from the environment; nothing of the application is imported here."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parent
DEVELOPMENT_SECRET = "development-secret-not-for-production-use"


class ConfigurationError(RuntimeError):
    """A setting makes it unsafe or impossible to start; the message names the variable."""


def _flag(name: str, default: bool) -> bool:
    value = os.environ.get(name)
    return default if value is None else value.strip().lower() in {"1", "true", "yes", "on"}


def _list(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def _database_url(instance_dir: Path) -> str:
    """Accept the common spellings of a PostgreSQL address and name the driver that is installed."""
    url = os.environ.get("DATABASE_URL") or f"sqlite:///{instance_dir / 'quefang.db'}"
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url[len(prefix) :]
    return url


class Settings:
    """Every setting of the product; instances read the environment once, at construction."""

    mode = "development"

    def __init__(self) -> None:
        env = os.environ
        self.QUEFANG_MODE = self.mode
        self.INSTANCE_DIR = str(Path(env.get("INSTANCE_DIR") or ROOT / "instance").resolve())
        self.SECRET_KEY = env.get("SECRET_KEY") or DEVELOPMENT_SECRET
        # Older values that still verify what they signed, so that the key can be changed without a logout.
        self.SECRET_KEY_FALLBACKS = _list("SECRET_KEY_FALLBACKS")
        # First key encrypts, all keys decrypt: that is how keys are rotated.
        self.ENCRYPTION_KEYS = _list("ENCRYPTION_KEYS", DEVELOPMENT_SECRET)
        # Keyed hashes of phone numbers and voucher codes; it cannot be rotated without rehashing.
        self.HASH_KEY = env.get("HASH_KEY") or DEVELOPMENT_SECRET
        self.PUBLIC_BASE_URL = env.get("PUBLIC_BASE_URL") or "http://127.0.0.1:8080"
        self.TRUSTED_HOSTS = _list("TRUSTED_HOSTS") or None
        self.TRUSTED_PROXIES = int(env.get("TRUSTED_PROXIES") or 0)
        # Lets a collector read /metrics from elsewhere; without it only this machine may.
        self.METRICS_TOKEN = env.get("METRICS_TOKEN") or ""
        self.DEMO_ACCOUNTS = _flag("DEMO_ACCOUNTS", self.mode == "development")
        self.MAX_CONTENT_LENGTH = 32 * 1024 * 1024
        self._database()
        self._redis()
        self._gateways()
        self._limits()
        self._session()
        self._interface()

    def _database(self) -> None:
        self.SQLALCHEMY_DATABASE_URI = _database_url(Path(self.INSTANCE_DIR))
        self.SQLALCHEMY_TRACK_MODIFICATIONS = False
        # Parameters hold openids and phone numbers; they stay out of error messages and logs.
        self.SQLALCHEMY_ENGINE_OPTIONS: dict[str, object] = {"hide_parameters": True}
        # Seconds a SQLite writer waits for its turn; PostgreSQL uses it as lock time-out.
        self.DATABASE_LOCK_SECONDS = float(os.environ.get("DATABASE_LOCK_SECONDS") or 15)

    def _redis(self) -> None:
        env = os.environ
        default = f"unix://{self.INSTANCE_DIR}/redis.sock"
        self.REDIS_URL = env.get("REDIS_URL") or default
        # Short, because Redis is never allowed to hold up a booking or a payment.
        self.REDIS_TIMEOUT_SECONDS = float(env.get("REDIS_TIMEOUT_SECONDS") or 0.5)

    def _gateways(self) -> None:
        env = os.environ
        # Written by the sandbox at its first start: addresses and credentials of the simulated services.
        self.SANDBOX_URL = env.get("SANDBOX_URL") or ""
        self.WECHAT_API_URL = env.get("WECHAT_API_URL") or self.SANDBOX_URL or "https://api.weixin.qq.com"
        self.WECHAT_PAY_URL = env.get("WECHAT_PAY_URL") or self.SANDBOX_URL or "https://api.mch.weixin.qq.com"
        self.DOOR_URL = env.get("DOOR_URL") or self.SANDBOX_URL or "https://cnapi.ttlock.com"
        sandbox_alipay = f"{self.SANDBOX_URL}/gateway.do" if self.SANDBOX_URL else ""
        self.ALIPAY_URL = env.get("ALIPAY_URL") or sandbox_alipay or "https://openapi.alipay.com/gateway.do"
        self.UNIONPAY_URL = env.get("UNIONPAY_URL") or self.SANDBOX_URL or "https://gateway.95516.com"
        self.UNIONPAY_FRONT_URL = env.get("UNIONPAY_FRONT_URL") or f"{self.PUBLIC_BASE_URL.rstrip('/')}/"
        self.HAS_UNIONPAY_SANDBOX = bool(self.SANDBOX_URL) and self.UNIONPAY_URL == self.SANDBOX_URL
        self.GATEWAY_TIMEOUT_SECONDS = float(env.get("GATEWAY_TIMEOUT_SECONDS") or 5)
        self.NOTIFY_BASE_URL = env.get("NOTIFY_BASE_URL") or self.PUBLIC_BASE_URL

    def _limits(self) -> None:
        env = os.environ
        self.RATELIMIT_ENABLED = _flag("RATELIMIT_ENABLED", True)
        self.API_RATE_LIMIT = env.get("API_RATE_LIMIT") or "200 per second"
        self.API_LOGIN_FAILURE_LIMIT = env.get("API_LOGIN_FAILURE_LIMIT") or "10 per minute"
        self.VOUCHER_LOOKUP_LIMIT = env.get("VOUCHER_LOOKUP_LIMIT") or "10 per minute"
        self.STAFF_LOGIN_FAILURE_LIMIT = env.get("STAFF_LOGIN_FAILURE_LIMIT") or "10 per minute"
        self.API_BODY_LIMIT_BYTES = 1024 * 1024
        self.ACCESS_TOKEN_MINUTES = 30
        self.REFRESH_TOKEN_DAYS = 30

    def _session(self) -> None:
        secure = self.mode == "production"
        self.SESSION_COOKIE_NAME = "__Host-quefang" if secure else "quefang"
        self.SESSION_COOKIE_SECURE = secure
        self.SESSION_COOKIE_HTTPONLY = True
        self.SESSION_COOKIE_SAMESITE = "Lax"
        self.PERMANENT_SESSION_LIFETIME = 12 * 3600
        self.WTF_CSRF_TIME_LIMIT = None

    def _interface(self) -> None:
        self.APP_NAME = "雀坊 Quefang"
        self.BABEL_DEFAULT_LOCALE = "zh"
        self.BABEL_DEFAULT_TIMEZONE = "Asia/Shanghai"
        self.BABEL_TRANSLATION_DIRECTORIES = str(ROOT / "translations")
        self.LANGUAGES = {
            "zh": {"flag": "cn", "name": "简体中文"},
            "zh_Hant": {"flag": "hk", "name": "繁體中文"},
            "en": {"flag": "gb", "name": "English"},
        }
        self.AUTH_TYPE = 1
        self.AUTH_ROLE_ADMIN = "Owner"
        self.AUTH_ROLE_PUBLIC = "Public"
        self.FAB_ROLES: dict[str, list[list[str]]] = {}
        self.FAB_CREATE_DB = False
        self.FAB_UPDATE_PERMS = _flag("FAB_UPDATE_PERMS", False)
        self.FAB_ADD_SECURITY_PERMISSION_VIEW = False
        self.FAB_ADD_SECURITY_VIEW_MENU_VIEW = False
        self.FAB_ADD_SECURITY_PERMISSION_VIEWS_VIEW = False
        self.FAB_API_SWAGGER_UI = False
        self.FAB_PASSWORD_COMPLEXITY_ENABLED = True

    def check(self) -> None:
        """Raise ConfigurationError when this mode must not start with these settings."""


class DevelopmentSettings(Settings):
    """One laptop: embedded database and Redis, sandbox, demo accounts.

    What run.py wrote into the instance folder fills the gaps of the environment, so that commands
    typed by hand meet the same secrets and addresses.
    """

    def __init__(self) -> None:
        folder = Path(os.environ.get("INSTANCE_DIR") or ROOT / "instance")
        written = {**dotenv_values(folder / "secrets.env"), **dotenv_values(folder / "runtime.env")}
        missing = {name: value for name, value in written.items() if value and not os.environ.get(name)}
        os.environ.update(missing)
        try:
            super().__init__()
        finally:
            for name in missing:
                del os.environ[name]


class TestingSettings(Settings):
    """Tests: no CSRF tokens or limits unless a test turns them on."""

    mode = "testing"

    def __init__(self) -> None:
        super().__init__()
        self.TESTING = True
        self.WTF_CSRF_ENABLED = False
        self.RATELIMIT_ENABLED = False


class ProductionSettings(Settings):
    """The real thing: refuses default or short secrets, demo accounts and sandbox addresses."""

    mode = "production"

    def check(self) -> None:
        """Raise ConfigurationError naming the first unsafe setting."""
        secrets = {"SECRET_KEY": self.SECRET_KEY, "HASH_KEY": self.HASH_KEY}
        secrets |= {f"ENCRYPTION_KEYS[{i}]": key for i, key in enumerate(self.ENCRYPTION_KEYS)}
        secrets |= {f"SECRET_KEY_FALLBACKS[{i}]": key for i, key in enumerate(self.SECRET_KEY_FALLBACKS)}
        if self.METRICS_TOKEN:
            secrets["METRICS_TOKEN"] = self.METRICS_TOKEN
        for name, value in secrets.items():
            if value == DEVELOPMENT_SECRET or len(value.encode()) < 32:
                raise ConfigurationError(f"{name} must be set to a secret of at least 32 bytes in production")
        if len(set(secrets.values())) < len(secrets):
            raise ConfigurationError("the secrets must differ from one another")
        if self.DEMO_ACCOUNTS:
            raise ConfigurationError("DEMO_ACCOUNTS must be off in production")
        if self.SANDBOX_URL:
            raise ConfigurationError("SANDBOX_URL must not be set in production")
        names = ("PUBLIC_BASE_URL", "NOTIFY_BASE_URL", "WECHAT_API_URL", "WECHAT_PAY_URL", "ALIPAY_URL")
        for name in (*names, "DOOR_URL", "UNIONPAY_URL"):
            if not str(getattr(self, name)).startswith("https://"):
                raise ConfigurationError(f"{name} must be an https address in production")
        if not self.TRUSTED_HOSTS:
            raise ConfigurationError("TRUSTED_HOSTS must name the hosts that are served in production")


MODES: dict[str, type[Settings]] = {
    "development": DevelopmentSettings,
    "testing": TestingSettings,
    "production": ProductionSettings,
}


def load_settings(mode: str | None = None) -> Settings:
    """Return the checked settings of *mode* (default: QUEFANG_MODE, else development)."""
    name = mode or os.environ.get("QUEFANG_MODE") or "development"
    if name not in MODES:
        raise ConfigurationError(f"QUEFANG_MODE must be one of {', '.join(MODES)}, not {name!r}")
    settings = MODES[name]()
    settings.check()
    return settings
