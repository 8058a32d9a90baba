-- The statistics server: who leads, what it remembers, what stands above the rules.

-- The leading statistics server. One row; a server leads while `until` has not passed, `epoch` grows with each new leader.
create table stat_leader (
  id       int primary key default 1 check (id = 1),
  server   text not null,                              -- host:port as clients reach it
  epoch    bigint not null,
  until    timestamptz not null
);

-- Counters and measures of the last leader, saved every few seconds.
create table stat_snapshot (
  id        int primary key default 1 check (id = 1),
  epoch     bigint not null,
  taken_at  timestamptz not null,
  body      jsonb not null
);

-- What an operator has stopped: a site (name or mask over exchanger names), a public id, or both. Never deleted: it says who and why.
create table suspension (
  id          bigint primary key generated always as identity,
  site        text collate "C" not null default '',
  public_id   int,
  reason      text not null,
  by_whom     text not null,
  since       timestamptz not null default now(),
  until       timestamptz,                             -- null: until resumed
  ended_at    timestamptz,
  ended_by    text not null default ''
);
create index suspension_active on suspension (id) where ended_at is null;

-- What the governor did (back-off, breaker, warm-up pauses), for people and reports.
create table measure (
  id          bigint primary key generated always as identity,
  kind        text not null,
  site        text collate "C" not null,
  public_id   int,
  by_what     text not null,
  reason      text not null,
  began_at    timestamptz not null,
  ended_at    timestamptz
);
create index measure_of_site on measure (site, began_at);

-- Error statistics by path and period of five minutes (modules.md §16.8, 18.3).
create table path_statistics (
  period      timestamptz not null,
  public_id   int not null,
  site        text collate "C" not null,
  mx          text collate "C" not null,
  ip          text collate "C" not null,
  connects    int not null default 0,
  refused     int not null default 0,
  timed_out   int not null default 0,
  aborted     int not null default 0,
  attempts    int not null default 0,
  accepted    int not null default 0,
  deferred    int not null default 0,
  rejected    int not null default 0,
  bytes       bigint not null default 0,
  latency_ms  bigint not null default 0,
  last_reply  text not null default '',
  primary key (period, public_id, site, ip)
);
create index path_statistics_site on path_statistics (site, period);

-- Policies of recipient domains (RFC 8461), kept over restarts and for all machines.
create table mta_sts (
  domain      text primary key collate "C",
  policy_id   text not null,                           -- id= of the TXT record
  body        text not null,
  fetched_at  timestamptz not null,
  expires_at  timestamptz not null
);

-- Results of TLS policies by day, for the report of RFC 8460.
create table tls_result (
  day           date not null,
  domain        text collate "C" not null,             -- policy domain
  policy_type   text not null,                         -- sts | tlsa | no-policy-found
  policy        text not null default '',              -- its text
  mx            text collate "C" not null,
  sending_ip    text collate "C" not null default '',
  receiving_ip  text collate "C" not null default '',
  result        text not null default '',              -- '' success, else the result type of RFC 8460 §4.3
  sessions      int not null default 0,
  last_reason   text not null default '',
  primary key (day, domain, policy_type, mx, sending_ip, receiving_ip, result)
);
