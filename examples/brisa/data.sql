-- The rows of the example database: the same every time, on every PostgreSQL version. No random(), no now(): what
-- looks arbitrary is a hash of the row's number.

set client_min_messages = warning;
set search_path = public;
set timezone = 'UTC';
set datestyle = 'ISO, MDY';
set intervalstyle = postgres;
set lc_monetary = 'C';
set xmloption = content;
set check_function_bodies = on;

create function pg_temp.pick(seed text, choices integer) returns integer language sql immutable as
  $$ select ('x' || substr(md5(seed), 1, 7))::bit(28)::integer % choices $$;
-- bytes of noise: nothing compresses it
create function pg_temp.noise(seed text, bytes integer) returns bytea language sql immutable as
  $$ select substr(string_agg(sha256(convert_to(seed || ':' || n, 'UTF8')), ''::bytea order by n), 1, bytes)
     from generate_series(0, bytes / 32) as n $$;
create function pg_temp.noise_uuid(seed text) returns uuid language sql immutable as $$ select md5(seed)::uuid $$;

-- People and places ---------------------------------------------------------------------------------------------------

insert into users (id, public_id, email, full_name, phone, role, preferences, tags, created_at, birthday_hint)
select
  n,
  pg_temp.noise_uuid('user ' || n),
  case when n % 17 = 0 then 'User' else 'user' end || n || '@example.com',
  'User ' || n,
  case when n % 5 <> 0 then '+1555' || lpad(n::text, 7, '0') end,
  case
    when n <= 400 then 'cleaner' when n <= 440 then 'inspector' when n <= 460 then 'coordinator'
    when n <= 465 then 'admin' else 'customer'
  end::user_role,
  jsonb_build_object('language', (array['en', 'es', 'fr'])[1 + n % 3], 'newsletter', n % 2 = 0, 'theme', null)
    || case when n % 11 = 0
      then jsonb_build_object('notes', repeat('prefers mornings; ', pg_temp.pick('p' || n, 200))) else '{}' end,
  case n % 4
    when 0 then array['vip', 'comma, inside'] when 1 then array['"quoted"', 'back\slash', 'NULL', '']
    when 2 then array[]::text[] else array['new', null]
  end,
  timestamptz '2024-01-01 00:00+00' + n * interval '2 hours 7 minutes 11.123456 seconds',
  case when n = 7 then date '-infinity' when n % 3 = 0 then date '1950-01-01' + pg_temp.pick('b' || n, 20000) end
from generate_series(1, 6000) as n;
update users set referred_by = id - 1 - pg_temp.pick('r' || id, id::integer - 1) where id % 6 = 0;

insert into addresses
select
  1 + (n - 1) % 6000, 1 + (n - 1) / 6000,
  concat_ws(
    ' ', 1 + n % 900, (array['Palm', 'Ocean', 'Sunset', 'Coral'])[1 + n % 4],
    (array['Street', 'Avenue', 'Drive'])[1 + n % 3]
  ),
  (array['Springfield', 'Rivertown', 'Lakeside', E'Caf\u00e9ville', E'\u00d1and\u00fa'])[1 + n % 5],
  lpad((33000 + n % 900)::text, 5, '0'),
  case when n % 10 <> 0 then row(25 + (n % 9000) / 10000.0, -80 - (n % 7000) / 10000.0)::coordinates end
from generate_series(1, 8000) as n;

insert into properties (owner_id, address_position, kind, label, area_m2, rooms, amenities, access_code, settings)
select
  1 + (n * 7) % 6000, 1, (enum_range(null::property_kind))[1 + n % 4], 'Property ' || n,
  20 + pg_temp.pick('a' || n, 30000) / 100.0,
  1 + pg_temp.pick('rooms' || n, 8) + case when n % 1000 = 0 then 20 else 0 end,
  (array['garden', 'pool', 'pets', 'elevator', 'parking'])[1 : n % 6],
  case when n % 3 = 0 then pg_temp.noise('code' || n, 24) when n % 3 = 1 then ''::bytea end,
  case when n % 4 > 0 then jsonb_build_object(
    'floors', n % 3, 'alarm', n % 2 = 0, 'big', 12345678901234567890 + n, 'small', 1e-10
  ) end
from generate_series(1, 4000) as n;

insert into "Service Areas"
select
  (33000 + n)::text,
  case n % 3 when 0 then null when 1 then '' else E'tab\there, line\nthere, slash\\, \\N and \\.' end,
  case when n % 2 = 0 then polygon(box(point(n, n), point(n + 1.5, n + 2.25))) end,
  array[('10.' || n || '.0.0/16')::cidr, '2001:db8::/32'::cidr]
from generate_series(0, 199) as n;

insert into services
select
  code, initcap(replace(code, '-', ' ')), 40 + 7.5 * n,
  make_interval(hours => 1 + n % 4, mins => 15 * (n % 3)),
  int4range(20 * n, case when n < 20 then 20 * n + 200 end), daterange(date '2024-01-01' + n * 10, null),
  array[price_range(30 + n, 40 + n), price_range(40 + n, null, '[]')],
  ('{"steps" : [ "arrive",  "clean", "leave" ], "code":"' || code || '", "n": ' || n || '.50 }')::json
