"""The group-buy campaigns of the example chain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from app.domain.slots import local_instant
from app.domain.states import CampaignStatus
from app.models import Campaign
from app.models.campaigns import campaign_room_types, campaign_stores
from app.services.demo.batch import Batch
from app.services.demo.pictures import Gallery
from app.services.demo.stores import ZONE, Shops


@dataclass
class DemoCampaign:
    """A campaign: `stores` counted from 0, sale in days from today, `daily` orders (or teams) a day."""

    slug: str
    title: str
    cover_words: str
    stores: tuple[int, ...]
    room_types: tuple[str, ...]
    minutes: int
    people: int
    price_yuan: int
    list_price_yuan: int
    team_size: int
    sale_days: tuple[int, int]
    valid_days: int
    daily: float
    description: str
    terms: str
    status: CampaignStatus = CampaignStatus.PUBLISHED
    team_minutes: int = 0
    limit: int | None = None
    stock: int | None = None
    bands: tuple[dict[str, str], ...] = ()
    id: int = 0

    def covers(self, store_index: int, room_type: str) -> bool:
        """Tell whether its vouchers are ever used in such a room."""
        return self.daily > 0 and store_index in self.stores and room_type in self.room_types

    def is_on_sale(self, offset: int) -> bool:
        """Tell whether it is sold so many days from today."""
        return self.sale_days[0] <= offset < self.sale_days[1]


RULES = "有效期内未使用可随时申请退款；仅限一次用完，不找零、不与其他优惠同享；过期自动失效。"


CAMPAIGNS = (
    DemoCampaign(
        slug="four-hours",
        title="四小时畅打券（小包/中包）",
        cover_words="四小时畅打券",
        stores=(0, 2),
        room_types=("小包", "中包"),
        minutes=240,
        people=4,
        price_yuan=99,
        list_price_yuan=192,
        team_size=1,
        sale_days=(-75, 120),
        valid_days=45,
        daily=4.2,
        limit=5,
        stock=3000,
        description="<h3>全天可用，周末不加价</h3><ul><li>小包或中包任选，四小时一口价</li>"
        "<li>含麻将机、茶水与充电</li><li>到店出示券码，店员核销即可开台</li></ul>",
        terms=f"静安愚园路店、西湖文三路店通用，每人限购 5 张。{RULES}",
    ),
    DemoCampaign(
        slug="team-of-three",
        title="三人拼团·大包五小时",
        cover_words="三人拼团 大包五小时",
        stores=(0, 1, 2),
        room_types=("大包", "豪华包"),
        minutes=300,
        people=8,
        price_yuan=168,
        list_price_yuan=360,
        team_size=3,
        team_minutes=2880,
        sale_days=(-60, 90),
        valid_days=60,
        daily=0.8,
        limit=4,
        stock=900,
        bands=({"start": "09:00", "end": "24:00"},),
        description="<h3>三人成团，立省近两百</h3><p>邀请两位好友一起购买，48 小时内满三人即成团，"
        "每人各得一张大包五小时券。</p><ul><li>大包、豪华包通用</li><li>每日 9:00–24:00 可用</li></ul>",
        terms=f"三店通用，48 小时内未满三人自动全额退款，成团后其他成员退款不影响已成团的券。{RULES}",
    ),
    DemoCampaign(
        slug="opening-gift",
        title="开业特惠·三小时体验券",
        cover_words="开业特惠 三小时",
        stores=(0, 1, 2),
        room_types=("小包", "中包", "大包"),
        minutes=180,
        people=4,
        price_yuan=59,
        list_price_yuan=144,
        team_size=1,
        sale_days=(-89, -40),
        valid_days=30,
        daily=3.2,
        limit=3,
        stock=400,
        status=CampaignStatus.ENDED,
        description="<p>新店开业体验价，三小时畅打，先到先得。</p>",
        terms=f"三店通用，每人限购 3 张。{RULES}",
    ),
    DemoCampaign(
        slug="night-owl",
        title="夜猫子通宵券",
        cover_words="夜猫子通宵券",
        stores=(1,),
        room_types=("小包", "中包", "大包"),
        minutes=480,
        people=4,
        price_yuan=158,
        list_price_yuan=238,
        team_size=1,
        sale_days=(7, 67),
        valid_days=60,
        daily=0,
        limit=2,
        stock=200,
        status=CampaignStatus.DRAFT,
        bands=({"start": "22:00", "end": "10:00"},),
        description="<p>23 点到次日 7 点，一口价通宵。</p>",
        terms=f"仅限浦东世纪公园店。{RULES}",
    ),
)


def invent_campaigns() -> list[DemoCampaign]:
    """Return the campaigns in the order in which they are added."""
    return [replace(each) for each in CAMPAIGNS]


def add_campaigns(
    batch: Batch, gallery: Gallery, shops: Shops, campaigns: list[DemoCampaign], today: date, now: datetime
) -> None:
    """Collect the campaigns and give each its id."""
    for number, each in enumerate(campaigns):
        cover_url = gallery.campaign_cover(each.slug, number, each.cover_words)
        starts_at, ends_at = (_midnight(today, offset) for offset in each.sale_days)
        each.id = batch.add(
            Campaign,
            **_terms(each),
            title=each.title,
            status=each.status,
            sale_starts_at=starts_at,
            sale_ends_at=ends_at,
            description_html=each.description,
            terms=each.terms,
            cover_url=cover_url,
            share_title=f"{each.cover_words}，仅需 {each.price_yuan} 元",
            share_image_url=cover_url,
            created_at=min(starts_at, now) - timedelta(days=2),
        )
        for store in each.stores:
            batch.link(campaign_stores, campaign_id=each.id, store_id=shops.store_ids[store])
        for room_type in each.room_types:
            type_id = shops.room_type_ids[room_type]
            batch.link(campaign_room_types, campaign_id=each.id, room_type_id=type_id)


def _terms(each: DemoCampaign) -> dict[str, Any]:
    return {
        "package_minutes": each.minutes,
        "people": each.people,
        "price_fen": each.price_yuan * 100,
        "list_price_fen": each.list_price_yuan * 100,
        "team_size": each.team_size,
        "team_minutes": each.team_minutes,
        "per_customer_limit": each.limit,
        "stock": each.stock,
        "valid_days": each.valid_days,
        "bands": list(each.bands),
        # The simulated payment service does not know these payments, so nothing refunds itself.
        "is_refunded_on_expiry": False,
    }


def _midnight(today: date, offset: int) -> datetime:
    return local_instant(today + timedelta(days=offset), 0, ZONE)
