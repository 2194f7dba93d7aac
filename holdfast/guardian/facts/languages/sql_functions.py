"""Functions of SQL that only compute or look, over the common servers. Any other, and any of a schema of one's own, may do
anything: what `SELECT` calls is code of the database."""

# ruff: noqa: SIM905 - word lists read better as text

import re

_KNOWN = frozenset(
    """abs acos array_agg array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position
    array_positions array_prepend array_remove array_replace array_to_json array_to_string array_upper ascii asin atan atan2
    age any_value avg bin bit_and bit_count bit_length bit_or bit_xor bool_and bool_or btrim cardinality cast cbrt ceil
    ceiling char char_length character_length charindex chr clock_timestamp coalesce col_description collate concat
    concat_ws convert convert_from convert_to corr cos cot count covar_pop covar_samp cume_dist curdate current_catalog
    current_database current_date current_query current_role current_schema current_schemas current_time
    current_timestamp current_user currval curtime database date date_add date_bin date_diff date_format date_part date_sub
    date_trunc dateadd datediff datename datepart datetime datetrunc day dayname dayofmonth dayofweek dayofyear decode
    degrees dense_rank div elt encode enum_range every exp extract factorial field find_in_set first_value floor
    format format_bytes format_type found_rows from_days from_unixtime gcd gen_random_uuid generate_series
    generate_subscripts get_byte getdate getutcdate glob greatest group_concat grouping has_any_column_privilege
    has_column_privilege has_database_privilege has_function_privilege has_schema_privilege has_sequence_privilege
    has_table_privilege has_tablespace_privilege hex host hour if ifnull iif inet_aton inet_client_addr inet_ntoa
    inet_server_addr inet_server_port initcap instr isnull isfinite json json_agg json_array json_array_elements
    json_array_elements_text json_array_length json_arrayagg json_build_array json_build_object json_contains json_each
    json_each_text json_extract json_extract_path json_extract_path_text json_keys json_length json_object json_object_agg
    json_object_keys json_objectagg json_pretty json_quote json_strip_nulls json_to_record json_to_recordset json_tree
    json_type json_typeof json_unquote json_valid json_value jsonb_agg jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path
    jsonb_extract_path_text jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_path_query_array
    jsonb_path_query_first jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof
    julianday justify_days justify_hours justify_interval lag last_day last_value lastval lcase lcm lead least left len
    length listagg ln localtime localtimestamp locate log log10 log2 lower lpad ltrim make_date make_interval make_time
    make_timestamp make_timestamptz masklen max md5 median microsecond mid min minute mod mode month monthname network now
    nth_value ntile nullif num_nonnulls num_nulls nvl nvl2 obj_description oct octet_length ord overlay
    parse_ident percent_rank percentile_cont percentile_disc period_diff pi position pow power printf quarter quote
    quote_ident quote_literal quote_nullable radians random range_agg rank regexp_count regexp_instr regexp_like
    regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr regr_slope repeat
    replace reverse right round row_number row_to_json rpad rtrim schema scale sec_to_time second session_user set_byte
    set_bit get_bit setweight sha1 sha2 sha224 sha256 sha384 sha512 shobj_description sign similarity sin soundex split_part
    sqlite_version sqrt starts_with statement_timestamp std stddev stddev_pop stddev_samp str_to_date strcmp strftime
    string_agg string_to_array string_to_table strpos substr substring substring_index sum sysdate system_user tan time
    time_format time_to_sec timediff timeofday timestamp timestampadd timestampdiff to_ascii to_char to_date to_days to_hex
    to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector total transaction_timestamp translate trim trim_array
    trunc truncate ts_headline ts_rank ts_rank_cd typeof ucase unicode unistr unix_timestamp unixepoch unnest upper user
    utc_date utc_timestamp uuid var_pop var_samp variance version websearch_to_tsquery plainto_tsquery phraseto_tsquery
    week weekday weekofyear width_bucket year yearweek
    argmax argmin arrayjoin avgif countif formatdatetime formatreadablequantity formatreadablesize formatreadabletimedelta
    quantile quantiles sumif todate todatetime tofloat64 toint32 toint64 tostartofday tostartoffiveminutes tostartofhour
    tostartofinterval tostartofminute tostartofmonth tostring toyyyymmdd toyyyymm touint64 uniq uniqexact
    bigint binary bit bpchar dec decimal double float int integer interval nchar numeric nvarchar real signed smallint
    timestamptz timetz tinyint unsigned varbinary varbit varchar""".split()
)
_WORDS = frozenset(
    """all analyze and any array as asc between bernoulli buffers by case conflict cross cube desc distinct else end except
    exclude exists explain fetch filter following from full group grouping having in inner intersect into is join lateral
    left like ilike limit materialized natural not of offset on only or order outer over partition recursive regexp
    returning right rlike rollup row rows select sets similar some system table tablesample then to union using values when
    where window with within group xor separator""".split()
)
_CALL = re.compile(r"((?:[A-Za-z_][\w$]*\s*\.\s*)*)([A-Za-z_][\w$]*)\s*\(")
_NAMED = re.compile(r"\bas\s+\Z", re.IGNORECASE)  # `AS t(a int)`, and with it a table's columns
_QUERY = re.compile(
    r"\(\s*[\w$]+(?:\s*,\s*[\w$]+)*\s*\)\s*as\s*(?:not\s+)?(?:materialized\s*)?"
    r"\(\s*(?:select|with|values|table|insert|update|delete|merge)\b",
    re.IGNORECASE,
)
_CATALOGUES = frozenset({"pg_catalog", "information_schema"})


def unknown_function(statement: str) -> str | None:
    """The first function called in a statement, its literals blanked, that is not known to only read."""
    for call in _CALL.finditer(statement):
        schema, name = re.sub(r"\s|\.\Z", "", call[1]).rstrip("."), call[2].lower()
        if schema and schema.lower() not in _CATALOGUES:
            return f"{schema}.{name}"
        if name in _KNOWN or name.startswith("pg_") or (not schema and name in _WORDS):
            continue
        names_columns = _NAMED.search(statement[: call.start()]) or _QUERY.match(statement, call.end() - 1)
        if not names_columns:
            return name
    return None
