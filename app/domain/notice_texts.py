"""The default words of every notice in zh, zh_Hant and en: (title, body) with {variables}."""

from __future__ import annotations

Words = tuple[str, str]
Texts = dict[str, dict[str, Words]]


def _words(zh: Words, zh_hant: Words, en: Words) -> dict[str, Words]:
    return {"zh": zh, "zh_Hant": zh_hant, "en": en}


CUSTOMER_TEXTS: Texts = {
    "order_created": _words(
        ("订单待支付", "订单 {order_no}（{subject}）已创建，请在 {expires} 前支付 {amount}。"),
        ("訂單待支付", "訂單 {order_no}（{subject}）已建立，請在 {expires} 前支付 {amount}。"),
        (
            "Order awaiting payment",
            "Order {order_no} ({subject}) was created. Please pay {amount} by {expires}.",
        ),
    ),
    "order_paid": _words(
        ("支付成功", "订单 {order_no}（{subject}）已支付 {amount}。"),
        ("支付成功", "訂單 {order_no}（{subject}）已支付 {amount}。"),
        ("Payment received", "Order {order_no} ({subject}): {amount} was paid."),
    ),
    "payment_failed": _words(
        ("支付失败", "订单 {order_no}（{subject}）支付未成功，可在 {expires} 前再试一次。"),
        ("支付失敗", "訂單 {order_no}（{subject}）支付未成功，可在 {expires} 前再試一次。"),
        (
            "Payment failed",
            "The payment of order {order_no} ({subject}) failed. You may try again until {expires}.",
        ),
    ),
    "booking_confirmed": _words(
        ("预约成功", "{store} {room} 已为您预留：{start} 至 {end}，订单 {order_no}。"),
        ("預約成功", "{store} {room} 已為您預留：{start} 至 {end}，訂單 {order_no}。"),
        ("Booking confirmed", "{store} {room} is yours from {start} to {end}. Order {order_no}."),
    ),
    "booking_refused": _words(
        ("预约未能确认", "门店未能确认订单 {order_no}（{subject} {start}），款项将原路全额退回。{reason}"),
        ("預約未能確認", "門店未能確認訂單 {order_no}（{subject} {start}），款項將原路全額退回。{reason}"),
        (
            "Booking not confirmed",
            "Order {order_no} ({subject}, {start}) was not confirmed. You get a full refund. {reason}",
        ),
    ),
    "booking_completed": _words(
        ("使用结束", "订单 {order_no}（{subject}）已完成，感谢光临。"),
        ("使用結束", "訂單 {order_no}（{subject}）已完成，感謝光臨。"),
        ("Visit completed", "Order {order_no} ({subject}) is completed. Thank you for your visit."),
    ),
    "starting_soon": _words(
        ("即将开始", "{store} {room} 将于 {start} 开始，请准时到店，订单 {order_no}。"),
        ("即將開始", "{store} {room} 將於 {start} 開始，請準時到店，訂單 {order_no}。"),
        ("Starting soon", "{store} {room}: your booking starts at {start}. Order {order_no}."),
    ),
    "ending_soon": _words(
        ("即将结束", "{store} {room} 还有 {minutes} 分钟结束（{end}），需要请及时续时。"),
        ("即將結束", "{store} {room} 還有 {minutes} 分鐘結束（{end}），需要請及時續時。"),
        (
            "Ending soon",
            "{store} {room}: {minutes} minutes left, until {end}. Extend in time if you wish to stay.",
        ),
    ),
    "change_held": _words(
        (
            "变更待支付",
            "订单 {order_no}（{subject}）的变更需补 {amount}，请在 {expires} 前支付，逾期保留原预约。",
        ),
        (
            "變更待支付",
            "訂單 {order_no}（{subject}）的變更需補 {amount}，請在 {expires} 前支付，逾期保留原預約。",
        ),
        (
            "Change awaits payment",
            "The change of order {order_no} ({subject}) costs {amount} more. Please pay by {expires}; "
            "otherwise your booking stays as it is.",
        ),
    ),
    "change_expired": _words(
        ("变更已失效", "订单 {order_no} 的变更未按时支付，原预约不变：{store} {room} {start} 至 {end}。"),
        ("變更已失效", "訂單 {order_no} 的變更未按時支付，原預約不變：{store} {room} {start} 至 {end}。"),
        (
            "Change not paid in time",
            "The change of order {order_no} was not paid in time. "
            "{store} {room} stays yours from {start} to {end}.",
        ),
    ),
    "booking_changed": _words(
        ("预约已变更", "订单 {order_no} 现为 {store} {room}，{start} 至 {end}。"),
        ("預約已變更", "訂單 {order_no} 現為 {store} {room}，{start} 至 {end}。"),
        ("Booking changed", "Order {order_no} is now {store} {room}, from {start} to {end}."),
    ),
    "booking_extended": _words(
        ("续时成功", "{store} {room} 已续至 {end}，订单 {order_no}。"),
        ("續時成功", "{store} {room} 已續至 {end}，訂單 {order_no}。"),
        ("Booking extended", "{store} {room} is yours until {end}. Order {order_no}."),
    ),
    "overtime_started": _words(
        (
            "已到时间",
            "{store} {room} 的预约已于 {end} 到时，超过 {minutes} 分钟将按超时计费，订单 {order_no}。",
        ),
        (
            "已到時間",
            "{store} {room} 的預約已於 {end} 到時，超過 {minutes} 分鐘將按超時計費，訂單 {order_no}。",
        ),
        (
            "Your time is over",
            "{store} {room}: your time ended at {end}. "
            "After {minutes} minutes overtime is charged. Order {order_no}.",
        ),
    ),
    "overtime_charged": _words(
        ("超时费待支付", "订单 {order_no}（{subject}）超时 {minutes} 分钟，超时费 {amount}，请尽快支付。"),
        ("超時費待支付", "訂單 {order_no}（{subject}）超時 {minutes} 分鐘，超時費 {amount}，請盡快支付。"),
        (
            "Overtime to pay",
            "Order {order_no} ({subject}): {minutes} minutes of overtime cost {amount}. Please pay soon.",
        ),
    ),
    "no_show": _words(
        ("预约未到店", "订单 {order_no}（{subject} {start}）未到店，包间已释放，退款 {amount}。"),
        ("預約未到店", "訂單 {order_no}（{subject} {start}）未到店，包間已釋放，退款 {amount}。"),
        (
            "You did not come",
            "Nobody came for order {order_no} ({subject}, {start}). "
            "The room was released; {amount} is refunded.",
        ),
    ),
    "order_cancelled": _words(
        ("订单已取消", "订单 {order_no}（{subject}）已取消。{reason}"),
        ("訂單已取消", "訂單 {order_no}（{subject}）已取消。{reason}"),
        ("Order cancelled", "Order {order_no} ({subject}) was cancelled. {reason}"),
    ),
    "order_expired": _words(
        ("订单已关闭", "订单 {order_no}（{subject}）未在规定时间内支付，已自动取消。"),
        ("訂單已關閉", "訂單 {order_no}（{subject}）未在規定時間內支付，已自動取消。"),
        ("Order closed", "Order {order_no} ({subject}) was not paid in time and has been cancelled."),
    ),
    "refund_requested": _words(
        ("已收到退款申请", "订单 {order_no}（{subject}）的退款申请 {amount} 已提交，门店会尽快处理。"),
        ("已收到退款申請", "訂單 {order_no}（{subject}）的退款申請 {amount} 已提交，門店會盡快處理。"),
        (
            "Refund requested",
            "Your request to refund {amount} of order {order_no} ({subject}) waits for the store's review.",
        ),
    ),
    "refund_approved": _words(
        ("退款申请已通过", "订单 {order_no}（{subject}）同意退款 {amount}。{reason}"),
        ("退款申請已通過", "訂單 {order_no}（{subject}）同意退款 {amount}。{reason}"),
        ("Refund approved", "The refund of {amount} for order {order_no} ({subject}) is approved. {reason}"),
    ),
    "refund_refused": _words(
        ("退款申请未通过", "订单 {order_no}（{subject}）的退款申请未通过：{reason}"),
        ("退款申請未通過", "訂單 {order_no}（{subject}）的退款申請未通過：{reason}"),
        ("Refund refused", "The refund for order {order_no} ({subject}) was refused: {reason}"),
    ),
    "refund_started": _words(
        ("退款处理中", "订单 {order_no} 的退款 {amount} 已提交，将原路退回。"),
        ("退款處理中", "訂單 {order_no} 的退款 {amount} 已提交，將原路退回。"),
        (
            "Refund on its way",
            "The refund of {amount} for order {order_no} goes back by the way it was paid.",
        ),
    ),
    "refund_done": _words(
        ("退款成功", "订单 {order_no} 已退款 {amount}，请留意原支付账户。"),
        ("退款成功", "訂單 {order_no} 已退款 {amount}，請留意原支付帳戶。"),
        ("Refunded", "{amount} of order {order_no} was refunded to the account that paid."),
    ),
    "team_joined": _words(
        ("拼团进行中", "您参加的“{campaign}”已有 {joined}/{size} 人，请在 {expires} 前邀请好友成团。"),
        ("拼團進行中", "您參加的「{campaign}」已有 {joined}/{size} 人，請在 {expires} 前邀請好友成團。"),
        ("Team forming", "“{campaign}” has {joined} of {size} members. Invite friends until {expires}."),
    ),
    "team_complete": _words(
        ("拼团成功", "“{campaign}”已成团（{size} 人），团购券已放入您的账户。"),
        ("拼團成功", "「{campaign}」已成團（{size} 人），團購券已放入您的帳戶。"),
        (
            "Team complete",
            "Your team of {size} for “{campaign}” is complete. The vouchers are in your account.",
        ),
    ),
    "team_failed": _words(
        ("拼团未成功", "“{campaign}”未能按时成团，订单 {order_no} 将自动全额退款。"),
        ("拼團未成功", "「{campaign}」未能按時成團，訂單 {order_no} 將自動全額退款。"),
        ("Team not complete", "“{campaign}” did not fill in time. Order {order_no} is refunded in full."),
    ),
    "voucher_issued": _words(
        ("团购券已到账", "“{campaign}”的团购券（尾号 {code_tail}）已到账，有效期至 {valid_until}。"),
        ("團購券已到帳", "「{campaign}」的團購券（尾號 {code_tail}）已到帳，有效期至 {valid_until}。"),
        ("Voucher received", "Your voucher …{code_tail} for “{campaign}” is valid until {valid_until}."),
    ),
    "voucher_redeemed": _words(
        ("团购券已核销", "“{campaign}”的团购券（尾号 {code_tail}）已在 {store} {room} 核销。"),
        ("團購券已核銷", "「{campaign}」的團購券（尾號 {code_tail}）已在 {store} {room} 核銷。"),
        ("Voucher redeemed", "Your voucher …{code_tail} for “{campaign}” was redeemed in {store} {room}."),
    ),
    "redemption_reversed": _words(
        ("核销已撤销", "“{campaign}”的团购券（尾号 {code_tail}）核销已撤销，可再次使用。{reason}"),
        ("核銷已撤銷", "「{campaign}」的團購券（尾號 {code_tail}）核銷已撤銷，可再次使用。{reason}"),
        (
            "Redemption reversed",
            "Voucher …{code_tail} for “{campaign}” was given back and can be used again. {reason}",
        ),
    ),
    "voucher_expired": _words(
        ("团购券已过期", "“{campaign}”的团购券（尾号 {code_tail}）已于 {valid_until} 过期。"),
        ("團購券已過期", "「{campaign}」的團購券（尾號 {code_tail}）已於 {valid_until} 過期。"),
        ("Voucher expired", "Your voucher …{code_tail} for “{campaign}” expired on {valid_until}."),
    ),
}

