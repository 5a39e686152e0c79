-- Made from lib/shoal/lake/contracts/ by `shoal grants`; edit the contracts, not this file.
-- Run it once the tables are there (a table that is not made yet stops it), as an owner of the catalog.
-- shoal_pii_readers: every layer, personal columns as they are.
-- shoal_gold_readers: gold only, personal columns masked. Everybody else: nothing.

GRANT USE CATALOG ON CATALOG `shoal` TO `shoal_pii_readers`;
GRANT USE CATALOG ON CATALOG `shoal` TO `shoal_gold_readers`;
GRANT USE SCHEMA, SELECT ON SCHEMA `shoal`.`bronze` TO `shoal_pii_readers`;
REVOKE SELECT ON SCHEMA `shoal`.`bronze` FROM `shoal_gold_readers`;
GRANT USE SCHEMA, SELECT ON SCHEMA `shoal`.`silver` TO `shoal_pii_readers`;
REVOKE SELECT ON SCHEMA `shoal`.`silver` FROM `shoal_gold_readers`;
GRANT USE SCHEMA, SELECT ON SCHEMA `shoal`.`features` TO `shoal_pii_readers`;
REVOKE SELECT ON SCHEMA `shoal`.`features` FROM `shoal_gold_readers`;
GRANT USE SCHEMA, SELECT ON SCHEMA `shoal`.`gold` TO `shoal_pii_readers`;
GRANT USE SCHEMA, SELECT ON SCHEMA `shoal`.`gold` TO `shoal_gold_readers`;
GRANT USE SCHEMA, SELECT ON SCHEMA `shoal`.`ops` TO `shoal_pii_readers`;
REVOKE SELECT ON SCHEMA `shoal`.`ops` FROM `shoal_gold_readers`;

-- What others see of a personal value, by the column's type.
CREATE OR REPLACE FUNCTION `shoal`.`ops`.`mask_array_float`(value ARRAY<FLOAT>) RETURNS ARRAY<FLOAT>
  RETURN CASE WHEN is_account_group_member('shoal_pii_readers') THEN value ELSE CAST(NULL AS ARRAY<FLOAT>) END;
CREATE OR REPLACE FUNCTION `shoal`.`ops`.`mask_array_int`(value ARRAY<INT>) RETURNS ARRAY<INT>
  RETURN CASE WHEN is_account_group_member('shoal_pii_readers') THEN value ELSE CAST(NULL AS ARRAY<INT>) END;
CREATE OR REPLACE FUNCTION `shoal`.`ops`.`mask_array_string`(value ARRAY<STRING>) RETURNS ARRAY<STRING>
  RETURN CASE WHEN is_account_group_member('shoal_pii_readers') THEN value ELSE CAST(NULL AS ARRAY<STRING>) END;
CREATE OR REPLACE FUNCTION `shoal`.`ops`.`mask_array_struct_start_int_end_int_text_string_weight_double`(value ARRAY<STRUCT<START:INT,END:INT,TEXT:STRING,WEIGHT:DOUBLE>>) RETURNS ARRAY<STRUCT<START:INT,END:INT,TEXT:STRING,WEIGHT:DOUBLE>>
  RETURN CASE WHEN is_account_group_member('shoal_pii_readers') THEN value ELSE CAST(NULL AS ARRAY<STRUCT<START:INT,END:INT,TEXT:STRING,WEIGHT:DOUBLE>>) END;
CREATE OR REPLACE FUNCTION `shoal`.`ops`.`mask_bigint`(value BIGINT) RETURNS BIGINT
  RETURN CASE WHEN is_account_group_member('shoal_pii_readers') THEN value ELSE CAST(NULL AS BIGINT) END;
CREATE OR REPLACE FUNCTION `shoal`.`ops`.`mask_map_string_string`(value MAP<STRING,STRING>) RETURNS MAP<STRING,STRING>
  RETURN CASE WHEN is_account_group_member('shoal_pii_readers') THEN value ELSE CAST(NULL AS MAP<STRING,STRING>) END;
CREATE OR REPLACE FUNCTION `shoal`.`ops`.`mask_string`(value STRING) RETURNS STRING
  RETURN CASE WHEN is_account_group_member('shoal_pii_readers') THEN value ELSE CASE WHEN value IS NULL THEN NULL ELSE '(masked)' END END;

