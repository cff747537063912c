"""Start-up settings of the sandbox, some of which tests may change while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Settings:
    """Settings of one sandbox process.

    notify_scale: factor on WeChat's callback retry schedule (0.1 turns 15 s into 1.5 s).
    refund_delay_seconds: a refund succeeds by itself after this long; negative leaves it to the control path.
    bill_delay_hours: how long after a day's beginning its bill is there (really 34); 0 gives today's so far.
    notify_timeout_seconds: how long a merchant may take to answer a callback (WeChat: 5 s).
    """

    data_dir: Path
    notify_scale: float = 0.1
    refund_delay_seconds: float = 1.0
    notify_timeout_seconds: float = 5.0
    wechat_pay_key_mode: str = "public_key"
    bill_delay_hours: float = 0.0
