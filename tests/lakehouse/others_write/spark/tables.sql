-- table: -, a view of rows to be written
create temporary view numbers as select id,
  case when id % 11 = 0 then null else element_at(array('a', 'b', 'c', 'é|1'), int(id % 4) + 1) end as k,
  timestamp '2024-02-27 00:00:00' + (id * 1037 % 1440) * interval '1' minute as ts,
  cast(id * 7 % 23 - 5 as int) as x, cast(id * 1.25 as decimal(12, 2)) as d, id / 8.0D as f
  from range(0, 400);;
create namespace if not exists lake.raw;;
create namespace if not exists spark_catalog.raw;
-- table: raw.events, created, partitioned by day
create table lake.raw.events (k string, ts timestamp, x int, d decimal(12, 2), f double) using iceberg
  partitioned by (days(ts)) tblproperties ('format-version' = '2', 'write.delete.mode' = 'merge-on-read',
  'write.update.mode' = 'merge-on-read', 'write.merge.mode' = 'merge-on-read');
-- append
insert into lake.raw.events select k, ts, x, d, f from numbers where id < 60;
-- append
insert into lake.raw.events select k, ts, x, d, f from numbers where id between 60 and 89;
-- delete, as position deletes
delete from lake.raw.events where x = 3;
-- append
insert into lake.raw.events select k, ts, x, d, f from numbers where id between 90 and 99;
-- update, as position deletes
update lake.raw.events set d = d + 100, x = null where k = 'b' and x > 10;
-- merge, as position deletes
merge into lake.raw.events e using (select * from numbers where id between 95 and 110) n on e.f = n.f
  when matched and n.id % 2 = 0 then delete when matched then update set x = -n.x
  when not matched then insert (k, ts, x, d, f) values (n.k, n.ts, n.x, n.d, n.f);
-- compaction
call lake.system.rewrite_data_files(table => 'raw.events', options => map('rewrite-all', 'true'));
-- append
insert into lake.raw.events select k, ts, x, d, f from numbers where id between 111 and 120;
-- expiry of all but the last snapshot
call lake.system.expire_snapshots(table => 'raw.events', older_than => timestamp '2100-01-01 00:00:00', retain_last => 1);
-- append
insert into lake.raw.events select k, ts, x, d, f from numbers where id between 121 and 130;
-- another partition spec, append
alter table lake.raw.events replace partition field ts_day with hours(ts);;
alter table lake.raw.events add partition field bucket(3, k);;
insert into lake.raw.events select k, ts, x, d, f from numbers where id between 131 and 150;
-- a branch with rows of its own
alter table lake.raw.events create branch other;;
insert into lake.raw.events.branch_other select k, ts, x, d, f from numbers where id between 300 and 310;
-- a tag, append
alter table lake.raw.events create tag kept;;
insert into lake.raw.events select k, ts, x, d, f from numbers where id between 151 and 155;
-- a staged snapshot, which nobody has published
alter table lake.raw.events set tblproperties ('write.wap.enabled' = 'true');;
set spark.wap.id = staged;;
insert into lake.raw.events select k, ts, x, d, f from numbers where id between 200 and 210;;
reset spark.wap.id;
-- the staged snapshot published
call lake.system.publish_changes('raw.events', 'staged');
-- append of nothing
insert into lake.raw.events select k, ts, x, d, f from numbers where id < 0;
-- back to a tag
call lake.system.set_current_snapshot(table => 'raw.events', ref => 'kept');
-- append
insert into lake.raw.events select k, ts, x, d, f from numbers where id between 211 and 220;
-- table: raw.first, format version 1
create table lake.raw.first (id bigint, day date, v string) using iceberg partitioned by (day)
  tblproperties ('format-version' = '1');;
insert into lake.raw.first select id, date '2024-01-01' + int(id % 3), k from numbers where id < 12;
-- a whole partition deleted
delete from lake.raw.first where day = date '2024-01-02';
-- append
insert into lake.raw.first select id, date '2024-01-04', k from numbers where id between 20 and 25;
-- a partition field dropped, append
alter table lake.raw.first drop partition field day;;
insert into lake.raw.first select id, date '2024-01-05', k from numbers where id between 30 and 32;
-- manifests rewritten
call lake.system.rewrite_manifests('raw.first');
-- upgraded, a row deleted by its position
alter table lake.raw.first set tblproperties ('format-version' = '2', 'write.delete.mode' = 'merge-on-read');;
delete from lake.raw.first where id = 21;
-- table: raw.added, files of plain Parquet with INT96
create table plain_files using parquet options (path 'WAREHOUSE/plain') as
  select id, ts, array(ts, null) as seen, named_struct('at', ts, 'x', x) as s, d from numbers where id < 30;;