from (select code, position::integer as n from unnest(array[
  'standard', 'deep', 'move-in', 'move-out', 'windows', 'carpets', 'office', 'post-construction', 'laundry', 'fridge',
  'oven', 'garage', 'balcony', 'pool-side', 'vacation-turnover', 'one-time', 'weekly', 'biweekly', 'monthly',
  'seasonal', 'eco', 'pet-hair', 'disinfection', 'inspection'
]) with ordinality as list (code, position)) as catalogue;

insert into teams
select n, 'Team ' || n, n * 6 - 5, (n % 128)::bit(7), ('07:30:00'::time + n * interval '3 minutes' || '-05')::timetz
from generate_series(1, 40) as n;
insert into team_members (id, team_id, user_id, joined, hourly_rate)
select n, 1 + (n - 1) / 6, n, date '2024-02-01' + n, 15 + n % 12 + 0.25 from generate_series(1, 240) as n;
set constraints teams_captain_fkey immediate;

insert into team_shifts (member_id, during, note)
select
  1 + n % 240,
  tstzrange(
    start, case when n < 2880 then start + interval '8 hours' end, case when n % 2 = 0 then '[)' else '(]' end
  ),
  nullif('shift ' || n % 4, 'shift 0')
from generate_series(0, 3119) as n
  cross join lateral (select timestamptz '2025-03-01 12:00+00' + n / 240 * interval '7 days' as start) as at;

-- Bookings, payments, reports -----------------------------------------------------------------------------------------

insert into bookings
select
  n, at, 1 + pg_temp.pick('u' || n, 6000), 1000 + pg_temp.pick('p' || n, 4000), s.code,
  case when n % 9 <> 0 then 1 + n % 40 end,
  case
    when at > '2026-09-20 00:00+00' then 'requested' when n % 13 = 0 then 'cancelled' else 'completed'
  end::booking_status,
  s.price * (1 + n % 3), case n % 20 when 0 then E'Key under the mat\nRing twice\t(loud)' when 1 then '' end,
  at - interval '9 days 3 hours', at + n % 60 * interval '1 minute'
from generate_series(1, 40000) as n
  cross join lateral (
    select timestamptz '2024-12-20 08:00+00' + n * interval '23 minutes 30 seconds' + n % 7 * interval '1 hour' as at
  ) as moment
  join (select code, price, row_number() over (order by code collate "C") as number from services) as s
    on s.number = 1 + n % 24;

insert into booking_items
select b.id, b.scheduled_at, line, 'Item ' || line || ' of ' || b.service_code, (1 + b.id % 4) / 3.0, b.price / line
from bookings b, generate_series(1, 3) as line
where b.id % 2 = 0 and line <= 1 + b.id % 3;

insert into payments (id, booking_id, scheduled_at, invoice_number, amount, state, provider_reference, payload, paid_at)
select
  pg_temp.noise_uuid('payment ' || id), id, scheduled_at, nextval('invoice_number_seq'), price,
  (case when id % 19 = 0 then 'failed' when id % 23 = 0 then 'refunded' else 'captured' end)::payment_state,
  'ref_' || md5('reference ' || id),
  jsonb_build_object(
    'card', jsonb_build_object('brand', 'test', 'last4', lpad((id % 10000)::text, 4, '0')),
    'fee', price * 0.029 + 0.3
  ),
  case when id % 19 <> 0 then updated_at + interval '1 hour' end
from (select * from bookings where status = 'completed' order by id) as finished;
update payments p set refund_of = pg_temp.noise_uuid('payment ' || p.booking_id - 1)
where state = 'refunded'
  and exists (select from payments o where o.id = pg_temp.noise_uuid('payment ' || p.booking_id - 1));

insert into gift_cards (worth, valid, bought_by)
select
  (10 + n * 2.5)::numeric::money,
  tstzmultirange(
    tstzrange('2025-01-01 00:00+00', '2025-07-01 00:00+00'),
    tstzrange(timestamptz '2026-01-01 00:00+00' + n * interval '1 day', null)
  ),
  nullif(n % 50, 0)
from generate_series(1, 300) as n;

insert into cleanscore_reports (booking_id, scheduled_at, inspector_id, points, breakdown, readings, created_at)
select
  id, scheduled_at, 401 + id % 40,
  case when id % 101 = 0 then 100 else pg_temp.pick('s' || id, 1000) / 10.0 end,
  jsonb_build_object(
    'kitchen', pg_temp.pick('k' || id, 100), 'bath', pg_temp.pick('t' || id, 100), 'remark', 'Room ' || id % 9
  ),
  case id % 51
    when 0 then array['NaN', 'Infinity', '-Infinity', '-0', '1e-300']::double precision[]
    else array[id / 7.0::double precision, id * 0.1::double precision]
  end,
  updated_at + interval '2 hours'
