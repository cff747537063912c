"""What is checked between the token and the body: ownership, and limits on guessing."""

from __future__ import annotations

from functools import wraps
from typing import Any

from flask import Response, request

from app.api.auth import View, current_customer_id
from app.api.limits import limit_failures
from app.services.orders import find_own_order


def own_order(view: View) -> View:
    """Run *view* for the customer whose order the address names; raises NotFound for everybody else."""

    @wraps(view)
    def run(*args: Any, **kwargs: Any) -> Any:
        find_own_order(kwargs["no"], customer_id=current_customer_id())
        return view(*args, **kwargs)

    return run


def _is_wrong_code(answer: Response) -> bool:
    """A code or token that was not accepted; a malformed request tells the guesser nothing."""
    return answer.status_code in (401, 403, 422)


def _names_voucher() -> bool:
    """Tell whether a request asks for a voucher, in its address or in its body."""
    if request.method == "GET":
        return True
    body = request.get_json(silent=True)
    return isinstance(body, dict) and bool(body.get("voucher_code"))


def _is_unknown(answer: Response) -> bool:
    """A voucher code that is nobody's, or somebody else's."""
    return answer.status_code == 404


limit_codes = limit_failures("API_LOGIN_FAILURE_LIMIT", "login", _is_wrong_code)
limit_vouchers = limit_failures("VOUCHER_LOOKUP_LIMIT", "voucher", _is_unknown, _names_voucher)
