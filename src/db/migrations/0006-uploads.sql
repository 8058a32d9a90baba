-- Uploads at work, each with a time of its own: several processes may upload to one delivery, which is not finished before the last of
-- them has ended. One whose process died is silent, and counts no more when its time has passed.
create table upload (
  id           uuid primary key,                      -- drawn by the process that takes it
  delivery_id  bigint not null,
  alive_until  timestamptz not null
);
create index upload_of_delivery on upload (delivery_id);
insert into upload select gen_random_uuid(), id, uploading_until from delivery where uploading_until > now();
alter table delivery drop column uploading_until;
