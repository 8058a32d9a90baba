-- Opens, clicks, unsubscribing: what the tracking workflow makes of the logs of the redirection servers.
--
-- One process at a time consolidates (tracking_leader). It commits rows, sums and the cursor of the log together, so each record of a log
-- counts once, whatever dies in between.

create table tracking_leader (
  id       int primary key default 1 check (id = 1),
  server   text not null,
  epoch    bigint not null,
  until    timestamptz not null
);

-- In whose name records are counted, and how often that was done. Apart from the lease, which is prolonged while a batch is being written.
-- Whoever leads puts its epoch here first, behind the last batch of the one before; a batch of an older epoch is refused, and so is one
-- that was made without knowing the batch before it (the state it was made from has changed meanwhile).
create table tracking_fence (
  id       int primary key default 1 check (id = 1),
  epoch    bigint not null,
  batch    bigint not null default 0
);

-- The redirection servers that are pulled, by their address in the settings.
create table tracking_redirector (
  address      text primary key collate "C",
  log          text not null default '',               -- the log that was there last
  host         text not null default '',
  answered_at  timestamptz,                            -- the last answer, within a minute
  trouble      text not null default '',               -- why there is none; '' while there are
  since        timestamptz not null default now()      -- of the trouble, or of its end
);

-- The log of one redirection server, by the id the log was born with: a folder that was wiped is another log.
create table tracking_source (
  log          text primary key collate "C",
  address      text not null,                          -- where it was pulled from last
  position     bigint not null default 0,              -- octet of the log to go on at
  pulled_at    timestamptz not null default now(),     -- the last records
  newest_at    timestamptz,                            -- of the records so far
  records      bigint not null default 0,
  damaged      bigint not null default 0,              -- records set aside: tracking_damaged
  missing      bigint not null default 0,              -- octets of gaps
  lost         bigint not null default 0               -- hits the server could not write down, as it says
);

-- Octets of a log that are no records, with their place: damaged ones (and what they look like), and gaps. The rest of the log went on.
create table tracking_damaged (
  log          text not null collate "C",
  position     bigint not null,
  octets       bigint not null,
  records      int not null,
  reason       text not null,
  content      bytea not null default '',              -- the first 4,096 octets
  seen_at      timestamptz not null default now(),
  primary key (log, position)
);

create table user_agent (
  id    int primary key generated always as identity,
  text  text not null unique collate "C"
);

-- Raw rows: one a hit, never changed but for its class. Leaves by month (made by tracking_month), dropped by age. Rows get their id in the
-- order in which they are committed: whoever reads on behind the highest id it has seen misses none.
create table tracking (
  id           bigint generated always as identity,
  at           timestamptz not null,
  message_id   bigint not null,                        -- 0: anonymous
  delivery_id  bigint not null,                        -- 0: the message is not known any more
  user_agent   int not null default 0,
  link         int not null default 0,
  kind         smallint not null,                      -- model TRACKING_KINDS
  class        smallint not null,                      -- model VISITOR_CLASSES
  rule         text not null collate "C" default '',   -- what made the class (model VISITOR_RULES); '': a person, for want of any other sign
  uncounted    text not null collate "C" default '',   -- why it is in no sum (model UNCOUNTED); '': it is
  hint         text not null collate "C" default '',
  ip           text not null collate "C" default '',
  visitor      text not null collate "C" default '',
  web          jsonb                                   -- of web tracking: tag, amount, articles, more
) partition by range (at);
create index tracking_id on tracking (id);
create index tracking_of_message on tracking (message_id, id) where message_id <> 0;
create index tracking_of_delivery on tracking (delivery_id, id);
create index tracking_rare on tracking (kind, id) where kind >= 2;

-- Makes the leaf of a month if it is not there; apart, and then attached (0001-ledger.sql says why).
create function tracking_month(day date) returns void language plpgsql as $$
declare
  lo date := make_date(extract(year from day)::int, extract(month from day)::int, 1);
  leaf text := 'tracking_' || to_char(lo, 'YYYYMM');
begin
  perform pg_advisory_xact_lock(7301002);
  if to_regclass(leaf) is not null then return; end if;
  execute format('create table %I (like tracking including defaults)', leaf);
  execute format('alter table tracking attach partition %I for values from (%L) to (%L)', leaf,
    to_char(lo, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(lo + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00');
end $$;

-- What is known of a message's reader: one row from the first hit on, so that distinct people are counted as they come, and can be
-- taken back when a hit turns out to be a machine's.
create table reaction (
  message_id         bigint primary key,
  delivery_id        bigint not null,
  sent_at            timestamptz,                      -- null: not in the ledger yet; 1970: it never will be
  opened_at          timestamptz,                      -- last open that counted, of a person
  machine_opened_at  timestamptz,                      -- and of a machine
  opted_out          boolean not null default false,
  hits               int not null default 0,           -- that count
  clicks             int not null default 0,
  person_hits        int not null default 0,           -- of classes person and proxy
  person_clicks      int not null default 0
) with (fillfactor = 80);
create index reaction_unsent on reaction (message_id) where sent_at is null;

-- Hits by link and five minutes. person: classes person and proxy.
create table link_statistics (
  delivery_id  bigint not null,
  link         int not null,
  kind         smallint not null,
  bucket       timestamptz not null,
  person       int not null default 0,
  machine      int not null default 0,
  primary key (delivery_id, link, kind, bucket)
) with (fillfactor = 70);

-- The indicators of a delivery (ops/tracking.md has the formulas). who 0: all hits; 1: those of people.
create table delivery_reactions (
  delivery_id       bigint not null,
  who               smallint not null,
  recipient_open    bigint not null default 0,         -- distinct messages with any hit
  opens             bigint not null default 0,
  recipient_click   bigint not null default 0,         -- distinct messages with a click
  person_click      bigint not null default 0,         -- distinct visitors with a click
  clicks            bigint not null default 0,
  opt_outs          bigint not null default 0,
  mirror_pages      bigint not null default 0,
  web_pages         bigint not null default 0,
  transactions      bigint not null default 0,
  amount            numeric not null default 0,
  articles          bigint not null default 0,
  primary key (delivery_id, who)
) with (fillfactor = 70);

-- Who has clicked, where visitors have a cookie.
create table visitor_click (
  delivery_id    bigint not null,
  visitor        text not null collate "C",
  clicks         int not null default 0,
  person_clicks  int not null default 0,
  primary key (delivery_id, visitor)
);

-- What the operator says of the links of a delivery after it was sent; link -1: all of them.
create table link_stop (
  delivery_id  bigint not null,
  link         int not null,
  disabled     boolean not null default false,
  expires_at   timestamptz,
  url          text not null default '',               -- where to go instead; '' nowhere: a page says so
  by_whom      text not null,
  changed_at   timestamptz not null default now(),
  primary key (delivery_id, link)
);

-- The links of a content, as the version found them that took it: numbers keep their meaning for as long as mail is clicked.
alter table content add column links jsonb;
