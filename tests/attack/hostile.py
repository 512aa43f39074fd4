"""Expressions that must never run: each reads, writes, asks or does what no row of a table tells."""

FUNCTIONS = """
read_csv('/etc/passwd')
read_csv_auto('/etc/passwd')
read_text('/etc/passwd')
read_blob('/etc/passwd')
read_parquet('x.parquet')
parquet_scan('x.parquet')
parquet_metadata('x.parquet')
parquet_schema('x.parquet')
parquet_kv_metadata('x.parquet')
read_json('/etc/passwd')
read_json_auto('x.json')
read_json_objects('x.json')
read_ndjson('x.json')
read_ndjson_auto('x.json')
read_xlsx('x.xlsx')
st_read('x.shp')
sniff_csv('/etc/passwd')
glob('/home/*')
iceberg_scan('s3://b/x')
delta_scan('s3://b/x')
sqlite_scan('a.db', 't')
postgres_scan('host=h', 's', 't')
postgres_query('db', 'select 1')
mysql_query('db', 'select 1')
http_get('http://example.org')
http_post('http://example.org', 'x')
copy_database('a')
query('SELECT 1')
query_table('patient')
getenv('HOME')
current_setting('temp_directory')
current_setting('s3_secret_access_key')
set_config('memory_limit', '1', false)
duckdb_settings()
duckdb_secrets()
duckdb_extensions()
duckdb_tables()
duckdb_columns()
duckdb_databases()
duckdb_functions()
duckdb_memory()
duckdb_temporary_files()
duckdb_logs()
which_secret('s3://b', 's3')
pragma_version()
pragma_database_size()
pragma_storage_info('t')
pragma_user_agent()
pragma_platform()
checkpoint()
force_checkpoint('db')
enable_logging()
enable_profiling()
load_aws_credentials()
add_parquet_key('k', '0123456789112345')
version()
user()
current_user()
session_user()
current_database()
current_catalog()
current_schema()
current_schemas(true)
in_search_path('a', 'b')
txid_current()
pg_typeof(source)
pg_get_viewdef(1)
pg_read_file('/etc/passwd')
pg_ls_dir('/')
pg_sleep(10)
lo_import('/etc/passwd')
currval('s')
nextval('s')
getvariable('x')
write_log('x')
error(source)
assert_true(id > 1)
raise_error(source)
stats(source)
hash(source)
alias(source)
vector_type(source)
in_memory()
sleep_ms(1000)
rand()
random()
randn()
randstr(5, 1)
shuffle(array(1, 2))
setseed(0.5)
uuid()
gen_random_uuid()
uuidv7()
now()
get_current_timestamp()
get_current_time()
today()
curdate()
current_timezone()
localtimestamp()
unix_timestamp()
transaction_timestamp()
monotonically_increasing_id()
spark_partition_id()
input_file_name()
input_file_block_start()
input_file_block_length()
java_method('java.lang.Runtime', 'getRuntime')
reflect('java.lang.System', 'getProperty', 'user.home')
try_reflect('java.lang.System', 'getenv', 'HOME')
xpath(source, 'a/b')
xpath_string(source, 'a')
from_csv(source, 'a INT')
from_json(source, 'a INT')
from_xml(source, 'a INT')
schema_of_csv(source)
ai_query('m', source)
vector_search('i', source)
http_request('http://example.org')
remote_query('c', 'select 1')
read_files('/etc/passwd')
read_kafka('h')
list_secrets()
secret('a', 'b')
try_secret('a', 'b')
is_account_group_member('x')
aes_encrypt(source, 'k')
aes_decrypt(source, 'k')
explode(split(source, ' '))
posexplode(split(source, ' '))
inline(array(struct(1)))
stack(2, 1, 2)
json_tuple(source, 'a')
unnest(split(source, ' '))
generate_series(1, 1000000000)
range(1000000000)
sequence(1, 1000000000)
repeat('x', 1000000000)
space(1000000000)
array_repeat('x', 1000000000)
transform(split(source, ' '), x -> read_text(x))
filter(split(source, ' '), x -> x = '')
aggregate(array(1), 0, (a, x) -> a + x)
exists(array(1), x -> x = 1)
list_transform(array(1), x -> x)
reduce(array(1), 0, (a, x) -> a + x)
count(*)
count(id)
sum(id)
min(source)
max(source)
avg(id)
first(source)
any_value(source)
string_agg(source, ',')
collect_list(source)
collect_set(source)
listagg(source)
approx_quantile(id, 0.5)
percentile(id, 0.5)
histogram(id)
row_number() OVER (ORDER BY id)
lag(source) OVER (ORDER BY id)
sum(id) OVER ()
main.read_text('/etc/passwd')
system.main.read_text('/etc/passwd')
""".strip().splitlines()

