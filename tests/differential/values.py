"""Texts and JSON values that fields of each kind are given: right ones, borders, and wrong ones."""

from __future__ import annotations

from typing import Final

INTEGER_KINDS: Final = (
    "an_int32", "an_int64", "a_uint32", "a_uint64", "a_sint32", "a_sint64", "a_fixed32", "a_fixed64", "a_sfixed32",
    "a_sfixed64",
)  # fmt: skip
FLOAT_KINDS: Final = ("a_double", "a_float")
KINDS: Final = (*FLOAT_KINDS, *INTEGER_KINDS, "a_bool", "a_string", "a_bytes", "a_colour")

_LIMITS: Final = (
    "127", "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "18446744073709551615", "18446744073709551616", "9007199254740991", "9007199254740993", "-9007199254740993",
)  # fmt: skip
INTEGERS: Final = ("0", "1", "-1", "42", "-42", *_LIMITS)
WRITTEN_OTHERWISE: Final = (
    "+1", "01", "007", "-0", "-01", "1.0", "1.5", "-1.0", "1e2", "1E2", "1e+2", "1e-2", "100e-2", "1.5e1", "1e400",
    "0x10", "0b1", "1_000", "1,000", "1.", ".5", "1e", "e1", "--1", "1-", "٣", "1 2", " 1", "1 ", "\t1", "",
)  # fmt: skip
FRACTIONS: Final = (
    "0.0", "-0.0", "0.1", "-0.1", "0.5", "2.5", "1e10", "1e20", "1e21", "1e22", "1e-5", "1e-7", "1.17549435e-38",
    "3.4028234663852886e+38", "3.4028235e38", "3.5e38", "-3.5e38", "1.4e-45", "1e-50", "4.9e-324", "1e-400",
    "1.7976931348623157e308", "1.8e308", "123456789.123456789", "0.30000000000000004", "16777217",
)  # fmt: skip
WORDS: Final = (
    "NaN",
    "Infinity",
    "-Infinity",
    "nan",
    "inf",
    "-inf",
    "INFINITY",
    "+Infinity",
    "null",
    "abc",
    "true",
    "{}",
)
BOOLS: Final = (
    "true",
    "false",
    "TRUE",
    "True",
    "False",
    "t",
    "f",
    "1",
    "0",
    "yes",
    "no",
    "on",
    "",
    "null",
    " true",
    "2",
)
STRINGS: Final = (
    "plain", "", "a b", "a+b", "a/b", "é", "日本", "🎉", "%", "%41", "a&b=c", "null", "true", "1", '"', "'", "#", "?",
    "a;b", "a,b", "a:b", "[x]", "{y}", "<z>", "~", "x" * 300, "ﬀ", "\u200b", "e\u0301",
)  # fmt: skip
BLOBS: Final = (
    "", "aGk=", "aGk", "aGk==", "YQ==", "YQ", "YQ=", "YWJj", "-_8=", "-_8", "+/8=", "+/8", "+_8", "a", "====", "!!!!",
    "aG k=", "aGk=aGk=", "YR==", "/+", "AAAA",
)  # fmt: skip
COLOURS: Final = (
    "COLOUR_RED", "COLOUR_UNSPECIFIED", "COLOUR_NEGATIVE", "colour_red", "RED", "COLOUR_BLUE", "0", "1", "2", "-5",
    "99", "-1", "2147483647", "2147483648", "1.0", "1.5", "1e0", "01", "", " COLOUR_RED", "null",
)  # fmt: skip

