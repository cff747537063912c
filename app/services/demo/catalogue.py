"""What the example chain consists of, as plain data: stores, rooms, facilities, prices, sessions."""

from __future__ import annotations

from typing import NamedTuple


class DemoRoom(NamedTuple):
    """A room; a quiet one is never booked ahead, so that somebody who tries the product finds a place."""

    name: str
    room_type: str
    area_m2: float
    capacity: int
    decor_style: str
    table_brand: str
    is_quiet: bool = False


class DemoStore(NamedTuple):
    """A store with its rooms; `rates` are yuan an hour: weekday, weekday evening, weekend, holiday."""

    slug: str
    name: str
    city: str
    address: str
    lat: float
    lng: float
    phone: str
    wifi: str
    introduction: str
    transport: str
    palette: int
    rooms: tuple[DemoRoom, ...]
    rates: dict[str, tuple[int, int, int, int]]


class DemoSession(NamedTuple):
    """A session with its yuan on weekdays and on weekends and holidays, before the room type's factor."""

    name: str
    start_minute: int
    length_minutes: int
    weekday_yuan: int
    weekend_yuan: int


ROOM_TYPES = ("小包", "中包", "大包", "豪华包", "VIP")

DESCRIPTIONS = {
    "小包": "四人小包，一张全自动麻将机，隔音门，适合三五好友小聚。",
    "中包": "四人中包，麻将机之外另有休闲沙发与茶台，打牌聊天两不误。",
    "大包": "可坐八人，麻将机加休息区，观战的朋友也有舒服的座位。",
    "豪华包": "独立茶室与投影，八至十人聚会的首选，静音新风全天开启。",
    "VIP": "两张机麻、独立卫生间与茶艺区，商务接待、生日聚会皆宜。",
}

# Facility, brand by how good the room is, remark.
FACILITIES: dict[str, tuple[tuple[str, str], ...]] = {
    "自动麻将机": (("雀友", "四口静音机，带USB充电"), ("宣和", "过山车机型，洗牌约40秒")),
    "空调": (("格力", "独立温控"), ("大金", "静音风管机")),
    "新风系统": (("松下", "24小时换气"), ("远大", "除烟除味，PM2.5可视")),
    "智能门锁": (("凯迪仕", "凭开门码自助进入"), ("凯迪仕", "凭开门码自助进入")),
    "茶具": (("景德镇", "一客一消毒"), ("宜兴紫砂", "含两款好茶")),
    "充电插座": (("公牛", "每座一组USB"), ("公牛", "每座一组，支持快充")),
    "投影": (("坚果", "100寸幕布"), ("极米", "4K，可投屏看球")),
    "冰箱": (("海尔", "扫码自取饮料"), ("美的", "饮料免费两瓶")),
    "独立卫生间": (("箭牌", ""), ("箭牌", "每单清洁")),
}

FACILITIES_BY_TYPE = {
    "小包": ("自动麻将机", "空调", "新风系统", "智能门锁", "充电插座"),
    "中包": ("自动麻将机", "空调", "新风系统", "智能门锁", "充电插座", "茶具"),
    "大包": ("自动麻将机", "空调", "新风系统", "智能门锁", "充电插座", "茶具", "冰箱"),
    "豪华包": ("自动麻将机", "空调", "新风系统", "智能门锁", "充电插座", "茶具", "投影", "冰箱"),
    "VIP": tuple(FACILITIES),
}

