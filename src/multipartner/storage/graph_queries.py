"""What reading over the API asks, once, for every database. `graph_rows` turns the answers into the domain's values."""

from typing import Any, Final

import sqlalchemy as sa

from multipartner.domain.nodes import NodeKind
from multipartner.storage import tables as t
from multipartner.storage.compiled import Question

_TABLES: Final = {
    NodeKind.BUSINESS: t.business,
    NodeKind.APP: t.app,
    NodeKind.SOLUTION: t.solution,
    NodeKind.WABA: t.waba,
    NodeKind.PHONE_NUMBER: t.phone_number,
    NodeKind.SYSTEM_USER: t.system_user,
}
"""Where ids of each kind lie: another kind is another line."""


def _given(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.Text)


_app_id, _node_id, _most = _given("app_id"), _given("node_id"), sa.bindparam("most", type_=sa.Integer)


class Windowed:
    """A question for one window of a list, in either direction along `by`."""

    def __init__(self, statement: "sa.Select[Any]", by: "sa.ColumnElement[str]") -> None:
        position = _given("position")
        self.forwards = Question(statement.where(by > position).order_by(by).limit(_most))
        self.backwards = Question(statement.where(by < position).order_by(by.desc()).limit(_most))


KIND_OF: Final = Question(
    sa.union_all(*(sa.select(sa.literal(kind.value)).where(table.c.id == _node_id) for kind, table in _TABLES.items()))
)
"""Looks into the primary key of every table, whatever it finds."""

APP_NODE: Final = Question(sa.select(t.app.c.id, t.app.c.name).where(t.app.c.id == _node_id))
SYSTEM_USER: Final = Question(sa.select(t.system_user.c.id, t.system_user.c.name).where(t.system_user.c.id == _node_id))

BUSINESS: Final = Question(
    sa.select(t.business.c.id, t.business.c.name, t.connection.c.connected_at_s)
    .outerjoin(t.connection, sa.and_(t.connection.c.app_id == _app_id, t.connection.c.business_id == t.business.c.id))
    .where(t.business.c.id == _node_id)
)

CONNECTED_BUSINESSES: Final = Windowed(
    sa.select(t.business.c.id, t.business.c.name, t.connection.c.connected_at_s)
    .join_from(t.connection, t.business, t.business.c.id == t.connection.c.business_id)
    .where(t.connection.c.app_id == _app_id),
    t.connection.c.business_id,
)

_owner, _partner = t.app.alias("owner"), t.app.alias("partner")
_SOLUTION: Final = (
    t.solution.c.id,
    t.solution.c.name,
    t.solution.c.status,
    _owner.c.id,
    _owner.c.name,
    _partner.c.id,
    _partner.c.name,
    t.solution.c.owner_messaging,
    t.solution.c.partner_messaging,
)
"""`graph_rows.solution_node` reads these."""

_solutions = (
    sa.select(*_SOLUTION)
    .join_from(t.solution, _owner, _owner.c.id == t.solution.c.owner_app_id)
    .join(_partner, _partner.c.id == t.solution.c.partner_app_id)
)

SOLUTION_NODE: Final = Question(_solutions.where(t.solution.c.id == _node_id))

SOLUTIONS_OF_APP: Final = Windowed(
    _solutions.where(sa.or_(t.solution.c.owner_app_id == _given("owner"), t.solution.c.partner_app_id == _given("partner"))),
    t.solution.c.id,
)

_PATH: Final = (
    *_SOLUTION,
    _owner.c.business_id,
    _partner.c.business_id,
    t.share.c.status,
    t.share.c.permissions,
    t.app_grant.c.status,
)
"""`graph_rows.share_path` reads these; the first is NULL where there is no path."""

_is_party = sa.or_(t.solution.c.owner_app_id == _app_id, t.solution.c.partner_app_id == _app_id)


