"""Staff accounts of every role, and the customers of the example chain."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random

from sqlalchemy import select

from app.domain.actor import Actor, StoreScope, staff_actor
from app.domain.slots import Span
from app.extensions import keyring, metadata
from app.models import Customer, Staff
from app.models.staff import staff_stores
from app.services.demo.batch import Batch
from app.services.unit_of_work import session

PASSWORD = "quefang-demo"
# The parameters of the web framework's own hashes, so that its login understands this one.
SCRYPT = {"n": 32768, "r": 8, "p": 1}
SALT = "QuefangDemoSalt1"

# (user name, family name, first name, role, stores counted from 0)
STAFF = (
    ("owner", "沈", "雁秋", "Owner", ()),
    ("manager", "陆", "文博", "Manager", (0, 1)),
    ("cashier", "周", "晓琳", "Cashier", (0, 1)),
    ("service", "许", "静怡", "Service", (0, 1, 2)),
    ("analyst", "顾", "明哲", "Analyst", (0, 1, 2)),
    ("manager2", "钱", "立群", "Manager", (2,)),
    ("cashier2", "吴", "思源", "Cashier", (2,)),
)
DESK = {"Manager", "Cashier"}

NAMES = """
阿May 阿昌 阿豪 安然 八万 白板先生 北冥有鱼 碧螺春 冰糖葫芦 布丁 采薇 草莓味的风
陈大发 陈默 成都小胖 初夏 春卷 大白兔 大头 丹丹 东风不来 豆包 发财哥 方舟 风清扬
夫子 橄榄 高老师 鸽子不咕 过儿 海棠 韩梅梅 和谐号 红中 胡了没 花开半夏 黄小厨 江南
姜太公 杰哥 今晚打老虎 静姐 酒窝 橘子汽水 开心果 可可 老K 老王 老周 乐乐妈
李逵不打虎 梨涡 凉茶 林深见鹿 刘一手 柳絮 龙井茶 鹿鸣 绿豆糕 落落 麻辣小龙虾 麦兜
满天星 猫老板 没牌打 美美 孟婆请喝汤 米粒 明月几时有 木子 南山 糯米团子 胖虎
陪你看雪 七对子 七月 浅浅 清一色 秋刀鱼 三缺一 山茶 邵先生 十三幺 石头 双双 水哥
苏苏 孙小圣 糖醋里脊 桃子 天胡 甜筒 汀兰 童童 王师傅 微风不燥 文艺青年 乌龙茶 西瓜
夏至未至 小鹿 小满 小鱼儿 谢谢老板 幸运儿 徐来 雪糕 杨过 一条 一筒 夜猫子 银杏 悠悠
渔夫 雨过天青 圆圆 月半弯 张三丰 珍珠奶茶 知了 子期 自摸 左手牌 醉清风
"""
NICKNAMES = NAMES.split()
REGULARS = 28
PHONE_HEADS = (133, 135, 136, 137, 138, 139, 150, 152, 158, 159, 176, 180, 186, 188, 189)


@dataclass
class Guest:
    """A customer on the way into the database; `busy` are the times already spent in rooms."""

    nickname: str
    joined_at: datetime
    phone: str | None
    is_blacklisted: bool
    busy: list[Span]
    id: int = 0


def add_staff(batch: Batch, store_ids: list[int], now: datetime) -> list[Actor]:
    """Collect the accounts and return their actors; role rows that are missing are made."""
    roles = _role_ids()
    password = _hash_password()
    created_on = (now - timedelta(days=200)).replace(tzinfo=None)
    actors = []
    for username, family, first, role, places in STAFF:
        staff_id = batch.add(
            Staff,
            username=username,
            last_name=family,
            first_name=first,
            email=f"{username}@quefang.example",
            password=password,
            active=True,
            login_count=0,
            fail_login_count=0,
            created_on=created_on,
            changed_on=created_on,
        )
        batch.link(metadata.tables["ab_user_role"], user_id=staff_id, role_id=roles[role])
        stores = [store_ids[place] for place in places]
        for store_id in stores:
            batch.link(staff_stores, staff_id=staff_id, store_id=store_id)
        scope = StoreScope(is_all=role == "Owner", store_ids=frozenset(stores))
        actors.append(staff_actor(staff_id, f"{family}{first}", scope))
    return actors


def desk_staff(actors: list[Actor]) -> list[Actor]:
    """Return those who take payments and redeem vouchers."""
    return [actor for actor, entry in zip(actors, STAFF, strict=True) if entry[3] in DESK]


def _role_ids() -> dict[str, int]:
    table = metadata.tables["ab_role"]
    found = {row.name: row.id for row in session().execute(select(table.c.name, table.c.id))}
    for role in {entry[3] for entry in STAFF} - found.keys():
        added = table.insert().values(name=role).returning(table.c.id)
        found[role] = session().execute(added).scalar_one()
    return found


def _hash_password() -> str:
    """Hash once for all accounts: it is slow on purpose, and the password is public anyway."""
    work = 132 * SCRYPT["n"] * SCRYPT["r"] * SCRYPT["p"]
    digest = hashlib.scrypt(PASSWORD.encode(), salt=SALT.encode(), maxmem=work, **SCRYPT)
    method = ":".join(str(SCRYPT[name]) for name in ("n", "r", "p"))
    return f"scrypt:{method}${SALT}${digest.hex()}"


def invent_guests(today: date, first_at: datetime) -> list[Guest]:
    """Return the customers: regulars who were there before *first_at*, the others joining day by day."""
    rng = Random(f"guests:{today}")
    guests = []
    for index, nickname in enumerate(NICKNAMES):
        days = -rng.randrange(20, 200) if index < REGULARS else rng.randrange(-60, 88)
        joined_at = first_at + timedelta(days=days, minutes=rng.randrange(9 * 60, 22 * 60))
        phone = f"{rng.choice(PHONE_HEADS)}{rng.randrange(10**8):08d}" if rng.random() < 0.9 else None
        guests.append(Guest(nickname, joined_at, phone, is_blacklisted=index == len(NICKNAMES) - 3, busy=[]))
    return guests


def pick_guest(guests: list[Guest], rng: Random, at: datetime, span: Span | None = None) -> Guest:
    """Return a customer who had joined by then and is in no other room; regulars come more often."""
    for _ in range(40):
        guest = guests[rng.randrange(REGULARS if rng.random() < 0.45 else len(guests))]
        is_busy = span is not None and any(span.overlaps(taken) for taken in guest.busy)
        if guest.joined_at <= at and not is_busy and not guest.is_blacklisted:
            break
    if span is not None:
        guest.busy.append(span)
    return guest


def add_guests(batch: Batch, guests: list[Guest], now: datetime) -> None:
    """Collect the customers that have joined by now."""
    rng = Random(f"logins:{len(guests)}")
    for guest in guests:
        last_login_at = now - timedelta(minutes=int(60 * 24 * 45 * rng.random() ** 3))
        if guest.joined_at > now:
            continue
        phone = guest.phone
        guest.id = batch.add(
            Customer,
            nickname=guest.nickname,
            phone=phone,
            phone_hash=phone and keyring.keyed_hash("phone", phone),
            phone_tail_hash=phone and keyring.keyed_hash("phone_tail", phone[-4:]),
            is_blacklisted=guest.is_blacklisted,
            blacklist_reason="多次爽约" if guest.is_blacklisted else "",
            created_at=guest.joined_at,
            last_login_at=max(guest.joined_at, last_login_at),
        )