OTHERS = """
(SELECT 1)
(SELECT content FROM read_text('/etc/passwd'))
(SELECT max(source) FROM visits_rows)
(SELECT column0 FROM '/etc/passwd')
(SELECT value FROM duckdb_settings() LIMIT 1)
(SELECT current_setting('temp_directory'))
(FROM read_text('/etc/passwd') SELECT content)
(WITH t AS (SELECT 1 AS a) SELECT a FROM t)
(VALUES (1))
(TABLE patient)
EXISTS (SELECT 1 FROM visits_rows)
NOT EXISTS (SELECT 1)
id IN (SELECT id FROM visits_rows)
id = ANY (SELECT 1)
id = ALL (SELECT 1)
source = SOME (SELECT 'x')
array(SELECT 1)
current_date
current_timestamp
current_time
current_user
localtime
@@version
@x
:name
?
$1
*
visits_rows.*
* EXCLUDE (id)
COLUMNS(*)
CAST(source AS no_such_type)
source COLLATE nocase
source; SELECT 1
source; DROP TABLE visits_rows
SELECT 1
SELECT * FROM visits_rows
DROP TABLE visits_rows
CREATE TABLE t AS SELECT 1
INSERT INTO visits_rows VALUES (1)
DELETE FROM visits_rows
UPDATE visits_rows SET id = 1
COPY visits_rows TO '/tmp/out.csv'
EXPORT DATABASE '/tmp/out'
ATTACH '/tmp/a.db'
DETACH memory
INSTALL httpfs
LOAD httpfs
SET memory_limit = '1GB'
RESET memory_limit
PRAGMA database_list
CALL pragma_version()
USE memory
VACUUM
CHECKPOINT
EXPLAIN SELECT 1
SHOW TABLES
DESCRIBE visits_rows
SUMMARIZE visits_rows
BEGIN
PREPARE p AS SELECT 1
EXECUTE p
KILL 1
ADD JAR '/tmp/a.jar'
TRUNCATE TABLE visits_rows
MERGE INTO visits_rows USING visits_rows ON true WHEN MATCHED THEN DELETE
GRANT ALL ON visits_rows TO x
id FROM visits_rows
id) FROM visits_rows --
id, source
""".strip().splitlines()

EXPRESSIONS = [*FUNCTIONS, *OTHERS]
NOT_ALONE = (
    "*",
    "id, source",
)  # in the midst of an expression they mean something else, or nothing


def variants(expression: str) -> list[str]:
    """Return other ways to write an expression, and places deep inside one that may run."""
    if expression in NOT_ALONE:
        return []
    name, bracket, rest = expression.partition("(")
    plain = bracket and name.replace("_", "").isalnum()
    written = [
        expression.upper() if "'" not in expression else expression,
        f"/* */ {expression} -- x",
        f"({expression})",
        f"coalesce(source, CAST({expression} AS STRING))",
        f"CASE WHEN id = 1 THEN {expression} END",
        f"concat('a', upper({expression}))",
        f"source IN ('a', {expression})",
        f"split({expression}, ' ')[0]",
    ]
    return written + ([f"`{name}`({rest}", f"{name} \n({rest}"] if plain else [])