TIMESTAMPS: Final = (
    "1970-01-01T00:00:00Z", "2024-01-15T10:30:45Z", "2024-01-15T10:30:45.5Z", "2024-01-15T10:30:45.123Z",
    "2024-01-15T10:30:45.123456Z", "2024-01-15T10:30:45.123456789Z", "2024-01-15T10:30:45.1234567891Z",
    "2024-01-15T10:30:45+01:00", "2024-01-15T10:30:45-23:59", "2024-01-15T10:30:45+24:00", "0001-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "10000-01-01T00:00:00Z", "2024-02-29T00:00:00Z",
    "2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-32T00:00:00Z", "2024-01-15T24:00:00Z",
    "2024-01-15T10:60:00Z", "2024-12-31T23:59:60Z", "2024-01-15t10:30:45Z", "2024-01-15T10:30:45z",
    "2024-01-15 10:30:45Z", "2024-01-15T10:30:45", "2024-01-15", "2024-01-15T10:30Z", "2024-1-15T10:30:45Z",
    "2024-01-15T10:30:45.Z", "1705314645", "", "null", "2024-01-15T10:30:45+0100", "-001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
)  # fmt: skip
DURATIONS: Final = (
    "0s", "1s", "-1s", "1.5s", "-1.5s", "-0.5s", "0.000000001s", "1.0000000001s", "1.123456789s", "315576000000s",
    "315576000001s", "-315576000000s", "-315576000001s", "315576000000.999999999s", "1", "1m", "1h", "1S", "s", "",
    ".5s", "1.s", "+1s", "1e3s", " 1s", "1 s", "1s ", "1.5", "null", "1,5s", "00001s", "-0s", "0.1234s", "-s", "--1s",
)  # fmt: skip
MASKS: Final = (
    "", "name", "name,note", "name,inner.deeper", "fooBar", "foo_bar", "fooBar.bazQux", "foo,", ",foo", "foo,,bar",
    ".", "foo.", "*", "foo bar", "Foo", "foo1", "foo.1bar", "a,a", "foo3Bar",
)  # fmt: skip
JSON_TEXTS: Final = (
    "{}", '{"a":1}', '{"a":{"b":[1,"x",null,true]}}', "[]", "[1,2]", "null", "true", "1", "1.5", '"text"', "text",
    "{", "", '{"a":1,"a":2}', "1e400", "NaN", '"NaN"',
)  # fmt: skip

LITERALS: Final = (
    "null", "true", "false", "0", "1", "-1", "1.0", "1.5", "-0", "-0.0", "1e2", "1E2", "1e-2", "100e-2", "1e400",
    "[]", "{}", "[1]", '{"a":1}', '""', '"x"', "NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x1", "tru",
    "nul",
)  # fmt: skip

BROKEN_JSON: Final = (
    b"", b" ", b"{", b"}", b"[", b"]", b"[]", b"null", b"true", b"1", b'"x"', b"{}", b" {} ", b"\t{}\r\n", b"{}{}",
    b"{} x", b"{},", b'{"name"}', b'{"name":}', b'{"name":"a",}', b'{,"name":"a"}', b'{"name":"a" "note":"b"}',
    b"{'name':'a'}", b'{name:"a"}', b'{"name":"a"}\x00', b'\xef\xbb\xbf{"name":"a"}', b'{"name":"a"} // x',
    b'/* x */{"name":"a"}', b'{"name":"\x01"}', b'{"name":"a\nb"}', b'{"name":"\\u0000"}', b'{"name":"\\ud800"}',
    b'{"name":"\\udc00\\ud800"}', b'{"name":"\\ud83d\\ude00"}', b'{"name":"\\x41"}', b'{"name":"\\u12"}',
    b'{"name":"\\/\\b\\f\\n\\r\\t\\""}', b'{"name":"\xff"}', b'{"name":"\xc0\xaf"}', b'{"name":"\xed\xa0\x80"}',
    b'{"name":"\xf4\x90\x80\x80"}', b'{"name":"a","name":"b"}', b'{"maybeText":"a","maybe_text":"b"}',
    b'{"maybe_text":"a"}', b'{"custom-Name":"a"}', b'{"renamed":"a"}', b'{"customName":"a"}', b'{"unknown":1}',
    b'{"unknown":{"a":[1,{}]}}', b'{"inner":{"unknown":1}}', b'{"Name":"a"}', b'{"":"a"}', b'{"name":null}',
    b'{"tags":null}', b'{"tags":[null]}', b'{"tags":"a"}', b'{"tags":["a",1]}', b'{"tags":["a",]}', b'{"tags":[,]}',
    b'{"tags":{}}', b'{"inner":[]}', b'{"inner":"x"}', b'{"inner":null}', b'{"inner":{}}', b'{"labels":{"a":"b"}}',
    b'{"labels":{"a":null}}', b'{"labels":{"a":"b","a":"c"}}', b'{"labels":[]}', b'{"labels":{"":""}}',
    b'{"labels":null}', b'{"labels":{"a":1}}', b'{"numbered":{"1":{"id":"x"}}}', b'{"numbered":{"x":{}}}',
    b'{"numbered":{"1":{},"01":{}}}', b'{"numbered":{"1.0":{}}}', b'{"numbered":{"2147483648":{}}}',
    b'{"switches":{"true":1}}', b'{"switches":{"TRUE":1}}', b'{"switches":{"1":1}}', b'{"number":1,"text":"x"}',
    b'{"number":null,"text":"x"}', b'{"number":1,"number":2}', b'{"nothing":null}', b'{"nothing":"NULL_VALUE"}',
    b'{"nothing":0}', b'{"nothing":1}', b'{"nothing":"x"}', b'{"maybe":0}', b'{"maybe":null}', b'{"number":0}',
    b'{"text":""}', b'{"chosen":{}}', b'{"inner":{"id":"a"},"inner":{"level":1}}',
    b'{"colours":["COLOUR_RED",1,"1","NOPE"]}', b'{"colours":["COLOUR_RED",2,99]}', b'{"colours":[null]}',
    b'{"numbers":[1,"2",3.0,1e1]}', b'{"numbers":[[1]]}', b'{"ratios":["NaN","Infinity",1,"1.5"]}',
    b'{"blobs":["aGk=","-_8","*"]}', b'{"sizes":["18446744073709551615",18446744073709551615]}', b'{"sizes":[-1]}',
    b'{"name":"a"' + b" " * 200 + b"}", b'{"name":"a"\x0b}', b'{"name":"a"\xc2\xa0}', b'{"name":1}', b'{"name":true}',
    b'{"name":{}}', b'{"name":["a"]}', b'{"note":"' + b"y" * 3000 + b'"}', b"nul", b"undefined", b"NaN",
    b'{"inner":' * 40 + b"{}" + b"}" * 40, b'{"x":' + b"[" * 60 + b"]" * 60 + b"}", b"[" * 200,
    b'{"inner":' + b'{"deeper":' * 20 + b"{}" + b"}" * 20 + b"}",
    b'{"inner":' + b'{"deeper":' * 150 + b"{}" + b"}" * 150 + b"}",
)  # fmt: skip
"""Bodies for a message with the fields of `differential.Item`; not all of them are broken."""

