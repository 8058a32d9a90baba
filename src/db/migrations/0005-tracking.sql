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

-- The log of one redirection server, by the id the log was born with: a folder that was wiped is another log.
create table tracking_source (
  log          text primary key collate "C",
  address      text not null,                          -- where it was pulled from last
  host         text not null default '',
  position     bigint not null default 0,              -- octet of the log to go on at
  pulled_at    timestamptz not null default now(),
  records      bigint not null default 0,
  damaged      bigint not null default 0,              -- records set aside: tracking_damaged
  lost         bigint not null default 0               -- hits the server could not write down, as it says
);

-- Records that could not be read, with their place; the rest of the log went on.
create table tracking_damaged (
  log          text not null collate "C",
  position     bigint not null,
  octets       int not null,
  reason       text not null,
  seen_at      timestamptz not null default now(),
  primary key (log, position)
);

create table user_agent (
  id    int primary key generated always as identity,
  text  text not null unique collate "C"
);

-- Raw rows: one a hit, never changed but for its class. Leaves by month (made by tracking_month), dropped by age.
create table tracking (
  id           bigint generated always as identity,
  at           timestamptz not null,
  message_id   bigint not null,                        -- 0: anonymous
  delivery_id  bigint not null,                        -- 0: the message is not known any more
  kind         smallint not null,                      -- model TRACKING_KINDS
  link         int not null default 0,
  class        smallint not null,                      -- model VISITOR_CLASSES
  counted      boolean not null,                       -- false: an open repeated within a minute, or not of this delivery
  why          text not null collate "C" default '',   -- what made the class, or why it does not count
  hint         text not null collate "C" default '',
  ip           text not null collate "C" default '',
  user_agent   int not null default 0,
  visitor      text not null collate "C" default '',
  web          jsonb                                   -- of web tracking: tag, amount, articles, more
) partition by range (at);
create index tracking_id on tracking (id);
create index tracking_of_message on tracking (message_id, id) where message_id <> 0;
create index tracking_of_delivery on tracking (delivery_id, id);

-- Makes the leaf of a month if it is not there.
create function tracking_month(day date) returns void language plpgsql as $$
declare
  lo date := date_trunc('month', day);
  leaf text := 'tracking_' || to_char(day, 'YYYYMM');
begin
  if to_regclass(leaf) is null then
    execute format('create table if not exists %I partition of tracking for values from (%L) to (%L)', leaf, lo, lo + interval '1 month');
  end if;
end $$;

-- What is known of a message's reader: one row from the first hit on, so that distinct people are counted as they come.
create table reaction (
  message_id     bigint primary key,
  delivery_id    bigint not null,
  seen           boolean not null default false,       -- any hit; *_person: by a person
  seen_person    boolean not null default false,
  clicked        boolean not null default false,
  clicked_person boolean not null default false,
  opened_at      timestamptz,                          -- last open that counted
  burst_at       timestamptz,                          -- clicks in a burst: when it began, and which links
  burst_links    int[] not null default '{}'
) with (fillfactor = 80);

-- Hits by link and five minutes. person: classes person and proxy.
create table link_statistics (
  delivery_id  bigint not null,
  link         int not null,
  kind         smallint not null,
  bucket       timestamptz not null,
  person       int not null default 0,
  machine      int not null default 0,
  primary key (delivery_id, link, kind, bucket)
);

-- The indicators of a delivery (ops/tracking.md has the formulas). who 0: all hits; 1: those of people.
create table delivery_reactions (
  delivery_id       bigint not null,
  who               smallint not null,
  recipient_open    int not null default 0,            -- distinct messages with any hit
  opens             int not null default 0,
  recipient_click   int not null default 0,            -- distinct messages with a click
  person_click      int not null default 0,            -- distinct visitors with a click
  clicks            int not null default 0,
  opt_outs          int not null default 0,
  mirror_pages      int not null default 0,
  web_pages         int not null default 0,
  transactions      int not null default 0,
  amount            numeric(20, 2) not null default 0,
  articles          int not null default 0,
  primary key (delivery_id, who)
);

-- Who has clicked, where visitors have a cookie.
create table visitor_click (
  delivery_id  bigint not null,
  visitor      text not null collate "C",
  person       boolean not null,
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
