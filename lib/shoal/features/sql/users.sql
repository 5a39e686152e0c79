-- One row per user with an event: what {previous} knew of the user, and {events} added.
--
-- A first run hands over every event before :end as {events}, with {previous} and {counted} empty. A later run hands over the
-- rows of an earlier features.users as {previous}, the events that those had not seen as {events}, and the events that they
-- had seen as {counted}, which serves to tell a new item or day of a user from one that was counted, and gives the part of the
-- last days that was counted. No day before :first_day is in {events}, which spares a look at most of what was counted.
--
-- A window of days cannot be carried forward, because its first days leave it: columns that end in _7d and _28d are counted from
-- the events since :start_7d and :start_28d, which are all in {events} or {counted}.
with pairs as (
  select user_id, item_id from {events} group by user_id, item_id
),
days as (
  -- An event without a time is of no day.
  select user_id, to_date(occurred_at) as day from {events} where occurred_at is not null group by user_id, to_date(occurred_at)
),
-- The few new pairs go to the many old events, not the other way round, and as one number each: half the time of two texts.
-- Another pair of the same number does no harm, since the texts below decide what is new.
near_pairs as (
  select xxhash64(user_id, item_id) as pair from pairs
),
counted_pairs as (
  select /*+ broadcast(near_pairs) */ distinct user_id, item_id
  from {counted} left semi join near_pairs on xxhash64(user_id, item_id) = pair
),
counted_days as (
  select /*+ broadcast(days) */ distinct old.user_id, to_date(old.occurred_at) as day
  from (select user_id, occurred_at from {counted} where occurred_at >= :first_day) old
  left semi join days on old.user_id = days.user_id and to_date(old.occurred_at) = days.day
),
new_items as (
  select user_id, count(*) as items from pairs left anti join counted_pairs using (user_id, item_id) group by user_id
),
new_days as (
  select user_id, count(*) as days from days left anti join counted_days using (user_id, day) group by user_id
),
new_events as (
  select
    user_id,
    count(*) as event_count,
    count_if(event = 'view') as view_count,
    count_if(event = 'click') as click_count,
    count_if(event = 'like') as like_count,
    count_if(event = 'comment') as comment_count,
    count_if(event = 'share') as share_count,
    count_if(event = 'save') as save_count,
    count_if(event = 'purchase') as purchase_count,
    count_if(event = 'rating') as rating_count,
    coalesce(sum(value) filter (where event = 'rating'), 0D) as rating_sum,
    min(occurred_at) as first_event_at,
    max(occurred_at) as last_event_at
  from {events}
  group by user_id
),
parts as (
  select
    user_id, event_count, view_count, click_count, like_count, comment_count, share_count, save_count, purchase_count,
    rating_count, rating_sum, coalesce(items, 0L) as distinct_items, coalesce(days, 0L) as active_days,
    first_event_at, last_event_at
  from new_events left join new_items using (user_id) left join new_days using (user_id)
  union all
  select
    user_id, event_count, view_count, click_count, like_count, comment_count, share_count, save_count, purchase_count,
    rating_count, rating_sum, distinct_items, active_days, first_event_at, last_event_at
  from {previous}
),
window_events as (
  select user_id, item_id, event, value, occurred_at from {events} where occurred_at >= :start_28d
  union all
  select user_id, item_id, event, value, occurred_at from {counted} where occurred_at >= :start_28d
),
windows as (
  select
    user_id,
    count_if(occurred_at >= :start_7d) as event_count_7d,
    count(*) as event_count_28d,
    count(distinct item_id) as distinct_items_28d,
    -- A bit a day: exact, and without a second shuffle for a second distinct count.
    cast(bit_count(bit_or(shiftleft(1L, datediff(occurred_at, :start_28d)))) as bigint) as active_days_28d,
    count_if(event = 'rating') as rating_count_28d,
    avg(value) filter (where event = 'rating') as mean_rating_28d
  from window_events
  group by user_id
),
totals as (
  select
    user_id,
    sum(event_count) as event_count,
    sum(view_count) as view_count,
    sum(click_count) as click_count,
    sum(like_count) as like_count,
    sum(comment_count) as comment_count,
    sum(share_count) as share_count,
    sum(save_count) as save_count,
    sum(purchase_count) as purchase_count,
    sum(rating_count) as rating_count,
    sum(rating_sum) as rating_sum,
    sum(distinct_items) as distinct_items,
    sum(active_days) as active_days,
    min(first_event_at) as first_event_at,
    max(last_event_at) as last_event_at
  from parts
  group by user_id
)
select
  totals.*,
  coalesce(event_count_7d, 0L) as event_count_7d,
  coalesce(event_count_28d, 0L) as event_count_28d,
  coalesce(distinct_items_28d, 0L) as distinct_items_28d,
  coalesce(active_days_28d, 0L) as active_days_28d,
  coalesce(rating_count_28d, 0L) as rating_count_28d,
  mean_rating_28d,
  case when rating_count > 0 then rating_sum / rating_count end as mean_rating,
  (unix_micros(:end) - unix_micros(last_event_at)) / 86400e6 as recency_days,
  -- Whole days from the first event's day to as_of, both included, so that a user of one day has one day.
  event_count / cast(datediff(:end, first_event_at) as double) as events_per_day
from totals left join windows on totals.user_id = windows.user_id