-- bronze.blocks
ALTER TABLE `shoal`.`bronze`.`blocks` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`blocks` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`blocks` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`blocks` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`blocks` ALTER COLUMN `blocked_id` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.edges
ALTER TABLE `shoal`.`bronze`.`edges` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`edges` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`edges` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`edges` ALTER COLUMN `src_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`edges` ALTER COLUMN `dst_id` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.events
ALTER TABLE `shoal`.`bronze`.`events` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`events` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`events` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`events` ALTER COLUMN `event_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`events` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.imdb_titles
ALTER TABLE `shoal`.`bronze`.`imdb_titles` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`imdb_titles` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`imdb_titles` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.impressions
ALTER TABLE `shoal`.`bronze`.`impressions` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`impressions` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`impressions` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`impressions` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.instagram_export
ALTER TABLE `shoal`.`bronze`.`instagram_export` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_export` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_export` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_export` ALTER COLUMN `record_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_export` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_export` ALTER COLUMN `other_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_export` ALTER COLUMN `conversation_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_export` ALTER COLUMN `name` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_export` ALTER COLUMN `text` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_export` ALTER COLUMN `people` SET MASK `shoal`.`ops`.`mask_array_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_export` ALTER COLUMN `events` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.instagram_posts
ALTER TABLE `shoal`.`bronze`.`instagram_posts` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_posts` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_posts` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_posts` ALTER COLUMN `owner_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_posts` ALTER COLUMN `owner_username` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_posts` ALTER COLUMN `username` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`instagram_posts` ALTER COLUMN `caption` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.item_external_ratings
ALTER TABLE `shoal`.`bronze`.`item_external_ratings` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`item_external_ratings` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`item_external_ratings` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.items
ALTER TABLE `shoal`.`bronze`.`items` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`items` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`items` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`items` ALTER COLUMN `owner_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`items` ALTER COLUMN `title` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`items` ALTER COLUMN `text` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.links
ALTER TABLE `shoal`.`bronze`.`links` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`links` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`links` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.moderation
ALTER TABLE `shoal`.`bronze`.`moderation` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`moderation` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`moderation` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.pictures
ALTER TABLE `shoal`.`bronze`.`pictures` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`pictures` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`pictures` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.products
ALTER TABLE `shoal`.`bronze`.`products` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`products` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`products` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.profiles
ALTER TABLE `shoal`.`bronze`.`profiles` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`profiles` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`profiles` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`profiles` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`profiles` ALTER COLUMN `country` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`profiles` ALTER COLUMN `language` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`profiles` ALTER COLUMN `age_group` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.ratings
ALTER TABLE `shoal`.`bronze`.`ratings` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`ratings` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`ratings` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`ratings` ALTER COLUMN `event_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`ratings` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.reviews
ALTER TABLE `shoal`.`bronze`.`reviews` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`reviews` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`reviews` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`reviews` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`reviews` ALTER COLUMN `title` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`reviews` ALTER COLUMN `text` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.shop_events
ALTER TABLE `shoal`.`bronze`.`shop_events` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`shop_events` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`shop_events` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`shop_events` ALTER COLUMN `event_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`shop_events` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.texts
ALTER TABLE `shoal`.`bronze`.`texts` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`texts` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`texts` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`texts` ALTER COLUMN `text_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`texts` ALTER COLUMN `author_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`texts` ALTER COLUMN `conversation_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`texts` ALTER COLUMN `text` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.tmdb_films
ALTER TABLE `shoal`.`bronze`.`tmdb_films` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`tmdb_films` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`tmdb_films` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.tweets
ALTER TABLE `shoal`.`bronze`.`tweets` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`tweets` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`tweets` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`tweets` ALTER COLUMN `text` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`tweets` ALTER COLUMN `author_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`tweets` ALTER COLUMN `username` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`tweets` ALTER COLUMN `user` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`tweets` ALTER COLUMN `people` SET MASK `shoal`.`ops`.`mask_string`;

-- bronze.twitter_archive
ALTER TABLE `shoal`.`bronze`.`twitter_archive` ALTER COLUMN `_file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`twitter_archive` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`twitter_archive` ALTER COLUMN `_reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`twitter_archive` ALTER COLUMN `record_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`twitter_archive` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`twitter_archive` ALTER COLUMN `username` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`twitter_archive` ALTER COLUMN `other_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`twitter_archive` ALTER COLUMN `conversation_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`twitter_archive` ALTER COLUMN `text` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`twitter_archive` ALTER COLUMN `people` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`bronze`.`twitter_archive` ALTER COLUMN `events` SET MASK `shoal`.`ops`.`mask_string`;

-- silver.blocks
ALTER TABLE `shoal`.`silver`.`blocks` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`silver`.`blocks` ALTER COLUMN `blocked_id` SET MASK `shoal`.`ops`.`mask_string`;