create table lake.raw.added (id bigint, ts timestamp, seen array<timestamp>, s struct<at: timestamp, x: int>, d decimal(12, 2)) using iceberg;;
call lake.system.add_files(table => 'raw.added', source_table => '`parquet`.`WAREHOUSE/plain`');
-- append of Iceberg's own files
insert into lake.raw.added select id, ts, array(ts), named_struct('at', ts, 'x', x), d from numbers where id between 40 and 45;
-- columns renamed and added
alter table lake.raw.added rename column ts to happened;;
alter table lake.raw.added rename column s.at to moment;;
alter table lake.raw.added add column s.more string;;
alter table lake.raw.added add column ts timestamp after id;;
insert into lake.raw.added (id, ts, happened) values (50, timestamp '2024-01-01 00:00:00', null);
-- rows deleted
alter table lake.raw.added set tblproperties ('write.delete.mode' = 'merge-on-read');;
delete from lake.raw.added where id in (2, 41);
-- table: raw.hive, partitioned files of plain Parquet
create table hive_files using parquet options (path 'WAREHOUSE/hive') partitioned by (region, day) as
  select id, ts, element_at(array('eu west', 'a/b', 'ü%20', null), int(id % 4) + 1) as region, date '2024-01-01' + int(id % 2) as day from numbers where id < 16;;
create table lake.raw.hive (id bigint, ts timestamp, region string, day date) using iceberg partitioned by (region, day);;
call lake.system.add_files(table => 'raw.hive', source_table => '`parquet`.`WAREHOUSE/hive`');
-- append
insert into lake.raw.hive select id, ts, 'it''s=1', date '2024-01-01' from numbers where id between 50 and 53;
-- table: raw.third, format version 3
create table lake.raw.third (id bigint, v string) using iceberg
  tblproperties ('format-version' = '3', 'write.delete.mode' = 'merge-on-read');;
insert into lake.raw.third select id, k from numbers where id < 6;
-- a deletion vector
delete from lake.raw.third where id = 4;
-- the vector compacted away
call lake.system.rewrite_data_files(table => 'raw.third', options => map('rewrite-all', 'true'));
-- table: raw.snapped, a snapshot of a Parquet table
create table spark_catalog.raw.parquet_one (id bigint, ts timestamp, v string) using parquet;;
insert into spark_catalog.raw.parquet_one select id, ts, k from numbers where id < 9;;
call spark_catalog.system.snapshot('spark_catalog.raw.parquet_one', 'lake.raw.snapped');
-- append
insert into lake.raw.snapped select id, ts, k from numbers where id between 50 and 53;
-- table: spark_catalog.raw.migrated, a Parquet table migrated
create table spark_catalog.raw.migrated (id bigint, ts timestamp, v string) using parquet partitioned by (v);;
insert into spark_catalog.raw.migrated select id, ts, k from numbers where id < 9;;
call spark_catalog.system.migrate('spark_catalog.raw.migrated');
-- append
insert into spark_catalog.raw.migrated select id, ts, k from numbers where id between 50 and 53;
-- table: raw.paths, partition values that paths escape
create table lake.raw.paths (id bigint, v string) using iceberg partitioned by (v) tblproperties ('format-version' = '2', 'write.delete.mode' = 'merge-on-read');;
insert into lake.raw.paths select id, element_at(array('a b', 'ü', '50%', 'a/b', 'x=y', 'it''s', '#?&', '', '*[1]', null), int(id % 10) + 1) from numbers where id < 20;
-- rows deleted
delete from lake.raw.paths where id in (1, 3, 15, 17, 18, 19);
-- table: raw.copied, copy-on-write: created, append
create table lake.raw.copied (id bigint, v string) using iceberg partitioned by (bucket(2, id))
  tblproperties ('format-version' = '2', 'write.delete.mode' = 'copy-on-write', 'write.update.mode' = 'copy-on-write');;
insert into lake.raw.copied select id, k from numbers where id < 20;
-- update
update lake.raw.copied set v = 'changed' where id = 3;
-- delete
delete from lake.raw.copied where id % 5 = 0;
-- overwrite of some partitions
set spark.sql.sources.partitionOverwriteMode = dynamic;;
insert overwrite lake.raw.copied select id, 'over' from numbers where id in (1, 2);
-- overwrite of all
set spark.sql.sources.partitionOverwriteMode = static;;
insert overwrite lake.raw.copied select id, 'all' from numbers where id < 3;
-- truncate
truncate table lake.raw.copied;
-- append after it
insert into lake.raw.copied select id, 'again' from numbers where id < 3;
-- table: raw.kinds, all types
create table lake.raw.kinds (id int, b boolean, l bigint, r float, f double, d9 decimal(9, 2), d18 decimal(18, 3), d38 decimal(38, 10), day date, at timestamp, local timestamp_ntz, t string, raw binary,
  `a b` string, `Ärger.x` int, s struct<a: int, `in ner`: struct<x: string, y: date>>, m map<string, struct<n: int>>, e array<array<int>>) using iceberg tblproperties ('format-version' = '2');;