SEGMENTS: Final = (
    "a", "a-b_c.d~e", "A", "1", "0", "a%20b", "a+b", "a%2Bb", "a%2Fb", "a%2fb", "%41", "%e9", "%C3%A9", "%c3%a9",
    "%FF", "%C0%AF", "%ED%A0%80", "%00", "%0a", "%0D", "%1f", "%7f", "%80", "%25", "%2525", "%", "%4", "%zz", "a%",
    "a:b", "a:check", "a%3Acheck", "check", ":check", "a;b=c", "a,b", "a=b", "a@b", "a&b", "a$b", "a!b", "a'b", "(a)",
    "a*b", "*", "**", "{a}", "[a]", "a|b", 'a"b', "<a>", "a^b", "a`b", "a\\b", "a%5Cb", ".", "..", "...", ".a", "%2e",
    "%2E%2e", "%2e%2e%2fa", "..%2fa", "..;", "..;a", "a%3Fb", "a%23b", "%F0%9F%8E%89", "%E6%97%A5%E6%9C%AC",
    "x" * 500, "%2F", "%2F%2F", "a%2F..%2Fb", "%3a", "null", "a%26b%3Dc",
)  # fmt: skip
PATHS: Final = (
    "/v1/one/", "/v1/one", "/v1/one/a/", "/v1/one/a/b", "/v1//one/a", "//v1/one/a", "/v1/one//a", "/V1/one/a",
    "/v1/One/a", "/v1/many", "/v1/many/", "/v1/many/a/b/c", "/v1/many/a//b", "/v1/many/a/b/", "/v1/many/a%2Fb/c",
    "/v1/many/a/../b", "/v1/many/./b", "/v1/many/%2e%2e/b", "/v1/many/a%2Fb%20c%23d", "/v1/many/%2f%23/%20%2523",
    "/v1/many/a+b/c%2Bd", "/v1/shelves/1/books/2", "/v1/shelves/1/books", "/v1/shelves//books/2",
    "/v1/shelves/1/boxes/2", "/v1/shelves/a%2Fb/boxes/c", "/v1/shelves/a%20b/books/c%20d", "/v1/shelves/1/boxes/",
    "/v1/files", "/v1/files/", "/v1/files/a", "/v1/files/a/b%2Fc/d", "/v1/verbs/a", "/v1/verbs/a:check",
    "/v1/verbs/a:b:check", "/v1/verbs/a:other", "/v1/verbs/:check", "/v1/verbs/a%3Acheck", "/v1/verbs/a:Check",
    "/v1/verbs/a:check/", "/v1/verbs/a/:check", "/v1/verbs:list", "/v1/verbs:other", "/v1/verbs", "/v1/tails/a/b:run",
    "/v1/tails:run", "/v1/tails/:run", "/v1/tails/a/b", "/v1/tails/a:run:run", "/v1/tails/a/b:walk",
    "/v1/literal/fixed", "/v1/literal/other", "/v1/literal/%66ixed", "/v1/literal/Fixed", "/v1/literal/fixed/",
    "/v1/star/a/end", "/v1/star//end", "/v1/star/end", "/v1/star/a/b/end", "/v1/star/a%2Fb/end", "/v1/rest",
    "/v1/rest/", "/v1/rest/a/b", "/v1/%6fne/a", "/%76%31/one/a", "/v1/one/a?", "/v1/one/a?&", "/v1/one/a?&&note=x",
    "/v1/one/a?note", "/v1/one/a?note=", "/v1/one/a?=x", "/v1/one/a?note=x&", "/v1/one/a?note=x?y",
    "/v1/one/a?note=x#y", "/v1/one/a#frag", "/v1/one/a%3Fnote=x", "/v1", "/v1/", "/", "", "*", "v1/one/a",
    "http://gateway.test/v1/one/a", "http://other.test/v1/one/a?note=x", "/v2/one/a", "/v1/nowhere",
    "/v1/one/a;jsessionid=1", "/v1/one/a?note=%ff", "/v1/one/a?note=%", "/v1/one/a?note=%zz", "/v1/one/a?note=%00",
    "/v1/one/a?note=a+b", "/v1/one/a?note=a%2Bb", "/v1/one/a?note=a%20b", "/v1/one/a?note=a;tags=b",
    "/v1/one/a?%6eote=x", "/v1/one/\xe9", "/v1/one/\xc3\xa9", "/v1/one/a?note=\xc3\xa9", "/v1/one/a?note=\xff",
    "/v1/one/a b", "/differential.Probe/EchoPath", "/v1/inner/x/7", "/v1/inner/x/y", "/v1/inner/x/7?inner.level=3",
    "/v1/inner/x/7?inner.id=3",
)  # fmt: skip
QUERIES: Final = (
    "note=x", "name=x", "maybeText=x", "maybe_text=x", "MaybeText=x", "maybetext=x", "custom-Name=x", "renamed=x",
    "customName=x", "inner.id=x", "inner.level=7", "inner.deeper.id=y", "inner.deeper.deeper.level=1", "inner=x",
    "inner={}", "inner.=x", ".id=x", "inner..id=x", "inner.nope=x", "nope=x", "nope=x&note=y", "nope", "note.x=1",
    "tags=a", "tags=a&tags=b", "tags=a,b", "tags=", "tags[]=a", "tags[0]=a", "tags.0=a", "numbers=1&numbers=2",
    "numbers=1,2", "numbers=1&numbers=x", "numbers=2147483648", "colours=COLOUR_RED&colours=2&colours=-5",
    "colours=NOPE", "inners=x", "inners.id=x", "inners.0.id=x", "labels[a]=b", "labels[a]=b&labels[c]=d",
    "labels.a=b", "labels=a", "labels[a]=b&labels[a]=c", "numbered[1]=x", "switches[true]=1.5", "number=1", "text=x",
    "number=1&text=x", "chosen.id=x", "chosen.id=x&chosen.level=2", "number=1&chosen.id=x", "nothing=NULL_VALUE",
    "nothing=null", "nothing=0", "maybe=0", "maybe=", "maybe=7&maybe=8", "note=x&note=y", "note=x&note=x",
    "ratios=1.5&ratios=NaN", "ratios=Infinity&ratios=-Infinity", "blobs=aGk=&blobs=-_8",
    "sizes=18446744073709551615&sizes=0", "sizes=-1", "scalars.a_bool=true", "scalars.aBool=true",
    "scalars.a_bytes=aGk%3D", "scalars.aColour=COLOUR_RED", "inner.words=a&inner.words=b", "inner.colour=1",
    "inner.colour=COLOUR_GREEN", "%69nner.id=x", "inner%2Eid=x", "note=%E6%97%A5", "note=a%00b", "note=a%0Ab",
    "note=a%26b", "note=a%3Db", "note=a=b", "note==", "&", "note=x&&tags=a", "note=x&note=", "prettyPrint=true",
    "$alt=json", "alt=json", "access_token=x", "key=x", "fields=a",
)  # fmt: skip
