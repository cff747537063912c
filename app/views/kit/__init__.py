"""The kit under every generated screen of the back office."""

from app.views.kit.checks import KitError
from app.views.kit.errors import Refusal
from app.views.kit.install import disable_fab_rest, install_kit
from app.views.kit.interface import KitInterface
from app.views.kit.model_view import KitModelView

__all__ = ["KitError", "KitInterface", "KitModelView", "Refusal", "disable_fab_rest", "install_kit"]