insert into lake.raw.kinds values
  (1, true, 9223372036854775807, float(1.5), double('NaN'), 1.25, -2.125, 1234567890123456789012345678.0123456789, date '0001-01-01', timestamp '9999-12-31 23:59:59.999999', timestamp_ntz '1582-10-04 01:02:03.000001', 'ä\'"\\', x'00ff', 'x', 1,
   named_struct('a', 1, 'in ner', named_struct('x', 'y', 'y', date '2024-02-29')), map('k', named_struct('n', 1), 'z', null), array(array(1, null), null, array())),
  (2, null, null, float('-Infinity'), double('-0.0'), null, null, null, null, null, null, null, null, null, null, null, null, null);
-- widened, renamed, moved, dropped
alter table lake.raw.kinds alter column id type bigint;;
alter table lake.raw.kinds alter column r type double;;
alter table lake.raw.kinds alter column d9 type decimal(20, 2);;
alter table lake.raw.kinds alter column s.a type bigint;;
alter table lake.raw.kinds rename column s.`in ner` to inner;;
alter table lake.raw.kinds alter column s.inner.y first;;
alter table lake.raw.kinds add column m.value.more string;;
alter table lake.raw.kinds alter column t first;;
alter table lake.raw.kinds drop column b;;
alter table lake.raw.kinds add column b string;;
insert into lake.raw.kinds (id, b, t) values (3, 'b', 'new');
-- table: raw.packed, gzipped metadata, hashed paths, sorted, with statistics
create table lake.raw.packed (id bigint, v string) using iceberg partitioned by (truncate(1, v))
  tblproperties ('format-version' = '2', 'write.metadata.compression-codec' = 'gzip', 'write.object-storage.enabled' = 'true', 'write.metadata.delete-after-commit.enabled' = 'false');;
alter table lake.raw.packed write distributed by partition ordered by v desc nulls last;;
insert into lake.raw.packed select id, k from numbers where id < 20;
-- statistics
call lake.system.compute_table_stats('raw.packed');;
call lake.system.compute_partition_stats('raw.packed');
-- append
insert into lake.raw.packed select id, k from numbers where id between 20 and 24;
-- table: raw.emptied, all rows gone
create table lake.raw.emptied (id bigint, v string) using iceberg;;
insert into lake.raw.emptied select id, k from numbers where id < 0;;
insert into lake.raw.emptied select id, k from numbers where id < 3;;
delete from lake.raw.emptied where true;
-- table: raw.empty, no snapshot
create table lake.raw.empty (id bigint, v string) using iceberg;
-- table: raw.rolled, back to an older snapshot
create table lake.raw.rolled (id bigint) using iceberg;;
insert into lake.raw.rolled values (1);;
alter table lake.raw.rolled create tag one;;
insert into lake.raw.rolled values (2);
-- rolled back
call lake.system.set_current_snapshot(table => 'raw.rolled', ref => 'one');
-- append
insert into lake.raw.rolled values (3);
-- table: raw.orc, files of ORC
create table lake.raw.orc (id bigint) using iceberg tblproperties ('write.format.default' = 'orc');;
insert into lake.raw.orc values (1);
-- table: raw.avro, files of Avro
create table lake.raw.avro (id bigint) using iceberg tblproperties ('write.format.default' = 'avro');;
insert into lake.raw.avro values (1);
-- table: raw.julian, files of the old calendar, with values after it
set spark.sql.parquet.datetimeRebaseModeInWrite = LEGACY;;
set spark.sql.parquet.int96RebaseModeInWrite = LEGACY;;
create table julian_files using parquet options (path 'WAREHOUSE/julian') as select id, date '1600-01-01' as day, timestamp '1950-01-01 00:00:00' as ts from numbers where id < 3;;
create table lake.raw.julian (id bigint, day date, ts timestamp) using iceberg;;
call lake.system.add_files(table => 'raw.julian', source_table => '`parquet`.`WAREHOUSE/julian`');
-- table: raw.ancient, files of the old calendar, with values before its end
create table ancient_files using parquet options (path 'WAREHOUSE/ancient') as select id, date '1500-01-01' as day, timestamp '1500-01-01 00:00:00' as ts from numbers where id < 3;;
create table lake.raw.ancient (id bigint, day date, ts timestamp) using iceberg;;
call lake.system.add_files(table => 'raw.ancient', source_table => '`parquet`.`WAREHOUSE/ancient`');
