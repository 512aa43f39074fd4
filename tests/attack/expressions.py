"""Expressions of users that mean the same on both engines, and those that are refused because they would not.

Columns: ``t u`` texts, ``n m`` floating-point numbers, ``i j`` whole ones, ``k`` small ones, ``s q`` times,
``d e`` dates.
"""

ALIKE = r"""
upper(t)
lower(t)
trim(t)
ltrim(t)
rtrim(t)
trim(BOTH 'a' FROM t)
lpad(t, 5, 'x')
rpad(t, 5, 'x')
lpad(t, 5)
length(t)
left(t, 3)
right(t, 3)
left(t, k)
right(t, k)
substring(t, 1, 3)
substring(t, 2)
substring(t, k, 3)
substring(t, -3, 2)
substring(t, 0, 2)
substring(t, 2, k)
substr(t, 2, 3)
concat(t, u)
concat(t, '-', u)
concat_ws('-', t, u)
concat_ws(t, u, 'x')
t || u
replace(t, 'a', 'b')
replace(t, '', 'b')
replace(t, u, 'x')
translate(t, 'abc', 'xy')
instr(t, 'b')
instr(t, u)
locate('b', t)
locate('b', t, 2)
position('b' IN t)
startswith(t, 'a')
endswith(t, 'c')
contains(t, 'b')
contains(t, u)
startswith(t, u)
regexp_replace(t, '[aeiou]', '#')
regexp_replace(t, '^\\s+', '')
regexp_replace(t, '([a-z]+)', '<$1>')
regexp_replace(t, '\\d', 'N')
regexp_replace(t, '\\w', 'N')
regexp_replace(t, '\\s', 'N')
regexp_replace(t, '(?i)A', 'N')
regexp_extract(t, '([a-z]+)-([0-9]+)', 1)
regexp_extract(t, '([a-z]+)-([0-9]+)', 2)
regexp_extract(t, '([0-9]+)')
regexp_extract(t, '[0-9]+', 0)
regexp_extract(t, '(x)?b', 1)
regexp_extract_all(t, '([0-9])', 1)
regexp_extract_all(t, '[a-z]', 0)
regexp_like(t, '^[a-z]+$')
t RLIKE '^a'
t RLIKE 'a.c'
t RLIKE 'c$'
regexp_count(t, 'a')
split(t, ' ')
split(t, '//')[1]
split(t, '[ /]')
split(t, '\\.')[0]
split_part(t, '.', 2)
ascii(t)
hex(t)
hex(i)
unhex(t)
encode(t, 'UTF-8')
decode(encode(t, 'UTF-8'), 'UTF-8')
md5(t)
sha1(t)
sha2(t, 256)
get_json_object(t, '$.code')
get_json_object(t, '$.n')
get_json_object(t, '$.l[0]')
get_json_object(t, '$.l')
abs(n)
abs(i)
round(n)
round(n, 2)
floor(n)
ceil(n)
floor(i)
sqrt(n)
ln(n)
log(n)
log10(n)
log2(n)
log(2, n)
try_divide(n, m)
try_divide(i, j)
n / m
i / j
i div j
i % j
n % m
mod(i, j)
i + j
i * j
i - j
-i
n + m
n * m
i & j
i | j
i ^ j
~i
to_date(t)
to_date(t, 'yyyy-MM-dd')
to_date(t, 'dd.MM.yyyy')
to_timestamp(t)
to_timestamp(t, 'yyyy-MM-dd HH:mm:ss')
to_timestamp(t, 'yyyy')
CAST(t AS DATE)
CAST(t AS TIMESTAMP)
extract(year FROM s)
extract(week FROM s)
year(s)
quarter(s)
month(s)
day(s)
dayofmonth(s)
dayofweek(s)
dayofyear(s)
weekofyear(s)
hour(s)
minute(s)
second(s)
year(t)
hour(t)
datediff(d, e)
datediff(s, q)
datediff(t, d)
last_day(d)
last_day(s)
trunc(d, 'MM')
trunc(d, 'year')
trunc(s, 'MM')
date_trunc('month', s)
date_trunc('week', s)
date_trunc('quarter', s)
date_trunc('hour', s)
date_trunc('day', d)
date_format(s, 'yyyy-MM')
date_format(s, 'dd.MM.yyyy HH:mm:ss')
date_format(d, 'yyyyMMdd')
from_unixtime(i)
from_unixtime(k)
from_unixtime(i, 'yyyy')
make_date(2020, k, 1)
make_date(k + 2000, 2, 29)
make_date(CAST(i AS INT), 1, 1)
coalesce(t, u)
coalesce(n, i)
nullif(t, '')
nvl2(t, u, 'x')
if(i > j, t, u)
greatest(i, j)
least(i, j)
greatest(n, m)
least(n, m)
greatest(t, u)
least(s, q)
isnan(n)
array(t, u)
size(split(t, ' '))
array_contains(split(t, ' '), 'b')
array_join(split(t, ' '), '-')
element_at(split(t, ' '), 1)
element_at(split(t, ' '), 9)
struct(t, i)
isnull(t)
isnotnull(t)
CAST(t AS DOUBLE)
CAST(t AS FLOAT)
CAST(t AS INT)
CAST(t AS BIGINT)
CAST(t AS SMALLINT)
CAST(t AS DECIMAL(10, 2))
CAST(t AS BOOLEAN)
CAST(i AS STRING)
CAST(n AS INT)
CAST(n AS DECIMAL(10, 2))
CAST(n AS BOOLEAN)
CAST(i AS BOOLEAN)
CAST(i AS INT)
CAST(i AS TINYINT)
CAST(i AS DOUBLE)
CAST(s AS STRING)
CAST(d AS STRING)
CAST(i AS TIMESTAMP)
CAST(i > j AS STRING)
CAST(i > j AS INT)
int(t)
double(t)
boolean(t)
t LIKE 'a%'
t LIKE '%\\%%'
t LIKE 'a_b'
t ILIKE 'A%'
t = u
t <=> u
t < u
t IN ('a b', 'ß')
t BETWEEN 'a' AND 'c'
n = m
n < m
n > 1
n = n
i BETWEEN j AND 100
t = 7
t > 5
CASE WHEN n > m THEN 'x' WHEN t = 'ß' THEN 'y' ELSE t END
CASE t WHEN 'a b' THEN 1 ELSE 2 END
s > '2020-01-01'
d >= '2020-01-01'
s = d
to_timestamp('Infinity', 'yyyy')
struct(1 AS x, t AS y)
NOT (t = 'a b')
t IS NULL
n IS NOT NULL
t IS DISTINCT FROM u
t RLIKE '^abc$'
regexp_replace(t, '\\s+$', '')
t RLIKE 'b\\S'
regexp_extract(t, '(?i)(K)', 1)
t RLIKE '(?i)k'
regexp_replace(t, 'x(.)y', '[$1]')
split(t, '[.]')
split(t, '\\|')[0]
to_timestamp(t, 'dd-MMM-yyyy')
to_timestamp(t, 'yyyyMMdd')
to_date(t, 'd/M/yyyy')
date_format(s, 'dd MMM yyyy')
date_format(s, 'hh:mm a')
substring(t, 1, length(t) - 1)
left(t, length(t) - 1)
upper(trim(t))
concat(upper(t), lower(u))
year(date_add(d, 1))
trunc(s, 'YEAR')
date_trunc('MM', s)
round(i, 1)
round(n, 3)
floor(n / 10)
extract(doy FROM d)
nvl(n, 0)
abs(-n)
n - m
round(n * 100) / 100
i * 8
k * 2 + 1
log(10, n)
""".strip().splitlines()

UNLIKE = r"""
initcap(t)
reverse(t)
substring_index(t, '/', 1)
levenshtein(t, u)
soundex(t)
lpad(t, k, '0')
lpad(t, 5, '')
split(t, '')
split(t, u)
split(t, ' ', 2)
split(t, ' ')[k]
split_part(t, '.', k)
t RLIKE u
t RLIKE '(?=a)'
t RLIKE '(a)\\1'
t RLIKE '\\bb'
t RLIKE '\\p{L}'
t RLIKE '[[:alpha:]]'
t RLIKE '[a&&b]'
t RLIKE 'a++'
t RLIKE '(?m)a'
t LIKE 'a\\b'
regexp_replace(t, 'a', u)
get_json_object(t, '$')
sha2(t, 512)
round(n, -1)
sign(n)
cbrt(n)
shiftleft(i, 2)
extract(dow FROM s)
extract(second FROM s)
trunc(d, 'SECOND')
to_date(t, 'dd.MM.yy')
to_timestamp(t, 'yyyy-DDD')
date_format(s, 'EEE')
date_format(s, t)
months_between(d, e)
unix_timestamp(t, 'yyyy')
typeof(i)
nanvl(n, m)
""".strip().splitlines()