-- silver.follows
ALTER TABLE `shoal`.`silver`.`follows` ALTER COLUMN `src_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`silver`.`follows` ALTER COLUMN `dst_id` SET MASK `shoal`.`ops`.`mask_string`;

-- silver.impressions
ALTER TABLE `shoal`.`silver`.`impressions` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- silver.interactions
ALTER TABLE `shoal`.`silver`.`interactions` ALTER COLUMN `event_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`silver`.`interactions` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- silver.items
ALTER TABLE `shoal`.`silver`.`items` ALTER COLUMN `owner_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`silver`.`items` ALTER COLUMN `title` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`silver`.`items` ALTER COLUMN `text` SET MASK `shoal`.`ops`.`mask_string`;

-- silver.profiles
ALTER TABLE `shoal`.`silver`.`profiles` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`silver`.`profiles` ALTER COLUMN `country` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`silver`.`profiles` ALTER COLUMN `language` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`silver`.`profiles` ALTER COLUMN `age_group` SET MASK `shoal`.`ops`.`mask_string`;

-- silver.texts
ALTER TABLE `shoal`.`silver`.`texts` ALTER COLUMN `text_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`silver`.`texts` ALTER COLUMN `author_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`silver`.`texts` ALTER COLUMN `conversation_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`silver`.`texts` ALTER COLUMN `text` SET MASK `shoal`.`ops`.`mask_string`;

-- silver.users
ALTER TABLE `shoal`.`silver`.`users` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`silver`.`users` ALTER COLUMN `username` SET MASK `shoal`.`ops`.`mask_string`;

-- features.authors
ALTER TABLE `shoal`.`features`.`authors` ALTER COLUMN `author_id` SET MASK `shoal`.`ops`.`mask_string`;

-- features.edges
ALTER TABLE `shoal`.`features`.`edges` ALTER COLUMN `src_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`features`.`edges` ALTER COLUMN `dst_id` SET MASK `shoal`.`ops`.`mask_string`;

-- features.item_vectors
ALTER TABLE `shoal`.`features`.`item_vectors` ALTER COLUMN `text_vector` SET MASK `shoal`.`ops`.`mask_array_float`;
ALTER TABLE `shoal`.`features`.`item_vectors` ALTER COLUMN `vector` SET MASK `shoal`.`ops`.`mask_array_float`;

-- features.posts
ALTER TABLE `shoal`.`features`.`posts` ALTER COLUMN `author_id` SET MASK `shoal`.`ops`.`mask_string`;

-- features.shoppers
ALTER TABLE `shoal`.`features`.`shoppers` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- features.text_terms
ALTER TABLE `shoal`.`features`.`text_terms` ALTER COLUMN `term` SET MASK `shoal`.`ops`.`mask_string`;

-- features.texts
ALTER TABLE `shoal`.`features`.`texts` ALTER COLUMN `text_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`features`.`texts` ALTER COLUMN `content_hash` SET MASK `shoal`.`ops`.`mask_bigint`;
ALTER TABLE `shoal`.`features`.`texts` ALTER COLUMN `indices` SET MASK `shoal`.`ops`.`mask_array_int`;
ALTER TABLE `shoal`.`features`.`texts` ALTER COLUMN `values` SET MASK `shoal`.`ops`.`mask_array_float`;

-- features.user_graph
ALTER TABLE `shoal`.`features`.`user_graph` ALTER COLUMN `node_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`features`.`user_graph` ALTER COLUMN `community_id` SET MASK `shoal`.`ops`.`mask_string`;

-- features.users
ALTER TABLE `shoal`.`features`.`users` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.anomalies
ALTER TABLE `shoal`.`gold`.`anomalies` ALTER COLUMN `entity_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.communities
ALTER TABLE `shoal`.`gold`.`communities` ALTER COLUMN `node_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`communities` ALTER COLUMN `community_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.community_changes
ALTER TABLE `shoal`.`gold`.`community_changes` ALTER COLUMN `community_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`community_changes` ALTER COLUMN `others` SET MASK `shoal`.`ops`.`mask_array_string`;

-- gold.community_summary
ALTER TABLE `shoal`.`gold`.`community_summary` ALTER COLUMN `community_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`community_summary` ALTER COLUMN `top_members` SET MASK `shoal`.`ops`.`mask_array_string`;

