-- Who gave a delivery its last command (start, pause, resume, stop), and when: `state_reason` says why.
alter table delivery add column commanded_by text not null default '', add column commanded_at timestamptz;
