-- What is added once the rows are there: keys that are dear to check row by row, indexes, triggers, privileges.

set client_min_messages = warning;
set search_path = public;

-- Foreign keys of the partitioned table, and to it --------------------------------------------------------------------

alter table bookings
  add foreign key (user_id) references users,
  add foreign key (property_id) references properties,
  add foreign key (service_code) references services on update cascade,
  add foreign key (team_id) references teams on delete set null;
alter table booking_items add foreign key (booking_id, scheduled_at) references bookings on delete cascade;
alter table payments add foreign key (booking_id, scheduled_at) references bookings;
alter table cleanscore_reports add foreign key (booking_id, scheduled_at) references bookings;

-- These hold for new rows only: some of the rows that are there break them.
alter table properties add constraint properties_rooms_plausible check (rooms < 12) not valid;
alter table reviews add constraint reviews_moderator_fkey foreign key (moderated_by) references users not valid;

-- Indexes -------------------------------------------------------------------------------------------------------------

create index bookings_user on bookings (user_id, scheduled_at desc);
create index bookings_open on bookings (scheduled_at) where status in ('requested', 'confirmed');
create index bookings_created on bookings using brin (created_at);
create index payments_paid on payments (paid_at) where paid_at is not null;
create index cleanscore_reports_booking on cleanscore_reports (booking_id);
create index cleanscore_reports_low on cleanscore_reports ((breakdown ->> 'kitchen')) where points < 50;
create index messages_body on messages using gin (to_tsvector('english', body));
create index bookings_business on bookings (id) where is_business_hour(scheduled_at);
create index audit_log_subject on ops.audit_log (subject, happened_at);
create index users_name_trgm on users using gin (full_name extensions.gin_trgm_ops);
create index users_preferences on users using gin (preferences jsonb_path_ops);
create index users_search on users using gin (search);
create index users_staff on users (role, created_at) where role <> 'customer';
create index users_email_domain on users (split_part(email::text, '@', 2));
create index properties_owner on properties (owner_id) include (label);
create index properties_amenities on properties using gin (amenities);
create statistics cleanscore_reports_points_grade (dependencies, ndistinct) on points, grade from cleanscore_reports;
create unique index monthly_revenue_key on reporting.monthly_revenue (month, currency);
alter table payments cluster on payments_pkey;

refresh materialized view reporting.monthly_revenue;

-- Triggers ------------------------------------------------------------------------------------------------------------

create trigger bookings_touch before update on bookings for each row execute function touch_updated_at();
create trigger properties_audit after insert or update or delete on properties
  for each row execute function ops.record_change();
create trigger services_audit after update of price on services
  for each row when (old.price is distinct from new.price) execute function ops.record_change();
alter table services enable always trigger services_audit;
create trigger teams_audit after delete on teams for each row execute function ops.record_change();
alter table teams disable trigger teams_audit;

-- Who may do what -----------------------------------------------------------------------------------------------------

alter table services owner to brisa_owner;
alter table ops.audit_log owner to brisa_owner;
alter function public.is_business_hour(timestamptz) owner to brisa_owner;

grant usage on schema public, reporting to brisa_app, brisa_readonly;
grant select, insert, update on users, addresses, properties, bookings, booking_items, payments to brisa_app;
grant select (id, full_name, role), update (full_name) on users to brisa_readonly;
grant select on all tables in schema reporting to brisa_readonly;
grant usage on sequence invoice_number_seq to brisa_app;
grant usage on type booking_status to brisa_app with grant option;
revoke execute on function public.booking_total(bigint) from public;
grant execute on function public.booking_total(bigint) to brisa_app;
revoke execute on procedure public.forget_user(bigint) from public;
alter default privileges in schema public grant select on tables to brisa_readonly;
alter default privileges for role brisa_owner revoke execute on functions from public;

alter table messages enable row level security;
create policy messages_of_user on messages for select to brisa_app
  using (current_setting('brisa.user_id', true)::bigint in (sender_id, recipient_id));
create policy messages_send on messages as restrictive for insert to public
  with check (body <> '');
alter table properties enable row level security;
create policy properties_of_owner on properties to brisa_app
  using (owner_id = current_setting('brisa.user_id', true)::bigint);