-- gold.conversation_participants
ALTER TABLE `shoal`.`gold`.`conversation_participants` ALTER COLUMN `conversation_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`conversation_participants` ALTER COLUMN `participant_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`conversation_participants` ALTER COLUMN `main_partner_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.conversations
ALTER TABLE `shoal`.`gold`.`conversations` ALTER COLUMN `conversation_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.engagement_predictions
ALTER TABLE `shoal`.`gold`.`engagement_predictions` ALTER COLUMN `author_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.entities
ALTER TABLE `shoal`.`gold`.`entities` ALTER COLUMN `text_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`entities` ALTER COLUMN `content_hash` SET MASK `shoal`.`ops`.`mask_bigint`;
ALTER TABLE `shoal`.`gold`.`entities` ALTER COLUMN `mentions` SET MASK `shoal`.`ops`.`mask_array_string`;
ALTER TABLE `shoal`.`gold`.`entities` ALTER COLUMN `urls` SET MASK `shoal`.`ops`.`mask_array_string`;
ALTER TABLE `shoal`.`gold`.`entities` ALTER COLUMN `people` SET MASK `shoal`.`ops`.`mask_array_string`;

-- gold.experiment_assignments
ALTER TABLE `shoal`.`gold`.`experiment_assignments` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.explanations
ALTER TABLE `shoal`.`gold`.`explanations` ALTER COLUMN `author_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`explanations` ALTER COLUMN `feature` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.follow_recommendations
ALTER TABLE `shoal`.`gold`.`follow_recommendations` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`follow_recommendations` ALTER COLUMN `recommended_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.influencers
ALTER TABLE `shoal`.`gold`.`influencers` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.item_audiences
ALTER TABLE `shoal`.`gold`.`item_audiences` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.keywords
ALTER TABLE `shoal`.`gold`.`keywords` ALTER COLUMN `text_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`keywords` ALTER COLUMN `content_hash` SET MASK `shoal`.`ops`.`mask_bigint`;
ALTER TABLE `shoal`.`gold`.`keywords` ALTER COLUMN `keywords` SET MASK `shoal`.`ops`.`mask_array_string`;

-- gold.moderation
ALTER TABLE `shoal`.`gold`.`moderation` ALTER COLUMN `spans` SET MASK `shoal`.`ops`.`mask_array_struct_start_int_end_int_text_string_weight_double`;

-- gold.near_duplicates
ALTER TABLE `shoal`.`gold`.`near_duplicates` ALTER COLUMN `id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`near_duplicates` ALTER COLUMN `other_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`near_duplicates` ALTER COLUMN `group_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.node_ranks
ALTER TABLE `shoal`.`gold`.`node_ranks` ALTER COLUMN `node_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.posting_times
ALTER TABLE `shoal`.`gold`.`posting_times` ALTER COLUMN `author_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.recommendations
ALTER TABLE `shoal`.`gold`.`recommendations` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.segment_changes
ALTER TABLE `shoal`.`gold`.`segment_changes` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.segments
ALTER TABLE `shoal`.`gold`.`segments` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.sentiments
ALTER TABLE `shoal`.`gold`.`sentiments` ALTER COLUMN `text_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`sentiments` ALTER COLUMN `content_hash` SET MASK `shoal`.`ops`.`mask_bigint`;

-- gold.similar_users
ALTER TABLE `shoal`.`gold`.`similar_users` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`gold`.`similar_users` ALTER COLUMN `similar_user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.user_interests
ALTER TABLE `shoal`.`gold`.`user_interests` ALTER COLUMN `user_id` SET MASK `shoal`.`ops`.`mask_string`;

-- gold.viral_posts
ALTER TABLE `shoal`.`gold`.`viral_posts` ALTER COLUMN `author_id` SET MASK `shoal`.`ops`.`mask_string`;

-- ops.ingest_files
ALTER TABLE `shoal`.`ops`.`ingest_files` ALTER COLUMN `path` SET MASK `shoal`.`ops`.`mask_string`;

-- ops.quarantine
ALTER TABLE `shoal`.`ops`.`quarantine` ALTER COLUMN `file` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`ops`.`quarantine` ALTER COLUMN `reason` SET MASK `shoal`.`ops`.`mask_string`;
ALTER TABLE `shoal`.`ops`.`quarantine` ALTER COLUMN `raw` SET MASK `shoal`.`ops`.`mask_string`;

-- ops.runs
ALTER TABLE `shoal`.`ops`.`runs` ALTER COLUMN `tags` SET MASK `shoal`.`ops`.`mask_map_string_string`;
ALTER TABLE `shoal`.`ops`.`runs` ALTER COLUMN `message` SET MASK `shoal`.`ops`.`mask_string`;
