-- One row per item that is in {items} or has an event: what {previous} knew of the item, and {events} added.
--
-- The frames are those of users.sql. Popularity is the sum over events of 2^(-age / half-life), age counted to :end. Each term
-- is kept as a whole number of 2^-40, so that the sum is exact and the same in whatever order the rows come.
with pairs as (
  select item_id, user_id from {events} group by item_id, user_id
),
-- As in users.sql.
near_pairs as (
  select xxhash64(item_id, user_id) as pair from pairs
),
counted_pairs as (
  select /*+ broadcast(near_pairs) */ distinct item_id, user_id
  from {counted} left semi join near_pairs on xxhash64(item_id, user_id) = pair
),
new_users as (
  select item_id, count(*) as users from pairs left anti join counted_pairs using (item_id, user_id) group by item_id
),
new_events as (
  select
    item_id,
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
    -- An event without a time has no age, and no part in what is popular now.
    sum(
      cast(round(pow(2, 40 - (unix_micros(:end) - unix_micros(occurred_at)) / (86400e6 * :half_life_days))) as bigint)
    ) / pow(2, 40) as popularity,
    min(occurred_at) as first_event_at,
    max(occurred_at) as last_event_at
  from {events}
  group by item_id
),
parts as (
  select
    item_id, event_count, view_count, click_count, like_count, comment_count, share_count, save_count, purchase_count,
    rating_count, rating_sum, popularity, coalesce(users, 0L) as distinct_users, first_event_at, last_event_at
  from new_events left join new_users using (item_id)
  union all
  select
    item_id, event_count, view_count, click_count, like_count, comment_count, share_count, save_count, purchase_count,
    rating_count, rating_sum, popularity * pow(2, -:days_since_previous / :half_life_days) as popularity, distinct_users,
    first_event_at, last_event_at
  from {previous}
),
-- As in users.sql.
window_events as (
  select item_id, user_id, event, value, occurred_at from {events} where occurred_at >= :start_28d
  union all
  select item_id, user_id, event, value, occurred_at from {counted} where occurred_at >= :start_28d
),
windows as (
  select
    item_id,
    count_if(occurred_at >= :start_7d) as event_count_7d,
    count(*) as event_count_28d,
    count(distinct user_id) as distinct_users_28d,
    count_if(event = 'rating') as rating_count_28d,
    avg(value) filter (where event = 'rating') as mean_rating_28d
  from window_events
  group by item_id
),
totals as (
  select
    item_id,
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
    sum(popularity) as popularity,
    sum(distinct_users) as distinct_users,
    min(first_event_at) as first_event_at,
    max(last_event_at) as last_event_at
  from parts
  group by item_id
),
-- An item without an event is an item all the same: it can be recommended by what it is.
catalogue as (
  select item_id, created_at from {items} where created_at is null or created_at < :end
)
select
  item_id,
  coalesce(event_count, 0L) as event_count,
  coalesce(view_count, 0L) as view_count,
  coalesce(click_count, 0L) as click_count,
  coalesce(like_count, 0L) as like_count,
  coalesce(comment_count, 0L) as comment_count,
  coalesce(share_count, 0L) as share_count,
  coalesce(save_count, 0L) as save_count,
  coalesce(purchase_count, 0L) as purchase_count,
  coalesce(rating_count, 0L) as rating_count,
  coalesce(rating_sum, 0D) as rating_sum,
  case when rating_count > 0 then rating_sum / rating_count end as mean_rating,
  coalesce(distinct_users, 0L) as distinct_users,
  coalesce(popularity, 0D) as popularity,
  coalesce(event_count_7d, 0L) as event_count_7d,
  coalesce(event_count_28d, 0L) as event_count_28d,
  coalesce(distinct_users_28d, 0L) as distinct_users_28d,
  coalesce(rating_count_28d, 0L) as rating_count_28d,
  mean_rating_28d,
  first_event_at,
  last_event_at,
  (unix_micros(:end) - unix_micros(last_event_at)) / 86400e6 as recency_days,
  (unix_micros(:end) - unix_micros(least(created_at, first_event_at))) / 86400e6 as age_days
from totals left join windows using (item_id) full join catalogue using (item_id)