STORES = (
    DemoStore(
        slug="jingan",
        name="雀坊·静安愚园路店",
        city="上海",
        address="上海市静安区愚园路668弄12号2楼",
        lat=31.22327,
        lng=121.43964,
        phone="021-6248-0937",
        wifi="Quefang-JingAn / queshen2026",
        introduction="老洋房里的自助棋牌室，八间包间全部独立新风与隔音，24 小时凭码自助进出，茶水自取。",
        transport="地铁 2、7、14 号线静安寺站 8 号口步行 6 分钟；愚园路胶州路口有公共停车场，每小时 10 元。",
        palette=0,
        rooms=(
            DemoRoom("101 听竹", "小包", 12.5, 4, "新中式", "雀友"),
            DemoRoom("102 观云", "小包", 12.0, 4, "现代简约", "雀友", True),
            DemoRoom("103 望舒", "中包", 18.0, 6, "新中式", "宣和"),
            DemoRoom("201 清和", "中包", 19.5, 6, "日式", "宣和"),
            DemoRoom("202 长乐", "大包", 26.0, 8, "国潮", "宣和"),
            DemoRoom("203 小满", "小包", 13.0, 4, "日式", "雀友", True),
            DemoRoom("204 半山", "中包", 20.0, 6, "现代简约", "宣和", True),
            DemoRoom("301 揽月", "豪华包", 36.0, 10, "轻奢", "松冈", True),
        ),
        rates={
            "小包": (28, 38, 48, 58),
            "中包": (38, 48, 58, 68),
            "大包": (58, 68, 88, 98),
            "豪华包": (88, 98, 128, 148),
            "VIP": (128, 148, 168, 198),
        },
    ),
    DemoStore(
        slug="pudong",
        name="雀坊·浦东世纪公园店",
        city="上海",
        address="上海市浦东新区锦绣路888号世纪汇B座3楼",
        lat=31.21645,
        lng=121.55012,
        phone="021-5059-0826",
        wifi="Quefang-Park / hulelema88",
        introduction="紧邻世纪公园的亲子友好店，上午场、下午场、晚场与通宵场一口价，店员确认后为您备好茶点。",
        transport="地铁 7 号线锦绣路站 2 号口步行 4 分钟；B2 停车场凭订单免费停车 3 小时。",
        palette=1,
        rooms=(
            DemoRoom("A1 春和", "小包", 13.0, 4, "现代简约", "雀友"),
            DemoRoom("A2 夏荷", "中包", 18.5, 6, "新中式", "雀友"),
            DemoRoom("A3 秋实", "中包", 19.0, 6, "法式", "宣和"),
            DemoRoom("B1 冬藏", "大包", 27.5, 8, "现代简约", "宣和"),
            DemoRoom("B2 锦绣", "豪华包", 38.0, 10, "轻奢", "松冈"),
            DemoRoom("V1 世纪厅", "VIP", 52.0, 14, "新中式", "松冈"),
        ),
        rates={
            "小包": (32, 42, 52, 62),
            "中包": (42, 52, 62, 72),
            "大包": (62, 72, 92, 102),
            "豪华包": (92, 108, 132, 158),
            "VIP": (138, 158, 178, 208),
        },
    ),
    DemoStore(
        slug="wensan",
        name="雀坊·西湖文三路店",
        city="杭州",
        address="杭州市西湖区文三路477号华星科技大厦1层",
        lat=30.27686,
        lng=120.12764,
        phone="0571-8807-0618",
        wifi="Quefang-WenSan / xihu1314",
        introduction="程序员最爱的自助棋牌室，六间包间 24 小时营业，扫码入场、到点提醒，龙井无限续杯。",
        transport="地铁 2 号线、10 号线学院路站 B 口步行 7 分钟；大厦地面停车首小时免费。",
        palette=2,
        rooms=(
            DemoRoom("一筒", "小包", 12.0, 4, "现代简约", "雀友"),
            DemoRoom("二条", "中包", 17.5, 6, "国潮", "雀友"),
            DemoRoom("三万", "大包", 25.0, 8, "国潮", "宣和"),
            DemoRoom("红中", "小包", 12.5, 4, "国潮", "雀友", True),
            DemoRoom("发财", "中包", 18.5, 6, "新中式", "宣和", True),
            DemoRoom("白板", "豪华包", 34.0, 10, "日式", "松冈", True),
        ),
        rates={
            "小包": (22, 32, 38, 48),
            "中包": (32, 42, 48, 58),
            "大包": (48, 58, 72, 82),
            "豪华包": (72, 82, 98, 118),
            "VIP": (108, 128, 148, 168),
        },
    ),
)

# The store in the middle sells sessions and a night package and confirms by hand.
MIDDLE = 1

SESSIONS = (
    DemoSession("上午场", 9 * 60, 210, 98, 128),
    DemoSession("下午场", 13 * 60, 270, 138, 188),
    DemoSession("晚场", 18 * 60, 270, 168, 218),
    DemoSession("通宵场", 23 * 60, 480, 198, 238),
)

# What a flat price of the small room is multiplied by, in percent.
TYPE_PERCENT = {"小包": 100, "中包": 125, "大包": 170, "豪华包": 240, "VIP": 340}
