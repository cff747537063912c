"""Reading stored pictures and videos."""

from __future__ import annotations

import mimetypes

from app import gateways
from app.domain.errors import NotFound
from app.gateways.ports import MediaNotFound


def read_media(key: str) -> tuple[bytes, str]:
    """Return content and media type of a stored file; raises NotFound."""
    try:
        content = gateways.media_storage().read(key)
    except MediaNotFound:
        raise NotFound() from None
    return content, mimetypes.guess_type(key)[0] or "application/octet-stream"
