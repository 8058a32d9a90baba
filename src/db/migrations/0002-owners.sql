-- Which process holds the name `<machine>/<slot>`: leases and recovery go by that name, so two processes of one name would take each
-- other's parts for their own leftovers. `identity` is a random id in the journal folder (src/mta/identity.ts).
create table mta (
  owner       text primary key collate "C",
  identity    text not null,
  seen_at     timestamptz not null
);
