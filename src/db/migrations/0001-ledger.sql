-- The ledger: deliveries, their parts and messages, what happened to them.
--
-- A message is one narrow row in a *volume*: a leaf of the table `message` that holds the ids [volume << 32, (volume + 1) << 32).
-- A delivery lives in one volume; a big one has a volume of its own, small ones share the volume of the day. So a finished
-- delivery is dropped with its volume (DROP TABLE, no VACUUM), and the unique index on (delivery, address) can be per leaf.
--
-- A *part* is a contiguous range of message ids: claimed, rendered and recorded together. It carries the lease (owner, epoch)
-- and the counters of its messages, changed in the same statement as the rows. The counters of a delivery are the sum over its
-- parts: nothing to drift, no hot row.

create table volume (
  id          int primary key generated always as identity (start 1),
  own         boolean not null default false,       -- true: holds exactly one delivery
  next        bigint not null default 0,            -- next unused message number in this volume
  opened_at   timestamptz not null default now()
);

create table content (
  hash        bytea primary key,                    -- sha-256 of body
  body        text not null,                        -- model Content as JSON
  created_at  timestamptz not null default now()
);

create table delivery (
  id            bigint primary key generated always as identity,
  name          text not null default '',
  content_hash  bytea not null references content,
  from_address  text not null,
  volume        int references volume,              -- null until the first recipient
  state         text not null default 'draft',
  priority      smallint not null,                  -- model PRIORITIES
  weight        smallint not null default 1,
  affinity      text not null,
  in_doubt      text not null,                      -- retry | hold | assume-sent
  retry         int[] not null,                     -- seconds
  validity      int not null,                       -- seconds
  not_before    timestamptz,
  not_after     timestamptz,
  deadline      timestamptz,                        -- set at start: least(start + validity, not_after)
  state_reason  text not null default '',
  uploading_until timestamptz,                      -- an upload is going on: not finished before this
  created_at    timestamptz not null default now(),
  started_at    timestamptz,
  finished_at   timestamptz,
  check (state in ('draft', 'ready', 'sending', 'paused', 'finished', 'stopped'))
);
create index delivery_active on delivery (priority, id) where state in ('ready', 'sending');

create table part (
  id           bigint primary key generated always as identity,
  delivery_id  bigint not null,
  first_id     bigint not null,
  last_id      bigint not null,
  domain       text collate "C" not null default '',  -- '' when the part mixes domains
  priority     smallint not null default 2,           -- of its delivery: transactional parts are found without it
  due_at       timestamptz,                           -- null: no open message is left
  owner        text collate "C" not null default '',  -- 'machine/slot', '' when free
  epoch        int not null default 0,                -- +1 at each claim: the fence
  lease_until  timestamptz,
  created_at   timestamptz not null default now(),
  pending      int not null default 0,
  deferred     int not null default 0,
  sent         int not null default 0,
  failed       int not null default 0,
  bounced      int not null default 0,
  excluded     int not null default 0,
  cancelled    int not null default 0,
  in_doubt     int not null default 0
);
create index part_of_delivery on part (delivery_id, first_id);
create index part_ready on part (delivery_id, due_at, id) where due_at is not null and owner = '';
create index part_urgent on part (due_at) where due_at is not null and owner = '' and priority = 0;
create index part_owned on part (owner) where owner <> '';

create table message (
  id           bigint not null,
  delivery_id  bigint not null,
  due_at       timestamptz,                           -- of a deferred message
  status       smallint not null,                     -- model MESSAGE_STATUSES
  attempts     smallint not null default 0,
  address      text collate "C" not null,             -- domain in lower case, as A-labels
  reason       text collate "C",                      -- of excluded, failed, bounced, in doubt
  variables    text,                                  -- JSON object, null when empty
  primary key (id)
) partition by range (id);

create table event (
  id          bigint generated always as identity,
  message_id  bigint not null,
  at          timestamptz not null default now(),
  type        smallint not null,                      -- model EVENT_TYPES
  attempt     smallint not null default 0,
  code        smallint not null default 0,
  public_id   int not null default 0,
  latency_ms  int not null default 0,
  enhanced    text not null default '',
  stage       text not null default '',
  reason      text not null default '',
  reply       text not null default '',
  mx          text not null default '',
  remote_ip   text not null default '',
  tls         text not null default '',
  transcript  text not null default '',
  primary key (message_id, id)
) partition by range (message_id);

-- How fast a delivery goes, by 10-second bucket and mta: a row each, so no two writers meet.
create table progress (
  delivery_id  bigint not null,
  bucket       bigint not null,                       -- epoch seconds / 10
  owner        text collate "C" not null,
  settled      int not null default 0,                -- sent + failed
  deferred     int not null default 0,
  primary key (delivery_id, bucket, owner)
);

create table suppression (
  address     text collate "C" primary key,           -- lower case
  reason      text not null,
  source      text not null default 'api',
  note        text not null default '',
  created_at  timestamptz not null default now(),
  expires_at  timestamptz
);

create table api_token (
  id          int primary key generated always as identity,
  name        text not null,
  hash        bytea not null unique,                  -- sha-256 of the token; the token itself is shown once
  scopes      text[] not null,
  created_at  timestamptz not null default now(),
  revoked_at  timestamptz
);

create table idempotency (
  token_id    int not null,
  key         text not null,
  request     bytea not null,                         -- sha-256 of method, path and body
  status      smallint,                               -- null while the first request is at work
  answer      text,
  created_at  timestamptz not null default now(),
  primary key (token_id, key)
);

-- Opens a volume: a leaf of `message` and of `event` for its id range, and the index that makes a second upload add nothing.
-- The leaves are made apart and attached: CREATE TABLE … PARTITION OF would lock the parent against everybody, and wait for everybody
-- who reads or writes through it (test/db/recipients.test.ts); ATTACH does not.
-- fillfactor 70 leaves each page room for the new version of a row at its outcome (HOT: no index entry is touched).
create function open_volume(bulk boolean) returns int language plpgsql as $$
declare
  v int;
  lo bigint;
  hi bigint;
begin
  insert into volume (own) values (bulk) returning id into v;
  lo := v::bigint << 32;
  hi := (v::bigint + 1) << 32;
  execute format('create table message_%s (like message including defaults, primary key (id)) with (fillfactor = 70)', v);
  execute format('create unique index message_%s_once on message_%s (delivery_id, lower(address))', v, v);
  execute format('create table event_%s (like event including defaults, primary key (message_id, id))', v);
  execute format('alter table message attach partition message_%s for values from (%s) to (%s)', v, lo, hi);
  execute format('alter table event attach partition event_%s for values from (%s) to (%s)', v, lo, hi);
  return v;
end $$;