def _with_paths(whole: "sa.FromClause", business_id: "sa.ColumnElement[str]", waba_id: "sa.ColumnElement[str]") -> "sa.Join":
    """Put a WABA's shares with solutions of the app beside it, one row each; one row also where there is none."""
    shared, share, grant = t.share_waba.c, t.share.c, t.app_grant.c
    return (
        whole.outerjoin(t.share_waba, sa.and_(shared.business_id == business_id, shared.waba_id == waba_id))
        .outerjoin(t.solution, sa.and_(t.solution.c.id == shared.solution_id, _is_party))
        .outerjoin(_owner, _owner.c.id == t.solution.c.owner_app_id)
        .outerjoin(_partner, _partner.c.id == t.solution.c.partner_app_id)
        .outerjoin(t.share, sa.and_(share.business_id == business_id, share.solution_id == t.solution.c.id))
        .outerjoin(
            t.app_grant,
            sa.and_(grant.business_id == business_id, grant.solution_id == t.solution.c.id, grant.app_id == _app_id),
        )
    )


_WABA: Final = (t.waba.c.id, t.waba.c.name, t.business.c.id, t.business.c.name)
_waba = t.waba.join(t.business, t.business.c.id == t.waba.c.business_id)
_waba_with_paths = _with_paths(_waba, t.waba.c.business_id, t.waba.c.id)

WABA: Final = Question(sa.select(*_WABA, *_PATH).select_from(_waba_with_paths).where(t.waba.c.id == _node_id))

_number = _waba.join(
    t.phone_number,
    sa.and_(t.phone_number.c.business_id == t.waba.c.business_id, t.phone_number.c.waba_id == t.waba.c.id),
)
PHONE_NUMBER: Final = Question(
    sa.select(t.phone_number.c.id, t.phone_number.c.display_phone_number, *_WABA, *_PATH)
    .select_from(_with_paths(_number, t.waba.c.business_id, t.waba.c.id))
    .where(t.phone_number.c.id == _node_id)
)

PHONE_NUMBERS: Final = Windowed(
    sa.select(t.phone_number.c.id, t.phone_number.c.display_phone_number).where(
        t.phone_number.c.business_id == _given("business_id"), t.phone_number.c.waba_id == _node_id
    ),
    t.phone_number.c.id,
)


def _wabas_of(*, backwards: bool) -> Question:
    """The window is over WABAs, and then each may have several rows."""
    position, c = _given("position"), t.waba.c
    beyond, order = (c.id < position, c.id.desc()) if backwards else (c.id > position, c.id)
    inner = sa.select(c.id, c.name, c.business_id).where(c.business_id == _node_id, beyond).order_by(order).limit(_most)
    found = inner.subquery("found")
    whole = _with_paths(found.join(t.business, t.business.c.id == found.c.business_id), found.c.business_id, found.c.id)
    columns = (found.c.id, found.c.name, t.business.c.id, t.business.c.name, *_PATH)
    return Question(sa.select(*columns).select_from(whole).order_by(found.c.id.desc() if backwards else found.c.id))


class WabasOf:
    """As `Windowed`."""

    forwards: Final = _wabas_of(backwards=False)
    backwards: Final = _wabas_of(backwards=True)


SHARED_WABAS: Final = Question(
    sa.select(*_WABA, *_PATH)
    .select_from(
        t.connection.join(t.share_waba, t.share_waba.c.business_id == t.connection.c.business_id)
        .join(t.solution, sa.and_(t.solution.c.id == t.share_waba.c.solution_id, _is_party))
        .join(_owner, _owner.c.id == t.solution.c.owner_app_id)
        .join(_partner, _partner.c.id == t.solution.c.partner_app_id)
        .join(
            t.share,
            sa.and_(t.share.c.business_id == t.share_waba.c.business_id, t.share.c.solution_id == t.share_waba.c.solution_id),
        )
        .join(t.waba, sa.and_(t.waba.c.business_id == t.share_waba.c.business_id, t.waba.c.id == t.share_waba.c.waba_id))
        .join(t.business, t.business.c.id == t.share_waba.c.business_id)
        .outerjoin(
            t.app_grant,
            sa.and_(
                t.app_grant.c.business_id == t.share_waba.c.business_id,
                t.app_grant.c.solution_id == t.share_waba.c.solution_id,
                t.app_grant.c.app_id == _app_id,
            ),
        )
    )
    .where(t.connection.c.app_id == _app_id, t.connection.c.business_id.between(_given("first"), _given("last")))
)