from (select * from bookings where status = 'completed' and id % 2 = 1 order by id) as inspected;

insert into reviews (user_id, service_code, stars, comment, moderated_by, written)
select
  1 + pg_temp.pick('w' || n, 6000), (select code from services offset n % 24 limit 1), 1 + pg_temp.pick('x' || n, 5),
  case n % 5
    when 0 then null when 1 then '' when 2 then E'Spotless \u2728 \U0001F9FD' when 3 then '\.' else 'Review ' || n
  end,
  case when n % 3000 = 0 then 900000 + n when n % 40 = 0 then 441 + n % 20 end,
  date '2025-02-01' + n % 600
from generate_series(1, 9000) as n;

insert into messages
select
  n, case when n % 4 = 0 then n - 1 - pg_temp.pick('m' || n, 3) end, 1 + pg_temp.pick('f' || n, 6000), 1 + n % 6000,
  case n % 8
    when 0 then E'First line\n\\.\nlast line' when 1 then E'tab\tand\\backslash' when 2 then E'\r\nwindows\r\n'
    when 3 then repeat('long message ', 1 + pg_temp.pick('l' || n, 60)) when 4 then '\N'
    else 'Message ' || n || ': see you soon'
  end,
  case when n % 30 = 0 then '[ {"name":"plan.pdf",  "bytes": 1.0e3} ]' end::json,
  timestamp '2025-01-05 09:00' + n * interval '57 minutes'
from generate_series(1, 20000) as n;

-- Running the service -------------------------------------------------------------------------------------------------

insert into ops.audit_log
select
  n, timestamptz '2025-01-02 00:00+00' + n * interval '38 minutes', 'user' || n % 500 || '@example.com',
  (array['login', 'logout', 'update', 'export', 'delete'])[1 + n % 5], 'bookings:' || n % 40000,
  case when n % 5 = 2 then jsonb_build_object('status', 'requested') end,
  case when n % 5 = 2 then jsonb_build_object('status', 'confirmed') end,
  case when n % 2 = 0 then ('192.0.2.' || n % 250)::inet else ('2001:db8::' || to_hex(n % 65000))::inet end
from generate_series(1, 22000) as n;

insert into ops.notification_outbox
select
  n, (enum_range(null::channel))[1 + n % 4], 1 + n % 6000, nullif('Subject ' || n % 12, 'Subject 0'),
  jsonb_build_object('template', 'reminder', 'n', n), n % 3,
  timestamptz '2026-01-01 00:00+00' + n * interval '20 minutes',
  case when n % 10 > 0 then timestamptz '2026-01-01 00:01+00' + n * interval '20 minutes' end
from generate_series(1, 8000) as n;

insert into ops.devices
select
  n, ('02:00:00:00:' || lpad(to_hex(n / 256), 2, '0') || ':' || lpad(to_hex(n % 256), 2, '0'))::macaddr,
  case when n % 4 > 0 then ('192.0.2.' || n % 250 || '/24')::inet end,
  (n::bit(16))::bit varying,
  case when n % 25 = 0 then 'NaN'::real else n / 3.0 end, n / 9.0::double precision * 1e-7,
  case when n % 2 = 0 then xmlparse(content '<device id="' || n || '"><on/> text &amp; more</device>') end
from generate_series(1, 400) as n;

insert into ops.equipment select n, 'Mop ' || n, date '2024-05-01' + n from generate_series(1, 60) as n;
insert into ops.machines
select 1000 + n, 'Vacuum ' || n, date '2025-05-01' + n, 'SN-' || md5(n::text), 900 + n
from generate_series(1, 40) as n;
insert into ops.sessions
select sha256(convert_to('session ' || n, 'UTF8')), n, jsonb_build_object('cart', n) from generate_series(1, 500) as n;

-- Photos: large objects of 1 kB to 3 MB, noise as a JPEG is, and an empty one that nothing refers to ------------------

create temporary table pictures on commit drop as
select
  n as id, 800000 + n as content,
  pg_temp.noise(
    'photo ' || n, case when n <= 38 then 1000 + n * n * 40 when n < 50 then (n - 38) * 65536 else 3000000 end
  ) as bytes
from generate_series(1, 50) as n;
do $$ begin perform lo_from_bytea(content, bytes) from pictures; end $$;
insert into photos
select p.id, r.id, r.created_at + interval '5 minutes', 'image/jpeg', content, sha256(bytes)
from pictures p join cleanscore_reports r on r.id = p.id * 50;
do $$ begin perform lo_create(800999); end $$;
comment on large object 800050 is 'The largest photo';
grant select on large object 800001 to brisa_app;
alter large object 800002 owner to brisa_owner;

-- Sequences stay ahead of the keys that were given above; the second has a value that it has not handed out yet.
do $$
begin
  perform setval(pg_get_serial_sequence('users', 'id'), 6000);
  perform setval(pg_get_serial_sequence('team_members', 'id'), 300, false);
end
$$;
