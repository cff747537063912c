"""Adding, changing and deleting rows in one transaction; a refusal gives the form back as filled in."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, request
from flask_appbuilder.baseviews import BaseCRUDView
from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError

from app.models.stores import Store
from app.views.kit.arguments import preset_relations
from app.views.kit.audit import difference, snapshot
from app.views.kit.errors import CONFLICT, MESSAGES, Refusal, refusal_of
from app.views.kit.fields import VersionField
from app.views.kit.kinds import Kind, column_of, kind_of, relation_of
from app.views.kit.scope import is_row_in_scope
from app.views.kit.values import InvalidText, parse_integer


class SavingMixin(BaseCRUDView):
    """The `_add`, `_edit` and `_delete` of the kit.

    The hooks `pre_add`, `post_add`, `pre_update`, `post_update`, `pre_delete`, `post_delete` run inside the
    transaction; they refuse by raising a DomainError (its `errors` name fields) and nothing stays.
    """

    has_same_store_rule = True
    """Whether related rows must belong to the same store as the row itself."""

    def add_one(self) -> tuple[Any, int]:
        """Show the empty form or save a new row; return (form, status), or (None, 302) when it was saved."""
        form = self.add_form()
        self._apply_presets(form)
        if request.method != "POST":
            return form, 200
        if not form.validate():
            return form, Refusal().status
        refusal = self._attempt(lambda: self._insert(form))
        if refusal is None:
            flash(str(self.add_row_message), "success")
            return None, 302
        refusal.show_on(form)
        return form, refusal.status

    def edit_one(self, pk: Any) -> tuple[Any, Any, int]:
        """Show or save the form of a row; return (form, row, status); the form is None when it was saved."""
        is_posted = request.method == "POST"
        item = (self.datamodel.get_for_update if is_posted else self.datamodel.get)(pk, self._base_filters)
        if item is None:
            abort(404)
        form = self.edit_form(obj=item)
        if not is_posted:
            self.prefill_form(form, pk)
            return form, item, 200
        if not form.validate():
            return form, item, Refusal().status
        refusal = self._attempt(lambda: self._update(form, item))
        if refusal is None:
            flash(str(self.edit_row_message), "success")
            return None, item, 302
        refusal.show_on(form)
        return form, item, refusal.status

    def delete_one(self, pk: Any) -> bool:
        """Delete a row or flash why not; tell whether it is gone."""
        item = self.datamodel.get_for_update(pk, self._base_filters)
        if item is None:
            abort(404)
        refusal = self._attempt(lambda: self._remove(item))
        if refusal is None:
            flash(str(self.delete_row_message), "success")
            return True
        refusal.flash()
        return False

    def _attempt(self, work: Any) -> Refusal | None:
        """Run *work* and commit; on any error roll back, and return the refusal if it is one."""
        session = self.datamodel.session
        try:
            work()
            session.commit()
        except Exception as error:
            session.rollback()
            return refusal_of(error, self.datamodel.obj, self.constraint_messages)
        return None

    def _insert(self, form: Any) -> None:
        session = self.datamodel.session
        item = self.datamodel.obj()
        self.process_form(form, True)
        # A query of a hook must not flush relations of a row that is not added yet.
        with session.no_autoflush:
            form.populate_obj(item)
            self.pre_add(item)
            self._check_stores(item)
        session.add(item)
        session.flush()
        self._check_scope(item)
        self.post_add(item)
        self._record("create", item, {}, snapshot(item, self._audited_relations(form)))

    def _update(self, form: Any, item: Any) -> None:
        session = self.datamodel.session
        self._check_version(form, item)
        relations = self._audited_relations(form)
        before = snapshot(item, relations)
        self.process_form(form, False)
        with session.no_autoflush:
            form.populate_obj(item)
            self.pre_update(item)
            self._check_stores(item)
        self._raise_version(item)
        session.flush()
        self._check_scope(item)
        self.post_update(item)
        session.flush()
        self._record("update", item, before, snapshot(item, relations))

    def _remove(self, item: Any) -> None:
        session = self.datamodel.session
        before = snapshot(item)
        self.pre_delete(item)
        session.delete(item)
        try:
            session.flush()
        except IntegrityError:
            # Children hold the row, whether the database or the emptied foreign key of a child says so.
            raise Refusal([MESSAGES["in_use"]], status=CONFLICT) from None
        self.post_delete(item)
        self._record("delete", item, before, {})

    def _apply_presets(self, form: Any) -> None:
        """Set the relations that a link from a related tab presets; a row outside the scope ends with 404."""
        for name, key in preset_relations(self).items():
            row = self.datamodel.get_related_obj(name, key)
            if row is None:
                abort(404)
            form[name].data, form[name].rejected = row, []

    def _check_stores(self, item: Any) -> None:
        """Refuse rows that mix stores: a room of one store in a rule of another."""
        own = _store_id(item)
        if own is None or not self.has_same_store_rule:
            return
        for relation in inspect(type(item)).relationships:
            other = None if relation.uselist or relation.key == "store" else getattr(item, relation.key)
            if other is not None and _store_id(other) not in (None, own):
                raise Refusal(fields={relation.key: [MESSAGES["store"]]})

    def _check_scope(self, item: Any) -> None:
        """Refuse what would lie outside the scope once saved, whatever way it got there."""
        if not is_row_in_scope(self.datamodel.session, item):
            raise Refusal([MESSAGES["scope"]])

    def _check_version(self, form: Any, item: Any) -> None:
        """Refuse a form that was filled from an older version of the row; a form without one passes."""
        if not isinstance(getattr(form, "version", None), VersionField) or not form.version.raw_data:
            return
        try:
            seen = parse_integer(form.version.raw_data[0])
        except InvalidText:
            seen = -1
        if seen != item.version:
            # The second try starts from what is stored now.
            form.version.data = item.version
            raise Refusal([MESSAGES["stale"]], status=CONFLICT)

    def _raise_version(self, item: Any) -> None:
        has_own = inspect(type(item)).version_id_col is not None
        if not has_own and column_of(type(item), "version") is not None:
            item.version = (item.version or 0) + 1

    def _audited_relations(self, form: Any) -> tuple[str, ...]:
        model = self.datamodel.obj
        return tuple(field.short_name for field in form if kind_of(model, field.short_name) is Kind.RELATIONS)

    def _record(self, action: str, item: Any, before: dict[str, Any], after: dict[str, Any]) -> None:
        old, new = difference(before, after)
        if old or new:
            self.audit_change(action, item, old, new)

    def audit_change(self, action: str, item: Any, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Leave an audit entry in the transaction of the change; the values are only what changed."""
        from app.domain.clock import utc_now
        from app.services.audit import record_change
        from app.views.kit.current import current_actor

        record_change(
            actor=current_actor(),
            action=action,
            entity=self.datamodel.obj.__tablename__,
            entity_id=str(self.datamodel.get_pk_value(item)),
            store_id=_store_id(item),
            before=before,
            after=after,
            now=utc_now(),
        )


def _store_id(item: Any) -> int | None:
    """Return the store that a row belongs to; a relation that is set but not flushed counts already."""
    model = type(item)
    relation = relation_of(model, "store")
    if relation is not None and not relation.uselist and item.store is not None:
        return item.store.id  # type: ignore[no-any-return]
    if model is Store:
        return getattr(item, "id", None)
    return getattr(item, "store_id", None) if column_of(model, "store_id") is not None else None