SHOP_TEXTS: Texts = {
    "order_paid": _words(
        ("新订单已支付", "订单 {order_no}：{subject} {start}，已支付 {amount}。"),
        ("新訂單已支付", "訂單 {order_no}：{subject} {start}，已支付 {amount}。"),
        ("New paid order", "Order {order_no}: {subject} {start}, {amount} paid."),
    ),
    "booking_refused": _words(
        ("预约已拒绝", "订单 {order_no}（{subject} {start}）未确认，正在全额退款。{reason}"),
        ("預約已拒絕", "訂單 {order_no}（{subject} {start}）未確認，正在全額退款。{reason}"),
        (
            "Booking refused",
            "Order {order_no} ({subject}, {start}) was not confirmed and is refunded in full. {reason}",
        ),
    ),
    "booking_started": _words(
        ("顾客已到店", "{room} 已开台，至 {end}，订单 {order_no}。"),
        ("顧客已到店", "{room} 已開台，至 {end}，訂單 {order_no}。"),
        ("Guests arrived", "{room} is in use until {end}. Order {order_no}."),
    ),
    "booking_completed": _words(
        ("使用结束", "{room} 已离店，请安排清洁，订单 {order_no}。"),
        ("使用結束", "{room} 已離店，請安排清潔，訂單 {order_no}。"),
        ("Use completed", "{room} is empty and wants cleaning. Order {order_no}."),
    ),
    "starting_soon": _words(
        ("即将到店", "{room} 将于 {start} 开始，订单 {order_no}。"),
        ("即將到店", "{room} 將於 {start} 開始，訂單 {order_no}。"),
        ("Starting soon", "{room}: a booking starts at {start}. Order {order_no}."),
    ),
    "ending_soon": _words(
        ("即将结束", "{room} 还有 {minutes} 分钟结束（{end}），订单 {order_no}。"),
        ("即將結束", "{room} 還有 {minutes} 分鐘結束（{end}），訂單 {order_no}。"),
        ("Ending soon", "{room}: {minutes} minutes left, until {end}. Order {order_no}."),
    ),
    "booking_changed": _words(
        ("预约已变更", "订单 {order_no} 现为 {room}，{start} 至 {end}。"),
        ("預約已變更", "訂單 {order_no} 現為 {room}，{start} 至 {end}。"),
        ("Booking changed", "Order {order_no} is now {room}, from {start} to {end}."),
    ),
    "booking_extended": _words(
        ("顾客已续时", "{room} 已续至 {end}，订单 {order_no}。"),
        ("顧客已續時", "{room} 已續至 {end}，訂單 {order_no}。"),
        ("Booking extended", "{room} is in use until {end}. Order {order_no}."),
    ),
    "overtime_started": _words(
        ("包间超时", "{room} 已于 {end} 到时，顾客尚未离店，订单 {order_no}。"),
        ("包間超時", "{room} 已於 {end} 到時，顧客尚未離店，訂單 {order_no}。"),
        ("Overtime", "{room}: the time ended at {end} and the guests are still there. Order {order_no}."),
    ),
    "overtime_charged": _words(
        ("产生超时费", "订单 {order_no}：{room} 超时 {minutes} 分钟，超时费 {amount}。"),
        ("產生超時費", "訂單 {order_no}：{room} 超時 {minutes} 分鐘，超時費 {amount}。"),
        ("Overtime charged", "Order {order_no}: {room}, {minutes} minutes of overtime, {amount}."),
    ),
    "guests_follow": _words(
        ("下一场将到", "{room} 还有 {minutes} 分钟结束（{end}），随后有预约，不能续时，请提醒顾客按时离店。"),
        ("下一場將到", "{room} 還有 {minutes} 分鐘結束（{end}），隨後有預約，不能續時，請提醒顧客按時離店。"),
        (
            "Next guests follow",
            "{room}: {minutes} minutes left, until {end}. Others follow, so the room must be empty in time.",
        ),
    ),
    "no_show": _words(
        ("顾客未到店", "订单 {order_no}（{subject} {start}）未到店，包间已释放，退款 {amount}。"),
        ("顧客未到店", "訂單 {order_no}（{subject} {start}）未到店，包間已釋放，退款 {amount}。"),
        ("Nobody came", "Nobody came for order {order_no} ({subject}, {start}). {amount} is refunded."),
    ),
    "order_cancelled": _words(
        ("订单已取消", "订单 {order_no}（{subject} {start}）已取消。{reason}"),
        ("訂單已取消", "訂單 {order_no}（{subject} {start}）已取消。{reason}"),
        ("Order cancelled", "Order {order_no} ({subject}, {start}) was cancelled. {reason}"),
    ),
    "refund_requested": _words(
        ("退款申请待审核", "订单 {order_no}（{subject}）申请退款 {amount}：{reason}"),
        ("退款申請待審核", "訂單 {order_no}（{subject}）申請退款 {amount}：{reason}"),
        ("Refund to review", "Order {order_no} ({subject}): a refund of {amount} is asked for: {reason}"),
    ),
    "refund_done": _words(
        ("退款已完成", "订单 {order_no} 已退款 {amount}。"),
        ("退款已完成", "訂單 {order_no} 已退款 {amount}。"),
        ("Refund done", "{amount} of order {order_no} was refunded."),
    ),
    "refund_abnormal": _words(
        ("退款异常", "订单 {order_no} 的退款 {amount} 未能退回，请人工处理。{reason}"),
        ("退款異常", "訂單 {order_no} 的退款 {amount} 未能退回，請人工處理。{reason}"),
        (
            "Refund needs attention",
            "The refund of {amount} for order {order_no} did not go through. {reason}",
        ),
    ),
    "voucher_redeemed": _words(
        ("团购券已核销", "{room}：“{campaign}”的团购券（尾号 {code_tail}）已核销，订单 {order_no}。"),
        ("團購券已核銷", "{room}：「{campaign}」的團購券（尾號 {code_tail}）已核銷，訂單 {order_no}。"),
        ("Voucher redeemed", "{room}: voucher …{code_tail} for “{campaign}” was redeemed. Order {order_no}."),
    ),
    "redemption_reversed": _words(
        ("核销已撤销", "“{campaign}”的团购券（尾号 {code_tail}）核销已撤销。{reason}"),
        ("核銷已撤銷", "「{campaign}」的團購券（尾號 {code_tail}）核銷已撤銷。{reason}"),
        (
            "Redemption reversed",
            "The redemption of voucher …{code_tail} for “{campaign}” was reversed. {reason}",
        ),
    ),
}
