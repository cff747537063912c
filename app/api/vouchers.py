"""The customer's vouchers."""

from __future__ import annotations

from typing import Any

from app.api.auth import current_customer_id
from app.api.endpoints import Blueprint
from app.api.guards import limit_vouchers
from app.api.schemas.campaigns import QrSchema, VoucherSchema, VouchersQuery
from app.api.schemas.common import page_schema
from app.domain.clock import utc_now
from app.services import vouchers

blueprint = Blueprint("vouchers", "Vouchers")


@blueprint.operation("GET", "/vouchers", query=VouchersQuery, answer=page_schema(VoucherSchema))
def list_vouchers(query: dict[str, Any]) -> dict[str, Any]:
    """List one's own vouchers, the newest first."""
    return vouchers.list_vouchers(current_customer_id(), **query)


@blueprint.operation("GET", "/vouchers/<no:code>", answer=VoucherSchema, guard=limit_vouchers)
def get_voucher(code: str) -> dict[str, Any]:
    """Return one of one's own vouchers."""
    return vouchers.get_voucher(code, customer_id=current_customer_id())


@blueprint.operation("GET", "/vouchers/<no:code>/qr", answer=QrSchema, guard=limit_vouchers)
def make_qr(code: str) -> dict[str, Any]:
    """Return a signed code to be scanned at the desk, good for some minutes."""
    return vouchers.make_qr(code, customer_id=current_customer_id(), now=utc_now())
